//! The reactor: whose turn is it? It polls the sockets, keeps the waiting connections and their
//! deadlines, and moves each as far as it goes without waiting.
//!
//! A value with one owner, which the pool's threads pass on (see `kirsch-pool`). It writes no file
//! and no log line that may block, and runs no application.
//!
//! # The edge-triggered contract
//!
//! A socket is registered once, for both directions; the kernel says "readable" once per edge. A
//! connection's place in the table is `Here`, or `Away` with what was said meanwhile: that is looked
//! at when it returns, so no edge is lost. Keys carry a generation, so that an event for a closed
//! connection is not taken for its successor's.
//!
//! # Several of them
//!
//! Where a server has several reactors, the first has the listeners and deals what it accepts; a
//! connection stays with the reactor it was dealt to. They speak to each other by mail alone.
//!
//! Read next: `reactor/accept.rs`, `reactor/newcomers.rs`, `reactor/permits.rs`, `connection.rs`.

mod accept;
mod newcomers;
mod permits;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kirsch_http::{ErrorAnswer, ProtocolErrorKind};
use kirsch_pool::{Forecast, Lane, Patience, Poller, Refusal, Task, Turn, Wake};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use tracing::{error, warn};

use self::newcomers::Newcomers;
use crate::access_log::{Ending, Record};
use crate::body::Body;
use crate::connection::{Connection, Key, Next, Readiness, State, Turn as Lent};
use crate::cork;
use crate::exchange::{Fate, Wire};
use crate::forecast::ForecastKey;
use crate::gateway::Terms;
use crate::listener::Listener;
use crate::outlet::{Ended, Told};
use crate::request::{Origin, Request};
use crate::seldom::Seldom;
use crate::shared::{Counters, Shared};
use crate::stream::Stream;
use crate::thread_cap::{Permit, ThreadCap};
use crate::wheel::{Entry, Wheel};

/// Events taken from the kernel at once.
const EVENTS: usize = 256;
/// Steps after which the kernel is asked again even if some connections still have something to do: a few that
/// pipeline always have.
const STEPS: usize = 128;
/// So much of what was sent may wait for a thread that comes by and frees it.
const UNFREED_BYTES: u64 = 1024 * 1024;
/// After running out of queue room or patience, clients are asked to wait so long.
const RETRY_AFTER: u32 = 5;

/// The place of the reactor that has the listeners.
const ACCEPTOR: usize = 0;
const WAKER: Token = Token(usize::MAX);
const LISTENERS: usize = usize::MAX - 1024;
const INDEX_BITS: u32 = 32;

/// What a thread is given to run.
pub(crate) enum Job {
    /// A request for the gateway.
    Request(RequestJob),
    /// What the handshake of a TLS connection needs.
    Handshake(Box<Connection>, Forecast),
    /// Gathered bytes that go to a file.
    Spool(Box<Connection>),
    /// A piece of a file that is to be sent.
    SendFile(Box<Connection>),
    /// Blocks that only the gateway can free.
    Free,
}

/// A request for the gateway.
pub(crate) struct RequestJob {
    pub(crate) request: Box<Request>,
    pub(crate) wire: Wire,
    pub(crate) key: ForecastKey,
    pub(crate) lane: Lane,
    pub(crate) forecast: Forecast,
    /// When it was ready for a thread.
    pub(crate) ready: Instant,
    /// One of the threads that its application may have, if they are counted. The last field, so that what else
    /// there is has gone when the next request gets it.
    pub(crate) permit: Option<Permit>,
}

impl Task for Job {
    fn lane(&self) -> Lane {
        match self {
            Job::Request(job) => job.lane,
            Job::Handshake(..) => Lane::Newcomer,
            Job::Spool(_) | Job::SendFile(_) | Job::Free => Lane::Long,
        }
    }

    fn forecast(&self) -> Forecast {
        match self {
            Job::Request(job) => job.forecast,
            Job::Handshake(_, forecast) => *forecast,
            Job::Spool(_) | Job::SendFile(_) => Forecast::Quick,
            // It waits for the interpreter.
            Job::Free => Forecast::Blocks,
        }
    }
}

