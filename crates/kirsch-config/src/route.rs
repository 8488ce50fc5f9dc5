//! One route as written: which requests it takes, and what becomes of them.
//!
//! It owns the list of keys, for the table `[[routes]]` and for `kirsch.Route` alike.
//! It does not know which applications there are. Read next: `dispatch.rs`, which brings both together.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use kirsch_server::{
    Condition, FieldEdits, FixedAnswer, HostPattern, IpNet, PathPrefix, Redirect, ResponseError,
    RouteError, Scheme,
};

use crate::error::{Complaint, ConfigError, Origin};
use crate::field::{FieldValue, Reading, items};
use crate::mount::Mount;
use crate::table::{KeyGiven, KeySpec, Places, fill};
use crate::value::{KeywordValue, Kind};

/// A route as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteSpec {
    /// Which requests it takes.
    pub when: Condition,
    /// What becomes of them.
    pub action: RouteAction,
    /// What is changed in the fields of responses.
    pub fields: FieldEdits,
    /// What takes the place of the path that matched.
    pub rewrite: Option<PathPrefix>,
    /// Bytes of a request's body, in place of the server's limit.
    pub limit_body: Option<u64>,
    /// Whether the application reads a body while it arrives, in place of the server's setting.
    pub stream_body: Option<bool>,
    origin: Origin,
    places: Places,
}

/// What becomes of a request that a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteAction {
    /// The application of this name answers.
    App(String),
    /// A file below this folder is the answer.
    Files(PathBuf),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// The answer is always the same.
    Answer(FixedAnswer),
}

/// Nothing was written yet; [`RouteSpec::from_table`] replaces it.
impl Default for RouteAction {
    fn default() -> Self {
        RouteAction::App(String::new())
    }
}

/// A table while it is read.
#[derive(Default)]
pub struct RouteTable {
    route: RouteSpec,
    app: Option<String>,
    files: Option<PathBuf>,
    redirect: Option<String>,
    answer: Option<u16>,
    status: Option<u16>,
    body: Option<String>,
}

/// It keeps method and body, and a browser asks no more for what has moved: what most redirects are for.
const REDIRECT_STATUS: u16 = 308;

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
            table.route.when.check().map_err(complain)
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
        absent: "One of `app`, `files`, `redirect` and `answer` says what becomes of the request.",
        example: "\"blog\"",
        set: sets!(some app),
    },
    KeySpec {
        name: "files",
        kind: Kind::Path,
        doc: "The folder whose files are the answers; what stands behind the route's `path` is looked for in it.",
        absent: "As with `app`.",
        example: "\"public\"",
        set: sets!(files),
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
        doc: "The status of the redirect: 301, 302, 303, 307 or 308.",
        absent: "308, which keeps the method and the body.",
        example: "302",
        set: sets!(some status),
    },
    KeySpec {
        name: "body",
        kind: Kind::Text,
        doc: "The text of the answer.",
        absent: "What the status means, in words.",
        example: "\"back at noon\"",
        set: sets!(some body),
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
        doc: "Whether the application reads the body while it arrives.",
        absent: "The setting `stream-request-body`.",
        example: "true",
        set: sets!(some route.stream_body),
    },
];

impl RouteSpec {
    /// A route that takes requests by host and path alone.
    pub(crate) fn at(mount: &Mount, action: RouteAction, origin: &Origin) -> Self {
        RouteSpec {
            when: Condition {
                hosts: mount.host.iter().cloned().collect(),
                paths: mount.path.iter().cloned().collect(),
                ..Condition::default()
            },
            action,
            origin: origin.clone(),
            ..RouteSpec::default()
        }
    }

    /// A route from the arguments of `kirsch.Route`; relative paths begin at the working directory.
    ///
    /// # Errors
    /// When an argument is not known or its value is of no use; the origin is `argument NAME`.
    pub fn from_keywords(
        keywords: impl IntoIterator<Item = (String, KeywordValue)>,
    ) -> Result<Self, ConfigError> {
        let given = keywords
            .into_iter()
            .filter(|(_, value)| *value != KeywordValue::None)
            .map(|(name, value)| KeyGiven {
                origin: Origin::Argument(name.clone()),
                name,
                value,
            });
        RouteSpec::from_table(
            Origin::Argument("route".to_owned()),
            given.collect(),
            Path::new(""),
        )
    }

