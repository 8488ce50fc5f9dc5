//! The primitives the pool is built from, in one place so that loom can take over under `--cfg loom`.

#[cfg(loom)]
use std::panic::resume_unwind;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// Locks; a panic elsewhere while the lock was held is no reason to stop serving, since each
/// section under it leaves the state whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}

/// Runs a step; `None` if it panicked.
#[cfg(not(loom))]
pub(crate) fn catch<R>(step: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(step)).ok()
}

/// As above for the panics that a scene stages; any other one is loom's to report.
#[cfg(loom)]
pub(crate) fn catch<R>(step: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(result) => Some(result),
        Err(panic) if panic.is::<Staged>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

/// The panic of a scene.
#[cfg(loom)]
pub(crate) struct Staged;

#[cfg(loom)]
impl Staged {
    /// Panics without a message. Nothing that loom sees may be dropped on the way: see `Turn::Panicked`.
    #[cfg(test)]
    pub(crate) fn panic() -> ! {
        resume_unwind(Box::new(Staged))
    }
}

/// What one thread sleeps on: granted by another, consumed by waking up.
#[derive(Debug)]
pub(crate) struct Token {
    granted: Mutex<bool>,
    changed: Condvar,
}

impl Token {
    pub(crate) fn new() -> Token {
        Token {
            granted: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    /// Lets the owner go on, now or at its next wait.
    pub(crate) fn grant(&self) {
        *lock(&self.granted) = true;
        self.changed.notify_one();
    }

    /// Sleeps until granted.
    pub(crate) fn wait(&self) {
        let mut granted = lock(&self.granted);
        while !*granted {
            granted = match self.changed.wait(granted) {
                Ok(guard) => guard,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
        *granted = false;
    }
}
