//! Every key of a route, once: for the table `[[routes]]` and for `kirsch.Route` alike.
//!
//! The reference and the messages are made of this list. It is longer than other files because it is one table.
//! Read next: `route.rs`, which says what goes together.

use std::str::FromStr;
use std::time::Duration;

use kirsch_files::{CacheRule, CacheRuleError, Coding, Dotfiles, Symlinks};
use kirsch_server::{
    Condition, HostPattern, Network, NetworkError, PathPrefix, ResponseError, RouteError, Scheme,
};

use crate::error::Complaint;
use crate::field::{FieldValue, Reading, items};
use crate::route::RouteTable;
use crate::table::KeySpec;
use crate::value::{KeywordValue, Kind};

/// The keys that mean something beside `files` only.
pub(crate) const FILES_KEYS: [&str; 10] = [
    "internal",
    "index",
    "listing",
    "fallback",
    "cache_control",
    "immutable",
    "precompressed",
    "dotfiles",
    "follow_symlinks",
    "charset",
];

/// The keys that mean something beside `cgi` only.
pub(crate) const CGI_KEYS: [&str; 4] = [
    "limit_processes",
    "timeout_script",
    "pass_environment",
    "pass_authorization",
];

/// Every key of `[[routes]]`, in the order of the reference.
pub fn route_keys() -> &'static [KeySpec<RouteTable>] {
    KEYS
}

/// A setter that replaces one field.
macro_rules! sets {
    ($($field:ident).+) => {
        |table, given, reading| {
            table.$($field).+ = FieldValue::read(given, reading)?;
            Ok(())
        }
    };
    (some $($field:ident).+) => {
        |table, given, reading| {
            table.$($field).+ = Some(FieldValue::read(given, reading)?);
            Ok(())
        }
    };
}

