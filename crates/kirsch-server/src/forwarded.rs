//! Whom to believe: what trusted proxies say of the client for whom they speak.
//!
//! A proxy passes on whom it serves in `X-Forwarded-*` or in `Forwarded` (RFC 7239), and so may anybody who wants
//! to be taken for somebody else. Nobody is trusted unless [`Config::trust_proxy`] says so. Then the fields
//! are read from the right, where the nearest proxy has added its own: the client is the first address
//! that is not itself a trusted proxy's. Requests of others lose these fields.
//!
//! It decides who is believed; which text is a network, `network.rs` knows.
//! Read next: `request.rs`, which answers with what is found here.

mod syntax;

use std::net::{IpAddr, SocketAddr};

use kirsch_http::{FieldName, ProtocolErrorKind, authority_port, decode_path, is_authority};

use self::syntax::{Node, parse_port, read_elements};
use crate::config::Config;
use crate::network::Network;
use crate::request::Request;

/// A peer whose word is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedPeer {
    /// One of these addresses.
    Network(Network),
    /// Whoever connects to a unix socket.
    Unix,
}

/// Which fields a trusted proxy writes. What it does not write it passes on as the client sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyFields {
    /// Those that are there; where both are and do not say the same, the request is refused.
    #[default]
    Either,
    /// `X-Forwarded-For`, `-Proto`, `-Host`, `-Port`, `-Prefix`.
    XForwarded,
    /// `Forwarded`.
    Forwarded,
}

/// How a client speaks to the server, or to the first proxy in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// What trusted proxies say of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forwarded {
    pub(crate) client: Option<Client>,
    pub(crate) scheme: Option<Scheme>,
    pub(crate) host: Option<Vec<u8>>,
    pub(crate) port: Option<String>,
    /// The part of the path that the proxy took off, decoded, as SCRIPT_NAME has it.
    pub(crate) prefix: Option<Vec<u8>>,
}

/// The client, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) ip: IpAddr,
    /// The same as text.
    pub(crate) address: String,
    pub(crate) port: Option<u16>,
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
    if !is_trusted_peer(config, request.origin().peer) {
        forget(request, |_| true);
        return Ok(());
    }
    match config.proxy_fields {
        ProxyFields::Either => {}
        ProxyFields::XForwarded => forget(request, |known| known == FieldName::Forwarded),
        ProxyFields::Forwarded => forget(request, |known| known != FieldName::Forwarded),
    }
    let found = match (x_forwarded(request, config)?, forwarded(request, config)?) {
        // A proxy writes one family, and passes the other on as its client sent it. So the one may not even
        // complete the other: a client that knows its own address would add a host of its choice.
        (Some(one), Some(other)) if one != other => {
            return Err(ProtocolErrorKind::ForwardedConflict);
        }
        (Some(found), _) | (None, Some(found)) => found,
        (None, None) => return Ok(()),
    };
    request.forwarded = Some(Box::new(found));
    Ok(())
}

/// Takes fields of proxies away, as if they had not been sent.
fn forget(request: &mut Request, which: impl Fn(FieldName) -> bool) {
    let buf = &request.buf;
    request.fields.retain(|field| {
        !(speaks_for_others(field.known, field.name.of(buf)) && which(field.known))
    });
}

/// Whether proxies use a field to say whom they serve, those included that nobody here reads.
fn speaks_for_others(known: FieldName, name: &[u8]) -> bool {
    // With `_` for `-` it is no other field to whoever makes CGI's names of both.
    let same = |(one, other): (&u8, &u8)| {
        one.eq_ignore_ascii_case(other) || (*one == b'_' && *other == b'-')
    };
    let begins = |start: &[u8]| name.len() >= start.len() && name.iter().zip(start).all(same);
    matches!(known, FieldName::Forwarded | FieldName::XRealIp)
        || begins(b"x-forwarded-")
        || (begins(b"x-real-ip") && name.len() == b"x-real-ip".len())
}

fn is_trusted_peer(config: &Config, peer: Option<SocketAddr>) -> bool {
    match peer {
        Some(peer) => is_trusted(config, peer.ip()),
        None => config.trust_proxy.contains(&TrustedPeer::Unix),
    }
}

fn is_trusted(config: &Config, ip: IpAddr) -> bool {
    config.trust_proxy.iter().any(|trusted| match trusted {
        TrustedPeer::Network(network) => network.contains(ip),
        TrustedPeer::Unix => false,
    })
}

/// Goes from the nearest proxy to the client: answers who that is, and how many trusted ones have spoken.
fn walk(config: &Config, nodes: impl Iterator<Item = Option<Node>>) -> (Option<Node>, usize) {
    let mut client = None;
    let mut hops = 0;
    for node in nodes {
        hops += 1;
        // Who is behind somebody that is not known by address, nobody can know.
        let Some(node) = node else { break };
        client = Some(node);
        if !is_trusted(config, node.ip) {
            break;
        }
    }
    (client, hops)
}

