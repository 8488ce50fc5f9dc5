//! The head of a response: validated while it is copied into the one buffer that is sent.
//!
//! The gateway fills it from what the application gave; every refusal is raised into the
//! application before a byte is on the wire. [`ResponseHead::finish`] adds what is the server's.

use std::ops::Range;

use crate::chars;
use crate::error::ResponseError;

use super::head::{RequestFacts, Version};
use super::response_body::{Framing, ResponseBody};
use super::server_fields::{CommonFields, push_common, push_connection, push_field, push_length};

/// The interim response that asks for the body (RFC 9110 section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Always our own version, whatever the request's was (RFC 9110 section 2.5).
const VERSION: &[u8] = b"HTTP/1.1 ";

/// Room for the head of a usual answer, so that the buffer seldom grows.
const CAPACITY: usize = 512;

/// A response head under construction.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status line and the fields so far, ready to be sent.
    buf: Vec<u8>,
    status: u16,
    content_length: Option<ContentLength>,
    connection: Wish,
    seen: Seen,
}

/// The Content-Length the application gave.
#[derive(Clone, Debug)]
struct ContentLength {
    value: u64,
    /// Its line in the buffer: it is cut out again where no length may be sent.
    line: Range<usize>,
}

/// What the application said about the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    None,
    Close,
}

/// Fields that the server adds unless the application did.
#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    date: bool,
    server: bool,
    request_id: bool,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self::new()
    }
}

impl ResponseHead {
    /// An empty head with a buffer of its own.
    pub fn new() -> Self {
        Self::with_buffer(Vec::with_capacity(CAPACITY))
    }

    /// An empty head in a buffer that served before; its contents are dropped, its capacity is kept.
    pub fn with_buffer(mut buf: Vec<u8>) -> Self {
        buf.clear();
        ResponseHead {
            buf,
            status: 0,
            content_length: None,
            connection: Wish::None,
            seen: Seen::default(),
        }
    }

    /// Forgets everything: `start_response` was called again with `exc_info`.
    pub fn clear(&mut self) {
        *self = Self::with_buffer(std::mem::take(&mut self.buf));
    }

    /// Begins the head with a status such as `200 OK`.
    ///
    /// # Errors
    ///
    /// If it is not three digits, a blank and a (possibly empty) reason, or not a final status.
    pub fn status(&mut self, status: &[u8]) -> Result<(), ResponseError> {
        let [
            d1 @ b'0'..=b'9',
            d2 @ b'0'..=b'9',
            d3 @ b'0'..=b'9',
            b' ',
            reason @ ..,
        ] = status
        else {
            return Err(ResponseError::StatusInvalid);
        };
        if *d1 < b'2' {
            return Err(ResponseError::StatusOutOfRange);
        }
        if !chars::is_value_slice(reason) {
            return Err(ResponseError::ReasonInvalid);
        }
        self.clear();
        self.status = [d1, d2, d3]
            .into_iter()
            .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        self.buf.extend_from_slice(VERSION);
        self.buf.extend_from_slice(status);
        self.buf.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Adds a field. Blanks around the value are taken off, as every recipient would do.
    ///
    /// `Connection: close` and `Connection: keep-alive` are noted and not copied: the server
    /// writes that line.
    ///
    /// # Errors
    ///
    /// If name or value holds a character it must not hold, or the field is the server's.
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), ResponseError> {
        debug_assert!(self.status != 0, "field() before status()");
        if !chars::is_token_slice(name) {
            return Err(ResponseError::NameInvalid);
        }
        if !chars::is_value_slice(value) {
            return Err(ResponseError::ValueInvalid);
        }
        match Special::of(name) {
            Special::None => self.push(name, value),
            Special::Date => {
                self.seen.date = true;
                self.push(name, value);
            }
            Special::Server => {
                self.seen.server = true;
                self.push(name, value);
            }
            Special::RequestId => {
                self.seen.request_id = true;
                self.push(name, value);
            }
            Special::ContentLength => self.push_content_length(name, value)?,
            Special::Connection => self.note_connection(value)?,
            Special::HopByHop => return Err(ResponseError::HopByHop),
        }
        Ok(())
    }

