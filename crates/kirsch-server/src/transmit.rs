//! A connection whose response comes through a pipe, and perhaps takes the request's body through
//! another, while an application works elsewhere.
//!
//! The no-progress timeout runs only while output waits for the client, the body's timeouts only while
//! there is room for what it sends, and the request timeout only until the response's head is there.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use kirsch_http::{BodyPart, ErrorAnswer, ProtocolError, ProtocolErrorKind, RequestFacts, Status};
use tracing::{debug, warn};

use crate::access_log::Record;
use crate::connection::{Connection, FAIR_SHARE, Fill, Next, PART_COST, State, Step, Turn};
use crate::exchange::{FILE_SHARE, Fate};
use crate::intake::{End, Intake};
use crate::outlet::{Ended, Instead, Outlet, Piece, Take};
use crate::pace::Pace;
use crate::request::Request;
use crate::shared::Shared;

/// Both pipes, and what is in the middle of being sent.
pub(crate) struct Transmission {
    outlet: Arc<Outlet>,
    intake: Option<Arc<Intake>>,
    /// The piece being sent, and how much of it was.
    sending: Option<(Piece, u64)>,
    /// How the response ended, once all of it was sent.
    ended: Option<Ended>,
    /// How the client sends the body.
    pace: Pace,
    /// When the client last took something, or something was first there to take.
    write_progress: Instant,
    /// Until the first byte of the response: no 100 may be sent behind it, and no 504.
    unanswered: Option<Unanswered>,
    /// The application has asked for the body that its client announced.
    continue_wanted: bool,
}

/// A request whose response has not begun.
pub(crate) struct Unanswered {
    facts: RequestFacts,
    /// When the application must have begun to answer.
    by: Option<Deadline>,
}

/// When a response must have begun, and what is said if it has not: the request is elsewhere then.
struct Deadline {
    at: Instant,
    id: String,
    asks_for: String,
}

impl Transmission {
    pub(crate) fn new(
        outlet: Arc<Outlet>,
        intake: Option<Arc<Intake>>,
        unanswered: Option<Unanswered>,
    ) -> Transmission {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        if intake
            .as_ref()
            .is_some_and(|intake| intake.awaits_continue())
        {
            pace.pause(now);
        }
        Transmission {
            outlet,
            intake,
            sending: None,
            ended: None,
            pace,
            write_progress: now,
            unanswered,
            continue_wanted: false,
        }
    }

    /// Nobody will receive the response, and no more of the body will come. Answers the record of a
    /// response that had ended.
    pub(crate) fn give_up(&mut self, instead: Option<Instead>) -> Option<Record> {
        if let Some(intake) = &self.intake {
            intake.end(End::Broken("the client closed the connection".to_owned()));
        }
        let unsent = self.outlet.hang_up(instead);
        match self.ended.take() {
            // All of it was sent, whatever has happened since.
            Some(ended) => ended.record,
            None => unsent,
        }
    }
}

/// What sending came to.
enum Sent {
    All,
    Starved,
    Blocked,
    FileNext,
    Lost,
    /// Others have to have their turn.
    Enough,
}

impl Connection {
    /// The request goes to a thread while its body is still arriving.
    pub(crate) fn serve_streaming(&mut self, mut request: Box<Request>, turn: &Turn<'_>) -> Step {
        let awaits = request.head.expect_continue && self.ahead.is_empty();
        let intake = Intake::new(self.key, turn.shared, awaits);
        request.set_body(crate::body::Body::Stream(crate::body::StreamBody {
            intake: Arc::clone(&intake),
        }));
        self.serve(request, Some(intake), turn)
    }

