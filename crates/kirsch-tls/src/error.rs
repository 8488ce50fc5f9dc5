//! What is wrong with a certificate, a key or another file of TLS, and what to do about it.
//!
//! An error is always the operator's to mend, and keeps a server from starting, or a reload from happening.
//! A [`Warning`] does neither.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem;
use x509_parser::time::ASN1Time;

use crate::certificate::date;

/// A file that TLS cannot be served with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    /// Which file; `None` where the trouble is in no file.
    pub path: Option<PathBuf>,
    /// What is wrong with it.
    pub trouble: Trouble,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such file.
    Missing,
    /// It is a folder.
    Folder,
    /// This user may not read it.
    Forbidden,
    /// It cannot be read, in the system's words.
    Unreadable(String),
    /// It is larger than any certificate, key or list: the limit in bytes.
    TooLarge(u64),
    /// A line or a block of it is no PEM, for this reason.
    BadPem(String),
    /// There is no certificate in it.
    NoCertificate,
    /// A certificate where PEM should be, or something else of binary form.
    CertificateIsDer,
    /// A certificate, counted from 1, cannot be read.
    BadCertificate(usize),
    /// There is no private key in it.
    NoKey,
    /// There is none in the certificate's file, and no other was named.
    NoKeyBeside,
    /// A key where PEM should be, or something else of binary form.
    KeyIsDer,
    /// A file for a key has a certificate and the other way round; here is the other file.
    Swapped(PathBuf),
    /// The private key cannot be read or is of a kind that is not known, for this reason.
    BadKey(String),
    /// The key is encrypted, and there is no password.
    PasswordWanted,
    /// The password opens no key.
    WrongPassword,
    /// The key is encrypted in the old form of OpenSSL (`Proc-Type: 4,ENCRYPTED`).
    LegacyEncryption,
    /// The key is encrypted in a way that is not known here.
    UnknownEncryption(String),
    /// The key belongs to another certificate, that of this file.
    Mismatch(PathBuf),
    /// The key belongs to a later certificate of this file, counted from 1.
    LeafNotFirst(PathBuf, usize),
    /// The certificate was valid until then.
    Expired(ASN1Time),
    /// The certificate is valid from then on.
    NotYetValid(ASN1Time),
    /// There is no revocation list in it.
    NoRevocations,
    /// A revocation list, counted from 1, cannot be read or used, for this reason.
    BadRevocations(usize, String),
    /// The revocation list should have been replaced by then.
    RevocationsExpired(ASN1Time),
    /// No pair of certificate and key was named.
    NoPair,
    /// These suites cannot be used together with the lowest version.
    NoSuite,
    /// rustls refused, in its words.
    Refused(String),
}

/// Something that a server can live with, and its operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Everybody on the machine may read the key, or change it: its mode.
    KeyOpen(PathBuf, u32),
    /// The certificate, counted from 1, did not sign the one before it.
    ChainOrder(PathBuf, usize),
    /// A certificate of the chain behind the first is not valid now.
    ChainExpired(PathBuf, usize),
    /// The certificate has no name that a client could ask for.
    Nameless(PathBuf),
    /// The list comes from none of the authorities, so that it probably revokes nothing.
    ForeignRevocations(PathBuf),
}

impl TlsError {
    /// An error in a file.
    pub(crate) fn at(path: &Path, trouble: Trouble) -> TlsError {
        TlsError {
            path: Some(path.to_owned()),
            trouble,
        }
    }

    /// A file that cannot be read.
    pub(crate) fn unreadable(path: &Path, source: &io::Error) -> TlsError {
        let trouble = match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Trouble::Missing,
            io::ErrorKind::IsADirectory => Trouble::Folder,
            io::ErrorKind::PermissionDenied => Trouble::Forbidden,
            _ => Trouble::Unreadable(source.to_string()),
        };
        TlsError::at(path, trouble)
    }
}

/// What is wrong with PEM, in words: what it prints itself has bytes as numbers.
pub(crate) fn bad_pem(error: &pem::Error) -> Trouble {
    Trouble::BadPem(match error {
        pem::Error::MissingSectionEnd { end_marker } => format!(
            "the line -----END {}----- is missing",
            String::from_utf8_lossy(end_marker)
        ),
        pem::Error::IllegalSectionStart { line } => {
            format!("{:?} begins no block", String::from_utf8_lossy(line))
        }
        error => error.to_string(),
    })
}

impl From<Trouble> for TlsError {
    fn from(trouble: Trouble) -> TlsError {
        TlsError {
            path: None,
            trouble,
        }
    }
}

impl std::error::Error for TlsError {}

