//! An accepted connection: what it waits for, and what its next step is.
//!
//! A connection is a value with one owner: the reactor, or the exchange that holds it while the
//! application works. [`Connection::advance`] does what can be done without waiting and answers what
//! comes next. Bytes become requests in `kirsch-http`; this file moves them between the socket, the
//! machine, the body's buffers and the response's pipe, and sets the deadlines.
//!
//! # States
//!
//! ```text
//! Handshake (TLS) ─▶ Head | Linger
//! Head ──head──▶ Body ──complete──▶ dispatched, held by an exchange ──▶ Head | Flush | Linger
//!   │             │                   ├─ whole, others are ready ─▶ Flush ─▶ Head
//!   │             │                   └─ would block ─▶ Remote ─┐
//!   │             └──── streamed ─────────────────────▶ Remote ─┴▶ Head | Discard | Linger
//!   └─ a rule is broken ─▶ Flush ─▶ Linger ─▶ closed
//! ```
//!
//! A handshake answers [`Next::Work`] where keys are to be computed with: that is for a thread, not for who drives.
//! What ends goes through `Goodbye` where the client of a TLS connection has to take what was sent before.
//!
//! Read next: `gather.rs` (bodies), `transmit.rs` (responses through the pipe), `exchange.rs`.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kirsch_http::{
    BodyLength, BodyPart, CONTINUE, ErrorAnswer, ProtocolError, ProtocolErrorKind, RequestReader,
};
use kirsch_tls::{Clients, Failure, Material};
use tracing::debug;

use crate::access_log::{Ending, Record};
use crate::body::Body;
use crate::cheroot::Kept;
use crate::exchange::{Fate, own_response};
use crate::forwarded::believe;
use crate::gather::Gathering;
use crate::outlet::{Instead, Outlet};
use crate::request::{Origin, Request, Secured};
use crate::secure::Shake;
use crate::shared::{Counters, Shared};
use crate::stream::{Received, Stream};
use crate::transmit::Transmission;

/// After our side is shut, the peer's remaining bytes are read for so long, and so many of them, so
/// that our last bytes are not lost to a reset (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(5);
/// The same while the server drains: its end does not wait for a client that has its answer.
const LINGER_DRAINING: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 2 * 1024 * 1024;
/// So much of a body that nobody wanted is read to keep the connection.
pub(crate) const DISCARD_BYTES: u64 = 64 * 1024;
const DISCARD: Duration = Duration::from_secs(1);
/// Bytes moved one way in one go, before other connections have their turn.
pub(crate) const FAIR_SHARE: u64 = 1024 * 1024;
/// What a part of a body costs beside its bytes: a chunk takes about as long as moving so many.
pub(crate) const PART_COST: u64 = 64;
/// Whose handshake is worked on so soon has hardly left: the kernel is not asked.
const SOON: Duration = Duration::from_millis(5);
/// Bytes read at once while nothing is known of the request.
const SCRATCH: usize = 16 * 1024;

/// Names a connection: its place in the reactor's table and how often that was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(pub(crate) usize);

/// A connection.
#[doc(alias = "HTTPConnection")]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) key: Key,
    pub(crate) readiness: Readiness,
    /// When what it waits for has to have happened. Set by whoever answers [`Next::Wait`], and only then
    /// of any meaning: what a connection waited for before must not end it later.
    pub(crate) deadline: Option<Instant>,
    pub(crate) state: State,
    pub(crate) reader: RequestReader,
    /// The request being read, or the buffers of the last one; idle connections have none.
    pub(crate) request: Option<Box<Request>>,
    /// Bytes received behind the current request.
    pub(crate) ahead: Vec<u8>,
    origin: Arc<Origin>,
    /// Requests begun.
    requests: u64,
    /// Effort of reading that is left for this step, before others have their turn.
    share: u64,
    /// Held between two requests, where idle connections are counted.
    kept: Option<Kept>,
}

/// What the kernel said of the socket and we have not used up. Edge-triggered: it says so once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    /// Asked only where trying costs a thread; whoever else has something to write tries.
    pub(crate) writable: bool,
    /// The peer has ended its side: sticky, and a short read is not the last one.
    pub(crate) read_closed: bool,
    /// The connection is broken.
    pub(crate) failed: bool,
}

impl Readiness {
    pub(crate) fn merge(&mut self, other: Readiness) {
        self.readable |= other.readable;
        self.writable |= other.writable;
        self.read_closed |= other.read_closed;
        self.failed |= other.failed;
    }
}

