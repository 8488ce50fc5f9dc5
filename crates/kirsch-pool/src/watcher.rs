//! The watcher: the pool's safety net, on a thread of its own that never runs an application.
//!
//! Once a tick it looks whether the reactor has lain in its slot since the last tick, because a job
//! that was expected to be quick is not. Then it wakes a parked thread to take it; if every thread is
//! busy it drives itself: accepts, reads, writes, times out, and lets requests queue. It parks when
//! nothing can get stuck, so that an idle server makes no system calls.

use std::time::Duration;

use crate::sync::lock;
use crate::{
    Between, Dispatched, Driver, Hand, Inside, Patience, Poller, Pool, Refusal, State, Turn,
};

/// A tick: a stuck reactor is found after one to two of them.
pub const TICK: Duration = Duration::from_millis(1);
/// Ticks without anything to watch after which the watcher parks.
/// The model parks at once, since each tick multiplies the orders to explore.
const QUIET_TICKS: u32 = if cfg!(loom) { 1 } else { 20 };

/// What the watcher found at a tick.
pub(crate) enum Tick<'a, P: Poller> {
    /// Look again after a tick.
    Again,
    /// Wait for a token.
    Park,
    /// Drive until a thread is free.
    Drive(Hand<'a, P>),
    /// The pool ends.
    Stop,
}

/// What the watcher remembers from tick to tick.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    seen_turns: u64,
    seen_queue: bool,
    seen_jobs: u64,
    quiet: u32,
}

/// The watcher's life. `tick` sleeps for a [`TICK`]; `run` runs a job that never blocks.
pub fn watch<P: Poller>(pool: &Pool<P>, tick: impl Fn(), run: impl Fn(P::Job)) {
    let mut watch = Watch::default();
    loop {
        match pool.tick(&mut watch) {
            Tick::Again => tick(),
            Tick::Park => pool.watcher.wait(),
            Tick::Drive(hand) => {
                pool.survive(|| drive(pool, hand, &run));
            }
            Tick::Stop => {
                // It may have been driving when the last letter came.
                pool.read_last_mail();
                return;
            }
        }
    }
}

fn drive<'a, P: Poller>(pool: &'a Pool<P>, mut hand: Hand<'a, P>, run: &impl Fn(P::Job)) {
    let mut patience = Patience::Look;
    loop {
        match pool.between_turns(hand, Inside::Detached, patience) {
            Between::GoOn(again, allowed) => {
                hand = again;
                patience = allowed;
            }
            Between::Run(_) | Between::Park | Between::Stop => return,
        }
        match hand.turn(patience) {
            Turn::Job(job) => match pool.dispatch_from_watcher(hand, job) {
                Dispatched::Run(job) => {
                    run(job);
                    match pool.resume_watching() {
                        Some(again) => hand = again,
                        None => return,
                    }
                    patience = Patience::Look;
                }
                Dispatched::Queued(again) => hand = again,
                Dispatched::Refused(mut again, job) => {
                    again.refuse(job, Refusal::QueueFull);
                    hand = again;
                }
            },
            #[cfg(loom)]
            Turn::Panicked => return,
            Turn::Idle => patience = Patience::Sleep,
        }
    }
}

impl<P: Poller> Pool<P> {
    /// One look at the state.
    pub(crate) fn tick(&self, watch: &mut Watch) -> Tick<'_, P> {
        let mut state = lock(&self.state);
        if state.stopping {
            return Tick::Stop;
        }
        let resting = state.slot.is_resting();
        let lain = resting && state.turns == watch.seen_turns;
        watch.seen_turns = state.turns;
        let waiting = state.has_job_to_take();
        // Where jobs begin, those who run them will come to the ones that wait.
        let stuck_queue = waiting && watch.seen_queue && state.counters.jobs == watch.seen_jobs;
        watch.seen_queue = waiting;
        watch.seen_jobs = state.counters.jobs;
        if lain || stuck_queue {
            watch.quiet = 0;
            // Where the reactor rests and all threads are busy, the watcher drives.
            if lain
                && state.is_nobody_free()
                && let Some(desk) = state.take_desk(Driver::Watcher)
            {
                state.counters.watcher_drives += 1;
                drop(state);
                return Tick::Drive(self.hand(Driver::Watcher, desk));
            }
            let wakes = state.summon();
            state.counters.rescues += u64::from(wakes.thread.is_some());
            drop(state);
            self.deliver(wakes);
            return Tick::Again;
        }
        if resting || !state.queue.is_empty() {
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

    fn resume_watching(&self) -> Option<Hand<'_, P>> {
        let desk = lock(&self.state).take_desk(Driver::Watcher)?;
        Some(self.hand(Driver::Watcher, desk))
    }
}

impl<P: Poller> State<P> {
    /// Whether no thread is parked or on its way.
    fn is_nobody_free(&self) -> bool {
        self.waking.is_none() && self.parked.is_empty()
    }
}
