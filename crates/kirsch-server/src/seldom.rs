//! What would be logged for each of thousands of requests, logged at most once in ten seconds.
//!
//! It knows no clock: whoever has a line says when.

use std::time::{Duration, Instant};

/// Trouble is logged at most this often: a full disk must not be the second trouble.
const PAUSE: Duration = Duration::from_secs(10);

/// One kind of line.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    last: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// Whether the line is to be logged; answers how many were left out since the last one.
    pub(crate) fn due(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now < last + PAUSE) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_lines_one_is_logged_and_the_next_says_how_many_were_left_out() {
        let start = Instant::now();
        let mut lines = Seldom::default();
        let mut due = |seconds| lines.due(start + Duration::from_secs(seconds));
        assert_eq!(due(0), Some(0));
        assert_eq!((due(0), due(5), due(9)), (None, None, None));
        assert_eq!(due(10), Some(3));
        assert_eq!(due(10), None);
        assert_eq!(due(30), Some(1));
    }
}
