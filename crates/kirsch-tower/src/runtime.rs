//! The runtime that services run on: made with the first gateway that needs it, ended with the last.
//!
//! It does not know what runs on it.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime as Tokio};

/// How long the end of the last gateway waits for what the services have left on threads for blocking work. As long
/// as the server's own threads are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A runtime of tokio's, shared by its clones and by the gateways on it.
///
/// One that [`Runtime::start`] made ends when the last of these is dropped: tasks that services have spawned and that
/// still run are dropped then, and blocking work is waited for, 5 seconds at most. Dropped inside an asynchronous
/// function, it waits for nothing.
#[derive(Clone)]
pub struct Runtime {
    handle: Handle,
    _own: Option<Arc<Own>>,
}

/// `None` only while it is dropped.
struct Own(Option<Tokio>);

impl Runtime {
    /// Two: a request that computes does not hold up all others, and reading, framing and sending are on the server's
    /// threads. Services that compute a lot take as many as there are processors.
    pub const WORKERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

    /// Starts a runtime with so many worker threads, called `kirsch-tokio`, and with those of tokio's drivers that the
    /// program's features of tokio include.
    ///
    /// # Errors
    ///
    /// If the system refuses a thread, or what a driver needs.
    pub fn start(workers: NonZeroUsize) -> io::Result<Runtime> {
        let tokio = Builder::new_multi_thread()
            .worker_threads(workers.get())
            .thread_name("kirsch-tokio")
            .enable_all()
            .build()?;
        Ok(Runtime {
            handle: tokio.handle().clone(),
            _own: Some(Arc::new(Own(Some(tokio)))),
        })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// A runtime that the program has anyway; it ends when its owner ends it.
impl From<Handle> for Runtime {
    fn from(handle: Handle) -> Runtime {
        Runtime { handle, _own: None }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let Some(tokio) = self.0.take() else { return };
        // The last to hold the gateway may be a task of the runtime's own, which cannot wait for its own end.
        if Handle::try_current().is_ok() {
            tokio.shutdown_background();
        } else {
            tokio.shutdown_timeout(PATIENCE);
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runtime").field(&self.handle).finish()
    }
}
