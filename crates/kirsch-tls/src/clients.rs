//! Certificates of clients: authorities and revocation lists become rustls' verifier.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::prelude::{CertificateRevocationList, FromDer};
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Version;

use crate::config::{Clients, Trust};
use crate::error::{TlsError, Trouble, Warning, bad_pem};
use crate::file::{Files, is_der};
use crate::pair::certificates;

/// Makes the verifier that asks clients for what is wanted of them.
///
/// # Errors
///
/// If a file cannot be read or holds something else, or a revocation list has expired: with it every client
/// would be refused.
pub fn verifier(
    clients: &Clients,
    provider: &Arc<CryptoProvider>,
    files: &mut Files,
    warnings: &mut Vec<Warning>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(trust) = clients.trust() else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let roots = Arc::new(authorities(&trust.authorities, files)?);
    let lists = revocations(trust, &roots, files, warnings)?;
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
        .with_crls(lists)
        .enforce_revocation_expiration();
    let builder = match clients {
        Clients::Optional(_) => builder.allow_unauthenticated(),
        Clients::Anonymous | Clients::Required(_) => builder,
    };
    builder
        .build()
        .map_err(|err| TlsError::at(&trust.authorities, Trouble::Refused(err.to_string())))
}

fn authorities(path: &Path, files: &mut Files) -> Result<RootCertStore, TlsError> {
    let content = files.read(path)?;
    let found = certificates(path, &content)?;
    if found.is_empty() {
        let trouble = match is_der(&content) {
            true => Trouble::CertificateIsDer,
            false => Trouble::NoCertificate,
        };
        return Err(TlsError::at(path, trouble));
    }
    let mut roots = RootCertStore::empty();
    for (idx, authority) in found.into_iter().enumerate() {
        roots
            .add(authority)
            .map_err(|_| TlsError::at(path, Trouble::BadCertificate(idx + 1)))?;
    }
    Ok(roots)
}

fn revocations(
    trust: &Trust,
    roots: &RootCertStore,
    files: &mut Files,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let mut all = Vec::new();
    for path in &trust.revocations {
        let lists = lists(path, files.read(path)?)?;
        for (idx, list) in lists.iter().enumerate() {
            let is_ours =
                check(list, idx + 1, roots).map_err(|trouble| TlsError::at(path, trouble))?;
            if !is_ours {
                warnings.push(Warning::ForeignRevocations(path.clone()));
            }
        }
        all.extend(lists);
    }
    Ok(all)
}

/// Authorities publish their lists as DER, and everything else here is PEM: both are taken.
fn lists(
    path: &Path,
    content: Vec<u8>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    if is_der(&content) {
        return Ok(vec![CertificateRevocationListDer::from(content)]);
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&content).collect();
    let lists = lists.map_err(|err| TlsError::at(path, bad_pem(&err)))?;
    match lists.is_empty() {
        true => Err(TlsError::at(path, Trouble::NoRevocations)),
        false => Ok(lists),
    }
}

/// Whether a list is of one of the authorities.
fn check(
    list: &CertificateRevocationListDer<'_>,
    place: usize,
    roots: &RootCertStore,
) -> Result<bool, Trouble> {
    let bad = |why: &str| Trouble::BadRevocations(place, why.to_owned());
    let Ok(([], parsed)) = CertificateRevocationList::from_der(list) else {
        return Err(bad("it cannot be read"));
    };
    // What `openssl ca -gencrl` makes by itself.
    if parsed.version() != Some(X509Version::V2) {
        return Err(bad(
            "it is of version 1; have it made with extensions (crl_extensions and crlnumber of openssl ca)",
        ));
    }
    let Some(next) = parsed.next_update() else {
        return Err(bad("it does not say when the next one comes"));
    };
    if next < ASN1Time::now() {
        return Err(Trouble::RevocationsExpired(next));
    }
    let issuer = parsed.issuer().as_raw();
    Ok(roots
        .subjects()
        .iter()
        .any(|subject| subject.as_ref() == issuer))
}
