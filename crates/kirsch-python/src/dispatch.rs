//! Applications and routes as Python sees them, and the gateway that is made of them.
//!
//! What they mean is `kirsch-config`'s to say, and which request goes where is the router's of `kirsch-server`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use kirsch_cgi::{Cgi, Limits};
use kirsch_config::{
    AppSource, AppSpec, AppTarget, Application, ApplicationKind, CgiSpec, Dispatch, DispatchRoute,
    Origin, RouteAction, RouteSpec, Settings,
};
use kirsch_files::{Files, FilesError, NamedFiles};
use kirsch_server::{
    Action, Application as Served, Condition, FixedAnswer, Gateway, Route, Router, RouterOptions,
    Serve,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::gateway::WsgiGateway;
use crate::provided::{self, Started};
use crate::settings::{Nesting, PySettings, keyword_values};

/// Where an application is: `module` or `file`, its name, `default`, `attribute` or `factory`, its name.
type AppPlace = (&'static str, String, &'static str, String);

/// Which applications there are, and which route leads to which.
#[pyclass(frozen, name = "Dispatch", module = "kirsch._kirsch")]
pub(crate) struct PyDispatch {
    pub(crate) dispatch: Dispatch,
}

impl PyDispatch {
    /// Looks for the Rust applications among those that this build provides.
    pub(crate) fn new(mut dispatch: Dispatch) -> PyDispatch {
        dispatch.look_for_rust(&provided::names());
        PyDispatch { dispatch }
    }

    /// How many applications Python is to give.
    pub(crate) fn given(&self) -> usize {
        let applications = self.dispatch.applications.iter();
        applications.filter(|it| !is_rust(it)).count()
    }
}

/// An application to import.
#[pyclass(frozen, name = "Application", module = "kirsch._kirsch", get_all)]
pub(crate) struct PyApplication {
    /// As routes and messages call it.
    name: String,
    /// Where it is; `None` where the program gives it itself.
    place: Option<AppPlace>,
    /// The folder that goes first on Python's path.
    path: Option<PathBuf>,
    /// The place of its table in the file; empty for one that was typed.
    origin: String,
}

#[pymethods]
impl PyDispatch {
    /// What a program gives: routes with the name of their application, the applications with the threads each may
    /// have and the name of those in Rust, and which of these takes what no route takes.
    #[staticmethod]
    fn of_program(
        settings: &PySettings,
        routes: Vec<Bound<'_, PyDict>>,
        applications: Vec<(String, Option<usize>, Option<String>)>,
        rest: Option<usize>,
    ) -> PyResult<PyDispatch> {
        let routes = routes
            .iter()
            .map(route_spec)
            .collect::<PyResult<Vec<_>>>()?;
        let applications = applications
            .into_iter()
            .map(|(name, threads, rust)| {
                let kind = rust.map_or(ApplicationKind::Given, ApplicationKind::Rust);
                Application::of_program(name, threads, kind)
            })
            .collect();
        let settings = &settings.settings;
        let dispatch = Dispatch::of_program(settings, applications, routes, rest);
        Ok(PyDispatch::new(dispatch))
    }

    /// Every application in Python that a route leads to.
    #[getter]
    fn applications(&self) -> Vec<PyApplication> {
        self.dispatch
            .applications
            .iter()
            .filter(|it| !is_rust(it))
            .map(|it| PyApplication {
                name: it.name.clone(),
                place: match &it.kind {
                    ApplicationKind::Wsgi(spec) => Some(app_place(spec)),
                    ApplicationKind::Given | ApplicationKind::Rust(_) => None,
                },
                path: it.path.clone(),
                origin: match &it.origin {
                    origin @ Origin::File { key, .. } if key != "app" => origin.to_string(),
                    _ => String::new(),
                },
            })
            .collect()
    }

    /// What is wrong or makes no sense, each with whether it keeps the server from starting.
    #[getter]
    fn findings(&self) -> Vec<(String, bool)> {
        let findings = self.dispatch.findings.iter();
        findings
            .map(|it| (it.error.to_string(), it.fatal))
            .collect()
    }

    /// The routes in a few words.
    #[getter]
    fn brief(&self) -> String {
        self.dispatch.brief()
    }
}

/// Refuses a route that cannot be right, where it is made.
#[pyfunction]
pub(crate) fn check_route(keywords: &Bound<'_, PyDict>) -> PyResult<()> {
    route_spec(keywords).map(|_| ())
}

fn route_spec(keywords: &Bound<'_, PyDict>) -> PyResult<RouteSpec> {
    RouteSpec::from_keywords(keyword_values(keywords, Nesting::Table)?)
        .map_err(|error| PyValueError::new_err(error.to_string()))
}

fn is_rust(application: &Application) -> bool {
    matches!(application.kind, ApplicationKind::Rust(_))
}

fn app_place(app: &AppSpec) -> AppPlace {
    let (source, place) = match &app.source {
        AppSource::Module(name) => ("module", name.clone()),
        AppSource::File(path) => ("file", path.to_string_lossy().into_owned()),
    };
    let (kind, name) = match &app.target {
        AppTarget::Default => ("default", String::new()),
        AppTarget::Attribute(name) => ("attribute", name.clone()),
        AppTarget::Factory(name) => ("factory", name.clone()),
    };
    (source, place, kind, name)
}

/// The gateway for all of it: the application's own where there is one and nothing to choose, otherwise a router.
pub(crate) fn gateway(
    dispatch: &Dispatch,
    settings: &Settings,
    started: &mut Started,
    make: impl Fn(usize, &str, usize) -> WsgiGateway,
) -> PyResult<Arc<dyn Gateway>> {
    let all = settings.config.threads;
    if let Some(mount) = dispatch.alone() {
        let mount = format!("{}{mount}", settings.script_name);
        return Ok(Arc::new(make(0, &mount, all)));
    }
    // Python gives its own, in this order.
    let mut places = 0..;
    let applications = dispatch
        .applications
        .iter()
        .map(|it| {
            if let ApplicationKind::Rust(name) = &it.kind {
                return Ok(Served::new(started.gateway(name)?));
            }
            let threads = it.threads.unwrap_or(all).min(all);
            let gateway = Arc::new(make(places.next().unwrap_or_default(), "", threads));
            Ok(match NonZeroUsize::new(threads).filter(|_| threads < all) {
                Some(threads) => Served::with_threads(gateway, threads),
                None => Served::new(gateway),
            })
        })
        .collect::<PyResult<Vec<Arc<Served>>>>()?;
    let routes = dispatch
        .routes
        .iter()
        .map(|it| route(it, &applications, settings))
        .collect::<PyResult<Vec<_>>>()?;
    let options = RouterOptions {
        unknown_host: settings.unknown_host,
        // It was read as a prefix already, and without one everything lies at the root.
        base: settings.script_name.parse().unwrap_or_default(),
    };
    match Router::new(routes, options) {
        Ok(router) => Ok(Arc::new(router)),
        Err(error) => {
            let origin = dispatch.routes[error.index].spec.origin();
            let text = format!("{origin}: {}", error.error);
            Err(PyValueError::new_err(text))
        }
    }
}

fn route(it: &DispatchRoute, applications: &[Arc<Served>], settings: &Settings) -> PyResult<Route> {
    let spec = &it.spec;
    let then = match &spec.action {
        RouteAction::App(name) => {
            let Some(application) = it.application.and_then(|place| applications.get(place)) else {
                let text = format!("{}: there is no application {name:?}", spec.origin());
                return Err(PyValueError::new_err(text));
            };
            Action::Serve(serve(spec, Arc::clone(application)))
        }
        RouteAction::Files(options) => {
            let files = Files::new((**options).clone());
            let files = files.map_err(|error| files_refused(spec, &error))?;
            Action::Serve(serve(spec, Served::new(Arc::new(files))))
        }
        RouteAction::Cgi(cgi) => Action::Serve(Serve {
            // It knows which bodies have a length before their end.
            stream_body: None,
            ..serve(spec, scripts(spec, cgi, settings)?)
        }),
        RouteAction::InternalFiles(_) => Action::Answer(not_for_clients()?),
        RouteAction::Redirect(redirect) => Action::Redirect(redirect.clone()),
        RouteAction::Answer(answer) => Action::Answer(answer.clone()),
    };
    Ok(Route {
        when: spec.when.clone(),
        then,
        fields: spec.fields.clone(),
    })
}

/// CGI scripts, which wait for a place among those that run as applications wait for their threads.
fn scripts(spec: &RouteSpec, cgi: &CgiSpec, settings: &Settings) -> PyResult<Arc<Served>> {
    let all = settings.config.threads;
    let usual = Limits::default().processes.min(all - 1).max(1);
    let processes = cgi.processes.unwrap_or(usual).min(all);
    let limits = Limits {
        processes,
        run: cgi.run,
    };
    let mut gateway = Cgi::open(&cgi.path)
        .map_err(|error| {
            let (place, path) = (spec.place("cgi"), cgi.path.display());
            PyValueError::new_err(format!("{place}: {path} cannot be used: {error}"))
        })?
        .passing(cgi.environment.iter().cloned())
        .within(limits);
    if cgi.authorization {
        gateway = gateway.with_authorization();
    }
    let streams = spec.stream_body;
    if streams.unwrap_or(settings.config.stream_request_body) {
        gateway = gateway.streaming();
    }
    let gateway = Arc::new(gateway);
    Ok(match NonZeroUsize::new(processes) {
        Some(threads) if processes < all => Served::with_threads(gateway, threads),
        Some(_) | None => Served::new(gateway),
    })
}

/// What a client gets that asks for a path of an internal route: the same as where nothing is.
fn not_for_clients() -> PyResult<FixedAnswer> {
    FixedAnswer::new(404, None).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// The internal routes, each with its folder.
pub(crate) fn internal_folders(dispatch: &Dispatch) -> PyResult<Vec<(Condition, Files)>> {
    let internal = |it: &DispatchRoute| match &it.spec.action {
        RouteAction::InternalFiles(options) => {
            let folder = NamedFiles::internal_folder((**options).clone());
            let folder = folder.map_err(|error| files_refused(&it.spec, &error));
            Some(folder.map(|folder| (it.spec.when.clone(), folder)))
        }
        RouteAction::App(_)
        | RouteAction::Files(_)
        | RouteAction::Cgi(_)
        | RouteAction::Redirect(_)
        | RouteAction::Answer(_) => None,
    };
    dispatch.routes.iter().filter_map(internal).collect()
}

fn files_refused(spec: &RouteSpec, error: &FilesError) -> PyErr {
    let key = match error {
        FilesError::Index(_) => "index",
        FilesError::Fallback(_) => "fallback",
        FilesError::Charset(_) => "charset",
        FilesError::Root(..) | FilesError::Mount(_) => "files",
    };
    PyValueError::new_err(format!("{}: {error}", spec.place(key)))
}

fn serve(spec: &RouteSpec, application: Arc<Served>) -> Serve {
    Serve {
        rewrite: spec.rewrite.clone(),
        limit_body: spec.limit_body,
        stream_body: spec.stream_body,
        ..Serve::new(application)
    }
}
