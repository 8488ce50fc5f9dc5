//! The pipe of a response that outran its client: a thread puts in, the reactor sends.
//!
//! The application goes on computing while the reactor transmits. What waits lies in memory, then in
//! a spool file; only beyond the response buffer does the thread wait for room. The outlet knows
//! bytes and files, no framing: what goes in is on the wire as it is. A task that may not wait puts in
//! by reference what memory has no room for, and is woken when there is room.
//! Read next: `exchange.rs`, which puts in; `connection.rs`, which takes out.

use std::collections::VecDeque;
use std::fs::File;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::access_log::{Ending, Record};
use crate::budget::{Charge, SpoolFile, Spooled};
use crate::exchange::Fate;
use crate::shared::Shared;

/// Pieces longer than this are not copied together.
const COALESCE: usize = 16 * 1024;

/// So many pieces of files that lie elsewhere may wait whatever their length: as many as the ranges of a request
/// make, with the text between them, and a bound for a gateway that never ends.
const FREE_PIECES: usize = 256;

/// The pipe. Shared by the exchange, which puts in, and the connection, which takes out.
pub(crate) struct Outlet {
    state: Mutex<State>,
    room: Condvar,
    /// Whether the connection may stay after this response; for an exchange that never held it.
    may_keep: bool,
}

struct State {
    pieces: VecDeque<Piece>,
    /// Bytes in `pieces`, and of those in memory.
    waiting: u64,
    in_memory: u64,
    charge: Charge,
    /// The file that grows. The thread that appends takes it out meanwhile.
    spool: Option<SpoolFile>,
    /// The reactor found nothing to send while the client would have taken more.
    starved: bool,
    /// Bytes taken out so far; the no-progress timeout and the choice of the slowest look at it.
    sent: u64,
    ended: Option<Ended>,
    /// The connection has left its end of the pipe: nobody asks how the response ended.
    hung_up: bool,
    /// What the client got in place of the application's response.
    instead: Option<Instead>,
    /// The connection is gone, or was given up: nothing put in will be sent.
    gone: bool,
    /// Whether the thread that puts in waits for room: waking nobody is a system call all the same.
    thread_waits: bool,
    /// The task that puts in, where it is one, and waits.
    waiter: Option<Waiter>,
}

/// A task that waits for the pipe.
struct Waiter {
    waker: Waker,
    for_what: Wait,
}

/// What a task waits for; in any case also for the news that nobody will receive anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// No more than so many bytes in the pipe.
    Room(u64),
    Gone,
}

/// A part of what waits.
pub(crate) enum Piece {
    Memory(Vec<u8>),
    /// A block that the application would have kept in memory anyway.
    Shared {
        bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
        start: usize,
        end: usize,
    },
    File {
        file: FileSource,
        offset: u64,
        len: u64,
    },
}

/// Whose file a piece is part of.
#[derive(Clone)]
pub(crate) enum FileSource {
    /// Opened by the application.
    Given(Arc<File>),
    /// Ours.
    Spooled(Arc<Spooled>),
}

impl FileSource {
    pub(crate) fn file(&self) -> &File {
        match self {
            FileSource::Given(file) => file,
            FileSource::Spooled(spooled) => &spooled.file,
        }
    }
}

/// How the response ended.
pub(crate) struct Ended {
    pub(crate) fate: Fate,
    pub(crate) record: Option<Record>,
}

/// Who hears how the response ended.
#[must_use]
pub(crate) enum Told {
    /// The reactor, which has to be told that there is something.
    Starved,
    /// The reactor, once it has sent what is in front.
    Later,
    /// Nobody any more; the record is the caller's to write.
    Nobody(Ended),
}

/// An answer of the server's own that the client got in place of the application's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instead {
    pub(crate) status: u16,
    /// Bytes of its content.
    pub(crate) sent: u64,
}

impl Instead {
    fn correct(self, record: Record) -> Record {
        Record {
            status: self.status,
            sent: self.sent,
            ending: Ending::Closed,
            ..record
        }
    }
}

/// Whether a block was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It was; `notify`: the reactor has to be told.
    Taken { notify: bool },
    /// There is no room in memory: it takes [`Outlet::put_slowly`].
    Full,
}

/// What the reactor got.
pub(crate) enum Take {
    /// Send this.
    Piece(Piece),
    /// Nothing yet; the outlet will say when there is.
    Starved,
    /// Nothing any more.
    Ended(Ended),
}

