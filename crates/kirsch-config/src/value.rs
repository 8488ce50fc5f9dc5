//! Values as they were given, and the kinds of value that options accept.
//!
//! Flags and variables give texts, files and Python give types: all become a [`KeywordValue`].
//! Read next: `field.rs`, which turns one into a field of the settings.

use std::fmt;
use std::time::Duration;

use crate::units::{duration_text, size_text};

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
    /// Values with names, for keys of routes that take them.
    Table(Vec<(String, KeywordValue)>),
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
    /// Folders that exist.
    Folders,
    /// Files.
    Paths,
    /// Names of cipher suites.
    CipherSuites,
    /// A version of TLS.
    TlsVersion,
    /// Whether clients bring certificates.
    ClientCertificates,
    /// What is done about a name that is not known.
    UnknownName,
    /// A text that is not shown.
    Secret,
    /// A file, or `-` for standard output.
    LogFile,
    /// Addresses to listen on.
    Binds,
    /// Proxies to trust.
    Proxies,
    /// Which fields proxies write.
    ProxyFields,
    /// Content codings to compress with, each with or without a level.
    Compressors,
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
    /// Applications to import, each perhaps behind the host and path it answers for.
    Apps,
    /// Folders of files, each behind the path it is served at.
    StaticFolders,
    /// The status for a host that no route knows.
    UnknownHost,
    /// A number of processes, or `auto`.
    Workers,
    /// Hosts of requests, exact or with `*.` before them.
    Hosts,
    /// A path that begins with a slash.
    RoutePath,
    /// Paths that begin with a slash.
    RoutePaths,
    /// Methods of requests.
    Methods,
    /// Fields with their values.
    Fields,
    /// Names of fields.
    FieldNames,
    /// Names of environment variables.
    Variables,
    /// `http` or `https`.
    Scheme,
    /// Addresses and networks.
    Networks,
    /// The name of an application.
    AppName,
    /// An address with placeholders.
    Redirect,
    /// The name of a file below a folder.
    FileName,
    /// Names of files.
    FileNames,
    /// Patterns of names with values of `Cache-Control`.
    CacheRules,
    /// Names of content codings.
    Codings,
    /// A status code.
    Status {
        /// The smallest that makes sense.
        min: u64,
        /// The largest.
        max: u64,
    },
}