/// One line: the file, what is wrong, what to do.
impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, &self.trouble) {
            // The line that converts it needs the path.
            (Some(path), Trouble::LegacyEncryption) => write!(
                f,
                "{0}: the key is encrypted in the old form (Proc-Type: 4,ENCRYPTED), which is easily guessed; \
                 convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in {0} -out {0}.new",
                path.display()
            ),
            (Some(path), Trouble::CertificateIsDer) => write!(
                f,
                "{0}: it is DER, and PEM is wanted; convert it: openssl x509 -inform DER -in {0} -out {0}.pem",
                path.display()
            ),
            (Some(path), Trouble::KeyIsDer) => write!(
                f,
                "{0}: it is DER, and PEM is wanted; convert it: openssl pkey -inform DER -in {0} -out {0}.pem",
                path.display()
            ),
            (Some(path), Trouble::UnknownEncryption(how)) => write!(
                f,
                "{0}: the key is encrypted in a way that is not known here ({how}); \
                 convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in {0} -out {0}.new",
                path.display()
            ),
            (Some(path), trouble) => write!(f, "{}: {trouble}", path.display()),
            (None, trouble) => trouble.fmt(f),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Missing => f.write_str("there is no such file; check the path"),
            Trouble::Folder => f.write_str("it is a folder; write the path of a file in it"),
            Trouble::Forbidden => f.write_str(
                "the user of the server may not read it; give the right to it, and to the folders above",
            ),
            Trouble::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            Trouble::TooLarge(limit) => write!(
                f,
                "it has more than {} MiB; check that it is a file of certificates or keys",
                limit >> 20
            ),
            Trouble::BadPem(why) => write!(
                f,
                "it is not whole PEM: {why}; copy the file again, with all BEGIN and END lines"
            ),
            Trouble::NoCertificate => f.write_str(
                "there is no certificate in it; it must hold a block that begins with \
                 -----BEGIN CERTIFICATE-----",
            ),
            Trouble::BadCertificate(place) => write!(
                f,
                "certificate {place} in it cannot be read; copy the file again"
            ),
            Trouble::NoKey => f.write_str(
                "there is no private key in it; it must hold a block that begins with \
                 -----BEGIN PRIVATE KEY----- or the like",
            ),
            Trouble::NoKeyBeside => f.write_str(
                "there is no private key in it; name the file of its key too",
            ),
            Trouble::CertificateIsDer => f.write_str("it is DER, and PEM is wanted; convert it with openssl x509"),
            Trouble::KeyIsDer => f.write_str("it is DER, and PEM is wanted; convert it with openssl pkey"),
            Trouble::Swapped(other) => write!(
                f,
                "it holds a private key, and {} the certificate; exchange the two",
                other.display()
            ),
            Trouble::BadKey(why) => write!(
                f,
                "the private key cannot be used: {why}; use a key of RSA with 2048 to 8192 bits, ECDSA or Ed25519"
            ),
            Trouble::PasswordWanted => {
                f.write_str("the key is encrypted; name the file that holds its password")
            }
            Trouble::WrongPassword => f.write_str("the password does not open the key; check it"),
            Trouble::LegacyEncryption | Trouble::UnknownEncryption(_) => f.write_str(
                "the key is encrypted in a way that is not known here; convert it with \
                 openssl pkcs8 -topk8 -v2 aes-256-cbc",
            ),
            Trouble::Mismatch(certificate) => write!(
                f,
                "the key belongs to another certificate than that in {}; name the two that were made together",
                certificate.display()
            ),
            Trouble::LeafNotFirst(certificate, place) => write!(
                f,
                "the key belongs to certificate {place} in {}; put that one first",
                certificate.display()
            ),
            Trouble::Expired(at) => write!(
                f,
                "the certificate has expired on {}; renew it, or check the clock of this machine",
                date(*at)
            ),
            Trouble::NotYetValid(at) => write!(
                f,
                "the certificate is valid from {} on; wait for it, or check the clock of this machine",
                date(*at)
            ),
            Trouble::NoRevocations => f.write_str(
                "there is no revocation list in it; it must hold a block that begins with \
                 -----BEGIN X509 CRL-----",
            ),
            Trouble::BadRevocations(place, why) => write!(
                f,
                "revocation list {place} in it cannot be used: {why}; fetch it again"
            ),
            Trouble::RevocationsExpired(at) => write!(
                f,
                "the revocation list has expired on {}; fetch the next one",
                date(*at)
            ),
            Trouble::NoPair => f.write_str("no certificate was named; name one and its key"),
            Trouble::NoSuite => f.write_str(
                "none of the cipher suites belongs to a version that is allowed; \
                 add one such as TLS_AES_128_GCM_SHA256, or allow TLS 1.2",
            ),
            Trouble::Refused(why) => write!(f, "TLS cannot be set up: {why}"),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::KeyOpen(path, mode) => write!(
                f,
                "{0}: the private key is open to everybody on this machine (mode {mode:03o}); chmod 600 {0}",
                path.display()
            ),
            Warning::ChainOrder(path, place) => write!(
                f,
                "{}: certificate {place} did not sign the one before it, so that clients may not find the way to \
                 their root; put the server's first, then each one's issuer",
                path.display()
            ),
            Warning::ChainExpired(path, place) => write!(
                f,
                "{}: certificate {place} of the chain is not valid now; fetch the present one from the authority",
                path.display()
            ),
            Warning::Nameless(path) => write!(
                f,
                "{}: the certificate names no host (subjectAltName), so that clients will not trust it; \
                 have it made again with the names",
                path.display()
            ),
            Warning::ForeignRevocations(path) => write!(
                f,
                "{}: the revocation list comes from none of the authorities; it counts only for clients that bring \
                 the certificate of its maker; name the list of the authority that signs the clients' certificates",
                path.display()
            ),
        }
    }
}
