//! What can go wrong, whose fault it is, and what follows: one table for all of it.
//!
//! A new rule is a new line in the table below; nowhere else is a status chosen. Errors of the
//! application's own response are [`ResponseError`].

use std::fmt;

use crate::h1::Method;

/// A request that is refused, and the method it had if the reader got that far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProtocolError {
    /// Which rule was broken.
    pub kind: ProtocolErrorKind,
    /// The method of the refused request; the answer to a HEAD request has no body.
    pub method: Option<Method>,
}

impl ProtocolError {
    /// An error of a request with a known method, as the server raises it for a timeout.
    pub fn with_method(kind: ProtocolErrorKind, method: Method) -> Self {
        ProtocolError {
            kind,
            method: Some(method),
        }
    }

    /// Status, text, severity and fate that go with the kind.
    pub fn rule(self) -> Rule {
        self.kind.rule()
    }
}

impl From<ProtocolErrorKind> for ProtocolError {
    fn from(kind: ProtocolErrorKind) -> Self {
        ProtocolError { kind, method: None }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for ProtocolError {}

/// Declares the table: each rule a request can break, with what follows from it.
macro_rules! protocol_errors {
    ($($(#[$doc:meta])* $kind:ident: $rule:expr,)*) => {
        /// The rules a request can break: a variant per rule.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum ProtocolErrorKind {
            $($(#[$doc])* $kind,)*
        }

        impl ProtocolErrorKind {
            /// Every kind, for tables in documents and metrics.
            pub const ALL: &[ProtocolErrorKind] = &[$(ProtocolErrorKind::$kind,)*];

            /// The line of the table.
            pub const fn rule(self) -> Rule {
                match self {
                    $(ProtocolErrorKind::$kind => $rule,)*
                }
            }
        }
    };
}

protocol_errors! {
    // What arrives in place of a request line.

    /// A TLS handshake on a port that speaks plain HTTP.
    TlsOnPlainPort: peer(400, "a TLS handshake was sent to a port that speaks plain HTTP; use http://"),
    /// Something other than a TLS handshake on a port that speaks TLS; raised by the server.
    PlainOnTlsPort: peer(400, "plain HTTP was sent to a port that speaks TLS; use https://"),
    /// The HTTP/2 preface where HTTP/2 is not spoken.
    Http2Preface: peer(505, "HTTP/2 is not spoken on this port (RFC 9113 section 3.4)"),
    /// More than two empty lines in front of the request line.
    TooManyEmptyLines: peer(400, "at most two empty lines may stand before the request line (RFC 9112 section 2.2)"),

    // Line ends.

    /// LF without CR.
    BareLf: peer(400, "a line must end with CR LF, not with LF alone (RFC 9112 section 2.2)"),
    /// CR without LF.
    BareCr: peer(400, "a CR must be followed by LF (RFC 9112 section 2.2)"),

    // The request line.

    /// Not method, SP, target, SP, version.
    RequestLineInvalid: peer(400, "a request line is method, one blank, target, one blank, version (RFC 9112 section 3)"),
    /// The method is no token.
    MethodInvalid: peer(400, "the method must be a token (RFC 9110 section 9.1)"),
    /// The method is longer than any in use.
    MethodTooLong: peer(501, "the method is longer than any that is implemented (RFC 9112 section 3)"),
    /// CONNECT, which only a proxy can serve.
    ConnectRefused: peer(405, "CONNECT is for proxies only (RFC 9110 section 9.3.6)"),
    /// TRACE, which would reflect cookies and credentials.
    TraceRefused: peer(405, "TRACE is not served (RFC 9110 section 9.3.8)"),
    /// A control byte, a blank or `#` in the target.
    TargetInvalid: peer(400, "the target must not hold control bytes, blanks or # (RFC 9112 section 3.2)"),
    /// The target is longer than its limit.
    TargetTooLong: peer(414, "the request target is too long (RFC 9110 section 15.5.15)"),
    /// The target is neither a path nor an absolute URI nor `*`.
    TargetFormInvalid: peer(400, "the target must begin with / or be an absolute URI (RFC 9112 section 3.2)"),
    /// `*` with a method other than OPTIONS.
    AsteriskWithoutOptions: peer(400, "the target * is for OPTIONS only (RFC 9112 section 3.2.4)"),
    /// An absolute target whose scheme is neither http nor https.
    SchemeUnknown: peer(400, "the scheme of the target must be http or https (RFC 9112 section 3.2.2)"),
    /// A target with https on a connection that is not secured.
    SecureTargetOnPlainPort: peer(421, "a target with https needs a secured connection (RFC 9110 section 7.4)"),
    /// User information in the authority of the target.
    UserinfoInTarget: peer(400, "the target must not hold user information (RFC 9110 section 4.2.4)"),
    /// The authority of the target is no host with an optional port.
    AuthorityInvalid: peer(400, "the authority of the target must be a host with an optional port (RFC 9112 section 3.2)"),
    /// `%00` in the path.
    NulInPath: peer(400, "the path must not hold %00"),
    /// Not `HTTP/` digit `.` digit.
    VersionInvalid: peer(400, "the version must be HTTP/ and two digits with a dot between (RFC 9112 section 2.3)"),
    /// Not `HTTP/` in front of the version. Told apart from `VersionInvalid` in `Dialect::Cheroot` only.
    ProtocolNameInvalid: peer(400, "the version must begin with HTTP/ (RFC 9112 section 2.3)"),
    /// A lower-case letter in the method. In `Dialect::Cheroot` only.
    MethodLowerCase: peer(400, "methods are upper case for this program (RFC 9110 section 9.1)"),
    /// A byte from 0x80 up in the target. In `Dialect::Cheroot` only.
    TargetNotAscii: peer(400, "the target must be ASCII for this program (RFC 3986 section 2)"),
    /// `#` in the target. Told apart from `TargetInvalid` in `Dialect::Cheroot` only.
    FragmentInTarget: peer(400, "the target must not have a fragment (RFC 9112 section 3.2)"),
    /// An absolute target to a program that is no proxy. In `Dialect::Cheroot` only.
    AbsoluteTargetRefused: peer(400, "absolute targets are for proxies for this program (RFC 9112 section 3.2.2)"),
    /// CONNECT whose target is no host with a port. In `Dialect::Cheroot` only.
    ConnectTargetInvalid: peer(400, "the target of CONNECT must be a host with a port (RFC 9112 section 3.2.3)"),
    /// A major version other than 1.
    VersionUnsupported: peer(505, "only HTTP/1.0 and HTTP/1.1 are spoken here (RFC 9110 section 15.6.6)"),

    // Fields.

    /// Request line and fields exceed their limit.
    HeadTooLarge: peer(431, "request line and fields are too large (RFC 6585 section 5)"),
    /// More field lines than allowed.
    TooManyFields: peer(431, "the request has too many fields (RFC 6585 section 5)"),
    /// A field line without colon.
    FieldColonMissing: peer(400, "a field line must hold a colon (RFC 9112 section 5)"),
    /// A field line that begins with the colon.
    FieldNameEmpty: peer(400, "a field must have a name (RFC 9112 section 5)"),
    /// A field name that is no token.
    FieldNameInvalid: peer(400, "a field name must be a token (RFC 9110 section 5.1)"),
    /// A blank between field name and colon.
    BlankBeforeColon: peer(400, "no blank may stand between field name and colon (RFC 9112 section 5.1)"),
    /// A line that begins with a blank: the obsolete line folding, or dirt before the first field.
    FieldFolded: peer(400, "a field line must not begin with a blank (RFC 9112 section 5.2)"),
    /// A control byte in a field value.
    FieldValueInvalid: peer(400, "a field value must not hold control bytes (RFC 9110 section 5.5)"),
    /// No Host field in an HTTP/1.1 request.
    HostMissing: peer(400, "an HTTP/1.1 request must have a Host field (RFC 9112 section 3.2)"),
    /// More than one Host field.
    HostRepeated: peer(400, "a request must not have several Host fields (RFC 9112 section 3.2)"),
    /// A Host field without a host.
    HostEmpty: peer(400, "the Host field must name a host (RFC 9110 section 4.2.1)"),
    /// A Host field that is no host with an optional port.
    HostInvalid: peer(400, "the Host field must be a host with an optional port (RFC 9112 section 3.2)"),
    /// The Host field contradicts the authority of the target.
    HostMismatch: peer(400, "the Host field must agree with the authority of the target (RFC 9112 section 3.2)"),
    /// More than one Content-Type field.
    ContentTypeRepeated: peer(400, "a request must not have several Content-Type fields (RFC 9110 section 8.3)"),
    /// An expectation other than 100-continue.
    ExpectationUnknown: peer(417, "the only expectation that can be met is 100-continue (RFC 9110 section 10.1.1)"),

    // How long the body is.

    /// A Content-Length that is not only digits.
    ContentLengthInvalid: peer(400, "Content-Length must be decimal digits only (RFC 9112 section 6.3)"),
    /// More than one Content-Length field.
    ContentLengthRepeated: peer(400, "a request must not have several Content-Length fields (RFC 9112 section 6.3)"),
    /// Content-Length and Transfer-Encoding together.
    LengthAndCoding: peer(400, "Content-Length and Transfer-Encoding exclude each other (RFC 9112 section 6.1)"),
    /// Transfer-Encoding in an HTTP/1.0 request.
    CodingInHttp10: peer(400, "HTTP/1.0 has no Transfer-Encoding (RFC 9112 section 6.1)"),
    /// A Transfer-Encoding list with an empty element.
    CodingListInvalid: peer(400, "the list of transfer codings must have no empty element (RFC 9110 section 5.6.1)"),
    /// Chunked applied more than once.
    ChunkedRepeated: peer(400, "chunked must not be applied twice (RFC 9112 section 6.1)"),
    /// A Transfer-Encoding whose last coding is not chunked.
    ChunkedNotLast: peer(400, "the last transfer coding must be chunked (RFC 9112 section 6.3)"),
    /// A transfer coding under chunked that Kirsch does not decode.
    CodingUnknown: peer(501, "no transfer coding but chunked is implemented (RFC 9112 section 6.1)"),
    /// The body is longer than its limit.
    BodyTooLarge: peer(413, "the request body is too large (RFC 9110 section 15.5.14)"),

    // The chunked coding.

    /// A chunk size that is not one to sixteen hexadecimal digits.
    ChunkSizeInvalid: peer(400, "a chunk size is one to sixteen hexadecimal digits (RFC 9112 section 7.1)"),
    /// A chunk extension outside the grammar.
    ChunkExtensionInvalid: peer(400, "a chunk extension is ;name or ;name=value (RFC 9112 section 7.1.1)"),
    /// More bytes of chunk extensions than allowed.
    ChunkExtensionsTooLarge: peer(413, "the chunk extensions are too large (RFC 9112 section 7.1.1)"),
    /// The data of a chunk is not followed by CRLF.
    ChunkEndMissing: peer(400, "the data of a chunk must be followed by CR LF (RFC 9112 section 7.1)"),
    /// A trailer field outside the grammar.
    TrailerInvalid: peer(400, "a trailer field is malformed (RFC 9112 section 7.1.2)"),
    /// The trailer section exceeds its limit.
    TrailersTooLarge: peer(431, "the trailer section is too large (RFC 6585 section 5)"),

    // The peer goes away.

    /// The peer closed its side within a head.
    HeadCutShort: peer(400, "the connection was closed within the head (RFC 9112 section 8)"),
    /// The peer closed its side within a body.
    BodyCutShort: peer(400, "the connection was closed within the body (RFC 9112 section 8)"),

    // Raised by the server, which has a clock and a queue.

    /// The head did not arrive in time.
    HeadTimeout: peer(408, "the request did not arrive in time (RFC 9110 section 15.5.9)"),
    /// The body did not make progress in time.
    BodyTimeout: peer(408, "the request body did not arrive in time (RFC 9110 section 15.5.9)"),
    /// A host other than the one that the TLS handshake was for, where that decides who may come in.
    HostNotServerName: peer(421, "the host must be the server name of the TLS handshake (RFC 9110 section 7.4)"),
    /// What a trusted proxy says of its client cannot be understood.
    ForwardedInvalid: peer(400, "the proxy's Forwarded or X-Forwarded fields are malformed (RFC 7239 section 4)"),
    /// A trusted proxy's request has both families of fields, and one of them must be the client's own.
    ForwardedConflict: peer(400, "Forwarded and the X-Forwarded fields do not say the same"),
    /// No thread is free and the queue is full, or the request waited too long in it.
    Overloaded: Rule {
        status: Status(503),
        blame: Blame::Us,
        severity: Severity::Warn,
        // The request was read in full and may be sent again, so the connection need not go.
        fate: Fate::MayKeep,
        text: "the server is busy; try again later (RFC 9110 section 15.6.4)",
    },
}

/// A line for a mistake of the peer: logged quietly, and the connection cannot go on, because
/// nobody knows where the next request would begin.
const fn peer(status: u16, text: &'static str) -> Rule {
    Rule {
        status: Status(status),
        blame: Blame::Peer,
        severity: Severity::Debug,
        fate: Fate::Close,
        text,
    }
}

impl fmt::Display for ProtocolErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule().text)
    }
}

/// What follows from a broken rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// The status of the answer.
    pub status: Status,
    /// Whose fault it is.
    pub blame: Blame,
    /// How loudly it is logged.
    pub severity: Severity,
    /// What becomes of the connection.
    pub fate: Fate,
    /// Names the rule; stands in the body of the answer and in the log.
    pub text: &'static str,
}

/// Whose fault an error is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// The client, or a proxy before it.
    Peer,
    /// The code behind the gateway.
    Application,
    /// Whoever configured the server.
    Operator,
    /// Kirsch.
    Us,
    /// The machine it runs on.
    System,
}

