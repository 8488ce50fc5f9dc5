//! The pipe of a response that outran its client: a thread puts in, the reactor sends.
//!
//! The application goes on computing while the reactor transmits. What waits lies in memory, then in
//! a spool file; only beyond the response buffer does the thread wait for room. The outlet knows
//! bytes and files, no framing: what goes in is on the wire as it is.
//! Read next: `exchange.rs`, which puts in; `connection.rs`, which takes out.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::access_log::{Ending, Record};
use crate::budget::{Charge, SpoolFile, Spooled};
use crate::exchange::Fate;
use crate::shared::Shared;

/// Pieces longer than this are not copied together.
const COALESCE: usize = 16 * 1024;

/// The pipe. Shared by the exchange, which puts in, and the connection, which takes out.
pub(crate) struct Outlet {
    state: Mutex<State>,
    room: Condvar,
}

struct State {
    pieces: VecDeque<Piece>,
    /// Bytes in `pieces`, and of those in memory.
    waiting: u64,
    in_memory: u64,
    charge: Charge,
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

impl Outlet {
    pub(crate) fn new(shared: &Shared) -> Arc<Outlet> {
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
            }),
            room: Condvar::new(),
        })
    }

    /// Puts in bytes if memory has room for them. Never blocks.
    pub(crate) fn put(&self, bytes: &[u8], memory_limit: u64) -> Result<Put, Gone> {
        let mut state = self.lock();
        if state.gone {
            return Err(Gone);
        }
        if bytes.is_empty() {
            return Ok(Put::Taken { notify: false });
        }
        let total = state.in_memory + bytes.len() as u64;
        // Once a file has begun, order demands that what follows goes there too, until it has been sent.
        if state.spool.is_some() || total > memory_limit || !state.charge.grow_to(total) {
            return Ok(Put::Full);
        }
        state.push_memory(bytes);
        Ok(Put::Taken {
            notify: mem::take(&mut state.starved),
        })
    }

    /// Puts in a few bytes of framing, whatever the limits say. Answers whether the reactor has to be told.
    pub(crate) fn force(&self, bytes: &[u8]) -> Result<bool, Gone> {
        let mut state = self.lock();
        if state.gone {
            return Err(Gone);
        }
        if bytes.is_empty() {
            return Ok(false);
        }
        // Order: behind a spool file's end only a new piece may stand.
        state.spool = None;
        state.push_memory(bytes);
        Ok(mem::take(&mut state.starved))
    }

    /// Puts in a piece of a file of the application's, or a block by reference.
    pub(crate) fn put_piece(&self, piece: Piece) -> Result<bool, Gone> {
        let mut state = self.lock();
        if state.gone {
            return Err(Gone);
        }
        state.waiting += piece.len();
        // What is put in afterwards must not be appended to a spool file in front of this piece.
        state.spool = None;
        state.pieces.push_back(piece);
        Ok(mem::take(&mut state.starved))
    }

    /// Puts in bytes that memory has no room for: into the spool file, and if the response buffer is
    /// full, after waiting until the client has taken some. Blocks.
    pub(crate) fn put_slowly(
        &self,
        bytes: &[u8],
        shared: &Shared,
        hold: &dyn Hold,
    ) -> Result<bool, Gone> {
        let limits = &shared.config.limits;
        let mut held = false;
        let mut rest = bytes;
        let mut notify = false;
        while !rest.is_empty() {
            let mut state = self.lock();
            if state.gone {
                break;
            }
            let room = limits.response_buffer_bytes.saturating_sub(state.waiting);
            let count = rest.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            if count == 0 {
                notify |= mem::take(&mut state.starved);
                drop(state);
                if notify {
                    hold.notify();
                    notify = false;
                }
                if !held {
                    held = true;
                    hold.begin();
                }
                self.wait_for_room(limits.response_buffer_bytes, shared.config.timeouts.write);
                continue;
            }
            let (now, later) = rest.split_at(count);
            if state.spool_bytes(now, shared).is_err() && !state.push_charged(now) {
                // Neither disk nor memory: the response cannot be kept, so the client must see that it broke.
                state.gone = true;
                break;
            }
            rest = later;
            notify |= mem::take(&mut state.starved);
        }
        if held {
            hold.end();
        }
        if self.lock().gone {
            return Err(Gone);
        }
        Ok(notify)
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

    /// Bytes of a taken piece have left; wakes a thread that waits for room.
    pub(crate) fn sent(&self, bytes: u64, of_memory: bool) {
        let mut state = self.lock();
        state.sent += bytes;
        state.waiting = state.waiting.saturating_sub(bytes);
        if of_memory {
            state.in_memory = state.in_memory.saturating_sub(bytes);
            let left = state.in_memory;
            state.charge.shrink_to(left);
        }
        drop(state);
        self.room.notify_one();
    }

    /// The response is given up: whoever puts in learns it, whoever waits wakes up. The connection still
    /// hears how it ends.
    pub(crate) fn abandon(&self) {
        self.lock().abandon();
        self.room.notify_all();
    }

    /// The connection leaves, perhaps with an answer of the server's own. Answers the record of a response
    /// that had ended; one that ends later is the exchange's to log.
    pub(crate) fn hang_up(&self, instead: Option<Instead>) -> Option<Record> {
        let mut state = self.lock();
        state.abandon();
        state.hung_up = true;
        state.instead = instead;
        let record = state.ended.take().and_then(|ended| ended.record);
        drop(state);
        self.room.notify_all();
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

    fn wait_for_room(&self, limit: u64, patience: Duration) {
        let mut state = self.lock();
        let mut deadline = Instant::now() + patience;
        let mut seen = state.sent;
        // A quarter of the buffer is worth waking up for; a byte is not.
        while !state.gone && state.waiting > limit / 4 * 3 {
            let now = Instant::now();
            if state.sent != seen {
                seen = state.sent;
                deadline = now + patience;
            }
            if now >= deadline {
                state.gone = true;
                return;
            }
            state = self
                .room
                .wait_timeout(state, deadline - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn abandon(&mut self) {
        self.gone = true;
        self.pieces.clear();
        self.spool = None;
        self.in_memory = 0;
        self.charge.shrink_to(0);
    }

    fn push_memory(&mut self, bytes: &[u8]) {
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
        self.spool = None;
        self.push_memory(bytes);
        true
    }

    fn spool_bytes(&mut self, bytes: &[u8], shared: &Shared) -> io::Result<()> {
        let spool = match &mut self.spool {
            Some(spool) => spool,
            None => self.spool.insert(shared.spool.file()?),
        };
        let offset = spool.written;
        spool.append(bytes)?;
        self.waiting += bytes.len() as u64;
        if let Some(Piece::File {
            file: FileSource::Spooled(last),
            offset: start,
            len,
        }) = self.pieces.back_mut()
            && Arc::ptr_eq(last, &spool.content)
            && *start + *len == offset
        {
            *len += bytes.len() as u64;
            return Ok(());
        }
        let file = FileSource::Spooled(Arc::clone(&spool.content));
        self.pieces.push_back(Piece::File {
            file,
            offset,
            len: bytes.len() as u64,
        });
        Ok(())
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
