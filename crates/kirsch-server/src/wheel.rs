//! A timer wheel with one lazy entry per connection.
//!
//! A deadline that moves back (the common case: each byte of progress) costs nothing: the entry fires
//! at its old time, the owner answers with the new one, and it goes round again. Only a deadline that
//! moves forward makes a new entry; the old one is stale then, and told by its stamp.
//! It reads no clock: time enters through [`Wheel::expired`].

use std::time::{Duration, Instant};

/// The wheel's resolution: a timeout runs out up to this much late.
const TICK: Duration = Duration::from_millis(64);
const SLOTS: u64 = 2048;

/// What is scheduled: whose deadline, and at which tick it was said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: usize,
    pub(crate) stamp: u64,
}

/// The wheel. Deadlines beyond its horizon (131 s) are looked at on the way.
pub(crate) struct Wheel {
    start: Instant,
    /// Ticks before this one have been handed out.
    next: u64,
    slots: Vec<Vec<Entry>>,
    /// A bit for each slot that is not empty.
    occupied: [u64; (SLOTS / 64) as usize],
}

impl Wheel {
    pub(crate) fn new(now: Instant) -> Wheel {
        Wheel {
            start: now,
            next: 0,
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            occupied: [0; (SLOTS / 64) as usize],
        }
    }

    /// The stamp a deadline would be scheduled at.
    pub(crate) fn stamp(&self, deadline: Instant) -> u64 {
        let ticks = deadline.saturating_duration_since(self.start).as_millis() / TICK.as_millis();
        (ticks as u64 + 1).clamp(self.next, self.next + SLOTS - 1)
    }

    /// Schedules a key at a stamp from [`Wheel::stamp`].
    pub(crate) fn insert(&mut self, key: usize, stamp: u64) {
        let slot = (stamp % SLOTS) as usize;
        self.slots[slot].push(Entry { key, stamp });
        self.occupied[slot / 64] |= 1 << (slot % 64);
    }

    /// Moves the entries whose time has come into `due`.
    pub(crate) fn expired(&mut self, now: Instant, due: &mut Vec<Entry>) {
        let current =
            (now.saturating_duration_since(self.start).as_millis() / TICK.as_millis()) as u64;
        if current < self.next {
            return;
        }
        if current - self.next >= SLOTS {
            // The process was stopped for longer than the wheel goes round.
            self.slots.iter_mut().for_each(|slot| due.append(slot));
            self.occupied = [0; (SLOTS / 64) as usize];
        }
        for tick in self.next..=current.min(self.next + SLOTS - 1) {
            let slot = (tick % SLOTS) as usize;
            due.append(&mut self.slots[slot]);
            self.occupied[slot / 64] &= !(1 << (slot % 64));
        }
        self.next = current + 1;
    }

    /// How long until the next entry is due; `None` without entries.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let first = (self.next % SLOTS) as usize;
        let words = self.occupied.len();
        for step in 0..=words {
            let word = (first / 64 + step) % words;
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= u64::MAX << (first % 64);
            } else if step == words {
                bits &= !(u64::MAX << (first % 64));
            }
            if bits != 0 {
                let slot = (word * 64) as u64 + u64::from(bits.trailing_zeros());
                let ahead = (slot + SLOTS - first as u64) % SLOTS;
                // A tick is handed out once it has begun.
                let at = self.start + TICK * (self.next + ahead) as u32;
                return Some(at.saturating_duration_since(now));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(wheel: &mut Wheel, now: Instant) -> Vec<usize> {
        let mut due = Vec::new();
        wheel.expired(now, &mut due);
        due.iter().map(|entry| entry.key).collect()
    }

    #[test]
    fn an_entry_is_due_after_its_deadline_and_never_before() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        for millis in [0_u64, 1, 63, 64, 100, 5_000, 100_000] {
            let deadline = start + Duration::from_millis(millis);
            wheel.insert(millis as usize, wheel.stamp(deadline));
        }
        let mut seen = Vec::new();
        for now in 0..2_000_u64 {
            let elapsed = now * 70;
            for key in keys(&mut wheel, start + Duration::from_millis(elapsed)) {
                assert!(key as u64 <= elapsed, "{key} at {elapsed}");
                seen.push(key);
            }
        }
        assert_eq!(seen, [0, 1, 63, 64, 100, 5_000, 100_000]);
    }

    #[test]
    fn the_wait_ends_when_the_next_entry_is_due() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        assert_eq!(wheel.wait(start), None);
        wheel.insert(7, wheel.stamp(start + Duration::from_secs(75)));
        wheel.insert(8, wheel.stamp(start + Duration::from_secs(15)));
        let wait = wheel.wait(start).expect("two entries");
        assert!(wait >= Duration::from_secs(15) && wait <= Duration::from_secs(15) + TICK * 2);
        assert_eq!(keys(&mut wheel, start + wait), [8]);
        let wait = wheel.wait(start + wait).expect("one entry");
        assert_eq!(
            keys(&mut wheel, start + Duration::from_secs(15) + wait + TICK),
            [7]
        );
        assert_eq!(wheel.wait(start), None);
    }

    #[test]
    fn a_deadline_beyond_the_horizon_is_looked_at_on_the_way() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        wheel.insert(1, wheel.stamp(start + Duration::from_secs(3600)));
        assert_eq!(keys(&mut wheel, start + Duration::from_secs(132)), [1]);
    }

    #[test]
    fn a_long_stop_of_the_process_loses_nothing() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        for seconds in [1, 60, 120] {
            wheel.insert(
                seconds,
                wheel.stamp(start + Duration::from_secs(seconds as u64)),
            );
        }
        assert_eq!(
            keys(&mut wheel, start + Duration::from_secs(100_000)).len(),
            3
        );
        assert_eq!(wheel.wait(start), None);
    }
}
