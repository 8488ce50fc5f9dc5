//! A route: when it applies, what is done then, and what is changed in the response.

use std::sync::Arc;

use kirsch_http::{FieldEdits, ResponseHead};

use super::condition::Condition;
use super::error::RouteError;
use super::path::PathPrefix;
use super::redirect::Redirect;
use crate::application::Application;
use crate::exchange::Exchange;

/// Bytes that a socket takes at once, and a response buffer anyway.
const SHORT: usize = 16 * 1024;

/// A route.
#[derive(Clone, Debug)]
pub struct Route {
    /// What it asks of a request.
    pub when: Condition,
    /// What is done with a request that meets it.
    pub then: Action,
    /// What is changed in the fields of every response to such a request, the server's own answers included.
    pub fields: FieldEdits,
}

/// What is done with a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// An application answers it.
    Serve(Serve),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// It is always answered in the same way.
    Answer(FixedAnswer),
}

/// An application, and on which terms it is given a request.
#[derive(Clone, Debug)]
pub struct Serve {
    /// The application.
    pub application: Arc<Application>,
    /// What takes the place of the prefix that matched. `None`: it is where the application is mounted, `SCRIPT_NAME`.
    /// With a rewrite, the application is mounted at the root and sees the new path as its own.
    pub rewrite: Option<PathPrefix>,
    /// Bytes of a request body; beyond: 413. `None` for [`Limits::body_bytes`](crate::Limits::body_bytes), than which
    /// it may be more or less.
    pub limit_body: Option<u64>,
    /// Whether the application reads bodies while they arrive. `None`: as its gateway says.
    pub stream_body: Option<bool>,
}

impl Serve {
    /// The application, on the server's usual terms.
    pub fn new(application: Arc<Application>) -> Serve {
        Serve {
            application,
            rewrite: None,
            limit_body: None,
            stream_body: None,
        }
    }
}

/// An answer that does not depend on the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedAnswer {
    status: u16,
    content: Vec<u8>,
}

impl FixedAnswer {
    /// An answer with a status from 200 to 599 and a content, which is plain text unless a field of the route says
    /// otherwise. Without one it says what the status means, where the status allows a content at all.
    ///
    /// # Errors
    ///
    /// Another status.
    pub fn new(status: u16, content: Option<Vec<u8>>) -> Result<FixedAnswer, RouteError> {
        if !(200..=599).contains(&status) {
            return Err(RouteError::AnswerStatus(status));
        }
        let content = match (status, content) {
            (204 | 205 | 304, _) => Vec::new(),
            (_, Some(content)) => content,
            (_, None) => format!("{}\n", status_line(status)).into_bytes(),
        };
        Ok(FixedAnswer { status, content })
    }

    /// Whether it is so short that sending it waits for nobody.
    pub(super) fn is_short(&self) -> bool {
        self.content.len() <= SHORT
    }

    pub(super) fn give(&self, exchange: Exchange) {
        let kind: &[(&[u8], &[u8])] = match self.content.as_slice() {
            [] => &[],
            _ => &[(b"Content-Type", b"text/plain; charset=utf-8")],
        };
        respond(exchange, self.status, kind, &self.content);
    }
}

impl Route {
    /// A route that changes nothing in the response.
    pub fn new(when: Condition, then: Action) -> Route {
        Route {
            when,
            then,
            fields: FieldEdits::new(),
        }
    }
}

impl Redirect {
    pub(crate) fn give(&self, exchange: Exchange) {
        let location = self.location(exchange.request());
        respond(exchange, self.status(), &[(b"Location", &location)], b"");
    }
}

fn respond(exchange: Exchange, status: u16, fields: &[(&[u8], &[u8])], content: &[u8]) {
    let mut head = ResponseHead::new();
    let made = head.status(status_line(status).as_bytes()).and_then(|()| {
        fields
            .iter()
            .try_for_each(|(name, value)| head.field(name, value))
    });
    debug_assert!(made.is_ok(), "checked when the route was made");
    if made.is_ok() {
        exchange.respond(head, content);
    }
}

fn status_line(status: u16) -> String {
    format!("{status} {}", reason(status))
}

/// The reason phrase of RFC 9110 section 15, of RFC 6585 and of RFC 7725; else that of the class.
fn reason(status: u16) -> &'static str {
    match status {
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        205 => "Reset Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        401 => "Unauthorized",
        402 => "Payment Required",
        406 => "Not Acceptable",
        409 => "Conflict",
        410 => "Gone",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        451 => "Unavailable For Legal Reasons",
        200..=299 => "OK",
        300..=399 => "Redirect",
        _ => kirsch_http::Status(status).reason(),
    }
}
