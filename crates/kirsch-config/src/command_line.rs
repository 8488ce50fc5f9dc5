//! The command line: what `kirsch` was asked to do, and with which settings.
//!
//! The flags are made of the list in `options.rs`. Nothing is printed and nobody exits in here:
//! the program runs inside an interpreter, and whoever called decides.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::OsStringValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches};

use crate::app_spec::AppSpec;
use crate::environment::{Environment, read_environment};
use crate::error::{ConfigError, Origin};
use crate::file::{ConfigFile, find, read_named};
use crate::option::OptionSpec;
use crate::options::options;
use crate::settings::{Given, Settings};
use crate::value::{KeywordValue, Kind};

/// The exit code of a command line that cannot be followed.
const USAGE: u8 = 2;

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

/// What stands before the application.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Serve,
    Check,
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
    let matches = command()
        .try_get_matches_from(args)
        .map_err(|error| Exit::from_clap(&error))?;
    let (verb, matches) = match matches.subcommand() {
        None | Some(("serve", _)) => (
            Verb::Serve,
            matches.subcommand_matches("serve").unwrap_or(&matches),
        ),
        Some(("check", matches)) => (Verb::Check, matches),
        Some((later, _)) => return Err(Exit::from_error(&not_yet(later))),
    };
    let settings = gather(matches, env, cwd).map_err(|error| Exit::from_error(&error))?;
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
    matches: &ArgMatches,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    cwd: &Path,
) -> Result<Settings, ConfigError> {
    let flags = read_flags(matches, cwd)?;
    let Environment { own, platform } = read_environment(env, cwd)?;
    // Asked of flags and variables alone, since it says which file to read.
    let named = flags
        .iter()
        .chain(&own)
        .find(|given| given.option.kind == Kind::Path && given.option.name == "config");
    let file = match named {
        Some(Given {
            value: KeywordValue::Str(path),
            origin,
            ..
        }) => Some(read_named(&cwd.join(path), origin.clone())?),
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

fn read_flags(matches: &ArgMatches, cwd: &Path) -> Result<Vec<Given>, ConfigError> {
    let mut flags = Vec::new();
    for option in options() {
        let Some((value, origin)) = read_flag(matches, option)? else {
            continue;
        };
        flags.push(Given {
            option,
            value,
            origin,
            base: cwd.to_owned(),
        });
    }
    Ok(flags)
}

fn read_flag(
    matches: &ArgMatches,
    option: &OptionSpec,
) -> Result<Option<(KeywordValue, Origin)>, ConfigError> {
    let origin = Origin::Flag(option.flag());
    if option.kind == Kind::Switch {
        let no = negation(option);
        return Ok(
            match (matches.get_flag(option.name), matches.get_flag(&no)) {
                (true, _) => Some((KeywordValue::Bool(true), origin)),
                (false, true) => Some((KeywordValue::Bool(false), Origin::Flag(format!("--{no}")))),
                (false, false) => None,
            },
        );
    }
    let Some(values) = matches.get_many::<OsString>(option.name) else {
        return Ok(None);
    };
    let mut texts = Vec::new();
    for value in values {
        let Some(text) = value.to_str() else {
            return Err(ConfigError::new(origin, "is not valid UTF-8", None));
        };
        texts.push(KeywordValue::Str(text.to_owned()));
    }
    let value = if option.kind == Kind::Binds {
        Some(KeywordValue::List(texts))
    } else {
        texts.pop()
    };
    Ok(value.map(|value| (value, origin)))
}

fn command() -> clap::Command {
    let flags = || options().iter().flat_map(arguments);
    let hidden = |name: &'static str| {
        let rest = Arg::new("rest")
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true);
        clap::Command::new(name)
            .hide(true)
            .disable_help_flag(true)
            .arg(rest)
    };
    let serve = clap::Command::new("serve")
        .about("Serve an application; the word may be left out")
        .args(flags());
    let check = clap::Command::new("check")
        .about("Do everything short of serving")
        .args(flags());
    clap::Command::new("kirsch")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A web server for Python applications")
        .after_help(AFTER_HELP)
        .max_term_width(100)
        .args_conflicts_with_subcommands(true)
        .args(flags())
        .subcommands([serve, check, hidden("run"), hidden("migrate")])
}

const AFTER_HELP: &str = "\
Sizes are written 4096, 64KiB, 10MB; durations 500ms, 30s, 2m.
Every option is also a variable, KIRSCH_ and its name (KIRSCH_LIMIT_HEAD), and a key in kirsch.toml
or in [tool.kirsch] of pyproject.toml. Flags win over variables, variables over the file.";

/// The arguments an option becomes: two for a switch, so that a file's yes can be taken back.
fn arguments(option: &'static OptionSpec) -> Vec<Arg> {
    let arg = Arg::new(option.name)
        .help(help(option))
        .help_heading(option.group.title())
        .display_order(0);
    let arg = if option.available() {
        arg
    } else {
        arg.hide(true)
    };
    let arg = match option.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    let value = |arg: Arg| {
        arg.value_name(option.kind.placeholder())
            .value_parser(OsStringValueParser::new())
    };
    match option.kind {
        Kind::App => vec![value(arg)],
        Kind::Binds => vec![value(arg).long(option.name).action(ArgAction::Append)],
        Kind::AccessLogFormat => {
            let arg = value(arg).long(option.name);
            vec![
                arg.num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("combined"),
            ]
        }
        Kind::Switch => switch(option, arg),
        _ => vec![value(arg).long(option.name)],
    }
}

/// Help shows the one of the two that changes something.
fn switch(option: &'static OptionSpec, arg: Arg) -> Vec<Arg> {
    let is_on = option.default_text() == "true";
    let no = negation(option);
    let yes = arg
        .long(option.name)
        .action(ArgAction::SetTrue)
        .conflicts_with(&no);
    let no = yes
        .clone()
        .id(no.clone())
        .long(no)
        .conflicts_with(option.name);
    let (yes, no) = if is_on {
        (yes.hide(true), no)
    } else {
        (yes, no.hide(true))
    };
    vec![yes, no]
}

fn negation(option: &OptionSpec) -> String {
    format!("no-{}", option.name)
}

fn help(option: &OptionSpec) -> String {
    let doc = option.doc.trim_end_matches('.').replace('`', "");
    match option.kind {
        Kind::App => doc,
        _ => format!("{doc} [default: {}]", option.default_text()),
    }
}

fn not_yet(verb: &str) -> ConfigError {
    let what = if verb == "run" {
        "running a script unchanged"
    } else {
        "migrating from another server"
    };
    let hint = "write kirsch serve module:attribute".to_owned();
    let message = format!("`kirsch {verb}`: {what} is not available in this version");
    ConfigError::new(Origin::CommandLine, message, Some(hint))
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
    fn from_clap(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit {
                code: 0,
                stdout: text,
                stderr: String::new(),
            },
            _ => Exit {
                code: USAGE,
                stdout: String::new(),
                stderr: text,
            },
        }
    }

    /// In the form that clap gives to the errors it finds itself.
    fn from_error(error: &ConfigError) -> Self {
        let tip = error
            .hint
            .as_ref()
            .map(|hint| format!("\n  tip: {hint}\n"))
            .unwrap_or_default();
        let stderr = format!(
            "error: {}: {}\n{tip}\nFor more information, try '--help'.\n",
            error.origin, error.message
        );
        Exit {
            code: USAGE,
            stdout: String::new(),
            stderr,
        }
    }
}
