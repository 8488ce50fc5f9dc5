//! Who is believed, and what of it: tables, and properties over invented fields.

use std::sync::Arc;

use kirsch_http::{Limits, RequestReader};
use proptest::prelude::*;

use super::*;
use crate::request::{LocalName, Origin};

const PROXY: &str = "10.0.0.1:4000";

fn config(fields: ProxyFields) -> Config {
    let networks = ["10.0.0.0/8", "2001:db8:1::/48"];
    Config {
        trust_proxy: networks
            .iter()
            .map(|text| TrustedPeer::Network(text.parse().expect("a network")))
            .collect(),
        proxy_fields: fields,
        ..Config::default()
    }
}

fn request(peer: &str, fields: &str) -> Request {
    let mut request = Request::new();
    let head = format!("GET / HTTP/1.1\r\nHost: inner.test\r\n{fields}\r\n");
    request.buf.extend_from_slice(head.as_bytes());
    let mut reader = RequestReader::new();
    request.head = reader
        .next_head(&request.buf, &Limits::default(), &mut request.fields)
        .expect("it is good")
        .expect("it is whole");
    let peer: SocketAddr = peer.parse().expect("an address");
    request.origin = Some(Arc::new(Origin {
        peer: Some(peer),
        peer_address: peer.ip().to_string(),
        local: Arc::new(LocalName {
            listener: 0,
            name: "127.0.0.1".to_owned(),
            port: "8000".to_owned(),
            scheme: Scheme::Http,
        }),
        tls: None,
    }));
    request
}

fn found(fields: &str) -> Result<Forwarded, ProtocolErrorKind> {
    let mut request = request(PROXY, fields);
    believe(&mut request, &config(ProxyFields::Either))?;
    Ok(request.forwarded.map(|it| *it).unwrap_or_default())
}

fn client(fields: &str) -> Option<String> {
    let client = found(fields).expect("it is good").client?;
    Some(match client.port {
        Some(port) => format!("{} {port}", client.address),
        None => client.address,
    })
}

fn names(request: &Request) -> Vec<String> {
    request
        .fields()
        .map(|(_, name, _)| String::from_utf8_lossy(name).into_owned())
        .collect()
}

#[test]
fn the_client_is_the_first_from_the_right_that_is_no_proxy() {
    for (fields, expected) in [
        ("X-Forwarded-For: 1.2.3.4\r\n", Some("1.2.3.4")),
        ("X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n", Some("1.2.3.4")),
        (
            "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.2.2.2\r\n",
            Some("1.2.3.4"),
        ),
        (
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.2.3.4\r\n",
            Some("1.2.3.4"),
        ),
        ("X-Forwarded-For: 10.1.1.1, 10.2.2.2\r\n", Some("10.1.1.1")),
        ("X-Forwarded-For: 1.2.3.4:5678\r\n", Some("1.2.3.4 5678")),
        (
            "X-Forwarded-For: [2001:db8::1]:443\r\n",
            Some("2001:db8::1 443"),
        ),
        (
            "X-Forwarded-For: 2001:db8::1, 2001:db8:1::9\r\n",
            Some("2001:db8::1"),
        ),
        ("X-Forwarded-For: ::ffff:1.2.3.4\r\n", Some("1.2.3.4")),
        (
            "X-Forwarded-For: 1.2.3.4, unknown, 10.2.2.2\r\n",
            Some("10.2.2.2"),
        ),
        ("X-Forwarded-For: unknown\r\n", None),
        ("X-Forwarded-For:\r\n", None),
        ("", None),
        ("Forwarded: for=1.2.3.4\r\n", Some("1.2.3.4")),
        (
            "Forwarded: for=6.6.6.6, FOR=\"1.2.3.4:5678\";by=_me\r\n",
            Some("1.2.3.4 5678"),
        ),
        (
            "Forwarded: for=\"[2001:db8::1]:_x\"\r\n",
            Some("2001:db8::1"),
        ),
        (
            "Forwarded: for=6.6.6.6, for=_hidden, for=10.2.2.2\r\n",
            Some("10.2.2.2"),
        ),
        (
            "Forwarded: for=6.6.6.6\r\nForwarded: for=1.2.3.4, for=10.2.2.2\r\n",
            Some("1.2.3.4"),
        ),
        (
            "Forwarded: for=\"1.2\\.3.4\" ; proto=https\r\n",
            Some("1.2.3.4"),
        ),
    ] {
        assert_eq!(client(fields).as_deref(), expected, "{fields}");
    }
}

