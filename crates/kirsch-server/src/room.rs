//! Whether there is room for the connection that waits to be accepted, and whether anybody looks for some.
//!
//! Reactors are asked one after the other to close a connection. One that could be closed only after its
//! reactor was asked must not go unnoticed, nor may it make those who are asked later believe that all is done.

use std::sync::atomic::{AtomicU8, Ordering};

/// Nobody waits for room.
const FREE: u8 = 0;
/// Reactors are being asked.
const ASKED: u8 = 1;
/// They are, and one of them may have an answer that it did not have when it was asked.
const CHANGED: u8 = 2;
/// All were asked in vain: whoever can close a connection says so.
const FULL: u8 = 3;

/// The state of the search.
#[derive(Debug, Default)]
pub(crate) struct Room(AtomicU8);

impl Room {
    /// Somebody waits for room.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed) != FREE
    }

    /// The search begins; to be said before anybody is asked.
    pub(crate) fn ask(&self) {
        self.0.store(ASKED, Ordering::SeqCst);
    }

    /// All were asked in vain. Answers whether that is the end of it; if not, they are to be asked again.
    pub(crate) fn give_up(&self) -> bool {
        !self.turns(CHANGED, ASKED) && (self.turns(ASKED, FULL) || !self.turns(CHANGED, ASKED))
    }

    /// A connection has gone. Answers whether to tell who waits for it.
    pub(crate) fn is_made(&self) -> bool {
        self.is_wanted() && self.0.swap(FREE, Ordering::SeqCst) != FREE
    }

    /// A connection could be closed. Answers whether to tell who waits for it.
    pub(crate) fn could_be_made(&self) -> bool {
        self.is_wanted()
            && (self.turns(FULL, FREE) || !self.turns(ASKED, CHANGED) && self.turns(FULL, FREE))
    }

    fn turns(&self, from: u8, to: u8) -> bool {
        let turned = self
            .0
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst);
        turned.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_gone_is_told_once() {
        let room = Room::default();
        assert!(!room.is_made() && !room.could_be_made());
        room.ask();
        assert!(room.is_wanted() && room.is_made());
        assert!(!room.is_wanted() && !room.is_made());
    }

    #[test]
    fn who_could_go_meanwhile_is_asked_again() {
        let room = Room::default();
        room.ask();
        assert!(!room.could_be_made() && !room.could_be_made());
        assert!(!room.give_up());
        assert!(room.give_up() && room.is_wanted());
        // Nobody is asked any more: it speaks up.
        assert!(room.could_be_made());
        assert!(!room.is_wanted() && !room.could_be_made());
    }
}
