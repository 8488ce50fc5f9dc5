//! Which application to serve, as typed: `module:attr`, `module:factory()`, `module`, `file.py[:attr]`.
//!
//! Nothing is imported here and no file is looked for: that is for whoever owns an interpreter.

use std::fmt;
use std::path::PathBuf;

use crate::error::Complaint;

const FORMS: &str = "write module:attribute, module:factory(), module, or file.py";

/// The names looked for, in this order, where a spec names a module or file alone.
pub const DEFAULT_NAMES: [&str; 2] = ["application", "app"];

/// An application to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSpec {
    /// Where the application is defined.
    pub source: AppSource,
    /// What in there is the application.
    pub target: AppTarget,
}

/// Where an application is defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppSource {
    /// A dotted module name, found on Python's path with the working directory before it.
    Module(String),
    /// A Python file, relative to the working directory.
    File(PathBuf),
}

/// What in a module is the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppTarget {
    /// The first of [`DEFAULT_NAMES`] that exists.
    Default,
    /// An attribute, perhaps dotted, that is the application.
    Attribute(String),
    /// An attribute, perhaps dotted, that answers the application when called without arguments.
    Factory(String),
}

impl AppSpec {
    /// Reads a spec as typed.
    ///
    /// # Errors
    /// When it has none of the four forms; the complaint names the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, Complaint> {
        if text.is_empty() {
            return Err(Complaint::new("the application is empty", FORMS));
        }
        let (source, target) = split(text);
        Ok(AppSpec {
            source: AppSource::parse(source)?,
            target: AppTarget::parse(target, source)?,
        })
    }
}

impl AppSource {
    fn parse(text: &str) -> Result<Self, Complaint> {
        if text.is_empty() {
            return Err(Complaint::new("nothing stands before the colon", FORMS));
        }
        if text.ends_with(".py") {
            return Ok(AppSource::File(PathBuf::from(text)));
        }
        if text.contains(['/', '\\']) {
            let module = text.trim_start_matches("./").replace(['/', '\\'], ".");
            let hint = match wrong_part(&module) {
                None => format!("write {text}.py for a file, or {module} for a module"),
                // A module's name does not begin at the root.
                Some(_) if !text.ends_with('/') => format!("write {text}.py for a file"),
                Some(_) => FORMS.to_owned(),
            };
            return Err(Complaint::new(
                format!("{text:?} is neither a module nor a file that ends in .py"),
                hint,
            ));
        }
        match wrong_part(text) {
            None => Ok(AppSource::Module(text.to_owned())),
            Some(part) => {
                let mut complaint = not_a_name("module", text, part);
                if part.contains('-') && part == text {
                    complaint.hint = Some(format!("write {text}.py if it is a file"));
                }
                Err(complaint)
            }
        }
    }
}

impl AppTarget {
    fn parse(text: Option<&str>, source: &str) -> Result<Self, Complaint> {
        let Some(text) = text else {
            return Ok(AppTarget::Default);
        };
        if text.is_empty() {
            let hint = format!("write {source}:application, or {source} alone");
            return Err(Complaint::new("nothing stands after the colon", hint));
        }
        let name = text.strip_suffix("()").unwrap_or(text);
        if let Some((called, arguments)) = name.split_once('(') {
            let hint =
                format!("write {source}:{called}() and let the function find its arguments itself");
            let message = if arguments.ends_with(')') {
                "a factory is called without arguments"
            } else {
                "a bracket is not closed"
            };
            return Err(Complaint::new(message, hint));
        }
        match wrong_part(name) {
            None if name.len() < text.len() => Ok(AppTarget::Factory(name.to_owned())),
            None => Ok(AppTarget::Attribute(name.to_owned())),
            Some(part) => Err(not_a_name("attribute", name, part)),
        }
    }
}