/// What other threads post to the driver.
pub(crate) enum Mail {
    /// A connection comes back.
    Return(Box<Connection>),
    /// A connection comes back from the work on its handshake.
    Shaken(Box<Connection>),
    /// A pipe has output for a connection that had nothing to send.
    Output(Key),
    /// A pipe has room for more of a request's body.
    Room(Key),
    /// An application asks for the body its client announced.
    Continue(Key),
    /// A request that waited for one of its application's threads has got it.
    Permitted(RequestJob),
    /// Blocks lie on the shelf, unless their exchanges have taken them back.
    Shelf,
    /// A connection that the first reactor has accepted.
    Admit(Stream, Arc<Origin>),
    /// Close a connection to make room, or ask the next reactor; so many have been asked.
    MakeRoom(usize),
    /// There is room, or could be made; to the first reactor.
    RoomMade,
    /// Accept no more; close what is idle.
    Drain,
    /// Close everything.
    Abort,
}

/// The reactor.
#[doc(alias = "HTTPServer")]
pub(crate) struct Reactor {
    poll: Poll,
    events: Events,
    shared: Arc<Shared>,
    /// What belongs to each of the server's reactors, the first of which accepts; and which of them this is.
    circle: Vec<Arc<Shared>>,
    place: usize,
    /// Which of them has the next connection.
    turn: usize,
    listeners: Vec<Listener>,
    connections: Slab<Place>,
    generations: Vec<u32>,
    ready: VecDeque<Ready>,
    /// Those of the connections that are ready which need the work of a handshake.
    newcomers: Newcomers,
    /// Steps since the kernel was asked, whatever turns they belong to.
    steps: usize,
    /// Requests that have waited for one of their application's threads, and may run.
    permitted: VecDeque<RequestJob>,
    /// The last job came from there: others have their turn.
    permitted_last: bool,
    /// The applications for whose threads requests of this reactor wait.
    crowded: Vec<Arc<ThreadCap>>,
    /// Connections whose responses wait to be sent together, and since when.
    corked: VecDeque<Key>,
    corked_since: Instant,
    wheel: Wheel,
    due: Vec<Entry>,
    /// Buffers for requests, boxed as they travel.
    #[expect(clippy::vec_box, reason = "a request is moved from thread to thread")]
    spares: Vec<Box<Request>>,
    now: Instant,
    /// Accepting pauses until then.
    accept_again: Option<Instant>,
    /// A request in the queue has to be refused then, unless a thread has taken it.
    refuse_at: Option<Instant>,
    /// Lines about accepting that failed, and about requests that were refused for lack of a thread.
    trouble: Seldom,
    refusals: Seldom,
}

enum Place {
    Here {
        connection: Box<Connection>,
        queued: bool,
        stamp: u64,
    },
    Away {
        missed: Readiness,
        stamp: u64,
    },
}

#[derive(Clone, Copy)]
enum Ready {
    TimedOut(Key),
    Connection(Key),
    Listener(usize),
}

/// Wakes whoever sleeps in the reactor's poll.
pub(crate) struct Waker(mio::Waker);

impl Wake for Waker {
    fn wake(&self) {
        if let Err(err) = self.0.wake() {
            error!(%err, "cannot wake the reactor");
        }
    }
}

impl Reactor {
    /// The reactor of `circle[place]`.
    pub(crate) fn new(
        circle: Vec<Arc<Shared>>,
        place: usize,
        listeners: Vec<Listener>,
    ) -> io::Result<(Box<Reactor>, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker(mio::Waker::new(poll.registry(), WAKER)?);
        for (idx, listener) in listeners.iter().enumerate() {
            poll.registry().register(
                &mut SourceFd(&listener.socket.as_fd().as_raw_fd()),
                Token(LISTENERS + idx),
                Interest::READABLE,
            )?;
        }
        let now = Instant::now();
        let reactor = Reactor {
            poll,
            events: Events::with_capacity(EVENTS),
            listeners,
            connections: Slab::new(),
            generations: Vec::new(),
            ready: VecDeque::with_capacity(EVENTS),
            newcomers: Newcomers::new(circle.len()),
            steps: 0,
            permitted: VecDeque::new(),
            permitted_last: false,
            crowded: Vec::new(),
            corked: VecDeque::new(),
            corked_since: now,
            wheel: Wheel::new(now),
            due: Vec::new(),
            spares: Vec::new(),
            now,
            accept_again: None,
            refuse_at: None,
            trouble: Seldom::default(),
            refusals: Seldom::default(),
            shared: Arc::clone(&circle[place]),
            circle,
            place,
            turn: 0,
        };
        Ok((Box::new(reactor), waker))
    }