impl Kind {
    /// What to write, as the end of "write …".
    pub fn accepted(&self) -> String {
        match self {
            Kind::Switch => "true or false".to_owned(),
            Kind::Count { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Size { min, max } => {
                let mut text = "a size such as 4096, 64KiB or 10MB".to_owned();
                if *min > 0 {
                    text += &format!(", at least {}", size_text(*min));
                }
                if *max < i64::MAX as u64 {
                    text += &format!(", at most {}", size_text(*max));
                }
                text
            }
            Kind::Duration { min } if min.is_zero() => {
                "a duration such as 30s, 500ms or 2m".to_owned()
            }
            Kind::Duration { min } => format!(
                "a duration such as 30s, 500ms or 2m, at least {}",
                duration_text(*min)
            ),
            Kind::Mode => "permission bits in octal".to_owned(),
            Kind::Text => "a text of printable ASCII characters".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::Folder => "a folder that exists".to_owned(),
            Kind::Folders => "a folder that exists".to_owned(),
            Kind::Paths => "a path".to_owned(),
            Kind::CipherSuites => "names of cipher suites as IANA or OpenSSL spells them".to_owned(),
            Kind::TlsVersion => "1.2 or 1.3".to_owned(),
            Kind::ClientCertificates => "none, optional or required".to_owned(),
            Kind::UnknownName => "first or refuse".to_owned(),
            Kind::Secret => "a text".to_owned(),
            Kind::LogFile => "a path, or - for standard output".to_owned(),
            Kind::Binds => {
                "HOST:PORT, [IPV6]:PORT, PORT, unix:PATH, @NAME or fd://NUMBER, those of TCP with https:// or http:// before them".to_owned()
            }
            Kind::Proxies => "an address, a network such as 10.0.0.0/8, or unix".to_owned(),
            Kind::ProxyFields => "either, x-forwarded or forwarded".to_owned(),
            Kind::Compressors => {
                "zstd, br or gzip, with a colon and a level if you like, such as gzip:9".to_owned()
            }
            Kind::MediaTypes => {
                "a media type such as text/html, text/* or application/*+json".to_owned()
            }
            Kind::LogLevel => "error, warn, info or debug".to_owned(),
            Kind::AccessLogFormat => "combined, json or a string with % directives".to_owned(),
            Kind::Prefix => "a path that begins with a slash and does not end with one".to_owned(),
            Kind::App => "module:attribute, module:factory(), module or file.py".to_owned(),
            Kind::Apps => {
                "module:attribute, module:factory(), module or file.py, several with HOST[/PATH]= before them".to_owned()
            }
            Kind::StaticFolders => "/PATH=FOLDER".to_owned(),
            Kind::UnknownHost => "421 or 404".to_owned(),
            Kind::Workers => "a whole number, or auto".to_owned(),
            Kind::Hosts => "a host or a list of hosts".to_owned(),
            Kind::RoutePath => "a path that begins with a slash".to_owned(),
            Kind::RoutePaths => "a path that begins with a slash, or a list of them".to_owned(),
            Kind::Methods => "a method in capitals or a list of them".to_owned(),
            Kind::Fields => "fields with their values".to_owned(),
            Kind::FieldNames => "the name of a field or a list of them".to_owned(),
            Kind::Variables => "the name of a variable or a list of them".to_owned(),
            Kind::Scheme => "http or https".to_owned(),
            Kind::Networks => "an address, a network such as 10.0.0.0/8, or a list of them".to_owned(),
            Kind::AppName => "the name of an application, which [apps.NAME] describes".to_owned(),
            Kind::Redirect => "an address that may have {host}, {path} and {query} in it".to_owned(),
            Kind::FileName => "the name of a file".to_owned(),
            Kind::FileNames => "the name of a file, or a list of them".to_owned(),
            Kind::CacheRules => "patterns with values of Cache-Control".to_owned(),
            Kind::Codings => "br, zstd, gzip, a list of them, or false".to_owned(),
            Kind::Status { min: 301, max: 308 } => "301, 302, 303, 307 or 308".to_owned(),
            Kind::Status { min, max } => format!("a status from {min} to {max}"),
        }
    }

    /// Whether it takes several values.
    pub fn is_list(&self) -> bool {
        matches!(
            self,
            Kind::Apps
                | Kind::Binds
                | Kind::CipherSuites
                | Kind::Compressors
                | Kind::Folders
                | Kind::MediaTypes
                | Kind::Paths
                | Kind::Proxies
                | Kind::StaticFolders
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
            Kind::Path | Kind::Folder | Kind::Folders => "PATH",
            Kind::Paths => "FILE",
            Kind::CipherSuites => "SUITE",
            Kind::TlsVersion => "1.2|1.3",
            Kind::ClientCertificates => "none|optional|required",
            Kind::UnknownName => "first|refuse",
            Kind::Secret => "TEXT",
            Kind::LogFile => "FILE",
            Kind::Binds => "ADDRESS",
            Kind::Proxies => "NETWORK",
            Kind::ProxyFields => "FIELDS",
            Kind::Compressors | Kind::Codings => "CODING",
            Kind::MediaTypes => "TYPE",
            Kind::LogLevel => "LEVEL",
            Kind::AccessLogFormat => "FORMAT",
            Kind::Prefix => "PREFIX",
            Kind::App | Kind::AppName => "APP",
            Kind::Apps => "[HOST[/PATH]=]APP",
            Kind::StaticFolders => "/PATH=FOLDER",
            Kind::UnknownHost => "421|404",
            Kind::Workers => "N|auto",
            Kind::Hosts => "HOST",
            Kind::RoutePath | Kind::RoutePaths => "PATH",
            Kind::Methods => "METHOD",
            Kind::Fields => "FIELDS",
            Kind::FieldNames => "FIELD",
            Kind::Variables => "VARIABLE",
            Kind::Scheme => "SCHEME",
            Kind::Networks => "NETWORK",
            Kind::Redirect => "ADDRESS",
            Kind::FileName | Kind::FileNames => "FILE",
            Kind::CacheRules => "RULES",
            Kind::Status { .. } => "STATUS",
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
            KeywordValue::Table(_) => f.write_str("a table"),
            KeywordValue::None => f.write_str("None"),
        }
    }
}
