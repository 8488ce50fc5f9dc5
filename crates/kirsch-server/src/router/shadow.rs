//! Routes that no request can reach, because an earlier one takes all that they are for.
//!
//! Finds only what is certain: a route that several earlier ones hide together is not among them.

use super::condition::Condition;
use super::host::HostPattern;
use super::index::{Index, Names};
use super::path::PathPrefix;
use super::route::Route;

/// A route that no request can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// Which route, counted from 0.
    pub index: usize,
    /// The first that takes all that it is for.
    pub by: usize,
}

/// The routes that no request can reach, in their order.
pub fn unreachable(routes: &[Route]) -> Vec<Shadowed> {
    let index = Index::new(routes.iter().map(|route| &route.when));
    let shadow = |(place, route): (usize, &Route)| {
        let by = first_cover(&index, routes, place, &route.when)?;
        Some(Shadowed { index: place, by })
    };
    routes.iter().enumerate().filter_map(shadow).collect()
}

/// The first route before `place` that takes all that `when` is for. It takes the first of its hosts and paths
/// too, so it is in one of the lists for those.
fn first_cover(index: &Index, routes: &[Route], place: usize, when: &Condition) -> Option<usize> {
    let names = when.hosts.first().map_or(Names::None, HostPattern::names);
    let path = when.paths.first().map_or("", PathPrefix::as_str);
    let mut first = place;
    index.visit(names, path.as_bytes(), |list, _| {
        let earlier = list.iter().take_while(|entry| entry.route < first);
        let mut covers = earlier.filter(|entry| routes[entry.route].when.covers(when));
        if let Some(entry) = covers.next() {
            first = entry.route;
        }
    });
    (first < place).then_some(first)
}

impl Condition {
    /// Whether it is met by every request that meets `other`.
    pub(super) fn covers(&self, other: &Condition) -> bool {
        covers_all(&self.hosts, &other.hosts, |one, other| one.covers(other))
            && self.covers_paths(other)
            && covers_all(&self.methods, &other.methods, |one, other| {
                one == other || one == "GET" && other == "HEAD"
            })
            && covers_all(&self.clients, &other.clients, |one, other| {
                one.covers(other)
            })
            && (self.scheme.is_none() || self.scheme == other.scheme)
            && self.headers.iter().all(|(name, value)| {
                let same = |(other, given): &(String, String)| {
                    other.eq_ignore_ascii_case(name) && given == value
                };
                other.headers.iter().any(same)
            })
    }

    fn covers_paths(&self, other: &Condition) -> bool {
        // Every path has `/` for a prefix, and so has a route without one.
        let everywhere = self.paths.iter().any(|path| path.as_str().is_empty());
        everywhere
            || covers_all(&self.paths, &other.paths, |one, other| {
                one.matches(other.as_str().as_bytes())
            })
    }
}

/// Whether each that `other` accepts is accepted by one of `these`; none at all accept everything.
fn covers_all<T>(these: &[T], other: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    these.is_empty()
        || !other.is_empty()
            && other
                .iter()
                .all(|it| these.iter().any(|this| covers(this, it)))
}
