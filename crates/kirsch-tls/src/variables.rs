//! What an application is told of a connection: the `SSL_*` variables of mod_ssl, which cheroot has too.
//!
//! Computed once for a connection. Text as in `distinguished_name.rs`: UTF-8 without control characters; only PEM
//! has newlines.
//!
//! Where cheroot and mod_ssl differ, mod_ssl is followed: `V_REMAIN` is the days that are left, not the whole life.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{HandshakeKind, ProtocolVersion, ServerConnection};
use x509_parser::prelude::{GeneralName, X509Certificate, X509Name};
use x509_parser::time::ASN1Time;

use crate::certificate::{alternative_names, openssl_time, parse, pem, serial};
use crate::distinguished_name::{parts, whole, without_controls};
use crate::pair::Pair;
use crate::suites;

/// So many values of one kind: no certificate of people has as many, and one made for it could have thousands.
const MOST_OF_A_KIND: usize = 32;

/// Names and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    list: Vec<(Cow<'static, str>, String)>,
    /// Those of the server's certificate, which are the same for all its connections.
    of_server: Option<Arc<Variables>>,
}

impl Variables {
    /// In the order in which they were found, those of the server's certificate last.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let shared = self.of_server.iter().flat_map(|it| it.list.iter());
        let all = self.list.iter().chain(shared);
        all.map(|(name, value)| (&**name, &**value))
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    fn add(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        self.list.push((name.into(), value.into()));
    }
}

/// The variables of a connection whose handshake is done, with the pair that it was made with.
pub fn of(connection: &ServerConnection, pair: &Pair) -> Variables {
    let mut variables = Variables::default();
    variables.add("HTTPS", "on");
    variables.add(
        "SSL_VERSION_INTERFACE",
        concat!("kirsch/", env!("CARGO_PKG_VERSION")),
    );
    variables.add("SSL_VERSION_LIBRARY", "rustls");
    if let Some(version) = connection.protocol_version() {
        variables.add("SSL_PROTOCOL", protocol(version));
    }
    let number = connection
        .negotiated_cipher_suite()
        .map(|suite| suite.suite());
    if let Some(suite) = number.and_then(suites::by_number) {
        variables.add("SSL_CIPHER", suite.openssl);
        variables.add("SSL_CIPHER_EXPORT", "false");
        variables.add("SSL_CIPHER_USEKEYSIZE", suite.key_bits.to_string());
        variables.add("SSL_CIPHER_ALGKEYSIZE", suite.key_bits.to_string());
    }
    variables.add("SSL_COMPRESS_METHOD", "NULL");
    let resumed = match connection.handshake_kind() {
        Some(HandshakeKind::Resumed) => "Resumed",
        Some(_) | None => "Initial",
    };
    variables.add("SSL_SESSION_RESUMED", resumed);
    if let Some(name) = connection.server_name() {
        variables.add("SSL_TLS_SNI", without_controls(name));
    }
    // Not among those of the pair, which are the same for months.
    variables.add("SSL_SERVER_V_REMAIN", days_until(pair.expires_at()));
    variables.of_server = Some(Arc::clone(pair.variables()));
    of_client(
        connection.peer_certificates().unwrap_or_default(),
        &mut variables,
    );
    variables
}

/// The variables of the server's certificate.
pub(crate) fn of_server(der: &CertificateDer<'_>, certificate: &X509Certificate<'_>) -> Variables {
    let mut variables = Variables::default();
    describe("SSL_SERVER", der, certificate, &mut variables);
    variables
}

