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
//! 3. *No lost wake-up.* Whoever adds mail or a job while the driver sleeps rings; the driver declares
//!    that it sleeps under the same lock under which it found the mail box empty.
//! 4. *No stuck job.* A job in the queue is taken by the next thread that becomes free or is awake,
//!    and a thread never parks while it could take one. While jobs wait, the watcher looks.
//! 5. *No stuck reactor.* A thread parks while the reactor rests only if others are about to look for
//!    it: one who is inside and runs quick jobs, or one who enters with one. A reactor that rests while all
//!    who are awake run jobs is found by the watcher, who gives it to a parked thread or drives. So a letter
//!    that was left with it ([`Pool::leave`]) is read though nobody was woken.
//! 6. *One wake in flight*: a second thread is not woken while the first is on its way. What the first
//!    leaves, it or the watcher has somebody else fetch.
//! 7. *The watcher drives last*: only while no thread is parked or on its way, since who drives
//!    does not look.
//! 8. *Back to one.* While jobs are quick, threads that have come in pairs (because one job was slow, or
//!    lost its processor) end as one again: who leaves the interpreter to a quick one parks, and so does a
//!    driver that would sleep while those inside work the queue off. Who is inside takes jobs and
//!    the reactor in turn, so that the queue empties and no connection waits for it.
//! 9. *A panic costs what panicked.* The reactor travels in a [`Hand`], which lays it back when it is
//!    dropped; the thread goes on. Of the poller, only what is documented as quick is called under the lock.
//! 10. *One stays.* Threads may come and leave while the pool runs ([`Pool::dismiss`]); who leaves has nothing in
//!     hand, and neither the last thread does, nor any while the watcher drives.

#![forbid(unsafe_code)]

#[cfg(all(test, loom))]
mod model;
mod poller;
mod queue;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;
mod watcher;
mod work;

use std::collections::VecDeque;
use std::mem;
use std::ops::{AddAssign, Deref, DerefMut};

use self::queue::Queue;
use self::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, Token, catch, lock};

pub use self::poller::{Forecast, Lane, Patience, Poller, Refusal, Task, Turn, Wake};
pub use self::watcher::{TICK, watch};
pub use self::work::{Interpreter, NoInterpreter, work};

/// Index of a pool thread.
pub type ThreadId = usize;

/// What a thread is doing; for the invariants and for whoever asks which request is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Is not there: has not come yet, or was dismissed.
    Absent,
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
enum Slot<P: Poller> {
    Resting(Desk<P>),
    Driven(Driver),
}

/// The reactor, and the letters that whoever drives has collected and not yet given to it.
struct Desk<P: Poller> {
    reactor: Box<P>,
    letters: VecDeque<P::Mail>,
}

/// The reactor in the hand of who drives. Dropped, as it is by a panic, it lays the reactor back.
pub(crate) struct Hand<'a, P: Poller> {
    pool: &'a Pool<P>,
    driver: Driver,
    /// `None` only once it was laid back.
    desk: Option<Desk<P>>,
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
    /// Panics of jobs and of turns at the reactor, each caught.
    pub panics: u64,
}

impl AddAssign for PoolCounters {
    fn add_assign(&mut self, other: PoolCounters) {
        self.jobs += other.jobs;
        self.hand_overs += other.hand_overs;
        self.rescues += other.rescues;
        self.watcher_drives += other.watcher_drives;
        self.queued += other.queued;
        self.refused += other.refused;
        self.panics += other.panics;
    }
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
    /// Threads that are there, or about to come: all but the absent ones.
    members: usize,
    /// How many of them are to leave once they have nothing to do.
    dismissed: usize,
    /// Parked threads; the last parked is the first woken, since its caches are the warmest.
    parked: Vec<ThreadId>,
    /// A thread woken to take the reactor that has not looked yet.
    waking: Option<ThreadId>,
    /// The thread that is `Entering`, and what its job is expected to do.
    entering: Option<(ThreadId, Forecast)>,
    /// What those inside last took from the queue since the reactor was last taken: quick jobs tell that
    /// they will soon look for the reactor themselves.
    taken_inside: Option<Forecast>,
    queue: Queue<P::Job>,
    long_running: usize,
    /// The last job that was taken is a newcomer's: others are next.
    took_newcomer: bool,
    mail: VecDeque<P::Mail>,
    /// The driver sleeps in a poll, or is about to.
    sleeping: bool,
    watcher_parked: bool,
    stopping: bool,
    last_driver: Option<Driver>,
    counters: PoolCounters,
}

