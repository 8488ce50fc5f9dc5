//! Sending a file without a signal: `sendfile` has no `MSG_NOSIGNAL`, and an application may have set
//! SIGPIPE to its default, which ends the process when a client leaves.
//!
//! The signal is blocked for this thread around the call. One that came is taken back before it is
//! unblocked, so that nobody ever sees it.

use std::io;
use std::sync::OnceLock;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tracing::warn;

/// Where SIGPIPE is taken back.
static PENDING: OnceLock<Option<SignalFd>> = OnceLock::new();

/// Runs `send`, which is to send `count` bytes and answers how many it did, with SIGPIPE blocked for this thread.
///
/// # Errors
///
/// Those of `send`, and of the system if it does not let signals be blocked.
pub(crate) fn without_sigpipe(
    count: usize,
    send: impl FnOnce() -> io::Result<usize>,
) -> io::Result<usize> {
    let before = sigpipe().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let sent = send();
    // Even if some bytes were sent: the signal may have come behind them, unless they were all. It was raised for
    // this thread, and a read gives a thread its own signals. None may have come, so this does not wait.
    let is_whole = sent.as_ref().is_ok_and(|&sent| sent == count);
    if let (false, Some(pending)) = (is_whole, pending()) {
        let _ = pending.read_signal();
    }
    before.thread_set_mask()?;
    sent
}

/// Opens the descriptor, once for the process: early, when there are descriptors to be had.
pub(crate) fn pending() -> Option<&'static SignalFd> {
    let open = || {
        SignalFd::with_flags(&sigpipe(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .inspect_err(|err| warn!(%err, "cannot take back SIGPIPE"))
            .ok()
    };
    PENDING.get_or_init(open).as_ref()
}

fn sigpipe() -> SigSet {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGPIPE);
    signals
}
