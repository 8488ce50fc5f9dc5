//! The web server: sockets, reactor, thread pool, connections, gateways. It knows no Python.

pub mod config;

pub use config::{AccessLog, AccessLogFormat, Bind, Config, Limits, Timeouts};
