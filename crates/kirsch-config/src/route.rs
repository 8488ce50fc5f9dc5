//! One route as written: which requests it takes, and what becomes of them.
//!
//! It owns the list of keys, for the table `[[routes]]` and for `kirsch.Route` alike.
//! It does not know which applications there are. Read next: `dispatch.rs`, which brings both together.

use std::path::{Path, PathBuf};

use crate::error::{ConfigError, Origin};
use crate::field::FieldValue;
use crate::table::{KeyGiven, KeySpec, Places, fill};
use crate::value::{KeywordValue, Kind};

/// A route as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteSpec {
    /// Hosts it takes; all where there is none.
    pub hosts: Vec<String>,
    /// The path it takes and everything below it.
    pub path: Option<String>,
    /// Methods it takes; all where there is none.
    pub methods: Vec<String>,
    /// Fields the request must have.
    pub fields: Vec<(String, String)>,
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// Networks the client must be in one of; all where there is none.
    pub clients: Vec<String>,
    /// What becomes of a request.
    pub action: Action,
    /// Fields that responses have in the end, in place of the application's.
    pub set_headers: Vec<(String, String)>,
    /// Fields that responses do not have in the end.
    pub remove_headers: Vec<String>,
    /// What the path is changed to.
    pub rewrite: Option<String>,
    /// Bytes of a request's body, in place of the server's limit.
    pub limit_body: Option<u64>,
    /// Whether the application reads a body while it arrives, in place of the server's setting.
    pub stream_body: Option<bool>,
    origin: Origin,
    places: Places,
}

/// What becomes of a request that a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The application of this name answers.
    App(String),
    /// A file below this folder is the answer.
    Files(PathBuf),
    /// The client is sent elsewhere.
    Redirect {
        /// The address, with `{host}`, `{path}` and so on.
        to: String,
        /// 301, 302, 303, 307 or 308.
        status: u16,
    },
    /// The answer is this status.
    Answer(u16),
}

/// Nothing was written yet; [`RouteSpec::from_table`] replaces it.
impl Default for Action {
    fn default() -> Self {
        Action::Answer(404)
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
}

/// Redirects that lose neither method nor body, and are not remembered by mistake, need a word.
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
        set: sets!(route.hosts),
    },
    KeySpec {
        name: "path",
        kind: Kind::RoutePath,
        doc: "The path and everything below it: `/api` takes `/api` and `/api/v1`, not `/apis`.",
        absent: "Every path.",
        example: "\"/api\"",
        set: sets!(some route.path),
    },
    KeySpec {
        name: "method",
        kind: Kind::Methods,
        doc: "Methods of the request, in capitals.",
        absent: "Every method.",
        example: "[\"GET\", \"POST\"]",
        set: sets!(route.methods),
    },
    KeySpec {
        name: "header",
        kind: Kind::Fields,
        doc: "Fields that the request has, each with this value.",
        absent: "Whatever the request's fields are.",
        example: "{ x-beta = \"1\" }",
        set: sets!(route.fields),
    },
    KeySpec {
        name: "scheme",
        kind: Kind::Scheme,
        doc: "How the client came, as the proxy that is trusted says.",
        absent: "Either.",
        example: "\"http\"",
        set: sets!(some route.scheme),
    },
    KeySpec {
        name: "client",
        kind: Kind::Networks,
        doc: "Networks that the client's address lies in one of.",
        absent: "Every client.",
        example: "[\"10.0.0.0/8\", \"::1\"]",
        set: sets!(route.clients),
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
        set: |table, given, reading| {
            let status = u16::read(given, reading)?;
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return Err(reading.refuse(given));
            }
            table.status = Some(status);
            Ok(())
        },
    },
    KeySpec {
        name: "set_headers",
        kind: Kind::Fields,
        doc: "Fields that every response of this route has, in place of those of the same name.",
        absent: "Responses are as they were made.",
        example: "{ x-frame-options = \"DENY\" }",
        set: sets!(route.set_headers),
    },
    KeySpec {
        name: "remove_headers",
        kind: Kind::FieldNames,
        doc: "Fields that no response of this route has.",
        absent: "Responses are as they were made.",
        example: "[\"x-powered-by\"]",
        set: sets!(route.remove_headers),
    },
    KeySpec {
        name: "rewrite",
        kind: Kind::RoutePath,
        doc: "What takes the place of the route's `path` before the application or the folder sees it.",
        absent: "The path stays as it is.",
        example: "\"/v1\"",
        set: sets!(some route.rewrite),
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
    pub(crate) fn at(host: Option<&str>, path: Option<&str>, action: Action, origin: Origin) -> Self {
        RouteSpec {
            hosts: host.map(str::to_owned).into_iter().collect(),
            path: path.map(str::to_owned),
            action,
            origin,
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
        RouteSpec::from_table(Origin::Argument("route".to_owned()), given.collect(), Path::new(""))
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
        } = table;
        if status.is_some() && redirect.is_none() {
            let hint = "write redirect = \"…\" beside it, or answer in place of it".to_owned();
            return Err(ConfigError::new(at("status"), "belongs to a redirect", Some(hint)));
        }
        let mut actions = Vec::new();
        actions.extend(app.map(|name| ("app", Action::App(name))));
        actions.extend(files.map(|folder| ("files", Action::Files(folder))));
        actions.extend(redirect.map(|to| {
            let status = status.unwrap_or(REDIRECT_STATUS);
            ("redirect", Action::Redirect { to, status })
        }));
        actions.extend(answer.map(|status| ("answer", Action::Answer(status))));
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

    /// Where the route stands.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where a key of the route stands; the route itself where it was not written.
    pub fn place(&self, key: &str) -> &Origin {
        self.places.of(key).unwrap_or(&self.origin)
    }
}
