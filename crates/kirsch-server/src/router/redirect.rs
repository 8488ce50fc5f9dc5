//! Where a redirect leads: a text with places for what the request asked for.

use kirsch_http::encode_target;

use super::error::RouteError;
use super::host::split_port;
use crate::request::Request;

/// An answer that sends the client elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    parts: Vec<Part>,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Host,
    Path,
    Query,
}

impl Redirect {
    /// A redirect to `to` with status 301, 302, 303, 307 or 308.
    ///
    /// In `to`, `{host}` is the host that was asked for, without its port, `{path}` the path that the client asked
    /// for, with what a trusted proxy took off it, and `{query}` the query with its `?`, or nothing where there is none.
    ///
    /// # Errors
    ///
    /// A placeholder or status that is not known, or a text that is neither a URI with a scheme nor a path.
    pub fn new(to: &str, status: u16) -> Result<Redirect, RouteError> {
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Err(RouteError::RedirectStatus(status));
        }
        let parts = parse(to)?;
        let begins_well = match parts.first() {
            Some(Part::Text(text)) => text.starts_with('/') || text.contains("://"),
            Some(Part::Path) => true,
            Some(Part::Host | Part::Query) | None => false,
        };
        if !begins_well || to.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(RouteError::RedirectTarget);
        }
        Ok(Redirect { parts, status })
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// The value of `Location` for this request.
    pub(super) fn location(&self, request: &Request) -> Vec<u8> {
        let mut to = Vec::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::Text(text) => encode(text.as_bytes(), &mut to),
                Part::Host => to.extend_from_slice(host(request)),
                Part::Path => {
                    let mut path = Vec::new();
                    if request.original_path() != b"*" {
                        encode_decoded(request.prefix(), &mut path);
                        encode_target(request.original_path(), &mut path);
                    }
                    let mut path = path.as_slice();
                    // At the start two slashes would begin a host, of the client's choice.
                    while to.is_empty() && path.starts_with(b"//")
                        || to == b"/" && path.starts_with(b"/")
                    {
                        path = &path[1..];
                    }
                    to.extend_from_slice(path);
                }
                Part::Query if request.query().is_empty() => {}
                Part::Query => {
                    to.push(b'?');
                    encode_target(request.query(), &mut to);
                }
            }
        }
        to
    }
}

/// The host asked for without its port; of a client that names none, the listener's.
fn host(request: &Request) -> &[u8] {
    match request.authority().and_then(split_port) {
        Some((host, _)) => host,
        None => request.server_name().as_bytes(),
    }
}

fn parse(to: &str) -> Result<Vec<Part>, RouteError> {
    let mut parts = Vec::new();
    let mut rest = to;
    while let Some((text, behind)) = rest.split_once('{') {
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        let (name, behind) = behind
            .split_once('}')
            .ok_or_else(|| RouteError::RedirectPlaceholder(behind.to_owned()))?;
        parts.push(match name {
            "host" => Part::Host,
            "path" => Part::Path,
            "query" => Part::Query,
            _ => return Err(RouteError::RedirectPlaceholder(name.to_owned())),
        });
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

/// Writes a decoded part of a path.
pub(super) fn encode_decoded(bytes: &[u8], out: &mut Vec<u8>) {
    for part in bytes.split_inclusive(|byte| b"%?".contains(byte)) {
        match part {
            [rest @ .., b'%'] => {
                encode_target(rest, out);
                out.extend_from_slice(b"%25");
            }
            [rest @ .., b'?'] => {
                encode_target(rest, out);
                out.extend_from_slice(b"%3F");
            }
            rest => encode_target(rest, out),
        }
    }
}

/// Writes what no URI may hold (RFC 3986 section 2) with `%`. What the operator has encoded stays as it is.
fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(&[
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        }
    }
}
