//! Which requests are taken: by the strict rules, or by those that programs written for cheroot rely on.
//!
//! **This is the one table of differences.** Each line of [`Dialect::Cheroot`] names the test or the program that
//! needs it; what is not here is strict in either dialect. The engine's own differences (timeouts, kept connections)
//! stand in `kirsch-server/src/cheroot.rs`, those of `environ` and of heads in `kirsch-python/src/cheroot.rs`.
//!
//! | difference | who needs it |
//! |---|---|
//! | an HTTP/1.1 request may lack Host | cheroot `test_parse_uri_unsafe_uri` |
//! | a Host that is no host goes to the application as it is, unless it holds what divides URIs or lists | cheroot's `webtest.cleanHeaders` (`:::80`), CherryPy `test_dangerous_host` |
//! | where absolute targets are taken, their authority counts, whatever Host says (RFC 9112 section 3.2.2) | CherryPy `testAbsoluteURIPathInfo` |
//! | Transfer-Encoding beside Content-Length: chunks, and the connection closes behind the answer | cheroot and CherryPy `test_Chunked_Encoding` |
//! | the limit of a chunked body counts its size lines | CherryPy `test_Chunked_Encoding` |
//! | the trailer section of a chunked body is kept for `wsgi.input.read_trailer_lines()`, and apart from the head's fields | CherryPy `test_Chunked_Encoding` |
//! | a method is upper case; a target is ASCII | cheroot `test_malformed_http_method`, `test_parse_uri_invalid_uri` |
//! | TRACE is the application's to answer | CherryPy `test_request_obj` |
//! | an absolute target is refused, unless the program asks to be a proxy | cheroot `test_parse_uri_absolute_uri`, CherryPy `testAbsoluteURIPathInfo` |
//! | CONNECT is served to such a program, with an authority as its target | CherryPy `test_CONNECT_method` |
//! | versions above 1.1 are refused, however they are written | cheroot `test_malformed_request_line` |
//! | a NUL in the path is refused with 404 | CherryPy `test_null_bytes` |
//! | refusals have cheroot's status, reason and text | cheroot `test_core`, CherryPy `test_http` |
//! | HTTP/1.0 is told `Keep-Alive: timeout=`, and no `close` | cheroot `test_keepalive`, `test_keepalive_conn_management` |
//!
//! None of these makes two readers of one connection disagree about where a request ends: where the two length
//! fields contradict each other, nothing behind that request is read.

use crate::error::{ProtocolError, ProtocolErrorKind, Status};
use crate::error_response::ErrorAnswer;
use crate::h1::{Method, is_authority};

/// Which requests are taken, and how the others are refused.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Dialect {
    /// RFC 9110 and 9112 in their strict reading.
    #[default]
    Strict,
    /// As programs and tests written for cheroot expect; the table above is all of it.
    Cheroot {
        /// Whether absolute targets and CONNECT are taken: cheroot's `proxy_mode`.
        proxy: bool,
    },
}

impl Dialect {
    /// Whether an HTTP/1.1 request must have a Host field.
    pub(crate) fn wants_host(self) -> bool {
        self == Dialect::Strict
    }

    /// Whether a Host that is no host is the application's to judge.
    pub(crate) fn takes_host(self, value: &[u8]) -> bool {
        let is_harmless = |byte: &u8| byte.is_ascii_graphic() && !b"/\\@,#\"<>".contains(byte);
        self != Dialect::Strict && value.iter().all(is_harmless)
    }

    /// Whether the authority of the target takes the place of Host.
    pub(crate) fn prefers_target(self) -> bool {
        self == Dialect::Cheroot { proxy: true }
    }

    /// Whether Content-Length and Transfer-Encoding may stand together; then the connection closes.
    pub(crate) fn takes_both_lengths(self) -> bool {
        self != Dialect::Strict
    }

    /// Whether the limit of a chunked body counts its framing.
    pub(crate) fn counts_framing(self) -> bool {
        self != Dialect::Strict
    }

    /// Whether the trailer section of a chunked body is kept.
    pub(crate) fn keeps_trailers(self) -> bool {
        self != Dialect::Strict
    }

    /// Whether this method is the application's to answer.
    pub(crate) fn serves(self, method: Method) -> Result<(), ProtocolErrorKind> {
        match (method, self) {
            (Method::Connect, Dialect::Strict | Dialect::Cheroot { proxy: false }) => {
                Err(ProtocolErrorKind::ConnectRefused)
            }
            (Method::Trace, Dialect::Strict) => Err(ProtocolErrorKind::TraceRefused),
            _ => Ok(()),
        }
    }

