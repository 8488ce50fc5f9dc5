//! The arguments of the command line: the verb, and the flags made of the list in `options.rs`.
//!
//! It is the only file that knows clap, and clap knows only texts: values are read elsewhere, as those of all places.
//! The verb is read before clap sees the rest, because it may be left out.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::OsStringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches};

use crate::command_line::{Exit, USAGE};
use crate::error::{ConfigError, Origin, nearest};
use crate::option::OptionSpec;
use crate::options::options;
use crate::settings::Given;
use crate::value::{KeywordValue, Kind};

/// What the arguments ask for.
pub(crate) struct Asked {
    pub(crate) verb: Verb,
    /// What the flags give, each option at most once.
    pub(crate) flags: Vec<Given>,
}

/// What to do with the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Serve,
    Check,
}

/// The commands. The last two are the Python package's: where they come first, they do not get here.
const VERBS: [&str; 4] = ["serve", "check", "run", "migrate"];

/// Reads the arguments after the program's name; relative paths begin at `cwd`.
pub(crate) fn ask(mut args: Vec<OsString>, cwd: &Path) -> Result<Asked, Exit> {
    let (verb, usage) = match args.first().and_then(|first| first.to_str()) {
        Some("serve") => (Some(Verb::Serve), "kirsch serve [OPTIONS] [APP]..."),
        Some("check") => (Some(Verb::Check), "kirsch check [OPTIONS] [APP]..."),
        Some("help") => {
            args = vec!["--help".into()];
            (None, USAGES)
        }
        Some(_) | None => (None, USAGES),
    };
    if verb.is_some() {
        args.remove(0);
    }
    let command = command(verb).override_usage(usage);
    match command.try_get_matches_from(&args) {
        Ok(matches) => {
            if let Some(better) = explain_words(&matches, verb, &args) {
                return Err(Exit::from_error(&better));
            }
            let flags = read_flags(&matches, cwd).map_err(|error| Exit::from_error(&error))?;
            Ok(Asked {
                verb: verb.unwrap_or(Verb::Serve),
                flags,
            })
        }
        Err(error) => {
            let better = explain(&error, &args);
            Err(better.map_or_else(|| from_clap(error), |better| Exit::from_error(&better)))
        }
    }
}

