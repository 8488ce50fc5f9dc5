//! Reads one request after another from the bytes of a connection: head, body, done, again.
//!
//! The caller owns the buffer. It hands in all bytes it has not consumed yet, and consumes what
//! it is told to. Nothing is copied, and nothing is parsed twice.
//!
//! Rules of residence: no I/O, no clock, no log. An error is final; the reader answers every
//! further question with it, so that nothing behind a bad request can become a request.

use std::mem;

use crate::dialect::Dialect;
use crate::error::{ProtocolError, ProtocolErrorKind};
use crate::limits::Limits;
use crate::span::Span;

use super::chunked::{ChunkedDecoder, Decoded};
use super::fields::{self, Field};
use super::framing::{self, Message};
use super::head::{BodyLength, Head, Method};
use super::request_line::RequestLine;
use super::scan::{Found, Scan};

/// The reading half of an HTTP/1 connection.
#[derive(Clone, Debug)]
pub struct RequestReader {
    state: State,
    /// Whether the connection is secured; only then may a target say https.
    secured: bool,
    dialect: Dialect,
    /// The trailer section of the body, its empty line included, where the dialect keeps it.
    trailers: Vec<u8>,
}

#[derive(Clone, Debug)]
enum State {
    /// Between requests, or in a head.
    Head(Scan),
    /// In the body of a request with this method.
    Body(Body, Method),
    /// At the end of a request; [`RequestReader::restart`] leads on.
    Done,
    /// A rule was broken; there is no way on. The request line, if the head got so far, is for logs.
    Failed(ProtocolError, Option<RequestLine>),
}

#[derive(Clone, Copy, Debug)]
enum Body {
    /// So many bytes are still to come; never 0.
    Length {
        remaining: u64,
    },
    Chunked(ChunkedDecoder),
}

/// What the bytes at hand are to the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyPart {
    /// `buf[skip..skip + len]` is body; the caller consumes `skip + len` bytes. `len` is never 0.
    Data {
        /// Framing in front.
        skip: usize,
        /// Bytes of body.
        len: usize,
    },
    /// No body yet: the caller consumes `consume` bytes (all of them) and reads on.
    NeedMore {
        /// Framing to consume.
        consume: usize,
    },
    /// The body is complete: the caller consumes `consume` bytes; what follows is the next request.
    End {
        /// Framing to consume.
        consume: usize,
    },
}

impl Default for RequestReader {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestReader {
    /// A reader for a connection in plain text, before its first request.
    pub fn new() -> Self {
        RequestReader {
            state: State::Head(Scan::default()),
            secured: false,
            dialect: Dialect::Strict,
            trailers: Vec::new(),
        }
    }

    /// The reader with other rules than the strict ones.
    #[must_use]
    pub fn speaking(self, dialect: Dialect) -> Self {
        RequestReader { dialect, ..self }
    }

    /// The rules it reads by.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// A reader for a connection over TLS: a target may begin with `https://`.
    pub fn secured() -> Self {
        RequestReader {
            secured: true,
            ..Self::new()
        }
    }

    /// Looks for the next head at the start of `buf`, which holds all unread bytes.
    ///
    /// `None` means that more bytes are needed; until then the caller consumes nothing, and the
    /// next call begins where this one stopped. With a head, `fields` holds its field lines, and
    /// the caller consumes [`Head::len`] bytes before it asks for the body.
    ///
    /// # Errors
    ///
    /// The rule that was broken; the same one on every further call.
    ///
    /// # Panics
    ///
    /// If bytes were taken away from the start of `buf` since the last call.
    pub fn next_head(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        fields: &mut Vec<Field>,
    ) -> Result<Option<Head>, ProtocolError> {
        let scan = match &mut self.state {
            State::Head(scan) => scan,
            State::Failed(error, _) => return Err(*error),
            State::Body(..) | State::Done => {
                debug_assert!(
                    false,
                    "next_head() before the request was read and restart() called"
                );
                return Ok(None);
            }
        };
        let parsed = match scan.advance(buf, limits, self.secured, self.dialect) {
            Ok(None) => return Ok(None),
            Ok(Some(found)) => parse_fields(buf, found, limits, fields, self.dialect),
            Err(error) => Err(error),
        };
        match parsed {
            Ok(head) => {
                self.state = after_head(&head, limits, self.dialect);
                Ok(Some(head))
            }
            Err(error) => {
                let line = scan.line();
                Err(self.fail(error, line))
            }
        }
    }

