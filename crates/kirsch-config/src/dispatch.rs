//! Which applications there are, and which route leads to which: everything that was written, brought together.
//!
//! Folders of `static` come first, then the file's routes, then applications with a host or a path, each in the order
//! written; the application without either takes what no route takes.
//! What is wrong with them together is found here all at once, because `kirsch check` shows all of it.
//! Read next: `route.rs`, for what is wrong with one alone.

use std::io::ErrorKind;
use std::path::Path;

use kirsch_cgi::Cgi;
use kirsch_files::FilesOptions;
use kirsch_server::{Action, FixedAnswer, Route, Shadowed, unreachable};

use crate::application::{Application, ApplicationKind};
use crate::error::{ConfigError, Origin, nearest};
use crate::mount::{Mount, MountedApp, StaticFolder};
use crate::route::{RouteAction, RouteSpec};
use crate::settings::Settings;

/// Applications, and the routes that lead to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dispatch {
    /// Every application that a route leads to, in the order written.
    pub applications: Vec<Application>,
    /// Every route, in the order in which they are tried.
    pub routes: Vec<DispatchRoute>,
    /// What is wrong or makes no sense.
    pub findings: Vec<Finding>,
}

/// A route, with its application found.
#[derive(Clone, Debug, PartialEq)]
pub struct DispatchRoute {
    /// The route as written.
    pub spec: RouteSpec,
    /// Its application's place in [`Dispatch::applications`], if it leads to one.
    pub application: Option<usize>,
}

/// What is wrong or makes no sense, and whether it can be served all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The place, what is wrong, and what to write instead.
    pub error: ConfigError,
    /// Whether it keeps the server from starting.
    pub fatal: bool,
}

impl Dispatch {
    /// Brings together what the settings say.
    ///
    /// # Errors
    /// When two applications would take what no route takes.
    pub(crate) fn new(settings: &Settings) -> Result<Self, ConfigError> {
        let origin = settings.origin("app");
        let mut known = settings.applications.clone();
        let typed: Vec<usize> = settings
            .app
            .iter()
            .map(|app| place_of(&mut known, app, origin))
            .collect();
        let mut routes = static_routes(settings);
        routes.extend(
            settings
                .routes
                .iter()
                .map(|route| led(route.clone(), &known)),
        );
        let mut rest: Option<usize> = None;
        for (app, place) in settings.app.iter().zip(typed) {
            match &app.mount {
                Some(mount) => {
                    let action = RouteAction::App(known[place].name.clone());
                    routes.push((RouteSpec::at(mount, action, origin), Some(place)));
                }
                None => match rest {
                    Some(first) if first != place => {
                        let (first, second) = (&known[first].name, &known[place].name);
                        return Err(two_for_the_rest(first, second, origin));
                    }
                    _ => rest = Some(place),
                },
            }
        }
        routes.extend(rest.map(|place| to_the_rest(settings, &known, place)));
        Ok(Dispatch::of(known, routes))
    }

    /// What a program gives: its applications by name, its routes, and which application takes what no route takes.
    pub fn of_program(
        settings: &Settings,
        applications: Vec<Application>,
        routes: Vec<RouteSpec>,
        rest: Option<usize>,
    ) -> Self {
        let mut all = static_routes(settings);
        all.extend(routes.into_iter().map(|route| led(route, &applications)));
        let rest = rest.filter(|place| *place < applications.len());
        all.extend(rest.map(|place| to_the_rest(settings, &applications, place)));
        Dispatch::of(applications, all)
    }

    /// Applications and routes as they came, looked at.
    fn of(known: Vec<Application>, routes: Vec<(RouteSpec, Option<usize>)>) -> Self {
        let mut findings = Vec::new();
        for (route, place) in &routes {
            findings.extend(missing(route, *place, &known));
            findings.extend(fallback_missing(route));
        }
        findings.extend(unreachable_routes(&routes));
        let mut dispatch = Dispatch::default();
        let mut moved = vec![None; known.len()];
        for (place, application) in known.into_iter().enumerate() {
            if routes.iter().any(|(_, led)| *led == Some(place)) {
                findings.extend(missing_path(&application));
                moved[place] = Some(dispatch.applications.len());
                dispatch.applications.push(application);
            } else {
                findings.push(unused(&application));
            }
        }
        dispatch.routes = routes
            .into_iter()
            .map(|(spec, place)| DispatchRoute {
                spec,
                application: place.and_then(|place| moved[place]),
            })
            .collect();
        dispatch.findings = findings;
        dispatch
    }