    /// Descriptors that a forked child must not keep open.
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        let listeners = self
            .listeners
            .iter()
            .map(|listener| listener.socket.as_fd().as_raw_fd());
        listeners.chain([self.poll.as_raw_fd()]).collect()
    }

    /// One look at the kernel's list.
    fn poll(&mut self, patience: Patience) {
        let timeout = match patience {
            Patience::Look => Some(Duration::ZERO),
            Patience::Sleep => self.patience(),
        };
        if let Err(err) = self.poll.poll(&mut self.events, timeout)
            && err.kind() != io::ErrorKind::Interrupted
        {
            error!(%err, "cannot poll");
        }
        self.now = Instant::now();
        self.steps = 0;
        self.refuse_at = None;
        let mut events = mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            self.note(event);
        }
        events.clear();
        self.events = events;
        self.expire();
        self.refuse_the_late();
    }

    /// How long may be slept: until the next deadline.
    fn patience(&self) -> Option<Duration> {
        let now = Instant::now();
        let until = |at: Instant| at.saturating_duration_since(now);
        let pause = self.accept_again.map(until);
        let refusal = self.refuse_at.map(until);
        let wheel = self.wheel.wait(now);
        let permit = self.first_in_line().map(until);
        let waits = [pause, refusal, wheel, permit];
        let wait = waits.into_iter().flatten().min()?;
        // The kernel counts in milliseconds; a wait cut short would be followed by another.
        Some(wait + Duration::from_millis(1))
    }

    fn note(&mut self, event: &mio::event::Event) {
        let token = event.token();
        if token == WAKER {
            return;
        }
        if token.0 >= LISTENERS {
            let idx = token.0 - LISTENERS;
            if let Some(listener) = self.listeners.get_mut(idx)
                && !listener.ready
            {
                listener.ready = true;
                self.ready.push_back(Ready::Listener(idx));
            }
            return;
        }
        let news = Readiness {
            readable: event.is_readable(),
            writable: event.is_writable(),
            read_closed: event.is_read_closed(),
            failed: event.is_error() || (event.is_write_closed() && event.is_read_closed()),
        };
        let key = Key(token.0);
        match self.place(key) {
            Some(Place::Here {
                connection, queued, ..
            }) => {
                connection.readiness.merge(news);
                if !*queued {
                    *queued = true;
                    self.ready.push_back(Ready::Connection(key));
                }
            }
            Some(Place::Away { missed, .. }) => missed.merge(news),
            None => {}
        }
    }

    fn place(&mut self, key: Key) -> Option<&mut Place> {
        let (idx, generation) = split(key);
        if self.generations.get(idx) != Some(&generation) {
            return None;
        }
        self.connections.get_mut(idx)
    }

    /// Moves one connection as far as it goes.
    fn step(&mut self, key: Key, timed_out: bool) -> Option<Job> {
        let (mut connection, stamp) = self.take_away(key)?;
        let shared = Arc::clone(&self.shared);
        let mut lent = Lent {
            shared: &shared,
            now: self.now,
            spares: &mut self.spares,
        };
        let next = catch_unwind(AssertUnwindSafe(|| {
            // What happened since the wheel said so may have moved the deadline.
            if timed_out && connection.deadline.is_some_and(|at| at <= lent.now) {
                connection.time_out(&mut lent)
            } else {
                connection.advance(&mut lent)
            }
        }));
        let next = next.unwrap_or_else(|_| {
            // The hook has reported the panic; this connection is lost, the others are not.
            Counters::count(&shared.counters.panics);
            Next::Close
        });
        if !matches!(next, Next::Wait) {
            connection.deadline = None;
        }
        match next {
            Next::Wait => {
                let evictable = connection.eviction().is_some();
                self.bring_back(key, connection, stamp, false);
                if evictable && self.shared.room.could_be_made() {
                    self.tell_room();
                }
            }
            Next::Yield => self.bring_back(key, connection, stamp, true),
            Next::Hold(request) => return self.request_job(request, Wire::Held(connection)),
            Next::Serve(request, outlet) => {
                self.bring_back(key, connection, stamp, true);
                return self.request_job(request, Wire::Remote(outlet, key));
            }
            Next::Work => {
                self.newcomers.push(key);
                self.set_aside(key, connection, stamp);
            }
            Next::Spool => return Some(Job::Spool(connection)),
            Next::SendFile => return Some(Job::SendFile(connection)),
            Next::Close => self.remove(key, connection),
        }
        None
    }

    /// A request is complete, or as complete as it has to be. `None` if it has to wait for a thread of its
    /// application's, or is refused.
    fn request_job(&mut self, mut request: Box<Request>, wire: Wire) -> Option<Job> {
        let terms = request
            .terms
            .take()
            .unwrap_or_else(|| Terms::new(Lane::Thread));
        let key = ForecastKey::new(terms.application, request.method_name(), request.path());
        let forecast = match (terms.lane, &request.body) {
            // It never blocks, whatever it does with the body.
            (Lane::Inline, _) => Forecast::Quick,
            // Reading it means waiting for the client.
            (_, Body::Stream(_)) => Forecast::Blocks,
            _ => self.shared.forecaster.forecast(key),
        };
        let job = RequestJob {
            request,
            wire,
            key,
            lane: terms.lane,
            forecast,
            ready: self.now,
            permit: None,
        };
        match terms.cap {
            None => Some(Job::Request(job)),
            Some(cap) => self.line_up(&cap, job),
        }
    }

    fn take_away(&mut self, key: Key) -> Option<(Box<Connection>, u64)> {
        let place = self.place(key)?;
        let stamp = match place {
            Place::Here { stamp, .. } => *stamp,
            Place::Away { .. } => return None,
        };
        match mem::replace(
            place,
            Place::Away {
                missed: Readiness::default(),
                stamp,
            },
        ) {
            Place::Here { connection, .. } => Some((connection, stamp)),
            Place::Away { .. } => None,
        }
    }

    fn bring_back(&mut self, key: Key, connection: Box<Connection>, stamp: u64, again: bool) {
        let stamp = self.schedule(key, connection.deadline, stamp);
        if again {
            self.ready.push_back(Ready::Connection(key));
        }
        if let Some(place) = self.place(key) {
            *place = Place::Here {
                connection,
                queued: again,
                stamp,
            };
        }
    }

    /// Makes sure that the wheel looks at the connection not later than its deadline.
    fn schedule(&mut self, key: Key, deadline: Option<Instant>, scheduled: u64) -> u64 {
        let Some(deadline) = deadline else {
            return scheduled;
        };
        let stamp = self.wheel.stamp(deadline);
        if scheduled <= stamp {
            return scheduled;
        }
        self.wheel.insert(key.0, stamp);
        stamp
    }

    fn expire(&mut self) {
        let mut due = mem::take(&mut self.due);
        self.wheel.expired(self.now, &mut due);
        for entry in due.drain(..) {
            let key = Key(entry.key);
            let now = self.now;
            let (deadline, here) = match self.place(key) {
                Some(Place::Here {
                    connection, stamp, ..
                }) if *stamp == entry.stamp => {
                    *stamp = UNSCHEDULED;
                    (connection.deadline, true)
                }
                Some(Place::Away { stamp, .. }) if *stamp == entry.stamp => {
                    *stamp = UNSCHEDULED;
                    (None, false)
                }
                _ => continue,
            };
            match deadline {
                Some(deadline) if here && deadline <= now => {
                    self.ready.push_back(Ready::TimedOut(key));
                }
                Some(deadline) => {
                    let stamp = self.schedule(key, Some(deadline), UNSCHEDULED);
                    if let Some(Place::Here { stamp: place, .. }) = self.place(key) {
                        *place = stamp;
                    }
                }
                None => {}
            }
        }
        self.due = due;
        if self.accept_again.is_some_and(|at| at <= self.now) {
            self.accept_again = None;
            self.shared.room.is_made();
            self.resume_listeners();
        }
    }

    fn remove(&mut self, key: Key, mut connection: Box<Connection>) {
        connection.give_up(&self.shared);
        let (idx, generation) = split(key);
        if self.generations.get(idx) == Some(&generation) && self.connections.contains(idx) {
            self.connections.remove(idx);
            self.generations[idx] = generation.wrapping_add(1) & GENERATION_MASK;
            drop(connection);
            self.shared.has_gone();
        }
        if self.shared.room.is_made() {
            self.tell_room();
        }
    }

    fn returned(&mut self, mut connection: Box<Connection>) {
        let key = connection.key;
        let stamp = match self.place(key) {
            Some(Place::Away { missed, stamp }) => {
                connection.readiness.merge(*missed);
                *stamp
            }
            // Closed meanwhile by `Abort`.
            _ => return,
        };
        if matches!(connection.state, State::Closed) {
            return self.remove(key, connection);
        }
        if connection.is_corked() {
            self.cork(key, connection, stamp);
        } else {
            self.bring_back(key, connection, stamp, true);
        }
    }

    fn cork(&mut self, key: Key, connection: Box<Connection>, stamp: u64) {
        if self.corked.is_empty() {
            self.corked_since = Instant::now();
        }
        self.corked.push_back(key);
        self.set_aside(key, connection, stamp);
    }

    /// Puts back a connection that is in a list of its own, as if it were among those that are ready.
    fn set_aside(&mut self, key: Key, connection: Box<Connection>, stamp: u64) {
        if let Some(place) = self.place(key) {
            *place = Place::Here {
                connection,
                queued: true,
                stamp,
            };
        }
    }

    /// The work on the next handshake.
    fn next_newcomer(&mut self) -> Option<Job> {
        while let Some(key) = self.newcomers.pop() {
            if let Some((connection, _)) = self.take_away(key) {
                let forecast = self.newcomers.begin(!self.ready.is_empty());
                return Some(Job::Handshake(connection, forecast));
            }
        }
        None
    }

    /// Sends the responses that were held back, if it is time.
    fn uncork(&mut self) {
        if self.corked.is_empty() {
            return;
        }
        let due = self.ready.is_empty()
            || self.corked.len() >= cork::MOST
            || self.corked_since.elapsed() >= cork::PATIENCE;
        if !due {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let lent = Lent {
            shared: &shared,
            now: self.now,
            spares: &mut Vec::new(),
        };
        while let Some(key) = self.corked.pop_front() {
            if let Some(Place::Here { connection, .. }) = self.place(key) {
                // What fails now fails again at its next step, which sees to it.
                let _ = connection.flush(&lent);
                self.ready.push_back(Ready::Connection(key));
            }
        }
    }

    /// Sends the blocks whose responses have not ended meanwhile; what follows them goes through pipes.
    fn clear_shelf(&mut self) {
        for mut connection in self.shared.shelf.clear(&self.shared) {
            // At once: before its next step others may have theirs.
            connection.send_ahead(self.now);
            self.returned(connection);
        }
    }

    fn queue(&mut self, key: Key) {
        if let Some(Place::Here { queued, .. }) = self.place(key)
            && !*queued
        {
            *queued = true;
            self.ready.push_back(Ready::Connection(key));
        }
    }

    fn drain(&mut self) {
        if self.place == ACCEPTOR {
            self.accept_the_last();
            self.shared.close();
        }
        let all: Vec<Key> = self.here();
        for key in all {
            // A request may have arrived that we have not seen: look before closing.
            if let Some(Place::Here { connection, .. }) = self.place(key) {
                connection.readiness.readable = true;
            }
            self.queue(key);
        }
    }

    fn abort(&mut self) {
        self.empty_lines();
        for key in self.here() {
            if let Some((connection, _)) = self.take_away(key) {
                self.remove(key, connection);
            }
        }
    }

    fn here(&self) -> Vec<Key> {
        let here = |place: &Place| match place {
            Place::Here { connection, .. } => Some(connection.key),
            Place::Away { .. } => None,
        };
        self.connections
            .iter()
            .filter_map(|(_, place)| here(place))
            .collect()
    }

    /// Whether a thread is to be told to free what was sent. Who runs requests frees it on the way.
    fn has_to_free(&self) -> bool {
        let shared = &self.shared;
        shared.gateway.unfreed_bytes() >= UNFREED_BYTES
            && !shared.freeing.swap(true, Ordering::Relaxed)
    }

    /// Every thread waits for a slow client, and a request waits for a thread.
    fn relieve(&self) {
        let Some(pool) = self.shared.pool() else {
            return;
        };
        if let Some(slowest) = self.shared.holds.to_relieve(pool) {
            warn!("every thread waits for a slow client; the slowest response is aborted");
            slowest.abandon();
        }
    }
}

