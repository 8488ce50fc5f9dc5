//! Routes that no client gets through: an application names a path, and they say what lies there.
//!
//! It knows paths and conditions, not what the routes lead to, and not in which field the path is named.

use super::condition::Condition;
use super::index::Index;
use super::seen::Seen;
use super::undecoded_len;
use crate::request::Request;

/// Routes to what only applications lead to, in the order in which they are tried.
#[derive(Debug)]
pub struct InternalRoutes<T> {
    index: Index,
    routes: Vec<(Condition, T)>,
}

impl<T> InternalRoutes<T> {
    /// Routes, each with what it leads to.
    pub fn new(routes: Vec<(Condition, T)>) -> InternalRoutes<T> {
        InternalRoutes {
            index: Index::new(routes.iter().map(|(when, _)| when)),
            routes,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// What the first of them that matches leads to, and what of the path stands behind its prefix, undecoded.
    ///
    /// The path is one that the application names while it answers `request`: encoded as in a request, and matched
    /// decoded. Whatever else a route asks, the host for example, it asks of the request.
    pub fn find<'a>(&self, request: &Request, path: &'a [u8]) -> Option<(&T, &'a [u8])> {
        let seen = Seen::at(request, path);
        let (route, prefix_len) = self.index.first(seen.host(), seen.path(), |route| {
            self.routes[route].0.matches_rest(&seen)
        })?;
        Some((
            &self.routes[route].1,
            &path[undecoded_len(path, prefix_len)..],
        ))
    }
}

impl<T> Default for InternalRoutes<T> {
    fn default() -> Self {
        InternalRoutes::new(Vec::new())
    }
}