    /// Adds what is the server's, ends the head and decides how the body is framed.
    ///
    /// `known_length` is the length of the whole body if the server knows it; `keep_alive` whether
    /// the server wants to keep the connection.
    pub fn finish(
        &mut self,
        request: &RequestFacts,
        known_length: Option<u64>,
        common: &CommonFields<'_>,
        keep_alive: bool,
    ) -> ResponseBody {
        debug_assert!(self.status != 0, "finish() before status()");
        let framing = self.frame(request, known_length);
        let keep_alive = keep_alive
            && request.keep_alive
            && self.connection != Wish::Close
            && framing != Framing::UntilClose;
        let missing = CommonFields {
            date: if self.seen.date { b"" } else { common.date },
            server: common.server.filter(|_| !self.seen.server),
            request_id: common.request_id.filter(|_| !self.seen.request_id),
            keep_alive: None,
        };
        push_common(&mut self.buf, &missing);
        push_connection(&mut self.buf, request.version, keep_alive, common);
        self.buf.extend_from_slice(b"\r\n");
        ResponseBody::new(framing, keep_alive)
    }

    /// Hands over the buffer.
    pub fn into_bytes(self) -> Vec<u8> {
        self.buf
    }

    /// The head as it is sent, once [`ResponseHead::finish`] was called.
    pub fn bytes(&self) -> &[u8] {
        &self.buf
    }

    /// The status as given, without the version; empty before [`ResponseHead::status`].
    pub fn status_text(&self) -> &[u8] {
        self.lines()
            .next()
            .and_then(|line| line.strip_prefix(VERSION))
            .unwrap_or_default()
    }

    /// The fields so far: names as given, and values. What was noted of the connection is not among them.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines().skip(1).filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], chars::trim_blanks(&line[colon + 1..])))
        })
    }

    /// The lines so far. Neither statuses nor values hold an end of line.
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.buf
            .split(|&byte| byte == b'\n')
            .filter_map(|line| line.strip_suffix(b"\r"))
            .filter(|line| !line.is_empty())
    }

    /// The status code; 0 before [`ResponseHead::status`].
    pub fn status_code(&self) -> u16 {
        self.status
    }

    /// The Content-Length the application gave.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length.as_ref().map(|length| length.value)
    }

    /// Whether the application said `Connection: close`.
    pub fn wants_close(&self) -> bool {
        self.connection == Wish::Close
    }

    /// Whether the application gave an X-Request-ID.
    pub fn has_request_id(&self) -> bool {
        self.seen.request_id
    }

    /// RFC 9112 section 6.3 from the sender's side, rule by rule; writes the field that says it.
    fn frame(&mut self, request: &RequestFacts, known_length: Option<u64>) -> Framing {
        match (self.status, request.is_head) {
            // 1. No body and no length (RFC 9110 section 8.6).
            (204, _) => {
                self.drop_content_length();
                Framing::NoContent
            }
            // 2. No body; a length would be that of the 200, which only the application knows.
            (304, _) => Framing::NoContent,
            // 3. No content either, but said with a length (RFC 9110 section 15.3.6).
            (205, _) => {
                self.drop_content_length();
                push_length(&mut self.buf, 0);
                Framing::NoContent
            }
            // 4. HEAD: the fields of the GET without its body. An empty body tells nothing: many
            //    applications leave the body out themselves.
            (_, true) => {
                if let (None, Some(length @ 1..)) = (&self.content_length, known_length) {
                    push_length(&mut self.buf, length);
                }
                Framing::HeadOnly
            }
            (_, false) => self.frame_content(request, known_length),
        }
    }

    fn frame_content(&mut self, request: &RequestFacts, known_length: Option<u64>) -> Framing {
        // 5. The application's own length.
        if let Some(length) = &self.content_length {
            return Framing::Length {
                remaining: length.value,
            };
        }
        // 6. The server's.
        if let Some(length) = known_length {
            push_length(&mut self.buf, length);
            return Framing::Length { remaining: length };
        }
        match request.version {
            // 7. Unknown: chunks.
            Version::Http11 => {
                self.buf
                    .extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                Framing::Chunked
            }
            // 8. Unknown, to a client that understands no chunks: the end of the connection.
            Version::Http10 => Framing::UntilClose,
        }
    }

    pub(super) fn push(&mut self, name: &[u8], value: &[u8]) {
        push_field(&mut self.buf, name, chars::trim_blanks(value));
    }

    /// Adds lines as they stand.
    pub(super) fn push_lines(&mut self, lines: &[u8]) {
        self.buf.extend_from_slice(lines);
    }

    /// Has the server not add the fields of its own that are so called.
    pub(super) fn mark_seen(&mut self, is_meant: impl Fn(&[u8]) -> bool) {
        self.seen.server |= is_meant(b"server");
        self.seen.request_id |= is_meant(b"x-request-id");
    }

    /// Takes all lines out, to be put in again one by one.
    pub(super) fn take_lines(&mut self) -> Vec<u8> {
        self.content_length = None;
        let room = self.buf.capacity();
        std::mem::replace(&mut self.buf, Vec::with_capacity(room))
    }

    fn push_content_length(&mut self, name: &[u8], value: &[u8]) -> Result<(), ResponseError> {
        let Ok(Some(length)) = chars::parse_decimal(value) else {
            return Err(ResponseError::ContentLengthInvalid);
        };
        match &self.content_length {
            // The same again: sent once.
            Some(first) if first.value == length => Ok(()),
            Some(_) => Err(ResponseError::ContentLengthConflict),
            None => {
                let start = self.buf.len();
                self.push(name, value);
                self.content_length = Some(ContentLength {
                    value: length,
                    line: start..self.buf.len(),
                });
                Ok(())
            }
        }
    }

    fn drop_content_length(&mut self) {
        if let Some(length) = self.content_length.take() {
            self.buf.drain(length.line);
        }
    }

    fn note_connection(&mut self, value: &[u8]) -> Result<(), ResponseError> {
        let value = chars::trim_blanks(value);
        if value.eq_ignore_ascii_case(b"close") {
            self.connection = Wish::Close;
            Ok(())
        } else if value.eq_ignore_ascii_case(b"keep-alive") {
            Ok(())
        } else {
            Err(ResponseError::HopByHop)
        }
    }
}