/// What a free thread does next.
pub(crate) enum Next<'a, P: Poller> {
    /// Run this; the reactor is where it was.
    Run(P::Job),
    /// Drive.
    Drive(Hand<'a, P>),
    /// Wait for a token.
    Park,
    /// The pool ends.
    Stop,
}

/// What becomes of a job that the driver brings.
pub(crate) enum Dispatched<'a, P: Poller> {
    /// Run it; the reactor lies in the slot.
    Run(P::Job),
    /// It waits in the queue; go on driving.
    Queued(Hand<'a, P>),
    /// There is no room in the queue; refuse it and go on driving.
    Refused(Hand<'a, P>, P::Job),
}

/// What the driver does after a look around.
pub(crate) enum Between<'a, P: Poller> {
    /// The next turn.
    GoOn(Hand<'a, P>, Patience),
    /// Run this; the reactor lies in the slot.
    Run(P::Job),
    /// Wait for a token: those inside will see to the reactor, which lies in the slot.
    Park,
    /// Drive no more; the reactor lies in the slot.
    Stop,
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
    /// A pool of `threads` threads around a reactor, and at most `queue_limit` requests that wait for one.
    /// Nothing runs until the threads call [`work()`], each with its own index from 0, and another calls [`watch`].
    pub fn new(reactor: Box<P>, waker: P::Waker, threads: usize, queue_limit: usize) -> Self {
        Pool {
            state: Mutex::new(State {
                slot: Slot::Resting(Desk {
                    reactor,
                    letters: VecDeque::new(),
                }),
                turns: 0,
                threads: vec![Doing::Awake; threads],
                members: threads,
                dismissed: 0,
                parked: Vec::with_capacity(threads),
                waking: None,
                entering: None,
                taken_inside: None,
                queue: Queue::new(),
                long_running: 0,
                took_newcomer: false,
                mail: VecDeque::new(),
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

    /// Has only the first `threads` threads there at first; the others may come later, by [`work()`]. To be called
    /// before any does.
    pub fn begin_with(&self, threads: usize) {
        let mut state = lock(&self.state);
        let absent = state.threads.iter_mut().skip(threads);
        absent.for_each(|doing| *doing = Doing::Absent);
        state.members = threads.min(state.threads.len());
    }

    /// Has so many threads leave, but the last one: those that have nothing to do at once, others as soon as they have,
    /// also such as come only now.
    pub fn dismiss(&self, threads: usize) {
        let mut state = lock(&self.state);
        state.dismissed += threads;
        let leavers = state.leavers();
        drop(state);
        leavers
            .into_iter()
            .for_each(|thread| self.tokens[thread].grant());
    }

    /// Threads that are there.
    pub fn members(&self) -> usize {
        lock(&self.state).members
    }

    /// A thread comes to work.
    pub(crate) fn join(&self, me: ThreadId) {
        let mut state = lock(&self.state);
        if state.threads[me] == Doing::Absent {
            state.threads[me] = Doing::Awake;
            state.members += 1;
        }
    }

    /// Posts to whoever drives, now or next. From any thread.
    pub fn post(&self, mail: P::Mail) {
        let mut state = lock(&self.state);
        state.mail.push_back(mail);
        self.has_mail.store(true, Ordering::Release);
        let ring = mem::take(&mut state.sleeping);
        drop(state);
        if ring {
            self.waker.wake();
        }
    }

    /// Leaves a letter with the reactor if nobody drives it: whoever takes it next reads it, without being
    /// woken for it, a tick or two of the watcher later at most. Otherwise the letter comes back, as it does when the
    /// pool is to end. For a thread that runs a job; it never sleeps.
    ///
    /// # Errors
    ///
    /// The letter, if somebody drives.
    pub fn leave(&self, letter: P::Mail) -> Result<(), P::Mail> {
        let mut state = lock(&self.state);
        if !state.slot.is_resting() || state.stopping {
            return Err(letter);
        }
        state.mail.push_back(letter);
        self.has_mail.store(true, Ordering::Release);
        let watcher = state.alert();
        drop(state);
        self.deliver(Wakes {
            watcher,
            ..Wakes::NONE
        });
        Ok(())
    }

    /// What a thread that has nothing in its hands does next.
    pub(crate) fn next(&self, me: ThreadId, inside: Inside) -> Next<'_, P> {
        let mut state = lock(&self.state);
        if state.waking == Some(me) {
            state.waking = None;
        }
        let reactor_first =
            inside == Inside::Attached && state.taken_inside.is_some() && state.slot.is_resting();
        if !reactor_first && let Some(job) = self.take_job(&mut state, me, inside) {
            let wakes = state.leave_reactor_for(&job);
            drop(state);
            self.deliver(wakes);
            return Next::Run(job);
        }
        state.threads[me] = Doing::Awake;
        if state.stopping {
            drop(state);
            self.read_last_mail();
            return Next::Stop;
        }
        if let Some(mut desk) = state.take_desk(Driver::Thread(me)) {
            self.collect(&mut state, &mut desk);
            let mut hand = self.hand(Driver::Thread(me), desk);
            // Who takes the queue and the reactor in turn may be the only one who comes by.
            let expired = self.take_expired(&mut state, &mut hand);
            // Who parked while the watcher drove could not leave.
            let leavers = state.leavers();
            drop(state);
            leavers
                .into_iter()
                .for_each(|thread| self.tokens[thread].grant());
            hand.attend(expired);
            return Next::Drive(hand);
        }
        if inside == Inside::Attached {
            // Nothing to do inside: leave the interpreter before going to sleep.
            return Next::Park;
        }
        if state.is_one_too_many() && !state.slot.is_driven_by_watcher() {
            state.dismissed -= 1;
            state.members -= 1;
            state.threads[me] = Doing::Absent;
            return Next::Stop;
        }
        state.park(me);
        // The watcher drives only because nobody was free: ask it to give the reactor back.
        let ring = state.slot.is_driven_by_watcher() && mem::take(&mut state.sleeping);
        drop(state);
        self.deliver(Wakes {
            ring,
            ..Wakes::NONE
        });
        Next::Park
    }

    /// The thread is about to leave the interpreter to who enters. Whether it parks then: who comes in with
    /// a quick job sees to the queue and the reactor, and two threads would only take turns.
    pub(crate) fn give_way(&self, me: ThreadId) -> bool {
        let mut state = lock(&self.state);
        let to_quick = matches!(state.entering, Some((_, Forecast::Quick)));
        let parks = to_quick
            && !state.stopping
            && !state.is_one_too_many()
            && !state.slot.is_driven_by_watcher()
            && !state.has_job_to_take();
        if parks {
            state.park(me);
        }
        parks
    }

    /// Sleeps until granted; for a thread that was told to park.
    pub(crate) fn park(&self, me: ThreadId) {
        self.tokens[me].wait();
    }

    /// The driver brings a job.
    pub(crate) fn dispatch<'a>(
        &'a self,
        driver: ThreadId,
        hand: Hand<'a, P>,
        mut job: P::Job,
        inside: Inside,
    ) -> Dispatched<'a, P> {
        let mut state = lock(&self.state);
        match job.lane() {
            Lane::Interpreter if inside == Inside::Detached && state.entering.is_some() => {
                if state.queue.is_full(self.queue_limit) {
                    state.counters.refused += 1;
                    return Dispatched::Refused(hand, job);
                }
                self.enqueue(&mut state, job);
                let watcher = state.alert();
                drop(state);
                self.deliver(Wakes {
                    watcher,
                    ..Wakes::NONE
                });
                return Dispatched::Queued(hand);
            }
            Lane::Interpreter if inside == Inside::Detached => {
                self.enter(&mut state, driver, job.forecast());
            }
            Lane::Interpreter => {
                // Those that wait came first.
                if let Some(first) = state.queue.interpreter.pop_front() {
                    state
                        .queue
                        .interpreter
                        .push_back(mem::replace(&mut job, first));
                    state.counters.queued += 1;
                }
                state.threads[driver] = Doing::Running;
            }
            Lane::Thread | Lane::Inline => {
                state.threads[driver] = Doing::Running;
            }
            // Whoever ends a long job takes the next: nobody needs to be woken.
            Lane::Long if !state.may_run_long() => {
                state.queue.long.push_back(job);
                return Dispatched::Queued(hand);
            }
            Lane::Newcomer if !state.may_run_long() => {
                state.queue.newcomers.push_back(job);
                return Dispatched::Queued(hand);
            }
            Lane::Long | Lane::Newcomer => {
                state.long_running += 1;
                state.took_newcomer = job.lane() == Lane::Newcomer;
                state.threads[driver] = Doing::Running;
            }
        }
        state.counters.jobs += 1;
        hand.put(&mut state);
        let wakes = state.leave_reactor_for(&job);
        drop(state);
        self.deliver(wakes);
        Dispatched::Run(job)
    }

    /// The watcher, who drives because everybody is busy, brings a job: it waits in the queue.
    pub(crate) fn dispatch_from_watcher<'a>(
        &'a self,
        hand: Hand<'a, P>,
        job: P::Job,
    ) -> Dispatched<'a, P> {
        let mut state = lock(&self.state);
        match job.lane() {
            Lane::Inline => {
                // Never blocks, so the watcher may run it with the reactor in the slot.
                state.counters.jobs += 1;
                hand.put(&mut state);
                return Dispatched::Run(job);
            }
            Lane::Long => state.queue.long.push_back(job),
            Lane::Newcomer => state.queue.newcomers.push_back(job),
            Lane::Interpreter | Lane::Thread if state.queue.is_full(self.queue_limit) => {
                state.counters.refused += 1;
                return Dispatched::Refused(hand, job);
            }
            Lane::Interpreter | Lane::Thread => self.enqueue(&mut state, job),
        }
        // Somebody may have become free since the watcher looked.
        let thread = state.wake_one();
        drop(state);
        self.deliver(Wakes {
            thread,
            ..Wakes::NONE
        });
        Dispatched::Queued(hand)
    }

    /// The thread has the interpreter now; the next may try.
    pub(crate) fn entered(&self, me: ThreadId, forecast: Forecast) {
        let mut state = lock(&self.state);
        debug_assert!(
            matches!(state.entering, Some((thread, _)) if thread == me),
            "only who was entering has entered"
        );
        state.entering = None;
        self.somebody_enters.store(false, Ordering::Relaxed);
        state.threads[me] = Doing::Running;
        // If this job is quick, this thread drains the queue itself; if it blocks, somebody else must.
        let wakes = if forecast == Forecast::Blocks && state.leaves_work() {
            state.summon()
        } else {
            Wakes::NONE
        };
        drop(state);
        self.deliver(wakes);
    }

    /// A long job of this thread is done; the thread asks [`Pool::next`] what to do now.
    pub(crate) fn long_done(&self) {
        lock(&self.state).long_running -= 1;
    }

    /// Runs a step of a job or of the reactor that must not end the thread if it panics. The panic
    /// hook has reported what is caught here.
    pub(crate) fn survive<R>(&self, step: impl FnOnce() -> R) -> Option<R> {
        let result = catch(step);
        if result.is_none() {
            lock(&self.state).counters.panics += 1;
        }
        result
    }

    /// The thread starts (`true`) or ends to wait for a slow client.
    pub fn hold(&self, me: ThreadId, held: bool) {
        lock(&self.state).threads[me] = if held { Doing::Held } else { Doing::Running };
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
        self.read_last_mail();
    }

    /// Reads the mail of a pool that stops, unless somebody has the reactor: who lays it down then reads what
    /// came meanwhile. Nobody drives any more, and threads may wait for what a letter brings.
    pub(crate) fn read_last_mail(&self) {
        loop {
            let mut state = lock(&self.state);
            if state.mail.is_empty() {
                return;
            }
            let Some(mut desk) = state.take_desk(Driver::Watcher) else {
                return;
            };
            self.collect(&mut state, &mut desk);
            drop(state);
            let mut hand = self.hand(Driver::Watcher, desk);
            // If a letter panics, the others are still there.
            while self.survive(|| hand.read_letters()).is_none() {}
        }
    }

    /// Takes the reactor out for good, and the jobs that nobody ran, once every thread has returned.
    pub fn take_over(&self) -> (Option<Box<P>>, Vec<P::Job>) {
        let mut state = lock(&self.state);
        let jobs = state.queue.drain();
        self.queued.store(0, Ordering::Relaxed);
        let desk = state.take_desk(Driver::Watcher).map(|mut desk| {
            self.collect(&mut state, &mut desk);
            desk
        });
        drop(state);
        let reactor = desk.map(
            |Desk {
                 mut reactor,
                 letters,
             }| {
                letters
                    .into_iter()
                    .for_each(|letter| reactor.receive(letter));
                reactor
            },
        );
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
    /// either may go on or has laid the reactor back.
    pub(crate) fn between_turns<'a>(
        &'a self,
        mut hand: Hand<'a, P>,
        inside: Inside,
        patience: Patience,
    ) -> Between<'a, P> {
        let driver = hand.driver;
        let mut state = lock(&self.state);
        state.sleeping = false;
        if let Some(desk) = &mut hand.desk {
            self.collect(&mut state, desk);
        }
        let expired = self.take_expired(&mut state, &mut hand);
        if hand.has_letters() || !expired.is_empty() {
            // What they lead to (closing, logging) is not for under the lock.
            drop(state);
            hand.attend(expired);
            state = lock(&self.state);
        }
        match driver {
            Driver::Thread(me) => {
                if let Some(job) = self.take_job(&mut state, me, inside) {
                    hand.put(&mut state);
                    let wakes = state.leave_reactor_for(&job);
                    drop(state);
                    self.deliver(wakes);
                    return Between::Run(job);
                }
                if state.stopping {
                    hand.put(&mut state);
                    return Between::Stop;
                }
            }
            Driver::Watcher => {
                let thread = state.wake_one();
                if state.waking.is_some() || state.stopping {
                    hand.put(&mut state);
                    drop(state);
                    self.deliver(Wakes {
                        thread,
                        ..Wakes::NONE
                    });
                    return Between::Stop;
                }
            }
        }
        let sleep = patience == Patience::Sleep && state.mail.is_empty() && !hand.has_ready();
        if sleep && !state.is_one_too_many() && state.is_worked_off_inside() {
            hand.put(&mut state);
            let after = match driver {
                Driver::Thread(me) => {
                    state.park(me);
                    Between::Park
                }
                Driver::Watcher => Between::Stop,
            };
            let watcher = state.alert();
            drop(state);
            self.deliver(Wakes {
                watcher,
                ..Wakes::NONE
            });
            return after;
        }
        state.sleeping = sleep;
        drop(state);
        let patience = if sleep {
            Patience::Sleep
        } else {
            Patience::Look
        };
        Between::GoOn(hand, patience)
    }

    /// Whether the driver has a reason to look around: mail, or a job it could take.
    fn has_news(&self) -> bool {
        self.has_mail.load(Ordering::Acquire) || self.queued.load(Ordering::Relaxed) > 0
    }

    fn take_job(&self, state: &mut State<P>, me: ThreadId, inside: Inside) -> Option<P::Job> {
        // One newcomer, then one of the others, if there is any.
        let newcomer = match mem::take(&mut state.took_newcomer) {
            false => state.take_newcomer(me),
            true => None,
        };
        let job = if let Some(job) = newcomer {
            job
        } else if state.may_run_long()
            && let Some(job) = state.queue.long.pop_front()
        {
            state.long_running += 1;
            state.threads[me] = Doing::Running;
            job
        } else if let Some(job) = state.queue.thread.pop_front() {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            state.threads[me] = Doing::Running;
            job
        } else if (inside == Inside::Attached || state.entering.is_none())
            && let Some(job) = state.queue.interpreter.pop_front()
        {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            match inside {
                Inside::Attached => {
                    state.threads[me] = Doing::Running;
                    state.taken_inside = Some(job.forecast());
                }
                Inside::Detached => self.enter(state, me, job.forecast()),
            }
            job
        } else {
            state.take_newcomer(me)?
        };
        state.counters.jobs += 1;
        Some(job)
    }

    /// Takes the jobs that have waited too long out of the queue.
    fn take_expired(&self, state: &mut State<P>, reactor: &mut P) -> Vec<P::Job> {
        let mut expired = Vec::new();
        let State {
            queue, counters, ..
        } = state;
        for lane in [&mut queue.interpreter, &mut queue.thread] {
            while lane.front().is_some_and(|job| reactor.has_expired(job)) {
                expired.extend(lane.pop_front());
                self.queued.fetch_sub(1, Ordering::Relaxed);
                counters.refused += 1;
            }
        }
        expired
    }

    /// Moves the mail to the driver's desk.
    fn collect(&self, state: &mut State<P>, desk: &mut Desk<P>) {
        if state.mail.is_empty() {
            return;
        }
        self.has_mail.store(false, Ordering::Relaxed);
        if desk.letters.is_empty() {
            mem::swap(&mut state.mail, &mut desk.letters);
        } else {
            // A panic has kept the driver from reading all.
            desk.letters.append(&mut state.mail);
        }
    }

    fn hand(&self, driver: Driver, desk: Desk<P>) -> Hand<'_, P> {
        Hand {
            pool: self,
            driver,
            desk: Some(desk),
        }
    }

    fn enter(&self, state: &mut State<P>, me: ThreadId, forecast: Forecast) {
        debug_assert_eq!(state.entering, None, "one enters");
        state.entering = Some((me, forecast));
        self.somebody_enters.store(true, Ordering::Relaxed);
        state.threads[me] = Doing::Entering;
    }

    fn enqueue(&self, state: &mut State<P>, job: P::Job) {
        match job.lane() {
            Lane::Interpreter => state.queue.interpreter.push_back(job),
            Lane::Thread | Lane::Inline | Lane::Long | Lane::Newcomer => {
                state.queue.thread.push_back(job);
            }
        }
        state.counters.queued += 1;
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    fn deliver(&self, wakes: Wakes) {
        if let Some(thread) = wakes.thread {
            self.tokens[thread].grant();
        }
        if wakes.watcher {
            self.watcher.grant();
        }
        if wakes.ring {
            self.waker.wake();
        }
        if wakes.last_mail {
            self.read_last_mail();
        }
    }
}

