//! The error log of the command line: what the engine reports, a line each, on standard error.
//!
//! An embedding has no such log unless it asks for one: it gets application errors through `logging`.

use std::io;

use pyo3::prelude::*;
use tracing::level_filters::LevelFilter;

/// Starts to write the engine's events of this level and above to standard error.
#[pyfunction]
pub(crate) fn start_logging(level: &str) {
    let level = match level {
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "debug" => LevelFilter::DEBUG,
        _ => LevelFilter::INFO,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false);
    // A second start in one process keeps the first.
    let _ = tracing::subscriber::set_global_default(subscriber.finish());
}