impl Poller for Reactor {
    type Job = Job;
    type Mail = Mail;
    type Waker = Waker;

    fn turn(&mut self, patience: Patience) -> Turn<Job> {
        let mut polled = false;
        loop {
            self.uncork();
            if self.newcomers.are_next()
                && let Some(job) = self.next_newcomer()
            {
                return Turn::Job(job);
            }
            if !mem::take(&mut self.permitted_last)
                && self.steps < STEPS
                && let Some(job) = self.next_permitted()
            {
                return Turn::Job(job);
            }
            while self.steps < STEPS
                && let Some(ready) = self.ready.pop_front()
            {
                self.steps += 1;
                let job = match ready {
                    Ready::Connection(key) => self.step(key, false),
                    Ready::TimedOut(key) => self.step(key, true),
                    Ready::Listener(idx) => {
                        self.accept(idx);
                        None
                    }
                };
                if let Some(job) = job {
                    self.newcomers.let_pass();
                    let crowd = !self.ready.is_empty() && job.forecast() == Forecast::Quick;
                    self.shared.cork.set(crowd);
                    return Turn::Job(job);
                }
            }
            if self.ready.is_empty() && !self.corked.is_empty() {
                continue;
            }
            if polled {
                self.shared.cork.set(false);
                let job = self.next_permitted().or_else(|| self.next_newcomer());
                return job.map_or(Turn::Idle, Turn::Job);
            }
            polled = true;
            self.relieve();
            if self.has_to_free() {
                return Turn::Job(Job::Free);
            }
            self.poll(if self.has_ready() {
                Patience::Look
            } else {
                patience
            });
        }
    }

