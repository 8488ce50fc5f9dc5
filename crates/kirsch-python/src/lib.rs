//! The extension module `kirsch._kirsch`: the engine for Python, and the WSGI gateway.
//!
//! The only crate that knows Python. It implements `kirsch_server::Gateway`; the server never learns
//! what is behind it. The thin package in `python/kirsch` does what is easier said in Python: loading
//! the application, threads, signals, messages.

mod dispatch;
mod environ;
mod ffi;
mod file_wrapper;
mod gateway;
mod input;
mod kept;
mod log;
mod server;
mod settings;
mod start_response;
mod text;

use pyo3::prelude::*;

/// The engine of Kirsch.
#[pymodule(gil_used = false)]
mod _kirsch {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::dispatch::{PyApplication, PyDispatch, check_route};
    #[pymodule_export]
    use super::file_wrapper::FileWrapper;
    #[pymodule_export]
    use super::input::Input;
    #[pymodule_export]
    use super::log::{end_logging, start_logging};
    #[pymodule_export]
    use super::server::PyServer;
    #[pymodule_export]
    use super::settings::{PyCommand, PySettings, parse_command_line};
    #[pymodule_export]
    use super::start_response::StartResponse;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }

    /// Called in a forked child: the engine is dead there.
    #[pyfunction]
    fn after_fork_in_child() {
        super::gateway::WsgiGateway::after_fork();
    }
}
