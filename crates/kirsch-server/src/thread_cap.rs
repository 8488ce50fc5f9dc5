//! How many threads an application may have at once, and the requests that wait in line for one of them.
//!
//! A request of a capped application needs a permit before the pool hears of it, so that those that wait take up
//! neither a thread nor a place in the pool's queue. It knows neither routes nor the pool.
//! Read next: `Reactor::request_job` in `reactor.rs`, where requests come in; `run` in `server.rs`, where they end.
//!
//! # States
//!
//! ```text
//!            a permit is free                  the gateway returns, panics; the pool refuses
//! complete ──────────────────▶ permitted ─────────────────────────────────────────────────▶ over
//!    │                            ▲                                                           │
//!    │ none is              a permit is given back: to the first in line ◀────────────────────┘
//!    ├──────────▶ waiting ────────┘
//!    │               └─ too long, or the server ends ─▶ refused
//!    └─ the line is full ─▶ refused
//! ```
//!
//! # Invariants
//!
//! 1. *Never above the cap.* `Line::taken` counts the permits there are, and is never more than `Line::threads`.
//! 2. *Nobody waits for nothing.* While somebody waits, every permit is taken. A permit that is given back goes to
//!    the first in line under the same lock; it is never free in between, so nobody overtakes either.
//! 3. *A permit is given back exactly once*: it is a [`Permit`], part of its job, and dropped with it. Whatever
//!    ends a job drops it: its end, a panic, a refusal, the server's end.
//! 4. *No lost job.* A job is in the line or in somebody's hands. It leaves the line once, under the lock: with a
//!    permit, by mail to its reactor; or taken out by its reactor, to be refused.
//! 5. *The lock is held for a few lines*, and never while a job is dropped or posted, which take other locks, or
//!    this one again.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::holds::Holds;
use crate::outlet::Outlet;
use crate::reactor::{Mail, RequestJob};
use crate::shared::Shared;

/// The cap of an application, shared by all reactors. Every method may be called from any thread.
pub(crate) struct ThreadCap {
    line: Mutex<Line<Waiting>>,
    /// Those of its responses that wait for slow clients.
    holds: Holds,
}

/// One of the threads that an application may have. Given back when it is dropped.
pub(crate) struct Permit(Arc<ThreadCap>);

/// A request that waits for a permit, and whose it is.
struct Waiting {
    job: RequestJob,
    reactor: Arc<Shared>,
}

/// What becomes of one that comes for a permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entered<J> {
    /// It has one.
    Permitted(J),
    /// It waits in line.
    Waits,
    /// The line is full.
    Refused(J),
}

impl ThreadCap {
    pub(crate) fn new(threads: NonZeroUsize) -> Arc<ThreadCap> {
        Arc::new(ThreadCap {
            line: Mutex::new(Line::new(threads.get())),
            holds: Holds::default(),
        })
    }

    /// A request comes for a permit, from its reactor; at most `most` may wait.
    pub(crate) fn enter(
        self: &Arc<ThreadCap>,
        job: RequestJob,
        reactor: &Arc<Shared>,
        most: usize,
    ) -> Entered<RequestJob> {
        let waiting = Waiting {
            job,
            reactor: Arc::clone(reactor),
        };
        let mut line = self.lock();
        let entered = line.enter(waiting, most);
        if matches!(entered, Entered::Waits) {
            // Under the lock, so that whoever takes it out counts after this.
            reactor.in_line.fetch_add(1, Ordering::Relaxed);
        }
        drop(line);
        match entered {
            Entered::Permitted(Waiting { job, .. }) => Entered::Permitted(self.permit(job)),
            Entered::Refused(Waiting { job, .. }) => Entered::Refused(job),
            Entered::Waits => Entered::Waits,
        }
    }

    /// One of its threads begins to wait for a slow client. Answers the response to give up.
    pub(crate) fn begin_hold(&self, outlet: &Arc<Outlet>) -> Option<Arc<Outlet>> {
        self.holds.hold(outlet);
        self.to_relieve()
    }

    /// The wait is over.
    pub(crate) fn end_hold(&self, outlet: &Arc<Outlet>) {
        self.holds.let_go(outlet);
    }

    /// The response to give up: the slowest, if all its threads wait for clients, and a request waits for one of them.
    /// Asked after either has changed, so that one of the two who change it sees both.
    pub(crate) fn to_relieve(&self) -> Option<Arc<Outlet>> {
        let threads = {
            let line = self.lock();
            if line.waiting.is_empty() {
                return None;
            }
            line.threads
        };
        self.holds.slowest_of_all(threads)
    }

    /// Takes those of this reactor out of the line that have waited since `since` or longer.
    pub(crate) fn take_late(&self, reactor: &Arc<Shared>, since: Instant) -> Vec<RequestJob> {
        self.take(reactor, |job| job.ready <= since)
    }

