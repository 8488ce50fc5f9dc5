//! How many threads an application may have at once.

use std::num::NonZeroUsize;
use std::sync::Arc;

/// The cap.
pub(crate) struct ThreadCap {
    #[expect(dead_code, reason = "the next commit enforces it")]
    threads: usize,
}

impl ThreadCap {
    pub(crate) fn new(threads: NonZeroUsize) -> Arc<ThreadCap> {
        Arc::new(ThreadCap {
            threads: threads.get(),
        })
    }
}
