//! A connection whose response comes through a pipe, and perhaps takes the request's body through
//! another, while an application works elsewhere.
//!
//! The no-progress timeout runs only while output waits for the client; the request timeout only
//! until the response's head is there.

use std::sync::Arc;
use std::time::Instant;

use kirsch_http::{BodyPart, ErrorAnswer, ProtocolError, ProtocolErrorKind, Status};
use tracing::{debug, warn};

use crate::access_log::Record;
use crate::connection::{Connection, Fill, Next, State, Step, Turn};
use crate::exchange::Fate;
use crate::intake::{End, Intake};
use crate::outlet::{Ended, Instead, Outlet, Piece, Take};
use crate::request::Request;
use crate::shared::Shared;

/// Sent in one go before other connections have their turn.
const FAIR_SHARE: u64 = 1024 * 1024;

/// Both pipes, and what is in the middle of being sent.
pub(crate) struct Transmission {
    outlet: Arc<Outlet>,
    intake: Option<Arc<Intake>>,
    /// The piece being sent, and how much of it was.
    sending: Option<(Piece, u64)>,
    /// Bytes of body put into the intake.
    received: u64,
    body_progress: Instant,
    write_progress: Instant,
    /// When the application must have begun to answer.
    answer_by: Option<Instant>,
}

impl Transmission {
    pub(crate) fn new(
        outlet: Arc<Outlet>,
        intake: Option<Arc<Intake>>,
        answer_by: Option<Instant>,
    ) -> Transmission {
        let now = Instant::now();
        Transmission {
            outlet,
            intake,
            sending: None,
            received: 0,
            body_progress: now,
            write_progress: now,
            answer_by,
        }
    }

    /// Nobody will receive the response, and no more of the body will come.
    pub(crate) fn give_up(&mut self, instead: Option<Instead>) -> Option<Record> {
        if let Some(intake) = &self.intake {
            intake.end(End::Broken("the client closed the connection".to_owned()));
        }
        self.outlet.hang_up(instead)
    }
}

