//! The fence around `unsafe`: it stands in the files named here and nowhere else, each use with its reason.
//!
//! The compiler does most of it: `#![forbid(unsafe_code)]` at the root of every crate, and in every file of
//! the crates for Python but those in which pyo3's macros generate some. This looks that none of these lines was
//! taken away, and at what the compiler does not see.

use std::fs;
use std::path::{Path, PathBuf};

/// The files that may hold `unsafe`.
const FENCED: [&str; 1] = ["crates/kirsch-python/src/ffi.rs"];

/// Where Rust stands.
const FOLDERS: [&str; 3] = ["crates", "examples", "fuzz/fuzz_targets"];

/// The crates that deny `unsafe` and do not forbid it, since pyo3's macros generate some in them.
const PYTHON: [&str; 3] = [
    "crates/kirsch-extension/",
    "crates/kirsch-python/",
    "examples/two-hosts/server/",
];

const FORBID: &str = "#![forbid(unsafe_code)]";

/// The macros that generate `unsafe`, for which a file is let off with the crate's `deny`.
const GENERATORS: [&str; 4] = ["#[pyclass", "#[pymethods", "#[pyfunction", "#[pymodule"];

/// Checks every Rust file and the lints of every crate.
pub fn check(root: &Path) -> Result<String, String> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(&root.join(folder), &mut files)?;
    }
    let mut faults = Vec::new();
    for path in &files {
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
        let text = fs::read_to_string(path).map_err(|err| format!("{name}: {err}"))?;
        if name.ends_with("/Cargo.toml") {
            faults.extend(faults_of_manifest(&name, &text));
        } else {
            faults.extend(faults_of(&name, &text));
        }
    }
    for name in FENCED {
        if !root.join(name).is_file() {
            faults.push(format!("{name}: is fenced and not there"));
        }
    }
    match faults.is_empty() {
        true => Ok(format!(
            "{} files, unsafe in {} of them",
            files.len(),
            FENCED.len()
        )),
        false => Err(faults.join("\n")),
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|err| format!("{}: {err}", folder.display()))?;
    for entry in entries {
        let path = entry
            .map_err(|err| format!("{}: {err}", folder.display()))?
            .path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "rs")
            || path.ends_with("Cargo.toml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

/// What is wrong with a Rust file.
fn faults_of(name: &str, text: &str) -> Vec<String> {
    match FENCED.contains(&name) {
        true => unexplained(name, text),
        false => outside(name, text),
    }
}

/// Within the fence each use says why it is sound, in the comment right above.
fn unexplained(name: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut faults = Vec::new();
    for (idx, line) in lines.iter().enumerate() {
        let uses = words_of(line).filter(|word| *word == "unsafe").count();
        let explained = lines[..idx]
            .iter()
            .rev()
            .map(|line| line.trim_start())
            .take_while(|line| line.starts_with("//"))
            .any(|line| line.starts_with("// SAFETY: "));
        if uses > 1 || (uses == 1 && !explained) {
            faults.push(format!(
                "{name}:{}: one unsafe operation a line, below a `// SAFETY:` of its own",
                idx + 1
            ));
        }
    }
    faults
}

fn outside(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (idx, line) in text.lines().enumerate() {
        let lifts = ["allow(unsafe_code", "expect(unsafe_code"];
        let is_lifted = code_of(line).any(|part| lifts.iter().any(|lift| part.contains(lift)));
        if is_lifted || words_of(line).any(|word| word == "unsafe") {
            faults.push(format!("{name}:{}: unsafe outside the fence", idx + 1));
        }
    }
    let is_root = name.ends_with("/src/lib.rs") || name.ends_with("/src/main.rs");
    let is_python = is_python(name);
    let generates = GENERATORS.iter().any(|word| text.contains(word));
    if (is_root || is_python)
        && !(is_python && generates)
        && !text.lines().any(|line| line == FORBID)
    {
        faults.push(format!("{name}: {FORBID} is missing"));
    }
    faults
}

fn is_python(name: &str) -> bool {
    PYTHON.iter().any(|folder| name.starts_with(folder))
}

/// Every crate has the workspace's lints, or denies what it cannot forbid.
fn faults_of_manifest(name: &str, text: &str) -> Option<String> {
    let wanted = match is_python(name) {
        true => "unsafe_code = \"deny\"",
        false => "[lints]\nworkspace = true",
    };
    (!text.contains(wanted)).then(|| format!("{name}: {wanted:?} is missing"))
}

/// The words of a line's code.
fn words_of(line: &str) -> impl Iterator<Item = &str> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    code_of(line).flat_map(move |part| part.split(move |letter: char| !is_word(letter)))
}

/// The parts of a line that are neither comment nor literal.
fn code_of(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    code.split('"').step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_outside_the_fence_is_found() {
        let name = "crates/kirsch-http/src/span.rs";
        for bad in [
            "let x = unsafe { *pointer };",
            "unsafe impl Send for Span {}",
            "#[unsafe(no_mangle)]",
            "#![allow(unsafe_code)]",
            "#[expect(unsafe_code, reason = \"it is quick\")]",
        ] {
            assert_eq!(faults_of(name, bad).len(), 1, "{bad}");
        }
        let literal = ["let word = ", "unsafe", ";"].join("\"");
        for good in [
            "// unsafe would be quicker",
            &literal,
            "fn unsafe_code() {}",
        ] {
            assert_eq!(faults_of(name, good), [""; 0], "{good}");
        }
    }

    #[test]
    fn a_root_and_a_file_beside_the_fence_must_forbid() {
        let missing = |name: &str, text: &str| !faults_of(name, text).is_empty();
        assert!(missing("crates/kirsch-http/src/lib.rs", "mod span;"));
        assert!(!missing(
            "crates/kirsch-http/src/lib.rs",
            "#![forbid(unsafe_code)]\nmod span;"
        ));
        assert!(missing(
            "crates/kirsch-python/src/text.rs",
            "fn latin1() {}"
        ));
        assert!(!missing(
            "crates/kirsch-python/src/input.rs",
            "#[pyclass(frozen)]\nstruct Input;"
        ));
    }

    #[test]
    fn within_the_fence_each_use_says_why_it_is_sound() {
        let bare = "fn f() {\n    unsafe { g() }\n}";
        let said = "fn f() {\n    // SAFETY: g() has no precondition\n    // at all.\n    unsafe { g() }\n}";
        let twice = "// SAFETY: both\nunsafe { g() }; unsafe { h() }";
        assert_eq!(faults_of(FENCED[0], bare).len(), 1);
        assert_eq!(faults_of(FENCED[0], said), [""; 0]);
        assert_eq!(faults_of(FENCED[0], twice).len(), 1);
    }

    #[test]
    fn a_crate_without_the_lints_is_found() {
        assert!(faults_of_manifest("crates/new/Cargo.toml", "[package]").is_some());
        assert!(faults_of_manifest("crates/new/Cargo.toml", "[lints]\nworkspace = true").is_none());
    }
}
