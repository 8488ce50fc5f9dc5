//! The thread that looks whether certificates, keys, authorities or revocation lists are others now.
//!
//! Files are read there and nowhere else while the server runs: who drives the reactor reads none, and a signal
//! only asks for a look. What came of it is logged; what is wrong is said once, and the old ones stay.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use kirsch_tls::{Changed, Material};
use tracing::{error, info, warn};

/// How often is looked: soon enough for whoever waits for a renewal to be served, and next to nothing for the
/// system, as each look is a call for each file.
const PERIOD: Duration = Duration::from_secs(5);

/// The thread's handle; it ends when this is dropped. Nobody waits for it: a file system may hold it up.
pub(crate) struct Renewal {
    shared: Arc<Shared>,
}

struct Shared {
    asked: Mutex<Asked>,
    bell: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Look,
    End,
}

impl Renewal {
    /// # Errors
    ///
    /// If the system refuses a thread.
    pub(crate) fn start(material: Arc<Material>) -> io::Result<Renewal> {
        let shared = Arc::new(Shared {
            asked: Mutex::new(Asked::Nothing),
            bell: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("kirsch-tls".to_owned())
            .spawn(move || {
                while of_thread.wait() != Asked::End {
                    look(&material);
                }
            })?;
        Ok(Renewal { shared })
    }

    /// Has the thread look at once.
    pub(crate) fn look_now(&self) {
        self.shared.ask(Asked::Look);
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.shared.ask(Asked::End);
    }
}

impl Shared {
    fn ask(&self, what: Asked) {
        *self.lock() = what;
        self.bell.notify_one();
    }

    /// Until it is time to look, or to end.
    fn wait(&self) -> Asked {
        let asked = self.lock();
        let waited = self
            .bell
            .wait_timeout_while(asked, PERIOD, |asked| *asked == Asked::Nothing);
        let (mut asked, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match *asked {
            Asked::Nothing | Asked::Look => std::mem::replace(&mut asked, Asked::Nothing),
            Asked::End => Asked::End,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look(material: &Material) {
    match material.reload() {
        Ok(Changed::Nothing) => {}
        Ok(Changed::Replaced(warnings)) => {
            let served = material.served();
            let fingerprints: Vec<&str> = served.pairs().map(|pair| pair.fingerprint()).collect();
            info!(certificates = %fingerprints.join(", "), "TLS is served with new files");
            for warning in warnings {
                warn!("{warning}");
            }
        }
        Err(err) => {
            error!(%err, "TLS goes on with the files it had; the new ones cannot be served");
        }
    }
}
