//! Whom to believe: what trusted proxies say of the client for whom they speak.
//!
//! A proxy passes on whom it serves in `X-Forwarded-*` or in `Forwarded` (RFC 7239), and so may anybody who wants
//! to be taken for somebody else. Nobody is trusted unless [`Config::trust_proxy`] says so. Then the fields
//! are read from the right, where the nearest proxy has added its own: the client is the first address
//! that is not itself a trusted proxy's. Requests of others lose these fields.
//!
//! Read next: `request.rs`, which answers with what is found here.

use std::mem;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str;

use ipnet::IpNet;
use kirsch_http::{FieldName, ProtocolErrorKind, is_authority};

use crate::config::Config;
use crate::request::Request;

/// A peer whose word is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedPeer {
    /// One of these addresses.
    Network(IpNet),
    /// Whoever connects to a unix socket.
    Unix,
}

/// Which fields a trusted proxy writes. What it does not write it passes on as the client sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyFields {
    /// Those that are there; where both name a client and not the same one, the request is refused.
    #[default]
    Either,
    /// `X-Forwarded-For`, `-Proto`, `-Host`, `-Port`, `-Prefix`.
    XForwarded,
    /// `Forwarded`.
    Forwarded,
}

/// What trusted proxies say of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forwarded {
    pub(crate) client: Option<Client>,
    pub(crate) scheme: Option<Scheme>,
    pub(crate) host: Option<Vec<u8>>,
    pub(crate) port: Option<String>,
    /// The part of the path that the proxy took off, as SCRIPT_NAME has it.
    pub(crate) prefix: Option<Vec<u8>>,
}

/// The client, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: String,
    pub(crate) port: Option<u16>,
}

/// How the client reached the first proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// An address in one of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    ip: IpAddr,
    port: Option<u16>,
}

/// One proxy's word in `Forwarded`.
#[derive(Default)]
struct Element {
    client: Option<Node>,
    proto: Option<Vec<u8>>,
    host: Option<Vec<u8>>,
}

/// Finds out for whom a request is made, and takes away what nobody should believe.
///
/// # Errors
///
/// If the fields of a trusted proxy cannot be understood, or contradict each other.
pub(crate) fn believe(request: &mut Request, config: &Config) -> Result<(), ProtocolErrorKind> {
    if config.trust_proxy.is_empty() {
        // Applications that believe on their own find the fields as they came.
        return Ok(());
    }
    let peer = request.origin().peer;
    if !is_trusted_peer(config, peer) {
        forget(request, |_| true);
        return Ok(());
    }
    match config.proxy_fields {
        ProxyFields::Either => {}
        ProxyFields::XForwarded => forget(request, |known| known == FieldName::Forwarded),
        ProxyFields::Forwarded => forget(request, |known| known != FieldName::Forwarded),
    }
    let elements = elements(request)?;
    let x_for = x_forwarded_for(request);
    let (client, hops) = walk(config, x_for.iter().copied());
    let (other_client, other_hops) = walk(config, elements.iter().map(|it| it.client));
    if !x_for.is_empty()
        && !elements.is_empty()
        && client.map(|it| it.ip) != other_client.map(|it| it.ip)
    {
        return Err(ProtocolErrorKind::ForwardedConflict);
    }
    let mut found = x_forwarded(request, hops)?;
    from_elements(&elements, other_hops, &mut found)?;
    found.client = client.or(other_client).map(|node| Client {
        address: node.ip.to_string(),
        port: node.port,
    });
    found.port = found.port.take().or_else(|| found.usual_port());
    request.forwarded = (found != Forwarded::default()).then(|| Box::new(found));
    Ok(())
}

/// Takes fields of proxies away, as if they had not been sent.
fn forget(request: &mut Request, which: impl Fn(FieldName) -> bool) {
    let buf = &request.buf;
    request
        .fields
        .retain(|field| !(speaks_for_others(field.known, field.name.of(buf)) && which(field.known)));
}

fn speaks_for_others(known: FieldName, name: &[u8]) -> bool {
    const COMMON: &[u8] = b"x-forwarded-";
    match known {
        FieldName::Forwarded | FieldName::XRealIp => true,
        _ => name
            .get(..COMMON.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(COMMON)),
    }
}

fn is_trusted_peer(config: &Config, peer: Option<SocketAddr>) -> bool {
    match peer {
        Some(peer) => is_trusted(config, peer.ip()),
        None => config.trust_proxy.contains(&TrustedPeer::Unix),
    }
}