    /// The request goes to a thread, and the connection stays.
    pub(crate) fn serve(
        &mut self,
        request: Box<Request>,
        intake: Option<Arc<Intake>>,
        turn: &Turn<'_>,
    ) -> Step {
        let outlet = Outlet::with(turn.shared, self.may_keep(turn.shared));
        let timeout = turn.shared.config.timeouts.request;
        let unanswered = Unanswered {
            facts: request.head.facts(),
            by: timeout.map(|timeout| Deadline {
                at: turn.now + timeout,
                id: request.id().to_text(),
                asks_for: request.asks_for(),
            }),
        };
        let transmission = Transmission::new(Arc::clone(&outlet), intake, Some(unanswered));
        self.state = State::Remote(Box::new(transmission));
        Step::Out(Next::Serve(request, outlet))
    }

    /// Moves bytes both ways as long as it can.
    pub(crate) fn transmit(&mut self, turn: &mut Turn<'_>) -> Step {
        // What keeps arriving, of which there is always more, holds up neither the response nor the timeouts.
        let more = match self.take_in(turn) {
            Some(Step::Out(Next::Yield)) => true,
            Some(step) => return step,
            None => false,
        };
        let blocked = match self.send_out(turn.now, false) {
            Sent::All => return self.response_sent(turn),
            Sent::Lost => return Step::Out(Next::Close),
            Sent::FileNext => return Step::Out(Next::SendFile),
            Sent::Enough => return Step::Out(Next::Yield),
            Sent::Starved => false,
            Sent::Blocked => true,
        };
        self.deadline = self.transmission_deadline(turn.shared, blocked);
        match more {
            true => self.go_on_later(turn),
            false => Step::Out(Next::Wait),
        }
    }

    /// Sends what is there before the next step, which finds out what came of it.
    pub(crate) fn send_ahead(&mut self, now: Instant) {
        let _ = self.send_out(now, false);
    }

    /// Sends pieces of files, on a thread that may wait for the disk.
    pub(crate) fn transmit_file(&mut self, shared: &Shared) {
        let now = Instant::now();
        match self.send_out(now, true) {
            Sent::Blocked if self.is_write_overdue(shared, now) => {
                debug!("the client did not take its response in time");
            }
            Sent::Lost => {}
            Sent::All | Sent::Starved | Sent::Blocked | Sent::FileNext | Sent::Enough => return,
        }
        self.give_up(shared);
        self.lost(None);
    }

    /// Whether something to send has waited for its client too long.
    fn is_write_overdue(&self, shared: &Shared, now: Instant) -> bool {
        let timeout = shared.config.timeouts.write;
        matches!(&self.state, State::Remote(work)
            if work.sending.is_some() && work.write_progress + timeout <= now)
    }

    /// The application asks for the body that the client announced.
    pub(crate) fn ask_for_body(&mut self, now: Instant) {
        if let State::Remote(work) = &mut self.state {
            work.pace.go_on(now);
            work.continue_wanted = true;
        }
    }

    pub(crate) fn transmission_timed_out(&mut self, turn: &mut Turn<'_>) -> Next {
        let State::Remote(work) = &mut self.state else {
            return Next::Close;
        };
        let late = |unanswered: &Unanswered| {
            let by = unanswered.by.as_ref();
            by.is_some_and(|by| by.at <= turn.now)
        };
        if let Some(unanswered) = work.unanswered.take_if(|unanswered| late(unanswered)) {
            if let Some(Deadline { id, asks_for, .. }) = &unanswered.by {
                warn!(request = %id, %asks_for, "the application did not answer within the request timeout");
            }
            let answer = ErrorAnswer::new(Status(504), "the application did not answer in time");
            self.answer(&answer.to(&unanswered.facts), None, turn);
            return self.advance(turn);
        }
        // The kernel tells that there is room once a third of its buffer is free, for which a client that takes
        // little at a time may need longer than the timeout. A try finds any room; what is in memory was tried.
        let tried = !matches!(work.sending, Some((Piece::File { .. }, _)));
        if self.is_write_overdue(turn.shared, turn.now) {
            if !tried {
                return Next::SendFile;
            }
            debug!("the client did not take its response in time");
            return Next::Close;
        }
        if self
            .body_deadline(turn.shared)
            .is_some_and(|by| by <= turn.now)
        {
            self.body_broken(&ProtocolErrorKind::BodyTimeout.into());
        }
        self.advance(turn)
    }

