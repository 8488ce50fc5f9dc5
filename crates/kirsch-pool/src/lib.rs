//! The thread pool whose threads take turns at the reactor.
//!
//! There is one reactor and it is a *value*. It lies in a slot, or somebody drives it: polls, reads,
//! parses. When a request is complete, the driver puts the reactor back into the slot and runs the
//! request itself, on the spot; afterwards it picks the reactor up again if nobody took it meanwhile.
//! A quick application so costs no thread switch, and a blocking one stops nobody, because another
//! thread takes the reactor: at once where the forecast says "blocks", else when the watcher notices.
//!
//! This file is the whole of the shared state and its transitions. It does no I/O, reads no clock
//! and does not know what a job is; [`work`] is the loop each thread runs, [`watcher`] the safety net.
//!
//! # States
//!
//! A thread is [`Doing::Parked`], `Driving`, `Entering` (has a job, waits for the interpreter),
//! `Running` or `Held` (waits for a slow client). The reactor is [`Slot::Resting`] or driven.
//!
//! # Invariants
//!
//! 1. *One owner.* The reactor is in the slot, or in the hand of exactly the thread the slot names.
//! 2. *One enters.* At most one thread is `Entering`; while it is, further interpreter jobs queue.
//! 3. *No lost wake-up.* Whoever adds mail or a job while the driver sleeps rings; the driver empties
//!    the mail box under the same lock under which it declares that it sleeps.
//! 4. *No stuck job.* A job in the queue is taken by the next thread that becomes free or is awake,
//!    and a thread never parks while it could take one.
//! 5. *No stuck reactor.* A thread never parks while the reactor rests; a reactor that rests
//!    while all who are awake run jobs is found by the watcher, who gives it to a parked thread or drives.
//! 6. *One wake in flight* for the reactor: a second thread is not woken for it while the first is on its way.

#[cfg(all(test, loom))]
mod model;
mod sync;
mod watcher;
mod work;

use std::collections::VecDeque;
use std::mem;

use self::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, Token, lock};

pub use self::watcher::{TICK, watch};
pub use self::work::{Interpreter, NoInterpreter, work};

/// Index of a pool thread.
pub type ThreadId = usize;

/// What the pool drives. The reactor implements it; so does the model that loom explores.
pub trait Poller: Send {
    /// What a turn may yield for a thread to run.
    type Job: Task;
    /// What other threads post to whoever drives.
    type Mail: Send;
    /// Ends a sleeping turn from any thread.
    type Waker: Wake;

    /// Goes on with what is ready and polls; sleeps only if `patience` allows and nothing is ready.
    fn turn(&mut self, patience: Patience) -> Turn<Self::Job>;
    /// Takes in what was posted.
    fn receive(&mut self, mail: &mut Vec<Self::Mail>);
    /// Whether a turn has work without polling.
    fn has_ready(&self) -> bool;
    /// Answers a job in the server's own name, because nobody can run it.
    fn refuse(&mut self, job: Self::Job, why: Refusal);
    /// Whether a job that has waited in the queue since it was dispatched should be refused now.
    fn has_expired(&self, job: &Self::Job) -> bool;
}

/// What the pool must know of a job.
pub trait Task: Send {
    /// Where it may run.
    fn lane(&self) -> Lane;
    /// Whether it is expected to block.
    fn forecast(&self) -> Forecast;
}

/// What a job is expected to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// Returns soon: nobody needs to take the reactor.
    Quick,
    /// Waits for something: a parked thread should take the reactor at once.
    Blocks,
}

/// Where a job may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Needs the interpreter: one thread enters at a time.
    Interpreter,
    /// Rust that may block: runs on any pool thread.
    Thread,
    /// Rust that never blocks: runs wherever the reactor is driven, even when all threads are busy.
    Inline,
    /// Work of the engine that may take longer than 100 µs (disk, bulk encryption): at most half the pool.
    Long,
}

/// Ends a sleeping turn of the driver.
pub trait Wake: Send + Sync {
    /// Makes the current or next sleeping turn return.
    fn wake(&self);
}

/// Whether a turn may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until something happens.
    Sleep,
    /// Only look.
    Look,
}

/// What a turn at the reactor yielded.
pub enum Turn<J> {
    /// A request is complete, or long work is due.
    Job(J),
    /// Nothing is ready.
    Idle,
}

