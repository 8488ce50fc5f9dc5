//! One route as written: which requests it takes, and what becomes of them.
//!
//! It owns which keys go together. It does not know which applications there are.
//! Read next: `route_keys.rs`, the list of keys; `dispatch.rs`, which finds the applications.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kirsch_files::FilesOptions;
use kirsch_server::{Condition, FieldEdits, FixedAnswer, PathPrefix, Redirect};

use crate::error::{ConfigError, Origin};
use crate::mount::Mount;
use crate::route_keys::{CGI_KEYS, FILES_KEYS, complain, route_keys};
use crate::table::{KeyGiven, Places, fill};
use crate::value::KeywordValue;

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
    /// A file of a folder is the answer.
    Files(Box<FilesOptions>),
    /// A CGI script answers.
    Cgi(CgiSpec),
    /// A file of a folder is the answer where an application names it in `X-Accel-Redirect`. Clients find nothing.
    InternalFiles(Box<FilesOptions>),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// The answer is always the same.
    Answer(FixedAnswer),
}

/// CGI scripts as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgiSpec {
    /// A folder of scripts, or one script.
    pub path: PathBuf,
    /// Scripts that run at once, if the operator has said so.
    pub processes: Option<usize>,
    /// How long one request may take.
    pub run: Duration,
    /// Variables of the server's environment that scripts see.
    pub environment: Vec<String>,
    /// Whether scripts see `Authorization`.
    pub authorization: bool,
}

impl Default for CgiSpec {
    fn default() -> Self {
        CgiSpec {
            path: PathBuf::new(),
            processes: None,
            run: kirsch_cgi::Limits::default().run,
            environment: Vec::new(),
            authorization: false,
        }
    }
}

/// Nothing was written yet; [`RouteSpec::from_table`] replaces it.
impl Default for RouteAction {
    fn default() -> Self {
        RouteAction::App(String::new())
    }
}

/// A table while it is read.
pub struct RouteTable {
    pub(crate) route: RouteSpec,
    pub(crate) app: Option<String>,
    /// Its root counts once `files` was read.
    pub(crate) files: FilesOptions,
    /// Its path counts once `cgi` was read.
    pub(crate) cgi: CgiSpec,
    pub(crate) internal: bool,
    pub(crate) redirect: Option<String>,
    pub(crate) answer: Option<u16>,
    pub(crate) status: Option<u16>,
    pub(crate) body: Option<String>,
}

/// It keeps method and body, and a browser asks no more for what has moved: what most redirects are for.
const REDIRECT_STATUS: u16 = 308;

/// Keys that mean something only beside one of others, with what to write instead.
const COMPANY: [(&[&str], &[&str], &str); 6] = [
    (
        &["status"],
        &["redirect"],
        "write redirect beside it, or answer in place of it",
    ),
    (&["body"], &["answer"], "write answer beside it"),
    (
        &["rewrite", "limit_body"],
        &["app", "files", "cgi"],
        "leave it out",
    ),
    (&["stream_body"], &["app", "cgi"], "leave it out"),
    (
        &FILES_KEYS,
        &["files"],
        "write files = \"FOLDER\" beside it, or leave it out",
    ),
    (
        &CGI_KEYS,
        &["cgi"],
        "write cgi = \"FOLDER\" beside it, or leave it out",
    ),
];

/// Keys that an internal route cannot have.
const NOT_INTERNAL: [&str; 10] = [
    "index",
    "listing",
    "fallback",
    "cache_control",
    "immutable",
    "precompressed",
    "set_headers",
    "remove_headers",
    "rewrite",
    "limit_body",
];

impl RouteTable {
    /// The route, if the table says exactly one thing that becomes of a request.
    fn into_route(self) -> Result<RouteSpec, ConfigError> {
        let mut route = self.route;
        let mut actions = Vec::new();
        actions.extend(self.app.map(|name| ("app", RouteAction::App(name))));
        if route.places.of("files").is_some() {
            let files = Box::new(self.files);
            let action = if self.internal {
                route.check_internal()?;
                RouteAction::InternalFiles(files)
            } else {
                RouteAction::Files(files)
            };
            actions.push(("files", action));
        }
        if route.places.of("cgi").is_some() {
            actions.push(("cgi", RouteAction::Cgi(self.cgi)));
        }
        if let Some(to) = self.redirect {
            let redirect = Redirect::new(&to, self.status.unwrap_or(REDIRECT_STATUS))
                .map_err(|error| complain(&error).at(route.place("redirect").clone()))?;
            actions.push(("redirect", RouteAction::Redirect(redirect)));
        }
        if let Some(status) = self.answer {
            let body = self.body.map(|text| format!("{text}\n").into_bytes());
            let answer = FixedAnswer::new(status, body)
                .map_err(|error| complain(&error).at(route.place("answer").clone()))?;
            actions.push(("answer", RouteAction::Answer(answer)));
        }
        let mut actions = actions.into_iter();
        let Some((first, action)) = actions.next() else {
            let hint = "write app, files, cgi, redirect or answer in it".to_owned();
            let message = "does not say what becomes of a request";
            return Err(ConfigError::new(route.origin, message, Some(hint)));
        };
        if let Some((second, _)) = actions.next() {
            let message = format!("stands beside {first}, and a route does one thing");
            let hint = "keep one of them, or write two routes".to_owned();
            let place = route.place(second).clone();
            return Err(ConfigError::new(place, message, Some(hint)));
        }
        route.action = action;
        Ok(route)
    }
}

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
        let mut table = RouteTable {
            route: RouteSpec::default(),
            app: None,
            files: FilesOptions::new(""),
            cgi: CgiSpec::default(),
            internal: false,
            redirect: None,
            answer: None,
            status: None,
            body: None,
        };
        let places = fill(&mut table, route_keys(), given, base)?;
        table.route.origin = origin;
        table.route.places = places;
        table.route.check_company()?;
        table.into_route()
    }

    /// Looks that every key stands beside what gives it a meaning.
    fn check_company(&self) -> Result<(), ConfigError> {
        let is_given = |key: &str| self.places.of(key).is_some();
        for (keys, company, hint) in COMPANY {
            if company.iter().any(|key| is_given(key)) {
                continue;
            }
            if let Some(lonely) = keys.iter().find(|key| is_given(key)) {
                let message = match company {
                    [rest @ .., last] if !rest.is_empty() => {
                        format!("belongs to {} or {last}", rest.join(", "))
                    }
                    _ => format!("belongs to {}", company.join("")),
                };
                let place = self.place(lonely).clone();
                return Err(ConfigError::new(place, message, Some(hint.to_owned())));
            }
        }
        Ok(())
    }

    /// Looks that nothing is said of responses that are an application's.
    fn check_internal(&self) -> Result<(), ConfigError> {
        let is_given = |key: &&&str| self.places.of(key).is_some();
        let Some(key) = NOT_INTERNAL.iter().find(is_given) else {
            return Ok(());
        };
        let message = "means nothing for an internal route, whose response is the application's";
        let hint = match *key {
            "set_headers" | "remove_headers" => "write it in the application's route",
            _ => "leave it out",
        };
        let place = self.place(key).clone();
        Err(ConfigError::new(place, message, Some(hint.to_owned())))
    }

    /// The path it is mounted at, if it leads every request below that to an application, and changes nothing.
    pub(crate) fn plain_mount(&self) -> Option<&str> {
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
            RouteAction::Files(files) => files.root.display().to_string(),
            RouteAction::Cgi(cgi) => cgi.path.display().to_string(),
            RouteAction::InternalFiles(files) => format!("internal {}", files.root.display()),
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
