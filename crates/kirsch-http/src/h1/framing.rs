//! What the fields say about the message: how long the body is, and what becomes of the connection.
//!
//! RFC 9112 section 6.3, in its strict reading: whatever could be understood in two ways is
//! refused, since a proxy in front may have understood it in the other one (request smuggling).

use crate::chars;
use crate::dialect::Dialect;
use crate::error::ProtocolErrorKind;
use crate::field_name::FieldName;
use crate::span::Span;

use super::fields::Field;
use super::head::{BodyLength, Version};
use super::host::Authority;
use super::target::TargetAuthority;

/// The facts that were found among the fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub(super) authority: Option<Span>,
    pub(super) body: BodyLength,
    pub(super) keep_alive: bool,
    pub(super) expect_continue: bool,
}

/// Decides over the fields of a head.
pub(super) fn decide(
    buf: &[u8],
    fields: &[Field],
    version: Version,
    target: Option<TargetAuthority>,
    body_bytes: u64,
    dialect: Dialect,
) -> Result<Message, ProtocolErrorKind> {
    let seen = Seen::gather(buf, fields)?;
    let authority = authority(buf, seen.host, version, target, dialect)?;
    let body = body_length(buf, &seen, version, body_bytes, dialect)?;
    let keep_alive = match version {
        // Which of two lengths a proxy took for the body's nobody knows: nothing is read behind it.
        Version::Http11 if seen.coding != Coding::None && seen.content_length.is_some() => false,
        Version::Http11 => !seen.connection.close,
        Version::Http10 => seen.connection.keep_alive && !seen.connection.close,
    };
    // RFC 9110 section 10.1.1: an HTTP/1.0 client cannot read a 100, so its expectation is ignored.
    let expectation = match version {
        Version::Http11 => seen.expectation,
        Version::Http10 => Expectation::None,
    };
    let expect_continue = match expectation {
        Expectation::None => false,
        Expectation::Continue => !body.is_empty(),
        Expectation::Unknown => return Err(ProtocolErrorKind::ExpectationUnknown),
    };
    Ok(Message {
        authority,
        body,
        keep_alive,
        expect_continue,
    })
}

/// The fields that decide something, found in one pass.
#[derive(Default)]
struct Seen {
    host: Option<Span>,
    content_length: Option<Span>,
    coding: Coding,
    connection: Connection,
    expectation: Expectation,
    has_content_type: bool,
}

impl Seen {
    fn gather(buf: &[u8], fields: &[Field]) -> Result<Self, ProtocolErrorKind> {
        let mut seen = Seen::default();
        for field in fields {
            let value = field.value.of(buf);
            match field.known {
                FieldName::Host => {
                    once(&mut seen.host, field.value, ProtocolErrorKind::HostRepeated)?;
                }
                FieldName::ContentLength => {
                    // Equal ones too: RFC 9110 section 8.6 lets us refuse them.
                    once(
                        &mut seen.content_length,
                        field.value,
                        ProtocolErrorKind::ContentLengthRepeated,
                    )?;
                }
                FieldName::ContentType if seen.has_content_type => {
                    return Err(ProtocolErrorKind::ContentTypeRepeated);
                }
                FieldName::ContentType => seen.has_content_type = true,
                FieldName::TransferEncoding => seen.coding.add_line(value)?,
                FieldName::Connection => seen.connection.add_line(value),
                FieldName::Expect => seen.expectation.add_line(value),
                // No other field says anything about the message.
                _ => {}
            }
        }
        Ok(seen)
    }
}

fn once(
    slot: &mut Option<Span>,
    value: Span,
    repeated: ProtocolErrorKind,
) -> Result<(), ProtocolErrorKind> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(repeated),
    }
}

/// RFC 9112 section 3.2: which host is asked.
fn authority(
    buf: &[u8],
    host: Option<Span>,
    version: Version,
    target: Option<TargetAuthority>,
    dialect: Dialect,
) -> Result<Option<Span>, ProtocolErrorKind> {
    let Some(span) = host else {
        // An absolute target does not excuse a missing Host (section 3.2.2).
        return match version {
            Version::Http11 if dialect.wants_host() => Err(ProtocolErrorKind::HostMissing),
            Version::Http11 | Version::Http10 => Ok(target.map(|target| target.span)),
        };
    };
    if span.is_empty() {
        return Err(ProtocolErrorKind::HostEmpty);
    }
    let host = match Authority::parse(span.of(buf)) {
        Some(host) => host,
        None if target.is_none() && dialect.takes_host(span.of(buf)) => return Ok(Some(span)),
        None => return Err(ProtocolErrorKind::HostInvalid),
    };
    let Some(target) = target else {
        return Ok(Some(span));
    };
    if dialect.prefers_target() {
        return Ok(Some(target.span));
    }
    // Section 3.2.2 would let the target win; a request that names two hosts is safer refused.
    match Authority::parse(target.span.of(buf)) {
        Some(wanted) if wanted.is_same(host, target.default_port) => Ok(Some(target.span)),
        Some(_) | None => Err(ProtocolErrorKind::HostMismatch),
    }
}