static KEYS: &[KeySpec<RouteTable>] = &[
    KeySpec {
        name: "host",
        kind: Kind::Hosts,
        doc: "Hosts that the request names; `*.` before one stands for one label or more.",
        absent: "Every host.",
        example: "[\"example.com\", \"*.example.com\"]",
        set: |table, given, reading| {
            table.route.when.hosts = parse_all(given, reading)?;
            Ok(())
        },
    },
    KeySpec {
        name: "path",
        kind: Kind::RoutePaths,
        doc: "Paths, each with everything below it: `/api` takes `/api` and `/api/v1`, not `/apis`.",
        absent: "Every path.",
        example: "\"/api\"",
        set: |table, given, reading| {
            table.route.when.paths = parse_all(given, reading)?;
            Ok(())
        },
    },
    KeySpec {
        name: "method",
        kind: Kind::Methods,
        doc: "Methods of the request, in capitals.",
        absent: "Every method.",
        example: "[\"GET\", \"POST\"]",
        set: |table, given, reading| {
            table.route.when.methods = Vec::read(given, reading)?;
            look_at_methods(&table.route.when)
        },
    },
    KeySpec {
        name: "header",
        kind: Kind::Fields,
        doc: "Fields that the request has, each with this value.",
        absent: "Whatever the request's fields are.",
        example: "{ x-beta = \"1\" }",
        set: |table, given, reading| {
            table.route.when.headers = Vec::read(given, reading)?;
            table.route.when.check().map_err(|error| complain(&error))
        },
    },
    KeySpec {
        name: "scheme",
        kind: Kind::Scheme,
        doc: "How the client came, as the proxy that is trusted says.",
        absent: "Either.",
        example: "\"http\"",
        set: |table, given, reading| {
            table.route.when.scheme = Some(match String::read(given, reading)?.as_str() {
                "http" => Scheme::Http,
                "https" => Scheme::Https,
                _ => return Err(reading.refuse(given)),
            });
            Ok(())
        },
    },
    KeySpec {
        name: "client",
        kind: Kind::Networks,
        doc: "Networks that the client's address lies in one of.",
        absent: "Every client.",
        example: "[\"10.0.0.0/8\", \"::1\"]",
        set: |table, given, reading| {
            let texts: Vec<String> = Vec::read(given, reading)?;
            table.route.when.clients = texts
                .iter()
                .map(|text| network(text))
                .collect::<Result<_, _>>()?;
            Ok(())
        },
    },
    KeySpec {
        name: "app",
        kind: Kind::AppName,
        doc: "The application that answers; the route's `path` becomes its `SCRIPT_NAME`.",
        absent: "One of `app`, `files`, `cgi`, `redirect` and `answer` says what becomes of the request.",
        example: "\"blog\"",
        set: sets!(some app),
    },
    KeySpec {
        name: "files",
        kind: Kind::Path,
        doc: "The folder whose files are the answers; what stands behind the route's `path` is looked for in it.",
        absent: "As with `app`.",
        example: "\"public\"",
        set: |table, given, reading| {
            table.files.root = FieldValue::read(given, reading)?;
            Ok(())
        },
    },
    KeySpec {
        name: "cgi",
        kind: Kind::Path,
        doc: "The folder whose executable files are CGI scripts, each of which answers for the path that leads to it; or one script, which answers every path of the route.",
        absent: "As with `app`.",
        example: "\"cgi-bin\"",
        set: sets!(cgi.path),
    },
    KeySpec {
        name: "redirect",
        kind: Kind::Redirect,
        doc: "Where the client is sent.",
        absent: "As with `app`.",
        example: "\"https://{host}{path}{query}\"",
        set: sets!(some redirect),
    },
    KeySpec {
        name: "answer",
        kind: Kind::Status { min: 200, max: 599 },
        doc: "The status that is the answer.",
        absent: "As with `app`.",
        example: "404",
        set: sets!(some answer),
    },
    KeySpec {
        name: "status",
        kind: Kind::Status { min: 301, max: 308 },
        doc: "Beside `redirect`: its status, 301, 302, 303, 307 or 308.",
        absent: "308, which keeps the method and the body.",
        example: "302",
        set: sets!(some status),
    },
    KeySpec {
        name: "body",
        kind: Kind::Text,
        doc: "Beside `answer`: its text.",
        absent: "What the status means, in words.",
        example: "\"back at noon\"",
        set: sets!(some body),
    },
    KeySpec {
        name: "internal",
        kind: Kind::Switch,
        doc: "Beside `files`: whether only applications lead there, by `X-Accel-Redirect: /path/of/route/file`; a client that asks for such a path gets 404.",
        absent: "It is for clients, and no application is heeded.",
        example: "true",
        set: sets!(internal),
    },
    KeySpec {
        name: "index",
        kind: Kind::FileNames,
        doc: "Beside `files`: what is served for a folder, the first of these that is there.",
        absent: "`index.html`.",
        example: "[\"index.html\", \"index.htm\"]",
        set: sets!(files.index),
    },
    KeySpec {
        name: "listing",
        kind: Kind::Switch,
        doc: "Beside `files`: whether a folder without an index is answered with a list of what is in it.",
        absent: "It is not, since a list shows what nobody linked to.",
        example: "true",
        set: sets!(files.listing),
    },
    KeySpec {
        name: "fallback",
        kind: Kind::FileName,
        doc: "Beside `files`: the file below the folder that is served for paths that lead to nothing and whose last part has no dot; the entry of an application that does its routing in the browser.",
        absent: "They are answered with 404.",
        example: "\"index.html\"",
        set: sets!(some files.fallback),
    },
    KeySpec {
        name: "cache_control",
        kind: Kind::CacheRules,
        doc: "Beside `files`: the value of `Cache-Control` for names and paths, in which `*` stands for anything but a slash, `**` for anything; the first that matches counts.",
        absent: "Only names with a hash get one, as `immutable` says.",
        example: "{ \"*.css\" = \"max-age=3600\" }",
        set: |table, given, reading| {
            for (pattern, value) in Vec::<(String, String)>::read(given, reading)? {
                let rule = CacheRule::new(&pattern, &value);
                table
                    .files
                    .cache_rules
                    .push(rule.map_err(|error| rule_refused(&error))?);
            }
            Ok(())
        },
    },
    KeySpec {
        name: "immutable",
        kind: Kind::Switch,
        doc: "Beside `files`: whether a file whose name holds a hash, such as `app.3f2a9c1b.js`, may be kept for a year without asking again.",
        absent: "It may.",
        example: "false",
        set: sets!(files.immutable_hashed),
    },
    KeySpec {
        name: "precompressed",
        kind: Kind::Codings,
        doc: "Beside `files`: which compressed siblings of a file are looked for, the preferred one first: `app.js.br`, `app.js.zst`, `app.js.gz`.",
        absent: "All three.",
        example: "[\"br\", \"gzip\"]",
        set: |table, given, reading| {
            table.files.precompressed = match given {
                KeywordValue::Bool(false) => Vec::new(),
                _ => {
                    let names: Vec<String> = Vec::read(given, reading)?;
                    let read = |name: &String| {
                        let unknown = || reading.refuse(&KeywordValue::Str(name.clone()));
                        coding(name).ok_or_else(unknown)
                    };
                    names.iter().map(read).collect::<Result<_, _>>()?
                }
            };
            Ok(())
        },
    },
    KeySpec {
        name: "dotfiles",
        kind: Kind::Switch,
        doc: "Beside `files`: whether names that begin with a dot are served.",
        absent: "They are not, except what lies in `/.well-known/`: `.git` and `.env` lie in many folders by accident.",
        example: "true",
        set: |table, given, reading| {
            table.files.dotfiles = if bool::read(given, reading)? {
                Dotfiles::Served
            } else {
                Dotfiles::Hidden
            };
            Ok(())
        },
    },
    KeySpec {
        name: "follow_symlinks",
        kind: Kind::Switch,
        doc: "Beside `files`: whether symbolic links may lead out of the folder.",
        absent: "They may not; one that does leads to nothing.",
        example: "true",
        set: |table, given, reading| {
            table.files.symlinks = if bool::read(given, reading)? {
                Symlinks::Followed
            } else {
                Symlinks::WithinRoot
            };
            Ok(())
        },
    },
    KeySpec {
        name: "charset",
        kind: Kind::Text,
        doc: "Beside `files`: the charset that is said of text; `false` for none.",
        absent: "`utf-8`.",
        example: "\"iso-8859-1\"",
        set: sets!(files.charset),
    },
    KeySpec {
        name: "limit_processes",
        kind: Kind::Count { min: 1, max: 4096 },
        doc: "Beside `cgi`: at most so many scripts of this route run at once, each of which holds a thread; further requests for it wait, up to `limit-queue` and `timeout-queue`, while those for others go on.",
        absent: "8, or one fewer than there are threads, so that scripts never hold all of them.",
        example: "4",
        set: sets!(some cgi.processes),
    },
    KeySpec {
        name: "timeout_script",
        kind: Kind::Duration {
            min: Duration::from_millis(1),
        },
        doc: "Beside `cgi`: how long a script may run for one request; then it is ended, and the answer is 504 or is cut.",
        absent: "60 seconds.",
        example: "\"5m\"",
        set: sets!(cgi.run),
    },
    KeySpec {
        name: "pass_environment",
        kind: Kind::Variables,
        doc: "Beside `cgi`: variables of the server's environment that scripts see.",
        absent: "They see `PATH` and what CGI says, since an environment may hold secrets of others.",
        example: "[\"LANG\", \"DATABASE_URL\"]",
        set: sets!(cgi.environment),
    },
    KeySpec {
        name: "pass_authorization",
        kind: Kind::Switch,
        doc: "Beside `cgi`: whether scripts see the request's `Authorization`, as `HTTP_AUTHORIZATION`.",
        absent: "They do not: other processes of the same user can read an environment.",
        example: "true",
        set: sets!(cgi.authorization),
    },
    KeySpec {
        name: "set_headers",
        kind: Kind::Fields,
        doc: "Fields that every response of this route has, in place of those of the same name.",
        absent: "Responses are as they were made.",
        example: "{ x-frame-options = \"DENY\" }",
        set: |table, given, reading| {
            for (name, value) in Vec::<(String, String)>::read(given, reading)? {
                let set = table.route.fields.set(name.as_bytes(), value.as_bytes());
                set.map_err(|error| field_refused(&name, error))?;
            }
            Ok(())
        },
    },
    KeySpec {
        name: "remove_headers",
        kind: Kind::FieldNames,
        doc: "Fields that no response of this route has.",
        absent: "Responses are as they were made.",
        example: "[\"x-powered-by\"]",
        set: |table, given, reading| {
            for name in Vec::<String>::read(given, reading)? {
                let removed = table.route.fields.remove(name.as_bytes());
                removed.map_err(|error| field_refused(&name, error))?;
            }
            Ok(())
        },
    },
    KeySpec {
        name: "rewrite",
        kind: Kind::RoutePath,
        doc: "What takes the place of the route's `path`; the application sees the new path as its own, with an empty `SCRIPT_NAME`.",
        absent: "The path stays as it is.",
        example: "\"/v1\"",
        set: |table, given, reading| {
            table.route.rewrite = Some(parse_one(&String::read(given, reading)?)?);
            Ok(())
        },
    },
    KeySpec {
        name: "limit_body",
        kind: Kind::Size {
            min: 0,
            max: i64::MAX as u64,
        },
        doc: "Bytes of a request's body; beyond them the answer is 413.",
        absent: "The setting `limit-body`.",
        example: "\"20MiB\"",
        set: sets!(some route.limit_body),
    },
    KeySpec {
        name: "stream_body",
        kind: Kind::Switch,
        doc: "Whether the application or the script reads the body while it arrives; for a script, where its length is announced.",
        absent: "The setting `stream-request-body`.",
        example: "true",
        set: sets!(some route.stream_body),
    },
];

