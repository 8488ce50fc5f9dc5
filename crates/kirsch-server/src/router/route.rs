//! A route: when it applies, what is done then, and what is changed in the response.

use std::sync::Arc;

use kirsch_http::{FieldEdits, ResponseHead};

use super::condition::Condition;
use super::error::RouteError;
use super::path::PathPrefix;
use super::redirect::Redirect;
use crate::application::Application;

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
    body: Option<Vec<u8>>,
}

impl FixedAnswer {
    /// An answer with a status from 200 to 599 and a content, which is text unless a field of the route says
    /// otherwise. Without one it says what the status means.
    ///
    /// # Errors
    ///
    /// Another status.
    pub fn new(status: u16, body: Option<Vec<u8>>) -> Result<FixedAnswer, RouteError> {
        match status {
            200..=599 => Ok(FixedAnswer { status, body }),
            _ => Err(RouteError::AnswerStatus(status)),
        }
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

impl FixedAnswer {
    pub(super) fn head(&self) -> ResponseHead {
        text_head(self.status)
    }

    pub(super) fn body(&self) -> Vec<u8> {
        match &self.body {
            Some(body) => body.clone(),
            None => format!("{}\n", status_line(self.status)).into_bytes(),
        }
    }
}

/// The head of an answer of plain text.
pub(super) fn text_head(status: u16) -> ResponseHead {
    let mut head = ResponseHead::new();
    let good = head
        .status(status_line(status).as_bytes())
        .and_then(|()| head.field(b"Content-Type", b"text/plain; charset=utf-8"));
    debug_assert!(good.is_ok(), "a status from 200 to 599");
    head
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
        429 => "Too Many Requests",
        451 => "Unavailable For Legal Reasons",
        200..=299 => "OK",
        300..=399 => "Redirect",
        _ => kirsch_http::Status(status).reason(),
    }
}
