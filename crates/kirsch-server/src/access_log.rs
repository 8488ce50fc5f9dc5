//! The access log: a line per request, written by a thread of its own.
//!
//! Whoever ends a response puts a [`Record`] into a bounded ring and goes on; the writer formats and
//! writes outside every lock that requests need. If it cannot keep up, records are dropped and
//! counted, since a slow disk must not stop the server.
//! Read next: `format.rs`, which knows how a line looks.

mod directive;
mod error;
mod escape;
mod format;
mod json;
mod output;
mod time;
mod user;

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracing::warn;

pub use self::error::AccessLogError;
pub use self::format::{FormatError, LineFormat};

use self::output::Output;
use self::time::Clock;
use crate::body::Body;
use crate::config::AccessLog;
use crate::request::Request;
use crate::server::no_thread;

/// Records that may wait for the writer.
const RING: usize = 16 * 1024;
/// Bytes of heads in them: a full ring of ordinary requests fits, one of the longest heads does not.
const RING_BYTES: usize = 128 * 1024 * 1024;
/// The writer looks at most this often: fewer, larger writes, and few wake-ups.
const PAUSE: Duration = Duration::from_millis(50);

/// How one request went.
pub(crate) struct Record {
    pub(crate) request: Box<Request>,
    pub(crate) status: u16,
    /// Bytes of content given to the client's connection.
    pub(crate) sent: u64,
    pub(crate) ended: Instant,
    pub(crate) ending: Ending,
}

/// What became of the connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The whole response was sent, and the next request may come.
    Kept,
    /// The whole response was sent, and the connection closes.
    Closed,
    /// The client did not get all of it.
    Aborted,
}

impl Record {
    /// The record of a response that ends now.
    pub(crate) fn new(mut request: Box<Request>, status: u16, sent: u64, ending: Ending) -> Record {
        // What nobody read of it must not wait for a slow disk.
        request.set_body(Body::Empty);
        Record {
            request,
            status,
            sent,
            ended: Instant::now(),
            ending,
        }
    }

    /// The same, but the client did not get it.
    pub(crate) fn aborted(self) -> Record {
        Record {
            ending: Ending::Aborted,
            ..self
        }
    }

    fn duration(&self) -> Duration {
        self.ended.saturating_duration_since(self.request.received)
    }

