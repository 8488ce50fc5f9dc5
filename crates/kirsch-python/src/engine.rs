//! The engine as a Python module: the ordinary `kirsch._kirsch`, or a module of a user's own that takes its place.
//!
//! A process has one engine: two would each have threads, forks and a log of their own, and classes that only look
//! alike. So a module that comes second refuses to be imported.

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::cheroot::PyCheroot;
use crate::dispatch::{PyApplication, PyDispatch, check_route};
use crate::file_wrapper::FileWrapper;
use crate::gateway::WsgiGateway;
use crate::input::Input;
use crate::log::{end_logging, start_logging};
use crate::server::PyServer;
use crate::settings::{PyCommand, PySettings, parse_command_line};
use crate::start_response::StartResponse;

/// What the package `kirsch` imports as its engine.
const ENGINE: &str = "kirsch._kirsch";

/// Makes `module` the engine of this process, in place of the ordinary one: for an extension module that provides
/// Rust applications. Beside what the package `kirsch` needs, the module then has `main`, which is the command
/// `kirsch` with this engine, for an entry of `[project.scripts]`.
///
/// # Errors
///
/// `ImportError` if the process has an engine already; the module is to be imported before `kirsch` is used.
pub fn engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let sys = module.py().import("sys")?;
    let modules = sys.getattr("modules")?.cast_into::<PyDict>()?;
    if let Some(other) = modules.get_item(ENGINE)?
        && !other.is(module)
    {
        let (name, other) = (module.name()?.to_string(), other.getattr("__name__")?);
        // maturin wraps it into a package, which is what is imported.
        let name = name.split('.').next().unwrap_or_default();
        let text = format!(
            "{name} contains an engine of Kirsch's, and {other} is this process's already; import {name} before kirsch is used"
        );
        return Err(PyImportError::new_err(text));
    }
    fill(module)?;
    module.add_function(wrap_pyfunction!(main, module)?)?;
    modules.set_item(ENGINE, module)
}

/// Puts into a module what the package `kirsch` needs of it, and no more: the ordinary engine is that.
///
/// # Errors
///
/// What Python says, if it has no memory for it.
pub fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<PyApplication>()?;
    module.add_class::<PyCommand>()?;
    module.add_class::<PyDispatch>()?;
    module.add_class::<PyServer>()?;
    module.add_class::<PySettings>()?;
    module.add_class::<FileWrapper>()?;
    module.add_class::<Input>()?;
    module.add_class::<PyCheroot>()?;
    module.add_class::<StartResponse>()?;
    module.add_function(wrap_pyfunction!(after_fork_in_child, module)?)?;
    module.add_function(wrap_pyfunction!(check_route, module)?)?;
    module.add_function(wrap_pyfunction!(end_logging, module)?)?;
    module.add_function(wrap_pyfunction!(parse_command_line, module)?)?;
    module.add_function(wrap_pyfunction!(start_logging, module)?)
}

/// Called in a forked child: the engine is dead there.
#[pyfunction]
fn after_fork_in_child() {
    WsgiGateway::after_fork();
}

/// The command ``kirsch``, with this engine.
#[pyfunction]
fn main(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let command = py.import("kirsch.__main__")?;
    Ok(command.call_method0("main")?.unbind())
}
