//! The router: a gateway made of routes, tried in the order written; the first that matches answers.
//!
//! Chosen once, when the head is complete; the request remembers it. A path is matched as it is, decoded once:
//! `//` and `..` mean nothing here. How long that takes does not depend on how many routes there are. It knows no Python and no configuration file.
//!
//! Read next: `router/route.rs`, `router/condition.rs`.

mod condition;
mod error;
mod host;
mod index;
mod internal;
mod path;
mod redirect;
mod route;
mod seen;
mod shadow;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use kirsch_http::{ErrorAnswer, FieldEdits, Status};
use kirsch_pool::Lane;
use tracing::error;

pub use self::condition::Condition;
pub use self::error::RouteError;
pub use self::host::HostPattern;
pub use self::internal::InternalRoutes;
pub use self::path::PathPrefix;
pub use self::redirect::Redirect;
pub use self::route::{Action, FixedAnswer, Route, Serve};
pub use self::shadow::{Shadowed, unreachable};

use self::index::Index;
use self::seen::Seen;
use crate::exchange::Exchange;
use crate::gateway::{Gateway, Terms};
use crate::request::{Chosen, Request};

/// A gateway made of routes.
pub struct Router {
    routes: Vec<Route>,
    index: Index,
    /// The changes of each route's responses, if it has any.
    fields: Vec<Option<Arc<FieldEdits>>>,
    options: RouterOptions,
    /// One of the gateways that need the interpreter.
    attached: Option<Arc<dyn Gateway>>,
}

/// What holds for all routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterOptions {
    /// The answer to a request for a host that no route is for.
    pub unknown_host: UnknownHost,
    /// Where the whole of it is mounted: a prefix that proxies do not take off. Routes are written without it, and what
    /// lies elsewhere is answered with 404. Default: at the root.
    pub base: PathPrefix,
}

/// The answer to a request for a host that no route is for, whatever its path. A host that some route is for, if
/// only among all others, is known; a request to it that no route matches is answered with 404.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownHost {
    /// 421: the server is not the one for this host (RFC 9110 section 15.5.20). The default, since it tells a
    /// mistake in the names from one in the paths.
    #[default]
    Misdirected,
    /// 404, as for a path that is not there.
    NotFound,
}

/// Why a router cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterError {
    /// Which route, counted from 0.
    pub index: usize,
    /// What is wrong with it.
    pub error: RouteError,
}

impl Router {
    /// A router of these routes, tried in this order.
    ///
    /// # Errors
    ///
    /// A route that can never match.
    pub fn new(routes: Vec<Route>, options: RouterOptions) -> Result<Router, RouterError> {
        for (index, route) in routes.iter().enumerate() {
            let checked = route.when.check();
            checked.map_err(|error| RouterError { index, error })?;
        }
        let edits =
            |route: &Route| (!route.fields.is_empty()).then(|| Arc::new(route.fields.clone()));
        Ok(Router {
            fields: routes.iter().map(edits).collect(),
            index: Index::new(routes.iter().map(|route| &route.when)),
            attached: routes.iter().find_map(attached),
            routes,
            options,
        })
    }

    /// The route that answers, and the length of its prefix that matched.
    fn choose(&self, request: &Request) -> (Chosen, usize) {
        let seen = Seen::of(request);
        let host = seen.host();
        let Some(path) = self.options.base.behind(seen.path()) else {
            return (Chosen::Nothing, 0);
        };
        let first = self.index.first(host, path, |route| {
            self.routes[route].when.matches_rest(&seen)
        });
        match first {
            Some((route, len)) => (Chosen::Route(route), len),
            None if self.index.knows(host) => (Chosen::Nothing, 0),
            None => (Chosen::UnknownHost, 0),
        }
    }

    /// Tells the request where its application is mounted, and which path it sees.
    fn place(&self, request: &mut Request, serve: &Serve, prefix_len: usize) {
        let path = request.path();
        if path == b"*" {
            return;
        }
        let base_len = self.options.base.as_str().len();
        let behind = undecoded_len(path, base_len + prefix_len);
        match &serve.rewrite {
            None => request.mount_len = behind,
            Some(rewrite) => {
                let mount_len = undecoded_len(path, base_len);
                let mut new = path[..mount_len].to_vec();
                rewrite.encode(&mut new);
                new.extend_from_slice(&path[behind..]);
                if new.is_empty() {
                    new.push(b'/');
                }
                request.mount_len = mount_len;
                request.rewritten = Some(new);
            }
        }
    }

