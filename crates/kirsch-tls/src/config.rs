//! What the operator wants of TLS, as used: parsed, and not looked at yet.
//!
//! Read next: `served.rs`, which makes it true.

use std::fmt;
use std::path::PathBuf;

use rustls::SupportedCipherSuite;

/// All that a server with TLS needs to be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsConfig {
    /// Certificates with their keys; the first is the default one. Empty only with [`self_signed`](Self::self_signed).
    pub pairs: Vec<PairFiles>,
    /// Makes a certificate when the server starts, for this machine and these further names; for development.
    /// `None` by default. Comes behind the pairs, if there are any.
    pub self_signed: Option<Vec<String>>,
    /// The lowest version that is spoken.
    pub minimum: MinimumVersion,
    /// The suites that may be used, the best first, which the server decides. Empty, the default, for all of
    /// rustls: AES-GCM and ChaCha20-Poly1305 with forward secrecy, of which none is known to be weak.
    pub suites: Vec<SupportedCipherSuite>,
    /// What is spoken inside, the best first (RFC 7301). A client that asks for others only is refused; empty asks
    /// nothing.
    pub protocols: Vec<Vec<u8>>,
    /// What a client gets that asks for a name of no certificate.
    pub unknown_name: UnknownName,
    /// Whether clients bring a certificate.
    pub clients: Clients,
}

/// The lowest version of TLS that is spoken. There is nothing below 1.2 (RFC 8996).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinimumVersion {
    /// TLS 1.2 (RFC 5246), the default: some clients that are in use still know nothing newer.
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// PEM: the server's certificate, then its issuer's, and so on; the root may be left out.
    pub certificate: PathBuf,
    /// PEM: the private key. May be the same file.
    pub key: PathBuf,
    /// What the key is encrypted with; needed only if it is.
    pub password: Option<Password>,
    /// PEM: where issuers are looked for if `certificate` holds none, in any order and beside others. `None` by
    /// default; programs written for OpenSSL keep them apart.
    pub issuers: Option<PathBuf>,
}

/// The password of a private key.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// In a file, of which a newline at the end is no part.
    File(PathBuf),
    /// As it is.
    Value(String),
}

/// What a client gets that asks for a name of no certificate, or for none (RFC 6066, section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownName {
    /// The first pair, the default: clients that use an address or an old name see whom they have reached.
    #[default]
    FirstPair,
    /// An alert, and the end of the connection.
    Refuse,
}

/// Whether clients bring a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Clients {
    /// They are not asked, the default.
    #[default]
    Anonymous,
    /// They are asked. Who brings one that is not trusted is refused; who brings none is served.
    Optional(Trust),
    /// Who brings none is refused too.
    Required(Trust),
}

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// PEM: the authorities that sign certificates of clients.
    pub authorities: PathBuf,
    /// PEM or DER: lists of what they have revoked. If there is one, each authority of a client's chain needs
    /// one, and all must be up to date.
    pub revocations: Vec<PathBuf>,
}

impl Clients {
    /// Whose certificates are believed, if any are asked for.
    pub fn trust(&self) -> Option<&Trust> {
        match self {
            Clients::Anonymous => None,
            Clients::Optional(trust) | Clients::Required(trust) => Some(trust),
        }
    }
}

/// Never shows the password.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Password::File(path) => f.debug_tuple("File").field(path).finish(),
            Password::Value(_) => f.write_str("Value(…)"),
        }
    }
}