    /// Finds fault with Rust applications that the engine was not built with; these are the ones it was.
    pub fn look_for_rust(&mut self, provided: &[String]) {
        for application in &self.applications {
            if let ApplicationKind::Rust(name) = &application.kind
                && !provided.contains(name)
            {
                let error = rust_missing(name, &application.kind_origin, provided);
                self.findings.push(Finding { error, fatal: true });
            }
        }
    }

    /// The one application there is, by the path it is mounted at, where it is in Python and nothing has to be chosen.
    pub fn alone(&self) -> Option<&str> {
        let [route] = self.routes.as_slice() else {
            return None;
        };
        let [application] = self.applications.as_slice() else {
            return None;
        };
        if matches!(application.kind, ApplicationKind::Rust(_)) {
            return None;
        }
        let mount = route.spec.plain_mount()?;
        (application.threads.is_none() && route.application.is_some()).then_some(mount)
    }

    /// The routes in a few words, in the order in which they are tried.
    pub fn brief(&self) -> String {
        /// So many fit into a line.
        const SHOWN: usize = 6;
        let all: Vec<String> = self.routes.iter().map(|it| it.spec.brief()).collect();
        match all.split_at_checked(SHOWN) {
            Some((shown, rest)) if rest.len() > 1 => {
                format!("{} and {} more routes", shown.join(", "), rest.len())
            }
            _ => all.join(", "),
        }
    }
}

type Led = (RouteSpec, Option<usize>);

fn static_routes(settings: &Settings) -> Vec<Led> {
    let origin = settings.origin("static");
    let route = |it: &StaticFolder| {
        let action = RouteAction::Files(Box::new(FilesOptions::new(&it.folder)));
        (RouteSpec::at(&it.mount, action, origin), None)
    };
    settings.static_folders.iter().map(route).collect()
}

/// A route with its application's place.
fn led(route: RouteSpec, known: &[Application]) -> Led {
    let place = match &route.action {
        RouteAction::App(name) => known.iter().position(|it| it.name == *name),
        RouteAction::Files(_)
        | RouteAction::Cgi(_)
        | RouteAction::InternalFiles(_)
        | RouteAction::Redirect(_)
        | RouteAction::Answer(_) => None,
    };
    (route, place)
}

/// The route of the application that takes what no route takes.
fn to_the_rest(settings: &Settings, known: &[Application], place: usize) -> Led {
    let everywhere = Mount {
        host: None,
        path: None,
    };
    let action = RouteAction::App(known[place].name.clone());
    let route = RouteSpec::at(&everywhere, action, settings.origin("app"));
    (route, Some(place))
}

fn unreachable_routes(routes: &[Led]) -> Vec<Finding> {
    // Clients try all routes, applications the internal ones.
    let is_internal =
        |place: &usize| matches!(routes[*place].0.action, RouteAction::InternalFiles(_));
    let all: Vec<usize> = (0..routes.len()).collect();
    let internal: Vec<usize> = all.iter().copied().filter(is_internal).collect();
    let mut hidden = hidden_among(routes, &all);
    hidden.retain(|(place, _)| !is_internal(place));
    hidden.extend(hidden_among(routes, &internal));
    hidden.sort_unstable();
    let finding = |(place, by): (usize, usize)| {
        let (hidden, by) = (&routes[place].0, &routes[by].0);
        let message = format!(
            "no request reaches {}, because {} ({}) takes all of them",
            hidden.brief(),
            by.brief(),
            by.origin()
        );
        let hint = "write it before that one, or take it out".to_owned();
        let error = ConfigError::new(hidden.origin().clone(), message, Some(hint));
        Finding {
            error,
            fatal: false,
        }
    };
    hidden.into_iter().map(finding).collect()
}

/// Those of the routes at these places that another of them hides, each with that one.
fn hidden_among(routes: &[Led], places: &[usize]) -> Vec<(usize, usize)> {
    let same = FixedAnswer::new(404, None).ok().map(Action::Answer);
    let conditions: Vec<Route> = places
        .iter()
        .filter_map(|place| Some(Route::new(routes[*place].0.when.clone(), same.clone()?)))
        .collect();
    let hidden = unreachable(&conditions);
    hidden
        .into_iter()
        .map(|it: Shadowed| (places[it.index], places[it.by]))
        .collect()
}

