//! The jobs that wait for a thread.

use std::collections::VecDeque;

/// The jobs that wait. Each lane has its own order, so that none waits behind one that nobody may take yet.
pub(crate) struct Queue<J> {
    pub(crate) interpreter: VecDeque<J>,
    pub(crate) thread: VecDeque<J>,
    pub(crate) long: VecDeque<J>,
    pub(crate) newcomers: VecDeque<J>,
}

impl<J> Queue<J> {
    pub(crate) fn new() -> Queue<J> {
        Queue {
            interpreter: VecDeque::new(),
            thread: VecDeque::new(),
            long: VecDeque::new(),
            newcomers: VecDeque::new(),
        }
    }

    /// Whether the requests that wait are as many as may. Long jobs belong to connections, which are bounded.
    pub(crate) fn is_full(&self, limit: usize) -> bool {
        self.interpreter.len() + self.thread.len() >= limit
    }

    pub(crate) fn is_empty(&self) -> bool {
        let requests = self.interpreter.is_empty() && self.thread.is_empty();
        requests && self.has_no_long()
    }

    /// Whether nothing waits of what at most half of the pool may do.
    pub(crate) fn has_no_long(&self) -> bool {
        self.long.is_empty() && self.newcomers.is_empty()
    }

    pub(crate) fn drain(&mut self) -> Vec<J> {
        let requests = self.interpreter.drain(..).chain(self.thread.drain(..));
        let long = self.long.drain(..).chain(self.newcomers.drain(..));
        requests.chain(long).collect()
    }
}