#[test]
fn the_rest_is_what_a_trusted_proxy_said() {
    let one = found(
        "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.test:8443\r\nX-Forwarded-Prefix: /blog/\r\n",
    )
    .expect("it is good");
    assert_eq!(one.scheme, Some(Scheme::Https));
    assert_eq!(one.host.as_deref(), Some(&b"a.test:8443"[..]));
    assert_eq!(one.port.as_deref(), Some("8443"));
    assert_eq!(one.prefix.as_deref(), Some(&b"/blog"[..]));

    // The client has invented a host, the first proxy knows nothing of that field, the second adds to it.
    let two = found(
        "X-Forwarded-For: 1.2.3.4, 10.2.2.2\r\nX-Forwarded-Host: evil.test, a.test\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n",
    )
    .expect("it is good");
    assert_eq!(two.host.as_deref(), Some(&b"a.test"[..]));
    assert_eq!(two.scheme, Some(Scheme::Https));

    let modern = found("Forwarded: for=6.6.6.6;proto=http;host=evil.test, for=1.2.3.4;proto=https, for=10.2.2.2;host=a.test\r\n")
        .expect("it is good");
    assert_eq!(modern.scheme, Some(Scheme::Https));
    assert_eq!(modern.host.as_deref(), Some(&b"a.test"[..]));
    assert_eq!(modern.port.as_deref(), Some("443"));
}

#[test]
fn a_port_follows_from_the_host_and_else_from_the_scheme() {
    for (fields, expected) in [
        ("X-Forwarded-Proto: https\r\n", Some("443")),
        ("X-Forwarded-Host: a.test\r\n", Some("80")),
        (
            "X-Forwarded-Host: [::1]\r\nX-Forwarded-Proto: wss\r\n",
            Some("443"),
        ),
        ("X-Forwarded-Host: [::1]:81\r\n", Some("81")),
        (
            "X-Forwarded-Host: a.test:81\r\nX-Forwarded-Port: 82\r\n",
            Some("82"),
        ),
        ("Forwarded: host=\"a.test:81\";proto=https\r\n", Some("81")),
        ("X-Forwarded-For: 1.2.3.4\r\n", None),
    ] {
        assert_eq!(
            found(fields).expect("it is good").port.as_deref(),
            expected,
            "{fields}"
        );
    }
}

#[test]
fn a_list_as_long_as_a_head_may_be_is_read() {
    let proxies = "10.2.2.2,".repeat(3000);
    let fields = format!("X-Forwarded-For: 6.6.6.6,1.2.3.4,{proxies}\r\n");
    assert_eq!(client(&fields).as_deref(), Some("1.2.3.4"));
    let strangers = "for=6.6.6.6,".repeat(2500);
    let fields = format!("Forwarded: {strangers}for=1.2.3.4\r\n");
    assert_eq!(client(&fields).as_deref(), Some("1.2.3.4"));
}

#[test]
fn what_is_empty_says_nothing() {
    let fields = "X-Forwarded-For: , ,\r\nX-Forwarded-Proto:\r\nX-Forwarded-Host: evil.test,\r\nX-Forwarded-Port: \r\nX-Forwarded-Prefix: /\r\n";
    assert_eq!(found(fields), Ok(Forwarded::default()));
    assert_eq!(
        found("Forwarded: , ;,\r\nForwarded:\r\n"),
        Ok(Forwarded::default())
    );
}

#[test]
fn a_prefix_is_decoded_and_ends_without_a_slash() {
    for (text, expected) in [
        ("/blog", "/blog"),
        ("/blog//", "/blog"),
        ("/a/b%20c", "/a/b c"),
        ("/one, /two", "/two"),
    ] {
        let one = found(&format!("X-Forwarded-Prefix: {text}\r\n")).expect("it is good");
        assert_eq!(one.prefix.as_deref(), Some(expected.as_bytes()), "{text}");
    }
}