/// Why a job is answered without being run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The queue is full.
    QueueFull,
    /// It waited longer than the queue timeout.
    Waited,
}

/// What a thread is doing; for the invariants and for whoever asks which request is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Sleeps until granted.
    Parked,
    /// Has been woken and is on its way, or looks for work.
    Awake,
    /// Owns the reactor.
    Driving,
    /// Has an interpreter job and waits for the interpreter.
    Entering,
    /// Runs a job.
    Running,
    /// Waits for a slow client inside a job.
    Held,
}

/// Where the reactor is.
enum Slot<P> {
    Resting(Box<P>),
    Driven(Driver),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    Thread(ThreadId),
    Watcher,
}

/// Counters that tell how often the mechanism did what; read by tests, statistics and the benchmark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolCounters {
    /// Jobs run.
    pub jobs: u64,
    /// Times a thread took the reactor that another had put down.
    pub hand_overs: u64,
    /// Of those, times it was the watcher who noticed.
    pub rescues: u64,
    /// Times the watcher drove, because every thread was busy.
    pub watcher_drives: u64,
    /// Jobs that went through the queue.
    pub queued: u64,
    /// Jobs refused, because the queue was full or they had waited too long.
    pub refused: u64,
}

/// Everything the threads share.
pub struct Pool<P: Poller> {
    state: Mutex<State<P>>,
    tokens: Vec<Token>,
    watcher: Token,
    waker: P::Waker,
    /// Jobs in the queue; read without the lock, to know whether taking it is worthwhile.
    queued: AtomicUsize,
    /// Whether a thread is `Entering`; read without the lock by those who are inside.
    somebody_enters: AtomicBool,
    /// Whether there is mail; read without the lock by the driver.
    has_mail: AtomicBool,
    queue_limit: usize,
}

struct State<P: Poller> {
    slot: Slot<P>,
    /// How often the reactor was put into the slot: the watcher compares it with what it saw a tick ago.
    turns: u64,
    threads: Vec<Doing>,
    /// Parked threads; the last parked is the first woken, since its caches are the warmest.
    parked: Vec<ThreadId>,
    /// A thread woken to take the reactor that has not looked yet.
    waking: Option<ThreadId>,
    entering: Option<ThreadId>,
    queue: VecDeque<P::Job>,
    long_queue: VecDeque<P::Job>,
    long_running: usize,
    mail: Vec<P::Mail>,
    /// The driver sleeps in a poll, or is about to.
    sleeping: bool,
    watcher_parked: bool,
    stopping: bool,
    last_driver: Option<Driver>,
    counters: PoolCounters,
}

/// What a free thread does next.
pub(crate) enum Next<P: Poller> {
    /// Run this; the reactor is where it was.
    Run(P::Job),
    /// Drive.
    Drive(Box<P>),
    /// Wait for a token.
    Park,
    /// The pool ends.
    Stop,
}

/// What becomes of a job that the driver brings.
pub(crate) enum Dispatched<P: Poller> {
    /// Run it; the reactor lies in the slot.
    Run(P::Job),
    /// It waits in the queue; go on driving.
    Queued(Box<P>),
    /// There is no room in the queue; refuse it and go on driving.
    Refused(Box<P>, P::Job),
}

/// Whether the caller holds the interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// Holds it.
    Attached,
    /// Does not.
    Detached,
}

impl<P: Poller> Pool<P> {
    /// A pool of `threads` threads around a reactor. Nothing runs until the threads call [`work::work`].
    pub fn new(reactor: Box<P>, waker: P::Waker, threads: usize, queue_limit: usize) -> Self {
        Pool {
            state: Mutex::new(State {
                slot: Slot::Resting(reactor),
                turns: 0,
                threads: vec![Doing::Awake; threads],
                parked: Vec::with_capacity(threads),
                waking: None,
                entering: None,
                queue: VecDeque::new(),
                long_queue: VecDeque::new(),
                long_running: 0,
                mail: Vec::new(),
                sleeping: false,
                watcher_parked: false,
                stopping: false,
                last_driver: None,
                counters: PoolCounters::default(),
            }),
            tokens: (0..threads).map(|_| Token::new()).collect(),
            watcher: Token::new(),
            waker,
            queued: AtomicUsize::new(0),
            somebody_enters: AtomicBool::new(false),
            has_mail: AtomicBool::new(false),
            queue_limit,
        }
    }