/// What a connection is in the middle of.
pub(crate) enum State {
    /// TLS is being agreed on, since the connection was accepted.
    Handshake { since: Instant },
    /// Between requests, or in a head since its first byte arrived.
    Head {
        since: Option<Instant>,
        idle_since: Instant,
    },
    /// A body is being buffered.
    Body(Box<Gathering>),
    /// An exchange gives the response through a pipe, and perhaps takes the body through another.
    Remote(Box<Transmission>),
    /// A response of our own, or one that was held back, is being sent.
    Flush {
        out: Vec<u8>,
        sent: usize,
        then: Then,
        /// For the access log, once it is known how the sending went.
        record: Option<Box<Record>>,
    },
    /// The rest of a body that nobody wanted is read and dropped.
    Discard { left: u64 },
    /// All was sent, but the peer has to take some of it before it can be told that this was the end.
    Goodbye { since: Instant },
    /// Our side is shut; the peer's is read to its end.
    Linger { since: Instant, left: u64 },
    /// There is nothing more to do.
    Closed,
    /// The application has taken the socket over: what becomes of it is not ours to say.
    Taken,
}

/// The order in which connections make room: the longest idle one, then the one that has lingered longest,
/// then the oldest unfinished head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Eviction {
    /// Idle between two requests, since then.
    Idle(Instant),
    /// Has been sent its last answer, and lingers since then.
    Linger(Instant),
    /// In a head, or before the first one, since then.
    Head(Instant),
}

/// What follows a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Next,
    Linger,
}

/// What a connection needs next. The reactor does it.
pub(crate) enum Next {
    /// Something to happen at the socket, the deadline or the pipe.
    Wait,
    /// To go on, once others have had their turn.
    Yield,
    /// A thread for this request, and the connection goes along.
    Hold(Box<Request>),
    /// A thread for this request, while the connection stays.
    Serve(Box<Request>, Arc<Outlet>),
    /// A thread that computes what its handshake needs.
    Work,
    /// A thread for its gathered bytes, which go to a file.
    Spool,
    /// A thread for the piece of a file that is to be sent next.
    SendFile,
    /// To be dropped.
    Close,
}

/// A step within `advance`.
pub(crate) enum Step {
    Again,
    Out(Next),
}

/// What the driver lends a connection for one step.
pub(crate) struct Turn<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) now: Instant,
    /// Buffers for the next request.
    #[expect(clippy::vec_box, reason = "a request is moved from thread to thread")]
    pub(crate) spares: &'a mut Vec<Box<Request>>,
}

impl Connection {
    pub(crate) fn new(
        stream: Stream,
        key: Key,
        origin: Arc<Origin>,
        now: Instant,
        shared: &Shared,
    ) -> Connection {
        let config = &shared.config;
        let (state, reader, patience) = if stream.is_secure() {
            let state = State::Handshake { since: now };
            (
                state,
                RequestReader::secured(),
                config.timeout(|it| it.handshake),
            )
        } else {
            // A new connection that stays silent is held to the head's timeout.
            let state = State::Head {
                since: None,
                idle_since: now,
            };
            (state, RequestReader::new(), config.timeout(|it| it.head))
        };
        Connection {
            stream,
            key,
            // Data has often come with the connection; if not, the first read says so.
            readiness: Readiness {
                readable: true,
                writable: true,
                ..Readiness::default()
            },
            deadline: Some(now + patience),
            state,
            reader: reader.speaking(config.dialect()),
            request: None,
            ahead: Vec::new(),
            origin,
            requests: 0,
            share: FAIR_SHARE,
            kept: None,
        }
    }

    /// Does all that can be done without waiting.
    pub(crate) fn advance(&mut self, turn: &mut Turn<'_>) -> Next {
        self.share = FAIR_SHARE;
        if self.readiness.failed {
            if !matches!(self.state, State::Linger { .. }) {
                self.note_half_handshake(&"the client left", turn.shared);
                return Next::Close;
            }
            // Both sides are shut, which is what lingering waits for: once everything was read.
            self.readiness.readable = true;
        }
        if self.stream.flush().is_err() {
            return Next::Close;
        }
        loop {
            let step = match &mut self.state {
                State::Handshake { .. } => self.shake(turn),
                State::Head { .. } => self.read_head(turn),
                State::Body(_) => self.gather(turn),
                State::Remote(_) => self.transmit(turn),
                State::Flush { .. } => self.flush(turn),
                State::Discard { .. } => self.discard(turn),
                State::Goodbye { .. } => self.say_goodbye(turn),
                State::Linger { .. } => self.linger(turn),
                State::Closed | State::Taken => return Next::Close,
            };
            match step {
                Step::Again => {}
                Step::Out(next) => return next,
            }
        }
    }

