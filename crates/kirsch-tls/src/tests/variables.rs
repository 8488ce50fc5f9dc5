//! The `SSL_*` variables, of decent certificates and of hostile ones.

use proptest::prelude::*;
use rcgen::string::{BmpString, Ia5String, TeletexString};
use rcgen::{DistinguishedName, DnValue, SanType};

use super::*;
use crate::{Clients, Variables, variables};

/// What an application sees of a client that brings this.
fn seen(params: &CertificateParams) -> Variables {
    let house = House::new();
    let mut config = house.config(&["example.org"]);
    config.clients = Clients::Optional(house.trust());
    let served = load(config).served();
    let met = met(&served, &Arc::new(house.client_with(params)), "example.org");
    variables::of(&met.server, &met.pair)
}

fn named(parts: &[(DnType, DnValue)]) -> CertificateParams {
    let mut params = params(&[]);
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in parts {
        params.distinguished_name.push(kind.clone(), value.clone());
    }
    params
}

fn utf8(value: &str) -> DnValue {
    DnValue::Utf8String(value.to_owned())
}

#[test]
fn a_connection_without_a_client_s_certificate_has_these() {
    let house = House::new();
    let served = load(house.config(&["example.org"])).served();
    let met = met(&served, &Arc::new(house.client()), "example.org");
    let variables = variables::of(&met.server, &met.pair);
    let own = |(name, _): &(&str, &str)| !name.starts_with("SSL_SERVER_");
    let list: Vec<_> = variables.iter().filter(own).collect();
    let expected = [
        ("HTTPS", "on"),
        (
            "SSL_VERSION_INTERFACE",
            concat!("kirsch/", env!("CARGO_PKG_VERSION")),
        ),
        ("SSL_VERSION_LIBRARY", "rustls"),
        ("SSL_PROTOCOL", "TLSv1.3"),
        ("SSL_CIPHER", "TLS_AES_256_GCM_SHA384"),
        ("SSL_CIPHER_EXPORT", "false"),
        ("SSL_CIPHER_USEKEYSIZE", "256"),
        ("SSL_CIPHER_ALGKEYSIZE", "256"),
        ("SSL_COMPRESS_METHOD", "NULL"),
        ("SSL_SESSION_RESUMED", "Initial"),
        ("SSL_TLS_SNI", "example.org"),
        ("SSL_CLIENT_VERIFY", "NONE"),
    ];
    assert_eq!(list, expected);
    let value = |name| variables.value(name);
    assert_eq!(value("SSL_SERVER_S_DN"), Some("CN=Ann"));
    assert_eq!(value("SSL_SERVER_S_DN_CN"), Some("Ann"));
    assert_eq!(value("SSL_SERVER_S_DN_CN_0"), None);
    assert_eq!(value("SSL_SERVER_I_DN_CN"), Some("The authority"));
    assert_eq!(value("SSL_SERVER_M_VERSION"), Some("3"));
    assert_eq!(value("SSL_SERVER_A_KEY"), Some("id-ecPublicKey"));
    assert_eq!(value("SSL_SERVER_A_SIG"), Some("ecdsa-with-SHA256"));
    assert_eq!(value("SSL_SERVER_SAN_DNS_0"), Some("example.org"));
    let file = std::fs::read_to_string(house.path("server.crt")).expect("PEM");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let shown = value("SSL_SERVER_CERT").expect("PEM");
    assert_eq!(lines(shown), lines(&file));
}

#[test]
fn a_client_s_certificate_is_described_as_mod_ssl_does() {
    let mut params = named(&[
        (DnType::CountryName, utf8("CH")),
        (DnType::OrganizationName, utf8("Kirsch, Söhne + Co.")),
        (DnType::OrganizationalUnitName, utf8("one")),
        (DnType::CommonName, utf8("#Ann ")),
    ]);
    params.serial_number = Some(SerialNumber::from_slice(&[0x00, 0xab, 0x0c]));
    params.not_after = (SystemTime::now() + 3 * DAY + DAY / 2).into();
    params.subject_alt_names = vec![SanType::Rfc822Name(
        Ia5String::try_from("ann@example.org").expect("ASCII"),
    )];
    let variables = seen(&params);
    let value = |name| variables.value(name);
    assert_eq!(value("SSL_CLIENT_VERIFY"), Some("SUCCESS"));
    assert_eq!(
        value("SSL_CLIENT_S_DN"),
        Some("CN=\\#Ann\\ ,OU=one,O=Kirsch\\, Söhne \\+ Co.,C=CH")
    );
    assert_eq!(value("SSL_CLIENT_S_DN_CN"), Some("#Ann "));
    assert_eq!(value("SSL_CLIENT_S_DN_O"), Some("Kirsch, Söhne + Co."));
    assert_eq!(value("SSL_CLIENT_S_DN_C"), Some("CH"));
    assert_eq!(value("SSL_CLIENT_I_DN"), Some("CN=The authority"));
    assert_eq!(value("SSL_CLIENT_M_SERIAL"), Some("AB0C"));
    assert_eq!(value("SSL_CLIENT_M_VERSION"), Some("3"));
    assert_eq!(value("SSL_CLIENT_V_REMAIN"), Some("3"));
    assert_eq!(value("SSL_CLIENT_SAN_Email_0"), Some("ann@example.org"));
    for name in ["SSL_CLIENT_V_START", "SSL_CLIENT_V_END"] {
        let time = value(name).expect("a time");
        assert!(
            time.ends_with(" GMT") && time.len() == "Nov  2 22:15:00 2026 GMT".len(),
            "{time}"
        );
    }
    assert_eq!(value("SSL_CLIENT_CERT_CHAIN_0"), None);
}

