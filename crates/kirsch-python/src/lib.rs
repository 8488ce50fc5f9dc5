//! The engine for Python, and the WSGI gateway; `kirsch-extension` makes the module `kirsch._kirsch` of it.
//!
//! The only crate that knows Python. It implements `kirsch_server::Gateway`; the server never learns
//! what is behind it. The thin package in `python/kirsch` does what is easier said in Python: loading
//! the application, threads, signals, messages.
//!
//! An extension module of your own may be the engine too, and have Rust applications beside it, which
//! routes lead to as to applications in Python:
//!
//! ```ignore
//! #[pymodule(gil_used = false)]
//! fn my_server(module: &Bound<'_, PyModule>) -> PyResult<()> {
//!     kirsch_python::provide("status", || TowerGateway::new(status::application()))?;
//!     kirsch_python::engine(module)
//! }
//! ```

mod cheroot;
mod dispatch;
mod engine;
mod environ;
mod ffi;
mod file_wrapper;
mod gateway;
mod input;
mod kept;
mod log;
mod provided;
mod server;
mod settings;
mod start_response;
mod text;

pub use engine::{engine, fill};
pub use provided::provide;
