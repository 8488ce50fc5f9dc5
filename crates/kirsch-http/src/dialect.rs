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
