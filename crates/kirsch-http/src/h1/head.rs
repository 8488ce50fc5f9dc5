//! The head of a request as the server sees it: small facts and offsets, no bytes.
//!
//! It does not know how it was read; that is `scan.rs`, `request_line.rs` and `framing.rs`.

use crate::span::Span;

/// One request's head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// How many bytes of the buffer the head used, empty lines in front and the last CRLF included.
    /// The caller consumes them before it asks for the body.
    pub len: u32,
    /// The method, if it is a usual one.
    pub method: Method,
    /// The method as received; it is case-sensitive.
    pub method_name: Span,
    /// The target as received.
    pub target: Span,
    /// Which form the target has.
    pub form: TargetForm,
    /// The path as received, not decoded; empty if an absolute target has none: then it means `/`.
    pub path: Span,
    /// What stands behind the `?`; empty without one.
    pub query: Span,
    /// Host and port: from an absolute target, otherwise from the Host field; `None` only for an
    /// HTTP/1.0 request without either.
    pub authority: Option<Span>,
    /// The version the request is served as.
    pub version: Version,
    /// How long the body is.
    pub body: BodyLength,
    /// Whether version and Connection field allow another request on this connection.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
}

impl Head {
    /// The few facts that shape the response.
    pub fn facts(&self) -> RequestFacts {
        RequestFacts {
            version: self.version,
            is_head: self.method == Method::Head,
            keep_alive: self.keep_alive,
        }
    }
}

/// What a response has to know of its request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestFacts {
    /// An HTTP/1.0 client understands no chunks.
    pub version: Version,
    /// The answer to HEAD has no body.
    pub is_head: bool,
    /// Whether the client can use the connection again.
    pub keep_alive: bool,
}

/// The methods of RFC 9110 and PATCH.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Patch,
    Trace,
    Connect,
    /// Any other token; its text is in [`Head::method_name`].
    Other,
}

impl Method {
    /// The method of this name; names are case-sensitive (RFC 9110 section 9.1).
    pub fn from_bytes(name: &[u8]) -> Method {
        match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"PATCH" => Method::Patch,
            b"TRACE" => Method::Trace,
            b"CONNECT" => Method::Connect,
            _ => Method::Other,
        }
    }
}

/// The versions that are spoken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Version {
    /// `HTTP/1.0`
    Http10,
    /// `HTTP/1.1`, and every later minor version (RFC 9110 section 2.5).
    Http11,
}

/// The forms of a request target (RFC 9112 section 3.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TargetForm {
    /// A path with an optional query.
    Origin,
    /// A whole URI, as sent to proxies.
    Absolute,
    /// `*`, the server as a whole.
    Asterisk,
    /// A host and a port: of CONNECT only, which is refused but to a program that asks to be a proxy
    /// ([`Dialect::Cheroot`](crate::Dialect::Cheroot)).
    Authority,
}

/// How long a request's body is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BodyLength {
    /// There is none.
    None,
    /// As many bytes as Content-Length says; possibly 0.
    Known(u64),
    /// The last chunk will tell.
    Chunked,
}

impl BodyLength {
    /// Whether no byte of body will come.
    pub fn is_empty(self) -> bool {
        match self {
            BodyLength::None | BodyLength::Known(0) => true,
            BodyLength::Known(_) | BodyLength::Chunked => false,
        }
    }
}
