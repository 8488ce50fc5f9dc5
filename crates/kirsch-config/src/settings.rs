//! The settings: everything that was typed, validated, with the origin of each value.
//!
//! They are the server's [`Config`] and what only a program needs beside it.
//! Read next: `options.rs`, which says what fills each field.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use kirsch_server::{Bind, Config, UnknownHost};

use crate::application::Application;
use crate::bind::Listen;
use crate::error::{ConfigError, Origin, nearest};
use crate::mount::{MountedApp, StaticFolder};
use crate::option::OptionSpec;
use crate::options::options;
use crate::route::RouteSpec;
use crate::tls::TlsOptions;
use crate::value::KeywordValue;

/// What is meant by everything that was typed.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What the server is told.
    pub config: Config,
    /// Where to listen, as typed; `config.binds` is made of it.
    pub listen: Vec<Listen>,
    /// TLS as typed; `config.tls` is made of it.
    pub tls: TlsOptions,
    /// The applications that were named outside of tables, each perhaps with a host and a path.
    pub app: Vec<MountedApp>,
    /// Folders of files that are served beside the applications.
    pub static_folders: Vec<StaticFolder>,
    /// The answer to a request for a host that no route is for.
    pub unknown_host: UnknownHost,
    /// The applications that the file describes in tables.
    pub applications: Vec<Application>,
    /// The routes that the file describes, in the order written.
    pub routes: Vec<RouteSpec>,
    /// The folder to change to before the application is imported.
    pub chdir: Option<PathBuf>,
    /// The part of the path that leads to the application: `SCRIPT_NAME`. Empty, or with a slash before and none after.
    pub script_name: String,
    /// Folders whose files applications may name in `X-Sendfile`; none leaves the field as it is.
    pub x_sendfile: Vec<PathBuf>,
    /// What the server's own log leaves out.
    pub log_level: LogLevel,
    /// The configuration file that was read.
    pub config_file: Option<PathBuf>,
    /// By the option's name; what is not in here has its default.
    origins: BTreeMap<&'static str, Origin>,
}

/// The least important event that is still logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What the operator has to mend.
    Error,
    /// What the operator should look at.
    Warn,
    /// Start, stop and what changes between them.
    #[default]
    Info,
    /// Also the mistakes of peers.
    Debug,
}

/// A value with its place, before it is put into the settings.
pub(crate) struct Given {
    pub(crate) option: &'static OptionSpec,
    pub(crate) value: KeywordValue,
    pub(crate) origin: Origin,
    /// Where relative paths begin.
    pub(crate) base: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        let config = Config::default();
        let listen = |bind: &Bind| Listen {
            bind: bind.clone(),
            scheme: None,
        };
        Settings {
            listen: config.binds.iter().map(listen).collect(),
            config,
            tls: TlsOptions::default(),
            app: Vec::new(),
            static_folders: Vec::new(),
            unknown_host: UnknownHost::default(),
            applications: Vec::new(),
            routes: Vec::new(),
            chdir: None,
            script_name: String::new(),
            x_sendfile: Vec::new(),
            log_level: LogLevel::default(),
            config_file: None,
            origins: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Settings from the keyword arguments of the Python API. No variable and no file is read.
    ///
    /// # Errors
    /// When a keyword is not known or its value is of no use; the origin is `argument NAME`.
    pub fn from_keywords(
        keywords: impl IntoIterator<Item = (String, KeywordValue)>,
    ) -> Result<Self, ConfigError> {
        let mut given = Vec::new();
        for (name, value) in keywords {
            let origin = Origin::Argument(name.clone());
            let Some(option) = options()
                .iter()
                .find(|option| option.keyword().as_ref() == Some(&name))
            else {
                return Err(unknown_keyword(origin, &name));
            };
            given.push(Given {
                option,
                value,
                origin,
                base: PathBuf::new(),
            });
        }
        Settings::from_given(given)
    }

    /// Settings from values of which, for each option, the last one counts.
    pub(crate) fn from_given(all: Vec<Given>) -> Result<Self, ConfigError> {
        let mut settings = Settings::default();
        let mut given: BTreeMap<&str, Given> = BTreeMap::new();
        for one in all {
            if let Some(outdone) = given.insert(one.option.name, one)
                && outdone.option.stands_alone()
            {
                // What is wrong is said where it stands, not on the day on which nothing wins over it any more.
                Settings::default().put(outdone)?;
            }
        }
        // In the list's order, not in the order given: some options complete what others began.
        for option in options() {
            if let Some(given) = given.remove(option.name) {
                settings.put(given)?;
            }
        }
        settings.bring_together()?;
        Ok(settings)
    }

    /// What several options say together.
    fn bring_together(&mut self) -> Result<(), ConfigError> {
        let Settings {
            tls,
            listen,
            config,
            ..
        } = self;
        tls.apply(listen, config)
            .map_err(|(option, complaint)| complaint.at(self.origin(option).clone()))
    }

    fn put(&mut self, given: Given) -> Result<(), ConfigError> {
        let Given {
            option,
            value,
            origin,
            base,
        } = given;
        if value == KeywordValue::None && !option.can_be_off() {
            return Ok(());
        }
        option
            .set(self, &value, &base)
            .map_err(|complaint| complaint.at(origin.clone()))?;
        self.origins.insert(option.name, origin);
        Ok(())
    }

    /// Notes the file that was read, where nobody named it.
    pub(crate) fn found_file(&mut self, path: &Path) {
        self.config_file = Some(path.to_owned());
    }

    /// Where the value of an option came from, by the option's name.
    pub fn origin(&self, name: &str) -> &Origin {
        self.origins.get(name).unwrap_or(&Origin::Default)
    }

    /// The settings in force, one a line, each with its origin.
    pub fn describe(&self) -> String {
        let available: Vec<_> = options()
            .iter()
            .filter(|option| option.available())
            .collect();
        let lines: Vec<_> = available
            .iter()
            .map(|option| format!("{} = {}", option.name, option.text(self)))
            .collect();
        let width = lines
            .iter()
            .map(|line| line.chars().count())
            .filter(|width| *width <= 48)
            .max()
            .unwrap_or(0);
        let mut text = String::new();
        for (line, option) in lines.iter().zip(available) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{line:width$}  # {}", self.origin(option.name));
        }
        text
    }
}