    /// The deadline has passed. Not before a last look: where the process was stopped, or more happened than the
    /// kernel tells of at once, what has arrived in time may not have been heard of.
    pub(crate) fn time_out(&mut self, turn: &mut Turn<'_>) -> Next {
        self.readiness.readable = true;
        match self.advance(turn) {
            Next::Wait if self.deadline.is_some_and(|at| at <= turn.now) => self.give_out(turn),
            next => next,
        }
    }

    /// Others have their turn, unless its time is over: over TLS, what keeps arriving may hold nothing.
    pub(crate) fn go_on_later(&mut self, turn: &mut Turn<'_>) -> Step {
        Step::Out(match self.deadline.is_some_and(|at| at <= turn.now) {
            true => self.give_out(turn),
            false => Next::Yield,
        })
    }

    /// Ends what took too long.
    fn give_out(&mut self, turn: &mut Turn<'_>) -> Next {
        match &self.state {
            State::Handshake { .. } => {
                self.note_half_handshake(&"it took too long", turn.shared);
                return Next::Close;
            }
            // A 408 to an idle connection could be taken for the answer to the next request.
            State::Head { since: None, .. } if !self.owes_408(turn.shared) => return Next::Close,
            State::Head { .. } => self.refuse(ProtocolErrorKind::HeadTimeout.into(), turn),
            State::Body(gathering) => {
                let method = gathering.request.head.method;
                self.refuse(
                    ProtocolError::with_method(ProtocolErrorKind::BodyTimeout, method),
                    turn,
                );
            }
            State::Remote(_) => return self.transmission_timed_out(turn),
            State::Discard { .. } => self.shut(turn.now),
            State::Flush { .. }
            | State::Goodbye { .. }
            | State::Linger { .. }
            | State::Closed
            | State::Taken => return Next::Close,
        }
        self.advance(turn)
    }

    /// Whether a client that has never said anything is told that its time is over.
    fn owes_408(&self, shared: &Shared) -> bool {
        self.requests == 0 && shared.config.cheroot.is_some()
    }

    /// Whether a response may promise that the connection stays.
    pub(crate) fn may_keep(&self, shared: &Shared) -> bool {
        !shared.is_draining()
            && !self.readiness.failed
            && shared
                .config
                .keepalive_requests
                .is_none_or(|most| self.requests < most)
            && shared
                .config
                .cheroot
                .as_ref()
                .is_none_or(|cheroot| cheroot.may_keep())
    }

    /// Whether it may be closed to make room for others, and how soon.
    pub(crate) fn eviction(&self) -> Option<Eviction> {
        match self.state {
            // A connection that has just come is about to send its first head.
            State::Head {
                since: None,
                idle_since,
            } if self.requests == 0 => Some(Eviction::Head(idle_since)),
            State::Head {
                since: None,
                idle_since,
            } => Some(Eviction::Idle(idle_since)),
            State::Head {
                since: Some(since), ..
            } => Some(Eviction::Head(since)),
            State::Goodbye { since } | State::Linger { since, .. } => Some(Eviction::Linger(since)),
            State::Handshake { since } => Some(Eviction::Head(since)),
            State::Body(_)
            | State::Remote(_)
            | State::Flush { .. }
            | State::Discard { .. }
            | State::Closed
            | State::Taken => None,
        }
    }

    /// An exchange that held the connection has sent its whole response.
    pub(crate) fn finished(&mut self, fate: Fate, spare: Option<Box<Request>>) {
        self.keep_spare(spare);
        let now = Instant::now();
        match fate {
            Fate::Keep => self.next_request(now),
            Fate::Close => self.shut(now),
            Fate::Abort => self.shut(now),
            Fate::Reset => self.break_off(),
        }
    }

    /// An exchange that held the connection leaves it to the reactor to send the rest of its response.
    pub(crate) fn cork(
        &mut self,
        rest: Vec<u8>,
        spare: Option<Box<Request>>,
        record: Option<Record>,
    ) {
        self.keep_spare(spare);
        self.state = State::Flush {
            out: rest,
            sent: 0,
            then: Then::Next,
            record: record.map(Box::new),
        };
    }

    /// Whether it waits to be sent together with others.
    pub(crate) fn is_corked(&self) -> bool {
        matches!(self.state, State::Flush { .. })
    }

