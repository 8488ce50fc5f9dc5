//! The command line: what `kirsch` was asked to do, and with which settings.
//!
//! It owns the order of precedence. Nothing is printed and nobody exits in here:
//! the program runs inside an interpreter, and whoever called decides.
//! Read next: `flags.rs`, which reads the arguments.

use std::ffi::OsString;
use std::path::Path;

use crate::app_spec::AppSpec;
use crate::environment::{Environment, read_environment};
use crate::error::{ConfigError, Origin};
use crate::file::{ConfigFile, find, read_named};
use crate::flags::{Asked, Verb, ask};
use crate::settings::{Given, Settings};
use crate::value::KeywordValue;

/// The exit code of a command line that cannot be followed.
pub(crate) const USAGE: u8 = 2;

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Serve the application.
    Serve {
        /// The application to import.
        app: AppSpec,
        /// How to serve it.
        settings: Box<Settings>,
    },
    /// Do everything short of serving it.
    Check {
        /// The application to import.
        app: AppSpec,
        /// How it would be served.
        settings: Box<Settings>,
    },
}

/// Nothing to do: help or version were asked for, or the command line cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code of the program: 0, or 2 for a wrong command line, variable or file.
    pub code: u8,
    /// What to print on standard output; may be empty.
    pub stdout: String,
    /// What to print on standard error; may be empty.
    pub stderr: String,
}

/// Reads arguments (the program's name first), variables and file.
///
/// # Errors
/// When there is nothing to do: for help, version, and everything that cannot be followed.
pub fn from_command_line(
    args: impl IntoIterator<Item = OsString>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    cwd: &Path,
) -> Result<Command, Exit> {
    let Asked { verb, flags } = ask(args.into_iter().skip(1).collect(), cwd)?;
    let settings = gather(flags, env, cwd).map_err(|error| Exit::from_error(&error))?;
    let Some(app) = settings.app.clone() else {
        return Err(Exit::from_error(&no_application()));
    };
    let settings = Box::new(settings);
    Ok(match verb {
        Verb::Serve => Command::Serve { app, settings },
        Verb::Check => Command::Check { app, settings },
    })
}

/// Flags over variables over the file over what platforms set.
fn gather(
    flags: Vec<Given>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    cwd: &Path,
) -> Result<Settings, ConfigError> {
    let Environment { own, platform } = read_environment(env, cwd)?;
    // Asked of flags and variables alone, since it says which file to read.
    let named = flags
        .iter()
        .chain(&own)
        .find(|given| given.option.name == "config");
    let file = match named.map(|given| (&given.value, &given.origin)) {
        Some((KeywordValue::Str(name), origin)) => Some(read_named(name, cwd, origin.clone())?),
        _ => find(cwd)?,
    };
    let found = file.as_ref().map(|file| file.path.clone());
    let file = file.map_or_else(Vec::new, |ConfigFile { given, .. }| given);
    // The later ones take the place of the earlier.
    let mut settings =
        Settings::from_given([platform, file, own, flags].into_iter().flatten().collect())?;
    if let Some(path) = found {
        settings.found_file(&path);
    }
    Ok(settings)
}

fn no_application() -> ConfigError {
    let hint = "write kirsch serve module:attribute or kirsch serve file.py, or put app = \"module:attribute\" into kirsch.toml";
    ConfigError::new(
        Origin::CommandLine,
        "no application is named",
        Some(hint.to_owned()),
    )
}

impl Exit {
    /// One line, as every message of the program.
    pub(crate) fn from_error(error: &ConfigError) -> Self {
        Exit {
            code: USAGE,
            stdout: String::new(),
            stderr: format!("kirsch: {error}\n"),
        }
    }
}