    /// Sets the body limit of the request whose head was just read, in place of [`Limits::body_bytes`]: only the
    /// head tells whose request it is. Does not undo a refusal, so that limit must not be smaller.
    ///
    /// # Errors
    ///
    /// If the length that the head announces is more; the same on every further call.
    pub fn limit_body(&mut self, most: u64) -> Result<(), ProtocolError> {
        match &mut self.state {
            State::Body(Body::Length { remaining }, method) if *remaining > most => {
                let error = ProtocolError::with_method(ProtocolErrorKind::BodyTooLarge, *method);
                Err(self.fail(error, None))
            }
            State::Body(Body::Chunked(decoder), _) => {
                decoder.limit_body(most);
                Ok(())
            }
            State::Body(Body::Length { .. }, _) | State::Done => Ok(()),
            State::Failed(error, _) => Err(*error),
            State::Head(_) => {
                debug_assert!(false, "limit_body() before a head");
                Ok(())
            }
        }
    }

    /// The request line of a head that is not whole or was refused, for logs: a head without fields
    /// and body. `None` if no sound request line has arrived.
    pub fn head_so_far(&self) -> Option<Head> {
        let line = match &self.state {
            State::Head(scan) => scan.line()?,
            State::Failed(_, line) => (*line)?,
            State::Body(..) | State::Done => return None,
        };
        let nothing = Message {
            authority: line.target.authority.map(|authority| authority.span),
            body: BodyLength::None,
            keep_alive: false,
            expect_continue: false,
        };
        Some(to_head(line, nothing, line.end as u32))
    }

    /// Says what `buf`, which begins with the first unconsumed byte behind the head, is to the body.
    ///
    /// The answer counts as carried out: the next call begins behind the bytes that were named.
    ///
    /// # Errors
    ///
    /// The rule that was broken; the same one on every further call.
    pub fn next_body(&mut self, buf: &[u8]) -> Result<BodyPart, ProtocolError> {
        let (body, method) = match &mut self.state {
            State::Body(body, method) => (body, *method),
            State::Done => return Ok(BodyPart::End { consume: 0 }),
            State::Failed(error, _) => return Err(*error),
            State::Head(_) => {
                debug_assert!(false, "next_body() before a head");
                return Ok(BodyPart::NeedMore { consume: 0 });
            }
        };
        match body {
            Body::Length { remaining } => {
                let len = usize::try_from(*remaining).map_or(buf.len(), |rest| rest.min(buf.len()));
                if len == 0 {
                    return Ok(BodyPart::NeedMore { consume: 0 });
                }
                *remaining -= len as u64;
                if *remaining == 0 {
                    self.state = State::Done;
                }
                Ok(BodyPart::Data { skip: 0, len })
            }
            Body::Chunked(decoder) => {
                let before = decoder.trailer_bytes();
                let decoded = decoder.decode(buf);
                let trailer = decoder.trailer_bytes() - before;
                let part = match decoded {
                    Ok(Decoded::Data { skip, len }) => BodyPart::Data { skip, len },
                    Ok(Decoded::NeedMore) => BodyPart::NeedMore { consume: buf.len() },
                    Ok(Decoded::End { consume }) => {
                        self.state = State::Done;
                        BodyPart::End { consume }
                    }
                    Err(kind) => {
                        return Err(self.fail(ProtocolError::with_method(kind, method), None));
                    }
                };
                if let BodyPart::NeedMore { consume } | BodyPart::End { consume } = part
                    && self.dialect.keeps_trailers()
                {
                    self.trailers
                        .extend_from_slice(&buf[consume - trailer..consume]);
                }
                Ok(part)
            }
        }
    }

    /// The trailer section of a body that was read to its end: lines, each with its CRLF. Empty where the dialect
    /// keeps none, and the second time.
    pub fn take_trailers(&mut self) -> Vec<u8> {
        let mut trailers = mem::take(&mut self.trailers);
        trailers.truncate(trailers.len().saturating_sub(b"\r\n".len()));
        trailers
    }

    /// Makes ready for the next request on this connection.
    ///
    /// A body that was not read to its end must never be taken for a request, so nothing happens
    /// unless [`RequestReader::is_body_done`].
    pub fn restart(&mut self) {
        debug_assert!(self.is_body_done(), "restart() before the request was read");
        if self.is_body_done() {
            self.state = State::Head(Scan::default());
            self.trailers.clear();
        }
    }

