//! Chores of the project: generated documents and the check of licences.
//!
//! `cargo run -p xtask -- docs` writes what is generated, `docs --check` only compares,
//! `licences` says what the dependencies are licensed under, `fence` that `unsafe` stands where it may.

#![forbid(unsafe_code)]

mod compared;
mod docs;
mod fence;
mod http_details;
mod licences;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo run -p xtask -- docs [--check]
       cargo run -p xtask -- licences
       cargo run -p xtask -- fence";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["docs"] => docs::write(&root()),
        ["docs", "--check"] => docs::check(&root()),
        ["licences"] => licences::check(&root()),
        ["fence"] => fence::check(&root()),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace, two above this crate.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