    fn unknown_host(&self) -> ErrorAnswer {
        let status = match self.options.unknown_host {
            UnknownHost::Misdirected => Status(421),
            UnknownHost::NotFound => Status(404),
        };
        ErrorAnswer::new(status, "no site of this name is served here")
    }
}

impl fmt::Display for RouterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}: {}", self.index + 1, self.error)
    }
}

impl std::error::Error for RouterError {}

impl Gateway for Router {
    fn admit(&self, request: &mut Request) -> Terms {
        if request.chosen != Chosen::Unasked {
            request.chosen = Chosen::Twice;
            return own_answer();
        }
        let (chosen, prefix_len) = self.choose(request);
        request.chosen = chosen;
        let Chosen::Route(idx) = chosen else {
            return own_answer();
        };
        request.edits.clone_from(&self.fields[idx]);
        match &self.routes[idx].then {
            Action::Answer(answer) if !answer.is_short() => Terms {
                lane: Lane::Thread,
                ..own_answer()
            },
            Action::Redirect(_) | Action::Answer(_) => own_answer(),
            Action::Serve(serve) => {
                self.place(request, serve, prefix_len);
                let application = &serve.application;
                let terms = application.gateway.admit(request);
                Terms {
                    streams_body: serve.stream_body.unwrap_or(terms.streams_body),
                    limit_body: serve.limit_body.or(terms.limit_body),
                    application: application.id,
                    cap: application.cap.clone(),
                    ..terms
                }
            }
        }
    }

    fn needs_interpreter(&self) -> bool {
        self.attached.is_some()
    }

    fn cut(&self) {
        // An application of several routes is told several times, and has nothing left to give up after the first.
        for route in &self.routes {
            if let Action::Serve(serve) = &route.then {
                serve.application.gateway.cut();
            }
        }
    }

    fn unfreed_bytes(&self) -> u64 {
        self.attached.as_ref().map_or(0, |it| it.unfreed_bytes())
    }

    fn free(&self) {
        if let Some(gateway) = &self.attached {
            gateway.free();
        }
    }

    fn handle(&self, mut exchange: Exchange) {
        if exchange.request().chosen == Chosen::Unasked {
            // A gateway around this one did not ask for its terms.
            let _ = self.admit(exchange.request_mut());
        }
        let route = match exchange.request().chosen {
            Chosen::Route(idx) => &self.routes[idx],
            Chosen::UnknownHost => return exchange.answer(&self.unknown_host()),
            Chosen::Nothing | Chosen::Unasked => {
                return exchange.answer(&ErrorAnswer::new(Status(404), "no route leads here"));
            }
            Chosen::Twice => {
                error!("a route leads to another router; all routes belong into one");
                return exchange.abort();
            }
        };
        match &route.then {
            Action::Serve(serve) => serve.application.gateway.handle(exchange),
            Action::Redirect(redirect) => redirect.give(exchange),
            Action::Answer(answer) => answer.give(exchange),
        }
    }
}

/// The gateway of a route, if it needs the interpreter.
fn attached(route: &Route) -> Option<Arc<dyn Gateway>> {
    match &route.then {
        Action::Serve(Serve { application, .. }) if application.gateway.needs_interpreter() => {
            Some(Arc::clone(&application.gateway))
        }
        Action::Serve(_) | Action::Redirect(_) | Action::Answer(_) => None,
    }
}

/// The terms of what the router answers itself: at once, whatever the body.
fn own_answer() -> Terms {
    Terms {
        streams_body: true,
        limit_body: Some(u64::MAX),
        ..Terms::new(Lane::Inline)
    }
}

/// How many bytes of `raw` stand for the first `decoded_len` of what it is decoded to.
fn undecoded_len(raw: &[u8], decoded_len: usize) -> usize {
    let mut len = 0;
    for _ in 0..decoded_len {
        len += match raw[len..] {
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => 3,
            _ => 1,
        };
    }
    len
}
