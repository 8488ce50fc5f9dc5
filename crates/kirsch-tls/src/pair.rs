//! A certificate with its key, checked: what a server shows and proves.

use std::path::Path;
use std::sync::Arc;

use rustls::Error;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use x509_parser::time::ASN1Time;

use crate::certificate::{fingerprint, host_names, parse};
use crate::config::PairFiles;
use crate::error::{TlsError, Trouble, Warning, bad_pem};
use crate::file::{Files, is_der, open_to_all};
use crate::private_key;
use crate::variables::{Variables, of_server};

/// A certificate chain with its key.
#[derive(Debug)]
pub struct Pair {
    /// For rustls.
    pub(crate) certified: Arc<CertifiedKey>,
    names: Vec<String>,
    not_after: ASN1Time,
    fingerprint: String,
    variables: Arc<Variables>,
}

impl Pair {
    /// Reads a pair and checks it.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, holds something else, or the two do not belong together; if the certificate is
    /// not valid now.
    pub fn load(
        from: &PairFiles,
        files: &mut Files,
        warnings: &mut Vec<Warning>,
    ) -> Result<Pair, TlsError> {
        let content = files.read(&from.certificate)?;
        let chain = certificates(&from.certificate, &content)?;
        let key_content = match from.key == from.certificate {
            true => content.clone(),
            false => files.read(&from.key)?,
        };
        if chain.is_empty() {
            let swapped = private_key::is_in(&content)
                && certificates(&from.key, &key_content).is_ok_and(|chain| !chain.is_empty());
            let trouble = match swapped {
                true => Trouble::Swapped(from.key.clone()),
                false if is_der(&content) => Trouble::CertificateIsDer,
                false => Trouble::NoCertificate,
            };
            return Err(TlsError::at(&from.certificate, trouble));
        }
        let key = private_key::read(&from.key, &key_content, from.password.as_ref(), files);
        let key = key.map_err(|error| match error.trouble {
            Trouble::NoKey if from.key == from.certificate => {
                TlsError::at(&from.key, Trouble::NoKeyBeside)
            }
            _ => error,
        })?;
        let certified = certified(from, chain, key)?;
        let pair =
            Pair::new(certified).map_err(|trouble| TlsError::at(&from.certificate, trouble))?;
        let key_mode = open_to_all(&from.key);
        warnings.extend(key_mode.map(|mode| Warning::KeyOpen(from.key.clone(), mode)));
        pair.doubts(&from.certificate, warnings);
        Ok(pair)
    }

    /// A pair of a key and certificates that belong together.
    pub(crate) fn new(certified: CertifiedKey) -> Result<Pair, Trouble> {
        let leaf = certified.cert.first().ok_or(Trouble::NoCertificate)?;
        let certificate = parse(leaf).ok_or(Trouble::BadCertificate(1))?;
        let (now, validity) = (ASN1Time::now(), certificate.validity());
        if validity.not_after < now {
            return Err(Trouble::Expired(validity.not_after));
        }
        if validity.not_before > now {
            return Err(Trouble::NotYetValid(validity.not_before));
        }
        Ok(Pair {
            names: host_names(&certificate),
            not_after: validity.not_after,
            fingerprint: fingerprint(leaf),
            variables: Arc::new(of_server(leaf, &certificate)),
            certified: Arc::new(certified),
        })
    }

    /// The hosts that it is for, in lower case; some may begin with `*.`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// When it expires, in seconds since 1970.
    pub fn expires_at(&self) -> i64 {
        self.not_after.timestamp()
    }

    /// SHA-256 of the certificate, as browsers show it: `AB:CD:…`.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The `SSL_SERVER_*` variables.
    pub fn variables(&self) -> &Arc<Variables> {
        &self.variables
    }

    /// The certificates as they are sent, the server's first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// What a server can live with.
    fn doubts(&self, path: &Path, warnings: &mut Vec<Warning>) {
        if self.names.is_empty() {
            warnings.push(Warning::Nameless(path.to_owned()));
        }
        let chain: Vec<_> = self.chain().iter().filter_map(parse).collect();
        for (idx, link) in chain.windows(2).enumerate() {
            // Counted from 1, and the second of the two.
            let place = idx + 2;
            if link[0].issuer().as_raw() != link[1].subject().as_raw() {
                warnings.push(Warning::ChainOrder(path.to_owned(), place));
            }
            if !link[1].validity().is_valid() {
                warnings.push(Warning::ChainExpired(path.to_owned(), place));
            }
        }
    }
}

/// All certificates of a file. There may be none, and other things between them.
pub(crate) fn certificates(
    path: &Path,
    content: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(content) {
        let certificate = certificate.map_err(|err| TlsError::at(path, bad_pem(&err)))?;
        chain.push(certificate);
        if parse(&chain[chain.len() - 1]).is_none() {
            return Err(TlsError::at(path, Trouble::BadCertificate(chain.len())));
        }
    }
    Ok(chain)
}

/// Brings both together, which looks whether they belong together.
fn certified(
    from: &PairFiles,
    chain: Vec<CertificateDer<'static>>,
    key: rustls::pki_types::PrivateKeyDer<'static>,
) -> Result<CertifiedKey, TlsError> {
    let failed = |trouble| TlsError::at(&from.key, trouble);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|err| failed(Trouble::BadKey(words(&err))))?;
    let Some(public) = key.public_key() else {
        return Err(failed(Trouble::BadKey(
            "its public part is not known".to_owned(),
        )));
    };
    // Not by rustls, which reads no certificates of version 1: `openssl x509 -req` still makes them.
    let owner = chain.iter().position(|certificate| {
        parse(certificate)
            .is_some_and(|certificate| certificate.public_key().raw == public.as_ref())
    });
    match owner {
        Some(0) => Ok(CertifiedKey::new(chain, key)),
        Some(idx) => Err(failed(Trouble::LeafNotFirst(
            from.certificate.clone(),
            idx + 1,
        ))),
        None => Err(failed(Trouble::Mismatch(from.certificate.clone()))),
    }
}

/// What rustls says, without its own prefix.
pub(crate) fn words(error: &Error) -> String {
    match error {
        Error::General(why) => why.clone(),
        error => error.to_string(),
    }
}
