//! Every setting once: options as typed become the configuration as used.
//!
//! The journey of a setting:
//! 1. `flags` reads the flags, `environment` the variables, `file` the TOML file.
//! 2. Each finds the option by its name in `options`, the one list there is, and brings the value into one form
//!    (`value`), with its origin.
//! 3. `command_line`: flags win over variables, variables over the file, the file over the default.
//! 4. `settings` puts each value into its field, read by `field` with `units`, `bind`, `app_spec` and `access_log`.
//! 5. What is wrong is said with its place and what to write instead (`error`).
//!
//! Applications and routes go beside: `file` reads their tables by the lists in `application` and `route_keys`, `mount`
//! reads what is typed as `WHERE=WHAT`, and `dispatch` brings all of it into the order in which routes are tried.
//!
//! Python's keyword arguments enter at step 2, through [`Settings::from_keywords`].
//! Nothing in here prints, exits, or imports an application.

#![forbid(unsafe_code)]

mod access_log;
mod app_spec;
mod application;
mod bind;
mod command_line;
mod dispatch;
mod environment;
mod error;
mod field;
mod file;
mod flags;
mod later;
mod mount;
mod option;
mod options;
mod python;
mod reference;
mod route;
mod route_keys;
mod settings;
mod table;
mod tls;
mod units;
mod value;

pub use app_spec::{AppSource, AppSpec, AppTarget, DEFAULT_NAMES};
pub use application::{Application, ApplicationKind, application_keys};
pub use bind::Listen;
pub use command_line::{Command, Exit, from_command_line};
pub use dispatch::{Dispatch, DispatchRoute, Finding};
pub use error::{Complaint, ConfigError, Origin};
pub use mount::{Mount, MountedApp, StaticFolder};
pub use option::{Group, OptionSpec, Reach};
pub use options::options;
pub use reference::settings_page;
pub use route::{CgiSpec, RouteAction, RouteSpec};
pub use route_keys::route_keys;
pub use settings::{LogLevel, Settings};
pub use table::KeySpec;
pub use tls::{ClientCertificates, Secret, TlsOptions};
pub use value::{KeywordValue, Kind};