    /// Posts to whoever drives, now or next. From any thread.
    pub fn post(&self, mail: P::Mail) {
        let mut state = lock(&self.state);
        state.mail.push(mail);
        self.has_mail.store(true, Ordering::Release);
        let ring = mem::take(&mut state.sleeping);
        drop(state);
        if ring {
            self.waker.wake();
        }
    }

    /// What a thread that has nothing in its hands does next.
    pub(crate) fn next(&self, me: ThreadId, inside: Inside) -> Next<P> {
        let mut state = lock(&self.state);
        if state.waking == Some(me) {
            state.waking = None;
        }
        if let Some(job) = self.take_job(&mut state, me, inside) {
            let wakes = state.leave_reactor_for(&job);
            drop(state);
            self.deliver(wakes);
            return Next::Run(job);
        }
        if state.stopping {
            return Next::Stop;
        }
        if let Some(mut reactor) = state.take_reactor(Driver::Thread(me)) {
            if !state.mail.is_empty() {
                self.has_mail.store(false, Ordering::Relaxed);
                reactor.receive(&mut state.mail);
            }
            return Next::Drive(reactor);
        }
        if inside == Inside::Attached {
            // Nothing to do inside: leave the interpreter before going to sleep.
            state.threads[me] = Doing::Awake;
            return Next::Park;
        }
        state.threads[me] = Doing::Parked;
        state.parked.push(me);
        // The watcher drives only because nobody was free: ask it to give the reactor back.
        let ring = state.slot.driven_by_watcher() && mem::take(&mut state.sleeping);
        drop(state);
        if ring {
            self.waker.wake();
        }
        Next::Park
    }

    /// Sleeps until granted; for a thread that [`Pool::next`] told to park.
    pub(crate) fn park(&self, me: ThreadId) {
        self.tokens[me].wait();
    }

    /// The driver brings a job.
    pub(crate) fn dispatch(
        &self,
        driver: ThreadId,
        reactor: Box<P>,
        job: P::Job,
        inside: Inside,
    ) -> Dispatched<P> {
        let mut state = lock(&self.state);
        match job.lane() {
            Lane::Interpreter if inside == Inside::Detached && state.entering.is_some() => {
                let answer = self.enqueue(&mut state, reactor, job);
                let wakes = Wakes {
                    thread: None,
                    watcher: state.alert(),
                };
                drop(state);
                self.deliver(wakes);
                return answer;
            }
            Lane::Interpreter if inside == Inside::Detached => self.enter(&mut state, driver),
            Lane::Interpreter | Lane::Thread | Lane::Inline => {
                state.threads[driver] = Doing::Running
            }
            Lane::Long => {
                if state.long_running >= state.long_limit() {
                    state.long_queue.push_back(job);
                    return Dispatched::Queued(reactor);
                }
                state.long_running += 1;
                state.threads[driver] = Doing::Running;
            }
        }
        state.counters.jobs += 1;
        state.put(reactor);
        let wakes = state.leave_reactor_for(&job);
        drop(state);
        self.deliver(wakes);
        Dispatched::Run(job)
    }

    /// The watcher, who drives because everybody is busy, brings a job: it waits in the queue.
    fn dispatch_from_watcher(&self, reactor: Box<P>, job: P::Job) -> Dispatched<P> {
        let mut state = lock(&self.state);
        if job.lane() == Lane::Inline {
            // Never blocks, so the watcher may run it with the reactor in the slot.
            state.counters.jobs += 1;
            state.put(reactor);
            return Dispatched::Run(job);
        }
        if job.lane() == Lane::Long {
            state.long_queue.push_back(job);
            let thread = state.wake_one();
            drop(state);
            self.deliver(Wakes {
                thread,
                watcher: false,
            });
            return Dispatched::Queued(reactor);
        }
        let answer = self.enqueue(&mut state, reactor, job);
        let thread = state.wake_one();
        drop(state);
        self.deliver(Wakes {
            thread,
            watcher: false,
        });
        answer
    }

