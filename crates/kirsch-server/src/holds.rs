//! The responses whose threads wait for slow clients, because their buffers are full.
//!
//! Waiting is harmless while other threads are free. When all threads wait and a request needs one,
//! the slowest of these responses is given up.

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
        let held = Held {
            outlet: Arc::clone(outlet),
            since: Instant::now(),
            sent_before: outlet.progress(),
        };
        self.lock().push(held);
        let free = thread.map(|thread| pool.hold(thread, true));
        if free == Some(0) && pool.queue_len() > 0 {
            self.slowest()
        } else {
            None
        }
    }

    /// A thread's wait is over.
    pub(crate) fn end<P: Poller>(
        &self,
        outlet: &Arc<Outlet>,
        pool: &Pool<P>,
        thread: Option<ThreadId>,
    ) {
        self.lock()
            .retain(|held| !Arc::ptr_eq(&held.outlet, outlet));
        if let Some(thread) = thread {
            pool.hold(thread, false);
        }
    }

    /// How many threads wait.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// The response whose client has taken the least per second since its thread began to wait.
    pub(crate) fn slowest(&self) -> Option<Arc<Outlet>> {
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