    /// Takes all of this reactor out of the line: it ends.
    pub(crate) fn take_all(&self, reactor: &Arc<Shared>) -> Vec<RequestJob> {
        self.take(reactor, |_| true)
    }

    /// Since when the first of this reactor has waited; `None` if none waits.
    pub(crate) fn waiting_since(&self, reactor: &Arc<Shared>) -> Option<Instant> {
        let line = self.lock();
        let mut own = line
            .waiting
            .iter()
            .filter(|it| Arc::ptr_eq(&it.reactor, reactor));
        own.next().map(|it| it.job.ready)
    }

    fn take(&self, reactor: &Arc<Shared>, taken: impl Fn(&RequestJob) -> bool) -> Vec<RequestJob> {
        let out = self
            .lock()
            .take(|it| Arc::ptr_eq(&it.reactor, reactor) && taken(&it.job));
        reactor.in_line.fetch_sub(out.len(), Ordering::Relaxed);
        out.into_iter().map(|it| it.job).collect()
    }

    fn permit(self: &Arc<ThreadCap>, mut job: RequestJob) -> RequestJob {
        job.permit = Some(Permit(Arc::clone(self)));
        job
    }

    fn lock(&self) -> MutexGuard<'_, Line<Waiting>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    pub(crate) fn cap(&self) -> &Arc<ThreadCap> {
        &self.0
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let next = self.0.lock().leave();
        if let Some(Waiting { job, reactor }) = next {
            reactor.in_line.fetch_sub(1, Ordering::Relaxed);
            reactor.post(Mail::Permitted(self.0.permit(job)));
        }
    }
}

/// The permits and who waits for them, without locks and mail.
struct Line<J> {
    threads: usize,
    taken: usize,
    /// The first has waited the longest.
    waiting: VecDeque<J>,
}

impl<J> Line<J> {
    fn new(threads: usize) -> Line<J> {
        Line {
            threads,
            taken: 0,
            waiting: VecDeque::new(),
        }
    }

    fn enter(&mut self, job: J, most: usize) -> Entered<J> {
        self.check();
        if self.taken < self.threads {
            self.taken += 1;
            Entered::Permitted(job)
        } else if self.waiting.len() < most {
            self.waiting.push_back(job);
            Entered::Waits
        } else {
            Entered::Refused(job)
        }
    }

    /// A permit is given back: to whom it goes.
    fn leave(&mut self) -> Option<J> {
        self.check();
        let next = self.waiting.pop_front();
        if next.is_none() {
            self.taken -= 1;
        }
        next
    }

    fn take(&mut self, taken: impl Fn(&J) -> bool) -> Vec<J> {
        self.check();
        let (out, left) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<Vec<J>, _>(|job| taken(job));
        self.waiting = left.into();
        out
    }

    fn check(&self) {
        debug_assert!(self.taken <= self.threads, "invariant 1");
        debug_assert!(
            self.waiting.is_empty() || self.taken == self.threads,
            "invariant 2"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// What may happen to a line.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Enter,
        Leave,
        /// Those whose number leaves this remainder are taken out.
        Take(usize),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => Just(Event::Enter),
            3 => Just(Event::Leave),
            1 => (0_usize..3).prop_map(Event::Take),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_no_job_is_lost_and_nobody_waits_while_a_permit_is_free(
            threads in 1_usize..4,
            most in 0_usize..5,
            events in prop::collection::vec(event(), 0..100),
        ) {
            let mut line = Line::new(threads);
            let (mut running, mut waiting, mut next) = (HashSet::new(), VecDeque::new(), 0);
            for event in events {
                match event {
                    Event::Enter => {
                        let entered = line.enter(next, most);
                        let expected = if running.len() < threads {
                            running.insert(next);
                            Entered::Permitted(next)
                        } else if waiting.len() < most {
                            waiting.push_back(next);
                            Entered::Waits
                        } else {
                            Entered::Refused(next)
                        };
                        prop_assert_eq!(entered, expected);
                        next += 1;
                    }
                    Event::Leave => {
                        let Some(over) = running.iter().next().copied() else { continue };
                        running.remove(&over);
                        let permitted = line.leave();
                        prop_assert_eq!(permitted, waiting.pop_front());
                        running.extend(permitted);
                    }
                    Event::Take(remainder) => {
                        let out = line.take(|job| job % 3 == remainder);
                        let (taken, left): (Vec<_>, Vec<_>) =
                            waiting.into_iter().partition(|job| job % 3 == remainder);
                        waiting = left.into();
                        prop_assert_eq!(out, taken);
                    }
                }
                prop_assert_eq!(line.taken, running.len());
                prop_assert!(running.len() <= threads);
                prop_assert!(waiting.is_empty() || running.len() == threads);
            }
        }
    }
}
