//! Cipher suites by name: as IANA registers them, and as OpenSSL spells them.

use rustls::crypto::aws_lc_rs::cipher_suite as suite;
use rustls::{CipherSuite, SupportedCipherSuite};

/// A suite that can be used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suite {
    /// For rustls.
    pub suite: SupportedCipherSuite,
    /// As in the registry of IANA.
    pub name: &'static str,
    /// As OpenSSL spells it, and with it mod_ssl and cheroot. The same for TLS 1.3.
    pub openssl: &'static str,
    /// Length of the symmetric key, in bits.
    pub key_bits: u16,
}

/// A name that is none of a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownSuite {
    /// What was written.
    pub name: String,
    /// The name most like it, in the same spelling.
    pub nearest: Option<&'static str>,
}

/// All suites, in the order in which the server prefers them.
pub const SUITES: [Suite; 9] = [
    suite(
        suite::TLS13_AES_256_GCM_SHA384,
        "TLS_AES_256_GCM_SHA384",
        "TLS_AES_256_GCM_SHA384",
        256,
    ),
    suite(
        suite::TLS13_AES_128_GCM_SHA256,
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_128_GCM_SHA256",
        128,
    ),
    suite(
        suite::TLS13_CHACHA20_POLY1305_SHA256,
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_CHACHA20_POLY1305_SHA256",
        256,
    ),
    suite(
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        256,
    ),
    suite(
        suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        128,
    ),
    suite(
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        256,
    ),
    suite(
        suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        256,
    ),
    suite(
        suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        128,
    ),
    suite(
        suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
        256,
    ),
];

const fn suite(
    suite: SupportedCipherSuite,
    name: &'static str,
    openssl: &'static str,
    key_bits: u16,
) -> Suite {
    Suite {
        suite,
        name,
        openssl,
        key_bits,
    }
}

/// The suite of a name in either spelling; case does not matter.
///
/// # Errors
///
/// If there is none, with the name most like it.
pub fn by_name(name: &str) -> Result<Suite, UnknownSuite> {
    SUITES
        .into_iter()
        .find(|suite| {
            [suite.name, suite.openssl]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        })
        .ok_or_else(|| UnknownSuite {
            name: name.to_owned(),
            nearest: nearest(name),
        })
}

/// What there is to say of a suite that was negotiated.
pub fn by_number(number: CipherSuite) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.suite.suite() == number)
}

impl std::error::Error for UnknownSuite {}

impl std::fmt::Display for UnknownSuite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is no cipher suite that is known here; ", self.name)?;
        if self.name.contains([':', ',', ' ']) {
            return f.write_str("give each name by itself, the best first");
        }
        match self.nearest {
            Some(nearest) => write!(f, "write {nearest}"),
            None => write!(f, "write a name such as {}", SUITES[0].name),
        }
    }
}

fn nearest(name: &str) -> Option<&'static str> {
    // Suites are all somewhat alike: 0.7, the bar for settings, would always find one.
    const ALIKE: f64 = 0.8;
    let wanted = name.to_ascii_uppercase().replace('_', "-");
    SUITES
        .iter()
        .flat_map(|suite| [suite.name, suite.openssl])
        .map(|known| (strsim::jaro(&wanted, &known.replace('_', "-")), known))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_of_the_provider_has_its_names() {
        let known: Vec<CipherSuite> = SUITES.iter().map(|suite| suite.suite.suite()).collect();
        let all: Vec<CipherSuite> = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES
            .iter()
            .map(SupportedCipherSuite::suite)
            .collect();
        assert_eq!(known, all);
        for suite in SUITES {
            assert_eq!(by_name(suite.name), Ok(suite));
            assert_eq!(by_name(&suite.openssl.to_lowercase()), Ok(suite));
            let number = format!("{:?}", suite.suite.suite()).replace("TLS13_", "TLS_");
            assert_eq!(number, suite.name);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let nearest = |name: &str| by_name(name).expect_err("no suite").to_string();
        assert_eq!(
            nearest("ECDHE-RSA-AES128-SHA256"),
            "\"ECDHE-RSA-AES128-SHA256\" is no cipher suite that is known here; \
             write ECDHE-RSA-AES128-GCM-SHA256"
        );
        assert_eq!(
            nearest("TLS_AES_128_GCM_SHA265"),
            "\"TLS_AES_128_GCM_SHA265\" is no cipher suite that is known here; \
             write TLS_AES_128_GCM_SHA256"
        );
        assert_eq!(
            nearest("TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"),
            "\"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384\" is no cipher suite that is known here; \
             give each name by itself, the best first"
        );
        assert_eq!(
            nearest("HIGH"),
            "\"HIGH\" is no cipher suite that is known here; write a name such as TLS_AES_256_GCM_SHA384"
        );
    }
}