#[test]
fn all_of_the_chain_but_the_first_is_numbered() {
    let house = House::new();
    let mut config = house.config(&["example.org"]);
    config.clients = Clients::Required(house.trust());
    let served = load(config).served();
    let key = new_key();
    let chain = vec![
        house.sign(&params(&[]), &key).der().clone(),
        house.authority.der().clone(),
    ];
    let client = Arc::new(house.client_with_chain(chain, &key));
    for resumed in ["Initial", "Resumed"] {
        let met = met(&served, &client, "example.org");
        let variables = variables::of(&met.server, &met.pair);
        assert_eq!(variables.value("SSL_SESSION_RESUMED"), Some(resumed));
        assert_eq!(variables.value("SSL_CLIENT_VERIFY"), Some("SUCCESS"));
        let shown = variables
            .value("SSL_CLIENT_CERT_CHAIN_0")
            .expect("the authority");
        assert_eq!(shown, crate::certificate::pem(house.authority.der()));
        assert_eq!(variables.value("SSL_CLIENT_CERT_CHAIN_1"), None);
    }
}

#[test]
fn several_of_a_kind_are_numbered() {
    // By number, since the maker of test certificates keeps one of each kind.
    let common_name = DnType::CustomDnType(vec![2, 5, 4, 3]);
    let variables = seen(&named(&[
        (DnType::CommonName, utf8("one")),
        (common_name, utf8("two")),
    ]));
    let value = |name| variables.value(name);
    assert_eq!(value("SSL_CLIENT_S_DN"), Some("CN=two,CN=one"));
    assert_eq!(value("SSL_CLIENT_S_DN_CN"), Some("one"));
    assert_eq!(value("SSL_CLIENT_S_DN_CN_0"), Some("one"));
    assert_eq!(value("SSL_CLIENT_S_DN_CN_1"), Some("two"));
    assert_eq!(value("SSL_CLIENT_S_DN_CN_2"), None);
}

#[test]
fn strings_of_all_kinds_become_text() {
    let wide: Vec<u8> = "Zoë".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let variables = seen(&named(&[
        (
            DnType::CommonName,
            DnValue::BmpString(BmpString::from_utf16be(wide).expect("UTF-16")),
        ),
        (
            DnType::OrganizationName,
            DnValue::TeletexString(TeletexString::try_from("Example").expect("ASCII")),
        ),
        // A type that nobody has a name for is shown as it is encoded.
        (DnType::CustomDnType(vec![1, 2, 3, 4]), utf8("x")),
    ]));
    assert_eq!(variables.value("SSL_CLIENT_S_DN_CN"), Some("Zoë"));
    assert_eq!(
        variables.value("SSL_CLIENT_S_DN"),
        Some("1.2.3.4=#0C0178,O=Example,CN=Zoë")
    );
}

#[test]
fn nul_and_newline_of_a_hostile_certificate_stay_in_their_value() {
    let variables = seen(&named(&[
        (DnType::CommonName, utf8("ann\0.evil\r\nX-Admin: yes\u{85}")),
        (DnType::OrganizationName, utf8("a,CN=root")),
    ]));
    assert_eq!(
        variables.value("SSL_CLIENT_S_DN_CN"),
        Some("ann\\00.evil\\0D\\0AX-Admin: yes\\C2\\85")
    );
    assert_eq!(
        variables.value("SSL_CLIENT_S_DN"),
        Some("O=a\\,CN=root,CN=ann\\00.evil\\0D\\0AX-Admin: yes\\C2\\85")
    );
    assert_is_harmless(&variables);
}

/// No control character but the newlines of PEM, in names neither.
fn assert_is_harmless(variables: &Variables) {
    for (name, value) in variables.iter() {
        let is_pem = value.starts_with("-----BEGIN CERTIFICATE-----\n");
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            "{name}"
        );
        assert!(
            !value.chars().any(|letter| letter.is_control() && !is_pem),
            "{name}: {value:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_stands_in_a_name_is_harmless(values in prop::collection::vec(any::<String>(), 1..8)) {
        let kinds = [DnType::CommonName, DnType::OrganizationName, DnType::CountryName];
        let parts: Vec<_> = kinds.into_iter().zip(values.iter().map(|value| utf8(value))).collect();
        let mut params = named(&parts);
        params.subject_alt_names = vec![SanType::DnsName(
            Ia5String::try_from(values[0].replace(|letter: char| !letter.is_ascii(), "\u{1}")).expect("ASCII"),
        )];
        let certificate = params.self_signed(&new_key()).expect("signed");
        let parsed = crate::certificate::parse(certificate.der()).expect("a certificate");
        assert_is_harmless(&variables::of_server(certificate.der(), &parsed));
    }

    #[test]
    fn a_certificate_with_a_byte_changed_is_read_or_not_and_harmless(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let certificate = params(&["example.org"]).self_signed(&new_key()).expect("signed");
        let mut der = certificate.der().to_vec();
        let place = place.index(der.len());
        der[place] = byte;
        let der = CertificateDer::from(der);
        if let Some(parsed) = crate::certificate::parse(&der) {
            assert_is_harmless(&variables::of_server(&der, &parsed));
        }
    }
}

#[test]
fn thousands_of_parts_become_a_few_variables() {
    let mut params = named(&[]);
    params.subject_alt_names = (0..3000)
        .map(|number| {
            SanType::DnsName(Ia5String::try_from(format!("{number}.test")).expect("ASCII"))
        })
        .collect();
    let variables = seen(&params);
    assert_eq!(variables.value("SSL_CLIENT_SAN_DNS_31"), Some("31.test"));
    assert_eq!(variables.value("SSL_CLIENT_SAN_DNS_32"), None);
}
