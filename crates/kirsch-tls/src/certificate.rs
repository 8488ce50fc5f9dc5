//! What a certificate holds, in words: names, times, serial number, fingerprint.
//!
//! Contents come from strangers. What is made text here has no control characters, whatever was put in.
//! It does not know whether a certificate is to be believed: rustls does.

use rustls::pki_types::CertificateDer;
use rustls::{SupportedCipherSuite, Tls13CipherSuite};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

/// SHA-256, by the provider that TLS uses anyway.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    const SUITE: SupportedCipherSuite =
        rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let SupportedCipherSuite::Tls13(Tls13CipherSuite { common, .. }) = SUITE else {
        unreachable!("the constant above is a suite of TLS 1.3")
    };
    let mut hash = [0; 32];
    hash.copy_from_slice(common.hash_provider.hash(bytes).as_ref());
    hash
}

/// The fingerprint as browsers and `openssl x509 -fingerprint -sha256` show it: `AB:CD:…`.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let pairs: Vec<String> = sha256(certificate)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    pairs.join(":")
}

/// Reads a certificate; `None` if it is none, or bytes follow it.
pub(crate) fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Some(certificate),
        Ok(_) | Err(_) => None,
    }
}

/// The hosts that a certificate is for, in lower case, as written: wildcards too.
///
/// Only those in subjectAltName: a common name is not believed by any client of today (RFC 9525, section 2).
pub(crate) fn host_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    alternative_names(certificate, |name| match name {
        GeneralName::DNSName(host) => Some(host.to_ascii_lowercase()),
        _ => None,
    })
}

/// The names of a kind in subjectAltName. Nothing if it is there twice or broken.
pub(crate) fn alternative_names(
    certificate: &X509Certificate<'_>,
    pick: impl Fn(&GeneralName<'_>) -> Option<String>,
) -> Vec<String> {
    match certificate.subject_alternative_name() {
        Ok(Some(extension)) => extension
            .value
            .general_names
            .iter()
            .filter_map(pick)
            .collect(),
        Ok(None) | Err(_) => Vec::new(),
    }
}

/// The serial number as mod_ssl writes it: hexadecimal, whole bytes, and a sign where it is negative.
pub(crate) fn serial(certificate: &X509Certificate<'_>) -> String {
    let raw = certificate.raw_serial();
    let is_negative = raw.first().is_some_and(|byte| byte & 0x80 != 0);
    let magnitude = if is_negative {
        negated(raw)
    } else {
        raw.to_vec()
    };
    let digits: String = magnitude
        .iter()
        .skip_while(|byte| **byte == 0)
        .map(|byte| format!("{byte:02X}"))
        .collect();
    match (digits.is_empty(), is_negative) {
        (true, _) => "00".to_owned(),
        (false, true) => format!("-{digits}"),
        (false, false) => digits,
    }
}

/// The two's complement.
fn negated(raw: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = raw.iter().map(|byte| !byte).collect();
    for byte in bytes.iter_mut().rev() {
        let (sum, overflow) = byte.overflowing_add(1);
        *byte = sum;
        if !overflow {
            break;
        }
    }
    bytes
}

/// A day for people: `2026-11-22`.
pub(crate) fn date(at: ASN1Time) -> String {
    let at = at.to_datetime();
    format!(
        "{:04}-{:02}-{:02}",
        at.year(),
        u8::from(at.month()),
        at.day()
    )
}

/// A time as OpenSSL and with it mod_ssl and cheroot write it: `Nov  2 22:15:00 2026 GMT`.
pub(crate) fn openssl_time(at: ASN1Time) -> String {
    let at = at.to_datetime();
    let month = at.month().to_string();
    format!(
        "{} {:2} {:02}:{:02}:{:02} {} GMT",
        month.get(..3).unwrap_or(&month),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.year()
    )
}

/// The certificate as PEM, with a newline at the end, as OpenSSL writes it.
pub(crate) fn pem(certificate: &CertificateDer<'_>) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(certificate.len() * 4 / 3 + 128);
    text.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in certificate.chunks(48) {
        for three in line.chunks(3) {
            let byte = |place: usize| u32::from(three.get(place).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for place in 0..4 {
                let digit = match place <= three.len() {
                    true => DIGITS[(bits >> (18 - 6 * place) & 63) as usize],
                    false => b'=',
                };
                text.push(char::from(digit));
            }
        }
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn pem_of_any_length_reads_back() {
        for length in 0..200_usize {
            let bytes: Vec<u8> = (0..length)
                .map(|place| (place * 37 + length) as u8)
                .collect();
            let text = pem(&CertificateDer::from(bytes.clone()));
            assert!(text.lines().all(|line| line.len() <= 64));
            let back = CertificateDer::from_pem_slice(text.as_bytes()).expect("PEM");
            assert_eq!(back.as_ref(), bytes);
        }
    }

    #[test]
    fn a_time_reads_as_openssl_writes_it() {
        let at = ASN1Time::from_timestamp(1_793_657_705).expect("a time");
        assert_eq!(openssl_time(at), "Nov  2 22:15:05 2026 GMT");
        assert_eq!(date(at), "2026-11-02");
    }

    #[test]
    fn two_s_complement_is_undone() {
        assert_eq!(negated(&[0xff]), [1]);
        assert_eq!(negated(&[0x80, 0]), [0x80, 0]);
        assert_eq!(negated(&[0xfe, 0xff]), [1, 1]);
    }
}