    /// The thread has the interpreter now; the next may try.
    pub(crate) fn entered(&self, me: ThreadId, forecast: Forecast) {
        let mut state = lock(&self.state);
        debug_assert_eq!(
            state.entering,
            Some(me),
            "only who was entering has entered"
        );
        state.entering = None;
        self.somebody_enters.store(false, Ordering::Relaxed);
        state.threads[me] = Doing::Running;
        // If this job is quick, this thread drains the queue itself; if it blocks, somebody else must.
        let thread = if forecast == Forecast::Blocks && !state.queue.is_empty() {
            state.wake_one()
        } else {
            None
        };
        drop(state);
        self.deliver(Wakes {
            thread,
            watcher: false,
        });
    }

    /// A long job of this thread is done.
    pub(crate) fn long_done(&self) {
        lock(&self.state).long_running -= 1;
    }

    /// The thread starts (`true`) or ends to wait for a slow client. Answers how many threads are not held.
    pub fn hold(&self, me: ThreadId, held: bool) -> usize {
        let mut state = lock(&self.state);
        state.threads[me] = if held { Doing::Held } else { Doing::Running };
        state
            .threads
            .iter()
            .filter(|doing| **doing != Doing::Held)
            .count()
    }

    /// Jobs that wait for a thread.
    pub fn queue_len(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Ends the pool: threads that find nothing to do return, the reactor goes to the caller of [`Pool::take_over`].
    pub fn stop(&self) {
        let mut state = lock(&self.state);
        state.stopping = true;
        state.sleeping = false;
        let parked = mem::take(&mut state.parked);
        for thread in &parked {
            state.threads[*thread] = Doing::Awake;
        }
        state.watcher_parked = false;
        drop(state);
        for thread in parked {
            self.tokens[thread].grant();
        }
        self.watcher.grant();
        self.waker.wake();
    }

    /// Takes the reactor out for good, and the jobs that nobody ran, once every thread has returned.
    pub fn take_over(&self) -> (Option<Box<P>>, Vec<P::Job>) {
        let mut state = lock(&self.state);
        let mut jobs: Vec<P::Job> = state.queue.drain(..).collect();
        jobs.extend(state.long_queue.drain(..));
        self.queued.store(0, Ordering::Relaxed);
        let mut reactor = state.take_reactor(Driver::Watcher);
        if let Some(reactor) = &mut reactor {
            reactor.receive(&mut state.mail);
        }
        (reactor, jobs)
    }

    /// What each thread is doing.
    pub fn doing(&self) -> Vec<Doing> {
        lock(&self.state).threads.clone()
    }

    /// The counters so far.
    pub fn counters(&self) -> PoolCounters {
        lock(&self.state).counters
    }

    /// Whether the attached caller should leave the interpreter, because a thread waits to enter.
    pub(crate) fn somebody_enters(&self) -> bool {
        self.somebody_enters.load(Ordering::Relaxed)
    }

    /// The driver looks around between two turns: takes in mail, refuses what waited too long, and
    /// either may go on (`Some`) or has put the reactor down to run a job (`None`, job in `taken`).
    fn between_turns(
        &self,
        driver: Driver,
        mut reactor: Box<P>,
        inside: Inside,
        may_sleep: bool,
    ) -> Between<P> {
        let mut state = lock(&self.state);
        state.sleeping = false;
        if !state.mail.is_empty() {
            self.has_mail.store(false, Ordering::Relaxed);
            let State { mail, .. } = &mut *state;
            reactor.receive(mail);
        }
        while state
            .queue
            .front()
            .is_some_and(|job| reactor.has_expired(job))
        {
            if let Some(job) = state.queue.pop_front() {
                self.queued.fetch_sub(1, Ordering::Relaxed);
                state.counters.refused += 1;
                reactor.refuse(job, Refusal::Waited);
            }
        }
        match driver {
            Driver::Thread(me) => {
                if let Some(job) = self.take_job(&mut state, me, inside) {
                    state.put(reactor);
                    let wakes = state.leave_reactor_for(&job);
                    drop(state);
                    self.deliver(wakes);
                    return Between::Run(job);
                }
                if state.stopping {
                    state.put(reactor);
                    return Between::Stop;
                }
            }
            Driver::Watcher => {
                let thread = state.wake_one();
                if thread.is_some() || state.stopping {
                    state.put(reactor);
                    drop(state);
                    self.deliver(Wakes {
                        thread,
                        watcher: false,
                    });
                    return Between::Stop;
                }
            }
        }
        let sleep = may_sleep && !reactor.has_ready();
        state.sleeping = sleep;
        drop(state);
        Between::GoOn(
            reactor,
            if sleep {
                Patience::Sleep
            } else {
                Patience::Look
            },
        )
    }

    /// Whether the driver has a reason to look around: mail, or a job it could take.
    fn has_news(&self) -> bool {
        self.has_mail.load(Ordering::Acquire) || self.queued.load(Ordering::Relaxed) > 0
    }

    fn take_job(&self, state: &mut State<P>, me: ThreadId, inside: Inside) -> Option<P::Job> {
        if state.long_running < state.long_limit()
            && let Some(job) = state.long_queue.pop_front()
        {
            state.long_running += 1;
            state.threads[me] = Doing::Running;
            state.counters.jobs += 1;
            return Some(job);
        }
        let needs_entry = match state.queue.front() {
            None => return None,
            Some(job) => job.lane() == Lane::Interpreter && inside == Inside::Detached,
        };
        if needs_entry && state.entering.is_some() {
            return None;
        }
        let job = state.queue.pop_front()?;
        self.queued.fetch_sub(1, Ordering::Relaxed);
        if needs_entry {
            self.enter(state, me);
        } else {
            state.threads[me] = Doing::Running;
        }
        state.counters.jobs += 1;
        Some(job)
    }

    fn enter(&self, state: &mut State<P>, me: ThreadId) {
        state.entering = Some(me);
        self.somebody_enters.store(true, Ordering::Relaxed);
        state.threads[me] = Doing::Entering;
    }

    fn enqueue(&self, state: &mut State<P>, reactor: Box<P>, job: P::Job) -> Dispatched<P> {
        if state.queue.len() >= self.queue_limit {
            state.counters.refused += 1;
            return Dispatched::Refused(reactor, job);
        }
        state.queue.push_back(job);
        state.counters.queued += 1;
        self.queued.fetch_add(1, Ordering::Relaxed);
        Dispatched::Queued(reactor)
    }

    fn deliver(&self, wakes: Wakes) {
        if let Some(thread) = wakes.thread {
            self.tokens[thread].grant();
        }
        if wakes.watcher {
            self.watcher.grant();
        }
    }
}

enum Between<P: Poller> {
    GoOn(Box<P>, Patience),
    Run(P::Job),
    Stop,
}

/// Tokens to grant once the lock is released.
struct Wakes {
    thread: Option<ThreadId>,
    watcher: bool,
}

impl<P> Slot<P> {
    fn driven_by_watcher(&self) -> bool {
        matches!(self, Slot::Driven(Driver::Watcher))
    }
}

impl<P: Poller> State<P> {
    fn put(&mut self, reactor: Box<P>) {
        debug_assert!(
            matches!(self.slot, Slot::Driven(_)),
            "the reactor exists once"
        );
        self.slot = Slot::Resting(reactor);
        self.sleeping = false;
        self.turns += 1;
    }

