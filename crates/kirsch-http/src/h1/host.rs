//! Host and optional port: the Host field, and the authority of an absolute target.
//!
//! Strict after RFC 3986 section 3.2.2, for a host that one program reads differently from
//! another leads requests astray.

use std::net::Ipv6Addr;

use crate::chars;

/// The port of https when none is written.
pub(super) const HTTPS_PORT: u16 = 443;

/// A well-formed authority without user information.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Authority<'a> {
    host: &'a [u8],
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Parses `host [":" port]`; `None` if it is malformed or the host is empty.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (host, rest) = match bytes {
            [b'[', inner @ ..] => {
                let close = memchr::memchr(b']', inner)?;
                is_address(&inner[..close]).then_some(())?;
                bytes.split_at(close + 2)
            }
            _ => {
                let host_len = memchr::memchr(b':', bytes).unwrap_or(bytes.len());
                let (host, rest) = bytes.split_at(host_len);
                is_reg_name(host).then_some(())?;
                (host, rest)
            }
        };
        Some(Authority {
            host,
            port: parse_port(rest)?,
        })
    }

    /// Whether both mean the same place: case, default port and a trailing dot aside.
    pub(super) fn is_same(self, other: Authority<'_>, default_port: u16) -> bool {
        self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
            && without_dot(self.host).eq_ignore_ascii_case(without_dot(other.host))
    }
}

/// Whether this is a host with or without a port, as a Host field must be (RFC 9110 section 7.2).
pub fn is_authority(bytes: &[u8]) -> bool {
    Authority::parse(bytes).is_some()
}

/// The port that such an authority names; none if it leaves it to the scheme.
pub fn authority_port(bytes: &[u8]) -> Option<u16> {
    Authority::parse(bytes)?.port
}

/// The port behind a host: nothing, `:` or `:` and digits up to 65535.
fn parse_port(bytes: &[u8]) -> Option<Option<u16>> {
    match bytes {
        // RFC 3986 section 3.2.3 lets the digits be left out behind the colon.
        [] | [b':'] => Some(None),
        [b':', digits @ ..] => {
            let port = chars::parse_decimal(digits).ok()??;
            u16::try_from(port).ok().map(Some)
        }
        _ => None,
    }
}

/// `reg-name`, here never empty; an IPv4 address has this form too.
fn is_reg_name(host: &[u8]) -> bool {
    !host.is_empty()
        && chars::is_reg_name_slice(host)
        && memchr::memchr_iter(b'%', host).all(|at| is_two_digits(&host[at + 1..]))
}

fn is_two_digits(bytes: &[u8]) -> bool {
    matches!(bytes, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// What may stand between brackets: an IPv6 address without zone.
///
/// `IPvFuture` is refused although the grammar has it: no such address exists.
fn is_address(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn without_dot(host: &[u8]) -> &[u8] {
    host.strip_suffix(b".").unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_authorities_pass() {
        for good in [
            "a.test",
            "a.test.",
            "A.test:80",
            "a.test:",
            "a_b.test",
            "127.0.0.1:8000",
            "[::1]",
            "[2001:db8::1]:80",
            "[::ffff:1.2.3.4]",
            "%41.test",
            "a,b",
            "a.test:065535",
            "x",
        ] {
            assert!(Authority::parse(good.as_bytes()).is_some(), "{good}");
        }
    }

    #[test]
    fn malformed_authorities_are_refused() {
        for bad in [
            "",
            ":80",
            "u@a.test",
            "a.test/x",
            "a test",
            "a.test:http",
            "a.test:99999",
            "a.test:80:80",
            "a.test:-1",
            "[::1",
            "::1",
            "[]",
            "[::1]x",
            "[::1]:x",
            "[fe80::1%25eth0]",
            "[v1.x]",
            "a.test?x",
            "a.test#y",
            "%4",
            "%zz",
            "a\"b",
            "a\\b",
            "<a>",
            "\u{e9}.test",
            "a\tb",
            "[a.test]",
        ] {
            assert_eq!(Authority::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn case_default_port_and_trailing_dot_do_not_matter() {
        let same = |left: &str, right: &str, port| {
            let left = Authority::parse(left.as_bytes()).expect("left is well formed");
            let right = Authority::parse(right.as_bytes()).expect("right is well formed");
            left.is_same(right, port)
        };
        assert!(same("A.test:80", "a.test", 80));
        assert!(same("a.test.", "a.test:", 80));
        assert!(same("a.test:443", "a.test", 443));
        assert!(same("[::1]:8080", "[::1]:8080", 80));
        assert!(!same("a.test:443", "a.test", 80));
        assert!(!same("a.test", "b.test", 80));
    }
}