    /// Puts what arrives of the body into its pipe.
    fn take_in(&mut self, turn: &mut Turn<'_>) -> Option<Step> {
        if self.continue_body().is_err() {
            return Some(Step::Out(Next::Close));
        }
        // Not taken out of `ahead` part by part: with a chunk for every byte, moving the others each time would
        // be most of the work.
        let mut seen = 0;
        let step = self.take_in_behind(&mut seen, turn);
        self.ahead.drain(..seen);
        step
    }

    /// The same, of which the first `seen` bytes of `ahead` have been put there already.
    fn take_in_behind(&mut self, seen: &mut usize, turn: &mut Turn<'_>) -> Option<Step> {
        let mut left = FAIR_SHARE;
        loop {
            let State::Remote(work) = &mut self.state else {
                return Some(Step::Again);
            };
            let intake = work.intake.as_ref()?;
            if self.reader.is_body_done() {
                return None;
            }
            if !intake.has_room() {
                work.pace.pause(turn.now);
                return None;
            }
            if !intake.awaits_continue() {
                work.pace.go_on(turn.now);
            }
            if left == 0 {
                return Some(Step::Out(Next::Yield));
            }
            match self.reader.next_body(&self.ahead[*seen..]) {
                Ok(BodyPart::Data { skip, len }) => {
                    work.pace.received(len, turn.now);
                    let data = *seen + skip;
                    intake.put(&self.ahead[data..data + len]);
                    *seen = data + len;
                    left = left.saturating_sub((skip + len) as u64 + PART_COST);
                    if self.reader.is_body_done() {
                        intake.end(End::Complete);
                    }
                }
                Ok(BodyPart::End { consume }) => {
                    *seen += consume;
                    intake.end(End::Complete);
                }
                Ok(BodyPart::NeedMore { consume }) => {
                    self.ahead.drain(..*seen + consume);
                    *seen = 0;
                    left = left.saturating_sub(consume as u64 + PART_COST);
                    match self.fill_ahead() {
                        Ok(Fill::Bytes) => {}
                        Ok(Fill::Blocked) => return None,
                        Ok(Fill::Enough) => return Some(Step::Out(Next::Yield)),
                        Ok(Fill::End) => {
                            self.body_broken(&ProtocolErrorKind::BodyCutShort.into());
                            return None;
                        }
                        Err(_) => return Some(Step::Out(Next::Close)),
                    }
                }
                Err(error) => {
                    self.body_broken(&error);
                    return None;
                }
            }
        }
    }

    /// Sends the 100 that was asked for, unless the response or the body came first.
    fn continue_body(&mut self) -> io::Result<()> {
        let State::Remote(work) = &mut self.state else {
            return Ok(());
        };
        if !work.continue_wanted {
            return Ok(());
        }
        let due = work.unanswered.is_some() && work.pace.bytes() == 0;
        let still = due && !self.send_continue()?;
        if let State::Remote(work) = &mut self.state {
            work.continue_wanted = still;
        }
        Ok(())
    }

    fn body_broken(&mut self, error: &ProtocolError) {
        let State::Remote(work) = &mut self.state else {
            return;
        };
        if let Some(intake) = work.intake.take() {
            debug!(rule = %error, "a streamed request body broke");
            intake.end(End::Broken(error.to_string()));
        }
    }