    /// Reads a table.
    pub(crate) fn from_table(
        origin: Origin,
        given: Vec<KeyGiven>,
        base: &Path,
    ) -> Result<Self, ConfigError> {
        let mut table = RouteTable::default();
        let places = fill(&mut table, KEYS, given, base)?;
        let at = |key: &str| places.of(key).unwrap_or(&origin).clone();
        let RouteTable {
            mut route,
            app,
            files,
            redirect,
            answer,
            status,
            body,
        } = table;
        let belongs = |key: &str, to: &str, hint: &str| {
            let message = format!("belongs to {to}");
            Err(ConfigError::new(at(key), message, Some(hint.to_owned())))
        };
        if status.is_some() && redirect.is_none() {
            return belongs(
                "status",
                "redirect",
                "write redirect beside it, or answer in place of it",
            );
        }
        if body.is_some() && answer.is_none() {
            return belongs("body", "answer", "write answer beside it");
        }
        for key in ["rewrite", "limit_body", "stream_body"] {
            if app.is_none() && files.is_none() && places.of(key).is_some() {
                return belongs(key, "app", "leave it out");
            }
        }
        let mut actions = Vec::new();
        actions.extend(app.map(|name| ("app", RouteAction::App(name))));
        actions.extend(files.map(|folder| ("files", RouteAction::Files(folder))));
        if let Some(to) = redirect {
            let redirect = Redirect::new(&to, status.unwrap_or(REDIRECT_STATUS))
                .map_err(|error| complain(error).at(at("redirect")))?;
            actions.push(("redirect", RouteAction::Redirect(redirect)));
        }
        if let Some(status) = answer {
            let answer =
                FixedAnswer::new(status, body.map(|text| format!("{text}\n").into_bytes()))
                    .map_err(|error| complain(error).at(at("answer")))?;
            actions.push(("answer", RouteAction::Answer(answer)));
        }
        let mut actions = actions.into_iter();
        let Some((first, action)) = actions.next() else {
            let hint = "write app, files, redirect or answer in it".to_owned();
            let message = "does not say what becomes of a request";
            return Err(ConfigError::new(origin, message, Some(hint)));
        };
        if let Some((second, _)) = actions.next() {
            let message = format!("stands beside {first}, and a route does one thing");
            let hint = "keep one of them, or write two routes".to_owned();
            return Err(ConfigError::new(at(second), message, Some(hint)));
        }
        route.action = action;
        route.origin = origin;
        route.places = places;
        Ok(route)
    }

    /// The path it is mounted at, if it leads every request below that to an application, and changes nothing.
    pub(crate) fn is_plain(&self) -> Option<&str> {
        let Condition { paths, .. } = &self.when;
        let mount = match paths.as_slice() {
            [] => "",
            [path] => path.as_str(),
            [_, _, ..] => return None,
        };
        let plain = RouteSpec {
            when: Condition {
                paths: paths.clone(),
                ..Condition::default()
            },
            action: self.action.clone(),
            origin: self.origin.clone(),
            places: self.places.clone(),
            ..RouteSpec::default()
        };
        (matches!(self.action, RouteAction::App(_)) && plain == *self).then_some(mount)
    }

    /// The route in a few words: `blog.test/v1=blog:app`.
    pub fn brief(&self) -> String {
        let Condition {
            hosts,
            paths,
            methods,
            headers,
            scheme,
            clients,
        } = &self.when;
        let more = |count: usize| if count > 1 { ",…" } else { "" };
        let mut place = String::new();
        if let Some(host) = hosts.first() {
            place = format!("{host}{}", more(hosts.len()));
        }
        if let Some(path) = paths.first().filter(|path| !path.as_str().is_empty()) {
            place = format!("{place}{path}{}", more(paths.len()));
        }
        let narrow =
            !methods.is_empty() || !headers.is_empty() || scheme.is_some() || !clients.is_empty();
        let what = match &self.action {
            RouteAction::App(name) => name.clone(),
            RouteAction::Files(folder) => folder.display().to_string(),
            RouteAction::Redirect(_) => "redirect".to_owned(),
            RouteAction::Answer(_) => "answer".to_owned(),
        };
        match (place.as_str(), narrow) {
            ("", false) => what,
            ("", true) => format!("some requests={what}"),
            (_, false) => format!("{place}={what}"),
            (_, true) => format!("some of {place}={what}"),
        }
    }

    /// Where the route stands.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where a key of the route stands; the route itself where it was not written.
    pub fn place(&self, key: &str) -> &Origin {
        self.places.of(key).unwrap_or(&self.origin)
    }
}

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
    when.check().map_err(complain)
}

fn network(text: &str) -> Result<IpNet, Complaint> {
    let network = text.parse::<IpNet>().ok();
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let Some(network) = network.or_else(address) else {
        return Err(Complaint {
            message: format!("{text:?} is neither an address nor a network"),
            hint: None,
        });
    };
    let begin = network.trunc();
    if begin != network {
        let message = format!("{text} is an address in {begin}");
        return Err(Complaint::new(
            message,
            format!("write {begin}, or the address alone"),
        ));
    }
    Ok(network)
}

fn complain(error: RouteError) -> Complaint {
    Complaint {
        message: error.to_string(),
        hint: None,
    }
}

fn field_refused(name: &str, error: ResponseError) -> Complaint {
    Complaint {
        message: format!("{name:?} cannot be set or removed: {error}"),
        hint: None,
    }
}
