//! Buffering a request body before the application is called: memory first, then a file.
//!
//! No thread waits for a client that sends slowly. Writing the file may take long, so it is a job:
//! the connection asks for a thread, which calls [`Gathering::spill`].

use std::io;
use std::time::Instant;

use kirsch_http::{BodyLength, BodyPart, ErrorAnswer, Status};
use tracing::{error, warn};

use crate::body::{Body, FileBody};
use crate::budget::{Charge, SpoolFile};
use crate::connection::{Connection, FAIR_SHARE, Fill, Next, PART_COST, State, Step, Turn};
use crate::pace::Pace;
use crate::request::Request;
use crate::shared::Shared;

/// What is kept in memory per body when all buffers together are full.
const LEAST_MEMORY: u64 = 16 * 1024;
/// Read at once from the socket.
const READ: usize = 64 * 1024;

/// A body that is being buffered.
pub(crate) struct Gathering {
    pub(crate) request: Box<Request>,
    /// Bytes from the socket, of which the machine has seen the first `seen`. They are not taken out one part
    /// after the other: with a chunk for every byte, moving the others each time would be most of the work.
    input: Vec<u8>,
    seen: usize,
    body: Vec<u8>,
    charge: Charge,
    spool: Option<SpoolFile>,
    pace: Pace,
    /// The client waits for "100 Continue".
    awaits_continue: bool,
    /// `body` has to go to the file before more is read.
    full: bool,
    /// The file could not take it.
    failed: bool,
}

impl Gathering {
    pub(crate) fn new(request: Box<Request>, input: Vec<u8>, turn: &Turn<'_>) -> Gathering {
        let awaits_continue = request.head.expect_continue && input.is_empty();
        Gathering {
            request,
            input,
            seen: 0,
            body: Vec::new(),
            charge: Charge::new(&turn.shared.memory),
            spool: None,
            pace: Pace::new(turn.now),
            awaits_continue,
            full: false,
            failed: false,
        }
    }

    /// Writes what was gathered in memory to the file. May block on the disk.
    pub(crate) fn spill(&mut self, shared: &Shared) {
        if let Err(err) = self.try_spill(shared) {
            self.failed = true;
            match err.kind() {
                io::ErrorKind::StorageFull => {
                    warn!("no room to buffer a request body: the spool is full");
                }
                _ => error!(%err, "cannot buffer a request body"),
            }
        }
        self.full = false;
        self.pace.go_on(Instant::now());
        self.body = Vec::new();
        self.charge.shrink_to(0);
    }

    fn try_spill(&mut self, shared: &Shared) -> io::Result<()> {
        let spool = match &mut self.spool {
            Some(spool) => spool,
            None => self.spool.insert(shared.spool.file()?),
        };
        spool.append(&self.body)
    }

    fn memory_limit(&self, shared: &Shared) -> u64 {
        shared.config.limits.body_memory_bytes
    }

    /// Takes in bytes of body; true if they have to go to the file now.
    fn take(&mut self, skip: usize, len: usize, shared: &Shared) -> bool {
        if self.body.len() + len > self.body.capacity() {
            // All of it at once, as far as it may stay in memory: growing by and by copies it again and again.
            let most = self.memory_limit(shared) as usize + READ;
            let wanted = match self.request.head.body {
                BodyLength::Known(total) => usize::try_from(total).map_or(most, |it| it.min(most)),
                BodyLength::None | BodyLength::Chunked => 0,
            };
            self.body
                .reserve(len.max(wanted.saturating_sub(self.body.len())));
        }
        let data = self.seen + skip;
        self.body.extend_from_slice(&self.input[data..data + len]);
        self.seen = data + len;
        let held = self.body.len() as u64;
        let limit = if self.charge.grow_to(held) {
            self.memory_limit(shared)
        } else {
            LEAST_MEMORY
        };
        held > limit
    }

    fn forget_seen(&mut self) {
        self.input.drain(..self.seen);
        self.seen = 0;
    }

    fn finish(mut self) -> (Box<Request>, Vec<u8>) {
        self.forget_seen();
        let Gathering {
            mut request,
            input,
            body,
            charge,
            spool,
            pace,
            ..
        } = self;
        let body = match spool {
            None => Body::in_memory(body, Some(charge)),
            Some(spool) => Body::File(FileBody {
                content: spool.content,
                len: pace.bytes(),
                position: 0,
            }),
        };
        request.set_body(body);
        (request, input)
    }
}

