//! A condition that becomes true once: every connection has ended.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// The condition.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Empty,
    /// Whoever waits should wait no longer.
    GivenUp,
}

impl Drained {
    /// There is no connection any more.
    pub(crate) fn set(&self) {
        self.change(State::Empty);
    }

    /// Ends the wait.
    pub(crate) fn give_up(&self) {
        self.change(State::GivenUp);
    }

    /// Waits until there is no connection, or the wait is given up, and answers whether it was the first;
    /// `None` if the deadline came before either.
    pub(crate) fn wait(&self, deadline: Instant) -> Option<bool> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            match *state {
                State::Empty => return Some(true),
                State::GivenUp => return Some(false),
                State::Open if now < deadline => {}
                State::Open => return None,
            }
            let wait = self.changed.wait_timeout(state, deadline - now);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn change(&self, to: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = to;
        self.changed.notify_all();
    }
}
