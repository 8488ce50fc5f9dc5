//! Handshakes that need work with keys: which is next, and whether another thread sees to the reactor meanwhile.
//!
//! One takes as long as some ten requests. It begins when all that is ready has had its turn and the kernel was asked
//! for more, or after another job: so a flood of newcomers holds up nobody who is in for longer than one handshake,
//! and those who are in keep no newcomer out.
//!
//! Whoever drives runs it on the spot, as a quick request, and takes the reactor again behind it: that costs no
//! change of threads. Where more is ready meanwhile, another thread is woken for the reactor, and finds the next
//! handshake there; so they spread over the threads, but not over more of them than there are processors, which would
//! only take turns. What takes longer than the pool's watcher waits, as keys of 4096 bits, is noticed by that.

use std::collections::VecDeque;
use std::num::NonZero;
use std::thread;

use kirsch_pool::Forecast;

use crate::connection::Key;

/// The connections of a reactor whose handshakes need work.
pub(super) struct Newcomers {
    /// In the order in which they have come so far.
    waiting: VecDeque<Key>,
    /// Handshakes that threads work on, or that wait in the pool's queue.
    at_work: usize,
    /// So many are worked on at once, unless the watcher finds that they take long.
    processors: usize,
    /// The last job was a newcomer's: others are next.
    had_turn: bool,
}

impl Newcomers {
    /// Those of one of so many reactors, which share the processors that this process may use.
    pub(super) fn new(reactors: usize) -> Newcomers {
        let all = thread::available_parallelism().map_or(1, NonZero::get);
        Newcomers::on(all / reactors)
    }

    fn on(processors: usize) -> Newcomers {
        Newcomers {
            waiting: VecDeque::new(),
            at_work: 0,
            processors,
            had_turn: false,
        }
    }

    pub(super) fn push(&mut self, key: Key) {
        self.waiting.push_back(key);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether one of them is next, whatever else is ready.
    pub(super) fn are_next(&self) -> bool {
        !self.had_turn && !self.waiting.is_empty()
    }

    /// Another job begins.
    pub(super) fn let_pass(&mut self) {
        self.had_turn = false;
    }

    pub(super) fn pop(&mut self) -> Option<Key> {
        self.waiting.pop_front()
    }

    /// The work on one begins; whether others are ready beside newcomers. Answers whether the pool is told that it
    /// takes long, so that somebody else sees to the reactor.
    pub(super) fn begin(&mut self, others: bool) -> Forecast {
        self.had_turn = true;
        self.at_work += 1;
        let more = others || !self.waiting.is_empty();
        match more && self.at_work < self.processors {
            true => Forecast::Blocks,
            false => Forecast::Quick,
        }
    }

    /// The work on one is done.
    pub(super) fn end(&mut self) {
        self.at_work -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(processors: usize, count: usize) -> Newcomers {
        let mut newcomers = Newcomers::on(processors);
        (0..count).for_each(|number| newcomers.push(Key(number)));
        newcomers
    }

    fn forecasts(newcomers: &mut Newcomers, others: bool) -> Vec<Forecast> {
        std::iter::from_fn(|| newcomers.pop())
            .collect::<Vec<_>>()
            .into_iter()
            .map(|_| newcomers.begin(others))
            .collect()
    }

    #[test]
    fn they_take_turns_with_other_jobs() {
        let mut newcomers = crowd(1, 2);
        assert!(newcomers.are_next());
        assert_eq!(newcomers.pop(), Some(Key(0)));
        newcomers.begin(true);
        assert!(!newcomers.are_next(), "the other waits");
        newcomers.let_pass();
        assert!(newcomers.are_next());
        assert_eq!(newcomers.pop(), Some(Key(1)));
        newcomers.let_pass();
        assert!(!newcomers.are_next(), "there is none");
    }

    #[test]
    fn one_alone_changes_no_hands() {
        let mut newcomers = crowd(8, 1);
        assert_eq!(forecasts(&mut newcomers, false), [Forecast::Quick]);
    }

    #[test]
    fn what_is_ready_beside_one_is_not_held_up() {
        let mut newcomers = crowd(8, 1);
        assert_eq!(forecasts(&mut newcomers, true), [Forecast::Blocks]);
    }

    #[test]
    fn as_many_are_worked_on_as_there_are_processors() {
        let mut alone = crowd(1, 1);
        assert_eq!(forecasts(&mut alone, true), [Forecast::Quick]);
        let mut newcomers = Newcomers::on(2);
        newcomers.push(Key(0));
        newcomers.push(Key(1));
        newcomers.pop();
        assert_eq!(newcomers.begin(false), Forecast::Blocks);
        newcomers.pop();
        assert_eq!(newcomers.begin(true), Forecast::Quick, "both are busy");
        newcomers.end();
        newcomers.end();
        assert_eq!(newcomers.begin(true), Forecast::Blocks);
    }
}