    fn keep_spare(&mut self, spare: Option<Box<Request>>) {
        self.request = spare.map(|mut request| {
            request.clear();
            request
        });
    }

    /// Writes what was gathered of a body to its file. May block on the disk.
    pub(crate) fn spill(&mut self, shared: &Shared) {
        if let State::Body(gathering) = &mut self.state {
            gathering.spill(shared);
        }
    }

    /// Whoever sent a response found the connection broken. If it is not, the client must see that something is
    /// missing.
    pub(crate) fn lost(&mut self, spare: Option<Box<Request>>) {
        self.request = spare;
        self.break_off();
    }

    /// The response goes on through a pipe.
    pub(crate) fn go_remote(&mut self, outlet: Arc<Outlet>) {
        self.state = State::Remote(Box::new(Transmission::new(outlet, None, None)));
    }

    /// Refuses the request that is being read, or what should have become one.
    pub(crate) fn refuse(&mut self, error: ProtocolError, turn: &Turn<'_>) {
        Counters::count(&turn.shared.counters.refused);
        let request = self.take_unfinished(turn);
        debug!(
            request = request.as_ref().map(|request| display(request.id())),
            peer = %self.origin.peer_address,
            rule = %error,
            "request refused"
        );
        let answer = self.reader.dialect().refusal(error);
        self.answer(&answer, request, turn);
    }

    /// Sends an answer of the server's own. Without a request it takes the place of the application's, which
    /// has the request and logs it.
    pub(crate) fn answer(
        &mut self,
        answer: &ErrorAnswer,
        request: Option<Box<Request>>,
        turn: &Turn<'_>,
    ) {
        let (then, ending) = if answer.keep_alive() {
            (Then::Next, Ending::Kept)
        } else {
            (Then::Linger, Ending::Closed)
        };
        let status = answer.status_code();
        let mut out = Vec::with_capacity(512);
        let sent = own_response(answer, turn.shared, request.as_deref(), &mut out);
        let given_up = self.state.give_up(Some(Instead { status, sent }));
        let record = match request {
            Some(request) => Some(Record::new(request, status, sent, ending)),
            None => given_up,
        };
        self.state = State::Flush {
            out,
            sent: 0,
            then,
            record: record.map(Box::new),
        };
        self.deadline = Some(turn.now + turn.shared.config.timeouts.write);
    }