    /// What cheroot refuses in a request line that is sound otherwise, or refuses under another name.
    pub(crate) fn check_line(self, line: &[u8]) -> Result<(), ProtocolErrorKind> {
        let Dialect::Cheroot { proxy } = self else {
            return Ok(());
        };
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let (Some(method), Some(target), Some(protocol)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(ProtocolErrorKind::RequestLineInvalid);
        };
        let Some(version) = protocol.strip_prefix(b"HTTP/") else {
            return Err(ProtocolErrorKind::ProtocolNameInvalid);
        };
        let mut digits = version.splitn(2, |byte| *byte == b'.');
        let major = digits.next().and_then(number);
        let minor = digits.next().and_then(number);
        if major.zip(minor).is_some_and(|version| version > (1, 1)) {
            return Err(ProtocolErrorKind::VersionUnsupported);
        }
        if method.iter().any(u8::is_ascii_lowercase) {
            return Err(ProtocolErrorKind::MethodLowerCase);
        }
        if !target.is_ascii() {
            return Err(ProtocolErrorKind::TargetNotAscii);
        }
        if target.contains(&0) {
            return Err(ProtocolErrorKind::NulInPath);
        }
        if method == b"CONNECT" {
            return match proxy && !(is_authority(target) && target.contains(&b':')) {
                true => Err(ProtocolErrorKind::ConnectTargetInvalid),
                false => Ok(()),
            };
        }
        if target.contains(&b'#') {
            return Err(ProtocolErrorKind::FragmentInTarget);
        }
        let is_absolute =
            !target.starts_with(b"/") && memchr::memmem::find(target, b"://").is_some();
        match is_absolute && !proxy {
            true => Err(ProtocolErrorKind::AbsoluteTargetRefused),
            false => Ok(()),
        }
    }

    /// The answer to a request that breaks a rule.
    pub fn refusal(self, error: ProtocolError) -> ErrorAnswer {
        match self {
            Dialect::Strict => error.into(),
            Dialect::Cheroot { .. } => {
                let (status, reason, text) = cheroots(error.kind);
                ErrorAnswer::from(error).worded(Status(status), reason, text)
            }
        }
    }
}