fn is_trusted(config: &Config, ip: IpAddr) -> bool {
    // On a dual-stack socket 10.0.0.1 is ::ffff:10.0.0.1.
    let ip = ip.to_canonical();
    config.trust_proxy.iter().any(|trusted| match trusted {
        TrustedPeer::Network(network) => network.contains(&ip),
        TrustedPeer::Unix => false,
    })
}

/// Goes from the nearest proxy to the client: answers who that is, and how many proxies have spoken.
fn walk(
    config: &Config,
    nodes: impl DoubleEndedIterator<Item = Option<Node>>,
) -> (Option<Node>, usize) {
    let mut client = None;
    let mut hops = 0;
    // Who is behind somebody that is not known by address, nobody can know.
    for node in nodes.rev().map_while(|node| node) {
        hops += 1;
        client = Some(node);
        if !is_trusted(config, node.ip) {
            break;
        }
    }
    (client, hops.max(1))
}

/// The members of all fields of that name, from left to right.
fn members(request: &Request, name: FieldName) -> Vec<&[u8]> {
    request
        .fields()
        .filter(|(known, ..)| *known == name)
        .flat_map(|(.., value)| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect()
}

fn x_forwarded_for(request: &Request) -> Vec<Option<Node>> {
    members(request, FieldName::XForwardedFor)
        .into_iter()
        .filter(|member| !member.is_empty())
        .map(Node::parse)
        .collect()
}

/// What the proxy said that the client reached. Proxies add to a list, or write one value for all of them.
fn said<'a>(request: &'a Request, name: FieldName, hops: usize) -> Option<&'a [u8]> {
    let members = members(request, name);
    let place = members.len().checked_sub(hops.min(members.len()))?;
    members.get(place).copied().filter(|it| !it.is_empty())
}

fn x_forwarded(request: &Request, hops: usize) -> Result<Forwarded, ProtocolErrorKind> {
    Ok(Forwarded {
        client: None,
        scheme: said(request, FieldName::XForwardedProto, hops).and_then(Scheme::parse),
        host: said(request, FieldName::XForwardedHost, hops)
            .map(checked_host)
            .transpose()?,
        port: said(request, FieldName::XForwardedPort, hops)
            .map(checked_port)
            .transpose()?,
        prefix: match said(request, FieldName::XForwardedPrefix, hops) {
            Some(prefix) => checked_prefix(prefix)?,
            None => None,
        },
    })
}

/// Fills in what `Forwarded` says and no other field.
fn from_elements(
    elements: &[Element],
    hops: usize,
    found: &mut Forwarded,
) -> Result<(), ProtocolErrorKind> {
    let Some(first) = elements.len().checked_sub(hops) else {
        return Ok(());
    };
    // What one proxy does not say, the next may.
    for element in &elements[first..] {
        if found.scheme.is_none() {
            found.scheme = element.proto.as_deref().and_then(Scheme::parse);
        }
        if let (None, Some(host)) = (&found.host, &element.host) {
            found.host = Some(checked_host(host)?);
        }
    }
    Ok(())
}

fn checked_host(host: &[u8]) -> Result<Vec<u8>, ProtocolErrorKind> {
    if is_authority(host) {
        Ok(host.to_vec())
    } else {
        Err(ProtocolErrorKind::ForwardedInvalid)
    }
}

fn checked_port(port: &[u8]) -> Result<String, ProtocolErrorKind> {
    match parse_port(port) {
        Some(port) => Ok(port.to_string()),
        None => Err(ProtocolErrorKind::ForwardedInvalid),
    }
}

/// A prefix that two readers could take for different things is refused: `//a.test` is a host to a browser.
fn checked_prefix(prefix: &[u8]) -> Result<Option<Vec<u8>>, ProtocolErrorKind> {
    let prefix = match prefix {
        [rest @ .., b'/'] => rest,
        whole => whole,
    };
    let sound = !prefix.starts_with(b"//")
        && prefix.iter().all(|byte| *byte > b' ' && *byte != 0x7f && *byte != b'\\');
    match prefix {
        b"" => Ok(None),
        [b'/', ..] if sound => Ok(Some(prefix.to_vec())),
        _ => Err(ProtocolErrorKind::ForwardedInvalid),
    }
}