/// Whom to wake once the lock is released, and what else is due then.
#[derive(Clone, Copy)]
struct Wakes {
    /// A thread that was parked.
    thread: Option<ThreadId>,
    watcher: bool,
    /// The driver, who sleeps.
    ring: bool,
    /// The pool stops, and the reactor was laid down before its mail was read.
    last_mail: bool,
}

impl Wakes {
    const NONE: Wakes = Wakes {
        thread: None,
        watcher: false,
        ring: false,
        last_mail: false,
    };
}

impl<P: Poller> Hand<'_, P> {
    /// Lays the reactor back.
    fn put(mut self, state: &mut State<P>) {
        if let Some(desk) = self.desk.take() {
            state.put(desk);
        }
    }

    fn has_letters(&self) -> bool {
        self.desk
            .as_ref()
            .is_some_and(|desk| !desk.letters.is_empty())
    }

    /// Gives the reactor what was collected under the lock: the letters, and the jobs that waited too long.
    fn attend(&mut self, expired: Vec<P::Job>) {
        self.read_letters();
        for job in expired {
            self.refuse(job, Refusal::Waited);
        }
    }

    /// Gives the reactor what was collected. If that panics, the next driver reads on.
    fn read_letters(&mut self) {
        if let Some(Desk { reactor, letters }) = &mut self.desk {
            while let Some(letter) = letters.pop_front() {
                reactor.receive(letter);
            }
        }
    }
}

