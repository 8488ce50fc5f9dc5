//! Whether a response waits a moment to be sent together with others.
//!
//! Each small response that is sent alone wakes its client, which costs the kernel more than the sending
//! where the client sleeps on another processor: about a fifth of a request that computes for 100 µs.
//! So while the reactor rests with further requests ready, responses that are whole go back to it
//! with their connections, and whoever drives next sends those of some hundred microseconds at once.
//!
//! Nobody waits long: the reactor sends what it has before it polls, and at the latest [`PATIENCE`] after
//! the first; should a request block meanwhile, the thread that takes the reactor sends it.
//! A client that is alone, requests that take long, and those that take next to nothing (their clients
//! are kept awake as it is) are answered at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What was held back is sent so long after the first of it.
pub(crate) const PATIENCE: Duration = Duration::from_micros(500);
/// So many responses are held back at most.
pub(crate) const MOST: usize = 64;
/// Responses that follow each other faster keep their clients awake.
const FAST: Duration = Duration::from_micros(20);
/// Responses that follow each other more slowly are not worth the wait.
const SLOW: Duration = Duration::from_micros(200);

/// Set by the reactor, asked by exchanges.
pub(crate) struct Cork {
    /// The reactor rests, and further requests are ready.
    crowd: AtomicBool,
    began: Instant,
    /// When the last response was whole, in nanoseconds since it began.
    last: AtomicU64,
}

impl Cork {
    pub(crate) fn new() -> Cork {
        Cork {
            crowd: AtomicBool::new(false),
            began: Instant::now(),
            last: AtomicU64::new(0),
        }
    }

    /// Says whether further requests are ready behind the one that begins.
    pub(crate) fn set(&self, crowd: bool) {
        if self.crowd.load(Ordering::Relaxed) != crowd {
            self.crowd.store(crowd, Ordering::Relaxed);
        }
    }

    /// Whether a response that is whole now should go back to the reactor to be sent.
    pub(crate) fn holds(&self) -> bool {
        self.crowd.load(Ordering::Relaxed) && self.is_worthwhile(self.began.elapsed())
    }

    fn is_worthwhile(&self, now: Duration) -> bool {
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let last = Duration::from_nanos(self.last.swap(nanos, Ordering::Relaxed));
        (FAST..SLOW).contains(&now.saturating_sub(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_alone_is_answered_at_once() {
        let cork = Cork::new();
        assert!(!cork.holds());
        cork.set(true);
        cork.set(false);
        assert!(!cork.holds());
    }

    #[test]
    fn neither_very_quick_nor_slow_requests_are_held_back() {
        let cork = Cork::new();
        let micros = Duration::from_micros;
        assert!(!cork.is_worthwhile(micros(1000)), "nothing was before it");
        assert!(cork.is_worthwhile(micros(1100)));
        assert!(!cork.is_worthwhile(micros(1110)));
        assert!(!cork.is_worthwhile(micros(1500)));
        assert!(cork.is_worthwhile(micros(1600)));
        assert!(
            !cork.is_worthwhile(micros(1500)),
            "another thread was first"
        );
    }
}
