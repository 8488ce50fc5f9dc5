//! Versions, suites, groups, names, sessions.

use std::io::Read;

use rcgen::{PKCS_RSA_SHA256, RsaKeySize};
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::{AlertDescription, CipherSuite, HandshakeKind, NamedGroup, ProtocolVersion};

use super::*;
use crate::{MinimumVersion, UnknownName, suites};

fn only(
    house: &House,
    version: &'static rustls::SupportedProtocolVersion,
    suites: &[&str],
) -> Arc<ClientConfig> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if !suites.is_empty() {
        provider.cipher_suites = suites
            .iter()
            .map(|name| suites::by_name(name).expect("a suite").suite)
            .collect();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .expect("versions")
        .with_root_certificates(house.roots())
        .with_no_client_auth();
    Arc::new(config)
}

#[test]
fn both_versions_are_spoken_and_the_newer_is_preferred() {
    let house = House::new();
    let served = load(house.config(&["example.org"])).served();
    let both = met(&served, &Arc::new(house.client()), "example.org");
    assert_eq!(
        both.server.protocol_version(),
        Some(ProtocolVersion::TLSv1_3)
    );
    let old = only(&house, &rustls::version::TLS12, &[]);
    let old = met(&served, &old, "example.org");
    assert_eq!(
        old.server.protocol_version(),
        Some(ProtocolVersion::TLSv1_2)
    );
}

#[test]
fn bytes_go_both_ways() {
    let house = House::new();
    let served = load(house.config(&["example.org"])).served();
    let mut met = met(&served, &Arc::new(house.client()), "example.org");
    met.client.writer().write_all(b"ping").expect("room");
    carry_back(&mut met.client, &mut met.server).expect("records");
    let mut got = [0; 4];
    met.server.reader().read_exact(&mut got).expect("bytes");
    assert_eq!(&got, b"ping");
    met.server.writer().write_all(b"pong").expect("room");
    carry(&mut met.server, &mut met.client).expect("records");
    met.client.reader().read_exact(&mut got).expect("bytes");
    assert_eq!(&got, b"pong");
}

#[test]
fn a_version_below_the_lowest_is_refused() {
    let house = House::new();
    let mut config = house.config(&["example.org"]);
    config.minimum = MinimumVersion::Tls13;
    let served = load(config).served();
    let old = only(&house, &rustls::version::TLS12, &[]);
    let error = meet(&served, &old, "example.org").err();
    assert!(
        matches!(error, Some(Error::PeerIncompatible(_))),
        "{error:?}"
    );
}

#[test]
fn suites_are_those_named_and_the_server_s_order_counts() {
    let house = House::new();
    let mut config = house.config(&["example.org"]);
    let names = [
        "TLS_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
    ];
    config.suites = names
        .map(|name| suites::by_name(name).expect("a suite").suite)
        .to_vec();
    let served = load(config).served();
    let suite = |client: &Arc<ClientConfig>| {
        meet(&served, client, "example.org").map(|met| {
            met.server
                .negotiated_cipher_suite()
                .expect("a suite")
                .suite()
        })
    };
    assert_eq!(
        suite(&Arc::new(house.client())),
        Ok(CipherSuite::TLS13_AES_128_GCM_SHA256)
    );
    // The client's order is the other one.
    let old = only(&house, &rustls::version::TLS12, &[names[2], names[1]]);
    assert_eq!(
        suite(&old),
        Ok(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
    );
    let other = only(&house, &rustls::version::TLS13, &["TLS_AES_256_GCM_SHA384"]);
    assert!(matches!(suite(&other), Err(Error::PeerIncompatible(_))));
}

#[test]
fn a_lowest_version_without_a_suite_is_refused_at_the_start() {
    let house = House::new();
    let mut config = house.config(&["example.org"]);
    config.minimum = MinimumVersion::Tls13;
    config.suites = vec![
        suites::by_name("ECDHE-ECDSA-AES128-GCM-SHA256")
            .expect("a suite")
            .suite,
    ];
    let error = Material::load(config).expect_err("nothing to speak");
    assert_eq!(error, crate::Trouble::NoSuite.into());
}

#[test]
fn the_hybrid_group_is_taken_by_who_knows_it_and_others_are_served() {
    let house = House::new();
    let served = load(house.config(&["example.org"])).served();
    let group = |groups: Vec<&'static dyn rustls::crypto::SupportedKxGroup>| {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.kx_groups = groups;
        let client = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(house.roots())
            .with_no_client_auth();
        let met = met(&served, &Arc::new(client), "example.org");
        met.server
            .negotiated_key_exchange_group()
            .map(|group| group.name())
    };
    let hybrid = Some(NamedGroup::X25519MLKEM768);
    assert_eq!(
        group(vec![kx_group::X25519MLKEM768, kx_group::X25519]),
        hybrid
    );
    // Who prefers another and has sent its share of it is spared a round trip.
    assert_eq!(
        group(vec![kx_group::X25519, kx_group::X25519MLKEM768]),
        Some(NamedGroup::X25519)
    );
    assert_eq!(
        group(vec![kx_group::SECP256R1]),
        Some(NamedGroup::secp256r1)
    );
}

