//! The responses whose threads wait for slow clients, because their buffers are full.
//!
//! Waiting is harmless while other threads are free. When all threads wait and a request needs one,
//! the slowest of these responses is given up. What is said here of a reactor's threads holds for those that an
//! application may have, too (`thread_cap.rs`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kirsch_pool::{Poller, Pool, ThreadId};

use crate::outlet::Outlet;

/// The responses that hold a thread.
#[derive(Default)]
pub(crate) struct Holds {
    held: Mutex<Vec<Held>>,
}

struct Held {
    outlet: Arc<Outlet>,
    since: Instant,
    sent_before: u64,
}

impl Holds {
    /// A thread begins to wait. Answers the response to give up, if no thread is left for a request
    /// that waits for one.
    pub(crate) fn begin<P: Poller>(
        &self,
        outlet: &Arc<Outlet>,
        pool: &Pool<P>,
        thread: Option<ThreadId>,
    ) -> Option<Arc<Outlet>> {
        self.hold(outlet);
        if let Some(thread) = thread {
            pool.hold(thread, true);
        }
        self.to_relieve(pool)
    }

    /// The response to give up: the slowest, if every thread waits and a request waits for one of them.
    /// One that was given up already will free its thread soon, and is enough.
    pub(crate) fn to_relieve<P: Poller>(&self, pool: &Pool<P>) -> Option<Arc<Outlet>> {
        if pool.queue_len() == 0 {
            return None;
        }
        self.slowest_of_all(pool.members())
    }

    /// The slowest, if every one of so many threads waits.
    pub(crate) fn slowest_of_all(&self, threads: usize) -> Option<Arc<Outlet>> {
        if self.waiting() < threads {
            return None;
        }
        self.slowest()
    }

    /// A thread's wait is over.
    pub(crate) fn end<P: Poller>(
        &self,
        outlet: &Arc<Outlet>,
        pool: &Pool<P>,
        thread: Option<ThreadId>,
    ) {
        self.let_go(outlet);
        if let Some(thread) = thread {
            pool.hold(thread, false);
        }
    }

    /// A response begins to hold a thread.
    pub(crate) fn hold(&self, outlet: &Arc<Outlet>) {
        let held = Held {
            outlet: Arc::clone(outlet),
            since: Instant::now(),
            sent_before: outlet.progress(),
        };
        self.lock().push(held);
    }

    /// A response holds no thread any more.
    pub(crate) fn let_go(&self, outlet: &Arc<Outlet>) {
        self.lock()
            .retain(|held| !Arc::ptr_eq(&held.outlet, outlet));
    }

    /// How many threads wait and go on waiting.
    fn waiting(&self) -> usize {
        let held = self.lock();
        held.iter().filter(|held| !held.outlet.is_gone()).count()
    }

    /// The response whose client has taken the least per second since its thread began to wait.
    fn slowest(&self) -> Option<Arc<Outlet>> {
        let now = Instant::now();
        let held = self.lock();
        let rate = |held: &Held| {
            let bytes = held.outlet.progress().saturating_sub(held.sent_before);
            bytes as f64 / (now - held.since).as_secs_f64().max(1e-3)
        };
        held.iter()
            .filter(|held| !held.outlet.is_gone())
            .min_by(|one, other| rate(one).total_cmp(&rate(other)))
            .map(|held| Arc::clone(&held.outlet))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
