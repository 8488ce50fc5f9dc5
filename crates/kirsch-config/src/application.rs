//! One application among several: the table `[apps.NAME]`, or an `APP` of the command line.
//!
//! Nothing is imported here. Read next: `dispatch.rs`, which says which routes lead to it.

use std::path::PathBuf;

use crate::app_spec::AppSpec;
use crate::error::{ConfigError, Origin};
use crate::field::FieldValue;
use crate::table::{KeyGiven, KeySpec, fill};
use crate::value::Kind;

/// An application, where it lives, and how much of the pool it may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    /// What routes and messages call it: the table's name, or what was typed.
    pub name: String,
    /// What it is.
    pub kind: ApplicationKind,
    /// The folder that is put first on Python's path; without it the working directory.
    pub path: Option<PathBuf>,
    /// Threads that may be in it at once; without it, all.
    pub threads: Option<usize>,
    /// Where it was named.
    pub origin: Origin,
    /// Where its folder was named.
    pub(crate) path_origin: Origin,
    /// Where it was named as Rust's, or as the program's own.
    pub(crate) kind_origin: Origin,
}

/// What an application is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplicationKind {
    /// A WSGI application, to be imported.
    Wsgi(AppSpec),
    /// A WSGI application that a program gives itself.
    Given,
    /// What the engine was built with, by this name.
    Rust(String),
}

/// A table while it is read.
#[derive(Default)]
pub struct ApplicationTable {
    wsgi: Option<AppSpec>,
    rust: Option<String>,
    path: Option<PathBuf>,
    threads: Option<usize>,
}

/// Every key of `[apps.NAME]`, in the order of the reference.
pub fn application_keys() -> &'static [KeySpec<ApplicationTable>] {
    KEYS
}

static KEYS: &[KeySpec<ApplicationTable>] = &[
    KeySpec {
        name: "wsgi",
        kind: Kind::App,
        doc: "The application, in one of the forms it has on the command line.",
        absent: "The table has `rust`.",
        example: "\"blog:app\"",
        set: |table, given, reading| {
            table.wsgi = FieldValue::read(given, reading)?;
            Ok(())
        },
    },
    KeySpec {
        name: "rust",
        kind: Kind::Text,
        doc: "The name of an application in Rust that the engine was built with, in place of `wsgi`; [Rust beside Python](../guides/rust-beside-python.md) builds one.",
        absent: "The table has `wsgi`.",
        example: "\"status\"",
        set: |table, given, reading| {
            table.rust = Some(FieldValue::read(given, reading)?);
            Ok(())
        },
    },
    KeySpec {
        name: "path",
        kind: Kind::Path,
        doc: "The folder that is put first on Python's path before the application is imported; a file of the application begins there too.",
        absent: "Imports begin at the working directory.",
        example: "\"sites/blog\"",
        set: |table, given, reading| {
            table.path = FieldValue::read(given, reading)?;
            Ok(())
        },
    },
    KeySpec {
        name: "threads",
        kind: Kind::Count { min: 1, max: 4096 },
        doc: "At most so many threads are in this application at once; further requests for it wait, up to `limit-queue` and `timeout-queue`, while those for others go on.",
        absent: "It may take every thread.",
        example: "4",
        set: |table, given, reading| {
            table.threads = Some(FieldValue::read(given, reading)?);
            Ok(())
        },
    },
];

impl Application {
    /// An application that a program gives itself, or names.
    pub fn of_program(name: String, threads: Option<usize>, kind: ApplicationKind) -> Self {
        let origin = Origin::Argument("app".to_owned());
        Application {
            name,
            kind,
            path: None,
            threads,
            path_origin: origin.clone(),
            kind_origin: origin.clone(),
            origin,
        }
    }

    /// Reads a table.
    pub(crate) fn from_table(
        name: &str,
        origin: Origin,
        given: Vec<KeyGiven>,
        base: &std::path::Path,
    ) -> Result<Self, ConfigError> {
        let mut table = ApplicationTable::default();
        let places = fill(&mut table, KEYS, given, base)?;
        let at = |key: &str| places.of(key).unwrap_or(&origin).clone();
        let belongs = |key: &str| {
            let hint = Some("leave one of them out".to_owned());
            ConfigError::new(at(key), "does not go together with rust", hint)
        };
        let kind = match (table.wsgi, table.rust) {
            (Some(_), Some(_)) => return Err(belongs("wsgi")),
            (Some(spec), None) => ApplicationKind::Wsgi(spec),
            (None, Some(rust)) => ApplicationKind::Rust(rust),
            (None, None) => {
                let hint = "write wsgi = \"module:attribute\" in it".to_owned();
                return Err(ConfigError::new(origin, "names no application", Some(hint)));
            }
        };
        // It has a runtime of its own, and nothing is imported.
        if matches!(kind, ApplicationKind::Rust(_))
            && let Some(key) = ["path", "threads"]
                .into_iter()
                .find(|key| places.of(key).is_some())
        {
            return Err(belongs(key));
        }
        Ok(Application {
            name: name.to_owned(),
            path: table.path,
            threads: table.threads,
            path_origin: at("path"),
            kind_origin: match &kind {
                ApplicationKind::Rust(_) => at("rust"),
                ApplicationKind::Wsgi(_) | ApplicationKind::Given => at("wsgi"),
            },
            kind,
            origin,
        })
    }
}
