//! An exchange in the hands of a task: nothing in it waits.
//!
//! The connection is the reactor's from the start, so it notices a client that leaves while the
//! application still thinks, and cuts what is left when a drain has taken too long. The task puts its
//! blocks into the [`Outlet`](crate::outlet::Outlet), after it has asked for room there, and is woken
//! when there is some. It knows no runtime: what it needs of one are [`std::task`]'s wakers.
//!
//! **Invariant:** its exchange is remote or has ended, and never writes to the socket itself.

use std::mem;
use std::task::{Context, Poll};

use kirsch_http::{ErrorAnswer, ResponseHead};

use super::{Block, Exchange, Finished, Stage, Wire};
use crate::outlet::{Gone, Piece};
use crate::reactor::Mail;
use crate::request::Request;
use crate::shared::Counters;

/// Blocks from this size on are not copied but kept as they are until they were sent. The size from which on
/// Python's are, too: a copy is cheap as long as it stays in the processor's cache.
const KEPT: usize = 64 * 1024;

/// An exchange whose methods never wait, so that a task may have it. Made by [`Exchange::detach`].
///
/// Dropped without an answer, it is answered as an [`Exchange`] is.
#[derive(Debug)]
pub struct Detached(Exchange);

impl Exchange {
    /// Makes the exchange one for a task, which may be on any thread. No thread of the pool is needed for it from
    /// then on, and nothing bounds how many there are but the number of connections.
    pub fn detach(mut self) -> Detached {
        self.watch();
        Detached(self)
    }
}

impl Detached {
    /// The request.
    ///
    /// # Panics
    ///
    /// After the exchange has ended.
    pub fn request(&self) -> &Request {
        self.0.request()
    }

    /// The request, to take its body. The body's `read` waits; [`StreamBody::poll_take`](crate::StreamBody::poll_take)
    /// does not.
    ///
    /// # Panics
    ///
    /// After the exchange has ended.
    pub fn request_mut(&mut self) -> &mut Request {
        self.0.request_mut()
    }

    /// Begins the response: fixes its head, which is sent with the first block, at the end, or by
    /// [`Detached::send_head`]. `length` is the length of the whole body if the caller knows it.
    pub fn begin(&mut self, head: ResponseHead, length: Option<u64>) {
        self.0.begin(head, length);
    }

    /// Sends the head without waiting for a block. Does nothing if it is on its way. A body that may be compressed is
    /// compressed block by block then.
    ///
    /// # Errors
    ///
    /// [`Gone`] if nobody will receive it.
    pub fn send_head(&mut self) -> Result<(), Gone> {
        self.0.decide(b"")?;
        let Stage::Head(front, body) = &mut self.0.stage else {
            return Ok(());
        };
        let (front, body) = (mem::take(front), *body);
        self.0.stage = Stage::Body(body);
        let Wire::Remote(outlet, key) = &self.0.wire else {
            return Err(Gone);
        };
        if outlet.force(&front)? {
            self.0.shared.post(Mail::Output(*key));
        }
        Ok(())
    }

    /// Whether there is room for another block: not while
    /// [`Limits::response_memory_bytes`](crate::Limits::response_memory_bytes) wait for the client. The task is woken
    /// when there is. A client that takes nothing for too long ends the wait, too.
    ///
    /// # Errors
    ///
    /// [`Gone`] if nobody will receive another block.
    pub fn poll_room(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let limits = &self.0.shared.config.limits;
        let limit = limits
            .response_memory_bytes
            .min(limits.response_buffer_bytes);
        match &self.0.wire {
            Wire::Remote(outlet, _) => outlet.poll_room(task, limit),
            Wire::Held(_) | Wire::Shelved(_) | Wire::Ended => Poll::Ready(Err(Gone)),
        }
    }

    /// Whether nobody will receive the response: the client has left, was too slow, or was told that the answer comes
    /// too late. The task is woken when that happens. It waits for this or for room, not for both at once.
    pub fn poll_gone(&mut self, task: &mut Context<'_>) -> Poll<Gone> {
        match &self.0.wire {
            Wire::Remote(outlet, _) => outlet.poll_gone(task),
            Wire::Held(_) | Wire::Shelved(_) | Wire::Ended => Poll::Ready(Gone),
        }
    }

    /// Gives the next block, for which [`Detached::poll_room`] has said that there is room. A small one is copied;
    /// one that is large, or for which all buffers together have no room left, is kept until it was sent.
    ///
    /// # Errors
    ///
    /// [`Gone`] if nobody will receive it.
    pub fn block(&mut self, block: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<(), Gone> {
        let bytes = block.as_ref();
        if bytes.is_empty() {
            return Ok(());
        }
        if self.0.decide(bytes)? {
            return self
                .0
                .encode_block(bytes, |exchange, encoded| exchange.push_block(encoded));
        }
        self.0.push_block(block)
    }

    /// Ends the response: the body is whole.
    pub fn finish(&mut self) -> Finished {
        self.0.finish()
    }

    /// Ends the response without completing it, as [`Exchange::abort`].
    pub fn abort(&mut self) {
        self.0.abort();
    }

    /// As [`Detached::abort`], for a task that has caught a panic of its application; [`Gateway::handle`] is long over,
    /// so nobody else counts it.
    ///
    /// [`Gateway::handle`]: crate::Gateway::handle
    pub fn abort_after_panic(&mut self) {
        Counters::count(&self.0.shared.counters.panics);
        self.0.abort();
    }

    /// Answers in the server's own name, if nothing was sent yet, and ends the exchange.
    pub fn answer(&mut self, answer: &ErrorAnswer) {
        self.0.answer(answer);
    }

    /// Whether another block may still be sent, as [`Exchange::wants_more`].
    pub fn wants_more(&self) -> bool {
        self.0.wants_more()
    }
}

/// Blocks as they go on the wire, none of which waits.
impl Exchange {
    fn push_block(&mut self, block: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<(), Gone> {
        let bytes = block.as_ref();
        let len = bytes.len();
        if len >= KEPT {
            return self.push_large(Box::new(block));
        }
        match self.plain_block(bytes)? {
            Block::Taken => Ok(()),
            Block::Rest(count) => {
                let owed = mem::take(&mut self.owed);
                let rest = Piece::Shared {
                    bytes: Box::new(block),
                    start: len - count,
                    end: len - owed.overhang,
                };
                self.push(&[&owed.before], rest, owed.after)
            }
        }
    }

    fn push_large(&mut self, block: Box<dyn AsRef<[u8]> + Send + Sync>) -> Result<(), Gone> {
        let (front, mut body) = self.take_stage()?;
        let framed = body.frame((*block).as_ref().len());
        self.stage = Stage::Body(body);
        self.sent += framed.take as u64;
        let piece = Piece::Shared {
            bytes: block,
            start: 0,
            end: framed.take,
        };
        self.push(&[&front, &framed.prefix], piece, framed.suffix)
    }

    fn push(&self, before: &[&[u8]], piece: Piece, after: &[u8]) -> Result<(), Gone> {
        let Wire::Remote(outlet, key) = &self.wire else {
            return Err(Gone);
        };
        if outlet.push_piece(before, piece, after)? {
            self.shared.post(Mail::Output(*key));
        }
        Ok(())
    }
}