impl LogLevel {
    /// Every level, the most important first.
    pub const ALL: [LogLevel; 4] = [
        LogLevel::Error,
        LogLevel::Warn,
        LogLevel::Info,
        LogLevel::Debug,
    ];

    /// The level as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        }
    }
}

fn unknown_keyword(origin: Origin, name: &str) -> ConfigError {
    let belongs = options()
        .iter()
        .any(|option| option.keyword().is_none() && option.name == name);
    if belongs {
        return ConfigError::new(origin, "belongs to the command line", None);
    }
    let known: Vec<String> = options().iter().filter_map(OptionSpec::keyword).collect();
    let hint =
        nearest(name, known.iter().map(String::as_str)).map(|name| format!("did you mean {name}?"));
    ConfigError::new(origin, "is not a known argument", hint)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(value: &str) -> KeywordValue {
        KeywordValue::Str(value.to_owned())
    }

    fn keywords(given: &[(&str, KeywordValue)]) -> Result<Settings, ConfigError> {
        Settings::from_keywords(
            given
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        )
    }

    #[test]
    fn nothing_given_is_the_default() {
        assert_eq!(keywords(&[]), Ok(Settings::default()));
    }

    #[test]
    fn keywords_take_texts_and_numbers_alike() {
        let given = [
            ("timeout_drain", text("20s")),
            ("timeout_head", KeywordValue::Float(0.5)),
            ("limit_body", KeywordValue::Int(1024)),
            ("threads", KeywordValue::Int(4)),
            (
                "bind",
                KeywordValue::List(vec![text("@one"), KeywordValue::Int(8001)]),
            ),
        ];
        let config = keywords(&given).expect("all are fine").config;
        assert_eq!(config.timeouts.drain, Duration::from_secs(20));
        assert_eq!(config.timeouts.head, Duration::from_millis(500));
        assert_eq!(
            (config.limits.body_bytes, config.threads, config.binds.len()),
            (1024, 4, 2)
        );
    }

    #[test]
    fn none_is_off_where_an_option_can_be_off_and_the_default_elsewhere() {
        let settings = keywords(&[
            ("server_name", KeywordValue::None),
            ("threads", KeywordValue::None),
        ])
        .expect("fine");
        assert_eq!(
            (settings.config.server_name, settings.config.threads),
            (None, 10)
        );
    }

    #[test]
    fn an_argument_that_is_wrong_is_named() {
        let message = |given| keywords(&[given]).expect_err("is refused").to_string();
        assert_eq!(
            message(("thread", KeywordValue::Int(1))),
            "argument thread: is not a known argument; did you mean threads?"
        );
        assert_eq!(
            message(("chdir", text("/"))),
            "argument chdir: belongs to the command line"
        );
        let refused = message(("threads", KeywordValue::Bool(true)));
        assert!(
            refused.starts_with("argument threads: true is not a whole number from 1 to"),
            "{refused}"
        );
    }

    #[test]
    fn the_settings_in_force_are_described_with_their_origin() {
        let settings = keywords(&[("threads", KeywordValue::Int(4))]).expect("fine");
        let described = settings.describe();
        let line = |start: &str| {
            described
                .lines()
                .find(|line| line.starts_with(start))
                .map(str::to_owned)
        };
        assert!(
            line("threads = 4 ").is_some_and(|line| line.ends_with("# argument threads")),
            "{described}"
        );
        assert!(
            line("bind = 127.0.0.1:8000 ").is_some_and(|line| line.ends_with("# default")),
            "{described}"
        );
    }
}
