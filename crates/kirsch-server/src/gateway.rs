//! Between the server and an application stands a gateway: it is given an exchange and answers it.
//!
//! The server knows this trait and nothing of what is behind it.

use kirsch_http::ResponseHead;
use kirsch_pool::Lane;

use crate::exchange::Exchange;
use crate::request::Request;

/// Answers requests. `handle` is called by several threads at once.
#[doc(alias = "WSGIGateway")]
pub trait Gateway: Send + Sync + 'static {
    /// Answers one request: with [`Exchange::respond`], or block by block. An exchange dropped without
    /// an answer is answered with 500; so is one whose gateway panics.
    fn handle(&self, exchange: Exchange);

    /// Where `handle` may run. Default: on any pool thread, since it may block.
    fn lane(&self) -> Lane {
        Lane::Thread
    }

    /// Whether the body of this request is handed on while it arrives, instead of after it was buffered.
    /// Default: no.
    fn streams_body(&self, _request: &Request) -> bool {
        false
    }

    /// The time for what has begun is over: gives up every exchange that an application still works on, with
    /// [`Exchange::cut`]. May not wait for the application. Default: nothing, so that such requests leave no
    /// trace if their threads do not come back.
    fn cut(&self) {}

    /// Bytes of blocks that the server has let go of ([`Exchange::shared_block`]) and that are not freed yet,
    /// where letting go of them is not enough. Asked by who drives the reactor, so it must not wait. Default: 0.
    fn unfreed_bytes(&self) -> u64 {
        0
    }

    /// Frees them: called by a pool thread if they are many. May wait.
    fn free(&self) {}
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