    fn head_bytes(&self) -> usize {
        self.request.buf.capacity()
    }
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
    /// Bytes of heads in `records`.
    head_bytes: usize,
    dropped: u64,
    /// The file is to be opened again before the next batch.
    reopen: bool,
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
    pub(crate) fn start(config: &AccessLog) -> Result<AccessLogWriter, AccessLogError> {
        let format = LineFormat::new(&config.format).map_err(AccessLogError::of_format)?;
        let mut output = Output::open(config.file.clone())?;
        let ring = Arc::new(Ring {
            state: Mutex::default(),
            filled: Condvar::new(),
        });
        let ours = Arc::clone(&ring);
        let writer = thread::Builder::new()
            .name("kirsch-access-log".to_owned())
            .spawn(move || write_all(&ours, &format, &mut output))
            .map_err(|err| AccessLogError::of_system(no_thread(&err)))?;
        Ok(AccessLogWriter {
            ring,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Hands a record to the writer. Never waits.
    pub(crate) fn write(&self, record: Record) {
        let mut state = self.ring.lock();
        let head_bytes = state.head_bytes + record.head_bytes();
        if state.records.len() >= RING || head_bytes > RING_BYTES {
            state.dropped += 1;
            return;
        }
        state.head_bytes = head_bytes;
        state.records.push(record);
        if mem::take(&mut state.waiting) {
            drop(state);
            self.ring.filled.notify_one();
        }
    }

    /// Has the writer open its file again, which was renamed or deleted. What is logged from now on
    /// goes there. Does not wait for it.
    pub(crate) fn reopen(&self) {
        self.ring.lock().reopen = true;
        self.ring.filled.notify_one();
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
        while state.records.is_empty() && !state.closing && !state.reopen {
            state.waiting = true;
            state = ring
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let closing = state.closing;
        mem::swap(&mut batch, &mut state.records);
        state.head_bytes = 0;
        state.waiting = false;
        let dropped = mem::take(&mut state.dropped);
        let reopen = mem::take(&mut state.reopen);
        drop(state);
        if reopen {
            output.reopen();
        }
        if dropped > 0 {
            warn!(dropped, "access log cannot keep up; records were dropped");
        }
        lines.clear();
        let clock = Clock::now();
        for record in batch.drain(..) {
            format.write(&record, &clock, &mut lines);
        }
        output.write(&lines);
        if closing {
            return;
        }
        // Let some gather: the ring is woken by its first record only.
        let state = ring.lock();
        if !state.closing && !state.reopen {
            let _ = ring.filled.wait_timeout(state, PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use kirsch_http::{Limits, RequestReader};

    use super::*;
    use crate::config::AccessLogFormat;
    use crate::forwarded::Scheme;
    use crate::request::{LocalName, Origin};

    /// The record of a request with this head, or of one whose head never came; answered with 200 and
    /// 12 bytes after 1.234567 seconds.
    pub(super) fn record(head: &str) -> Record {
        let mut request = Box::new(Request::new());
        let peer = SocketAddr::from(([192, 0, 2, 7], 4711));
        request.origin = Some(Arc::new(Origin {
            peer: Some(peer),
            peer_address: peer.ip().to_string(),
            local: Arc::new(LocalName {
                listener: 0,
                name: "server.test".to_owned(),
                port: "8000".to_owned(),
                scheme: Scheme::Http,
            }),
            tls: None,
        }));
        request.buf = head.as_bytes().to_vec();
        if !head.is_empty() {
            let Request { buf, fields, .. } = &mut *request;
            request.head = RequestReader::new()
                .next_head(buf, &Limits::default(), fields)
                .expect("a sound head")
                .expect("a whole head");
        }
        let mut record = Record::new(request, 200, 12, Ending::Kept);
        record.ended = record.request.received + Duration::from_micros(1_234_567);
        record
    }

    /// The line of a record.
    pub(super) fn line(format: &AccessLogFormat, record: &Record) -> String {
        let format = LineFormat::new(format).unwrap_or_else(|error| panic!("{error}"));
        let mut out = Vec::new();
        format.write(record, &Clock::now(), &mut out);
        String::from_utf8(out).expect("ascii")
    }

    fn log_to(path: &std::path::Path) -> AccessLogWriter {
        AccessLogWriter::start(&AccessLog {
            format: AccessLogFormat::Custom("%U".into()),
            file: Some(path.to_owned()),
        })
        .expect("a folder of ours")
    }

    #[test]
    fn a_renamed_file_is_left_behind_when_the_log_is_opened_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
        let log = log_to(&path);
        log.write(record("GET /one HTTP/1.0\r\n\r\n"));
        log.close();
        let log = log_to(&path);
        std::fs::rename(&path, &old).expect("renamed");
        log.reopen();
        log.write(record("GET /two HTTP/1.0\r\n\r\n"));
        log.close();
        assert_eq!(std::fs::read_to_string(&old).expect("the old"), "/one\n");
        assert_eq!(std::fs::read_to_string(&path).expect("the new"), "/two\n");
    }

    #[test]
    fn a_log_that_cannot_be_opened_again_goes_on_in_the_old_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (inside, moved) = (folder.path().join("logs"), folder.path().join("moved"));
        std::fs::create_dir(&inside).expect("a folder");
        let log = log_to(&inside.join("log"));
        std::fs::rename(&inside, &moved).expect("renamed");
        log.reopen();
        log.write(record("GET /kept HTTP/1.0\r\n\r\n"));
        log.close();
        let old = std::fs::read_to_string(moved.join("log")).expect("the old");
        assert_eq!(old, "/kept\n");
    }
}