/// What is called by the same words is the same application, under however many hosts.
fn place_of(known: &mut Vec<Application>, app: &MountedApp, origin: &Origin) -> usize {
    let name = app.spec.to_string();
    let place = known
        .iter()
        .position(|it| it.name == name && it.origin == *origin);
    place.unwrap_or_else(|| {
        known.push(Application {
            name,
            kind: ApplicationKind::Wsgi(app.spec.clone()),
            path: None,
            threads: None,
            origin: origin.clone(),
            path_origin: origin.clone(),
            kind_origin: origin.clone(),
        });
        known.len() - 1
    })
}

fn two_for_the_rest(first: &str, second: &str, origin: &Origin) -> ConfigError {
    let message = format!("{first} and {second} would both take every request");
    let hint = format!(
        "write a host or a path before one of them, as in blog.example.com={second} or /v1={second}"
    );
    ConfigError::new(origin.clone(), message, Some(hint))
}

/// What a route leads to and does not exist.
fn missing(route: &RouteSpec, place: Option<usize>, known: &[Application]) -> Option<Finding> {
    let error = match &route.action {
        RouteAction::App(name) if place.is_none() => {
            let names = || known.iter().map(|it| it.name.as_str());
            let hint = match nearest(name, names()) {
                Some(meant) => format!("did you mean {meant}?"),
                None if known.is_empty() => format!("describe it in a table [apps.{name}]"),
                None => {
                    let names: Vec<_> = names().collect();
                    format!("the applications are {}", names.join(", "))
                }
            };
            let message = format!("there is no application {name:?}");
            ConfigError::new(route.place("app").clone(), message, Some(hint))
        }
        RouteAction::Cgi(cgi) => scripts_missing(&cgi.path, route.place("cgi"))?,
        RouteAction::Files(files) | RouteAction::InternalFiles(files) => {
            folder_missing(&files.root, route.place("files"))?
        }
        RouteAction::App(_) | RouteAction::Redirect(_) | RouteAction::Answer(_) => return None,
    };
    Some(Finding { error, fatal: true })
}

/// A fallback that is not there. It may come later, as the folder's other files may.
fn fallback_missing(route: &RouteSpec) -> Option<Finding> {
    let RouteAction::Files(files) = &route.action else {
        return None;
    };
    let fallback = files.fallback.as_deref()?;
    let path = files.root.join(fallback.trim_start_matches('/'));
    if path.is_file() || !files.root.is_dir() {
        return None;
    }
    let message = format!("there is no file {}", path.display());
    let hint = "make it, or write the path of another below the folder".to_owned();
    let error = ConfigError::new(route.place("fallback").clone(), message, Some(hint));
    Some(Finding {
        error,
        fatal: false,
    })
}

fn rust_missing(name: &str, origin: &Origin, provided: &[String]) -> ConfigError {
    let hint = match nearest(name, provided.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean {meant}?"),
        None if provided.is_empty() => {
            "it provides none; run the command of the engine that was built with it".to_owned()
        }
        None => format!("it provides {}", provided.join(", ")),
    };
    let message = format!("this build of Kirsch provides no Rust application called {name:?}");
    ConfigError::new(origin.clone(), message, Some(hint))
}

fn missing_path(application: &Application) -> Option<Finding> {
    let folder = application.path.as_deref()?;
    let error = folder_missing(folder, &application.path_origin)?;
    Some(Finding { error, fatal: true })
}

fn folder_missing(folder: &Path, origin: &Origin) -> Option<ConfigError> {
    if folder.is_dir() {
        return None;
    }
    let message = format!("there is no folder {}", folder.display());
    let hint = "make it, or write the path of another".to_owned();
    Some(ConfigError::new(origin.clone(), message, Some(hint)))
}

fn scripts_missing(path: &Path, origin: &Origin) -> Option<ConfigError> {
    let error = Cgi::open(path).err()?;
    let shown = path.display();
    let (message, hint) = match error.kind() {
        ErrorKind::NotFound => (
            format!("there is no folder and no script {shown}"),
            "make it, or write the path of another".to_owned(),
        ),
        ErrorKind::PermissionDenied if path.is_file() => (
            format!("{shown} is not executable"),
            format!("run chmod +x {shown}, or write the path of a folder"),
        ),
        _ => (
            format!("{shown} cannot be used: {error}"),
            "write the path of a folder or of a script".to_owned(),
        ),
    };
    Some(ConfigError::new(origin.clone(), message, Some(hint)))
}

fn unused(application: &Application) -> Finding {
    let hint = format!(
        "write a route with app = {:?}, or take it out",
        application.name
    );
    let error = ConfigError::new(
        application.origin.clone(),
        "no route leads to this application",
        Some(hint),
    );
    Finding {
        error,
        fatal: false,
    }
}
