//! The configuration file: finding it, reading it, and the line of every key.
//!
//! Relative paths in a file begin at the file's folder, so that a file means the same wherever Kirsch is started.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{ConfigError, Origin, nearest};
use crate::option::{OptionSpec, Reach};
use crate::options::options;
use crate::settings::Given;
use crate::value::KeywordValue;

/// The file that is read where none is named.
const OWN_NAME: &str = "kirsch.toml";
/// The file that is read where that does not exist either, if it has the table.
const PROJECT_NAME: &str = "pyproject.toml";

/// A file that was read.
pub(crate) struct ConfigFile {
    pub(crate) path: PathBuf,
    pub(crate) given: Vec<Given>,
}

/// Reads the file that was named; `origin` says by whom.
pub(crate) fn read_named(path: &Path, origin: Origin) -> Result<ConfigFile, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|err| {
        let message = format!("{} cannot be read ({err})", path.display());
        ConfigError::new(
            origin,
            message,
            Some("write the path of a TOML file".to_owned()),
        )
    })?;
    match (Source { path, text: &text }).read()? {
        Some(given) => Ok(ConfigFile {
            path: path.to_owned(),
            given,
        }),
        None => {
            let origin = Origin::File {
                path: path.to_owned(),
                line: 0,
                key: String::new(),
            };
            Err(ConfigError::new(
                origin,
                "has no table [tool.kirsch]",
                Some("add the table".to_owned()),
            ))
        }
    }
}

/// Looks for a file in the working directory, where none was named.
pub(crate) fn find(cwd: &Path) -> Result<Option<ConfigFile>, ConfigError> {
    for name in [OWN_NAME, PROJECT_NAME] {
        let path = cwd.join(name);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => continue,
            // Another's file: that it cannot be read is not ours to complain about.
            Err(_) if name == PROJECT_NAME => continue,
            Err(err) => {
                let origin = Origin::File {
                    path,
                    line: 0,
                    key: String::new(),
                };
                let hint = Some("make it readable, or name another with --config".to_owned());
                return Err(ConfigError::new(
                    origin,
                    format!("cannot be read ({err})"),
                    hint,
                ));
            }
        };
        // A project's file without the word is not worth a complaint about its syntax.
        if name == PROJECT_NAME && !text.contains("kirsch") {
            continue;
        }
        if let Some(given) = (Source {
            path: &path,
            text: &text,
        })
        .read()?
        {
            return Ok(Some(ConfigFile { path, given }));
        }
    }
    Ok(None)
}

/// A file's text, for reading and for counting lines.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    /// Everything in the file; `None` where a project's file has no table for us.
    fn read(&self) -> Result<Option<Vec<Given>>, ConfigError> {
        let document = DeTable::parse(self.text).map_err(|err| {
            let origin = self.origin(err.span().unwrap_or_default(), "");
            ConfigError::new(origin, err.message().to_owned(), None)
        })?;
        let mut table = document.get_ref();
        if self
            .path
            .file_name()
            .is_some_and(|name| name == PROJECT_NAME)
        {
            for name in ["tool", "kirsch"] {
                match table.get(name).map(Spanned::get_ref) {
                    Some(DeValue::Table(inner)) => table = inner,
                    _ => return Ok(None),
                }
            }
        }
        let mut given = Vec::new();
        self.collect(table, "", &mut given)?;
        Ok(Some(given))
    }

    fn collect(
        &self,
        table: &DeTable<'_>,
        section: &str,
        given: &mut Vec<Given>,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = format!("{section}{}", name.get_ref());
            let origin = self.origin(name.span(), &key);
            if let Some(option) = options()
                .iter()
                .find(|option| option.key().as_ref() == Some(&key))
            {
                let value = self
                    .value(value)
                    .map_err(|message| ConfigError::new(origin.clone(), message, None))?;
                let base = self.path.parent().unwrap_or(Path::new("")).to_owned();
                given.push(Given {
                    option,
                    value,
                    origin,
                    base,
                });
                continue;
            }
            match value.get_ref() {
                DeValue::Table(inner) if is_section(&key) => {
                    self.collect(inner, &format!("{key}."), given)?;
                }
                _ => return Err(unknown(origin, &key)),
            }
        }
        Ok(())
    }

    fn value(&self, value: &Spanned<DeValue<'_>>) -> Result<KeywordValue, String> {
        match value.get_ref() {
            DeValue::String(text) => Ok(KeywordValue::Str(text.to_string())),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map(KeywordValue::Int)
                .map_err(|_| format!("{number} is too large")),
            DeValue::Float(number) => {
                let number = number.as_str();
                number
                    .parse()
                    .map(KeywordValue::Float)
                    .map_err(|_| format!("{number} is not a number"))
            }
            DeValue::Boolean(value) => Ok(KeywordValue::Bool(*value)),
            DeValue::Array(items) => items
                .iter()
                .map(|item| self.value(item))
                .collect::<Result<_, _>>()
                .map(KeywordValue::List),
            DeValue::Datetime(_) => Err("a date is of no use here".to_owned()),
            DeValue::Table(_) => Err("a table is of no use here".to_owned()),
        }
    }

    fn origin(&self, span: Range<usize>, key: &str) -> Origin {
        let before = self.text.get(..span.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Origin::File {
            path: self.path.to_owned(),
            line,
            key: key.to_owned(),
        }
    }
}

/// Whether known keys begin with this one and a point.
fn is_section(key: &str) -> bool {
    let section = format!("{key}.");
    options()
        .iter()
        .filter_map(OptionSpec::key)
        .any(|known| known.starts_with(&section))
}

fn unknown(origin: Origin, key: &str) -> ConfigError {
    if options()
        .iter()
        .any(|option| option.reach == Reach::Start && option.name == key)
    {
        return ConfigError::new(
            origin,
            "cannot stand in a file",
            Some("write it as a flag".to_owned()),
        );
    }
    // Those who know the flag write its name.
    let by_flag = options()
        .iter()
        .find(|option| option.name.replace('-', "_") == key.replace('-', "_"));
    if let Some(known) = by_flag.and_then(OptionSpec::key) {
        return ConfigError::new(
            origin,
            "is not known",
            Some(format!("did you mean {known}?")),
        );
    }
    let known: Vec<String> = options().iter().filter_map(OptionSpec::key).collect();
    // The last part alone, too: a limit may stand outside its table.
    let meant = nearest(key, known.iter().map(String::as_str)).map(str::to_owned);
    let hint = meant.map_or_else(
        || "docs/reference/settings.md lists the keys".to_owned(),
        |known| format!("did you mean {known}?"),
    );
    ConfigError::new(origin, "is not known", Some(hint))
}