/// Status, reason and text of a refusal, as cheroot has them.
fn cheroots(kind: ProtocolErrorKind) -> (u16, &'static str, &'static str) {
    use ProtocolErrorKind as Kind;
    const BAD: &str = "Bad Request";
    match kind {
        Kind::BareLf | Kind::BareCr => (400, BAD, "HTTP requires CRLF terminators"),
        Kind::RequestLineInvalid | Kind::MethodInvalid => (400, BAD, "Malformed Request-Line"),
        Kind::ProtocolNameInvalid => (400, BAD, "Malformed Request-Line: bad protocol"),
        Kind::VersionInvalid => (400, BAD, "Malformed Request-Line: bad version"),
        Kind::VersionUnsupported | Kind::Http2Preface => {
            (505, "HTTP Version Not Supported", "Cannot fulfill request")
        }
        Kind::MethodLowerCase => (
            400,
            BAD,
            "Malformed method name: According to RFC 2616 (section 5.1.1) and its successors RFC 7230 \
             (section 3.1.1) and RFC 7231 (section 4.1) method names are case-sensitive and uppercase.",
        ),
        Kind::TargetNotAscii | Kind::TargetInvalid => (400, BAD, "Malformed Request-URI"),
        Kind::NulInPath => (404, "Not Found", "No path holds a NUL."),
        Kind::FragmentInTarget => (400, BAD, "Illegal #fragment in Request-URI."),
        Kind::TargetFormInvalid | Kind::AsteriskWithoutOptions => (
            400,
            BAD,
            "Invalid path in Request-URI: request-target must contain origin-form which starts with \
             absolute-path (URI starting with a slash \"/\").",
        ),
        Kind::AbsoluteTargetRefused => (
            400,
            BAD,
            "Absolute URI not allowed if server is not a proxy.",
        ),
        Kind::ConnectTargetInvalid => (
            400,
            BAD,
            "Invalid path in Request-URI: request-target must match authority-form.",
        ),
        Kind::ConnectRefused => (405, "Method Not Allowed", ""),
        Kind::FieldColonMissing
        | Kind::FieldNameEmpty
        | Kind::FieldNameInvalid
        | Kind::BlankBeforeColon
        | Kind::FieldFolded => (400, BAD, "Illegal header line."),
        Kind::ContentLengthInvalid => (400, BAD, "Malformed Content-Length Header."),
        Kind::TargetTooLong => (
            414,
            "Request-URI Too Long",
            "The Request-URI sent with the request exceeds the maximum allowed bytes.",
        ),
        Kind::HeadTooLarge | Kind::TooManyFields => (
            413,
            "Request Entity Too Large",
            "The headers sent with the request exceed the maximum allowed bytes.",
        ),
        Kind::BodyTooLarge => (
            413,
            "Request Entity Too Large",
            "The entity sent with the request exceeds the maximum allowed bytes.",
        ),
        Kind::ChunkedNotLast | Kind::CodingUnknown => (501, "Unimplemented", ""),
        Kind::PlainOnTlsPort => (
            400,
            BAD,
            "The client sent a plain HTTP request, but this server only speaks HTTPS on this port.",
        ),
        Kind::HeadTimeout | Kind::BodyTimeout => (408, "Request Timeout", ""),
        Kind::Overloaded => (503, "Service Unavailable", ""),
        // What cheroot lets pass, or has no text for.
        other => {
            let rule = other.rule();
            (rule.status.0, rule.status.reason(), rule.text)
        }
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BodyLength, BodyPart, CommonFields, Head, Limits, RequestReader, error_response};

    const CHEROOT: Dialect = Dialect::Cheroot { proxy: false };
    const PROXY: Dialect = Dialect::Cheroot { proxy: true };

    fn read(dialect: Dialect, head: &str) -> Result<Head, ProtocolError> {
        let head = format!("{head}\r\n\r\n");
        let found = RequestReader::new().speaking(dialect).next_head(
            head.as_bytes(),
            &Limits::default(),
            &mut Vec::new(),
        );
        found.map(|head| head.expect("it is whole"))
    }

    /// Status and content of the refusal.
    fn refused(dialect: Dialect, head: &str) -> (u16, String) {
        let error = read(dialect, head).expect_err(head);
        let answer = dialect.refusal(error);
        let common = CommonFields {
            date: b"",
            server: None,
            request_id: None,
            keep_alive: None,
        };
        let mut out = Vec::new();
        let content = error_response(&answer, &common, &mut out);
        let text = String::from_utf8_lossy(&out[out.len() - content..]).into_owned();
        (answer.status_code(), text)
    }

    #[test]
    fn what_is_taken_otherwise_is_refused_by_the_strict_rules() {
        for (dialect, head) in [
            (CHEROOT, "GET / HTTP/1.1"),
            (CHEROOT, "GET / HTTP/1.1\r\nHost: :::8080"),
            (CHEROOT, "GET / HTTP/1.1\r\nHost: =?utf-8?q?x?="),
            (CHEROOT, "TRACE / HTTP/1.1\r\nHost: a"),
            (
                CHEROOT,
                "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
            ),
            (PROXY, "CONNECT a.test:443 HTTP/1.1\r\nHost: a"),
            (PROXY, "GET http://a.test/ HTTP/1.1\r\nHost: b.test"),
        ] {
            assert!(read(dialect, head).is_ok(), "{head}");
            assert!(read(Dialect::Strict, head).is_err(), "{head}");
        }
    }

    #[test]
    fn what_is_refused_is_refused_in_cheroot_s_words() {
        for (head, status, text) in [
            ("GET /", 400, "Malformed Request-Line"),
            ("gjkgjk", 400, "Malformed Request-Line"),
            (
                "GET / HTTPS/1.1",
                400,
                "Malformed Request-Line: bad protocol",
            ),
            ("GET / HTTP/1", 400, "Malformed Request-Line: bad version"),
            (
                "GET / HTTP/01.1",
                400,
                "Malformed Request-Line: bad version",
            ),
            ("GET / HTTP/2.15", 505, "Cannot fulfill request"),
            ("GET /\u{e9} HTTP/1.1", 400, "Malformed Request-URI"),
            ("GET /#a HTTP/1.1", 400, "Illegal #fragment in Request-URI."),
            ("GET /%00 HTTP/1.1", 404, "No path holds a NUL."),
            (
                "GET http://a/ HTTP/1.1",
                400,
                "Absolute URI not allowed if server is not a proxy.",
            ),
            ("CONNECT a:1 HTTP/1.1", 405, ""),
            ("GET / HTTP/1.1\r\nRe, 1", 400, "Illegal header line."),
            ("GET / HTTP/1.1\r\nA : b", 400, "Illegal header line."),
            ("GET / HTTP/1.1\r\nA: b\r\n c", 400, "Illegal header line."),
            (
                "GET / HTTP/1.1\r\nContent-Length: x",
                400,
                "Malformed Content-Length Header.",
            ),
            (
                "GET / HTTP/1.1\nHost: a",
                400,
                "HTTP requires CRLF terminators",
            ),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: gzip", 501, ""),
        ] {
            assert_eq!(refused(CHEROOT, head), (status, text.to_owned()), "{head}");
        }
        assert!(
            refused(CHEROOT, "GeT / HTTP/1.1")
                .1
                .starts_with("Malformed method name")
        );
        assert!(
            refused(CHEROOT, "GET a HTTP/1.1")
                .1
                .contains("starting with a slash")
        );
        for target in ["a", "a:x", "http://a:1/", "/a", "a:1/x"] {
            let (status, text) = refused(PROXY, &format!("CONNECT {target} HTTP/1.1"));
            assert_eq!(
                (status, text.contains("authority-form")),
                (400, true),
                "{target}"
            );
        }
    }

    #[test]
    fn what_two_readers_could_take_differently_is_refused_in_either_dialect() {
        for fields in [
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: +1",
            "Content-Length: 1_0",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding:\u{b}chunked",
            "Host: a\r\nHost: a",
            "Host: a/b",
            "Host: a@b",
            "A: a\rb: c",
        ] {
            for dialect in [Dialect::Strict, CHEROOT, PROXY] {
                let head = format!("POST / HTTP/1.1\r\n{fields}");
                assert!(read(dialect, &head).is_err(), "{dialect:?} {fields}");
            }
        }
        assert!(read(CHEROOT, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked").is_err());
    }

    #[test]
    fn of_two_lengths_the_chunks_count_and_nothing_is_read_behind_them() {
        let head = "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked";
        let head = read(CHEROOT, head).expect("it is taken");
        assert_eq!((head.body, head.keep_alive), (BodyLength::Chunked, false));
    }

    #[test]
    fn the_limit_of_a_chunked_body_counts_its_size_lines() {
        let fits = |dialect, most| {
            let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
            let mut reader = RequestReader::new().speaking(dialect);
            let head = reader.next_head(bytes, &Limits::default(), &mut Vec::new());
            let mut at = head.expect("it is good").expect("it is whole").len as usize;
            reader.limit_body(most).expect("no length is announced");
            loop {
                match reader.next_body(&bytes[at..]) {
                    Ok(BodyPart::End { .. }) => return true,
                    Ok(BodyPart::Data { skip, len }) => at += skip + len,
                    Ok(BodyPart::NeedMore { .. }) => unreachable!("all of it is there"),
                    Err(_) => return false,
                }
            }
        };
        // Two size lines of three bytes each.
        assert!(fits(CHEROOT, 11) && !fits(CHEROOT, 10) && !fits(CHEROOT, 7));
        assert!(fits(Dialect::Strict, 5) && !fits(Dialect::Strict, 4));
    }

    #[test]
    fn trailers_are_kept_however_the_bytes_are_cut() {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let body = b"5\r\nhello\r\n0\r\nX-A: 1\r\nX-B:\r\n\r\nGET /next";
        let trailers = |dialect, step: usize| {
            let mut reader = RequestReader::new().speaking(dialect);
            let read = reader.next_head(head, &Limits::default(), &mut Vec::new());
            read.expect("it is good").expect("it is whole");
            let (mut at, mut until) = (0, step);
            loop {
                match reader.next_body(&body[at..until]).expect("it is good") {
                    BodyPart::End { .. } => break,
                    BodyPart::Data { skip, len } => at += skip + len,
                    BodyPart::NeedMore { consume } => {
                        at += consume;
                        until = body.len().min(until + step);
                    }
                }
            }
            let first = reader.take_trailers();
            assert_eq!(reader.take_trailers(), b"", "they are taken once");
            first
        };
        for step in 1..body.len() {
            assert_eq!(trailers(CHEROOT, step), b"X-A: 1\r\nX-B:\r\n", "{step}");
            assert_eq!(trailers(Dialect::Strict, step), b"");
        }
    }
}
