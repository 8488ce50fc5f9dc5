//! Kirsch with a Rust application beside those in Python: the extension module `two_hosts`.
//!
//! It is the engine, built anew with what `kirsch.toml` calls `rust = "status"`. Whoever imports it before `kirsch`
//! has it for the engine; the command `two-hosts` is `kirsch` with it.
//! Read next: `status.rs`.

mod status;

use kirsch_tower::TowerGateway;
use pyo3::prelude::*;

/// The engine of Kirsch, with the application of `status.rs`.
#[pymodule(gil_used = false)]
fn two_hosts(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Called when a route leads there, and not before: no runtime without one.
    kirsch_python::provide("status", || TowerGateway::new(status::application()))?;
    kirsch_python::engine(module)
}
