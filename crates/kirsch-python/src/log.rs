//! The error log of the command line: what the engine reports, a line each, on standard error.
//!
//! An embedding has no such log unless it asks for one: it gets application errors through `logging`.

use std::sync::{Mutex, PoisonError};
use std::{io, panic};

use kirsch_server::no_thread;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that may wait for standard error. Whoever drives the reactor must not wait for it: beyond this
/// lines are dropped.
const WAITING_LINES: usize = 4096;

/// Writes what waits when it is dropped.
static WRITER: Mutex<Option<WorkerGuard>> = Mutex::new(None);

/// Starts to write the engine's events of this level and above to standard error.
///
/// # Errors
///
/// `OSError` if the system refuses the thread that writes them.
#[pyfunction]
pub(crate) fn start_logging(level: &str) -> PyResult<()> {
    let level = match level {
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "debug" => LevelFilter::DEBUG,
        _ => LevelFilter::INFO,
    };
    let (writer, guard) = start_writer()?;
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false);
    // A second start in one process keeps the first.
    if tracing::subscriber::set_global_default(subscriber.finish()).is_ok() {
        *WRITER.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
    }
    Ok(())
}

/// The builder panics where there is no thread to be had. That is no mistake of ours, so nothing of a panic shows.
fn start_writer() -> PyResult<(NonBlocking, WorkerGuard)> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let started = panic::catch_unwind(|| {
        NonBlockingBuilder::default()
            .buffered_lines_limit(WAITING_LINES)
            .thread_name("kirsch-log")
            .finish(io::stderr())
    });
    panic::set_hook(hook);
    started.map_err(|_| {
        let refused = no_thread(&io::Error::other("for the error log"));
        PyOSError::new_err(refused.to_string())
    })
}

/// Writes what waits, and ends the log: for the end of the process, which waits for no thread.
#[pyfunction]
pub(crate) fn end_logging(py: Python<'_>) {
    py.detach(|| drop(WRITER.lock().unwrap_or_else(PoisonError::into_inner).take()));
}
