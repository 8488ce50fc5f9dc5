//! The answers the server makes itself: a fixed text, and not a byte of the request.

use crate::error::{ProtocolError, ProtocolErrorKind, Status};
use crate::h1::{CommonFields, Method, RequestFacts, Version};
use crate::h1::{push_common, push_connection, push_field, push_length};

/// The methods named in the Allow field of a 405 (RFC 9110 section 15.5.6 wants one).
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// One such answer. Unless told otherwise it closes the connection and has a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ErrorAnswer {
    status: Status,
    text: &'static str,
    allow: Option<&'static str>,
    retry_after: Option<u32>,
    /// The reason and no more than the text as the body, in place of a line with status, reason and text.
    worded: Option<&'static str>,
    /// RFC 9110 section 9.3.2: the answer to HEAD has no body.
    is_head: bool,
    /// The version to keep the connection for; `None` closes it.
    keep: Option<Version>,
}

impl ErrorAnswer {
    /// An answer with a status and a text of the server's choice, such as a 404 or a 500.
    pub fn new(status: Status, text: &'static str) -> Self {
        ErrorAnswer {
            status,
            text,
            allow: None,
            retry_after: None,
            worded: None,
            is_head: false,
            keep: None,
        }
    }

    /// Fits the answer to its request: no body for HEAD.
    #[must_use]
    pub fn to(mut self, request: &RequestFacts) -> Self {
        self.is_head = request.is_head;
        self
    }

    /// Fits the answer to its request and keeps the connection if the request allows it.
    ///
    /// Only for a request that was read to its end.
    #[must_use]
    pub fn keeping(mut self, request: &RequestFacts) -> Self {
        self.keep = request.keep_alive.then_some(request.version);
        self.to(request)
    }

    /// Says it in other words: with this status and reason, and the text alone as the body.
    #[must_use]
    pub fn worded(mut self, status: Status, reason: &'static str, text: &'static str) -> Self {
        (self.status, self.worded, self.text) = (status, Some(reason), text);
        self
    }

    /// Adds `Allow`, which a 405 must have.
    #[must_use]
    pub fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// Adds `Retry-After`, for a 503.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The status code.
    pub fn status_code(&self) -> u16 {
        self.status.0
    }

    /// Whether the connection may be used again after this answer.
    pub fn keep_alive(&self) -> bool {
        self.keep.is_some()
    }
}

impl From<ProtocolError> for ErrorAnswer {
    fn from(error: ProtocolError) -> Self {
        let rule = error.rule();
        let allow = (rule.status == Status(405)).then_some(ALLOWED);
        ErrorAnswer {
            allow,
            is_head: error.method == Some(Method::Head),
            ..Self::new(rule.status, rule.text)
        }
    }
}

impl From<ProtocolErrorKind> for ErrorAnswer {
    fn from(kind: ProtocolErrorKind) -> Self {
        ProtocolError::from(kind).into()
    }
}

/// Appends the whole response to `out`. Answers how many of its bytes are content.
pub fn error_response(answer: &ErrorAnswer, common: &CommonFields<'_>, out: &mut Vec<u8>) -> usize {
    let status = answer.status;
    let reason = answer.worded.unwrap_or(status.reason());
    let body = match answer.worded {
        Some(_) => answer.text.to_owned(),
        None => format!("{} {reason}: {}\n", status.0, answer.text),
    };
    out.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.0).as_bytes());
    push_common(out, common);
    push_field(out, b"Content-Type", b"text/plain; charset=utf-8");
    push_length(out, body.len() as u64);
    if let Some(methods) = answer.allow {
        push_field(out, b"Allow", methods.as_bytes());
    }
    if let Some(seconds) = answer.retry_after {
        push_field(out, b"Retry-After", seconds.to_string().as_bytes());
    }
    push_connection(
        out,
        answer.keep.unwrap_or(Version::Http11),
        answer.keep.is_some(),
        common,
    );
    out.extend_from_slice(b"\r\n");
    if answer.is_head {
        return 0;
    }
    out.extend_from_slice(body.as_bytes());
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: CommonFields<'_> = CommonFields {
        date: b"Sun, 06 Nov 1994 08:49:37 GMT",
        server: None,
        request_id: None,
        keep_alive: None,
    };

    fn wire(answer: &ErrorAnswer) -> String {
        let mut out = Vec::new();
        let content = error_response(answer, &COMMON, &mut out);
        assert!(out[..out.len() - content].ends_with(b"\r\n\r\n"));
        String::from_utf8(out).expect("it is ASCII")
    }

    #[test]
    fn a_refusal_names_the_rule_and_closes() {
        let expected = "HTTP/1.1 400 Bad Request\r\n\
            Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
            Content-Type: text/plain; charset=utf-8\r\n\
            Content-Length: 69\r\n\
            Connection: close\r\n\r\n\
            400 Bad Request: a field line must hold a colon (RFC 9112 section 5)\n";
        assert_eq!(wire(&ProtocolErrorKind::FieldColonMissing.into()), expected);
    }

    #[test]
    fn the_answer_to_head_has_no_body() {
        let error = ProtocolError::with_method(ProtocolErrorKind::HostMissing, Method::Head);
        assert!(wire(&error.into()).ends_with("Connection: close\r\n\r\n"));
    }

    #[test]
    fn a_405_says_what_is_allowed() {
        assert!(
            wire(&ProtocolErrorKind::TraceRefused.into()).contains("\r\nAllow: GET, HEAD, POST")
        );
    }

    #[test]
    fn a_503_may_keep_the_connection_and_says_when_to_come_back() {
        let request = RequestFacts {
            version: Version::Http10,
            is_head: false,
            keep_alive: true,
        };
        let answer = ErrorAnswer::from(ProtocolErrorKind::Overloaded)
            .keeping(&request)
            .retry_after(2);
        let text = wire(&answer);
        assert!(
            text.contains("\r\nRetry-After: 2\r\nConnection: keep-alive\r\n\r\n503 "),
            "{text}"
        );
        let request = RequestFacts {
            keep_alive: false,
            ..request
        };
        assert!(!answer.keeping(&request).keep_alive());
    }
}
