//! The suites of TLS 1.3 with a key schedule (RFC 8446, section 7.1) that takes half as long.
//!
//! A handshake derives some twenty keys by HKDF, several from each secret. The suites that rustls makes of aws-lc-rs
//! use that library's HKDF, which keeps what a secret is extracted from and extracts it anew for every key. Here the
//! suites are the same but for that: rustls' own HKDF over the library's HMAC, which is keyed once for each secret.
//! That is a tenth of what a handshake costs.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use rustls::crypto::CipherSuiteCommon;
use rustls::crypto::hmac::{Hmac, Key, Tag};
use rustls::crypto::tls13::{Hkdf, HkdfUsingHmac};
use rustls::{SupportedCipherSuite, Tls13CipherSuite};

static HKDF_SHA256: HkdfUsingHmac<'static> = HkdfUsingHmac(&Mac(hmac::HMAC_SHA256));
static HKDF_SHA384: HkdfUsingHmac<'static> = HkdfUsingHmac(&Mac(hmac::HMAC_SHA384));

static SUITES: LazyLock<Vec<Tls13CipherSuite>> = LazyLock::new(|| {
    let all = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES.iter();
    all.filter_map(remade).collect()
});

/// The same suite, with the quicker schedule where it is one of TLS 1.3.
pub(crate) fn quicker(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    match SUITES
        .iter()
        .find(|made| made.common.suite == suite.suite())
    {
        Some(made) => SupportedCipherSuite::Tls13(made),
        None => suite,
    }
}

fn remade(suite: &SupportedCipherSuite) -> Option<Tls13CipherSuite> {
    let suite = suite.tls13()?;
    let hkdf: &'static dyn Hkdf = match suite.common.hash_provider.output_len() {
        32 => &HKDF_SHA256,
        48 => &HKDF_SHA384,
        // There is no other hash in TLS 1.3.
        _ => return None,
    };
    Some(Tls13CipherSuite {
        common: CipherSuiteCommon {
            suite: suite.common.suite,
            hash_provider: suite.common.hash_provider,
            confidentiality_limit: suite.common.confidentiality_limit,
        },
        hkdf_provider: hkdf,
        aead_alg: suite.aead_alg,
        quic: None,
    })
}

/// HMAC of aws-lc-rs, as rustls wants it.
struct Mac(hmac::Algorithm);

impl Hmac for Mac {
    fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
        Box::new(Keyed(hmac::Key::new(self.0, key)))
    }

    fn hash_output_len(&self) -> usize {
        self.0.digest_algorithm().output_len
    }
}

struct Keyed(hmac::Key);

impl Key for Keyed {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(first);
        for part in middle {
            context.update(part);
        }
        context.update(last);
        Tag::new(context.sign().as_ref())
    }

    fn tag_len(&self) -> usize {
        self.0.algorithm().digest_algorithm().output_len
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;

    use super::*;

    /// Each suite of TLS 1.3 as rustls has it, and as it is here.
    fn pairs() -> impl Iterator<Item = (&'static Tls13CipherSuite, &'static Tls13CipherSuite)> {
        ALL_CIPHER_SUITES
            .iter()
            .filter_map(|suite| Some((suite.tls13()?, quicker(*suite).tls13()?)))
    }

    #[test]
    fn every_suite_of_tls_1_3_is_remade_and_no_other() {
        assert_eq!(pairs().count(), 3);
        for (theirs, ours) in pairs() {
            assert_eq!(ours.common.suite, theirs.common.suite);
            assert!(!std::ptr::eq(ours, theirs));
        }
        for suite in ALL_CIPHER_SUITES.iter().filter(|it| it.tls13().is_none()) {
            assert_eq!(quicker(*suite), *suite);
        }
    }

    proptest! {
        #[test]
        fn the_keys_are_the_same(
            salt in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..100)),
            secret in proptest::collection::vec(any::<u8>(), 1..100),
            info in proptest::collection::vec(any::<u8>(), 0..300),
            count in 1_usize..200,
        ) {
            for (theirs, ours) in pairs() {
                let (theirs, ours) = (theirs.hkdf_provider, ours.hkdf_provider);
                let salt = salt.as_deref();
                let (info, cut) = (&info[..], info.len() / 2);
                let parts = [&info[..cut], &info[cut..]];
                let okm = [theirs, ours].map(|hkdf| hkdf.extract_from_secret(salt, &secret).expand_block(&parts));
                prop_assert_eq!(okm[0].as_ref(), okm[1].as_ref());
                let keys = [theirs, ours].map(|hkdf| {
                    let mut keys = vec![0; 3 * count];
                    let (first, rest) = keys.split_at_mut(count);
                    let (second, third) = rest.split_at_mut(count);
                    hkdf.extract_from_secret(salt, &secret).expand_slice(&parts, first).expect("not too long");
                    hkdf.extract_from_zero_ikm(salt).expand_slice(&parts, second).expect("not too long");
                    hkdf.expander_for_okm(&okm[0]).expand_slice(&parts, third).expect("not too long");
                    keys
                });
                prop_assert_eq!(&keys[0], &keys[1]);
                let tags = [theirs, ours].map(|hkdf| hkdf.hmac_sign(&okm[0], info));
                prop_assert_eq!(tags[0].as_ref(), tags[1].as_ref());
            }
        }
    }

    #[test]
    fn as_rfc_5869_says() {
        // Appendix A.1.
        let secret = [0x0b; 22];
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let mut key = [0; 42];
        HKDF_SHA256
            .extract_from_secret(Some(&salt), &secret)
            .expand_slice(&[&info], &mut key)
            .expect("not too long");
        assert_eq!(key[..8], [0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a]);
        assert_eq!(
            key[34..],
            [0x72, 0x08, 0xd5, 0xb8, 0x87, 0x18, 0x58, 0x65][..]
        );
    }
}
