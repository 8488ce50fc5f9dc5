//! The command line: what `kirsch` was asked to do, and with which settings.
//!
//! It owns the order of precedence. Nothing is printed and nobody exits in here:
//! the program runs inside an interpreter, and whoever called decides.
//! Read next: `flags.rs`, which reads the arguments.

use std::ffi::OsString;
use std::path::Path;

use crate::dispatch::Dispatch;
use crate::environment::{Environment, read_environment};
use crate::error::{ConfigError, Origin};
use crate::file::{ConfigFile, Content, find, read_named};
use crate::flags::{Asked, Verb, ask};
use crate::settings::{Given, Settings};
use crate::value::KeywordValue;

/// The exit code of a command line that cannot be followed.
pub(crate) const USAGE: u8 = 2;

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Serve applications and files.
    Serve {
        /// What to import, and which requests it is for.
        dispatch: Dispatch,
        /// How to serve it.
        settings: Box<Settings>,
    },
    /// Do everything short of serving them.
    Check {
        /// What to import, and which requests it is for.
        dispatch: Dispatch,
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
    let dispatch = Dispatch::new(&settings).map_err(|error| Exit::from_error(&error))?;
    if dispatch.routes.is_empty() {
        return Err(Exit::from_error(&no_application(&settings)));
    }
    let settings = Box::new(settings);
    Ok(match verb {
        Verb::Serve => Command::Serve { dispatch, settings },
        Verb::Check => Command::Check { dispatch, settings },
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
    let Content {
        given: file,
        applications,
        routes,
    } = file.map_or_else(Content::default, |ConfigFile { content, .. }| content);
    // The later ones take the place of the earlier.
    let mut settings =
        Settings::from_given([platform, file, own, flags].into_iter().flatten().collect())?;
    settings.applications = applications;
    settings.routes = routes;
    if let Some(path) = found {
        settings.found_file(&path);
    }
    Ok(settings)
}

fn no_application(settings: &Settings) -> ConfigError {
    if let Some(application) = settings.applications.first() {
        let hint = format!(
            "write [[routes]] and, below it, app = {:?}",
            application.name
        );
        let origin = application.origin.clone();
        return ConfigError::new(origin, "no route leads to an application", Some(hint));
    }
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