#[test]
fn what_cannot_be_understood_is_refused() {
    for fields in [
        "X-Forwarded-Host: a b\r\n",
        "X-Forwarded-Host: a.test/path\r\n",
        "X-Forwarded-Port: 99999\r\n",
        "X-Forwarded-Port: +80\r\n",
        "X-Forwarded-Prefix: blog\r\n",
        "X-Forwarded-Prefix: //evil.test\r\n",
        "X-Forwarded-Prefix: /%2Fevil.test\r\n",
        "X-Forwarded-Prefix: /\\evil.test\r\n",
        "X-Forwarded-Prefix: /a%0d%0aB: c\r\n",
        "X-Forwarded-Prefix: /a?b\r\n",
        "X-Forwarded-Prefix: https://evil.test\r\n",
        "X-Forwarded-Proto: ftp\r\n",
        "X-Forwarded-Host: u@a.test\r\n",
        "Forwarded: for=\"1.2.3.4\r\n",
        "Forwarded: for\r\n",
        "Forwarded: for=1.2.3.4 proto=https\r\n",
        "Forwarded: =x\r\n",
        "Forwarded: for=\r\n",
        "Forwarded: for=\"1.2.3.4\\\r\n",
        "Forwarded: for=\"1.2.3.4\"x\r\n",
        "Forwarded: for=1.2.3.4;For=6.6.6.6\r\n",
        "Forwarded: for=1.2.3.4;proto=http;proto=https\r\n",
        "Forwarded: for=1.2.3.4;host=\"a b\"\r\n",
    ] {
        assert_eq!(
            found(fields),
            Err(ProtocolErrorKind::ForwardedInvalid),
            "{fields}"
        );
    }
}

#[test]
fn two_families_of_fields_must_agree_unless_one_is_chosen() {
    let fields = "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=6.6.6.6\r\n";
    for other in [
        "for=6.6.6.6",
        "for=_hidden",
        "for=1.2.3.4;host=evil.test",
        "for=1.2.3.4;proto=https",
        "host=evil.test",
    ] {
        let both = format!("X-Forwarded-For: 1.2.3.4\r\nForwarded: {other}\r\n");
        assert_eq!(
            found(&both),
            Err(ProtocolErrorKind::ForwardedConflict),
            "{other}"
        );
    }
    // A proxy that hides its client has spoken too.
    for both in [
        "X-Forwarded-For: unknown\r\nForwarded: for=6.6.6.6\r\n",
        "Forwarded: for=_hidden\r\nX-Forwarded-For: 6.6.6.6\r\n",
    ] {
        assert_eq!(
            found(both),
            Err(ProtocolErrorKind::ForwardedConflict),
            "{both}"
        );
    }
    let prefix = "X-Forwarded-Prefix: /evil\r\nForwarded: for=1.2.3.4\r\n";
    assert_eq!(found(prefix), Err(ProtocolErrorKind::ForwardedConflict));
    let same = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nForwarded: for=1.2.3.4;proto=https\r\n";
    assert_eq!(client(same).as_deref(), Some("1.2.3.4"));
    for (choice, expected, gone) in [
        (ProxyFields::XForwarded, "1.2.3.4", "Forwarded"),
        (ProxyFields::Forwarded, "6.6.6.6", "X-Forwarded-For"),
    ] {
        let mut request = request(PROXY, fields);
        believe(&mut request, &config(choice)).expect("one is chosen");
        assert_eq!(request.client_address(), expected);
        assert!(!names(&request).contains(&gone.to_owned()), "{choice:?}");
    }
}

#[test]
fn who_is_not_trusted_changes_nothing_and_loses_the_fields() {
    let fields = "X-Forwarded-For: 6.6.6.6\r\nX-FORWARDED-Ssl: on\r\nX-Real-IP: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Real_IP: 6.6.6.6\r\nForwarded: for=\"\r\nX-Other: 1\r\nX-Forwarde: 1\r\n";
    let mut request = request("192.0.2.7:4000", fields);
    believe(&mut request, &config(ProxyFields::Either)).expect("nothing is read");
    assert_eq!(request.client_address(), "192.0.2.7");
    assert_eq!(names(&request), ["Host", "X-Other", "X-Forwarde"]);
}

#[test]
fn where_nobody_is_trusted_the_fields_pass() {
    let mut request = request("127.0.0.1:4000", "X-Forwarded-For: 6.6.6.6\r\n");
    believe(&mut request, &Config::default()).expect("nothing is read");
    assert_eq!(request.client_address(), "127.0.0.1");
    assert_eq!(names(&request), ["Host", "X-Forwarded-For"]);
}

