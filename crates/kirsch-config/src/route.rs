//! One route as written: which requests it takes, and what becomes of them.
//!
//! It owns which keys go together. It does not know which applications there are.
//! Read next: `route_keys.rs`, the list of keys; `dispatch.rs`, which finds the applications.

use std::path::Path;

use kirsch_files::FilesOptions;
use kirsch_server::{Condition, FieldEdits, FixedAnswer, PathPrefix, Redirect};

use crate::error::{ConfigError, Origin};
use crate::mount::Mount;
use crate::route_keys::{FILES_KEYS, complain, route_keys};
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
pub struct RouteTable {
    pub(crate) route: RouteSpec,
    pub(crate) app: Option<String>,
    /// Its root counts once `files` was read.
    pub(crate) files: FilesOptions,
    pub(crate) redirect: Option<String>,
    pub(crate) answer: Option<u16>,
    pub(crate) status: Option<u16>,
    pub(crate) body: Option<String>,
}

/// It keeps method and body, and a browser asks no more for what has moved: what most redirects are for.
const REDIRECT_STATUS: u16 = 308;

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
            redirect: None,
            answer: None,
            status: None,
            body: None,
        };
        let places = fill(&mut table, route_keys(), given, base)?;
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
        let has_files = places.of("files").is_some();
        let given_of =
            |keys: &[&'static str]| keys.iter().copied().find(|key| places.of(key).is_some());
        if app.is_none()
            && !has_files
            && let Some(key) = given_of(&["rewrite", "limit_body"])
        {
            return belongs(key, "app or files", "leave it out");
        }
        if app.is_none()
            && let Some(key) = given_of(&["stream_body"])
        {
            return belongs(key, "app", "leave it out");
        }
        if !has_files && let Some(key) = given_of(&FILES_KEYS) {
            return belongs(
                key,
                "files",
                "write files = \"FOLDER\" beside it, or leave it out",
            );
        }
        let mut actions = Vec::new();
        actions.extend(app.map(|name| ("app", RouteAction::App(name))));
        if has_files {
            actions.push(("files", RouteAction::Files(Box::new(files))));
        }
        if let Some(to) = redirect {
            let redirect = Redirect::new(&to, status.unwrap_or(REDIRECT_STATUS))
                .map_err(|error| complain(&error).at(at("redirect")))?;
            actions.push(("redirect", RouteAction::Redirect(redirect)));
        }
        if let Some(status) = answer {
            let answer =
                FixedAnswer::new(status, body.map(|text| format!("{text}\n").into_bytes()))
                    .map_err(|error| complain(&error).at(at("answer")))?;
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
            RouteAction::Files(files) => files.root.display().to_string(),
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
