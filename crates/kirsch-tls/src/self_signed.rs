//! A certificate of our own making, for development.
//!
//! It is made anew at each start and never written down, so that nobody is tempted to keep it.
//! Made by rcgen: the encoding of a certificate is nothing to have a second opinion on, and beside what TLS and
//! reading certificates bring along anyway it weighs two small crates, `pem` and `yasna`.

use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use crate::error::{TlsError, Trouble};
use crate::pair::{Pair, words};

/// Machines whose clock is slow shall trust it too.
const SINCE: Duration = Duration::from_secs(24 * 60 * 60);
/// Longer than any server of a developer runs.
const UNTIL: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Makes a certificate for this machine, by its usual names, and for further names or addresses.
///
/// # Errors
///
/// If a name is none.
pub fn pair(further: &[String]) -> Result<Pair, TlsError> {
    let mut names = ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    for name in further {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let (certificate, key) = make(names).map_err(|err| Trouble::Refused(err.to_string()))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let certified = CertifiedKey::from_der(vec![certificate], key.into(), &provider)
        .map_err(|err| Trouble::Refused(words(&err)))?;
    Ok(Pair::new(certified)?)
}

fn make(
    names: Vec<String>,
) -> Result<(CertificateDer<'static>, PrivatePkcs8KeyDer<'static>), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names)?;
    params.not_before = (SystemTime::now() - SINCE).into();
    params.not_after = (SystemTime::now() + UNTIL).into();
    params
        .distinguished_name
        .push(DnType::CommonName, "Kirsch for development");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;
    Ok((
        certificate.der().clone(),
        PrivatePkcs8KeyDer::from(key.serialize_der()),
    ))
}
