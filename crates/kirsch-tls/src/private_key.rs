//! Private keys from PEM: PKCS#1, PKCS#8, SEC1, and PKCS#8 encrypted with PBES2.
//!
//! It does not know whom a key belongs to: `pair.rs` does.

use std::path::Path;

use pkcs8::EncryptedPrivateKeyInfo;
use pkcs8::pkcs5::Error as Failed;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::config::Password;
use crate::error::{TlsError, Trouble, bad_pem};
use crate::file::{Files, is_der};

const ENCRYPTED_BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const ENCRYPTED_END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

/// The first private key of a file.
///
/// # Errors
///
/// If there is none, it cannot be read, or it is encrypted and the password is missing, wrong or for a way of
/// encrypting that is not known.
pub fn read(
    path: &Path,
    content: &[u8],
    password: Option<&Password>,
    files: &mut Files,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    let failed = |trouble| TlsError::at(path, trouble);
    // Keys are text; what is not stands outside their blocks.
    let text = String::from_utf8_lossy(content);
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(failed(Trouble::LegacyEncryption));
    }
    if let Some(block) = encrypted_block(&text) {
        let Some(password) = password else {
            return Err(failed(Trouble::PasswordWanted));
        };
        let password = value(password, files)?;
        return decrypted(block, &password).map_err(failed);
    }
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(content) {
        let (kind, der) = section.map_err(|err| failed(bad_pem(&err)))?;
        if let Some(key) = PrivateKeyDer::from_pem(kind, der) {
            return Ok(key);
        }
    }
    Err(failed(match is_der(content) {
        true => Trouble::KeyIsDer,
        false => Trouble::NoKey,
    }))
}

/// Whether a file holds a private key, of whatever kind.
pub(crate) fn is_in(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    text.lines().any(|line| {
        line.starts_with("-----BEGIN ") && line.trim_end().ends_with("PRIVATE KEY-----")
    })
}

fn encrypted_block(text: &str) -> Option<&str> {
    let start = text.find(ENCRYPTED_BEGIN)?;
    let end = text[start..]
        .find(ENCRYPTED_END)
        .map_or(text.len(), |end| start + end + ENCRYPTED_END.len());
    Some(&text[start..end])
}

/// The password itself. Passwords in files end with a newline that nobody means.
fn value(password: &Password, files: &mut Files) -> Result<Vec<u8>, TlsError> {
    let path = match password {
        Password::Value(value) => return Ok(value.clone().into_bytes()),
        Password::File(path) => path,
    };
    let mut content = files.read(path)?;
    if content.ends_with(b"\n") {
        content.pop();
        if content.ends_with(b"\r") {
            content.pop();
        }
    }
    Ok(content)
}

fn decrypted(block: &str, password: &[u8]) -> Result<PrivateKeyDer<'static>, Trouble> {
    let (_, der) =
        pkcs8::SecretDocument::from_pem(block).map_err(|err| Trouble::BadPem(err.to_string()))?;
    let key = EncryptedPrivateKeyInfo::try_from(der.as_bytes())
        .map_err(|_| Trouble::UnknownEncryption("not PBES2 of PKCS#5".to_owned()))?;
    let plain = key.decrypt(password).map_err(|err| match err {
        // Padding that is not right is called either; nothing is encrypted here.
        pkcs8::Error::EncryptedPrivateKey(Failed::DecryptFailed | Failed::EncryptFailed) => {
            Trouble::WrongPassword
        }
        // The padding of a wrong key may be right by chance, one time in 256; the content is not.
        pkcs8::Error::Asn1(_) => Trouble::WrongPassword,
        err => Trouble::UnknownEncryption(err.to_string()),
    })?;
    Ok(PrivatePkcs8KeyDer::from(plain.as_bytes().to_vec()).into())
}
