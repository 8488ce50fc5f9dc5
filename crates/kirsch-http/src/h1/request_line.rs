//! The request line: method, SP, target, SP, version. Exactly one blank each (RFC 9112 section 3).

use crate::chars;
use crate::dialect::Dialect;
use crate::error::{ProtocolError, ProtocolErrorKind};
use crate::limits::Limits;
use crate::span::Span;

use super::head::{Method, Version};
use super::target::{self, Target};

/// The longest method we look at. The longest registered one, UPDATEREDIRECTREF, has 17 letters.
const METHOD_BYTES: usize = 64;

/// A parsed request line.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) method_name: Span,
    pub(super) target: Target,
    pub(super) version: Version,
    /// The offset behind its CRLF, where the fields begin.
    pub(super) end: usize,
}

/// Checks a request line that may be incomplete against the limits of its parts.
///
/// The verdict on a prefix is the verdict on every longer line, so it does not matter when it is asked.
pub(super) fn check_limits(line: &[u8], limits: &Limits) -> Result<(), ProtocolError> {
    let Some(method_len) = memchr::memchr(b' ', &line[..line.len().min(METHOD_BYTES + 1)]) else {
        return match line.len() > METHOD_BYTES {
            true => Err(ProtocolErrorKind::MethodTooLong.into()),
            false => Ok(()),
        };
    };
    let target = &line[method_len + 1..];
    let target_bytes = limits.target_bytes as usize;
    if target.len() > target_bytes && memchr::memchr(b' ', &target[..=target_bytes]).is_none() {
        let method = Method::from_bytes(&line[..method_len]);
        return Err(ProtocolError::with_method(
            ProtocolErrorKind::TargetTooLong,
            method,
        ));
    }
    Ok(())
}

/// Parses the line that begins at `start` and ends with `buf`, without its CRLF.
pub(super) fn parse(
    buf: &[u8],
    start: usize,
    secured: bool,
    dialect: Dialect,
) -> Result<RequestLine, ProtocolError> {
    let line = &buf[start..];
    dialect
        .check_line(line)
        .map_err(|kind| invalid(line, kind))?;
    let method_len = memchr::memchr(b' ', line).unwrap_or(line.len());
    if !chars::is_token_slice(&line[..method_len]) {
        return Err(invalid(line, ProtocolErrorKind::MethodInvalid));
    }
    let method = Method::from_bytes(&line[..method_len]);
    parse_rest(buf, start, method_len, method, secured, dialect)
        .map_err(|kind| ProtocolError::with_method(invalid(line, kind).kind, method))
}

fn parse_rest(
    buf: &[u8],
    start: usize,
    method_len: usize,
    method: Method,
    secured: bool,
    dialect: Dialect,
) -> Result<RequestLine, ProtocolErrorKind> {
    let method_end = start + method_len;
    let target_start = method_end + 1;
    let Some(target_len) = buf
        .get(target_start..)
        .and_then(|rest| memchr::memchr(b' ', rest))
    else {
        return Err(ProtocolErrorKind::RequestLineInvalid);
    };
    if target_len == 0 {
        return Err(ProtocolErrorKind::RequestLineInvalid);
    }
    let whole = Span::new(target_start, target_start + target_len);
    let version_bytes = &buf[whole.end as usize + 1..];
    target::check_bytes(whole.of(buf))?;
    if method == Method::Other && &buf[start..] == b"PRI * HTTP/2.0" {
        return Err(ProtocolErrorKind::Http2Preface);
    }
    let version = parse_version(version_bytes)?;
    dialect.serves(method)?;
    let target = target::parse(buf, whole, method, secured)?;
    Ok(RequestLine {
        method,
        method_name: Span::new(start, method_end),
        target,
        version,
        end: buf.len() + 2,
    })
}

fn parse_version(bytes: &[u8]) -> Result<Version, ProtocolErrorKind> {
    match bytes {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        // A higher minor version is processed as the highest we know (RFC 9110 section 2.5).
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => Ok(Version::Http11),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(ProtocolErrorKind::VersionUnsupported)
        }
        _ if bytes.iter().any(|&byte| chars::is_blank(byte)) => {
            Err(ProtocolErrorKind::RequestLineInvalid)
        }
        _ => Err(ProtocolErrorKind::VersionInvalid),
    }
}

/// Names the likelier rule: a CR within the line explains whatever else was found.
#[cold]
fn invalid(line: &[u8], kind: ProtocolErrorKind) -> ProtocolError {
    match memchr::memchr(b'\r', line) {
        Some(_) => ProtocolErrorKind::BareCr.into(),
        None => kind.into(),
    }
}