/// RFC 9112 section 6.3, the rules for requests.
fn body_length(
    buf: &[u8],
    seen: &Seen,
    version: Version,
    limit: u64,
    dialect: Dialect,
) -> Result<BodyLength, ProtocolErrorKind> {
    if seen.coding != Coding::None {
        // 1. HTTP/1.0 knows no transfer codings; a proxy that speaks it would look for the length.
        if version == Version::Http10 {
            return Err(ProtocolErrorKind::CodingInHttp10);
        }
        // 2. Both: the classic of request smuggling.
        if seen.content_length.is_some() && !dialect.takes_both_lengths() {
            return Err(ProtocolErrorKind::LengthAndCoding);
        }
        // 3. Chunked, and nothing but chunked.
        return seen.coding.body_length();
    }
    // 4. Neither: no body.
    let Some(value) = seen.content_length else {
        return Ok(BodyLength::None);
    };
    // 5. A length.
    match chars::parse_decimal(value.of(buf)) {
        Ok(None) => Err(ProtocolErrorKind::ContentLengthInvalid),
        Ok(Some(length)) if length <= limit => Ok(BodyLength::Known(length)),
        Ok(Some(_)) | Err(chars::Overflow) => Err(ProtocolErrorKind::BodyTooLarge),
    }
}

/// What the Transfer-Encoding lines say so far, read as one list.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Coding {
    /// No such line.
    #[default]
    None,
    /// Chunked alone.
    Chunked,
    /// Other codings, chunked not among them.
    Other,
    /// Other codings, then chunked.
    OtherThenChunked,
    /// Something behind chunked that is not chunked.
    ChunkedThenOther,
}

impl Coding {
    fn add_line(&mut self, value: &[u8]) -> Result<(), ProtocolErrorKind> {
        for element in value.split(|&byte| byte == b',').map(chars::trim_blanks) {
            if element.is_empty() {
                return Err(ProtocolErrorKind::CodingListInvalid);
            }
            *self = self.then(element.eq_ignore_ascii_case(b"chunked"))?;
        }
        Ok(())
    }

    fn then(self, is_chunked: bool) -> Result<Coding, ProtocolErrorKind> {
        match (self, is_chunked) {
            (Coding::None, true) => Ok(Coding::Chunked),
            (Coding::None | Coding::Other, false) => Ok(Coding::Other),
            (Coding::Other, true) => Ok(Coding::OtherThenChunked),
            (Coding::Chunked | Coding::OtherThenChunked | Coding::ChunkedThenOther, false) => {
                Ok(Coding::ChunkedThenOther)
            }
            (Coding::Chunked | Coding::OtherThenChunked | Coding::ChunkedThenOther, true) => {
                Err(ProtocolErrorKind::ChunkedRepeated)
            }
        }
    }

    fn body_length(self) -> Result<BodyLength, ProtocolErrorKind> {
        match self {
            Coding::None => Ok(BodyLength::None),
            Coding::Chunked => Ok(BodyLength::Chunked),
            Coding::Other | Coding::ChunkedThenOther => Err(ProtocolErrorKind::ChunkedNotLast),
            Coding::OtherThenChunked => Err(ProtocolErrorKind::CodingUnknown),
        }
    }
}

/// What the Connection lines ask for; the other options on the list mean nothing to us.
#[derive(Clone, Copy, Default)]
struct Connection {
    close: bool,
    keep_alive: bool,
}

impl Connection {
    fn add_line(&mut self, value: &[u8]) {
        for element in value.split(|&byte| byte == b',').map(chars::trim_blanks) {
            self.close |= element.eq_ignore_ascii_case(b"close");
            self.keep_alive |= element.eq_ignore_ascii_case(b"keep-alive");
        }
    }
}

/// What the Expect lines ask for.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Expectation {
    #[default]
    None,
    Continue,
    Unknown,
}

impl Expectation {
    /// One line is a list too, whose empty elements mean nothing (RFC 9110 section 5.6.1).
    fn add_line(&mut self, value: &[u8]) {
        let elements = value.split(|&byte| byte == b',').map(chars::trim_blanks);
        for element in elements.filter(|element| !element.is_empty()) {
            let is_continue = element.eq_ignore_ascii_case(b"100-continue");
            *self = match (*self, is_continue) {
                (Expectation::None | Expectation::Continue, true) => Expectation::Continue,
                (Expectation::Unknown, true) | (_, false) => Expectation::Unknown,
            };
        }
    }
}