    fn take_reactor(&mut self, by: Driver) -> Option<Box<P>> {
        if matches!(self.slot, Slot::Driven(_)) {
            return None;
        }
        if self.last_driver.is_some_and(|last| last != by) {
            self.counters.hand_overs += 1;
        }
        self.last_driver = Some(by);
        if let Driver::Thread(me) = by {
            self.threads[me] = Doing::Driving;
        }
        match mem::replace(&mut self.slot, Slot::Driven(by)) {
            Slot::Resting(reactor) => Some(reactor),
            Slot::Driven(_) => None,
        }
    }

    /// Picks a parked thread to wake, unless one is on its way already.
    fn wake_one(&mut self) -> Option<ThreadId> {
        if self.waking.is_some() {
            return None;
        }
        let thread = self.parked.pop()?;
        self.threads[thread] = Doing::Awake;
        self.waking = Some(thread);
        Some(thread)
    }

    /// Who must be woken, because a thread turns to a job and the reactor may lie in the slot.
    fn leave_reactor_for<J: Task>(&mut self, job: &J) -> Wakes {
        let resting = matches!(self.slot, Slot::Resting(_));
        let thread = if resting && job.forecast() == Forecast::Blocks {
            self.wake_one()
        } else {
            None
        };
        Wakes {
            thread,
            watcher: self.alert(),
        }
    }

    /// Whether the watcher has to be woken; it is awake then.
    fn alert(&mut self) -> bool {
        mem::take(&mut self.watcher_parked)
    }

    fn long_limit(&self) -> usize {
        (self.threads.len() / 2).max(1)
    }
}