/// What the fields of the older family say; `None` if there are none.
///
/// The addresses are a list to which each proxy adds. Of the others the last member counts: some proxies add
/// to them, some write them anew, and many pass them on, so that nobody can count back in them to one proxy.
/// What stands last was written by the nearest proxy that writes the field at all.
fn x_forwarded(request: &Request, config: &Config) -> Result<Option<Forwarded>, ProtocolErrorKind> {
    let is_there = |(known, ..): (FieldName, &[u8], &[u8])| {
        matches!(
            known,
            FieldName::XForwardedFor
                | FieldName::XForwardedProto
                | FieldName::XForwardedHost
                | FieldName::XForwardedPort
                | FieldName::XForwardedPrefix
        )
    };
    if !request.fields().any(is_there) {
        return Ok(None);
    }
    let addresses = from_the_right(request, FieldName::XForwardedFor);
    let (client, _) = walk(
        config,
        addresses.filter(|it| !it.is_empty()).map(Node::parse),
    );
    let said = |name| {
        let last = from_the_right(request, name).next();
        last.filter(|it| !it.is_empty())
    };
    Ok(Some(
        Forwarded {
            client: client.map(Client::from),
            scheme: said(FieldName::XForwardedProto)
                .map(Scheme::parse)
                .transpose()?,
            host: said(FieldName::XForwardedHost)
                .map(checked_host)
                .transpose()?,
            port: said(FieldName::XForwardedPort)
                .map(checked_port)
                .transpose()?,
            prefix: match said(FieldName::XForwardedPrefix) {
                Some(prefix) => checked_prefix(prefix)?,
                None => None,
            },
        }
        .with_port(request),
    ))
}

/// The members of all fields of that name, the last first.
fn from_the_right(request: &Request, name: FieldName) -> impl Iterator<Item = &[u8]> {
    let buf = &request.buf;
    let fields = request.fields.iter().rev();
    fields
        .filter(move |field| field.known == name)
        .flat_map(|field| field.value.of(buf).rsplit(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// What `Forwarded` says (RFC 7239 section 4); `None` if it is not there.
///
/// Each proxy's word stands together, so that of the first trusted one counts, and where it is silent that
/// of the next.
fn forwarded(request: &Request, config: &Config) -> Result<Option<Forwarded>, ProtocolErrorKind> {
    let mut elements = Vec::new();
    for (known, _, value) in request.fields() {
        if known == FieldName::Forwarded {
            read_elements(value, &mut elements).ok_or(ProtocolErrorKind::ForwardedInvalid)?;
        }
    }
    if elements.is_empty() {
        return Ok(None);
    }
    let nodes = elements.iter().rev();
    let (client, hops) = walk(
        config,
        nodes.map(|it| it.client.as_deref().and_then(Node::parse)),
    );
    let trusted = &elements[elements.len() - hops..];
    let proto = trusted.iter().find_map(|it| it.proto.as_deref());
    let host = trusted.iter().find_map(|it| it.host.as_deref());
    Ok(Some(
        Forwarded {
            client: client.map(Client::from),
            scheme: proto.map(Scheme::parse).transpose()?,
            host: host.map(checked_host).transpose()?,
            port: None,
            prefix: None,
        }
        .with_port(request),
    ))
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
    let mut path = Vec::new();
    decode_path(prefix, &mut path);
    while path.ends_with(b"/") {
        path.pop();
    }
    let sound = !path.starts_with(b"//")
        && !prefix.iter().any(|byte| b"?#".contains(byte))
        && !path
            .iter()
            .any(|byte| *byte < b' ' || *byte == 0x7f || *byte == b'\\');
    match path.first() {
        None => Ok(None),
        Some(b'/') if sound => Ok(Some(path)),
        Some(_) => Err(ProtocolErrorKind::ForwardedInvalid),
    }
}

impl Forwarded {
    /// Fills in the port that follows from scheme and host, where either is known and no port is.
    fn with_port(mut self, request: &Request) -> Forwarded {
        if self.port.is_none() && (self.host.is_some() || self.scheme.is_some()) {
            let host = self.host.as_deref().or_else(|| request.authority());
            let usual = self.scheme.unwrap_or(Scheme::Http).default_port();
            let port = host.and_then(authority_port).unwrap_or(usual);
            self.port = Some(port.to_string());
        }
        self
    }
}

impl From<Node> for Client {
    fn from(node: Node) -> Client {
        Client {
            ip: node.ip,
            address: node.ip.to_string(),
            port: node.port,
        }
    }
}

impl Scheme {
    /// As URLs have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port that is meant where none is written.
    pub(crate) const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    fn parse(text: &[u8]) -> Result<Scheme, ProtocolErrorKind> {
        let is = |name: &[u8]| text.eq_ignore_ascii_case(name);
        // Some proxies name the protocol that a WebSocket's handshake asks for.
        if is(b"https") || is(b"wss") {
            Ok(Scheme::Https)
        } else if is(b"http") || is(b"ws") {
            Ok(Scheme::Http)
        } else {
            Err(ProtocolErrorKind::ForwardedInvalid)
        }
    }
}

#[cfg(test)]
mod tests;
