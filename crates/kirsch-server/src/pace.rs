//! How a client sends a request body, and when it has been too slow.
//!
//! It reads no clock, and knows no socket. Time in which we did not read is not held against the client.

use std::time::{Duration, Instant};

use crate::config::Config;

/// The progress of one body.
pub(crate) struct Pace {
    began: Instant,
    progress: Instant,
    /// Bytes of body so far.
    received: u64,
    /// Since when we do not read, because there is no room or the body was not asked for.
    paused: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Pace {
        Pace {
            began: now,
            progress: now,
            received: 0,
            paused: None,
        }
    }

    /// Bytes have arrived.
    pub(crate) fn received(&mut self, bytes: usize, now: Instant) {
        self.received += bytes as u64;
        self.progress = now;
    }

    /// We stop to read.
    pub(crate) fn pause(&mut self, now: Instant) {
        self.paused.get_or_insert(now);
    }

    /// We read again.
    pub(crate) fn go_on(&mut self, now: Instant) {
        if let Some(since) = self.paused.take() {
            self.began += now.saturating_duration_since(since);
            self.progress = now;
        }
    }

    /// When the client will have sent too little for too long; `None` while it is not its turn.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Instant> {
        if self.paused.is_some() {
            return None;
        }
        let timeouts = &config.timeouts;
        let idle = self.progress + config.timeout(|it| it.body);
        Some(match self.received.checked_div(timeouts.body_min_rate) {
            Some(seconds) => {
                idle.min(self.began + timeouts.body_grace + Duration::from_secs(seconds))
            }
            None => idle,
        })
    }

    /// Bytes of body so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.received
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cheroot::Cheroot;
    use crate::config::Timeouts;

    fn config() -> Config {
        Config {
            timeouts: Timeouts {
                body: Duration::from_secs(30),
                body_grace: Duration::from_secs(40),
                body_min_rate: 100,
                ..Timeouts::default()
            },
            ..Config::default()
        }
    }

    #[test]
    fn a_program_written_for_cheroot_sets_the_patience_while_it_runs() {
        let start = Instant::now();
        let settings = Arc::new(Cheroot::default());
        let config = Config {
            cheroot: Some(Arc::clone(&settings)),
            ..config()
        };
        let pace = Pace::new(start);
        for seconds in [1, 7] {
            settings.set_timeout(Duration::from_secs(seconds));
            let by = start + Duration::from_secs(seconds);
            assert_eq!(pace.deadline(&config), Some(by));
        }
    }

    #[test]
    fn progress_moves_the_deadline_until_the_rate_is_too_low() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(start);
        assert_eq!(pace.deadline(&config()), Some(at(30)));
        pace.received(200, at(5));
        assert_eq!(pace.deadline(&config()), Some(at(35)));
        pace.received(1, at(20));
        assert_eq!(
            pace.deadline(&config()),
            Some(at(42)),
            "40 s, and 201 bytes at 100 a second"
        );
    }

    #[test]
    fn a_pause_is_not_held_against_the_client() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(start);
        pace.pause(at(10));
        assert_eq!(pace.deadline(&config()), None);
        pace.go_on(at(1010));
        assert_eq!(pace.deadline(&config()), Some(at(1040)));
        pace.received(1, at(1039));
        assert_eq!(
            pace.deadline(&config()),
            Some(at(1040)),
            "the grace goes on where it stopped"
        );
    }
}