    /// Sends what is there. Pieces of files only if `files`, since they may wait for the disk.
    fn send_out(&mut self, now: Instant, files: bool) -> Sent {
        let State::Remote(work) = &mut self.state else {
            return Sent::Lost;
        };
        if work.ended.is_some() {
            return Sent::All;
        }
        let mut budget = if files { FILE_SHARE } else { FAIR_SHARE };
        loop {
            let (piece, done) = match &mut work.sending {
                Some(sending) => (&mut sending.0, &mut sending.1),
                None => match work.outlet.take() {
                    Take::Piece(piece) => {
                        // Before, there was nothing that the client could have taken.
                        work.write_progress = now;
                        let sending = work.sending.insert((piece, 0));
                        (&mut sending.0, &mut sending.1)
                    }
                    Take::Starved => return Sent::Starved,
                    Take::Ended(ended) => {
                        work.ended = Some(ended);
                        return Sent::All;
                    }
                },
            };
            work.unanswered = None;
            // A short send of a file has asked whether there is room; of memory the next one will tell.
            let mut blocks = false;
            let result = match piece {
                Piece::Memory(bytes) => self.stream.send(&[&bytes[*done as usize..]]),
                Piece::Shared { bytes, start, end } => {
                    let bytes = (**bytes).as_ref();
                    self.stream.send(&[&bytes[*start + *done as usize..*end]])
                }
                Piece::File { .. } if !files && self.readiness.writable => return Sent::FileNext,
                Piece::File { .. } if !files => return Sent::Blocked,
                Piece::File { file, offset, len } => {
                    let mut at = *offset + *done;
                    let count = (*len - *done).min(budget);
                    let sent = self.stream.send_file(file.file(), &mut at, count);
                    blocks = sent.as_ref().is_ok_and(|&sent| sent < count);
                    sent.map(|sent| sent as usize)
                }
            };
            match result {
                Ok(0) => {
                    self.readiness.writable = false;
                    return Sent::Blocked;
                }
                Ok(count) => {
                    *done += count as u64;
                    work.write_progress = now;
                    let whole = *done == piece.len();
                    let freed = match piece {
                        Piece::Memory(bytes) if whole => bytes.len() as u64,
                        Piece::Memory(_) | Piece::Shared { .. } | Piece::File { .. } => 0,
                    };
                    if whole {
                        work.sending = None;
                    }
                    work.outlet.sent(count as u64, freed);
                    if blocks {
                        self.readiness.writable = false;
                        return Sent::Blocked;
                    }
                    budget = budget.saturating_sub(count as u64);
                    if budget == 0 {
                        return Sent::Enough;
                    }
                }
                Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => {
                    warn!("a file became shorter while it was sent; its response is aborted");
                    // The length may have been known to nobody: a clean end would look like a whole file.
                    self.stream.reset();
                    return Sent::Lost;
                }
                Err(err) => {
                    debug!(%err, "the client left while its response was sent");
                    return Sent::Lost;
                }
            }
        }
    }

    fn response_sent(&mut self, turn: &mut Turn<'_>) -> Step {
        let State::Remote(work) = &mut self.state else {
            return Step::Again;
        };
        let Some(ended) = work.ended.take() else {
            return Step::Again;
        };
        if let Some(record) = ended.record {
            turn.shared.log(record);
        }
        // A body that broke leads nowhere. A client that still waits for "100 Continue" may send its
        // body, or the next request.
        let mut goes_on = self.reader.is_body_done();
        if let Some(intake) = work.intake.take() {
            goes_on |= !intake.awaits_continue();
            intake.end(End::Broken("the response has ended".to_owned()));
        }
        match ended.fate {
            Fate::Reset => self.break_off(),
            Fate::Keep if goes_on => self.start_discarding(turn),
            Fate::Keep | Fate::Close | Fate::Abort => self.shut(turn.now),
        }
        Step::Again
    }

    /// The earliest of what may run out now.
    fn transmission_deadline(&self, shared: &Shared, output_waits: bool) -> Option<Instant> {
        let State::Remote(work) = &self.state else {
            return None;
        };
        let write = output_waits.then(|| work.write_progress + shared.config.timeouts.write);
        let answer = work
            .unanswered
            .as_ref()
            .and_then(|unanswered| Some(unanswered.by.as_ref()?.at));
        [self.body_deadline(shared), write, answer]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the client has to have sent more of a streamed body.
    fn body_deadline(&self, shared: &Shared) -> Option<Instant> {
        match &self.state {
            State::Remote(work) if work.intake.is_some() && !self.reader.is_body_done() => {
                work.pace.deadline(&shared.config)
            }
            _ => None,
        }
    }
}
