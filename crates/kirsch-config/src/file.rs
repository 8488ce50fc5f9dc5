//! The configuration file: finding it, reading it, and the line of every key.
//!
//! Keys become values of options; `[apps.NAME]` and `[[routes]]` become what `application.rs` and `route.rs` say.
//! Relative paths in a file begin at the file's folder, so that a file means the same wherever Kirsch is started.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use kirsch_server::reason;

use crate::application::Application;
use crate::error::{Complaint, ConfigError, Origin, nearest};
use crate::option::{OptionSpec, Reach};
use crate::options::options;
use crate::route::RouteSpec;
use crate::settings::Given;
use crate::table::KeyGiven;
use crate::value::KeywordValue;

/// The file that is read where none is named.
const OWN_NAME: &str = "kirsch.toml";
/// The file that is read where that does not exist either, if it has the table.
const PROJECT_NAME: &str = "pyproject.toml";
/// The tables that keys stand in; [`OptionSpec::key`] makes the keys.
const SECTIONS: [&str; 3] = ["limits", "timeouts", "tls"];
/// The table of tables that describe applications.
const APPS: &str = "apps";
/// The array of tables that are routes.
const ROUTES: &str = "routes";

/// Every table, for a name that is misspelt.
const TABLES: [&str; 5] = [SECTIONS[0], SECTIONS[1], SECTIONS[2], APPS, ROUTES];

/// A file that was read.
pub(crate) struct ConfigFile {
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
}

/// What stands in a file.
#[derive(Default)]
pub(crate) struct Content {
    pub(crate) given: Vec<Given>,
    pub(crate) applications: Vec<Application>,
    pub(crate) routes: Vec<RouteSpec>,
}

/// Reads the file that was named, from the working directory; `origin` says by whom.
pub(crate) fn read_named(
    name: &str,
    cwd: &Path,
    origin: Origin,
) -> Result<ConfigFile, ConfigError> {
    let path = cwd.join(name);
    let text = std::fs::read_to_string(&path).map_err(|err| {
        let hint = "write the path of a TOML file".to_owned();
        ConfigError::new(
            origin,
            format!("{name:?} cannot be read ({})", reason(&err)),
            Some(hint),
        )
    })?;
    let source = Source {
        name: Path::new(name),
        path: &path,
        text: &text,
    };
    let Some(content) = source.read()? else {
        let hint = "add the table, or name another file".to_owned();
        return Err(ConfigError::new(
            source.whole(),
            "has no table [tool.kirsch]",
            Some(hint),
        ));
    };
    Ok(ConfigFile { path, content })
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
                let source = Source {
                    name: Path::new(name),
                    path: &path,
                    text: "",
                };
                let hint = "make it readable, or name another with --config".to_owned();
                let message = format!("cannot be read ({})", reason(&err));
                return Err(ConfigError::new(source.whole(), message, Some(hint)));
            }
        };
        // A project's file without the word is not worth a complaint about its syntax.
        if name == PROJECT_NAME && !text.contains("kirsch") {
            continue;
        }
        let source = Source {
            name: Path::new(name),
            path: &path,
            text: &text,
        };
        if let Some(content) = source.read()? {
            return Ok(Some(ConfigFile { path, content }));
        }
    }
    Ok(None)
}