/// The fields that mean something to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Special {
    None,
    Date,
    Server,
    RequestId,
    ContentLength,
    Connection,
    /// The hop-by-hop fields of RFC 2616 section 13.5.1, which PEP 3333 forbids applications.
    HopByHop,
}

/// Whether a field is the server's to send: it frames the message, describes the connection, or has to be
/// in every response (RFC 9110 section 6.6.1).
pub(crate) fn is_servers_own(name: &[u8]) -> bool {
    match Special::of(name) {
        Special::Date | Special::ContentLength | Special::Connection | Special::HopByHop => true,
        Special::None | Special::Server | Special::RequestId => false,
    }
}

impl Special {
    #[inline]
    fn of(name: &[u8]) -> Special {
        let (text, special): (&[u8], Special) = match name.len() {
            2 => (b"te", Special::HopByHop),
            4 => (b"date", Special::Date),
            6 => (b"server", Special::Server),
            7 if name[0] | 0x20 == b't' => (b"trailer", Special::HopByHop),
            7 => (b"upgrade", Special::HopByHop),
            8 => (b"trailers", Special::HopByHop),
            10 if name[0] | 0x20 == b'c' => (b"connection", Special::Connection),
            10 => (b"keep-alive", Special::HopByHop),
            12 => (b"x-request-id", Special::RequestId),
            14 => (b"content-length", Special::ContentLength),
            17 => (b"transfer-encoding", Special::HopByHop),
            18 => (b"proxy-authenticate", Special::HopByHop),
            19 => (b"proxy-authorization", Special::HopByHop),
            _ => return Special::None,
        };
        if name.eq_ignore_ascii_case(text) {
            special
        } else {
            Special::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: CommonFields<'_> = CommonFields {
        date: b"Sun, 06 Nov 1994 08:49:37 GMT",
        server: Some(b"Kirsch"),
        request_id: Some(b"7"),
        keep_alive: None,
    };

    const GET: RequestFacts = RequestFacts {
        version: Version::Http11,
        is_head: false,
        keep_alive: true,
    };
    const HEAD: RequestFacts = RequestFacts {
        is_head: true,
        ..GET
    };
    const GET_10: RequestFacts = RequestFacts {
        version: Version::Http10,
        ..GET
    };

    fn head(status: &str, fields: &[(&str, &str)]) -> Result<ResponseHead, ResponseError> {
        let mut head = ResponseHead::new();
        head.status(status.as_bytes())?;
        for (name, value) in fields {
            head.field(name.as_bytes(), value.as_bytes())?;
        }
        Ok(head)
    }

    /// The head on the wire without the common fields, and the body.
    fn finish(
        status: &str,
        fields: &[(&str, &str)],
        request: RequestFacts,
        known_length: Option<u64>,
    ) -> (String, ResponseBody) {
        let mut head = head(status, fields).expect("it is good");
        let common = CommonFields {
            date: b"",
            server: None,
            request_id: None,
            keep_alive: None,
        };
        let body = head.finish(&request, known_length, &common, true);
        (String::from_utf8_lossy(head.bytes()).into_owned(), body)
    }

    #[test]
    fn what_was_given_can_be_read_again() {
        let mut head = ResponseHead::new();
        assert_eq!((head.status_text(), head.fields().count()), (&b""[..], 0));
        head.status(b"404 Not: Found").expect("a status");
        head.field(b"X-A", b" a:b ").expect("a field");
        head.field(b"Connection", b"close").expect("a field");
        head.field(b"x-empty", b"").expect("a field");
        assert_eq!(head.status_text(), b"404 Not: Found");
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(fields, [(&b"X-A"[..], &b"a:b"[..]), (b"x-empty", b"")]);
    }

    #[test]
    fn a_status_is_three_digits_a_blank_and_a_reason() {
        for good in [
            "200 OK",
            "299 ",
            "404 Nicht da",
            "999 X",
            "200 caf\u{e9}\tx",
        ] {
            assert_eq!(
                head(good, &[]).map(|head| head.status_code()).ok(),
                good[..3].parse().ok(),
                "{good}"
            );
        }
        for bad in [
            "200OK", "20 OK", "1000 X", "abc", "", "200", " 200 OK", "+20 OK", "2 0 OK",
        ] {
            assert_eq!(
                head(bad, &[]).err(),
                Some(ResponseError::StatusInvalid),
                "{bad}"
            );
        }
        for bad in ["100 Continue", "101 Switching Protocols", "000 X", "199 X"] {
            assert_eq!(
                head(bad, &[]).err(),
                Some(ResponseError::StatusOutOfRange),
                "{bad}"
            );
        }
        for bad in ["200 OK\r\nX: y", "200 O\0K", "200 OK\n", "200 \x7f"] {
            assert_eq!(
                head(bad, &[]).err(),
                Some(ResponseError::ReasonInvalid),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn fields_are_refused_before_they_reach_the_wire() {
        use ResponseError as Error;
        let table = [
            ("", "x", Error::NameInvalid),
            ("X A", "x", Error::NameInvalid),
            ("X:", "x", Error::NameInvalid),
            ("X\r\nY", "x", Error::NameInvalid),
            ("X\u{e9}", "x", Error::NameInvalid),
            ("X", "a\r\nInjected: 1", Error::ValueInvalid),
            ("X", "a\n", Error::ValueInvalid),
            ("X", "\0", Error::ValueInvalid),
            ("X", "\x7f", Error::ValueInvalid),
            ("Transfer-Encoding", "chunked", Error::HopByHop),
            ("KEEP-ALIVE", "5", Error::HopByHop),
            ("te", "x", Error::HopByHop),
            ("Trailer", "x", Error::HopByHop),
            ("Trailers", "x", Error::HopByHop),
            ("Upgrade", "h2c", Error::HopByHop),
            ("Proxy-Authenticate", "x", Error::HopByHop),
            ("Proxy-Authorization", "x", Error::HopByHop),
            ("Connection", "upgrade", Error::HopByHop),
            ("Connection", "close, x", Error::HopByHop),
            ("Content-Length", "+1", Error::ContentLengthInvalid),
            ("Content-Length", "5 ", Error::ContentLengthInvalid),
            ("Content-Length", "5,5", Error::ContentLengthInvalid),
            ("Content-Length", "", Error::ContentLengthInvalid),
            (
                "Content-Length",
                "99999999999999999999",
                Error::ContentLengthInvalid,
            ),
        ];
        for (name, value, error) in table {
            assert_eq!(
                head("200 OK", &[(name, value)]).err(),
                Some(error),
                "{name:?}: {value:?}"
            );
        }
        let two = head(
            "200 OK",
            &[("Content-Length", "1"), ("Content-Length", "2")],
        );
        assert_eq!(two.err(), Some(ResponseError::ContentLengthConflict));
    }

    #[test]
    fn fields_keep_order_case_and_repetition() {
        let fields = [
            ("sEt-cOOkie", "a=1"),
            ("X-B", ""),
            ("Set-Cookie", " b=2\t"),
            ("X-C", "a\tb"),
        ];
        let (wire, _) = finish("200 OK", &fields, GET, Some(0));
        let expected = "HTTP/1.1 200 OK\r\nsEt-cOOkie: a=1\r\nX-B: \r\nSet-Cookie: b=2\r\nX-C: a\tb\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(wire, expected);
    }

    #[test]
    fn what_the_application_gave_is_not_doubled() {
        let mut bare = head("200 OK", &[]).expect("it is good");
        bare.finish(&GET, Some(0), &COMMON, true);
        let expected = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Request-ID: 7\r\nServer: Kirsch\r\n\r\n";
        assert_eq!(bare.bytes(), expected.as_bytes());

        let fields = [
            ("date", "now"),
            ("SERVER", "mine"),
            ("x-request-id", "8"),
            ("Content-Length", "0"),
        ];
        let mut own = head("200 OK", &fields).expect("it is good");
        assert!(own.has_request_id());
        own.finish(&GET, Some(0), &COMMON, true);
        let expected = "HTTP/1.1 200 OK\r\ndate: now\r\nSERVER: mine\r\nx-request-id: 8\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(own.bytes(), expected.as_bytes());
    }

    #[test]
    fn the_framing_follows_status_method_length_and_version() {
        let check = |status, fields: &[_], request, known_length, expected: &str, framing| {
            let (wire, body) = finish(status, fields, request, known_length);
            assert_eq!(
                wire,
                format!("HTTP/1.1 {status}\r\n{expected}\r\n"),
                "{request:?}"
            );
            assert_eq!(
                body,
                ResponseBody::new(framing, framing != Framing::UntilClose)
            );
        };
        let length = [("Content-Length", "5")];
        let five = "Content-Length: 5\r\n";
        let five_kept = "Content-Length: 5\r\nConnection: keep-alive\r\n";
        let five_left = Framing::Length { remaining: 5 };

        check("200 OK", &length, GET, Some(9), five, five_left);
        check("200 OK", &[], GET, Some(5), five, five_left);
        check(
            "200 OK",
            &[],
            GET,
            None,
            "Transfer-Encoding: chunked\r\n",
            Framing::Chunked,
        );
        check(
            "200 OK",
            &[],
            GET_10,
            None,
            "Connection: close\r\n",
            Framing::UntilClose,
        );
        check("200 OK", &[], GET_10, Some(5), five_kept, five_left);
        check("200 OK", &length, HEAD, None, five, Framing::HeadOnly);
        check("200 OK", &[], HEAD, Some(5), five, Framing::HeadOnly);
        check("200 OK", &[], HEAD, Some(0), "", Framing::HeadOnly);
        check("200 OK", &[], HEAD, None, "", Framing::HeadOnly);
        check(
            "204 No Content",
            &length,
            GET,
            Some(5),
            "",
            Framing::NoContent,
        );
        check(
            "304 Not Modified",
            &length,
            GET,
            Some(0),
            five,
            Framing::NoContent,
        );
        check(
            "304 Not Modified",
            &[],
            GET,
            Some(0),
            "",
            Framing::NoContent,
        );
        check(
            "205 Reset Content",
            &length,
            GET,
            None,
            "Content-Length: 0\r\n",
            Framing::NoContent,
        );
    }

    #[test]
    fn the_connection_is_kept_only_if_nobody_objects() {
        let close = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let (wire, body) = finish("200 OK", &[("connection", "Close")], GET, Some(0));
        assert_eq!((wire.as_str(), body.keep_alive()), (close, false));
        let (wire, body) = finish(
            "200 OK",
            &[],
            RequestFacts {
                keep_alive: false,
                ..GET
            },
            Some(0),
        );
        assert_eq!((wire.as_str(), body.keep_alive()), (close, false));
        let (wire, body) = finish("200 OK", &[("Connection", "keep-alive")], GET, Some(0));
        assert_eq!(
            (wire.as_str(), body.keep_alive()),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true)
        );
    }

    #[test]
    fn a_cleared_head_begins_anew() {
        let mut head = head(
            "200 OK",
            &[
                ("Connection", "close"),
                ("Content-Length", "5"),
                ("Date", "x"),
            ],
        )
        .expect("it is good");
        head.clear();
        assert_eq!(
            (
                head.status_code(),
                head.content_length(),
                head.wants_close()
            ),
            (0, None, false)
        );
        head.status(b"500 Oops").expect("it is good");
        head.finish(&GET, Some(2), &COMMON, true);
        assert!(
            head.bytes()
                .starts_with(b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\nDate: Sun")
        );
    }
}