/// How loudly an error is logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// The peer's mistakes: anybody can make thousands.
    Debug,
    /// Worth a line.
    Info,
    /// Worth a look.
    Warn,
}

/// What becomes of the connection after an error was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Not a byte more is read as a request.
    Close,
    /// The next request may follow, if this one was read to its end.
    MayKeep,
}

/// The status code of an answer made by the server itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status(pub u16);

impl Status {
    /// The reason phrase of RFC 9110 section 15; "Error" for a code the server never chooses.
    pub const fn reason(self) -> &'static str {
        match self.0 {
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            412 => "Precondition Failed",
            413 => "Content Too Large",
            414 => "URI Too Long",
            417 => "Expectation Failed",
            421 => "Misdirected Request",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            505 => "HTTP Version Not Supported",
            507 => "Insufficient Storage",
            _ => "Error",
        }
    }
}

/// Why a head from the application cannot be sent. The blame is the application's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResponseError {
    /// The status is not three digits, a blank and a reason.
    StatusInvalid,
    /// The status is below 200 or above 999.
    StatusOutOfRange,
    /// The reason holds a control byte.
    ReasonInvalid,
    /// A field name that is no token.
    NameInvalid,
    /// A field value with a control byte.
    ValueInvalid,
    /// A field that describes the connection, which is the server's.
    HopByHop,
    /// A Content-Length that is not only digits, or too large.
    ContentLengthInvalid,
    /// Two different Content-Length fields.
    ContentLengthConflict,
}

