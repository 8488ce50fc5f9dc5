//! What the threads share: [`Common`] is one server's, [`Shared`] one reactor's.
//!
//! A reactor and its pool's threads have a `Shared`, through which they reach what is common.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kirsch_http::FieldEdits;
use kirsch_pool::Pool;
use kirsch_tls::Material;

use crate::access_log::{AccessLogWriter, Record};
use crate::budget::{Budget, SpoolSpace};
use crate::config::Config;
use crate::cork::Cork;
use crate::drained::Drained;
use crate::forecast::Forecaster;
use crate::gateway::Gateway;
use crate::holds::Holds;
use crate::reactor::{Mail, Reactor};
use crate::request::RequestIds;
use crate::room::Room;
use crate::shelf::Shelf;

/// What all threads of a server share. Everything in it may be used from any thread.
pub(crate) struct Common {
    pub(crate) config: Config,
    /// The part of the limits that the protocol machine looks at.
    http_limits: kirsch_http::Limits,
    pub(crate) gateway: Arc<dyn Gateway>,
    pub(crate) memory: Arc<Budget>,
    pub(crate) spool: SpoolSpace,
    pub(crate) forecaster: Forecaster,
    pub(crate) ids: RequestIds,
    pub(crate) access_log: Option<AccessLogWriter>,
    /// What handshakes are made with.
    pub(crate) tls: Option<Arc<Material>>,
    /// What responses over https say besides.
    pub(crate) hsts: Option<FieldEdits>,
    /// A stop was asked for: what has begun is finished, and nothing is kept alive.
    pub(crate) draining: AtomicBool,
    /// Nobody reads the reactors' mail any more, or soon will: what comes back is lost.
    pub(crate) aborted: AtomicBool,
    /// Connections open, or on their way to the reactor that will have them.
    connections: AtomicUsize,
    /// Whether somebody waits for a connection to be closed.
    pub(crate) room: Room,
    /// Nobody is accepted any more.
    closed: AtomicBool,
    /// Set when draining has come to its end.
    pub(crate) drained: Drained,
}

/// What a reactor and the threads that take turns at it share, any of which may use it. The counters
/// are here, so that reactors do not write to the same place for every request.
pub(crate) struct Shared {
    common: Arc<Common>,
    pub(crate) counters: Counters,
    pub(crate) holds: Holds,
    pub(crate) cork: Cork,
    pub(crate) shelf: Shelf,
    /// A thread is, or will be, told to free what the gateway has not freed.
    pub(crate) freeing: AtomicBool,
    /// Requests that wait for one of their application's threads.
    pub(crate) in_line: AtomicUsize,
    /// Set once, right after the reactor was made, which holds this struct.
    pool: OnceLock<Arc<Pool<Reactor>>>,
}

/// What happened so far; read by tests, statistics and the benchmark.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) handshakes: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// Requests that got none of their application's threads.
    pub(crate) turned_away: AtomicU64,
    pub(crate) evicted: AtomicU64,
    pub(crate) remote: AtomicU64,
    pub(crate) corked: AtomicU64,
    pub(crate) joined: AtomicU64,
    pub(crate) panics: AtomicU64,
}

impl Counters {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The field that has browsers stay with https (RFC 6797, 6.1).
fn hsts(max_age: Duration) -> Option<FieldEdits> {
    let mut edits = FieldEdits::new();
    let value = format!("max-age={}", max_age.as_secs());
    let set = edits.set(b"Strict-Transport-Security", value.as_bytes());
    set.ok().map(|()| edits)
}

impl Common {
    pub(crate) fn new(
        config: Config,
        gateway: Arc<dyn Gateway>,
        access_log: Option<AccessLogWriter>,
        tls: Option<Arc<Material>>,
    ) -> Common {
        let limits = &config.limits;
        // The system's temporary folder, or `TMPDIR`. Where it lies in memory, the operator names another.
        let folder = config.spool_dir.clone().unwrap_or_else(std::env::temp_dir);
        Common {
            http_limits: kirsch_http::Limits {
                head_bytes: limits.head_bytes,
                fields: limits.head_fields,
                target_bytes: limits.target_bytes,
                // Only the head tells which limit holds: `Connection::begin` sets it.
                body_bytes: u64::MAX,
                ..kirsch_http::Limits::default()
            },
            memory: Budget::new(limits.buffer_memory_bytes),
            spool: SpoolSpace::new(folder, limits.spool_bytes),
            forecaster: Forecaster::new(),
            ids: RequestIds::new(),
            draining: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            room: Room::default(),
            closed: AtomicBool::new(false),
            drained: Drained::default(),
            gateway,
            access_log,
            tls,
            hsts: config.tls.as_ref().and_then(|tls| hsts(tls.hsts?)),
            config,
        }
    }

    /// The part of the limits that the protocol machine looks at.
    pub(crate) fn http_limits(&self) -> kirsch_http::Limits {
        match &self.config.cheroot {
            None => self.http_limits,
            Some(cheroot) => kirsch_http::Limits {
                head_bytes: cheroot.head_bytes(),
                ..self.http_limits
            },
        }
    }

    /// Seconds that HTTP/1.0 clients are told their connections stay open, if they are.
    pub(crate) fn told_keep_alive(&self) -> Option<u64> {
        let cheroot = self.config.cheroot.as_ref()?;
        Some(cheroot.timeout().as_secs())
    }

    /// Whether responses say HTTP/1.0.
    pub(crate) fn speaks_http10(&self) -> bool {
        let cheroot = self.config.cheroot.as_ref();
        cheroot.is_some_and(|cheroot| cheroot.speaks_http10())
    }

    /// Writes an access log's record, if there is such a log.
    pub(crate) fn log(&self, record: Record) {
        if let Some(log) = &self.access_log {
            log.write(record);
        }
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::SeqCst)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// A connection was accepted.
    pub(crate) fn has_come(&self) {
        self.connections.fetch_add(1, Ordering::SeqCst);
    }

    /// A connection has ended.
    pub(crate) fn has_gone(&self) {
        if self.connections.fetch_sub(1, Ordering::SeqCst) == 1
            && self.closed.load(Ordering::SeqCst)
        {
            self.drained.set();
        }
    }

    /// Nobody will come any more. Either this or the last to go finds both.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if self.connections() == 0 {
            self.drained.set();
        }
    }
}

impl Shared {
    pub(crate) fn new(common: Arc<Common>) -> Shared {
        Shared {
            common,
            counters: Counters::default(),
            holds: Holds::default(),
            cork: Cork::new(),
            shelf: Shelf::new(),
            freeing: AtomicBool::new(false),
            in_line: AtomicUsize::new(0),
            pool: OnceLock::new(),
        }
    }

    pub(crate) fn set_pool(&self, pool: Arc<Pool<Reactor>>) {
        let _ = self.pool.set(pool);
    }

    pub(crate) fn pool(&self) -> Option<&Arc<Pool<Reactor>>> {
        self.pool.get()
    }

    /// Leaves a letter with the reactor if it rests. Answers whether it does.
    pub(crate) fn leave(&self, mail: Mail) -> bool {
        self.pool.get().is_some_and(|pool| pool.leave(mail).is_ok())
    }

    /// Posts to whoever drives the reactor.
    pub(crate) fn post(&self, mail: Mail) {
        if let Some(pool) = self.pool.get() {
            pool.post(mail);
        }
    }
}

impl Deref for Shared {
    type Target = Common;

    fn deref(&self) -> &Common {
        &self.common
    }
}