/// What sending came to.
enum Sent {
    All(Ended),
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
        let outlet = Outlet::new(turn.shared);
        let awaits = request.head.expect_continue && self.ahead.is_empty();
        let intake = Intake::new(self.key, turn.shared, awaits);
        request.set_body(crate::body::Body::Stream(crate::body::StreamBody {
            intake: Arc::clone(&intake),
        }));
        let answer_by = turn
            .shared
            .config
            .timeouts
            .request
            .map(|timeout| turn.now + timeout);
        let transmission = Transmission::new(Arc::clone(&outlet), Some(intake), answer_by);
        self.state = State::Remote(Box::new(transmission));
        Step::Out(Next::Serve(request, outlet))
    }

    /// Moves bytes both ways as long as it can.
    pub(crate) fn transmit(&mut self, turn: &mut Turn<'_>) -> Step {
        if let Some(step) = self.take_in(turn) {
            return step;
        }
        match self.send_out(turn.now, false) {
            Sent::All(ended) => self.response_sent(ended, turn),
            Sent::Lost => Step::Out(Next::Close),
            Sent::FileNext => Step::Out(Next::SendFile),
            Sent::Starved => {
                self.deadline = self.transmission_deadline(turn.shared, false);
                Step::Out(Next::Wait)
            }
            Sent::Blocked => {
                self.deadline = self.transmission_deadline(turn.shared, true);
                Step::Out(Next::Wait)
            }
            Sent::Enough => Step::Out(Next::Yield),
        }
    }

    /// Sends pieces of files, on a thread that may wait for the disk.
    pub(crate) fn transmit_file(&mut self, shared: &Shared) {
        if let Sent::Lost = self.send_out(Instant::now(), true) {
            self.give_up(shared);
            self.state = State::Closed;
        }
    }

    /// The application asks for the body that the client announced.
    pub(crate) fn ask_for_body(&mut self) {
        if self.send_continue().is_err() {
            self.readiness.failed = true;
        }
    }

    pub(crate) fn transmission_timed_out(&mut self, turn: &mut Turn<'_>) -> Next {
        let State::Remote(work) = &mut self.state else {
            return Next::Close;
        };
        if work.answer_by.is_some_and(|by| by <= turn.now) && work.sending.is_none() {
            work.answer_by = None;
            warn!("the application did not answer within the request timeout");
            self.answer(
                &ErrorAnswer::new(Status(504), "the application did not answer in time"),
                None,
                turn,
            );
            return self.advance(turn);
        }
        if let Some(intake) = &work.intake
            && !self.reader.is_body_done()
        {
            intake.end(End::Broken(ProtocolErrorKind::BodyTimeout.to_string()));
            if !self.readiness.writable || work.sending.is_some() {
                return Next::Close;
            }
            self.deadline = Some(turn.now + turn.shared.config.timeouts.write);
            return self.advance(turn);
        }
        debug!("the client did not take its response in time");
        Next::Close
    }

    /// Puts what arrives of the body into its pipe.
    fn take_in(&mut self, turn: &Turn<'_>) -> Option<Step> {
        loop {
            let State::Remote(work) = &mut self.state else {
                return Some(Step::Again);
            };
            let intake = work.intake.as_ref()?;
            if self.reader.is_body_done() || !intake.has_room() {
                return None;
            }
            match self.reader.next_body(&self.ahead) {
                Ok(BodyPart::Data { skip, len }) => {
                    work.received += len as u64;
                    work.body_progress = turn.now;
                    intake.put(&self.ahead[skip..skip + len]);
                    self.ahead.drain(..skip + len);
                    if self.reader.is_body_done() {
                        intake.end(End::Complete);
                    }
                }
                Ok(BodyPart::End { consume }) => {
                    self.ahead.drain(..consume);
                    intake.end(End::Complete);
                }
                Ok(BodyPart::NeedMore { consume }) => {
                    self.ahead.drain(..consume);
                    match self.fill_ahead() {
                        Ok(Fill::Bytes) => {}
                        Ok(Fill::Blocked) => return None,
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
        let mut budget = FAIR_SHARE;
        loop {
            let (piece, done) = match &mut work.sending {
                Some(sending) => (&mut sending.0, &mut sending.1),
                None => match work.outlet.take() {
                    Take::Piece(piece) => {
                        let sending = work.sending.insert((piece, 0));
                        (&mut sending.0, &mut sending.1)
                    }
                    Take::Starved => return Sent::Starved,
                    Take::Ended(ended) => return Sent::All(ended),
                },
            };
            work.answer_by = None;
            let in_memory = matches!(piece, Piece::Memory(_));
            let result = match piece {
                Piece::Memory(bytes) => self.stream.send(&[&bytes[*done as usize..]]),
                Piece::Shared { bytes, start, end } => {
                    let bytes = (**bytes).as_ref();
                    self.stream.send(&[&bytes[*start + *done as usize..*end]])
                }
                Piece::File { .. } if !files => return Sent::FileNext,
                Piece::File { file, offset, len } => {
                    let mut at = *offset + *done;
                    self.stream.send_file(file.file(), &mut at, *len - *done)
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
                    work.outlet.sent(count as u64, in_memory);
                    if *done == piece.len() {
                        work.sending = None;
                    }
                    budget = budget.saturating_sub(count as u64);
                    if budget == 0 {
                        return Sent::Enough;
                    }
                }
                Err(err) => {
                    debug!(%err, "the client left while its response was sent");
                    return Sent::Lost;
                }
            }
        }
    }

    fn response_sent(&mut self, ended: Ended, turn: &mut Turn<'_>) -> Step {
        if let Some(record) = ended.record {
            turn.shared.log(record);
        }
        let State::Remote(work) = &mut self.state else {
            return Step::Again;
        };
        let mut wanted = false;
        if let Some(intake) = work.intake.take() {
            // The client still waits for "100 Continue": it may send its body, or the next request.
            wanted = intake.awaits_continue();
            intake.end(End::Broken("the response has ended".to_owned()));
        }
        let broken = !self.reader.is_body_done() && self.readiness.read_closed;
        match ended.fate {
            Fate::Reset => self.break_off(),
            Fate::Abort => self.shut(turn.now),
            Fate::Keep if !wanted && !broken => self.start_discarding(turn),
            Fate::Keep | Fate::Close => self.shut(turn.now),
        }
        Step::Again
    }

    fn transmission_deadline(&self, shared: &Shared, output_waits: bool) -> Option<Instant> {
        let State::Remote(work) = &self.state else {
            return None;
        };
        let timeouts = &shared.config.timeouts;
        let body = work.intake.as_ref().filter(|intake| {
            !self.reader.is_body_done() && !intake.awaits_continue() && intake.has_room()
        });
        let body = body.map(|_| work.body_progress + timeouts.body);
        let write = output_waits.then(|| work.write_progress + timeouts.write);
        [body, write, work.answer_by].into_iter().flatten().min()
    }
}
