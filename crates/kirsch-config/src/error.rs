//! What is wrong with a setting, where it stood, and what to write instead.
//!
//! The parsers of this crate know only the value: they answer a [`Complaint`].
//! Whoever knows the place adds the [`Origin`], and together they are a [`ConfigError`].

use std::fmt;
use std::path::PathBuf;

/// A setting that cannot be used. Always the operator's to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where the setting stood.
    pub origin: Origin,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to write instead, where that can be said.
    pub hint: Option<String>,
}

/// Where the value of a setting came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave it.
    #[default]
    Default,
    /// A flag of the command line, with its dashes; the application is `APP`.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A key in a configuration file; the file as a whole where line is 0.
    File {
        /// The file, as it was named or found.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The dotted key; empty where the complaint is about no key.
        key: String,
    },
    /// A keyword argument of the Python API.
    Argument(String),
    /// The command line as a whole.
    CommandLine,
}

/// What is wrong with a value, said by a parser that does not know where the value stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to write instead, where that can be said.
    pub hint: Option<String>,
}

impl ConfigError {
    /// An error at a place, with what to write instead.
    pub(crate) fn new(origin: Origin, message: impl Into<String>, hint: Option<String>) -> Self {
        ConfigError {
            origin,
            message: message.into(),
            hint,
        }
    }
}

impl Complaint {
    /// A complaint with what to write instead.
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Complaint {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// Names the place.
    pub(crate) fn at(self, origin: Origin) -> ConfigError {
        ConfigError {
            origin,
            message: self.message,
            hint: self.hint,
        }
    }
}

/// One line: place, what is wrong, what to write instead.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Flag(name) if name == "APP" => f.write_str("application"),
            Origin::Flag(name) => write!(f, "flag {name}"),
            Origin::Variable(name) => write!(f, "variable {name}"),
            Origin::File { path, line: 0, .. } => write!(f, "{}", path.display()),
            Origin::File { path, line, key } if key.is_empty() => {
                write!(f, "{}:{line}", path.display())
            }
            Origin::File { path, line, key } => write!(f, "{}:{line}: {key}", path.display()),
            Origin::Argument(name) => write!(f, "argument {name}"),
            Origin::CommandLine => f.write_str("command line"),
        }
    }
}

/// The known name most like `name`, if one is alike enough to be what was meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The bar that clap sets for flags, so that every place suggests alike.
    const ALIKE: f64 = 0.7;
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = plain(name);
    let wanted = elsewhere(&wanted).map_or(wanted.as_str(), |ours| ours);
    known
        .into_iter()
        .map(|candidate| (strsim::jaro(wanted, &plain(candidate)), candidate))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

/// What other servers call by this name.
fn elsewhere(name: &str) -> Option<&'static str> {
    match name {
        "host" | "port" | "p" | "listen" | "l" => Some("bind"),
        "url_prefix" | "url_path_prefix" | "root_path" => Some("script_name"),
        "access_logfile" => Some("access_log_file"),
        "timeout" => Some("timeout_request"),
        "graceful_timeout" => Some("timeout_drain"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_meant() {
        let known = ["threads", "bind", "timeouts.head"];
        assert_eq!(nearest("thread", known), Some("threads"));
        assert_eq!(nearest("timeouts.haed", known), Some("timeouts.head"));
        assert_eq!(nearest("zebra", known), None);
        assert_eq!(nearest("port", known), Some("bind"));
    }

    #[test]
    fn an_error_says_where_and_what_to_write_instead() {
        let error = Complaint::new("\"x\" is not a number", "write a number")
            .at(Origin::Flag("--threads".into()));
        assert_eq!(
            error.to_string(),
            "flag --threads: \"x\" is not a number; write a number"
        );
        let file = Origin::File {
            path: "kirsch.toml".into(),
            line: 12,
            key: "limits.head".into(),
        };
        assert_eq!(file.to_string(), "kirsch.toml:12: limits.head");
    }
}