impl<P: Poller> Deref for Hand<'_, P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self
            .desk
            .as_ref()
            .expect("a hand in use is not empty")
            .reactor
    }
}

impl<P: Poller> DerefMut for Hand<'_, P> {
    fn deref_mut(&mut self) -> &mut P {
        &mut self
            .desk
            .as_mut()
            .expect("a hand in use is not empty")
            .reactor
    }
}

impl<P: Poller> Drop for Hand<'_, P> {
    fn drop(&mut self) {
        if let Some(desk) = self.desk.take() {
            lock(&self.pool.state).put(desk);
        }
    }
}

impl<P: Poller> Slot<P> {
    fn is_resting(&self) -> bool {
        matches!(self, Slot::Resting(_))
    }

    fn is_driven_by_watcher(&self) -> bool {
        matches!(self, Slot::Driven(Driver::Watcher))
    }
}

impl<P: Poller> State<P> {
    fn put(&mut self, desk: Desk<P>) {
        debug_assert!(
            matches!(self.slot, Slot::Driven(_)),
            "the reactor exists once"
        );
        self.slot = Slot::Resting(desk);
        self.sleeping = false;
        self.turns += 1;
    }

    fn take_desk(&mut self, by: Driver) -> Option<Desk<P>> {
        if !self.slot.is_resting() {
            return None;
        }
        self.taken_inside = None;
        if self.last_driver.is_some_and(|last| last != by) {
            self.counters.hand_overs += 1;
        }
        self.last_driver = Some(by);
        if let Driver::Thread(me) = by {
            self.threads[me] = Doing::Driving;
        }
        match mem::replace(&mut self.slot, Slot::Driven(by)) {
            Slot::Resting(desk) => Some(desk),
            Slot::Driven(_) => None,
        }
    }

