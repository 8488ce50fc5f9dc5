//! The extension module `kirsch._kirsch` as it is installed: the engine, and no application.
//!
//! All that is in it is `kirsch-python`'s. An extension module of a user's own has Rust applications beside it.

use pyo3::prelude::*;

/// The engine of Kirsch.
#[pymodule(gil_used = false)]
fn _kirsch(module: &Bound<'_, PyModule>) -> PyResult<()> {
    kirsch_python::fill(module)
}