/// Values that routes have a type for, each a text.
pub(crate) trait Parsed: FromStr<Err = RouteError> {}

impl Parsed for HostPattern {}
impl Parsed for PathPrefix {}

pub(crate) fn parse_one<T: Parsed>(text: &str) -> Result<T, Complaint> {
    text.parse().map_err(|error: RouteError| Complaint {
        message: format!("{text:?} cannot be used: {error}"),
        hint: None,
    })
}

fn parse_all<T: Parsed>(given: &KeywordValue, reading: &Reading<'_>) -> Result<Vec<T>, Complaint> {
    let read = |item: &KeywordValue| match item {
        KeywordValue::Str(text) => parse_one(text),
        _ => Err(reading.refuse(item)),
    };
    let all: Vec<T> = items(given).iter().map(read).collect::<Result<_, _>>()?;
    if all.is_empty() {
        return Err(reading.refuse(given));
    }
    Ok(all)
}

/// Methods are told apart by case (RFC 9110 section 9.1), so that `get` would never match.
fn look_at_methods(when: &Condition) -> Result<(), Complaint> {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT",
    ];
    for method in &when.methods {
        let meant = KNOWN.iter().find(|it| it.eq_ignore_ascii_case(method));
        if let Some(meant) = meant.filter(|meant| *meant != method) {
            let hint = format!("write {meant}");
            return Err(Complaint::new(
                format!("{method:?} is in small letters"),
                hint,
            ));
        }
    }
    when.check().map_err(|error| complain(&error))
}