/// Nobody will receive what is put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl Piece {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Piece::Memory(bytes) => bytes.len() as u64,
            Piece::Shared { start, end, .. } => (end - start) as u64,
            Piece::File { len, .. } => *len,
        }
    }
}

impl Piece {
    /// Whether it takes no room of ours while it waits.
    fn lies_elsewhere(&self) -> bool {
        match self {
            Piece::Memory(_) | Piece::Shared { .. } => false,
            Piece::File { file, .. } => matches!(file, FileSource::Given(_)),
        }
    }
}

impl Outlet {
    /// The pipe of a response that has begun.
    pub(crate) fn new(shared: &Shared) -> Arc<Outlet> {
        Outlet::with(shared, true)
    }

    /// The pipe of a response that has not begun.
    pub(crate) fn with(shared: &Shared, may_keep: bool) -> Arc<Outlet> {
        Arc::new(Outlet {
            state: Mutex::new(State {
                pieces: VecDeque::new(),
                waiting: 0,
                in_memory: 0,
                charge: Charge::new(&shared.memory),
                spool: None,
                starved: false,
                sent: 0,
                ended: None,
                hung_up: false,
                instead: None,
                gone: false,
                thread_waits: false,
                waiter: None,
            }),
            room: Condvar::new(),
            may_keep,
        })
    }

    /// Whether the connection may stay after this response.
    pub(crate) fn may_keep(&self) -> bool {
        self.may_keep
    }

    /// Puts in a block with its framing if memory has room for all of it. Never blocks.
    pub(crate) fn put(&self, slices: &[&[u8]], memory_limit: u64) -> Result<Put, Gone> {
        let mut state = self.lock();
        if state.gone {
            return Err(Gone);
        }
        let len: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        if len == 0 {
            return Ok(Put::Taken { notify: false });
        }
        let total = state.in_memory + len;
        if total > memory_limit || !state.charge.grow_to(total) {
            return Ok(Put::Full);
        }
        slices.iter().for_each(|slice| state.push_memory(slice));
        Ok(Put::Taken {
            notify: mem::take(&mut state.starved),
        })
    }

    /// Puts in a few last bytes, whatever the limits say. Answers whether the reactor has to be told.
    pub(crate) fn force(&self, bytes: &[u8]) -> Result<bool, Gone> {
        let mut state = self.lock();
        if state.gone {
            return Err(Gone);
        }
        if bytes.is_empty() {
            return Ok(false);
        }
        state.push_memory(bytes);
        Ok(mem::take(&mut state.starved))
    }

    /// Puts in a piece of a file of the application's, or a block by reference, with its framing. If the
    /// response buffer is full, a block waits until the client has taken some, and so do pieces of files once
    /// there are many. Blocks.
    pub(crate) fn put_piece(
        &self,
        before: &[&[u8]],
        piece: Piece,
        after: &[u8],
        shared: &Shared,
        hold: &dyn Hold,
    ) -> Result<(), Gone> {
        if !(piece.lies_elsewhere() && self.lock().pieces.len() < FREE_PIECES) {
            self.await_room(shared, hold)?;
        }
        if self.push_piece(before, piece, after)? {
            hold.notify();
        }
        Ok(())
    }

    /// As [`Outlet::put_piece`], whatever waits already: who calls it has seen that there is room. Never blocks.
    /// Answers whether the reactor has to be told.
    pub(crate) fn push_piece(
        &self,
        before: &[&[u8]],
        piece: Piece,
        after: &[u8],
    ) -> Result<bool, Gone> {
        let mut state = self.lock();
        if state.gone {
            return Err(Gone);
        }
        for slice in before {
            state.push_memory(slice);
        }
        if piece.len() > 0 {
            state.waiting += piece.len();
            state.pieces.push_back(piece);
        }
        state.push_memory(after);
        Ok(mem::take(&mut state.starved))
    }

    /// Whether less than `limit` bytes wait, or none; if not, the task is woken when there is room again, or nobody
    /// will receive anything. One task at a time waits for a pipe.
    pub(crate) fn poll_room(&self, task: &mut Context<'_>, limit: u64) -> Poll<Result<(), Gone>> {
        let mut state = self.lock();
        if state.gone {
            return Poll::Ready(Err(Gone));
        }
        if state.waiting == 0 || state.waiting < limit {
            return Poll::Ready(Ok(()));
        }
        state.wait(task, Wait::Room(worth_waking(limit)));
        Poll::Pending
    }

