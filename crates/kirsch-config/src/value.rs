//! Values as they were given, and the kinds of value that options accept.
//!
//! Flags and variables give texts, files and Python give types: all become a [`KeywordValue`].
//! Read next: `field.rs`, which turns one into a field of the settings.

use std::fmt;
use std::time::Duration;

use crate::units::size_text;

/// A value as it was given, whatever the place.
#[derive(Clone, Debug, PartialEq)]
pub enum KeywordValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a point.
    Float(f64),
    /// A text; all that flags and variables can give.
    Str(String),
    /// Several values, for options that take them.
    List(Vec<KeywordValue>),
    /// Python's `None`: off where an option can be off, otherwise as if it were not given.
    None,
}

/// What an option accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Switch,
    /// A whole number in a range.
    Count {
        /// The smallest that makes sense.
        min: u64,
        /// The largest that is not a slip of the finger.
        max: u64,
    },
    /// A number of bytes, with or without a unit.
    Size {
        /// The smallest that makes sense.
        min: u64,
        /// The largest that can be held.
        max: u64,
    },
    /// A duration, with or without a unit.
    Duration {
        /// The shortest that makes sense.
        min: Duration,
    },
    /// Permission bits, in octal.
    Mode,
    /// A text that can stand in a header field.
    Text,
    /// A file or folder.
    Path,
    /// A folder that exists.
    Folder,
    /// A file, or `-` for standard output.
    LogFile,
    /// Addresses to listen on.
    Binds,
    /// Proxies to trust.
    Proxies,
    /// Which fields proxies write.
    ProxyFields,
    /// Content codings, each with or without a level.
    Codings,
    /// Media types, or patterns of them.
    MediaTypes,
    /// One of `error`, `warn`, `info`, `debug`.
    LogLevel,
    /// The name of an access log format, or `%` directives.
    AccessLogFormat,
    /// The part of the path that leads to the application.
    Prefix,
    /// An application to import.
    App,
    /// A number of processes, or `auto`.
    Workers,
}

impl Kind {
    /// What to write, as the end of "write …".
    pub fn accepted(&self) -> String {
        match self {
            Kind::Switch => "true or false".to_owned(),
            Kind::Count { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Size { min: 0, .. } => "a size such as 4096, 64KiB or 10MB".to_owned(),
            Kind::Size { min, .. } => format!(
                "a size such as 4096, 64KiB or 10MB, at least {}",
                size_text(*min)
            ),
            Kind::Duration { .. } => "a duration such as 30s, 500ms or 2m".to_owned(),
            Kind::Mode => "permission bits in octal".to_owned(),
            Kind::Text => "a text of printable ASCII characters".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::Folder => "a folder that exists".to_owned(),
            Kind::LogFile => "a path, or - for standard output".to_owned(),
            Kind::Binds => {
                "HOST:PORT, [IPV6]:PORT, PORT, unix:PATH, @NAME or fd://NUMBER".to_owned()
            }
            Kind::Proxies => "an address, a network such as 10.0.0.0/8, or unix".to_owned(),
            Kind::ProxyFields => "either, x-forwarded or forwarded".to_owned(),
            Kind::Codings => {
                "zstd, br or gzip, with a colon and a level if you like, such as gzip:9".to_owned()
            }
            Kind::MediaTypes => {
                "a media type such as text/html, text/* or application/*+json".to_owned()
            }
            Kind::LogLevel => "error, warn, info or debug".to_owned(),
            Kind::AccessLogFormat => "combined, json or a string with % directives".to_owned(),
            Kind::Prefix => "a path that begins with a slash and does not end with one".to_owned(),
            Kind::App => "module:attribute, module:factory(), module or file.py".to_owned(),
            Kind::Workers => "a whole number, or auto".to_owned(),
        }
    }

    /// Whether it takes several values.
    pub fn is_list(&self) -> bool {
        matches!(
            self,
            Kind::Binds | Kind::Proxies | Kind::Codings | Kind::MediaTypes
        )
    }

    /// The placeholder of the value in help.
    pub fn placeholder(&self) -> &'static str {
        match self {
            Kind::Switch => "BOOL",
            Kind::Count { .. } => "N",
            Kind::Size { .. } => "SIZE",
            Kind::Duration { .. } => "DURATION",
            Kind::Mode => "MODE",
            Kind::Text => "TEXT",
            Kind::Path | Kind::Folder => "PATH",
            Kind::LogFile => "FILE",
            Kind::Binds => "ADDRESS",
            Kind::Proxies => "NETWORK",
            Kind::ProxyFields => "FIELDS",
            Kind::Codings => "CODING",
            Kind::MediaTypes => "TYPE",
            Kind::LogLevel => "LEVEL",
            Kind::AccessLogFormat => "FORMAT",
            Kind::Prefix => "PREFIX",
            Kind::App => "APP",
            Kind::Workers => "N|auto",
        }
    }
}

/// As it would be typed, for messages.
impl fmt::Display for KeywordValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeywordValue::Bool(value) => write!(f, "{value}"),
            KeywordValue::Int(value) => write!(f, "{value}"),
            KeywordValue::Float(value) => write!(f, "{value}"),
            KeywordValue::Str(value) => write!(f, "{value:?}"),
            KeywordValue::List(_) => f.write_str("a list"),
            KeywordValue::None => f.write_str("None"),
        }
    }
}
