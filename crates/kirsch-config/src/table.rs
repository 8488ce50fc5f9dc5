//! The keys of a table, `[apps.NAME]` or `[[routes]]`: one list for each, which reads, explains and documents them.
//!
//! It knows no TOML: `file.rs` and the Python API give keys with values and places.
//! Read next: `application.rs` and `route.rs`, the two lists.

use std::path::Path;

use crate::error::{Complaint, ConfigError, Origin, nearest};
use crate::field::Reading;
use crate::value::{KeywordValue, Kind};

/// Everything that is known about one key of a table that becomes a `T`.
pub struct KeySpec<T> {
    /// The key, which is also the argument of the Python API.
    pub name: &'static str,
    /// What it accepts.
    pub kind: Kind,
    /// What it is, in one sentence.
    pub doc: &'static str,
    /// What holds where it is left out, in one sentence.
    pub absent: &'static str,
    /// A value that makes sense, as TOML.
    pub example: &'static str,
    /// The part of the table it fills.
    pub(crate) set: fn(&mut T, &KeywordValue, &Reading<'_>) -> Result<(), Complaint>,
}

/// A key with its value and its place.
pub(crate) struct KeyGiven {
    pub(crate) name: String,
    pub(crate) value: KeywordValue,
    pub(crate) origin: Origin,
}

impl<T> KeySpec<T> {
    /// Puts a value into the table; relative paths begin at `base`.
    fn put(&self, table: &mut T, value: &KeywordValue, base: &Path) -> Result<(), Complaint> {
        let reading = Reading {
            kind: self.kind,
            base,
        };
        (self.set)(table, value, &reading).map_err(|complaint| self.with_hint(complaint))
    }

    fn with_hint(&self, complaint: Complaint) -> Complaint {
        let hint = || {
            let accepted = self.kind.accepted();
            format!("write {accepted}, for instance {}", self.example)
        };
        Complaint {
            hint: complaint.hint.or_else(|| Some(hint())),
            ..complaint
        }
    }
}

/// Puts all keys of one table into `table`, and answers where each stood.
pub(crate) fn fill<T>(
    table: &mut T,
    keys: &'static [KeySpec<T>],
    given: Vec<KeyGiven>,
    base: &Path,
) -> Result<Places, ConfigError> {
    let mut places = Vec::with_capacity(given.len());
    for KeyGiven {
        name,
        value,
        origin,
    } in given
    {
        let Some(key) = keys.iter().find(|key| key.name == name) else {
            return Err(unknown_key(keys, origin, &name));
        };
        key.put(table, &value, base)
            .map_err(|complaint| complaint.at(origin.clone()))?;
        places.push((key.name, origin));
    }
    Ok(Places(places))
}

fn unknown_key<T>(keys: &[KeySpec<T>], origin: Origin, name: &str) -> ConfigError {
    let hint = match nearest_key(keys, name) {
        Some(meant) => format!("did you mean {meant}?"),
        None => {
            let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
            format!("the keys are {}", names.join(", "))
        }
    };
    ConfigError::new(origin, "is not a known key", Some(hint))
}

/// The key that was meant; what other servers call by another name is known too.
fn nearest_key<T>(keys: &[KeySpec<T>], name: &str) -> Option<&'static str> {
    let elsewhere = match name {
        "hostname" | "hosts" | "domain" | "server_name" => "host",
        "uri" | "prefix" | "location" | "url" => "path",
        "methods" => "method",
        "headers" => "header",
        "ip" | "source" | "remote_addr" | "client_ip" => "client",
        "pass" | "application" | "proxy_pass" => "app",
        "static" | "root" | "share" | "folder" | "directory" | "alias" => "files",
        "return" | "respond" | "code" => "answer",
        "add_header" | "response_headers" => "set_headers",
        "client_max_body_size" | "max_body" | "body_limit" => "limit_body",
        "module" | "callable" | "factory" => "wsgi",
        "chdir" | "pythonpath" | "working_directory" => "path",
        _ => "",
    };
    let known = || keys.iter().map(|key| key.name);
    known()
        .find(|key| *key == elsewhere)
        .or_else(|| nearest(name, known()))
}

/// Where each key of a table stood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places(Vec<(&'static str, Origin)>);

impl Places {
    /// The place of a key, where it was given.
    pub(crate) fn of(&self, key: &str) -> Option<&Origin> {
        self.0
            .iter()
            .find_map(|(name, origin)| (*name == key).then_some(origin))
    }
}