    /// Whether nobody will receive what is put in; if somebody will, the task is woken when that changes.
    pub(crate) fn poll_gone(&self, task: &mut Context<'_>) -> Poll<Gone> {
        let mut state = self.lock();
        if state.gone {
            return Poll::Ready(Gone);
        }
        state.wait(task, Wait::Gone);
        Poll::Pending
    }

    /// Puts in bytes that memory has no room for: into the spool file, and if the response buffer is
    /// full, after waiting until the client has taken some. Blocks.
    pub(crate) fn put_slowly(
        &self,
        slices: &[&[u8]],
        shared: &Shared,
        hold: &dyn Hold,
    ) -> Result<(), Gone> {
        for slice in slices {
            let mut rest = *slice;
            while !rest.is_empty() {
                let room = self.await_room(shared, hold)?;
                let (now, later) = rest.split_at(rest.len().min(room));
                if self.spool(now, shared)? {
                    hold.notify();
                }
                rest = later;
            }
        }
        Ok(())
    }

    /// Says how the response ended.
    pub(crate) fn end(&self, ended: Ended) -> Told {
        let mut state = self.lock();
        if state.hung_up {
            let record = ended.record.map(|record| match state.instead {
                Some(instead) => instead.correct(record),
                None => record.aborted(),
            });
            return Told::Nobody(Ended { record, ..ended });
        }
        state.ended = Some(ended);
        if mem::take(&mut state.starved) || state.gone {
            Told::Starved
        } else {
            Told::Later
        }
    }

    /// Takes what is to be sent next.
    pub(crate) fn take(&self) -> Take {
        let mut state = self.lock();
        if let Some(piece) = state.pieces.pop_front() {
            if state.pieces.is_empty() {
                state.spool = None;
            }
            return Take::Piece(piece);
        }
        match state.ended.take() {
            Some(ended) => Take::Ended(ended),
            None => {
                state.starved = true;
                Take::Starved
            }
        }
    }

    /// Bytes of a taken piece have left; wakes whoever waits for room. `freed` bytes of memory are
    /// free again, all at once when the last byte of their piece has left.
    pub(crate) fn sent(&self, bytes: u64, freed: u64) {
        let mut state = self.lock();
        state.sent += bytes;
        state.waiting = state.waiting.saturating_sub(bytes);
        if freed > 0 {
            state.in_memory = state.in_memory.saturating_sub(freed);
            let left = state.in_memory;
            state.charge.shrink_to(left);
        }
        let waiting = state.waiting;
        let has_room = |waiter: &mut Waiter| match waiter.for_what {
            Wait::Room(most) => waiting <= most,
            Wait::Gone => false,
        };
        let waiter = state.waiter.take_if(has_room);
        let thread_waits = state.thread_waits;
        drop(state);
        if thread_waits {
            self.room.notify_one();
        }
        wake(waiter);
    }

    /// The response is given up: whoever puts in learns it, whoever waits wakes up. The connection still
    /// hears how it ends.
    pub(crate) fn abandon(&self) {
        let waiter = self.lock().abandon();
        self.room.notify_all();
        wake(waiter);
    }

    /// The connection leaves, perhaps with an answer of the server's own. Answers the record of a response
    /// that had ended; one that ends later is the exchange's to log.
    pub(crate) fn hang_up(&self, instead: Option<Instead>) -> Option<Record> {
        let mut state = self.lock();
        let waiter = state.abandon();
        state.hung_up = true;
        state.instead = instead;
        let record = state.ended.take().and_then(|ended| ended.record);
        drop(state);
        self.room.notify_all();
        wake(waiter);
        match (record, instead) {
            (Some(record), Some(instead)) => Some(instead.correct(record)),
            (record, _) => record.map(Record::aborted),
        }
    }

    /// Bytes sent so far.
    pub(crate) fn progress(&self) -> u64 {
        self.lock().sent
    }

    /// Whether nobody will receive what is put in.
    pub(crate) fn is_gone(&self) -> bool {
        self.lock().gone
    }

    /// Waits for room in the response buffer if there is none; answers how much there is.
    fn await_room(&self, shared: &Shared, hold: &dyn Hold) -> Result<usize, Gone> {
        let limit = shared.config.limits.response_buffer_bytes;
        let mut state = self.lock();
        if state.waiting > 0 && state.waiting >= limit && !state.gone {
            drop(state);
            hold.begin();
            self.wait_for_room(limit, shared.config.timeouts.write);
            hold.end();
            state = self.lock();
        }
        if state.gone {
            return Err(Gone);
        }
        // A limit of 0 means: byte by byte.
        let room = limit.saturating_sub(state.waiting).max(1);
        Ok(usize::try_from(room).unwrap_or(usize::MAX))
    }