fn parse_port(port: &[u8]) -> Option<u16> {
    if !port.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(port).ok()?.parse().ok()
}

impl Forwarded {
    /// The port that follows from the others.
    fn usual_port(&self) -> Option<String> {
        if let Some(host) = &self.host {
            let digits = host.rsplit(|byte| *byte == b':').next()?;
            if digits.len() < host.len()
                && let Some(port) = parse_port(digits).filter(|_| !digits.is_empty())
            {
                return Some(port.to_string());
            }
        }
        if self.host.is_none() && self.scheme.is_none() {
            return None;
        }
        let port = match self.scheme {
            Some(Scheme::Https) => "443",
            Some(Scheme::Http) | None => "80",
        };
        Some(port.to_owned())
    }
}

impl Scheme {
    fn parse(text: &[u8]) -> Option<Scheme> {
        let is = |name: &[u8]| text.eq_ignore_ascii_case(name);
        if is(b"https") || is(b"wss") {
            Some(Scheme::Https)
        } else if is(b"http") || is(b"ws") {
            Some(Scheme::Http)
        } else {
            None
        }
    }
}

impl Node {
    /// An address, with or without a port; `None` for what hides one (RFC 7239, 6.2 and 6.3).
    fn parse(text: &[u8]) -> Option<Node> {
        let text = str::from_utf8(text).ok()?;
        if let Ok(ip) = text.parse::<IpAddr>() {
            let ip = ip.to_canonical();
            return Some(Node { ip, port: None });
        }
        let (address, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, behind) = rest.split_once(']')?;
                let ip = IpAddr::from(address.parse::<Ipv6Addr>().ok()?);
                (ip, behind.strip_prefix(':').or(behind.is_empty().then_some(""))?)
            }
            None => {
                let (address, port) = text.split_once(':')?;
                (address.parse::<IpAddr>().ok()?, port)
            }
        };
        Some(Node {
            ip: address.to_canonical(),
            // An obfuscated port is no port.
            port: parse_port(port.as_bytes()),
        })
    }
}

/// All `Forwarded` fields of a request (RFC 7239, 4).
fn elements(request: &Request) -> Result<Vec<Element>, ProtocolErrorKind> {
    let mut elements = Vec::new();
    for (known, _, value) in request.fields() {
        if known == FieldName::Forwarded {
            read_elements(value, &mut elements).ok_or(ProtocolErrorKind::ForwardedInvalid)?;
        }
    }
    Ok(elements)
}

/// `[pair *( ";" pair )]`, separated by commas, where a pair is `token "=" ( token / quoted-string )`.
fn read_elements(mut text: &[u8], elements: &mut Vec<Element>) -> Option<()> {
    let mut element = Element::default();
    let mut begun = false;
    loop {
        text = text.trim_ascii_start();
        match text.split_first() {
            None | Some((b',', _)) => {
                if mem::take(&mut begun) {
                    elements.push(mem::take(&mut element));
                }
                let Some((_, rest)) = text.split_first() else {
                    return Some(());
                };
                text = rest;
            }
            Some((b';', rest)) => text = rest,
            Some(_) => {
                let equals = memchr::memchr(b'=', text)?;
                let name = &text[..equals];
                let (value, rest) = read_value(&text[equals + 1..])?;
                let ends = matches!(rest.trim_ascii_start().first(), None | Some(b';' | b','));
                if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) || !ends {
                    return None;
                }
                element.set(name, value);
                begun = true;
                text = rest;
            }
        }
    }
}

