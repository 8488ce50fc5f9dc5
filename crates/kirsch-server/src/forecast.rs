//! The forecast: which requests block, learned from those that ran.
//!
//! A small table of saturating counters, keyed by a hash of application, method and path up to the
//! first segment with a digit. A request blocks if it gave its processor up and spent more than
//! [`BLOCKING`] not computing: wall time minus the thread's own processor time. Reading the thread's clock is a system call, so
//! quick requests are sampled; requests forecast to block are always measured, so that they are
//! found out soon when they have become quick.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kirsch_pool::Forecast;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Waiting longer than this makes a request a blocking one; a hand-over costs about 10 µs.
const BLOCKING: Duration = Duration::from_micros(50);
/// One in this many requests forecast as quick is measured.
const SAMPLE: u32 = 16;
/// Places in a table that is kept by such keys.
pub(crate) const SLOTS: usize = 1024;
/// Counters run from 0 to `TOP`; from `LIKELY` on the forecast is "blocks".
const TOP: u8 = 3;
const LIKELY: u8 = 2;

/// The table of counters. All methods may be called from any thread.
pub(crate) struct Forecaster {
    counters: Vec<AtomicU8>,
    sampled: AtomicU32,
}

/// Index of a request's counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ForecastKey(u16);

impl ForecastKey {
    /// Where in a table of [`SLOTS`] it has its place.
    pub(crate) fn slot(self) -> usize {
        usize::from(self.0)
    }

    /// The key of a request: its route, its method, and its path up to the first segment with a digit,
    /// since `/user/17` and `/user/18` are answered by the same code.
    pub(crate) fn new(route: usize, method: &[u8], path: &[u8]) -> ForecastKey {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ route as u64;
        let mut step =
            |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        method.iter().copied().for_each(&mut step);
        for segment in path.split(|byte| *byte == b'/') {
            if segment.iter().any(u8::is_ascii_digit) {
                break;
            }
            step(b'/');
            segment.iter().copied().for_each(&mut step);
        }
        ForecastKey(((hash ^ (hash >> 32)) % SLOTS as u64) as u16)
    }
}

impl Forecaster {
    pub(crate) fn new() -> Forecaster {
        Forecaster {
            counters: (0..SLOTS).map(|_| AtomicU8::new(0)).collect(),
            sampled: AtomicU32::new(0),
        }
    }

    /// What a request of this key is expected to do.
    pub(crate) fn forecast(&self, key: ForecastKey) -> Forecast {
        match self.counters[key.slot()].load(Ordering::Relaxed) {
            LIKELY.. => Forecast::Blocks,
            _ => Forecast::Quick,
        }
    }

    /// Starts to measure a request, if it is one of those that are measured.
    pub(crate) fn measure(&self, key: ForecastKey) -> Option<Measurement> {
        let sampled = self.forecast(key) == Forecast::Blocks
            || self
                .sampled
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(SAMPLE);
        sampled.then(|| Measurement {
            key,
            wall: Instant::now(),
            own: Own::now(),
        })
    }

    /// Ends a measurement on the thread that began it, and learns from it.
    pub(crate) fn learn(&self, measurement: &Measurement) {
        let wall = measurement.wall.elapsed();
        let now = Own::now();
        let computed = now.time.saturating_sub(measurement.own.time);
        // A thread that lost its processor to others, or to another virtual machine, has not waited for
        // anything: only one that gave it up has.
        let gave_up = now.given_up > measurement.own.given_up;
        self.note(
            measurement.key,
            gave_up && wall.saturating_sub(computed) > BLOCKING,
        );
    }

    /// Learns from a request that was found to block without being measured.
    pub(crate) fn note(&self, key: ForecastKey, blocked: bool) {
        let counter = &self.counters[key.slot()];
        let old = counter.load(Ordering::Relaxed);
        // A lost update between two threads costs one observation.
        let new = if blocked {
            (old + 1).min(TOP)
        } else {
            old.saturating_sub(1)
        };
        if new != old {
            counter.store(new, Ordering::Relaxed);
        }
    }
}

/// A request whose waiting is being measured.
pub(crate) struct Measurement {
    key: ForecastKey,
    wall: Instant,
    own: Own,
}

/// What the kernel counts for this thread.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    /// Time on a processor.
    time: Duration,
    /// How often it gave the processor up to wait for something.
    given_up: i64,
}

impl Own {
    fn now() -> Own {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_THREAD) else {
            // Then nothing seems to block, and the watcher does it all.
            return Own::default();
        };
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        Own {
            time: Duration::from_micros(micros.unsigned_abs()),
            given_up: usage.voluntary_context_switches(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> ForecastKey {
        ForecastKey::new(0, b"GET", path.as_bytes())
    }

    #[test]
    fn waiting_blocks_and_computing_does_not() {
        let forecaster = Forecaster::new();
        for path in ["/wait", "/compute"] {
            for _ in 0..100 * SAMPLE {
                let Some(measurement) = forecaster.measure(key(path)) else {
                    continue;
                };
                let begun = Instant::now();
                match path {
                    "/wait" => std::thread::sleep(BLOCKING * 2),
                    _ => while begun.elapsed() < BLOCKING * 2 {},
                }
                forecaster.learn(&measurement);
            }
        }
        assert_eq!(forecaster.forecast(key("/wait")), Forecast::Blocks);
        assert_eq!(forecaster.forecast(key("/compute")), Forecast::Quick);
    }

    #[test]
    fn two_requests_that_block_make_the_forecast() {
        let forecaster = Forecaster::new();
        forecaster.note(key("/slow"), true);
        assert_eq!(forecaster.forecast(key("/slow")), Forecast::Quick);
        forecaster.note(key("/slow"), true);
        assert_eq!(forecaster.forecast(key("/slow")), Forecast::Blocks);
        assert_eq!(forecaster.forecast(key("/quick")), Forecast::Quick);
    }

    #[test]
    fn what_has_become_quick_is_forgiven_after_two_requests() {
        let forecaster = Forecaster::new();
        (0..10).for_each(|_| forecaster.note(key("/slow"), true));
        forecaster.note(key("/slow"), false);
        assert_eq!(forecaster.forecast(key("/slow")), Forecast::Blocks);
        forecaster.note(key("/slow"), false);
        assert_eq!(forecaster.forecast(key("/slow")), Forecast::Quick);
    }

    #[test]
    fn numbers_in_a_path_do_not_make_another_key() {
        assert_eq!(key("/user/17/posts"), key("/user/18"));
        assert_ne!(key("/user/17"), key("/group/17"));
        assert_ne!(
            ForecastKey::new(0, b"GET", b"/a"),
            ForecastKey::new(0, b"POST", b"/a")
        );
        assert_ne!(
            ForecastKey::new(0, b"GET", b"/a"),
            ForecastKey::new(1, b"GET", b"/a")
        );
    }
}
