//! Between the server and an application stands a gateway: it is given an exchange and answers it.
//!
//! The server knows this trait and nothing of what is behind it.

use std::sync::Arc;

use kirsch_http::ResponseHead;
use kirsch_pool::Lane;

use crate::exchange::Exchange;
use crate::request::Request;
use crate::thread_cap::ThreadCap;

/// Answers requests. `handle` is called by several threads at once.
#[doc(alias = "WSGIGateway")]
pub trait Gateway: Send + Sync + 'static {
    /// Answers one request: with [`Exchange::respond`], or block by block. An exchange dropped without
    /// an answer is answered with 500; so is one whose gateway panics.
    fn handle(&self, exchange: Exchange);

    /// Decides on which terms a request is served: called once for each, when its head is complete, before a byte of
    /// its body is read or asked for. It may note in the request what `handle` will want to know. Who drives the
    /// reactor waits for it, so it must be quick and never wait. Default: what `lane` and `streams_body` say.
    fn admit(&self, request: &mut Request) -> Terms {
        Terms {
            streams_body: self.streams_body(request),
            ..Terms::new(self.lane())
        }
    }

    /// Whether `handle` needs the interpreter for any request, so that one reactor serves all of them.
    /// Default: whether `lane` says so.
    fn needs_interpreter(&self) -> bool {
        self.lane() == Lane::Interpreter
    }

    /// Where `handle` may run, where it is the same for all requests. Default: on any pool thread, since it may block.
    fn lane(&self) -> Lane {
        Lane::Thread
    }

    /// Whether the body of this request is handed on while it arrives, instead of after it was buffered. A gateway
    /// that answers without reading the body says yes: then nobody waits for it, and "100 Continue" is sent only
    /// when somebody reads. Default: no.
    fn streams_body(&self, _request: &Request) -> bool {
        false
    }

    /// The time for what has begun is over: gives up every exchange that an application still works on, with
    /// [`Exchange::cut`]. May not wait for the application. Default: nothing, so that such requests leave no
    /// trace if their threads do not come back.
    fn cut(&self) {}

    /// Bytes of blocks that the server has let go of ([`Exchange::shared_block`]) and that are not freed yet,
    /// where letting go of them is not enough. Asked by who drives the reactor, so it must not wait. Gateways that share
    /// an interpreter answer for each other, as one of them is asked. Default: 0.
    fn unfreed_bytes(&self) -> u64 {
        0
    }

    /// Frees them: called by a pool thread if they are many. May wait.
    fn free(&self) {}
}

/// On which terms a request is served.
#[derive(Clone)]
pub struct Terms {
    /// Where [`Gateway::handle`] runs.
    pub lane: Lane,
    /// Whether the body is handed on while it arrives, as in [`Gateway::streams_body`].
    pub streams_body: bool,
    /// Bytes of the request's body; beyond: 413, before any of it is read where its length is announced. `None` for
    /// [`Limits::body_bytes`](crate::Limits::body_bytes), than which it may be more or less.
    pub limit_body: Option<u64>,
    /// Whose request it is; 0 for a server's only gateway.
    pub(crate) application: usize,
    /// What its application may have of the threads, if that is not all.
    pub(crate) cap: Option<Arc<ThreadCap>>,
}

impl Terms {
    /// A request whose body is buffered within the usual limit, then run here.
    pub fn new(lane: Lane) -> Terms {
        Terms {
            lane,
            streams_body: false,
            limit_body: None,
            application: 0,
            cap: None,
        }
    }
}

/// A fixed answer, for yardsticks and tests.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status line's code and reason, as in `200 OK`.
    pub status: String,
    /// Fields: name and value.
    pub fields: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
}

impl Gateway for Answer {
    fn handle(&self, exchange: Exchange) {
        let mut head = ResponseHead::new();
        let made = head.status(self.status.as_bytes()).and_then(|()| {
            self.fields
                .iter()
                .try_for_each(|(name, value)| head.field(name.as_bytes(), value.as_bytes()))
        });
        // A bad status or field leaves the exchange unanswered, which is a 500.
        if made.is_ok() {
            exchange.respond(head, &self.body);
        }
    }

    fn lane(&self) -> Lane {
        Lane::Inline
    }
}
