//! The reactor's side of applications that may have only some of the threads: who comes for a permit, who has got
//! one, who has waited too long.
//!
//! Read next: `thread_cap.rs`, which has the lines and the invariants.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use kirsch_pool::{Poller, Refusal};
use tracing::warn;

use super::{Job, Reactor, RequestJob};
use crate::shared::Counters;
use crate::thread_cap::{Entered, ThreadCap};

impl Reactor {
    /// A request of an application whose threads are counted: the job, or `None` while it waits for one.
    pub(super) fn line_up(&mut self, cap: &Arc<ThreadCap>, job: RequestJob) -> Option<Job> {
        let most = self.shared.config.limits.queue_jobs;
        match cap.enter(job, &self.shared, most) {
            Entered::Permitted(job) => return Some(Job::Request(job)),
            Entered::Waits => {
                if !self.crowded.iter().any(|it| Arc::ptr_eq(it, cap)) {
                    self.crowded.push(Arc::clone(cap));
                }
                if let Some(slowest) = cap.to_relieve() {
                    warn!(
                        "every thread of an application waits for a slow client; the slowest response is aborted"
                    );
                    slowest.abandon();
                }
            }
            Entered::Refused(job) => {
                Counters::count(&self.shared.counters.turned_away);
                self.refuse(Job::Request(job), Refusal::QueueFull);
            }
        }
        None
    }

    /// A request that may run at last. They take turns with those that come from the sockets.
    pub(super) fn next_permitted(&mut self) -> Option<Job> {
        let job = self.permitted.pop_front()?;
        self.permitted_last = true;
        self.newcomers.let_pass();
        self.steps += 1;
        Some(Job::Request(job))
    }

    /// Refuses those that have waited too long for one of their application's threads.
    pub(super) fn refuse_the_late(&mut self) {
        if self.crowded.is_empty() {
            return;
        }
        let Some(since) = self.now.checked_sub(self.shared.config.timeouts.queue) else {
            return;
        };
        let mut late = Vec::new();
        self.crowded
            .retain(|cap| match cap.waiting_since(&self.shared) {
                Some(first) if first <= since => {
                    late.extend(cap.take_late(&self.shared, since));
                    true
                }
                first => first.is_some(),
            });
        for job in late {
            Counters::count(&self.shared.counters.turned_away);
            self.refuse(Job::Request(job), Refusal::Waited);
        }
    }

    /// Nobody of those who wait will get a permit any more: their connections close.
    pub(super) fn empty_lines(&mut self) {
        for cap in mem::take(&mut self.crowded) {
            drop(cap.take_all(&self.shared));
        }
    }

    /// When the first that waits for a permit has to be refused.
    pub(super) fn first_in_line(&self) -> Option<Instant> {
        let patience = self.shared.config.timeouts.queue;
        let first = |cap: &Arc<ThreadCap>| Some(cap.waiting_since(&self.shared)? + patience);
        self.crowded.iter().filter_map(first).min()
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.empty_lines();
    }
}
