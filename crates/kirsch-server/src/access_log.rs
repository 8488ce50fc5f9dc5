//! The access log: a line per request, written by a thread of its own.
//!
//! Whoever ends a response puts a [`Record`] into a bounded ring and goes on; the writer formats and
//! writes outside every lock that requests need. If it cannot keep up, records are dropped and
//! counted, since a slow disk must not stop the server.
//! Read next: `format.rs`, which knows how a line looks.

mod format;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracing::{error, warn};

pub use self::format::{FormatError, LineFormat};

use crate::config::AccessLog;
use crate::request::Request;

/// Records that may wait for the writer.
const RING: usize = 16 * 1024;
/// The writer looks at most this often: fewer, larger writes, and few wake-ups.
const PAUSE: Duration = Duration::from_millis(50);

/// How one request went.
pub(crate) struct Record {
    pub(crate) request: Box<Request>,
    pub(crate) status: u16,
    /// Bytes of content given to the client's connection.
    pub(crate) sent: u64,
    pub(crate) ended: Instant,
    /// Whether the client was sent all of it.
    pub(crate) complete: bool,
}

/// Takes records; shared by all threads.
pub(crate) struct AccessLogWriter {
    ring: Arc<Ring>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Ring {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    records: Vec<Record>,
    dropped: u64,
    /// The writer sleeps until there is a record.
    waiting: bool,
    closing: bool,
}

impl AccessLogWriter {
    /// Opens the log and starts its writer.
    ///
    /// # Errors
    ///
    /// The format's, or the file's.
    pub(crate) fn start(config: &AccessLog) -> io::Result<AccessLogWriter> {
        let format = LineFormat::new(&config.format)
            .map_err(|err| io::Error::new(io::ErrorKind::InvalidInput, err))?;
        let mut output = Output::open(config.file.clone())?;
        let ring = Arc::new(Ring {
            state: Mutex::default(),
            filled: Condvar::new(),
        });
        let ours = Arc::clone(&ring);
        let writer = thread::Builder::new()
            .name("kirsch-access-log".to_owned())
            .spawn(move || write_all(&ours, &format, &mut output))?;
        Ok(AccessLogWriter {
            ring,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Hands a record to the writer. Never waits.
    pub(crate) fn write(&self, record: Record) {
        let mut state = self.ring.lock();
        if state.records.len() >= RING {
            state.dropped += 1;
            return;
        }
        state.records.push(record);
        if mem::take(&mut state.waiting) {
            drop(state);
            self.ring.filled.notify_one();
        }
    }

    /// Writes what there is and ends the writer.
    pub(crate) fn close(&self) {
        self.ring.lock().closing = true;
        self.ring.filled.notify_one();
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}

impl Ring {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_all(ring: &Ring, format: &LineFormat, output: &mut Output) {
    let mut batch = Vec::new();
    let mut lines = Vec::new();
    loop {
        let mut state = ring.lock();
        while state.records.is_empty() && !state.closing {
            state.waiting = true;
            state = ring
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let closing = state.closing;
        mem::swap(&mut batch, &mut state.records);
        let dropped = mem::take(&mut state.dropped);
        drop(state);
        if dropped > 0 {
            warn!(dropped, "access log cannot keep up; records were dropped");
        }
        lines.clear();
        for record in batch.drain(..) {
            format.write(&record, &mut lines);
        }
        output.write(&lines);
        if closing {
            return;
        }
        // Let some gather: the ring is woken by its first record only.
        let state = ring.lock();
        if !state.closing {
            let _ = ring.filled.wait_timeout(state, PAUSE);
        }
    }
}

/// Standard output or a file.
struct Output {
    path: Option<PathBuf>,
    file: Option<std::fs::File>,
    failing: bool,
}

impl Output {
    fn open(path: Option<PathBuf>) -> io::Result<Output> {
        let file = match &path {
            Some(path) => Some(OpenOptions::new().append(true).create(true).open(path)?),
            None => None,
        };
        Ok(Output {
            path,
            file,
            failing: false,
        })
    }

    fn write(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let written = match &mut self.file {
            Some(file) => file.write_all(lines),
            None => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines).and_then(|()| stdout.flush())
            }
        };
        match written {
            Ok(()) => self.failing = false,
            // Once, not for each of thousands of lines.
            Err(err) if !self.failing => {
                self.failing = true;
                error!(%err, path = ?self.path, "cannot write the access log");
            }
            Err(_) => {}
        }
    }
}
