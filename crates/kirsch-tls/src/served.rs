//! All that handshakes need, at one time: pairs by name, each with its configuration of rustls.
//!
//! It never changes; `material.rs` puts another in its place. It does not know files any more.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert,
    ResolvesServerCertUsingSni, ServerConfig,
};
use rustls::sign::{SigningKey, SingleCertAndKey};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};

use crate::config::{MinimumVersion, TlsConfig, UnknownName};
use crate::error::{TlsError, Trouble};
use crate::key_schedule;
use crate::pair::{Pair, words};

/// What handshakes are made with.
#[derive(Debug)]
pub struct Served {
    /// The first is the default. Never empty.
    pairs: Vec<Choice>,
    /// What certificates of clients are looked at with.
    verifier: Arc<dyn ClientCertVerifier>,
    /// Places in `pairs` by host, in lower case; several where there are keys of several kinds.
    exact: HashMap<String, Vec<usize>>,
    /// The same for `*.example.org`, by what is behind the star and its dot.
    wildcard: HashMap<String, Vec<usize>>,
    /// What a client gets that asks for none of them, if not the first pair.
    refusal: Option<Arc<ServerConfig>>,
}

/// What a handshake goes on with.
#[derive(Clone, Debug)]
pub struct Choice {
    /// For `Accepted::into_connection`.
    pub config: Arc<ServerConfig>,
    /// The pair in it; `None` where the handshake will fail, since there is none for the name.
    pub pair: Option<Arc<Pair>>,
}

/// What is the same for all pairs.
pub(crate) struct Common {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
    pub(crate) tickets: Arc<dyn ProducesTickets>,
}

/// Whether a connection that begins with this byte speaks TLS: a record of a handshake (RFC 8446, section 5.1).
/// No request of HTTP begins with it.
pub fn is_tls(first_byte: u8) -> bool {
    const HANDSHAKE: u8 = 22;
    first_byte == HANDSHAKE
}

/// The provider with the suites that are wanted.
///
/// Its groups are those of rustls: X25519MLKEM768 first, which keeps what is recorded today from being read by a
/// quantum computer later.
pub(crate) fn provider(config: &TlsConfig) -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if !config.suites.is_empty() {
        provider.cipher_suites.clone_from(&config.suites);
    }
    for suite in &mut provider.cipher_suites {
        *suite = key_schedule::quicker(*suite);
    }
    Arc::new(provider)
}

