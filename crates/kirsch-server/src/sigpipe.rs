//! Sending a file without a signal: `sendfile` has no `MSG_NOSIGNAL`, and an application may have set
//! SIGPIPE to its default, which ends the process when a client leaves.
//!
//! The signal is blocked for this thread around the calls. One that came is taken back before it is
//! unblocked, so that nobody ever sees it.

use std::io;
use std::sync::OnceLock;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tracing::warn;

/// Where SIGPIPE is taken back.
static PENDING: OnceLock<Option<SignalFd>> = OnceLock::new();

/// Runs `send`, a few calls that send, with SIGPIPE blocked for this thread. It must answer an error if the last of
/// them met one, whatever was sent before; that the socket takes nothing now is none.
///
/// # Errors
///
/// Those of `send`, and of the system if it does not let signals be blocked.
pub(crate) fn without_sigpipe<T>(send: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = sigpipe().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let sent = send();
    // A client that has left stays away: whatever call raised the signal, the last one has met it too. It was
    // raised for this thread, and a read gives a thread its own signals. None may have come, so this does not wait.
    if let (Err(_), Some(pending)) = (&sent, pending()) {
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