/// As it would be typed.
impl fmt::Display for AppSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            AppSource::Module(name) => f.write_str(name)?,
            AppSource::File(path) => write!(f, "{}", path.display())?,
        }
        match &self.target {
            AppTarget::Default => Ok(()),
            AppTarget::Attribute(name) => write!(f, ":{name}"),
            AppTarget::Factory(name) => write!(f, ":{name}()"),
        }
    }
}

/// Source and target. A file's name may contain colons, so that it ends at its `.py`.
fn split(text: &str) -> (&str, Option<&str>) {
    if text.ends_with(".py") {
        return (text, None);
    }
    if let Some(at) = text.rfind(".py:") {
        return (&text[..at + 3], Some(&text[at + 4..]));
    }
    match text.split_once(':') {
        Some((source, target)) => (source, Some(target)),
        None => (text, None),
    }
}

/// The first part of a dotted name that is not an identifier of Python.
fn wrong_part(dotted: &str) -> Option<&str> {
    dotted.split('.').find(|part| {
        let starts_well = part
            .chars()
            .next()
            .is_some_and(|first| first == '_' || first.is_alphabetic());
        !starts_well || !part.chars().all(|c| c == '_' || c.is_alphanumeric())
    })
}

fn not_a_name(what: &str, dotted: &str, part: &str) -> Complaint {
    let message = if part.is_empty() {
        format!("the {what} {dotted:?} has an empty part between its dots")
    } else {
        format!("{part:?} in the {what} {dotted:?} is not a Python name")
    };
    Complaint::new(message, FORMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str, target: AppTarget) -> AppSpec {
        AppSpec {
            source: AppSource::Module(name.into()),
            target,
        }
    }

    fn file(name: &str, target: AppTarget) -> AppSpec {
        AppSpec {
            source: AppSource::File(name.into()),
            target,
        }
    }

    #[test]
    fn every_form_is_understood_and_prints_as_typed() {
        let attribute = |name: &str| AppTarget::Attribute(name.into());
        let cases = [
            ("hello:app", module("hello", attribute("app"))),
            (
                "site.wsgi:api.app",
                module("site.wsgi", attribute("api.app")),
            ),
            (
                "shop:create_app()",
                module("shop", AppTarget::Factory("create_app".into())),
            ),
            ("hello", module("hello", AppTarget::Default)),
            ("blog.py", file("blog.py", AppTarget::Default)),
            (
                "/srv/a b/blog.py:app",
                file("/srv/a b/blog.py", attribute("app")),
            ),
            (
                "odd:name.py:make()",
                file("odd:name.py", AppTarget::Factory("make".into())),
            ),
            ("größe:app", module("größe", attribute("app"))),
        ];
        for (text, spec) in cases {
            assert_eq!(AppSpec::parse(text), Ok(spec.clone()), "{text}");
            assert_eq!(spec.to_string(), text);
        }
    }

    #[test]
    fn what_to_write_instead_can_be_written() {
        let cases = [
            ("a/b", "write a/b.py for a file, or a.b for a module"),
            ("./", FORMS),
            ("/srv/hello", "write /srv/hello.py for a file"),
            ("my-site", "write my-site.py if it is a file"),
        ];
        for (text, hint) in cases {
            let complaint = AppSpec::parse(text).expect_err(text);
            assert_eq!(complaint.hint.as_deref(), Some(hint), "{text}");
        }
    }

    #[test]
    fn a_malformed_spec_is_refused_in_words() {
        let cases = [
            ("", "the application is empty"),
            (":app", "nothing stands before the colon"),
            ("hello:", "nothing stands after the colon"),
            ("a/b", "neither a module nor a file"),
            ("a..b:app", "empty part"),
            ("hello:app:more", "\"app:more\""),
            ("my-site:app", "\"my-site\""),
            ("hello:make('x')", "without arguments"),
            ("hello:make(", "not closed"),
            ("hello:2app", "not a Python name"),
        ];
        for (text, part) in cases {
            let complaint = AppSpec::parse(text).expect_err(text);
            assert!(complaint.message.contains(part), "{text}: {complaint:?}");
            assert!(complaint.hint.is_some(), "{text}");
        }
    }
}