impl Served {
    /// Makes a configuration for each pair.
    ///
    /// # Errors
    ///
    /// If there is no pair, or versions and suites leave nothing to speak.
    pub(crate) fn new(
        config: &TlsConfig,
        pairs: Vec<Arc<Pair>>,
        common: &Common,
    ) -> Result<Served, TlsError> {
        let mut served = Served {
            pairs: Vec::with_capacity(pairs.len()),
            verifier: Arc::clone(&common.verifier),
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            refusal: None,
        };
        for (place, pair) in pairs.into_iter().enumerate() {
            for name in pair.names() {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(behind) => (&mut served.wildcard, behind),
                    None => (&mut served.exact, name.as_str()),
                };
                names.entry(name.to_owned()).or_default().push(place);
            }
            let resolver = SingleCertAndKey::from(Arc::clone(&pair.certified));
            served.pairs.push(Choice {
                config: server_config(config, Arc::new(resolver), common)?,
                pair: Some(pair),
            });
        }
        if served.pairs.is_empty() {
            return Err(Trouble::NoPair.into());
        }
        if config.unknown_name == UnknownName::Refuse {
            let nobody = Arc::new(ResolvesServerCertUsingSni::new());
            served.refusal = Some(server_config(config, nobody, common)?);
        }
        Ok(served)
    }

    /// The pair for a client: the first for its name whose key it can use.
    ///
    /// A star stands for one label (RFC 9525, section 6.3), and an exact name goes before it.
    pub fn choose(&self, hello: &ClientHello<'_>) -> Choice {
        let places = match hello.server_name() {
            Some(name) => self.places(name),
            None => &[],
        };
        let usable = |place: &&usize| {
            let pair = self.pairs[**place].pair.as_deref();
            pair.is_some_and(|pair| can_use(hello, &*pair.certified.key))
        };
        let place = places.iter().find(usable).or_else(|| places.first());
        match (place, &self.refusal) {
            (Some(place), _) => self.pairs[*place].clone(),
            (None, None) => self.default_for(hello).clone(),
            (None, Some(refusal)) => Choice {
                config: Arc::clone(refusal),
                pair: None,
            },
        }
    }

    /// All pairs, the default one first.
    pub fn pairs(&self) -> impl Iterator<Item = &Arc<Pair>> {
        self.pairs.iter().filter_map(|choice| choice.pair.as_ref())
    }

    /// What certificates of clients are looked at with.
    pub(crate) fn verifier(&self) -> &Arc<dyn ClientCertVerifier> {
        &self.verifier
    }

    fn places(&self, name: &str) -> &[usize] {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let starred = || {
            let (_, behind) = name.split_once('.')?;
            self.wildcard.get(behind)
        };
        self.exact
            .get(&name)
            .or_else(starred)
            .map_or(&[], Vec::as_slice)
    }

    /// The first pair, or the first of those for the same names whose key the client can use.
    fn default_for(&self, hello: &ClientHello<'_>) -> &Choice {
        let first = &self.pairs[0];
        let names = first.pair.as_ref().map(|pair| pair.names());
        let same = |choice: &&Choice| {
            choice.pair.as_ref().is_some_and(|pair| {
                names == Some(pair.names()) && can_use(hello, &*pair.certified.key)
            })
        };
        self.pairs.iter().find(same).unwrap_or(first)
    }
}

/// Whether a client can check signatures of a key. With TLS 1.2 the suite has a say too.
fn can_use(hello: &ClientHello<'_>, key: &dyn SigningKey) -> bool {
    let has_suite = hello
        .cipher_suites()
        .iter()
        .any(|number| fits(*number, key));
    has_suite && key.choose_scheme(hello.signature_schemes()).is_some()
}

fn fits(number: CipherSuite, key: &dyn SigningKey) -> bool {
    let known = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;
    known
        .iter()
        .find(|suite| suite.suite() == number)
        .is_some_and(|suite| match suite {
            SupportedCipherSuite::Tls13(_) => true,
            SupportedCipherSuite::Tls12(suite) => key.choose_scheme(suite.sign).is_some(),
        })
}

fn server_config(
    config: &TlsConfig,
    resolver: Arc<dyn ResolvesServerCert>,
    common: &Common,
) -> Result<Arc<ServerConfig>, TlsError> {
    let versions: &[&SupportedProtocolVersion] = match config.minimum {
        MinimumVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        MinimumVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let spoken: Vec<_> = versions
        .iter()
        .copied()
        .filter(|version| {
            let mut suites = common.provider.cipher_suites.iter();
            suites.any(|suite| suite.version().version == version.version)
        })
        .collect();
    if spoken.is_empty() {
        return Err(Trouble::NoSuite.into());
    }
    let mut made = ServerConfig::builder_with_provider(Arc::clone(&common.provider))
        .with_protocol_versions(&spoken)
        .map_err(|err| Trouble::Refused(words(&err)))?
        .with_client_cert_verifier(Arc::clone(&common.verifier))
        .with_cert_resolver(resolver);
    made.alpn_protocols.clone_from(&config.protocols);
    made.ignore_client_order = true;
    // A request that somebody has recorded could be sent once more (RFC 8446, section 8).
    made.max_early_data_size = 0;
    // Sessions live in tickets: nothing is kept for a client that may never come back.
    made.session_storage = Arc::new(NoServerSessionStorage {});
    made.ticketer = Arc::clone(&common.tickets);
    Ok(Arc::new(made))
}
