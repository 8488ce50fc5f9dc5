//! First blocks that wait for the end of their responses.
//!
//! An application that gives its page through an iterator, as web.py does, does not say that the first
//! block is the last: the server learns it when it asks for the next. Sent at once, such a page costs two
//! sends, and wakes its client twice. So where pages of a kind have ended right behind their first block again
//! and again, the exchange lays block and connection here, and goes on asking. As a rule the end comes within
//! microseconds; the exchange takes both back, and block and end leave together.
//!
//! PEP 3333 ("Buffering and Streaming") allows that if it is certain that a block is transmitted "even while
//! the application is producing its next block". It is:
//!
//! **Invariant:** something lies here only while a letter about it lies with the resting reactor, in whose
//! pool's lock it was left. Whoever drives next reads that, and sends what lies here; and a reactor that
//! rests is found by the watcher within two of its ticks, whatever the application does. Where somebody drives, nothing
//! is laid here.
//! **Invariant:** a connection has one owner. Here it belongs to the shelf, and to whoever takes it down
//! first: its exchange, or the reactor, which leaves the pipe in its place through which the exchange goes on.
//! **Invariant:** what was laid here is taken down by its exchange, however that ends.
//!
//! It knows no framing. Read next: `exchange.rs`; `clear_shelf` in `reactor.rs`.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::connection::{Connection, Key};
use crate::forecast::{ForecastKey, SLOTS};
use crate::outlet::Outlet;
use crate::shared::Shared;

/// So many responses of a kind have to end behind their first block before the next one's is laid here.
/// One that goes on waits a millisecond or two for its first block, and starts the count again: of those that
/// now end and now go on, so few are late.
const RUN: u8 = 16;

/// An end that comes so long after its block is worth waiting for: half a tick of the watcher, so that the
/// shelf is seldom cleared before it.
pub(crate) const SOON: Duration = Duration::from_micros(500);

/// A reactor's shelf. All methods may be called from any thread.
pub(crate) struct Shelf {
    places: Mutex<Vec<(Key, Lies)>>,
    /// How many responses of each kind have ended soon behind their first block without interruption.
    runs: Vec<AtomicU8>,
}

/// What lies in a place.
pub(crate) enum Lies {
    /// The connection, and the block that is to be sent to it.
    Untouched(Box<Connection>, Vec<u8>),
    /// The reactor was here; it sends what goes into this.
    Sent(Arc<Outlet>),
}

impl Shelf {
    pub(crate) fn new() -> Shelf {
        Shelf {
            places: Mutex::new(Vec::new()),
            runs: (0..SLOTS).map(|_| AtomicU8::new(0)).collect(),
        }
    }

    /// Whether a response of this kind is expected to end behind its first block.
    pub(crate) fn expects_end(&self, kind: ForecastKey) -> bool {
        self.runs[kind.slot()].load(Ordering::Relaxed) >= RUN
    }

    /// A response has ended: soon behind its first block, or otherwise.
    pub(crate) fn learn(&self, kind: ForecastKey, soon: bool) {
        let run = &self.runs[kind.slot()];
        let old = run.load(Ordering::Relaxed);
        // A lost update between two threads costs one observation.
        let new = if soon { (old + 1).min(RUN) } else { 0 };
        if new != old {
            run.store(new, Ordering::Relaxed);
        }
    }

    /// Lays a connection here with a block. The caller sees to the letter, or takes it down again.
    pub(crate) fn lay(&self, connection: Box<Connection>, block: Vec<u8>) {
        let key = connection.key;
        self.lock().push((key, Lies::Untouched(connection, block)));
    }

    /// What lies in the place of this connection, for the exchange that had laid it there.
    pub(crate) fn take_down(&self, key: Key) -> Option<Lies> {
        let mut places = self.lock();
        let idx = places.iter().position(|(other, _)| *other == key)?;
        Some(places.swap_remove(idx).1)
    }

    /// Takes all connections, each with its block in a new pipe, which stays in its place.
    #[expect(clippy::vec_box, reason = "a connection is moved from owner to owner")]
    pub(crate) fn clear(&self, shared: &Shared) -> Vec<Box<Connection>> {
        let mut taken = Vec::new();
        for (_, lies) in self.lock().iter_mut() {
            if matches!(lies, Lies::Sent(_)) {
                continue;
            }
            let outlet = Outlet::new(shared);
            if let Lies::Untouched(mut connection, block) =
                std::mem::replace(lies, Lies::Sent(Arc::clone(&outlet)))
            {
                // Before the exchange can put anything in behind it.
                let _ = outlet.force(&block);
                connection.go_remote(outlet);
                taken.push(connection);
            }
        }
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Key, Lies)>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> ForecastKey {
        ForecastKey::new(0, b"GET", path.as_bytes())
    }

    #[test]
    fn an_end_is_expected_after_a_run_of_them_and_one_that_goes_on_breaks_it() {
        let shelf = Shelf::new();
        for _ in 0..2 {
            for _ in 0..RUN {
                assert!(!shelf.expects_end(key("/page")));
                shelf.learn(key("/page"), true);
            }
            assert!(shelf.expects_end(key("/page")));
            shelf.learn(key("/page"), true);
            assert!(shelf.expects_end(key("/page")));
            assert!(!shelf.expects_end(key("/other")));
            shelf.learn(key("/page"), false);
        }
        assert!(!shelf.expects_end(key("/page")));
    }
}