#[test]
fn a_name_has_its_certificate_and_a_star_is_one_label() {
    let house = House::new();
    let mut config = house.config(&["first.test"]);
    config
        .pairs
        .push(house.pair("star", &["*.Example.org", "bare.test"]));
    config.pairs.push(house.pair("exact", &["www.example.org"]));
    let served = load(config).served();
    let chosen = |name: &str| {
        // Names that the certificate is not for are no concern here: no client checks them.
        let mut client = house.client();
        client
            .dangerous()
            .set_certificate_verifier(Arc::new(Anybody));
        met(&served, &Arc::new(client), name).pair.names()[0].clone()
    };
    let cases = [
        ("first.test", "first.test"),
        ("www.example.org", "www.example.org"),
        ("WWW.Example.ORG", "www.example.org"),
        ("shop.example.org", "*.example.org"),
        ("bare.test", "*.example.org"),
        ("example.org", "first.test"),
        ("a.shop.example.org", "first.test"),
        ("unknown.test", "first.test"),
        ("127.0.0.1", "first.test"),
    ];
    for (asked, expected) in cases {
        assert_eq!(chosen(asked), expected, "{asked}");
    }
}

#[test]
fn an_unknown_name_is_refused_where_that_is_wanted() {
    let house = House::new();
    let mut config = house.config(&["example.org"]);
    config.unknown_name = UnknownName::Refuse;
    let served = load(config).served();
    let client = Arc::new(house.client());
    met(&served, &client, "example.org");
    for name in ["www.example.org", "127.0.0.1"] {
        assert!(meet(&served, &client, name).is_err(), "{name}");
    }
}

#[test]
fn a_client_gets_the_key_that_it_knows() {
    let house = House::new();
    let mut config = house.config(&["example.org"]);
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
    config
        .pairs
        .push(house.pair_of("rsa", &params(&["example.org"]), &rsa));
    let served = load(config).served();
    let suite = |suites: &[&str]| {
        let client = only(&house, &rustls::version::TLS12, suites);
        let met = met(&served, &client, "example.org");
        met.server
            .negotiated_cipher_suite()
            .expect("a suite")
            .suite()
    };
    assert_eq!(
        suite(&["ECDHE-RSA-AES128-GCM-SHA256"]),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    );
    assert_eq!(
        suite(&[
            "ECDHE-RSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-AES128-GCM-SHA256"
        ]),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    );
}

#[test]
fn sessions_are_resumed_with_both_versions() {
    let house = House::new();
    let material = load(house.config(&["example.org"]));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = only(&house, version, &[]);
        let kinds = [(), ()].map(|()| {
            // A session lives in the ticket, and so outlives the certificate's replacement.
            let kind = met(&material.served(), &client, "example.org")
                .server
                .handshake_kind();
            house.pair("server", &["example.org"]);
            assert!(matches!(material.reload(), Ok(crate::Changed::Replaced(_))));
            kind
        });
        assert!(
            matches!(
                kinds,
                [
                    Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest),
                    Some(HandshakeKind::Resumed)
                ]
            ),
            "{kinds:?}"
        );
    }
}

#[test]
fn early_data_is_not_offered() {
    let house = House::new();
    let served = load(house.config(&["example.org"])).served();
    let mut client = house.client();
    client.enable_early_data = true;
    let client = Arc::new(client);
    met(&served, &client, "example.org");
    // The ticket does not allow it, so that a client does not even try.
    let name = ServerName::try_from("example.org").expect("a name");
    let mut again = ClientConnection::new(Arc::clone(&client), name).expect("a client");
    assert!(again.early_data().is_none());
}

