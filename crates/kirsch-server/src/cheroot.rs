//! What programs written for cheroot may change while their server runs, and what it does otherwise for them.
//!
//! Read for each request or connection, so that an assignment counts from the next one on. The differences in which
//! requests are taken stand in [`Dialect::Cheroot`]; the engine's own are these:
//!
//! | difference | who needs it |
//! |---|---|
//! | one `timeout` for handshakes, heads, bodies and idle connections, which may change | cheroot `test_HTTP11_Timeout` |
//! | 408 to a new connection that stays silent | cheroot `test_HTTP11_Timeout[True]` |
//! | only so many connections are kept idle | cheroot `test_keepalive_conn_management` |
//! | a program that watches connections come and go accepts them itself | cheroot `test_high_number_of_file_descriptors`, `test_broken_connection_during_tcp_fin` |
//! | the status line and the features of HTTP/1.0, if the program says so | cheroot `test_streaming_10` |
//!
//! It does not know Python: `kirsch-python/src/cheroot.rs` sets what is here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use kirsch_http::Dialect;

/// The settings, and how many connections are kept.
#[derive(Debug)]
pub struct Cheroot {
    timeout_millis: AtomicU64,
    head_bytes: AtomicU32,
    body_bytes: AtomicU64,
    kept_limit: AtomicUsize,
    kept: AtomicUsize,
    http10: AtomicBool,
    proxy: AtomicBool,
    leaves_accepting: AtomicBool,
}

impl Default for Cheroot {
    fn default() -> Self {
        Cheroot {
            timeout_millis: AtomicU64::new(10_000),
            head_bytes: AtomicU32::new(Cheroot::MOST_HEAD_BYTES),
            body_bytes: AtomicU64::new(u64::MAX),
            kept_limit: AtomicUsize::new(10),
            kept: AtomicUsize::new(0),
            http10: AtomicBool::new(false),
            proxy: AtomicBool::new(false),
            leaves_accepting: AtomicBool::new(false),
        }
    }
}

impl Cheroot {
    /// Bytes of a head where the program sets no limit: what is not bounded at all would be somebody's to fill.
    pub const MOST_HEAD_BYTES: u32 = 1024 * 1024;

    /// How long a handshake, a head, the next byte of a body and the next request may take.
    pub fn set_timeout(&self, timeout: Duration) {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.timeout_millis.store(millis, Ordering::Relaxed);
    }

    /// Bytes of a head; 0 for [`Cheroot::MOST_HEAD_BYTES`].
    pub fn limit_head(&self, bytes: u32) {
        let bytes = match bytes {
            0 => Cheroot::MOST_HEAD_BYTES,
            bytes => bytes,
        };
        self.head_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of a body; 0 for no limit.
    pub fn limit_body(&self, bytes: u64) {
        let bytes = bytes.checked_sub(1).map_or(u64::MAX, |_| bytes);
        self.body_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Idle connections that are kept; `None` for no limit.
    pub fn limit_kept(&self, connections: Option<usize>) {
        let most = connections.unwrap_or(usize::MAX);
        self.kept_limit.store(most, Ordering::Relaxed);
    }

    /// Whether the server says that it speaks HTTP/1.0 only.
    pub fn speak_http10(&self, yes: bool) {
        self.http10.store(yes, Ordering::Relaxed);
    }

    /// Whether absolute targets and CONNECT are taken; of connections that come from now on.
    pub fn be_proxy(&self, yes: bool) {
        self.proxy.store(yes, Ordering::Relaxed);
    }

    /// Accepts nobody any more: the program does, which gives what it has accepted to
    /// [`Server::admit`](crate::Server::admit). For good, as what has arrived meanwhile is told of once.
    pub fn leave_accepting(&self) {
        self.leaves_accepting.store(true, Ordering::SeqCst);
    }

    /// Connections that are kept idle now.
    pub fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }

    /// The body's limit, for [`Terms`](crate::Terms).
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn dialect(&self) -> Dialect {
        Dialect::Cheroot {
            proxy: self.proxy.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn leaves_accepting(&self) -> bool {
        self.leaves_accepting.load(Ordering::Relaxed)
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_millis.load(Ordering::Relaxed))
    }

    pub(crate) fn head_bytes(&self) -> u32 {
        self.head_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn may_keep(&self) -> bool {
        self.kept() < self.kept_limit.load(Ordering::Relaxed)
    }

    pub(crate) fn speaks_http10(&self) -> bool {
        self.http10.load(Ordering::Relaxed)
    }

    /// Counts a connection as kept until what is answered is dropped.
    pub(crate) fn keep(self: &Arc<Self>) -> Kept {
        self.kept.fetch_add(1, Ordering::Relaxed);
        Kept(Arc::clone(self))
    }
}

/// Settings are the same if they are one.
impl PartialEq for Cheroot {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// A connection that is kept idle.
pub(crate) struct Kept(Arc<Cheroot>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.kept.fetch_sub(1, Ordering::Relaxed);
    }
}