/// A file's text, for reading and for counting lines.
struct Source<'a> {
    /// As it was typed or looked for: what messages call it.
    name: &'a Path,
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    /// Everything in the file; `None` where a project's file has no table for us.
    fn read(&self) -> Result<Option<Content>, ConfigError> {
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
            // A `tool` that is no table is another's mistake.
            let Some(DeValue::Table(tools)) = table.get("tool").map(Spanned::get_ref) else {
                return Ok(None);
            };
            match tools.get_key_value("kirsch") {
                None => return Ok(None),
                Some((name, value)) => match value.get_ref() {
                    DeValue::Table(ours) => table = ours,
                    _ => {
                        let origin = self.origin(name.span(), "tool.kirsch");
                        return Err(is_a_table(origin, "tool.kirsch"));
                    }
                },
            }
        }
        let mut content = Content::default();
        self.collect(table, "", &mut content)?;
        Ok(Some(content))
    }

    fn collect(
        &self,
        table: &DeTable<'_>,
        section: &str,
        content: &mut Content,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = format!("{section}{}", name.get_ref());
            let origin = self.origin(name.span(), &key);
            let is_table = is_table(value.get_ref());
            if is_table && key == "app" {
                return Err(unknown_table(origin, &key));
            }
            if let Some(option) = options()
                .iter()
                .find(|option| option.key().as_ref() == Some(&key))
            {
                let value = self.value(value).map_err(|message| {
                    option
                        .with_hint(Complaint {
                            message,
                            hint: None,
                        })
                        .at(origin.clone())
                })?;
                content.given.push(Given {
                    option,
                    value,
                    origin,
                    base: self.base().to_owned(),
                });
                continue;
            }
            match value.get_ref() {
                DeValue::Table(inner) if key == APPS => {
                    content.applications = self.applications(inner)?;
                }
                DeValue::Array(items) if key == ROUTES => {
                    content.routes = self.routes(items, &origin)?;
                }
                DeValue::Table(inner) if is_section(&key) => {
                    self.collect(inner, &format!("{key}."), content)?;
                }
                _ if is_table => return Err(unknown_table(origin, &key)),
                _ => return Err(unknown_key(origin, &key)),
            }
        }
        Ok(())
    }

    fn applications(&self, table: &DeTable<'_>) -> Result<Vec<Application>, ConfigError> {
        let mut applications = Vec::new();
        for (name, value) in as_written(table) {
            let key = format!("{APPS}.{}", name.get_ref());
            let origin = self.origin(name.span(), &key);
            let DeValue::Table(keys) = value.get_ref() else {
                let hint = match value.get_ref().as_str() {
                    Some(app) => format!("write [{key}] and, below it, wsgi = {app:?}"),
                    None => format!("write [{key}] with its keys below"),
                };
                return Err(ConfigError::new(origin, "is a table", Some(hint)));
            };
            let given = self.keys(keys, &key)?;
            let application = Application::from_table(name.get_ref(), origin, given, self.base())?;
            applications.push(application);
        }
        Ok(applications)
    }

    fn routes(
        &self,
        items: &[Spanned<DeValue<'_>>],
        origin: &Origin,
    ) -> Result<Vec<RouteSpec>, ConfigError> {
        let mut routes = Vec::new();
        for item in items {
            let DeValue::Table(keys) = item.get_ref() else {
                return Err(are_tables(origin.clone()));
            };
            let given = self.keys(keys, ROUTES)?;
            let origin = self.origin(item.span(), ROUTES);
            routes.push(RouteSpec::from_table(origin, given, self.base())?);
        }
        Ok(routes)
    }

    /// The keys of a table of its own, each with its place, in the order written.
    fn keys(&self, table: &DeTable<'_>, section: &str) -> Result<Vec<KeyGiven>, ConfigError> {
        let mut keys = Vec::new();
        for (name, value) in as_written(table) {
            let origin = self.origin(name.span(), &format!("{section}.{}", name.get_ref()));
            let value = match value.get_ref() {
                DeValue::Table(fields) => as_written(fields)
                    .into_iter()
                    .map(|(name, value)| Ok((name.get_ref().to_string(), self.value(value)?)))
                    .collect::<Result<_, _>>()
                    .map(KeywordValue::Table),
                _ => self.value(value),
            };
            let value = value.map_err(|message| ConfigError::new(origin.clone(), message, None))?;
            let name = name.get_ref().to_string();
            keys.push(KeyGiven {
                name,
                value,
                origin,
            });
        }
        Ok(keys)
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

    /// Where relative paths begin.
    fn base(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The place of a complaint about the file as a whole.
    fn whole(&self) -> Origin {
        Origin::File {
            path: self.name.to_owned(),
            line: 0,
            key: String::new(),
        }
    }

    fn origin(&self, span: Range<usize>, key: &str) -> Origin {
        let before = self.text.get(..span.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Origin::File {
            path: self.name.to_owned(),
            line,
            key: key.to_owned(),
        }
    }
}

/// Whether it was written with brackets around its name, or could have been.
fn is_table(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(_) => true,
        DeValue::Array(items) => items
            .iter()
            .any(|item| matches!(item.get_ref(), DeValue::Table(_))),
        _ => false,
    }
}

/// A table's keys in the order written, not in that of their names.
fn as_written<'a, 'd>(
    table: &'a DeTable<'d>,
) -> Vec<(&'a Spanned<DeString<'d>>, &'a Spanned<DeValue<'d>>)> {
    let mut keys: Vec<_> = table.iter().collect();
    keys.sort_by_key(|(name, _)| name.span().start);
    keys
}

fn is_section(key: &str) -> bool {
    SECTIONS.contains(&key)
}

fn unknown_table(origin: Origin, key: &str) -> ConfigError {
    let hint = match nearest(key, TABLES) {
        _ if key == ROUTES => return are_tables(origin),
        _ if key == "tool" => {
            format!(
                "[tool.kirsch] is for {PROJECT_NAME}; in a file of its own write the keys alone"
            )
        }
        Some(ROUTES) => format!("did you mean [[{ROUTES}]]?"),
        Some(APPS) => format!("did you mean [{APPS}.NAME]?"),
        Some(meant) => format!("did you mean [{meant}]?"),
        None => "the tables are [limits], [timeouts], [tls], [apps.NAME] and [[routes]]".to_owned(),
    };
    ConfigError::new(origin, "is not a known table", Some(hint))
}

fn are_tables(origin: Origin) -> ConfigError {
    let hint = format!("write [[{ROUTES}]], with two brackets, and a route's keys below");
    ConfigError::new(origin, "is a list of tables", Some(hint))
}

fn is_a_table(origin: Origin, key: &str) -> ConfigError {
    let hint = format!("write [{key}] with its keys below");
    ConfigError::new(origin, "is a table", Some(hint))
}

fn unknown_key(origin: Origin, key: &str) -> ConfigError {
    match key {
        APPS => return is_a_table(origin, "apps.NAME"),
        ROUTES => return are_tables(origin),
        _ if is_section(key) => return is_a_table(origin, key),
        _ => {}
    }
    let secret = |option: &&OptionSpec| option.reach == Reach::Secret;
    if let Some(option) = options().iter().find(secret)
        && option.name.replace('-', "_") == key.replace(['-', '.'], "_")
    {
        let hint = format!(
            "set {}, or name a file: tls.key_password_file",
            option.variable()
        );
        return ConfigError::new(origin, "cannot stand in a file", Some(hint));
    }
    if options()
        .iter()
        .any(|option| option.reach == Reach::Start && option.name == key)
    {
        let hint = "write it as a flag or a variable".to_owned();
        return ConfigError::new(origin, "cannot stand in a file", Some(hint));
    }
    let plain = |name: &str| name.replace('-', "_");
    let last = key.rsplit('.').next().unwrap_or(key);
    // Those who know the flag write its name, with dashes or in a table that already says half of it.
    let by_flag = options()
        .iter()
        .find(|option| plain(option.name) == plain(last));
    let known: Vec<String> = options().iter().filter_map(OptionSpec::key).collect();
    let meant = by_flag
        .and_then(OptionSpec::key)
        .or_else(|| nearest(key, known.iter().map(String::as_str)).map(str::to_owned));
    let hint = match meant {
        Some(meant) => format!("did you mean {meant}?"),
        None => {
            "kirsch --help lists the options, whose names are the keys, with underscores".to_owned()
        }
    };
    ConfigError::new(origin, "is not a known key", Some(hint))
}