#[test]
fn early_data_that_comes_all_the_same_is_dropped() {
    let house = House::new();
    let served = load(house.config(&["example.org"])).served();
    let mut client = house.client();
    client.enable_early_data = true;
    let client = Arc::new(client);
    // From another server with the same certificate: rustls itself allows it only without tickets.
    let begun = begin(&served, &client, "example.org", b"").expect("a ClientHello");
    let mut eager = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&begun.choice.config.cert_resolver));
    eager.max_early_data_size = 1024;
    begun.finish_with(Arc::new(eager)).expect("a handshake");
    let begun = begin(&served, &client, "example.org", b"GET / HTTP/1.1").expect("a ClientHello");
    let mut met = begun.finish().expect("a handshake");
    assert_eq!(met.server.handshake_kind(), Some(HandshakeKind::Full));
    assert!(!met.client.is_early_data_accepted());
    assert!(met.server.early_data().is_none());
    let nothing = met
        .server
        .reader()
        .read(&mut [0; 64])
        .map_err(|err| err.kind());
    assert_eq!(nothing, Err(io::ErrorKind::WouldBlock));
}

#[test]
fn protocols_are_negotiated_and_others_refused() {
    let house = House::new();
    let mut config = house.config(&["example.org"]);
    config.protocols = vec![b"http/1.1".to_vec()];
    let served = load(config).served();
    let asks = |protocols: &[&[u8]]| {
        let mut client = house.client();
        client.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        meet(&served, &Arc::new(client), "example.org")
            .map(|met| met.server.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(asks(&[b"h2", b"http/1.1"]), Ok(Some(b"http/1.1".to_vec())));
    assert_eq!(asks(&[]), Ok(None));
    assert_eq!(asks(&[b"h2"]), Err(Error::NoApplicationProtocol));
}

#[test]
fn plain_text_is_told_from_tls_by_its_first_byte() {
    let house = House::new();
    let name = ServerName::try_from("example.org").expect("a name");
    let mut client = ClientConnection::new(Arc::new(house.client()), name).expect("a client");
    let mut wire = Vec::new();
    client.write_tls(&mut wire).expect("a buffer takes all");
    assert!(crate::is_tls(wire[0]));
    for plain in ["GET / HTTP/1.1", "\r\nGET /", "PRI * HTTP/2.0"] {
        assert!(!crate::is_tls(plain.as_bytes()[0]));
    }
}

#[test]
fn a_certificate_of_our_own_is_for_this_machine() {
    let config = TlsConfig {
        self_signed: Some(vec!["dev.test".to_owned(), "localhost".to_owned()]),
        ..TlsConfig::default()
    };
    let material = load(config);
    let served = material.served();
    let pair = served.pairs().next().expect("a pair");
    assert_eq!(pair.names(), ["localhost", "dev.test"]);
    let hash = crate::certificate::sha256(&pair.chain()[0]);
    let plain: String = hash.iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(pair.fingerprint().replace(':', ""), plain);
    assert_eq!(pair.fingerprint().len(), 32 * 3 - 1);
    let mut roots = RootCertStore::empty();
    roots.add(pair.chain()[0].clone()).expect("a root");
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Arc::new(client);
    for name in ["localhost", "dev.test", "127.0.0.1", "::1"] {
        met(&served, &client, name);
    }
    assert_eq!(material.reload(), Ok(crate::Changed::Nothing));
}

#[test]
fn a_record_that_was_changed_on_its_way_ends_the_connection() {
    let house = House::new();
    let served = load(house.config(&["example.org"])).served();
    let mut met = met(&served, &Arc::new(house.client()), "example.org");
    met.client.writer().write_all(b"ping").expect("room");
    let mut wire = Vec::new();
    met.client.write_tls(&mut wire).expect("a buffer takes all");
    *wire.last_mut().expect("a record") ^= 1;
    met.server
        .read_tls(&mut wire.as_slice())
        .expect("a buffer gives all");
    assert_eq!(
        met.server.process_new_packets().err(),
        Some(Error::DecryptError)
    );
    let told = carry(&mut met.server, &mut met.client);
    assert_eq!(
        told,
        Err(Error::AlertReceived(AlertDescription::BadRecordMac))
    );
}

/// Believes everybody, so that the choice of a certificate can be seen whatever its names.
#[derive(Debug)]
struct Anybody;

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