    fn park(&mut self, me: ThreadId) {
        self.threads[me] = Doing::Parked;
        self.parked.push(me);
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

    /// Somebody has to look for work: a parked thread, or else the thread that drives.
    fn summon(&mut self) -> Wakes {
        let thread = self.wake_one();
        let drives = !self.slot.is_driven_by_watcher();
        let ring = self.waking.is_none() && drives && mem::take(&mut self.sleeping);
        Wakes {
            thread,
            ring,
            ..Wakes::NONE
        }
    }

    /// Who must be woken, because a thread turns to a job: the reactor may lie in the slot, and jobs
    /// for which no wake was sent, because this thread's was on its way, in the queue.
    fn leave_reactor_for<J: Task>(&mut self, job: &J) -> Wakes {
        let leaves = job.forecast() == Forecast::Blocks && self.leaves_work();
        let mut wakes = if leaves || !self.queue.thread.is_empty() {
            self.summon()
        } else {
            Wakes::NONE
        };
        wakes.watcher = self.alert();
        wakes.last_mail = self.stopping && !self.mail.is_empty();
        wakes
    }

    /// Whether a thread that does not come back soon leaves something that nobody sees to.
    fn leaves_work(&self) -> bool {
        self.slot.is_resting() || (self.entering.is_none() && !self.queue.interpreter.is_empty())
    }

    /// Whether those inside take quick jobs from the queue, which the driver may not.
    fn is_worked_off_inside(&self) -> bool {
        self.taken_inside == Some(Forecast::Quick) && !self.queue.interpreter.is_empty()
    }

    /// Whether a thread that is free and outside could take a job.
    fn has_job_to_take(&self) -> bool {
        (self.may_run_long() && !self.queue.has_no_long())
            || !self.queue.thread.is_empty()
            || (self.entering.is_none() && !self.queue.interpreter.is_empty())
    }

    /// Whether the watcher has to be woken; it is awake then.
    fn alert(&mut self) -> bool {
        mem::take(&mut self.watcher_parked)
    }

    /// A newcomer's job for this thread, if one waits and may run.
    fn take_newcomer(&mut self, me: ThreadId) -> Option<P::Job> {
        if !self.may_run_long() {
            return None;
        }
        let job = self.queue.newcomers.pop_front()?;
        self.long_running += 1;
        self.took_newcomer = true;
        self.threads[me] = Doing::Running;
        Some(job)
    }

    /// Those among the parked that are to leave, the ones first that have slept longest. They have to be granted.
    fn leavers(&mut self) -> Vec<ThreadId> {
        let count = self.dismissed.min(self.parked.len());
        let leavers: Vec<ThreadId> = self.parked.drain(..count).collect();
        for thread in &leavers {
            self.threads[*thread] = Doing::Awake;
        }
        leavers
    }

    /// Whether a thread is to leave.
    fn is_one_too_many(&self) -> bool {
        self.dismissed > 0 && self.members > 1
    }

    /// Whether one more thread may do what takes long.
    fn may_run_long(&self) -> bool {
        self.long_running < (self.members / 2).max(1)
    }
}
