//! An application among others: its gateway, and how many threads it may have at once.
//!
//! Routes name it by reference; several may lead to one, and they share its threads. It does not know routes.
//! Read next: `thread_cap.rs`, `router.rs`.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::gateway::Gateway;
use crate::thread_cap::ThreadCap;

/// Ids count from 1: 0 is a server's only gateway.
static NEXT_ID: AtomicUsize = AtomicUsize::new(1);

/// An application that routes lead to.
pub struct Application {
    pub(crate) gateway: Arc<dyn Gateway>,
    /// Tells its requests from those of others, for the forecast.
    pub(crate) id: usize,
    pub(crate) cap: Option<Arc<ThreadCap>>,
}

impl Application {
    /// An application that may use every thread of the server.
    pub fn new(gateway: Arc<dyn Gateway>) -> Arc<Application> {
        Application::make(gateway, None)
    }

    /// An application that at most `threads` threads of the server run at once. Further requests wait for one,
    /// at most [`Limits::queue_jobs`](crate::Limits::queue_jobs) of them and each for at most
    /// [`Timeouts::queue`](crate::Timeouts::queue), then they are answered with 503. So an application that is stuck
    /// leaves the other threads to the others.
    pub fn with_threads(gateway: Arc<dyn Gateway>, threads: NonZeroUsize) -> Arc<Application> {
        Application::make(gateway, Some(ThreadCap::new(threads)))
    }

    fn make(gateway: Arc<dyn Gateway>, cap: Option<Arc<ThreadCap>>) -> Arc<Application> {
        Arc::new(Application {
            gateway,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            cap,
        })
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Application({})", self.id)
    }
}
