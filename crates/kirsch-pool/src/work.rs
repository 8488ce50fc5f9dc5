//! The loop that every pool thread runs: a job in the queue? run it. The reactor in its slot? drive it.
//! Otherwise park.
//!
//! A thread is either *inside* (holds the interpreter) or not. It drives and sleeps outside; it goes
//! in with a job, and as long as it is in and finds more to do without sleeping, it stays in.

use std::mem;

use crate::{
    Between, Dispatched, Hand, Inside, Lane, Next, Patience, Poller, Pool, Refusal, Task, ThreadId,
    Turn,
};

/// What the threads hold while they run interpreter jobs. Without an interpreter, [`NoInterpreter`].
pub trait Interpreter {
    /// Runs `outside` with the interpreter released.
    fn release<R: Send>(&self, outside: impl FnOnce() -> R + Send) -> R;
}

/// Jobs a thread runs on while another waits to enter: about a millisecond's worth of quick ones at most,
/// and few enough that whoever waits does so for less than the interpreter's own switch interval.
/// In the model one, since each job multiplies the orders to explore.
const STRETCH: u32 = if cfg!(loom) { 1 } else { 16 };

/// For servers whose gateways are all Rust.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoInterpreter;

impl Interpreter for NoInterpreter {
    fn release<R: Send>(&self, outside: impl FnOnce() -> R + Send) -> R {
        outside()
    }
}

/// One pool thread's life, from start to the pool's end, or until it is dismissed; then another may come in its place. Called inside; returns inside.
pub fn work<P, I, F>(pool: &Pool<P>, me: ThreadId, interpreter: &I, run: &F)
where
    P: Poller,
    I: Interpreter,
    F: Fn(P::Job) + Sync,
{
    pool.join(me);
    let mut thread = Thread {
        pool,
        me,
        run,
        hand: None,
        parks: false,
    };
    loop {
        let Some(job) = interpreter.release(|| thread.find_outside()) else {
            return;
        };
        pool.entered(me, job.forecast());
        thread.run(job);
        let mut stretch = 0;
        while let Some(job) = thread.find_inside() {
            match job.lane() {
                Lane::Interpreter | Lane::Inline => thread.run(job),
                // It may wait for somebody who needs the interpreter.
                Lane::Thread | Lane::Long | Lane::Newcomer => {
                    interpreter.release(|| thread.run(job));
                }
            }
            if pool.somebody_enters() {
                // Others wait for the interpreter; what comes next is theirs to fetch. Not at once: two
                // threads that let each other in after every job would switch for each request.
                stretch += 1;
                if stretch >= STRETCH {
                    thread.parks = pool.give_way(me);
                    break;
                }
            }
        }
    }
}

struct Thread<'a, P: Poller, F> {
    pool: &'a Pool<P>,
    me: ThreadId,
    run: &'a F,
    /// The reactor, while this thread drives.
    hand: Option<Hand<'a, P>>,
    /// The pool counts this thread among the parked; it has yet to sleep.
    parks: bool,
}

impl<'a, P: Poller, F: Fn(P::Job) + Sync> Thread<'a, P, F> {
    /// Drives, runs Rust jobs and parks until there is an interpreter job that this thread may enter with.
    fn find_outside(&mut self) -> Option<P::Job> {
        loop {
            let next = match self.hand.take() {
                Some(hand) => Next::Drive(hand),
                None if mem::take(&mut self.parks) => Next::Park,
                None => self.next(Inside::Detached),
            };
            let job = match next {
                Next::Run(job) => job,
                Next::Drive(hand) => match self.drive(hand, Inside::Detached) {
                    Drove::Job(job) => job,
                    Drove::Nothing => continue,
                },
                Next::Park => {
                    self.pool.park(self.me);
                    continue;
                }
                Next::Stop => return None,
            };
            match job.lane() {
                Lane::Interpreter => return Some(job),
                Lane::Thread | Lane::Inline | Lane::Long | Lane::Newcomer => self.run(job),
            }
        }
    }

    /// The next job that can be had without sleeping; `None` when there is none.
    fn find_inside(&mut self) -> Option<P::Job> {
        let hand = match self.next(Inside::Attached) {
            Next::Run(job) => return Some(job),
            Next::Drive(hand) => hand,
            Next::Park | Next::Stop => return None,
        };
        match self.drive(hand, Inside::Attached) {
            Drove::Job(job) => Some(job),
            Drove::Nothing => None,
        }
    }

    fn next(&self, inside: Inside) -> Next<'a, P> {
        loop {
            // It reads mail; if a letter panics, the others are still there.
            if let Some(next) = self.pool.survive(|| self.pool.next(self.me, inside)) {
                return next;
            }
        }
    }

    fn run(&mut self, job: P::Job) {
        let long = matches!(job.lane(), Lane::Long | Lane::Newcomer);
        self.pool.survive(|| (self.run)(job));
        if long {
            self.pool.long_done();
        }
    }

    /// Drives until there is a job to run. Inside, only as long as no sleep is needed: then the reactor
    /// stays in the hand. After a panic it lies in the slot.
    fn drive(&mut self, hand: Hand<'a, P>, inside: Inside) -> Drove<P::Job> {
        let pool = self.pool;
        pool.survive(|| self.take_turns(hand, inside))
            .unwrap_or(Drove::Nothing)
    }

    fn take_turns(&mut self, mut hand: Hand<'a, P>, inside: Inside) -> Drove<P::Job> {
        let mut patience = match inside {
            Inside::Attached => Patience::Look,
            Inside::Detached => Patience::Sleep,
        };
        // Inside, a sleep is out of the question, so the state is looked at only when there is news. Who came
        // for the reactor has just done so, and the turn of the reactor is now.
        let mut look = inside == Inside::Detached;
        loop {
            if look {
                match self.pool.between_turns(hand, inside, patience) {
                    Between::GoOn(again, allowed) => {
                        hand = again;
                        patience = allowed;
                    }
                    Between::Run(job) => return Drove::Job(job),
                    Between::Park => {
                        self.parks = true;
                        return Drove::Nothing;
                    }
                    Between::Stop => return Drove::Nothing,
                }
            }
            match hand.turn(patience) {
                Turn::Job(job) => match self.pool.dispatch(self.me, hand, job, inside) {
                    Dispatched::Run(job) => return Drove::Job(job),
                    Dispatched::Queued(again) => hand = again,
                    Dispatched::Refused(mut again, job) => {
                        again.refuse(job, Refusal::QueueFull);
                        hand = again;
                    }
                },
                #[cfg(loom)]
                Turn::Panicked => return Drove::Nothing,
                Turn::Idle if inside == Inside::Detached => patience = Patience::Sleep,
                Turn::Idle if self.pool.has_news() => {}
                Turn::Idle => {
                    self.hand = Some(hand);
                    return Drove::Nothing;
                }
            }
            look = patience == Patience::Sleep || self.pool.has_news();
        }
    }
}

enum Drove<J> {
    Job(J),
    Nothing,
}