    fn receive(&mut self, letter: Mail) {
        match letter {
            Mail::Return(connection) => self.returned(connection),
            Mail::Shaken(connection) => {
                self.newcomers.end();
                self.returned(connection);
            }
            Mail::Output(key) | Mail::Room(key) => self.queue(key),
            Mail::Continue(key) => {
                let now = self.now;
                if let Some(Place::Here { connection, .. }) = self.place(key) {
                    connection.ask_for_body(now);
                }
                self.queue(key);
            }
            Mail::Permitted(job) => self.permitted.push_back(job),
            Mail::Shelf => self.clear_shelf(),
            Mail::Admit(stream, origin) => self.admit(stream, origin),
            Mail::MakeRoom(asked) => self.make_room(asked),
            Mail::RoomMade => self.resume_listeners(),
            Mail::Drain => self.drain(),
            Mail::Abort => self.abort(),
        }
    }

    fn has_ready(&self) -> bool {
        let others = !self.newcomers.is_empty() || !self.permitted.is_empty();
        !self.ready.is_empty() || !self.corked.is_empty() || others
    }

    fn refuse(&mut self, job: Job, why: Refusal) {
        let Job::Request(job) = job else { return };
        if let Some(left_out) = self.refusals.due(self.now) {
            warn!(?why, request = %job.request.id(), left_out, "no thread for a request");
        }
        let answer = ErrorAnswer::from(ProtocolErrorKind::Overloaded).retry_after(RETRY_AFTER);
        let facts = job.request.head.facts();
        let shared = Arc::clone(&self.shared);
        let lent = Lent {
            shared: &shared,
            now: self.now,
            spares: &mut Vec::new(),
        };
        match job.wire {
            Wire::Held(mut connection) => {
                let answer = if connection.may_keep(&shared) {
                    answer.keeping(&facts)
                } else {
                    answer.to(&facts)
                };
                connection.answer(&answer, Some(job.request), &lent);
                self.returned(connection);
            }
            Wire::Remote(outlet, key) => {
                if outlet.is_gone() {
                    // The client has left, or has been told that the application is late.
                    let record = Record::new(job.request, answer.status_code(), 0, Ending::Aborted);
                    if let Told::Nobody(Ended {
                        record: Some(record),
                        ..
                    }) = outlet.end(Ended {
                        fate: Fate::Abort,
                        record: Some(record),
                    }) {
                        shared.log(record);
                    }
                } else if let Some((mut connection, stamp)) = self.take_away(key) {
                    connection.answer(&answer.to(&facts), Some(job.request), &lent);
                    self.bring_back(key, connection, stamp, true);
                }
            }
            Wire::Shelved(_) | Wire::Ended => {}
        }
    }

    fn has_expired(&mut self, job: &Job) -> bool {
        match job {
            Job::Request(job) => {
                let expires = job.ready + self.shared.config.timeouts.queue;
                self.refuse_at = Some(self.refuse_at.map_or(expires, |at| at.min(expires)));
                expires <= self.now
            }
            Job::Handshake(..) | Job::Spool(_) | Job::SendFile(_) | Job::Free => false,
        }
    }
}

/// No entry of the wheel is on its way.
const UNSCHEDULED: u64 = u64::MAX;
/// Generations leave the top of the range to the waker and the listeners.
const GENERATION_MASK: u32 = 0x7fff_ffff;

fn join(idx: usize, generation: u32) -> Key {
    Key(idx | (generation as usize) << INDEX_BITS)
}

fn split(key: Key) -> (usize, u32) {
    (key.0 & u32::MAX as usize, (key.0 >> INDEX_BITS) as u32)
}