fn network(text: &str) -> Result<Network, Complaint> {
    text.parse().map_err(|error| match error {
        NetworkError::Malformed => Complaint {
            message: format!("{text:?} is neither an address nor a network"),
            hint: None,
        },
        NetworkError::Within { network, address } => Complaint::new(
            format!("{text} is an address within a network"),
            format!("write {network} for the network, or {address} for the address"),
        ),
    })
}

pub(crate) fn complain(error: &RouteError) -> Complaint {
    Complaint {
        message: error.to_string(),
        hint: None,
    }
}

fn field_refused(name: &str, error: ResponseError) -> Complaint {
    let why = match error {
        ResponseError::HopByHop => {
            "it frames the message or speaks of the connection, and so is the server's".to_owned()
        }
        other => other.to_string(),
    };
    Complaint {
        message: format!("{name:?} cannot be set or removed: {why}"),
        hint: None,
    }
}

fn rule_refused(error: &CacheRuleError) -> Complaint {
    let message = match error {
        CacheRuleError::NoPattern => "a pattern is empty",
        CacheRuleError::BadValue => "a value is empty or has a character that no field may have",
    };
    Complaint {
        message: message.to_owned(),
        hint: None,
    }
}

fn coding(name: &str) -> Option<Coding> {
    [Coding::Brotli, Coding::Zstandard, Coding::Gzip]
        .into_iter()
        .find(|coding| coding.name() == name)
}