/// The variables of what a client has brought, which rustls has found to be trusted.
fn of_client(chain: &[CertificateDer<'_>], variables: &mut Variables) {
    let Some((leaf, issuers)) = chain.split_first() else {
        return variables.add("SSL_CLIENT_VERIFY", "NONE");
    };
    let Some(certificate) = parse(leaf) else {
        // Two readers of certificates do not agree on this one: the application must not take it for trusted.
        return variables.add("SSL_CLIENT_VERIFY", "FAILED:the certificate cannot be read");
    };
    let remain = certificate.validity().not_after.timestamp() - ASN1Time::now().timestamp();
    let verdict = match remain < 0 {
        // `session.rs` lets no such client in; who does without it must not be misled.
        true => "FAILED:certificate has expired",
        false => "SUCCESS",
    };
    variables.add("SSL_CLIENT_VERIFY", verdict);
    variables.add(
        "SSL_CLIENT_V_REMAIN",
        days_until(certificate.validity().not_after.timestamp()),
    );
    describe("SSL_CLIENT", leaf, &certificate, variables);
    for (idx, issuer) in issuers.iter().take(MOST_OF_A_KIND).enumerate() {
        variables.add(format!("SSL_CLIENT_CERT_CHAIN_{idx}"), pem(issuer));
    }
}

/// Whole days until a time in seconds since 1970; none once it is over.
fn days_until(end: i64) -> String {
    let remain = end - ASN1Time::now().timestamp();
    (remain.max(0) / (24 * 60 * 60)).to_string()
}

fn describe(
    prefix: &str,
    der: &CertificateDer<'_>,
    certificate: &X509Certificate<'_>,
    variables: &mut Variables,
) {
    let mut add = |name: &str, value: String| variables.add(format!("{prefix}_{name}"), value);
    // In the certificate a version is counted from 0.
    add(
        "M_VERSION",
        u64::from(certificate.version().0)
            .saturating_add(1)
            .to_string(),
    );
    add("M_SERIAL", serial(certificate));
    add("V_START", openssl_time(certificate.validity().not_before));
    add("V_END", openssl_time(certificate.validity().not_after));
    add("S_DN", whole(certificate.subject()));
    add("I_DN", whole(certificate.issuer()));
    add(
        "A_KEY",
        algorithm(&certificate.public_key().algorithm.algorithm.to_id_string()),
    );
    add(
        "A_SIG",
        algorithm(&certificate.signature_algorithm.algorithm.to_id_string()),
    );
    add("CERT", pem(der));
    name_parts(&format!("{prefix}_S_DN"), certificate.subject(), variables);
    name_parts(&format!("{prefix}_I_DN"), certificate.issuer(), variables);
    let hosts = alternative_names(certificate, |name| match name {
        GeneralName::DNSName(host) => Some(without_controls(host)),
        _ => None,
    });
    let mails = alternative_names(certificate, |name| match name {
        GeneralName::RFC822Name(mail) => Some(without_controls(mail)),
        _ => None,
    });
    for (kind, values) in [("DNS", hosts), ("Email", mails)] {
        for (idx, value) in values.into_iter().take(MOST_OF_A_KIND).enumerate() {
            variables.add(format!("{prefix}_SAN_{kind}_{idx}"), value);
        }
    }
}

/// `S_DN_CN` for the first of a kind; where there are several, all of them as `S_DN_CN_0` and so on.
fn name_parts(prefix: &str, name: &X509Name<'_>, variables: &mut Variables) {
    let mut kinds: Vec<(&str, Vec<String>)> = Vec::new();
    for (kind, value) in parts(name) {
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, values)) => values.push(value),
            None => kinds.push((kind, vec![value])),
        }
    }
    for (kind, values) in kinds {
        let is_alone = values.len() == 1;
        for (idx, value) in values.into_iter().take(MOST_OF_A_KIND).enumerate() {
            let mut name = format!("{prefix}_{kind}");
            if idx == 0 {
                variables.add(name.clone(), value.clone());
            }
            if !is_alone {
                // Writing to a string does not fail.
                let _ = write!(name, "_{idx}");
                variables.add(name, value);
            }
        }
    }
}

/// As OpenSSL spells it, and with it mod_ssl and cheroot.
fn protocol(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        // rustls speaks no other.
        _ => "unknown",
    }
}

/// OpenSSL's name of an algorithm that certificates of today are made with; else its OID.
fn algorithm(oid: &str) -> String {
    let name = match oid {
        "1.2.840.113549.1.1.1" => "rsaEncryption",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "rsassaPss",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.2.840.10045.2.1" => "id-ecPublicKey",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.3.101.112" => "ED25519",
        oid => oid,
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn who_resumes_with_an_expired_certificate_is_not_verified() {
        let mut params = rcgen::CertificateParams::default();
        params.not_after = (SystemTime::now() - Duration::from_secs(60)).into();
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        let mut variables = Variables::default();
        of_client(&[certificate.der().clone()], &mut variables);
        assert_eq!(
            variables.value("SSL_CLIENT_VERIFY"),
            Some("FAILED:certificate has expired")
        );
        assert_eq!(variables.value("SSL_CLIENT_V_REMAIN"), Some("0"));
    }

    #[test]
    fn what_cannot_be_read_is_not_verified() {
        let mut variables = Variables::default();
        of_client(&[CertificateDer::from(vec![1, 2, 3])], &mut variables);
        let list: Vec<_> = variables.iter().collect();
        let expected = ("SSL_CLIENT_VERIFY", "FAILED:the certificate cannot be read");
        assert_eq!(list, [expected]);
    }
}
