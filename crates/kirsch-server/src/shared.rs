//! What the reactor and all threads of one server share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use kirsch_pool::Pool;

use crate::access_log::{AccessLogWriter, Record};
use crate::budget::{Budget, SpoolSpace};
use crate::config::Config;
use crate::drained::Drained;
use crate::forecast::Forecaster;
use crate::gateway::Gateway;
use crate::holds::Holds;
use crate::reactor::{Mail, Reactor};
use crate::request::RequestIds;

/// One server's common things. Everything in it may be used from any thread.
pub(crate) struct Shared {
    pub(crate) config: Config,
    /// The part of the limits that the protocol machine looks at.
    pub(crate) http_limits: kirsch_http::Limits,
    pub(crate) gateway: Arc<dyn Gateway>,
    pub(crate) memory: Arc<Budget>,
    pub(crate) spool: SpoolSpace,
    pub(crate) forecaster: Forecaster,
    pub(crate) ids: RequestIds,
    pub(crate) access_log: Option<AccessLogWriter>,
    /// A stop was asked for: what has begun is finished, and nothing is kept alive.
    pub(crate) draining: AtomicBool,
    /// Connections open; written by the reactor.
    pub(crate) connections: AtomicUsize,
    pub(crate) counters: Counters,
    pub(crate) holds: Holds,
    /// Set by the reactor when draining has come to its end.
    pub(crate) drained: Drained,
    /// Set once, right after the reactor was made, which holds this struct.
    pool: OnceLock<Arc<Pool<Reactor>>>,
}

/// What happened so far; read by tests, statistics and the benchmark.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) evicted: AtomicU64,
    pub(crate) remote: AtomicU64,
    pub(crate) panics: AtomicU64,
}

impl Counters {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        gateway: Arc<dyn Gateway>,
        access_log: Option<AccessLogWriter>,
    ) -> Shared {
        let limits = &config.limits;
        let folder = config.spool_dir.clone().unwrap_or_else(spool_folder);
        Shared {
            http_limits: kirsch_http::Limits {
                head_bytes: limits.head_bytes,
                fields: limits.head_fields,
                target_bytes: limits.target_bytes,
                body_bytes: limits.body_bytes,
                ..kirsch_http::Limits::default()
            },
            memory: Budget::new(limits.buffer_memory_bytes),
            spool: SpoolSpace::new(folder, limits.spool_bytes),
            forecaster: Forecaster::new(),
            ids: RequestIds::new(),
            draining: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            counters: Counters::default(),
            holds: Holds::new(config.threads.max(1)),
            drained: Drained::default(),
            pool: OnceLock::new(),
            gateway,
            access_log,
            config,
        }
    }

    pub(crate) fn set_pool(&self, pool: Arc<Pool<Reactor>>) {
        let _ = self.pool.set(pool);
    }

    pub(crate) fn pool(&self) -> Option<&Arc<Pool<Reactor>>> {
        self.pool.get()
    }

    /// Posts to whoever drives the reactor.
    pub(crate) fn post(&self, mail: Mail) {
        if let Some(pool) = self.pool.get() {
            pool.post(mail);
        }
    }

    /// Writes an access log's record, if there is such a log.
    pub(crate) fn log(&self, record: Record) {
        if let Some(log) = &self.access_log {
            log.write(record);
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// The system's temporary folder, or `TMPDIR`. Where it lies in memory, the operator names another (`spool_dir`).
fn spool_folder() -> PathBuf {
    std::env::temp_dir()
}
