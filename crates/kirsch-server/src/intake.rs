//! The pipe of a streamed request body: the reactor puts in, the application's thread or task takes out.
//!
//! Bounded: while it is full the reactor stops to read, and the client's TCP window closes.

use std::io;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use kirsch_http::BodyLength;

use crate::budget::Charge;
use crate::connection::{DISCARD_BYTES, Key};
use crate::reactor::Mail;
use crate::shared::Shared;

/// Bytes that may wait for the application.
const ROOM: usize = 256 * 1024;
/// Bytes that may wait when all buffers together are full.
const LEAST_ROOM: usize = 16 * 1024;

/// The pipe.
pub(crate) struct Intake {
    state: Mutex<State>,
    arrived: Condvar,
    key: Key,
    shared: Arc<Shared>,
}

struct State {
    bytes: Vec<u8>,
    taken: usize,
    charge: Charge,
    /// Bytes that have arrived in all.
    received: u64,
    end: Option<End>,
    /// The client waits for "100 Continue" before it sends.
    awaits_continue: bool,
    /// The reactor stopped to read because there was no room.
    paused: bool,
    /// The task that waits for bytes, where it is one.
    waker: Option<Waker>,
}

/// How a body ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Complete,
    /// It will never be complete, and why.
    Broken(String),
}

impl End {
    fn to_result(&self) -> io::Result<()> {
        match self {
            End::Complete => Ok(()),
            End::Broken(why) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                why.clone(),
            )),
        }
    }
}

impl Intake {
    pub(crate) fn new(key: Key, shared: &Arc<Shared>, awaits_continue: bool) -> Arc<Intake> {
        Arc::new(Intake {
            state: Mutex::new(State {
                bytes: Vec::new(),
                taken: 0,
                charge: Charge::new(&shared.memory),
                received: 0,
                end: None,
                awaits_continue,
                paused: false,
                waker: None,
            }),
            arrived: Condvar::new(),
            key,
            shared: Arc::clone(shared),
        })
    }

    /// Waits for bytes and takes some; 0 at the end.
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let mut state = self.ask();
        loop {
            let rest = &state.bytes[state.taken..];
            if !rest.is_empty() {
                let count = rest.len().min(buf.len());
                buf[..count].copy_from_slice(&rest[..count]);
                state.taken += count;
                if state.taken == state.bytes.len() {
                    state.bytes.clear();
                    state.bytes.shrink_to(LEAST_ROOM);
                    state.taken = 0;
                    state.charge.shrink_to(0);
                }
                self.resume(state);
                return Ok(count);
            }
            if let Some(end) = &state.end {
                return end.to_result().map(|()| 0);
            }
            state = self
                .arrived
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes all that is there; nothing at the end. If there is nothing yet, the task is woken when there is. One
    /// task at a time waits for a pipe.
    pub(crate) fn poll_take(&self, task: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let mut state = self.ask();
        let taken = mem::take(&mut state.taken);
        let mut bytes = mem::take(&mut state.bytes);
        bytes.drain(..taken);
        if !bytes.is_empty() {
            state.charge.shrink_to(0);
            self.resume(state);
            return Poll::Ready(Ok(bytes));
        }
        if let Some(end) = &state.end {
            return Poll::Ready(end.to_result().map(|()| bytes));
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(task.waker()),
            None => state.waker = Some(task.waker().clone()),
        }
        Poll::Pending
    }

    /// Whether there is room; if not, [`Mail::Room`] tells when there is.
    pub(crate) fn has_room(&self) -> bool {
        let mut state = self.lock();
        let waiting = state.bytes.len() - state.taken;
        let held = state.bytes.len() as u64;
        state.paused = waiting >= ROOM || waiting >= LEAST_ROOM && !state.charge.grow_to(held);
        !state.paused
    }

    /// Puts in what arrived.
    pub(crate) fn put(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.awaits_continue = false;
        state.received += bytes.len() as u64;
        if state.taken > 0 {
            let taken = mem::take(&mut state.taken);
            state.bytes.drain(..taken);
        }
        state.bytes.extend_from_slice(bytes);
        let waker = state.waker.take();
        drop(state);
        self.arrived.notify_one();
        waker.inspect(Waker::wake_by_ref);
    }

    /// Says that nothing more will come. The first end counts.
    pub(crate) fn end(&self, end: End) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(end);
        }
        let waker = state.waker.take();
        drop(state);
        self.arrived.notify_all();
        waker.inspect(Waker::wake_by_ref);
    }

    /// Whether the client was never told to send its body.
    pub(crate) fn awaits_continue(&self) -> bool {
        self.lock().awaits_continue
    }

    /// Whether a response that begins now may promise that the connection stays: the rest of the body has
    /// to be read first, and only little of it is worth that. A client that was never asked for its
    /// body may send it or not, so nobody could tell where the next request begins.
    pub(crate) fn may_keep(&self, length: BodyLength) -> bool {
        let state = self.lock();
        match (&state.end, length) {
            (Some(End::Complete), _) => true,
            (Some(End::Broken(_)), _) => false,
            (None, BodyLength::Known(length)) => {
                !state.awaits_continue && length - state.received.min(length) <= DISCARD_BYTES
            }
            (None, BodyLength::Chunked) => false,
            (None, BodyLength::None) => true,
        }
    }

    /// Somebody wants the body: a client that waits to be asked for it is asked.
    fn ask(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if state.awaits_continue && state.bytes.is_empty() && state.end.is_none() {
            state.awaits_continue = false;
            drop(state);
            self.shared.post(Mail::Continue(self.key));
            state = self.lock();
        }
        state
    }

    /// Has the reactor go on, if it stopped to read and there is room again.
    fn resume(&self, mut state: MutexGuard<'_, State>) {
        let room = state.bytes.len() - state.taken <= ROOM / 2;
        let resume = room && mem::take(&mut state.paused);
        drop(state);
        if resume {
            self.shared.post(Mail::Room(self.key));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