impl ResponseError {
    /// Says what to write instead; the gateway puts it into the exception it raises.
    pub const fn text(self) -> &'static str {
        match self {
            Self::StatusInvalid => {
                "status must be three digits, a blank and a reason, as in '200 OK'"
            }
            Self::StatusOutOfRange => "status must be a final one, 200 or above",
            Self::ReasonInvalid => "status must not hold control characters",
            Self::NameInvalid => "header name must be a token: letters, digits and !#$%&'*+-.^_`|~",
            Self::ValueInvalid => "header value must not hold control characters",
            Self::HopByHop => "hop-by-hop header is the server's to set; leave it out",
            Self::ContentLengthInvalid => "Content-Length must be decimal digits only",
            Self::ContentLengthConflict => "Content-Length must be given once",
        }
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for ResponseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_an_error_status_with_a_reason_and_a_text_of_one_line() {
        for kind in ProtocolErrorKind::ALL {
            let Rule { status, text, .. } = kind.rule();
            assert!(
                (400..600).contains(&status.0) && status.reason() != "Error",
                "{kind:?}"
            );
            let is_plain = text.is_ascii() && !text.contains(|char: char| char.is_control());
            assert!(
                is_plain && !text.is_empty() && !text.ends_with('.'),
                "{kind:?}: {text}"
            );
        }
    }
}
