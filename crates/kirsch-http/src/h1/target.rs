//! The request target: origin-form, absolute-form or asterisk-form (RFC 9112 section 3.2).

use crate::error::ProtocolErrorKind;
use crate::span::Span;

use super::head::{Method, TargetForm};
use super::host::{self, Authority};

/// A parsed target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) whole: Span,
    pub(super) form: TargetForm,
    pub(super) path: Span,
    pub(super) query: Span,
    /// Only an absolute target has one.
    pub(super) authority: Option<TargetAuthority>,
}

/// Host and port of an absolute target.
#[derive(Clone, Copy, Debug)]
pub(super) struct TargetAuthority {
    pub(super) span: Span,
    /// The port that the scheme means when none is written.
    pub(super) default_port: u16,
}

/// Refuses what no client means: control bytes and `#`, which would be a fragment.
///
/// RFC 3986 allows less; but browsers and curl send ``"<>\^`{|}`` and bytes from 0x80 up, and
/// every server we compared serves them. They are handed on unchanged.
pub(super) fn check_bytes(target: &[u8]) -> Result<(), ProtocolErrorKind> {
    let good = target.iter().fold(true, |good, &byte| {
        good & (byte > b' ') & (byte != 0x7f) & (byte != b'#')
    });
    if good {
        Ok(())
    } else {
        Err(ProtocolErrorKind::TargetInvalid)
    }
}

/// Finds the parts of the target at `whole`, whose bytes are good.
pub(super) fn parse(
    buf: &[u8],
    whole: Span,
    method: Method,
    secured: bool,
) -> Result<Target, ProtocolErrorKind> {
    let bytes = whole.of(buf);
    if method == Method::Connect {
        return Ok(without_path(whole, TargetForm::Authority));
    }
    if bytes[0] == b'/' {
        return with_path(buf, whole, TargetForm::Origin, whole.start, None);
    }
    if bytes == b"*" {
        return match method {
            Method::Options => Ok(without_path(whole, TargetForm::Asterisk)),
            _ => Err(ProtocolErrorKind::AsteriskWithoutOptions),
        };
    }
    parse_absolute(buf, whole, secured)
}

/// A target that names no path: all of it stands in the path's place.
fn without_path(whole: Span, form: TargetForm) -> Target {
    let query = Span {
        start: whole.end,
        end: whole.end,
    };
    Target {
        whole,
        form,
        path: whole,
        query,
        authority: None,
    }
}

fn parse_absolute(buf: &[u8], whole: Span, secured: bool) -> Result<Target, ProtocolErrorKind> {
    let bytes = whole.of(buf);
    let scheme_len =
        memchr::memmem::find(bytes, b"://").ok_or(ProtocolErrorKind::TargetFormInvalid)?;
    let scheme = &bytes[..scheme_len];
    let default_port = if scheme.eq_ignore_ascii_case(b"http") {
        80
    } else if scheme.eq_ignore_ascii_case(b"https") {
        443
    } else if is_scheme(scheme) {
        return Err(ProtocolErrorKind::SchemeUnknown);
    } else {
        return Err(ProtocolErrorKind::TargetFormInvalid);
    };
    let rest = &bytes[scheme_len + 3..];
    let authority_len = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let authority = &rest[..authority_len];
    if memchr::memchr(b'@', authority).is_some() {
        return Err(ProtocolErrorKind::UserinfoInTarget);
    }
    Authority::parse(authority).ok_or(ProtocolErrorKind::AuthorityInvalid)?;
    if default_port == host::HTTPS_PORT && !secured {
        return Err(ProtocolErrorKind::SecureTargetOnPlainPort);
    }
    let start = whole.start as usize + scheme_len + 3;
    let span = Span::new(start, start + authority_len);
    let authority = TargetAuthority { span, default_port };
    with_path(buf, whole, TargetForm::Absolute, span.end, Some(authority))
}

/// Splits path and query, which begin at `path_start` and end with the target.
fn with_path(
    buf: &[u8],
    whole: Span,
    form: TargetForm,
    path_start: u32,
    authority: Option<TargetAuthority>,
) -> Result<Target, ProtocolErrorKind> {
    let bytes = Span {
        start: path_start,
        end: whole.end,
    }
    .of(buf);
    let (path_len, query_at) = match memchr::memchr(b'?', bytes) {
        Some(at) => (at, at + 1),
        None => (bytes.len(), bytes.len()),
    };
    if holds_nul(&bytes[..path_len]) {
        return Err(ProtocolErrorKind::NulInPath);
    }
    let path = Span {
        start: path_start,
        end: path_start + path_len as u32,
    };
    let query = Span {
        start: path_start + query_at as u32,
        end: whole.end,
    };
    Ok(Target {
        whole,
        form,
        path,
        query,
        authority,
    })
}

/// Whether the decoded path would hold a NUL, which ends a file name for the system.
fn holds_nul(path: &[u8]) -> bool {
    memchr::memchr_iter(b'%', path).any(|at| path[at + 1..].starts_with(b"00"))
}

/// `scheme` of RFC 3986 section 3.1.
fn is_scheme(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}