    /// Whether the request, body included, has been read to its end.
    pub fn is_body_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// How much body is still to come; `None` when the body is done or has not begun.
    ///
    /// The server uses it to decide whether reading the rest is worth keeping the connection.
    pub fn body_remaining(&self) -> BodyLength {
        match &self.state {
            State::Body(Body::Length { remaining }, _) => BodyLength::Known(*remaining),
            State::Body(Body::Chunked(_), _) => BodyLength::Chunked,
            State::Head(_) | State::Done | State::Failed(..) => BodyLength::None,
        }
    }

    /// Whether nothing of a next request has come, with `buffered` as the bytes not yet consumed.
    ///
    /// Then a connection can be closed in silence; a 408 could be taken for the next answer.
    pub fn is_idle(&self, buffered: &[u8]) -> bool {
        matches!(self.state, State::Head(_)) && Scan::nothing_begun(buffered)
    }

    /// Judges the end of the peer's stream, with `buffered` as the bytes not yet consumed.
    ///
    /// A peer may close its side between requests, and behind a request whose answer it awaits.
    ///
    /// # Errors
    ///
    /// If the stream ends within a head or a body.
    pub fn end_of_stream(&self, buffered: &[u8]) -> Result<(), ProtocolError> {
        match &self.state {
            State::Head(_) if Scan::nothing_begun(buffered) => Ok(()),
            State::Head(scan) => Err(scan.error(ProtocolErrorKind::HeadCutShort)),
            State::Body(_, method) => Err(ProtocolError::with_method(
                ProtocolErrorKind::BodyCutShort,
                *method,
            )),
            State::Done => Ok(()),
            State::Failed(error, _) => Err(*error),
        }
    }

