//! The body of a request on its way to a script: from memory, from a file, or while it still arrives.
//!
//! It knows neither the script's answer nor how anybody waits; `conversation.rs` waits for the pipe and for the client
//! at once, the latter by a descriptor that becomes readable when more has arrived.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ChildStdin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use kirsch_server::Body;
use rustix::event::{EventfdFlags, eventfd};
use tracing::debug;

/// What is moved at once: as much as a pipe holds.
const PIECE: usize = 64 * 1024;

/// The body, as far as the script has not taken it.
pub(crate) struct Input {
    body: Body,
    /// Bytes from `start` on are the next ones.
    piece: Vec<u8>,
    start: usize,
    arrival: Option<Arc<Arrival>>,
    needs: Needs,
}

/// What has to happen before more can be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// The script takes some.
    Script,
    /// The client sends some.
    Client,
    /// Nothing: all of it was moved, or the script does not want it.
    Nothing,
}

/// Tells who waits for descriptors that more of a body has arrived.
struct Arrival(OwnedFd);

impl Wake for Arrival {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // It fails only where it has been told 2^64 times and nobody has looked.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

impl Input {
    /// # Errors
    ///
    /// The system has no descriptor left.
    pub(crate) fn new(body: Body) -> io::Result<Input> {
        let arrival = match &body {
            Body::Stream(_) => {
                let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
                Some(Arc::new(Arrival(eventfd(0, flags)?)))
            }
            Body::Empty | Body::Memory(_) | Body::File(_) => None,
        };
        Ok(Input {
            body,
            piece: Vec::new(),
            start: 0,
            arrival,
            needs: Needs::Script,
        })
    }

    /// What has to happen before more can be moved.
    pub(crate) fn needs(&self) -> Needs {
        self.needs
    }

    /// Readable when more has arrived, where somebody waits for that.
    pub(crate) fn arrival(&self) -> Option<BorrowedFd<'_>> {
        let arrival = self.arrival.as_ref()?;
        (self.needs == Needs::Client).then(|| arrival.0.as_fd())
    }

    /// Gives the script what it takes of what is there. One that does not read loses the rest.
    ///
    /// # Errors
    ///
    /// `ConnectionAborted` if the body will never be complete, or its file's.
    pub(crate) fn feed(&mut self, script: &mut Option<ChildStdin>) -> io::Result<()> {
        let Some(pipe) = script else {
            self.needs = Needs::Nothing;
            return Ok(());
        };
        loop {
            if self.start == self.piece.len() {
                match self.refill()? {
                    Poll::Pending => {
                        self.needs = Needs::Client;
                        return Ok(());
                    }
                    Poll::Ready(0) => break,
                    Poll::Ready(_) => {}
                }
            }
            match pipe.write(&self.piece[self.start..]) {
                Ok(count) => self.start += count,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                    self.needs = Needs::Script;
                    return Ok(());
                }
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => {
                    debug!(%err, "a script does not read its request's body");
                    break;
                }
            }
        }
        // The end of the file tells the script that this was all.
        *script = None;
        self.needs = Needs::Nothing;
        Ok(())
    }

    /// Fetches the next piece; 0 bytes at the end.
    fn refill(&mut self) -> io::Result<Poll<usize>> {
        self.start = 0;
        if let (Body::Stream(body), Some(arrival)) = (&mut self.body, &self.arrival) {
            // Before the look: what arrives after it is told anew.
            let _ = rustix::io::read(&arrival.0, &mut [0; 8]);
            let waker = Waker::from(Arc::clone(arrival));
            self.piece.clear();
            return match body.poll_take(&mut Context::from_waker(&waker)) {
                Poll::Ready(taken) => {
                    self.piece = taken?;
                    Ok(Poll::Ready(self.piece.len()))
                }
                Poll::Pending => Ok(Poll::Pending),
            };
        }
        self.piece.resize(PIECE, 0);
        let count = self.body.read(&mut self.piece)?;
        self.piece.truncate(count);
        Ok(Poll::Ready(count))
    }
}
