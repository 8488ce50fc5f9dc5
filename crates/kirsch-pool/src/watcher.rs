//! The watcher: the pool's safety net, on a thread of its own that never runs an application.
//!
//! Once a tick it looks whether the reactor has lain in its slot since the last tick, because a job
//! that was expected to be quick is not. Then it wakes a parked thread to take it; if every thread is
//! busy it drives itself: accepts, reads, writes, times out, and lets requests queue. It parks when
//! nothing can get stuck, so that an idle server makes no system calls.

use std::mem;
use std::time::Duration;

use crate::sync::lock;
use crate::{
    Between, Dispatched, Driver, Patience, Poller, Pool, Refusal, Slot, Turn, Wake, Wakes,
};

/// A tick: a stuck reactor is found after one to two of them.
pub const TICK: Duration = Duration::from_millis(1);
/// Ticks without anything to watch after which the watcher parks.
/// The model parks at once, since each tick multiplies the orders to explore.
const QUIET_TICKS: u32 = if cfg!(loom) { 1 } else { 20 };

/// What the watcher found at a tick.
pub(crate) enum Tick<P> {
    /// Look again after a tick.
    Again,
    /// Wait for a token.
    Park,
    /// Drive until a thread is free.
    Drive(Box<P>),
    /// The pool ends.
    Stop,
}

/// What the watcher remembers from tick to tick.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    seen_turns: u64,
    seen_queue: bool,
    quiet: u32,
}

/// The watcher's life. `tick` sleeps for a [`TICK`]; `run` runs a job that never blocks.
pub fn watch<P: Poller>(pool: &Pool<P>, tick: impl Fn(), run: impl Fn(P::Job)) {
    let mut watch = Watch::default();
    loop {
        match pool.tick(&mut watch) {
            Tick::Again => tick(),
            Tick::Park => pool.watcher.wait(),
            Tick::Drive(reactor) => drive(pool, reactor, &run),
            Tick::Stop => return,
        }
    }
}

fn drive<P: Poller>(pool: &Pool<P>, mut reactor: Box<P>, run: &impl Fn(P::Job)) {
    let mut patience = Patience::Look;
    loop {
        match pool.between_turns(
            Driver::Watcher,
            reactor,
            crate::Inside::Detached,
            patience == Patience::Sleep,
        ) {
            Between::GoOn(again, allowed) => {
                reactor = again;
                patience = allowed;
            }
            Between::Run(_) | Between::Stop => return,
        }
        match reactor.turn(patience) {
            Turn::Job(job) => match pool.dispatch_from_watcher(reactor, job) {
                Dispatched::Run(job) => {
                    run(job);
                    match pool.resume_watching() {
                        Some(again) => reactor = again,
                        None => return,
                    }
                    patience = Patience::Look;
                }
                Dispatched::Queued(again) => reactor = again,
                Dispatched::Refused(mut again, job) => {
                    again.refuse(job, Refusal::QueueFull);
                    reactor = again;
                }
            },
            Turn::Idle => patience = Patience::Sleep,
        }
    }
}

impl<P: Poller> Pool<P> {
    /// One look at the state.
    pub(crate) fn tick(&self, watch: &mut Watch) -> Tick<P> {
        let mut state = lock(&self.state);
        if state.stopping {
            return Tick::Stop;
        }
        let resting = matches!(state.slot, Slot::Resting(_));
        let lain = resting && state.turns == watch.seen_turns;
        watch.seen_turns = state.turns;
        let waiting = !state.queue.is_empty() || !state.long_queue.is_empty();
        let stuck_queue = waiting && watch.seen_queue && state.entering.is_none();
        watch.seen_queue = waiting;
        if lain || stuck_queue {
            watch.quiet = 0;
            if let Some(thread) = state.wake_one() {
                state.counters.rescues += 1;
                drop(state);
                self.deliver(Wakes {
                    thread: Some(thread),
                    watcher: false,
                });
                return Tick::Again;
            }
            // A thread is on its way, or all are busy. Where the reactor rests, the watcher drives;
            // where a pool thread drives, it should look at the queue.
            if state.waking.is_none()
                && lain
                && let Some(reactor) = state.take_reactor(Driver::Watcher)
            {
                state.counters.watcher_drives += 1;
                return Tick::Drive(reactor);
            }
            let ring = stuck_queue && !resting && mem::take(&mut state.sleeping);
            drop(state);
            if ring {
                self.waker.wake();
            }
            return Tick::Again;
        }
        if resting || waiting {
            watch.quiet = 0;
            return Tick::Again;
        }
        watch.quiet += 1;
        if watch.quiet < QUIET_TICKS {
            return Tick::Again;
        }
        watch.quiet = 0;
        state.watcher_parked = true;
        Tick::Park
    }

    fn resume_watching(&self) -> Option<Box<P>> {
        lock(&self.state).take_reactor(Driver::Watcher)
    }
}