fn read_flags(matches: &ArgMatches, cwd: &Path) -> Result<Vec<Given>, ConfigError> {
    let mut flags = Vec::new();
    for option in options().iter().filter(|option| option.has_flag()) {
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
    let value = if option.kind.is_list() {
        Some(KeywordValue::List(texts))
    } else {
        texts.pop()
    };
    Ok(value.map(|value| (value, origin)))
}

/// The name of the flag that says no to a switch.
fn negation(option: &OptionSpec) -> String {
    format!("no-{}", option.name)
}

const USAGES: &str = "kirsch [serve] [OPTIONS] [APP]...\n       kirsch check [OPTIONS] [APP]...\n       kirsch run FILE [ARGUMENTS]...\n       kirsch migrate FILE";

const BEFORE_HELP: &str = "\
Commands:
  serve    Serve the application; the word may be left out
  check    Do everything short of serving
  run      Run a program of web.py's, CherryPy's or cheroot's unchanged, with Kirsch as its server
  migrate  Print the kirsch.toml that is equivalent to a gunicorn.conf.py or uwsgi.ini";

const AFTER_HELP: &str = "\
Sizes are written 4096, 64KiB, 10MB; durations 500ms, 30s, 2m.
Every option is also a variable, KIRSCH_ and its name (KIRSCH_LIMIT_HEAD), and a key in kirsch.toml
or in [tool.kirsch] of pyproject.toml. Flags win over variables, variables over the file.";

fn command(verb: Option<Verb>) -> clap::Command {
    // Whoever has written one needs no list of them.
    let commands = if verb.is_none() {
        format!("{BEFORE_HELP}\n\n")
    } else {
        String::new()
    };
    let flags = options()
        .iter()
        .enumerate()
        .filter(|(_, option)| option.has_flag())
        .flat_map(|(place, option)| arguments(place, option));
    clap::Command::new("kirsch")
        .no_binary_name(true)
        .version(env!("CARGO_PKG_VERSION"))
        .about("A web server for Python applications")
        .help_template(format!(
            "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{commands}{{all-args}}{{after-help}}"
        ))
        .after_help(AFTER_HELP)
        .max_term_width(100)
        .args(flags)
}

/// The arguments an option becomes: two for a switch, so that a file's yes can be taken back.
fn arguments(place: usize, option: &'static OptionSpec) -> Vec<Arg> {
    let arg = Arg::new(option.name)
        .help(help(option))
        .display_order(place);
    let arg = arg.hide(!option.available());
    let arg = match option.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    let value = |arg: Arg| {
        arg.value_name(option.kind.placeholder())
            .value_parser(OsStringValueParser::new())
            // That a number must not be negative is for whoever reads it to say.
            .allow_negative_numbers(option.kind != Kind::Apps)
    };
    let flag = |arg: Arg| arg.long(option.name).help_heading(option.group.title());
    match option.kind {
        Kind::Apps => vec![value(arg).num_args(0..)],
        Kind::Switch => switch(option, flag(arg)),
        kind if kind.is_list() => vec![value(flag(arg)).action(ArgAction::Append)],
        Kind::AccessLogFormat => {
            let arg = value(flag(arg)).num_args(0..=1).require_equals(true);
            vec![arg.default_missing_value("combined")]
        }
        _ => vec![value(flag(arg))],
    }
}

/// The last of the two wins; help shows the one that changes something.
fn switch(option: &'static OptionSpec, arg: Arg) -> Vec<Arg> {
    let is_on = option.default_text() == "true";
    let name = negation(option);
    let arg = arg.action(ArgAction::SetTrue);
    let hidden = |arg: Arg, hide| if hide { arg.hide(true) } else { arg };
    let yes = hidden(arg.clone().overrides_with(&name), is_on);
    let no = hidden(
        arg.id(name.clone())
            .long(name)
            .help(turns_off(option))
            .overrides_with(option.name),
        !is_on,
    );
    vec![yes, no]
}

fn help(option: &OptionSpec) -> String {
    let doc = option.doc.trim_end_matches('.').replace('`', "");
    match option.default_text().as_str() {
        "" | "none" => doc,
        default => format!("{doc} [default: {default}]"),
    }
}

/// What the flag that says no does.
fn turns_off(option: &OptionSpec) -> String {
    let doc = option.doc.trim_end_matches('.').replace('`', "");
    format!("Turns off that {}", doc.trim_start_matches("Whether "))
}

fn verb_comes_first(word: &str) -> ConfigError {
    let hint = format!(
        "write kirsch {word} before the flags; a module of that name is {word}:application"
    );
    ConfigError::new(
        Origin::CommandLine,
        format!("`{word}` comes first"),
        Some(hint),
    )
}

/// What was meant by words that cannot all be applications: a verb in the wrong place, or misspelt, or a format.
fn explain_words(
    matches: &ArgMatches,
    verb: Option<Verb>,
    args: &[OsString],
) -> Option<ConfigError> {
    let apps = matches.get_many::<OsString>("app")?;
    let words: Vec<&str> = apps.filter_map(|app| app.to_str()).collect();
    if verb.is_none()
        && let Some(word) = words.iter().find(|word| VERBS.contains(word))
    {
        return Some(verb_comes_first(word));
    }
    // Only one may do without a host or a path before it.
    let bare: Vec<&str> = words
        .into_iter()
        .filter(|word| !word.contains('='))
        .collect();
    let [first, second, ..] = *bare.as_slice() else {
        return None;
    };
    let mut behind = args.iter().skip_while(|arg| *arg != "--access-log").skip(1);
    if let Some(format) = behind.next().and_then(|format| format.to_str())
        && bare.contains(&format)
    {
        let hint = format!("write --access-log={format}");
        let origin = Origin::Flag("--access-log".to_owned());
        let message = "takes its format behind an equals sign";
        return Some(ConfigError::new(origin, message, Some(hint)));
    }
    if verb.is_some() || args.first().is_none_or(|word| word != first) {
        return None;
    }
    let meant = nearest(first, VERBS)?;
    let hint = format!("did you mean kirsch {meant} {second}?");
    Some(ConfigError::new(
        Origin::CommandLine,
        format!("`{first}` is not a command"),
        Some(hint),
    ))
}

/// What clap cannot know about a flag that it refuses.
fn explain(error: &clap::Error, args: &[OsString]) -> Option<ConfigError> {
    let Some(ContextValue::String(refused)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let (origin, message, hint) = match error.kind() {
        ErrorKind::TooManyValues => {
            let name = refused.trim_start_matches('-');
            let option = options()
                .iter()
                .find(|option| option.name == name || negation(option) == name)?;
            let hint = format!("write --{} or --{} alone", option.name, negation(option));
            (Origin::Flag(refused.clone()), "takes no value", hint)
        }
        ErrorKind::UnknownArgument
            if refused
                .get(1..)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) =>
        {
            let hint = "write a number without a sign: nothing can be negative".to_owned();
            (Origin::Flag(refused.clone()), "is not a known flag", hint)
        }
        ErrorKind::UnknownArgument => {
            // Never the example's value, which may be an address for everybody.
            let value = value_of(refused, args);
            let known = options().iter().filter(|option| option.available());
            let meant = nearest(
                refused.trim_start_matches('-'),
                known.map(|option| option.name),
            )?;
            let option = options().iter().find(|option| option.name == meant)?;
            if !option.has_flag() {
                // Nor is the value for a message.
                let hint = format!("others can read command lines: set {}", option.variable());
                let origin = Origin::Flag(refused.clone());
                return Some(ConfigError::new(origin, "is not a known flag", Some(hint)));
            }
            let written = match (option.kind, value) {
                (Kind::Switch, _) => option.flag(),
                (Kind::AccessLogFormat, Some(value)) => format!("{}={value}", option.flag()),
                (_, Some(value)) => format!("{} {value}", option.flag()),
                (_, None) => format!("{} {}", option.flag(), option.kind.placeholder()),
            };
            let hint = format!("did you mean {written}?");
            (Origin::Flag(refused.clone()), "is not a known flag", hint)
        }
        _ => return None,
    };
    Some(ConfigError::new(origin, message, Some(hint)))
}

/// The value that was typed for a flag nobody knows: behind an equals sign, or as the next word.
fn value_of<'a>(flag: &str, args: &'a [OsString]) -> Option<&'a str> {
    let place = args.iter().position(|arg| {
        let arg = arg.to_str().unwrap_or_default();
        arg.split_once('=').map_or(arg, |(name, _)| name) == flag
    })?;
    let typed = args[place].to_str()?.split_once('=');
    let next = || {
        args.get(place + 1)?
            .to_str()
            .filter(|next| !next.starts_with('-'))
    };
    typed.map(|(_, value)| value).or_else(next)
}

fn from_clap(mut error: clap::Error) -> Exit {
    if error.get(ContextKind::SuggestedArg).is_none() {
        // What begins with a dash is a flag that is misspelt, not an application that is called so.
        error.remove(ContextKind::Suggested);
    }
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
            stderr: format!("kirsch: command line: {}\n", in_one_line(&text)),
        },
    }
}

/// What clap says over several paragraphs: what is wrong, tips, usage, where to read on.
fn in_one_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim);
    let wrong = lines.next().unwrap_or_default();
    let tips = lines.filter_map(|line| line.strip_prefix("tip: "));
    let said: Vec<&str> = std::iter::once(wrong.trim_start_matches("error: "))
        .chain(tips)
        .chain(["kirsch --help lists the options"])
        .collect();
    said.join("; ")
}