/// A token or a quoted string, and what is behind it.
fn read_value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(mut rest) = text.strip_prefix(b"\"") else {
        let len = text
            .iter()
            // Addresses are often written without the quotes that their colons and brackets need.
            .position(|byte| !is_token(*byte) && !b":[]".contains(byte))
            .unwrap_or(text.len());
        return (len > 0).then(|| (text[..len].to_vec(), &text[len..]));
    };
    let mut value = Vec::new();
    loop {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        match byte {
            b'"' => return Some((value, rest)),
            b'\\' => {
                let (&escaped, behind) = rest.split_first()?;
                value.push(escaped);
                rest = behind;
            }
            _ => value.push(byte),
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl Element {
    fn set(&mut self, name: &[u8], value: Vec<u8>) {
        if name.eq_ignore_ascii_case(b"for") {
            self.client = Node::parse(&value);
        } else if name.eq_ignore_ascii_case(b"proto") {
            self.proto = Some(value);
        } else if name.eq_ignore_ascii_case(b"host") {
            self.host = Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kirsch_http::{Limits, RequestReader};

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
            }),
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
            ("X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.2.2.2\r\n", Some("1.2.3.4")),
            ("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.2.3.4\r\n", Some("1.2.3.4")),
            ("X-Forwarded-For: 10.1.1.1, 10.2.2.2\r\n", Some("10.1.1.1")),
            ("X-Forwarded-For: 1.2.3.4:5678\r\n", Some("1.2.3.4 5678")),
            ("X-Forwarded-For: [2001:db8::1]:443\r\n", Some("2001:db8::1 443")),
            ("X-Forwarded-For: 2001:db8::1, 2001:db8:1::9\r\n", Some("2001:db8::1")),
            ("X-Forwarded-For: ::ffff:1.2.3.4\r\n", Some("1.2.3.4")),
            ("X-Forwarded-For: 1.2.3.4, unknown, 10.2.2.2\r\n", Some("10.2.2.2")),
            ("X-Forwarded-For: unknown\r\n", None),
            ("X-Forwarded-For:\r\n", None),
            ("", None),
            ("Forwarded: for=1.2.3.4\r\n", Some("1.2.3.4")),
            ("Forwarded: for=6.6.6.6, FOR=\"1.2.3.4:5678\";by=_me\r\n", Some("1.2.3.4 5678")),
            ("Forwarded: for=\"[2001:db8::1]:_x\"\r\n", Some("2001:db8::1")),
            ("Forwarded: for=6.6.6.6, for=_hidden, for=10.2.2.2\r\n", Some("10.2.2.2")),
            ("Forwarded: for=6.6.6.6\r\nForwarded: for=1.2.3.4, for=10.2.2.2\r\n", Some("1.2.3.4")),
            ("Forwarded: for=\"1.2\\.3.4\" ; proto=https\r\n", Some("1.2.3.4")),
        ] {
            assert_eq!(client(fields).as_deref(), expected, "{fields}");
        }
    }

    #[test]
    fn the_rest_is_what_the_outermost_proxy_said() {
        let one = found(
            "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.test:8443\r\nX-Forwarded-Prefix: /blog/\r\n",
        )
        .expect("it is good");
        assert_eq!(one.scheme, Some(Scheme::Https));
        assert_eq!(one.host.as_deref(), Some(&b"a.test:8443"[..]));
        assert_eq!(one.port.as_deref(), Some("8443"));
        assert_eq!(one.prefix.as_deref(), Some(&b"/blog"[..]));

        // Two proxies, of which the client has tried to be a third.
        let two = found(
            "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.2.2.2\r\nX-Forwarded-Proto: http, https, http\r\nX-Forwarded-Port: 1, 443, 80\r\n",
        )
        .expect("it is good");
        assert_eq!(two.scheme, Some(Scheme::Https));
        assert_eq!(two.port.as_deref(), Some("443"));

        let modern = found("Forwarded: for=6.6.6.6;proto=http;host=evil.test, for=1.2.3.4;proto=https, for=10.2.2.2;host=a.test\r\n")
            .expect("it is good");
        assert_eq!(modern.scheme, Some(Scheme::Https));
        assert_eq!(modern.host.as_deref(), Some(&b"a.test"[..]));
        assert_eq!(modern.port.as_deref(), Some("443"));
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
            "Forwarded: for=\"1.2.3.4\r\n",
            "Forwarded: for\r\n",
            "Forwarded: for=1.2.3.4 proto=https\r\n",
            "Forwarded: =x\r\n",
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
        assert_eq!(found(fields), Err(ProtocolErrorKind::ForwardedConflict));
        assert_eq!(
            client("X-Forwarded-For: 1.2.3.4\r\nForwarded: for=\"1.2.3.4:99\"\r\n").as_deref(),
            Some("1.2.3.4")
        );
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
        let fields = "X-Forwarded-For: 6.6.6.6\r\nX-FORWARDED-Ssl: on\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=\"\r\nX-Other: 1\r\n";
        let mut request = request("192.0.2.7:4000", fields);
        believe(&mut request, &config(ProxyFields::Either)).expect("nothing is read");
        assert_eq!(request.client_address(), "192.0.2.7");
        assert_eq!(names(&request), ["Host", "X-Other"]);
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
}