#[test]
fn a_proxy_on_a_dual_stack_socket_is_known_by_its_ipv4_address() {
    let mut request = request("[::ffff:10.0.0.1]:4000", "X-Forwarded-For: 1.2.3.4\r\n");
    believe(&mut request, &config(ProxyFields::Either)).expect("it is good");
    assert_eq!(request.client_address(), "1.2.3.4");
}

#[test]
fn a_peer_on_a_unix_socket_is_trusted_by_its_own_word() {
    for (trust_proxy, expected) in [
        (vec![TrustedPeer::Unix], "1.2.3.4"),
        (
            vec![TrustedPeer::Network(
                "0.0.0.0/0".parse().expect("a network"),
            )],
            "",
        ),
    ] {
        let mut request = request(PROXY, "X-Forwarded-For: 1.2.3.4\r\n");
        let origin = Arc::get_mut(request.origin.as_mut().expect("it is set")).expect("not shared");
        origin.peer = None;
        origin.peer_address.clear();
        let config = Config {
            trust_proxy,
            ..Config::default()
        };
        believe(&mut request, &config).expect("it is good");
        assert_eq!(request.client_address(), expected);
    }
}

/// What the reader of heads lets through, with much of what means something in these fields.
fn invented() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "for=",
            "proto=",
            "host=",
            "6.6.6.6",
            "10.1.1.1",
            "[::1]:80",
            "https",
            "unknown",
            "_x",
            "\"",
            "\\",
            ",",
            ", ",
            ";",
            "=",
            " ",
            ":",
            "/",
            "evil.test",
        ])
        .prop_map(str::to_owned),
        "[ -~\u{80}-\u{ff}]{0,3}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_is_too_odd_to_be_read(values in prop::collection::vec((0..6usize, invented()), 0..6)) {
        let names = ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix"];
        let fields: String = values
            .iter()
            .map(|(name, value)| format!("{}: {value}\r\n", names[*name]))
            .collect();
        if let Ok(found) = found(&fields) {
            prop_assert!(found.host.is_none_or(|host| is_authority(&host)));
            prop_assert!(found.prefix.is_none_or(|prefix| prefix.starts_with(b"/") && !prefix.starts_with(b"//")));
        }
    }

    #[test]
    fn a_clients_list_changes_nothing_of_what_a_proxy_adds(lie: String, before in invented()) {
        let lie = if lie.bytes().all(|byte| byte >= b' ' && byte != 0x7f) { lie } else { before };
        let one_line = client(&format!("X-Forwarded-For: {lie}, 1.2.3.4, 10.2.2.2\r\n"));
        prop_assert_eq!(one_line.as_deref(), Some("1.2.3.4"));
        let two_lines = client(&format!("X-Forwarded-For: {lie}\r\nX-Forwarded-For: 1.2.3.4\r\n"));
        prop_assert_eq!(two_lines.as_deref(), Some("1.2.3.4"));
    }

    #[test]
    fn a_clients_element_is_never_taken_for_a_proxys(lie in invented(), quoted: bool, line: bool) {
        let honest = if quoted {
            "for=\"1.2.3.4\";proto=http;host=\"a.test\""
        } else {
            "for=1.2.3.4;proto=http;host=a.test"
        };
        let between = if line { "\r\nForwarded: " } else { ", " };
        let alone = found(&format!("Forwarded: {honest}, for=10.2.2.2\r\n"));
        let behind = found(&format!("Forwarded: {lie}{between}{honest}, for=10.2.2.2\r\n"));
        // An open quote of the client's swallows what a proxy adds; then nobody is believed.
        prop_assert!(behind == alone || behind == Err(ProtocolErrorKind::ForwardedInvalid), "{behind:?}");
    }

    #[test]
    fn both_families_name_the_same_client(chain in prop::collection::vec(any::<(bool, u8)>(), 0..6)) {
        let chain: Vec<String> = chain
            .iter()
            .map(|(trusted, last)| format!("{}.0.0.{last}", if *trusted { 10 } else { 192 }))
            .collect();
        let expected = chain.iter().rfind(|it| it.starts_with("192.")).or(chain.first()).cloned();
        let older = format!("X-Forwarded-For: {}\r\n", chain.join(", "));
        let newer: Vec<String> = chain.iter().map(|it| format!("for={it}")).collect();
        let newer = format!("Forwarded: {}\r\n", newer.join(","));
        prop_assert_eq!(&client(&older), &expected);
        prop_assert_eq!(&client(&newer), &expected);
    }
}
