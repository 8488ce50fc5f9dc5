//! A configuration file: settings, or one message that says the line.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use kirsch_config::{Command, Exit, from_command_line};

pub(crate) fn run(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = read(folder.path(), bytes);
    assert_eq!(
        read(folder.path(), bytes),
        first,
        "the same file means the same"
    );
    match &first {
        Ok(Command::Serve { settings, .. }) => {
            assert!(settings.describe().ends_with('\n'));
        }
        Ok(Command::Check { .. }) => panic!("nobody asked for a check"),
        Err(exit) => check_refusal(exit, bytes),
    }
    // A mark in front of everything belongs to the first line alone.
    if !bytes.starts_with(b"\xef\xbb\xbf") {
        let moved = read(folder.path(), &[b"# a comment\n", bytes].concat());
        assert_eq!(below_a_comment(&first), place_taken_out(&moved));
    }
}

/// What `kirsch m` makes of the file.
fn read(folder: &Path, bytes: &[u8]) -> Result<Command, Exit> {
    fs::write(folder.join("kirsch.toml"), bytes).expect("the folder can be written");
    from_command_line(["kirsch", "m"].map(OsString::from), [], folder)
}

fn check_refusal(exit: &Exit, bytes: &[u8]) {
    assert_eq!((exit.code, exit.stdout.as_str()), (2, ""));
    let message = exit.stderr.strip_prefix("kirsch: kirsch.toml");
    let message = message.unwrap_or_else(|| panic!("no place: {:?}", exit.stderr));
    if let Some((line, _)) = line_of(message) {
        let lines = memchr::memchr_iter(b'\n', bytes).count() + 1;
        assert!((1..=lines).contains(&line), "{:?}", exit.stderr);
    }
}

/// The line in `:3: message`, and the message.
fn line_of(message: &str) -> Option<(usize, &str)> {
    let (line, rest) = message.strip_prefix(':')?.split_once(':')?;
    Some((line.parse().ok()?, rest))
}

/// An outcome without what depends on the place.
#[derive(PartialEq, Debug)]
enum Outcome {
    Settings(String),
    Refusal(Option<usize>, String),
}

fn place_taken_out(outcome: &Result<Command, Exit>) -> Outcome {
    match outcome {
        Ok(Command::Serve { settings, dispatch } | Command::Check { settings, dispatch }) => {
            let described = settings.describe();
            let values = described.lines().map(|line| match line.rfind("# ") {
                Some(at) => &line[..at],
                None => line,
            });
            let routes = dispatch.brief();
            let values = values.chain([routes.as_str()]);
            Outcome::Settings(values.collect::<Vec<_>>().join("\n"))
        }
        Err(exit) => {
            let message = exit.stderr.trim_start_matches("kirsch: kirsch.toml");
            match line_of(message) {
                Some((line, rest)) => Outcome::Refusal(Some(line), rest.to_owned()),
                None => Outcome::Refusal(None, message.to_owned()),
            }
        }
    }
}

/// What the outcome becomes if a line is put in front.
fn below_a_comment(outcome: &Result<Command, Exit>) -> Outcome {
    match place_taken_out(outcome) {
        Outcome::Refusal(line, text) => Outcome::Refusal(line.map(|line| line + 1), text),
        settings @ Outcome::Settings(_) => settings,
    }
}
