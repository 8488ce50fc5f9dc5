//! What `Forwarded` and `X-Forwarded-For` are made of: addresses, and what each proxy says (RFC 7239).
//!
//! It only reads. Whom of them to believe, `forwarded.rs` decides.

use std::borrow::Cow;
use std::mem;
use std::net::{IpAddr, Ipv6Addr};
use std::str;

/// An address in one of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) ip: IpAddr,
    pub(super) port: Option<u16>,
}

/// One proxy's word in `Forwarded`.
#[derive(Debug, Default)]
pub(super) struct Element<'a> {
    pub(super) client: Option<Cow<'a, [u8]>>,
    pub(super) proto: Option<Cow<'a, [u8]>>,
    pub(super) host: Option<Cow<'a, [u8]>>,
}

impl Node {
    /// An address, with or without a port; `None` for what hides one (RFC 7239, 6.2 and 6.3).
    pub(super) fn parse(text: &[u8]) -> Option<Node> {
        let text = str::from_utf8(text).ok()?;
        if let Ok(ip) = text.parse::<IpAddr>() {
            let ip = ip.to_canonical();
            return Some(Node { ip, port: None });
        }
        let (address, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, behind) = rest.split_once(']')?;
                let ip = IpAddr::from(address.parse::<Ipv6Addr>().ok()?);
                (
                    ip,
                    behind
                        .strip_prefix(':')
                        .or(behind.is_empty().then_some(""))?,
                )
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

impl<'a> Element<'a> {
    /// Takes a parameter; `None` if it came before, which it must not (RFC 7239 section 4).
    fn set(&mut self, name: &[u8], value: Cow<'a, [u8]>) -> Option<()> {
        let place = if name.eq_ignore_ascii_case(b"for") {
            &mut self.client
        } else if name.eq_ignore_ascii_case(b"proto") {
            &mut self.proto
        } else if name.eq_ignore_ascii_case(b"host") {
            &mut self.host
        } else {
            return Some(());
        };
        place.replace(value).is_none().then_some(())
    }
}

/// `[pair *( ";" pair )]`, separated by commas, where a pair is `token "=" ( token / quoted-string )`.
pub(super) fn read_elements<'a>(mut text: &'a [u8], elements: &mut Vec<Element<'a>>) -> Option<()> {
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
                element.set(name, value)?;
                begun = true;
                text = rest;
            }
        }
    }
}

/// A token or a quoted string, and what is behind it.
fn read_value(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let Some(inner) = text.strip_prefix(b"\"") else {
        let len = text
            .iter()
            // Addresses are often written without the quotes that their colons and brackets need.
            .position(|byte| !is_token(*byte) && !b":[]".contains(byte))
            .unwrap_or(text.len());
        return (len > 0).then(|| (Cow::Borrowed(&text[..len]), &text[len..]));
    };
    let plain = memchr::memchr2(b'"', b'\\', inner)?;
    let (value, mut rest) = inner.split_at(plain);
    if let [b'"', behind @ ..] = rest {
        return Some((Cow::Borrowed(value), behind));
    }
    let mut value = value.to_vec();
    loop {
        match rest {
            [] | [b'\\'] => return None,
            [b'"', behind @ ..] => return Some((Cow::Owned(value), behind)),
            [b'\\', byte, behind @ ..] | [byte, behind @ ..] => {
                value.push(*byte);
                rest = behind;
            }
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A port; no sign, which a number may have.
pub(super) fn parse_port(port: &[u8]) -> Option<u16> {
    if !port.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(port).ok()?.parse().ok()
}
