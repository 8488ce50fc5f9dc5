//! Hosts as routes write them and as requests ask for them.
//!
//! Compared without regard to case and to a dot at the end; the port counts only where a route writes one.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::error::RouteError;
use super::index::Names;

/// No host name is longer (RFC 1035 section 2.3.4); a request for one is for none that routes can name.
const LONGEST: usize = 253;

/// A host in a route: `douban.com`, `*.douban.com`, `127.0.0.1`, `[::1]`, each with or without a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// In lower case, without a dot at the end; addresses in their shortest form, in brackets.
    name: String,
    reach: Reach,
    port: Option<u16>,
}

/// Which names a pattern is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reach {
    /// The name itself.
    Exact,
    /// Names with one label or more in front of it.
    Below,
}

/// The host and port that a request asks for.
#[derive(Clone, Copy)]
pub(super) struct HostName {
    /// As in [`HostPattern`].
    buf: [u8; LONGEST],
    len: usize,
    /// As written, or the scheme's.
    port: u16,
}

impl HostPattern {
    /// The names that it is for.
    pub(super) fn names(&self) -> Names<'_> {
        match self.reach {
            Reach::Exact => Names::Of(self.name.as_bytes()),
            Reach::Below => Names::Below(self.name.as_bytes()),
        }
    }

    /// The port that it asks for.
    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether every host that `other` is for is one of its own.
    pub(super) fn covers(&self, other: &HostPattern) -> bool {
        let named = match (self.reach, other.reach) {
            (Reach::Exact, Reach::Exact) => self.name == other.name,
            (Reach::Exact, Reach::Below) => false,
            (Reach::Below, Reach::Exact) => is_below(other.name.as_bytes(), self.name.as_bytes()),
            (Reach::Below, Reach::Below) => {
                self.name == other.name || is_below(other.name.as_bytes(), self.name.as_bytes())
            }
        };
        named && (self.port.is_none() || self.port == other.port)
    }
}

/// Whether `name` has one label or more in front of `parent`.
fn is_below(name: &[u8], parent: &[u8]) -> bool {
    name.strip_suffix(parent)
        .is_some_and(|front| front.len() > 1 && front.ends_with(b"."))
}

impl FromStr for HostPattern {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<HostPattern, RouteError> {
        if text.contains('/') {
            return Err(RouteError::HostName);
        }
        // Where the port begins can be told only of an address in brackets.
        let is_bracketed = text.starts_with('[');
        if !is_bracketed && text.matches(':').count() > 1 || is_bracketed && !text.contains(']') {
            return Err(RouteError::HostAddress);
        }
        let (host, port) = split_port(text.as_bytes()).ok_or(RouteError::HostPort)?;
        let port = match port {
            None => None,
            Some(digits) => {
                let digits = std::str::from_utf8(digits).map_err(|_| RouteError::HostPort)?;
                Some(digits.parse().map_err(|_| RouteError::HostPort)?)
            }
        };
        let (reach, host) = match host.strip_prefix(b"*.") {
            Some(parent) => (Reach::Below, parent),
            None => (Reach::Exact, host),
        };
        let host = host.strip_suffix(b".").unwrap_or(host);
        let name = match host {
            [b'[', inner @ .., b']'] if reach == Reach::Exact => {
                let address = address(inner).ok_or(RouteError::HostAddress)?;
                format!("[{address}]")
            }
            _ => plain_name(host)?,
        };
        Ok(HostPattern { name, reach, port })
    }
}

fn plain_name(host: &[u8]) -> Result<String, RouteError> {
    if host.is_empty() || host.len() > LONGEST {
        return Err(RouteError::HostLength);
    }
    if host.contains(&b'*') {
        return Err(RouteError::HostWildcard);
    }
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    if !host.iter().all(good) || host.split(|byte| *byte == b'.').any(<[u8]>::is_empty) {
        return Err(RouteError::HostName);
    }
    Ok(String::from_utf8_lossy(host).to_ascii_lowercase())
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reach == Reach::Below {
            f.write_str("*.")?;
        }
        f.write_str(&self.name)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl HostName {
    /// The host of a request's authority, which is well formed; `None` if it is longer than any name.
    pub(super) fn of(authority: &[u8], default_port: u16) -> Option<HostName> {
        let (host, port) = split_port(authority)?;
        let port = port
            .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
            .unwrap_or(default_port);
        let host = host.strip_suffix(b".").unwrap_or(host);
        let mut name = HostName {
            buf: [0; LONGEST],
            len: host.len(),
            port,
        };
        if let [b'[', inner @ .., b']'] = host {
            let text = format!("[{}]", address(inner)?);
            name.len = text.len();
            name.buf[..text.len()].copy_from_slice(text.as_bytes());
            return Some(name);
        }
        let place = name.buf.get_mut(..host.len())?;
        place.copy_from_slice(host);
        place.make_ascii_lowercase();
        Some(name)
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.buf[..self.len]
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

fn address(inner: &[u8]) -> Option<Ipv6Addr> {
    std::str::from_utf8(inner).ok()?.parse().ok()
}

/// Host and the digits behind the colon; an empty port is none (RFC 3986 section 3.2.3).
pub(super) fn split_port(authority: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let host_len = match authority {
        [b'[', ..] => memchr::memchr(b']', authority)? + 1,
        _ => memchr::memchr(b':', authority).unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(host_len);
    match rest {
        [] | [b':'] => Some((host, None)),
        [b':', digits @ ..] => Some((host, Some(digits))),
        _ => None,
    }
}