impl Connection {
    /// Reads and buffers as long as there is something to read.
    pub(crate) fn gather(&mut self, turn: &mut Turn<'_>) -> Step {
        let State::Body(gathering) = &mut self.state else {
            return Step::Again;
        };
        if gathering.failed {
            let answer =
                ErrorAnswer::new(Status(503), "the server has no room for the request body")
                    .retry_after(10)
                    .to(&gathering.request.head.facts());
            let request = self.take_unfinished(turn);
            self.answer(&answer, request, turn);
            return Step::Again;
        }
        let mut left = FAIR_SHARE;
        loop {
            let State::Body(gathering) = &mut self.state else {
                return Step::Again;
            };
            if gathering.full {
                gathering.pace.pause(turn.now);
                return Step::Out(Next::Spool);
            }
            if left == 0 {
                return Step::Out(Next::Yield);
            }
            match self.reader.next_body(&gathering.input[gathering.seen..]) {
                Ok(BodyPart::Data { skip, len }) => {
                    gathering.full = gathering.take(skip, len, turn.shared);
                    gathering.pace.received(len, turn.now);
                    gathering.awaits_continue = false;
                    left = left.saturating_sub((skip + len) as u64 + PART_COST);
                }
                Ok(BodyPart::End { consume }) => {
                    gathering.seen += consume;
                    if gathering.spool.is_some() && !gathering.body.is_empty() {
                        gathering.full = true;
                        continue;
                    }
                    return self.gathered(turn);
                }
                Ok(BodyPart::NeedMore { consume }) => {
                    gathering.seen += consume;
                    gathering.forget_seen();
                    left = left.saturating_sub(consume as u64 + PART_COST);
                    if let Some(step) = self.read_body(turn) {
                        return step;
                    }
                }
                Err(error) => {
                    self.refuse(error, turn);
                    return Step::Again;
                }
            }
        }
    }

    fn awaits_continue(&mut self, still: bool) {
        if let State::Body(gathering) = &mut self.state {
            gathering.awaits_continue = still;
        }
    }

    fn gathered(&mut self, turn: &Turn<'_>) -> Step {
        let state = std::mem::replace(
            &mut self.state,
            State::Head {
                since: None,
                idle_since: turn.now,
            },
        );
        let State::Body(gathering) = state else {
            return Step::Again;
        };
        let (mut request, input) = gathering.finish();
        request.trailers = self.reader.take_trailers();
        self.ahead = input;
        self.dispatch(request, turn)
    }

    /// Reads once; `None` to go on.
    fn read_body(&mut self, turn: &mut Turn<'_>) -> Option<Step> {
        let State::Body(gathering) = &mut self.state else {
            return Some(Step::Again);
        };
        if gathering.awaits_continue {
            match self.send_continue() {
                Ok(sent) => self.awaits_continue(!sent),
                Err(_) => return Some(Step::Out(Next::Close)),
            }
        }
        let State::Body(gathering) = &mut self.state else {
            return Some(Step::Again);
        };
        let mut input = std::mem::take(&mut gathering.input);
        let want = match self.reader.body_remaining() {
            BodyLength::Known(left) => usize::try_from(left).unwrap_or(READ).clamp(1, READ),
            BodyLength::None | BodyLength::Chunked => READ / 4,
        };
        input.reserve(want);
        let filled = self.fill(&mut input);
        let ended = matches!(filled, Ok(Fill::End)).then(|| self.reader.end_of_stream(&input));
        let State::Body(gathering) = &mut self.state else {
            return Some(Step::Again);
        };
        gathering.input = input;
        match filled {
            Ok(Fill::Bytes) => None,
            Ok(Fill::Blocked) => {
                if gathering.input.is_empty() {
                    // A client that trickles must not hold a read buffer meanwhile.
                    gathering.input = Vec::new();
                }
                self.deadline = gathering.pace.deadline(&turn.shared.config);
                Some(Step::Out(Next::Wait))
            }
            Ok(Fill::Enough) => {
                self.deadline = gathering.pace.deadline(&turn.shared.config);
                Some(self.go_on_later(turn))
            }
            Ok(Fill::End) => match ended {
                Some(Err(error)) => {
                    self.refuse(error, turn);
                    Some(Step::Again)
                }
                _ => Some(Step::Out(Next::Close)),
            },
            Err(_) => Some(Step::Out(Next::Close)),
        }
    }
}