    /// Appends to the spool file, without the lock: the reactor must not wait for the disk.
    /// Answers whether the reactor has to be told.
    fn spool(&self, bytes: &[u8], shared: &Shared) -> Result<bool, Gone> {
        let spool = self.lock().spool.take();
        // A client that never catches up would make one file grow without end.
        let spool = spool.filter(|file| file.written < shared.config.limits.response_buffer_bytes);
        let appended = spool
            .map_or_else(|| shared.spool.file(), Ok)
            .and_then(|mut spool| {
                let offset = spool.written;
                spool.append(bytes)?;
                Ok((spool, offset))
            });
        let mut state = self.lock();
        if state.gone {
            return Err(Gone);
        }
        match appended {
            Ok((spool, offset)) => {
                state.push_spooled(&spool.content, offset, bytes.len() as u64);
                state.spool = Some(spool);
            }
            Err(err) => {
                if !state.push_charged(bytes) {
                    // The response cannot be kept, so the client must see that it broke.
                    warn!(%err, "no room for a response that outran its client, neither on disk nor in memory");
                    state.gone = true;
                    return Err(Gone);
                }
            }
        }
        Ok(mem::take(&mut state.starved))
    }

    fn wait_for_room(&self, limit: u64, patience: Duration) {
        let mut state = self.lock();
        let mut deadline = Instant::now() + patience;
        let mut seen = state.sent;
        state.thread_waits = true;
        while !state.gone && state.waiting > worth_waking(limit) {
            let now = Instant::now();
            if state.sent != seen {
                seen = state.sent;
                deadline = now + patience;
            }
            if now >= deadline {
                state.gone = true;
                break;
            }
            state = self
                .room
                .wait_timeout(state, deadline - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.thread_waits = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How full a buffer may be when whoever waits for room is woken: a quarter of it is worth that, a byte is not.
fn worth_waking(limit: u64) -> u64 {
    limit / 4 * 3
}

/// Wakes a task. Not under the lock: its runtime has locks of its own.
fn wake(waiter: Option<Waiter>) {
    if let Some(waiter) = waiter {
        waiter.waker.wake();
    }
}

impl State {
    /// Answers the task to wake.
    #[must_use]
    fn abandon(&mut self) -> Option<Waiter> {
        self.gone = true;
        self.pieces.clear();
        self.spool = None;
        self.in_memory = 0;
        self.charge.shrink_to(0);
        self.waiter.take()
    }

    fn wait(&mut self, task: &Context<'_>, for_what: Wait) {
        match &mut self.waiter {
            Some(waiter) => {
                waiter.waker.clone_from(task.waker());
                waiter.for_what = for_what;
            }
            None => {
                self.waiter = Some(Waiter {
                    waker: task.waker().clone(),
                    for_what,
                });
            }
        }
    }

    fn push_memory(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.waiting += bytes.len() as u64;
        self.in_memory += bytes.len() as u64;
        if let Some(Piece::Memory(last)) = self.pieces.back_mut()
            && last.len() + bytes.len() <= COALESCE
        {
            last.extend_from_slice(bytes);
            return;
        }
        let mut piece = Vec::with_capacity(bytes.len().max(4096));
        piece.extend_from_slice(bytes);
        self.pieces.push_back(Piece::Memory(piece));
    }

    fn push_charged(&mut self, bytes: &[u8]) -> bool {
        if !self.charge.grow_to(self.in_memory + bytes.len() as u64) {
            return false;
        }
        self.push_memory(bytes);
        true
    }

    fn push_spooled(&mut self, content: &Arc<Spooled>, offset: u64, len: u64) {
        self.waiting += len;
        if let Some(Piece::File {
            file: FileSource::Spooled(last),
            offset: start,
            len: last_len,
        }) = self.pieces.back_mut()
            && Arc::ptr_eq(last, content)
            && *start + *last_len == offset
        {
            *last_len += len;
            return;
        }
        self.pieces.push_back(Piece::File {
            file: FileSource::Spooled(Arc::clone(content)),
            offset,
            len,
        });
    }
}

/// What a thread that waits for a slow client tells the pool.
pub(crate) trait Hold {
    /// The wait begins.
    fn begin(&self);
    /// The wait is over.
    fn end(&self);
    /// The reactor has something to send.
    fn notify(&self);
}
