//! The reference of all settings, made of the list of options: `docs/reference/settings.md`.

use std::fmt::Write as _;

use crate::application::application_keys;
use crate::option::{Group, OptionSpec};
use crate::options::options;
use crate::python::python_type;
use crate::route_keys::route_keys;
use crate::table::KeySpec;
use crate::value::Kind;

const INTRODUCTION: &str = "\
# Settings

<!-- Made by `cargo run -p xtask -- docs` from the list of options. Change it there. -->

Every setting can be given in four places.
The first of them that gives it wins.

1. A flag: `kirsch --threads 20 hello:app`.
2. A variable of the environment: `KIRSCH_THREADS=20`.
   An empty variable is as good as none.
3. A key in a TOML file: `threads = 20`.
   The file is the one named with `--config` or `KIRSCH_CONFIG`.
   Otherwise it is `kirsch.toml` in the working directory.
   Otherwise it is the table `[tool.kirsch]` of `pyproject.toml` there.
   Files are not merged.
4. The default.

In Python, a setting is a keyword argument: `kirsch.run(app, threads=20)`.
No variable and no file is read then.

Two variables that platforms set are honoured where neither flag, variable nor file says otherwise.
`PORT=8080` listens on `0.0.0.0:8080`.
`WEB_CONCURRENCY` is the number of workers.

A name that is not known is an error, in every place.
So is a value that cannot be right, even where another wins over it.

## How values are written

| Value | Examples | |
|---|---|---|
| Size | `4096`, `64KiB`, `16MiB`, `1GiB`, `10MB` | Bytes; `KiB` is 1024 bytes, `kB` is 1000. |
| Duration | `500ms`, `30s`, `1.5m`, `1h`, `75` | A number alone is seconds. |
| Switch | `true`, `false` | Also `yes`, `no`, `on`, `off`, `1`, `0`; as a flag `--name` or `--no-name`. |
| Address | `127.0.0.1:8000`, `localhost:8000` | A name listens on every address it resolves to. |
| | `8000`, `:8000` | This machine only; every IPv4 address. |
| | `[::]:8000` | Every address, IPv6 and IPv4. |
| | `https://0.0.0.0:443`, `http://0.0.0.0:80` | What is spoken there, where not all addresses speak the same. |
| | `unix:/run/kirsch.sock`, `@kirsch` | A unix socket at a path; one in Linux's abstract namespace. |
| | `fd://3` | A listening socket that was inherited. |
| Off | `off` | Where a setting can be off; `None` in Python, `false` in TOML. |

Several addresses, applications or static folders are a repeated flag, a variable with commas, a list in TOML and Python.
An address that is given twice is listened on once; one that contains another, as `0.0.0.0:8000` contains `127.0.0.1:8000`, is refused beside it.
Port 0 is a free port; a name with several addresses gets the same at each.
A relative path in a flag or variable begins at the working directory, in a file at the folder of the file.
A relative path of the application itself begins at the folder of `chdir`, or at the working directory.
";

const APPLICATIONS: &str = "
## Applications: `[apps.NAME]`

Where one server has several applications, each has a table in the file, and routes name it.
In Python, an application is given itself, as `kirsch.Application(app, threads=4)`, or as `kirsch.Rust(\"status\")`.
The guide [Several applications](../guides/routes.md) shows how all of it goes together.
";

const ROUTES: &str = "
## Routes: `[[routes]]`

Each table `[[routes]]` is a route: keys that say which requests it takes, one that says what becomes of them, and keys that change how.
Routes are tried in the order written, and the first that matches is the only one.
Exactly one of `app`, `files`, `redirect` and `answer` stands in each.
In Python, a route is `kirsch.Route(…)` with the same names.
";

/// The text of `docs/reference/settings.md`.
pub fn settings_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for group in Group::ALL {
        // Writing to a string does not fail.
        let _ = write!(page, "\n## {}\n", group.title());
        if let Some(note) = note(group) {
            let _ = write!(page, "\n{note}\n");
        }
        for option in options().iter().filter(|option| option.group == group) {
            let _ = write!(page, "\n{}", section(option));
        }
    }
    page.push_str(APPLICATIONS);
    for key in application_keys() {
        let _ = write!(page, "\n{}", key_section("apps", key));
    }
    page.push_str(ROUTES);
    for key in route_keys() {
        let _ = write!(page, "\n{}", key_section("routes", key));
    }
    page
}

fn key_section<T>(table: &str, key: &KeySpec<T>) -> String {
    let annotation = python_type(key.kind).replace('|', "\\|");
    let python = match table {
        "routes" if key.kind == Kind::AppName => "`app`: the application itself".to_owned(),
        "routes" => format!("`{}: {annotation}`", key.name),
        _ if key.name == "threads" => "`threads` of `kirsch.Application`".to_owned(),
        _ if key.name == "rust" => "`kirsch.Rust`".to_owned(),
        _ => "no".to_owned(),
    };
    format!(
        "### `{table}.{}`\n\n{}\n\n| | |\n|---|---|\n| Accepts | {} |\n\
         | Without it | {} |\n| Python | {python} |\n| Example | `{} = {}` |\n",
        key.name,
        key.doc,
        key.kind.accepted(),
        key.absent,
        key.name,
        key.example
    )
}

fn note(group: Group) -> Option<&'static str> {
    match group {
        Group::Tls => Some("In TOML these stand in the table `[tls]`."),
        Group::Limits => Some("In TOML these stand in the table `[limits]`."),
        Group::Timeouts => Some("In TOML these stand in the table `[timeouts]`."),
        Group::Later => Some("These names are known and refused in words, never ignored."),
        Group::Application | Group::Listening | Group::Serving | Group::Logging => None,
    }
}

fn section(option: &OptionSpec) -> String {
    let mut text = format!(
        "### `{}`\n\n{}\n\n| | |\n|---|---|\n",
        option.name, option.doc
    );
    let mut row = |title: &str, value: String| {
        let _ = writeln!(text, "| {title} | {value} |");
    };
    row("Flag", flags(option));
    row("Variable", format!("`{}`", option.variable()));
    row(
        "TOML",
        option
            .key()
            .map_or_else(|| "no".to_owned(), |key| format!("`{key}`")),
    );
    row(
        "Python",
        option
            .keyword()
            .map_or_else(|| "no".to_owned(), |keyword| argument(&keyword, option)),
    );
    row("Accepts", option.accepted());
    row("Default", default(option));
    if option.available() && option.has_flag() {
        row("Example", format!("`{}`", option.typed_example()));
    }
    let _ = write!(
        text,
        "\nWhy this default: {}\nWhen to change it: {}\n",
        option.default_reason, option.change
    );
    text
}

fn flags(option: &OptionSpec) -> String {
    if !option.has_flag() {
        return "no".to_owned();
    }
    let long = option.flag();
    match (option.kind, option.short) {
        (Kind::Switch, _) => format!("`{long}`, `--no-{}`", option.name),
        (Kind::AccessLogFormat, _) => format!("`{long}[=FORMAT]`; alone it is `combined`"),
        (_, Some(short)) => format!("`-{short}`, `{long}`"),
        (_, None) => format!("`{long}`"),
    }
}

fn argument(keyword: &str, option: &OptionSpec) -> String {
    // A bar would end the cell of the table, even between backticks.
    let annotation = option.python_type().replace('|', "\\|");
    format!("`{keyword}: {annotation} = {}`", option.python_default())
}

fn default(option: &OptionSpec) -> String {
    match option.default_text().as_str() {
        "none" => "none".to_owned(),
        "" => "empty".to_owned(),
        default => format!("`{default}`"),
    }
}
