//! The licences of everything that is linked into what we ship, and dependencies that are there twice.
//!
//! Both are refused: a licence that is not allowed, and a second version that has no reason to be there.
//! `cargo tree` answers both without a parser for JSON, and without asking the network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Licences that may go into a wheel under MIT or Apache-2.0 without further duties than their text.
const ALLOWED: [&str; 10] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages of which several versions may be there, and why.
///
/// Each version is compiled, looked after and shipped by itself; an entry goes as soon as its reason has gone.
const SEVERAL: [(&str, &str); 1] = [(
    "syn",
    "tracing-attributes and asn1-rs have not moved to syn 3 yet; it runs in the compiler and is no part of what is linked",
)];

/// Checks every dependency that is compiled on this machine.
pub fn check(root: &Path) -> Result<String, String> {
    let packages = packages(root)?;
    let mut refused: Vec<String> = packages
        .iter()
        .filter(|package| !is_allowed(&package.licence))
        .map(|package| {
            format!(
                "{} {}: {:?} is not allowed",
                package.name, package.version, package.licence
            )
        })
        .collect();
    refused.extend(wrong_versions(&packages, &SEVERAL));
    if !refused.is_empty() {
        return Err(refused.join("\n"));
    }
    Ok(format!(
        "{} packages, all under allowed licences; several versions: {}",
        packages.len(),
        SEVERAL.map(|(name, _)| name).join(", ")
    ))
}

/// A package of the dependency tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    licence: String,
}

fn packages(root: &Path) -> Result<BTreeSet<Package>, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .current_dir(root)
        .args([
            "tree",
            "--workspace",
            "--offline",
            "--all-features",
            "--edges",
            "normal,build",
        ])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}|{l}"])
        .output()
        .map_err(|err| format!("cargo tree: {err}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter(|line| !line.is_empty())
        .map(Package::parse)
        .collect()
}

impl Package {
    /// Reads `name v1.2.3 (where it is from)|licence`.
    fn parse(line: &str) -> Result<Self, String> {
        let strange = || format!("cargo tree said {line:?}, which is not understood");
        let (package, licence) = line.split_once('|').ok_or_else(strange)?;
        let mut words = package.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else {
            return Err(strange());
        };
        Ok(Package {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.to_owned(),
        })
    }
}

/// Whether an SPDX expression lets us choose allowed licences only.
///
/// `/` is the old way to write `OR`; `AND` binds more tightly than `OR`.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    if let Some(alternatives) = split_outside_brackets(expression.trim(), " OR ") {
        return alternatives.iter().any(|part| is_allowed(part));
    }
    if let Some(parts) = split_outside_brackets(expression.trim(), " AND ") {
        return parts.iter().all(|part| is_allowed(part));
    }
    let plain = expression.trim();
    match plain
        .strip_prefix('(')
        .and_then(|inner| inner.strip_suffix(')'))
    {
        Some(inner) => is_allowed(inner),
        None => ALLOWED.contains(&plain),
    }
}

/// The parts between the word where it stands outside brackets; `None` where it does not.
fn split_outside_brackets<'a>(text: &'a str, word: &str) -> Option<Vec<&'a str>> {
    let mut depth = 0;
    let mut parts = Vec::new();
    let mut start = 0;
    for (place, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && place >= start && text[place..].starts_with(word) => {
                parts.push(&text[start..place]);
                start = place + word.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (parts.len() > 1).then_some(parts)
}

/// Packages that are there in several versions without a reason, and reasons that nothing needs any more.
fn wrong_versions(packages: &BTreeSet<Package>, several: &[(&str, &str)]) -> Vec<String> {
    let found = duplicates(packages);
    let unlisted = found
        .iter()
        .filter(|(name, _)| several.iter().all(|(listed, _)| listed != *name))
        .map(|(name, versions)| {
            format!(
                "{name} is there {} times: {}; bring its users together, or list it with a reason",
                versions.len(),
                versions.join(", ")
            )
        });
    let stale = several
        .iter()
        .filter(|(listed, _)| !found.contains_key(listed))
        .map(|(listed, _)| format!("{listed} is listed and there only once; take it off the list"));
    unlisted.chain(stale).collect()
}

fn duplicates(packages: &BTreeSet<Package>) -> BTreeMap<&str, Vec<&str>> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        versions
            .entry(&package.name)
            .or_default()
            .push(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_needs_one_allowed_licence_and_a_sum_all() {
        let cases = [
            ("MIT", true),
            ("MIT OR GPL-3.0", true),
            ("MIT/Apache-2.0", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT", true),
            ("MIT AND GPL-3.0", false),
            ("GPL-3.0 AND MIT OR AGPL-3.0", false),
            ("(MIT AND (GPL-3.0 OR AGPL-3.0))", false),
            ("", false),
        ];
        for (expression, allowed) in cases {
            assert_eq!(is_allowed(expression), allowed, "{expression}");
        }
    }

    #[test]
    fn a_line_of_the_tree_is_name_version_and_licence() {
        let package = Package::parse("toml v1.2.1+spec-1.1.0 (proc-macro)|MIT OR Apache-2.0");
        let expected = Package {
            name: "toml".to_owned(),
            version: "v1.2.1+spec-1.1.0".to_owned(),
            licence: "MIT OR Apache-2.0".to_owned(),
        };
        assert_eq!(package, Ok(expected));
    }

    #[test]
    fn a_second_version_needs_a_reason_and_a_reason_a_second_version() {
        let package = |name: &str, version: &str| Package {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: "MIT".to_owned(),
        };
        let once = BTreeSet::from([package("mio", "v1.0.0")]);
        let twice = BTreeSet::from([package("mio", "v1.0.0"), package("mio", "v2.0.0")]);
        let reason = [("mio", "a reason")];
        assert_eq!(wrong_versions(&once, &[]), [""; 0]);
        assert_eq!(wrong_versions(&twice, &reason), [""; 0]);
        assert_eq!(
            wrong_versions(&twice, &[]),
            [
                "mio is there 2 times: v1.0.0, v2.0.0; bring its users together, or list it with a reason"
            ]
        );
        assert_eq!(
            wrong_versions(&once, &reason),
            ["mio is listed and there only once; take it off the list"]
        );
    }
}
