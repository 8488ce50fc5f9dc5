//! Routes that no request can reach, because an earlier one takes all that they are for.
//!
//! Finds only what is certain: a route that several earlier ones hide together is not among them.

use super::condition::Condition;
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
    let shadow = |index: usize| {
        let when = &routes[index].when;
        let by = routes[..index].iter().position(|it| it.when.covers(when))?;
        Some(Shadowed { index, by })
    };
    (0..routes.len()).filter_map(shadow).collect()
}

impl Condition {
    /// Whether it is met by every request that meets `other`.
    pub(super) fn covers(&self, other: &Condition) -> bool {
        covers_all(&self.hosts, &other.hosts, |one, other| one.covers(other))
            && covers_all(&self.paths, &other.paths, |one, other| {
                one.matches(other.as_str().as_bytes())
            })
            && covers_all(&self.methods, &other.methods, |one, other| {
                one == other || one == "GET" && other == "HEAD"
            })
            && covers_all(&self.clients, &other.clients, |one, other| {
                one.contains(other)
            })
            && (self.scheme.is_none() || self.scheme == other.scheme)
            && self.headers.iter().all(|(name, value)| {
                let same = |(other, given): &(String, String)| {
                    other.eq_ignore_ascii_case(name) && given == value
                };
                other.headers.iter().any(same)
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