    /// Takes out the request that is being read, as far as it is known.
    pub(crate) fn take_unfinished(&mut self, turn: &Turn<'_>) -> Option<Box<Request>> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Body(gathering) => Some(gathering.request),
            State::Head { since, .. } => {
                let mut request = self.request.take()?;
                if let Some(head) = self.reader.head_so_far() {
                    request.head = head;
                }
                request.id = turn.shared.ids.next();
                request.received = since.unwrap_or(turn.now);
                request.origin = Some(Arc::clone(&self.origin));
                Some(request)
            }
            State::Handshake { .. }
            | State::Remote(_)
            | State::Flush { .. }
            | State::Discard { .. }
            | State::Goodbye { .. }
            | State::Linger { .. }
            | State::Closed
            | State::Taken => None,
        }
    }

    /// Nobody will hear of what it is in the middle of; what had ended is logged.
    pub(crate) fn give_up(&mut self, shared: &Shared) {
        if let Some(record) = self.state.give_up(None) {
            shared.log(record);
        }
    }

    /// Makes ready for the next request, which may have arrived in part.
    pub(crate) fn next_request(&mut self, now: Instant) {
        self.reader.restart();
        self.state = State::Head {
            since: None,
            idle_since: now,
        };
    }

    /// Ends our side and waits for the peer to end its own.
    pub(crate) fn shut(&mut self, now: Instant) {
        self.state = match self.stream.shut_write() {
            true => State::lingering(now),
            false => State::Goodbye { since: now },
        };
    }

    fn say_goodbye(&mut self, turn: &Turn<'_>) -> Step {
        let State::Goodbye { since } = self.state else {
            return Step::Again;
        };
        if self.stream.shut_write() {
            self.state = State::lingering(turn.now);
            return Step::Again;
        }
        self.deadline = Some(since + turn.shared.config.timeouts.write);
        Step::Out(Next::Wait)
    }

    /// Ends so that the client notices: where only the end of the connection delimits the response, a
    /// clean end would look like a whole one.
    pub(crate) fn break_off(&mut self) {
        self.stream.reset();
        self.state = State::Closed;
    }

    /// The application has taken the socket over.
    pub(crate) fn part(&mut self) {
        self.state = State::Taken;
    }

    /// Agrees on TLS, as far as bytes have come.
    fn shake(&mut self, turn: &mut Turn<'_>) -> Step {
        let State::Handshake { since } = self.state else {
            return Step::Again;
        };
        self.deadline = Some(since + turn.shared.config.timeout(|it| it.handshake));
        if self.share == 0 {
            return self.go_on_later(turn);
        }
        match self.stream.shake(self.readiness.readable) {
            Ok(Shake::Received { drained, effort }) => {
                self.readiness.readable = !drained || self.readiness.read_closed;
                self.share = self.share.saturating_sub(effort);
                Step::Again
            }
            Ok(Shake::Blocked) => {
                self.readiness.readable = false;
                // While the server drains, who has said nothing yet has nothing to lose.
                match turn.shared.is_draining() && !self.stream.has_begun() {
                    true => Step::Out(Next::Close),
                    false => Step::Out(Next::Wait),
                }
            }
            Ok(Shake::Unsent) => Step::Out(Next::Wait),
            Ok(Shake::Work) => Step::Out(Next::Work),
            Ok(Shake::Open) => {
                self.opened(turn);
                Step::Again
            }
            Ok(Shake::Failed(failure)) => {
                self.handshake_failed(&failure, turn.shared);
                let received = self.stream.give_up_tls();
                match failure {
                    Failure::Plain => self.refuse_plain(&received, since, turn),
                    Failure::Broken(_) => self.shut(turn.now),
                }
                Step::Again
            }
            Ok(Shake::End) => {
                self.note_half_handshake(&"the client left", turn.shared);
                Step::Out(Next::Close)
            }
            Err(err) => {
                self.note_half_handshake(&err, turn.shared);
                Step::Out(Next::Close)
            }
        }
    }

    /// Computes what the handshake needs. May take a millisecond or more.
    pub(crate) fn work(&mut self, shared: &Shared) {
        // In a flood it has waited for a thread; who has left meanwhile, or must soon, is not worth the work.
        let waited = if let State::Handshake { since } = self.state {
            since.elapsed()
        } else {
            Duration::ZERO
        };
        let is_late = waited >= shared.config.timeout(|it| it.handshake);
        if is_late || (waited >= SOON && self.stream.has_left_unanswered()) {
            self.handshake_failed(&"the client left, or it took too long", shared);
            self.state = State::Closed;
        } else if let Some(material) = &shared.tls {
            self.stream.work(material);
        }
    }

    /// The handshake is done.
    fn opened(&mut self, turn: &Turn<'_>) {
        Counters::count(&turn.shared.counters.handshakes);
        // A request may have come with the end of the handshake.
        self.stream.opened(!self.readiness.readable);
        self.readiness.readable = true;
        // No request has it yet.
        if let Some(origin) = Arc::get_mut(&mut self.origin) {
            origin.tls = self.stream.variables().map(Secured::new);
        }
        self.state = State::Head {
            since: None,
            idle_since: turn.now,
        };
    }

    /// A handshake that is given up has failed, if it had begun: a port that is looked at whether it is open, as monitors
    /// do, is no failure.
    fn note_half_handshake(&self, reason: &dyn fmt::Display, shared: &Shared) {
        if matches!(self.state, State::Handshake { .. }) && self.stream.has_begun() {
            self.handshake_failed(reason, shared);
        }
    }

    /// Peers may fail as often as they like: this is no line that scanners could fill a log with.
    fn handshake_failed(&self, reason: &dyn fmt::Display, shared: &Shared) {
        Counters::count(&shared.counters.handshakes_failed);
        debug!(peer = %self.origin.peer_address, %reason, "TLS handshake failed");
    }

    /// Tells a client that speaks plain HTTP what is spoken here.
    fn refuse_plain(&mut self, received: &[u8], since: Instant, turn: &mut Turn<'_>) {
        let mut request = turn.scratch();
        request.buf.extend_from_slice(received);
        self.request = Some(request);
        self.state = State::Head {
            since: Some(since),
            idle_since: since,
        };
        self.refuse(ProtocolErrorKind::PlainOnTlsPort.into(), turn);
    }

    fn read_head(&mut self, turn: &mut Turn<'_>) -> Step {
        let mut request = match self.request.take().or_else(|| turn.spares.pop()) {
            Some(request) => request,
            None => Box::new(Request::new()),
        };
        if !self.ahead.is_empty() {
            request.buf.append(&mut self.ahead);
            self.ahead = Vec::new();
        }
        // While the server drains an idle connection closes: not before a last look, since the event that
        // says what has arrived may still be on its way.
        let draining = turn.shared.is_draining();
        let mut looked = !draining;
        loop {
            if !request.buf.is_empty() {
                match self.reader.next_head(
                    &request.buf,
                    &turn.shared.http_limits(),
                    &mut request.fields,
                ) {
                    Ok(Some(head)) => {
                        request.head = head;
                        return self.begin(request, turn);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        self.request = Some(request);
                        self.refuse(error, turn);
                        return Step::Again;
                    }
                }
            }
            if !self.readiness.readable {
                if looked {
                    break;
                }
                self.readiness.readable = true;
                looked = true;
            }
            if request.buf.capacity() - request.buf.len() < 1024 {
                request.buf.reserve(SCRATCH);
            }
            match self.fill(&mut request.buf) {
                Ok(Fill::Bytes) => {}
                Ok(Fill::Blocked) => break,
                Ok(Fill::Enough) => {
                    // Sets the deadline; what it answers is for who has nothing to read.
                    let _ = self.wait_for_head(request, turn);
                    return self.go_on_later(turn);
                }
                Ok(Fill::End) => return self.head_ended(request, turn),
                Err(err) => {
                    debug!(%err, "connection lost");
                    return Step::Out(Next::Close);
                }
            }
        }
        let next = self.wait_for_head(request, turn);
        // Asked a second time, the answer could be another, and the last look left out.
        match draining && self.request.is_none() {
            true => Step::Out(Next::Close),
            false => Step::Out(next),
        }
    }

    fn wait_for_head(&mut self, mut request: Box<Request>, turn: &mut Turn<'_>) -> Next {
        let config = &turn.shared.config;
        let State::Head { since, idle_since } = &mut self.state else {
            return Next::Close;
        };
        if request.buf.is_empty() {
            let patience = if self.requests == 0 {
                config.timeout(|it| it.head)
            } else {
                config.timeout(|it| it.keepalive)
            };
            if self.requests > 0 && self.kept.is_none() {
                self.kept = config.cheroot.as_ref().map(|cheroot| cheroot.keep());
            }
            self.deadline = Some(*idle_since + patience);
            // An idle connection owns no buffers.
            request.clear();
            turn.spare(request);
            self.stream.rest();
        } else {
            let began = *since.get_or_insert(turn.now);
            self.deadline = Some(began + config.timeout(|it| it.head));
            self.request = Some(request);
        }
        Next::Wait
    }

    fn head_ended(&mut self, request: Box<Request>, turn: &Turn<'_>) -> Step {
        match self.reader.end_of_stream(&request.buf) {
            Ok(()) => Step::Out(Next::Close),
            Err(error) => {
                self.request = Some(request);
                self.refuse(error, turn);
                Step::Again
            }
        }
    }

    /// The head is complete.
    fn begin(&mut self, mut request: Box<Request>, turn: &mut Turn<'_>) -> Step {
        let shared = turn.shared;
        request.origin = Some(Arc::clone(&self.origin));
        request.id = shared.ids.next();
        request.received = turn.now;
        if let Err(error) = self.admit(&mut request, shared) {
            self.request = Some(request);
            self.refuse(error, turn);
            return Step::Again;
        }
        self.requests += 1;
        self.kept = None;
        Counters::count(&shared.counters.requests);
        let head = request.head;
        let len = head.len as usize;
        let Some(rest) = request.buf.get(len..) else {
            return Step::Out(Next::Close);
        };
        if head.body.is_empty() {
            if !rest.is_empty() {
                self.ahead = rest.to_vec();
                request.buf.truncate(len);
            }
            return self.dispatch(request, turn);
        }
        if request.streams_body() {
            self.ahead = rest.to_vec();
            request.buf.truncate(len);
            return self.serve_streaming(request, turn);
        }
        let input = rest.to_vec();
        request.buf.truncate(len);
        self.state = State::Body(Box::new(Gathering::new(request, input, turn)));
        Step::Again
    }

    /// Finds out for whom a request is made and on which terms it is served, and holds its body to their limit.
    fn admit(&mut self, request: &mut Request, shared: &Shared) -> Result<(), ProtocolError> {
        let method = request.head.method;
        if self.stream.is_secure() && self.is_misdirected(request, shared) {
            let kind = ProtocolErrorKind::HostNotServerName;
            return Err(ProtocolError::with_method(kind, method));
        }
        believe(request, &shared.config)
            .map_err(|kind| ProtocolError::with_method(kind, method))?;
        let terms = shared.gateway.admit(request);
        let usual = shared.config.limits.body_bytes;
        let limit = terms.limit_body.unwrap_or(usual);
        request.terms = Some(terms);
        self.reader.limit_body(limit)
    }

    /// Whether a request is for another host than the handshake was, where certificates of clients decide who may
    /// come in. Who has named no host there was asked for a certificate all the same.
    fn is_misdirected(&self, request: &Request, shared: &Shared) -> bool {
        let asks = |material: &Material| matches!(material.config().clients, Clients::Required(_));
        let named = match self.stream.server_name() {
            Some(name) if shared.tls.as_deref().is_some_and(asks) => name.as_bytes(),
            Some(_) | None => return false,
        };
        let Some(authority) = request.head.authority else {
            return false;
        };
        !host_of(authority.of(&request.buf)).eq_ignore_ascii_case(named)
    }

    /// The request is complete: it goes to a thread.
    pub(crate) fn dispatch(&mut self, request: Box<Request>, turn: &Turn<'_>) -> Step {
        match turn.shared.config.timeouts.request {
            None => Step::Out(Next::Hold(request)),
            Some(_) => self.serve(request, None, turn),
        }
    }

    pub(crate) fn flush(&mut self, turn: &Turn<'_>) -> Step {
        let State::Flush {
            out,
            sent,
            then,
            record,
        } = &mut self.state
        else {
            return Step::Again;
        };
        match self.stream.send(&[&out[*sent..]]) {
            Ok(0) => {
                // What was held back comes without a deadline.
                let timeout = turn.shared.config.timeouts.write;
                self.deadline.get_or_insert(turn.now + timeout);
                Step::Out(Next::Wait)
            }
            Ok(count) => {
                *sent += count;
                self.deadline = Some(turn.now + turn.shared.config.timeouts.write);
                if *sent == out.len() {
                    if let Some(record) = record.take() {
                        turn.shared.log(*record);
                    }
                    match then {
                        Then::Next => self.next_request(turn.now),
                        Then::Linger => self.shut(turn.now),
                    }
                }
                Step::Again
            }
            Err(_) => Step::Out(Next::Close),
        }
    }

    /// Reads and drops what is left of a body, if that is little.
    pub(crate) fn start_discarding(&mut self, turn: &Turn<'_>) {
        let little = match self.reader.body_remaining() {
            BodyLength::None => return self.next_request(turn.now),
            BodyLength::Known(left) => left <= DISCARD_BYTES,
            BodyLength::Chunked => true,
        };
        if little {
            self.state = State::Discard {
                left: DISCARD_BYTES,
            };
            self.deadline = Some(turn.now + DISCARD);
        } else {
            self.shut(turn.now);
        }
    }

    fn discard(&mut self, turn: &mut Turn<'_>) -> Step {
        let State::Discard { mut left } = self.state else {
            return Step::Again;
        };
        loop {
            let consumed = match self.reader.next_body(&self.ahead) {
                Ok(BodyPart::End { consume }) => {
                    self.ahead.drain(..consume);
                    self.next_request(turn.now);
                    return Step::Again;
                }
                Ok(BodyPart::Data { skip, len }) => skip + len,
                Ok(BodyPart::NeedMore { consume }) => consume,
                Err(_) => {
                    self.shut(turn.now);
                    return Step::Again;
                }
            };
            self.ahead.drain(..consumed);
            left = left.saturating_sub(consumed as u64);
            if left == 0 && !self.reader.is_body_done() {
                self.shut(turn.now);
                return Step::Again;
            }
            self.state = State::Discard { left };
            if !self.ahead.is_empty() || self.reader.is_body_done() {
                continue;
            }
            match self.fill_ahead() {
                Ok(Fill::Bytes) => {}
                Ok(Fill::Blocked) => return Step::Out(Next::Wait),
                // Little of a body is read for a connection's sake, and this was not little.
                Ok(Fill::Enough) => {
                    self.shut(turn.now);
                    return Step::Again;
                }
                Ok(Fill::End) | Err(_) => return Step::Out(Next::Close),
            }
        }
    }

    fn linger(&mut self, turn: &mut Turn<'_>) -> Step {
        let State::Linger { since, .. } = self.state else {
            return Step::Again;
        };
        let patience = if turn.shared.is_draining() {
            LINGER_DRAINING
        } else {
            LINGER
        };
        self.deadline = Some(since + patience);
        let mut scratch = turn.scratch();
        let next = loop {
            if matches!(self.state, State::Linger { left: 0, .. }) {
                break Next::Close;
            }
            scratch.buf.clear();
            if !self.readiness.readable {
                break Next::Wait;
            }
            match self.fill(&mut scratch.buf) {
                Ok(Fill::Bytes) => {
                    if let State::Linger { left, .. } = &mut self.state {
                        *left = left.saturating_sub(scratch.buf.len() as u64);
                    }
                }
                Ok(Fill::Blocked) => break Next::Wait,
                Ok(Fill::Enough) if turn.now < since + patience => break Next::Yield,
                Ok(Fill::Enough | Fill::End) | Err(_) => break Next::Close,
            }
        };
        scratch.clear();
        turn.spare(scratch);
        Step::Out(next)
    }

    /// Reads once. After a short read the socket is known to be drained, so the read that would
    /// say "nothing now" is saved.
    pub(crate) fn fill(&mut self, buf: &mut Vec<u8>) -> io::Result<Fill> {
        if !self.readiness.readable {
            return Ok(Fill::Blocked);
        }
        if self.share == 0 {
            return Ok(Fill::Enough);
        }
        match self.stream.receive(buf)? {
            Received::Bytes {
                drained, effort, ..
            } => {
                self.share = self.share.saturating_sub(effort);
                self.readiness.readable = !drained || self.readiness.read_closed;
                Ok(Fill::Bytes)
            }
            Received::Blocked => {
                self.readiness.readable = false;
                Ok(Fill::Blocked)
            }
            Received::End => {
                self.readiness.read_closed = true;
                Ok(Fill::End)
            }
        }
    }

    pub(crate) fn fill_ahead(&mut self) -> io::Result<Fill> {
        let mut ahead = std::mem::take(&mut self.ahead);
        ahead.reserve(SCRATCH);
        let filled = self.fill(&mut ahead);
        self.ahead = ahead;
        filled
    }

    /// Asks the client for the body it announced; false if earlier answers still fill the socket.
    pub(crate) fn send_continue(&mut self) -> io::Result<bool> {
        self.stream.send_whole(CONTINUE)
    }
}