    fn fail(&mut self, error: ProtocolError, line: Option<RequestLine>) -> ProtocolError {
        self.state = State::Failed(error, line);
        error
    }
}

fn parse_fields(
    buf: &[u8],
    found: Found,
    limits: &Limits,
    fields: &mut Vec<Field>,
    dialect: Dialect,
) -> Result<Head, ProtocolError> {
    let line = found.line;
    let section = Span::new(line.end, found.end);
    let message = fields::read(buf, section, limits.fields, fields)
        .and_then(|()| {
            framing::decide(
                buf,
                fields,
                line.version,
                line.target.authority,
                limits.body_bytes,
                dialect,
            )
        })
        .map_err(|kind| ProtocolError::with_method(kind, line.method))?;
    Ok(to_head(line, message, section.end))
}

fn to_head(line: RequestLine, message: Message, len: u32) -> Head {
    Head {
        len,
        method: line.method,
        method_name: line.method_name,
        target: line.target.whole,
        form: line.target.form,
        path: line.target.path,
        query: line.target.query,
        authority: message.authority,
        version: line.version,
        body: message.body,
        keep_alive: message.keep_alive,
        expect_continue: message.expect_continue,
    }
}

fn after_head(head: &Head, limits: &Limits, dialect: Dialect) -> State {
    match head.body {
        BodyLength::None | BodyLength::Known(0) => State::Done,
        BodyLength::Known(remaining) => State::Body(Body::Length { remaining }, head.method),
        BodyLength::Chunked => {
            let mut decoder = ChunkedDecoder::new(limits);
            if dialect.counts_framing() {
                decoder.count_framing();
            }
            State::Body(Body::Chunked(decoder), head.method)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FieldName, TargetForm, Version};

    #[test]
    fn a_limit_of_the_request_s_own_takes_the_place_of_the_common_one() {
        let limits = Limits {
            body_bytes: u64::MAX,
            ..Limits::default()
        };
        let read = |framing: &str, body: &[u8], most| {
            let head = format!("POST / HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n\r\n");
            let (mut reader, mut fields) = (RequestReader::new(), Vec::new());
            reader
                .next_head(head.as_bytes(), &limits, &mut fields)
                .expect("it is good");
            reader.limit_body(most)?;
            reader.next_body(body)
        };
        let data = BodyPart::Data { skip: 0, len: 5 };
        let chunk = BodyPart::Data { skip: 3, len: 5 };
        let too_large = ProtocolError::with_method(ProtocolErrorKind::BodyTooLarge, Method::Post);
        assert_eq!(read("Content-Length: 5", b"hello", 5), Ok(data));
        assert_eq!(read("Content-Length: 5", b"hello", 4), Err(too_large));
        assert_eq!(
            read("Transfer-Encoding: chunked", b"5\r\nhello", 5),
            Ok(chunk)
        );
        assert_eq!(
            read("Transfer-Encoding: chunked", b"5\r\nhello", 4),
            Err(too_large)
        );
    }

    #[test]
    fn a_request_with_a_body_is_read_and_the_next_one_follows() {
        let bytes = b"POST /a?b HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n";
        let (mut reader, mut fields, limits) =
            (RequestReader::new(), Vec::new(), Limits::default());

        let head = reader
            .next_head(bytes, &limits, &mut fields)
            .expect("it is good")
            .expect("it is whole");
        assert_eq!(
            (head.method, head.version, head.form),
            (Method::Post, Version::Http11, TargetForm::Origin)
        );
        assert_eq!(
            (head.path.of(bytes), head.query.of(bytes)),
            (&b"/a"[..], &b"b"[..])
        );
        assert_eq!(
            head.authority.map(|span| span.of(bytes)),
            Some(&b"a.test"[..])
        );
        assert_eq!(
            (head.body, head.keep_alive, head.expect_continue),
            (BodyLength::Known(5), true, false)
        );
        assert_eq!(
            fields.iter().map(|field| field.known).collect::<Vec<_>>(),
            [FieldName::Host, FieldName::ContentLength]
        );

        let rest = &bytes[head.len as usize..];
        assert_eq!(
            reader.next_body(rest),
            Ok(BodyPart::Data { skip: 0, len: 5 })
        );
        assert_eq!(
            reader.next_body(&rest[5..]),
            Ok(BodyPart::End { consume: 0 })
        );

        reader.restart();
        let rest = &rest[5..];
        let head = reader
            .next_head(rest, &limits, &mut fields)
            .expect("it is good")
            .expect("it is whole");
        assert_eq!(
            (head.len as usize, head.body, head.keep_alive),
            (rest.len(), BodyLength::None, false)
        );
        assert!(fields.is_empty() && head.authority.is_none() && reader.is_body_done());
    }

    /// A reader that has read one head, with the bytes behind it.
    fn after_head<'a>(bytes: &'a [u8], limits: &Limits) -> (RequestReader, &'a [u8]) {
        let mut reader = RequestReader::new();
        let head = reader
            .next_head(bytes, limits, &mut Vec::new())
            .expect("it is good")
            .expect("it is whole");
        (reader, &bytes[head.len as usize..])
    }

    fn error_of(bytes: &[u8], limits: &Limits) -> Option<ProtocolErrorKind> {
        RequestReader::new()
            .next_head(bytes, limits, &mut Vec::new())
            .err()
            .map(|error| error.kind)
    }

    #[test]
    fn an_error_is_final() {
        let (mut reader, mut fields, limits) =
            (RequestReader::new(), Vec::new(), Limits::default());
        let error = reader
            .next_head(b"HEAD / HTTP/1.1\r\n\r\n", &limits, &mut fields)
            .expect_err("no Host");
        assert_eq!(
            error,
            ProtocolError::with_method(ProtocolErrorKind::HostMissing, Method::Head)
        );
        let good = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
        assert_eq!(reader.next_head(good, &limits, &mut fields), Err(error));
        assert_eq!(reader.next_body(good), Err(error));
        assert_eq!(reader.end_of_stream(b""), Err(error));
    }

    #[test]
    fn a_peer_may_leave_between_requests_only() {
        let fresh = RequestReader::new();
        for fine in [&b""[..], b"\r", b"\r\n", b"\r\n\r\n"] {
            assert_eq!(
                (fresh.end_of_stream(fine), fresh.is_idle(fine)),
                (Ok(()), true)
            );
        }
        let cut = |reader: &RequestReader, bytes: &[u8]| {
            reader.end_of_stream(bytes).err().map(|error| error.kind)
        };
        assert_eq!(cut(&fresh, b"G"), Some(ProtocolErrorKind::HeadCutShort));
        assert!(!fresh.is_idle(b"G"));

        let limits = Limits::default();
        let (reader, _) = after_head(b"GET / HTTP/1.0\r\n\r\n", &limits);
        assert_eq!(cut(&reader, b""), None);
        let (reader, _) = after_head(b"GET / HTTP/1.0\r\nContent-Length: 1\r\n\r\n", &limits);
        assert_eq!(cut(&reader, b""), Some(ProtocolErrorKind::BodyCutShort));
    }

    #[test]
    fn the_rest_of_a_body_is_told() {
        let limits = Limits::default();
        let (mut reader, rest) =
            after_head(b"GET / HTTP/1.0\r\nContent-Length: 9\r\n\r\nhello", &limits);
        assert_eq!(reader.body_remaining(), BodyLength::Known(9));
        assert_eq!(
            reader.next_body(rest),
            Ok(BodyPart::Data { skip: 0, len: 5 })
        );
        assert_eq!(reader.body_remaining(), BodyLength::Known(4));
        assert_eq!(reader.next_body(b""), Ok(BodyPart::NeedMore { consume: 0 }));

        let chunked = b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET";
        let (mut reader, rest) = after_head(chunked, &limits);
        assert_eq!(reader.body_remaining(), BodyLength::Chunked);
        assert_eq!(
            reader.next_body(rest),
            Ok(BodyPart::Data { skip: 3, len: 5 })
        );
        assert_eq!(
            reader.next_body(&rest[8..]),
            Ok(BodyPart::End { consume: 7 })
        );
        assert_eq!(
            (reader.body_remaining(), reader.is_body_done()),
            (BodyLength::None, true)
        );
    }

    #[test]
    fn https_targets_are_for_secured_connections() {
        let bytes = b"GET https://a.test:443/x HTTP/1.1\r\nHost: a.test\r\n\r\n";
        let limits = Limits::default();
        assert_eq!(
            error_of(bytes, &limits),
            Some(ProtocolErrorKind::SecureTargetOnPlainPort)
        );
        let head = RequestReader::secured().next_head(bytes, &limits, &mut Vec::new());
        let head = head.expect("it is good").expect("it is whole");
        assert_eq!(
            (head.form, head.path.of(bytes)),
            (TargetForm::Absolute, &b"/x"[..])
        );
        assert_eq!(
            head.authority.map(|span| span.of(bytes)),
            Some(&b"a.test:443"[..])
        );
    }

    #[test]
    fn limits_are_met_exactly() {
        let bytes = b"GET /abc HTTP/1.1\r\nHost: a\r\nA: 1\r\n\r\n";
        let exact = Limits {
            head_bytes: bytes.len() as u32,
            target_bytes: 4,
            fields: 2,
            ..Limits::default()
        };
        assert_eq!(error_of(bytes, &exact), None);
        let short = Limits {
            head_bytes: exact.head_bytes - 1,
            ..exact
        };
        assert_eq!(
            error_of(bytes, &short),
            Some(ProtocolErrorKind::HeadTooLarge)
        );
        assert_eq!(error_of(&bytes[..bytes.len() - 1], &short), None);
        let short = Limits {
            target_bytes: 3,
            ..exact
        };
        assert_eq!(
            error_of(bytes, &short),
            Some(ProtocolErrorKind::TargetTooLong)
        );
        assert_eq!(
            error_of(b"GET /abc", &short),
            Some(ProtocolErrorKind::TargetTooLong)
        );
        assert_eq!(error_of(b"GET /abc", &exact), None);
        let short = Limits { fields: 1, ..exact };
        assert_eq!(
            error_of(bytes, &short),
            Some(ProtocolErrorKind::TooManyFields)
        );
    }

    #[test]
    fn whoever_does_not_speak_http_hears_so_at_once() {
        use ProtocolErrorKind as Kind;
        let table: &[(&[u8], Kind)] = &[
            (b"\x16", Kind::TlsOnPlainPort),
            (b"\0", Kind::MethodInvalid),
            (b"\n", Kind::BareLf),
            (b"\rX", Kind::BareCr),
            (b"EHLO a.test\r\n", Kind::RequestLineInvalid),
            (b"PRI * HTTP/2.0\r\n", Kind::Http2Preface),
            (b"GET / HTTP/1.1\n", Kind::BareLf),
            (b"GET /\r\n", Kind::RequestLineInvalid),
        ];
        for (bytes, kind) in table {
            assert_eq!(
                error_of(bytes, &Limits::default()),
                Some(*kind),
                "{}",
                bytes.escape_ascii()
            );
        }
    }

    #[test]
    fn the_request_line_of_a_refused_head_is_known() {
        let (mut reader, mut fields, limits) =
            (RequestReader::new(), Vec::new(), Limits::default());
        let bytes = b"POST /a?b HTTP/1.1\r\nContent-Length: x\r\n\r\n";
        assert!(reader.head_so_far().is_none());
        reader
            .next_head(bytes, &limits, &mut fields)
            .expect_err("no host, no length");
        let head = reader.head_so_far().expect("its line is sound");
        assert_eq!(
            (head.method_name.of(bytes), head.target.of(bytes)),
            (&b"POST"[..], &b"/a?b"[..])
        );
    }

    #[test]
    fn nothing_is_known_of_a_request_line_that_is_not_sound() {
        let (mut reader, mut fields, limits) =
            (RequestReader::new(), Vec::new(), Limits::default());
        reader
            .next_head(b"GET  /a HTTP/1.1\r\n", &limits, &mut fields)
            .expect_err("two blanks");
        assert!(reader.head_so_far().is_none());
    }
}