/// The host of an authority, without its port and the dot that may end it.
fn host_of(authority: &[u8]) -> &[u8] {
    let end = match authority.first() {
        Some(b'[') => memchr::memchr(b']', authority).map(|at| at + 1),
        Some(_) | None => memchr::memchr(b':', authority),
    };
    let host = &authority[..end.unwrap_or(authority.len())];
    host.strip_suffix(b".").unwrap_or(host)
}

/// What a read of the socket gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    Bytes,
    Blocked,
    /// There may be more, but others have to have their turn.
    Enough,
    End,
}

impl State {
    /// Our side was shut just now.
    fn lingering(now: Instant) -> State {
        State::Linger {
            since: now,
            left: LINGER_BYTES,
        }
    }

    /// Tells an exchange at the other end of a pipe that nobody listens any more, and what the client gets
    /// instead. Answers the record of a response that had ended.
    fn give_up(&mut self, instead: Option<Instead>) -> Option<Record> {
        match self {
            State::Remote(transmission) => transmission.give_up(instead),
            State::Flush { record, .. } => record.take().map(|record| record.aborted()),
            State::Handshake { .. }
            | State::Head { .. }
            | State::Body(_)
            | State::Discard { .. }
            | State::Goodbye { .. }
            | State::Linger { .. }
            | State::Closed
            | State::Taken => None,
        }
    }
}

impl Turn<'_> {
    /// Keeps buffers for the next request, unless there are plenty.
    pub(crate) fn spare(&mut self, request: Box<Request>) {
        const PLENTY: usize = 64;
        const LARGE: usize = 64 * 1024;
        if self.spares.len() < PLENTY && request.buf.capacity() <= LARGE {
            self.spares.push(request);
        }
    }

    fn scratch(&mut self) -> Box<Request> {
        self.spares
            .pop()
            .unwrap_or_else(|| Box::new(Request::new()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        match self.state {
            // The response is not whole, which a client could not tell from a clean end.
            State::Remote(_) => self.stream.reset(),
            State::Head { .. } | State::Discard { .. } => self.stream.say_goodbye(),
            State::Handshake { .. }
            | State::Body(_)
            | State::Flush { .. }
            | State::Goodbye { .. }
            | State::Linger { .. }
            | State::Closed => {}
            State::Taken => return,
        }
        self.state.give_up(None);
        // A child that the application forked may still hold the descriptor: closing ours would not end it.
        self.stream.shut_both();
    }
}

impl Request {
    pub(crate) fn set_body(&mut self, body: Body) {
        self.body = body;
    }
}

#[cfg(test)]
mod tests;
