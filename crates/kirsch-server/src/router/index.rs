//! Finds the routes that may be for a host and a path without looking at the others.
//!
//! A table for each host that routes name, one for each `*.` they write, one for those that name none; in each a
//! list for each prefix of paths. A request looks into those of its own host, of each domain that its host lies
//! in, and of each prefix of its path: as many as there are labels and segments, however many routes there are.
//! It does not know what else routes ask.

use std::collections::HashMap;

use super::condition::Condition;
use super::host::{HostName, HostPattern};

/// The tables of a list of routes.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: HashMap<Box<[u8]>, Paths>,
    /// By the domain behind `*.`.
    below: HashMap<Box<[u8]>, Paths>,
    /// Routes that name no host.
    any: Paths,
    /// Labels of the longest domain in `below`: no longer one is looked for.
    most_labels: usize,
}

/// The routes of one host by prefix.
#[derive(Debug, Default)]
struct Paths {
    /// Routes without a path.
    root: Vec<Entry>,
    prefixes: HashMap<Box<[u8]>, Vec<Entry>>,
    /// The lengths of `prefixes`, a bit each; the last is for all that are longer. Others need not be looked for,
    /// which saves most of the time where there are thousands of hosts and nothing is in the processor's cache.
    lengths: u128,
    /// Slashes in the longest of `prefixes`: no longer one is looked for.
    most_slashes: usize,
}

/// A route in a list; in the order of the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its place among all routes.
    pub(super) route: usize,
    /// The port that it asks for.
    port: Option<u16>,
    /// It asks for nothing but host and path, so that nobody needs to fetch it to know.
    pub(super) plain: bool,
}

/// The hosts to look up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names<'a> {
    /// This one, in lower case and without a dot at the end.
    Of(&'a [u8]),
    /// All that lie in this domain.
    Below(&'a [u8]),
    /// Those of a request that names none, or of a route that is for any.
    None,
}

impl Index {
    pub(super) fn new<'a>(conditions: impl Iterator<Item = &'a Condition>) -> Index {
        let mut index = Index::default();
        for (route, when) in conditions.enumerate() {
            let plain = when.is_plain();
            let entry = |port| Entry { route, port, plain };
            if when.hosts.is_empty() {
                index.any.insert(entry(None), when);
            }
            for host in &when.hosts {
                index.table(host).insert(entry(host.port()), when);
            }
        }
        index
    }

    /// Shows every list that may hold a route for these hosts and this decoded path, each with the length of
    /// the prefix that it is for.
    pub(super) fn visit<'a>(
        &'a self,
        names: Names<'_>,
        path: &[u8],
        mut visitor: impl FnMut(&'a [Entry], usize),
    ) {
        self.each_table(names, |table| table.visit(path, &mut visitor));
    }

    /// The first route that is for this host and decoded path and meets the rest of its conditions, and the length
    /// of the prefix that matched.
    pub(super) fn first(
        &self,
        host: Option<&HostName>,
        path: &[u8],
        meets_rest: impl Fn(usize) -> bool,
    ) -> Option<(usize, usize)> {
        let names = host.map_or(Names::None, |host| Names::Of(host.name()));
        let mut first: Option<(usize, usize)> = None;
        self.visit(names, path, |list, prefix_len| {
            for entry in list {
                // The same route again: the longest of its prefixes counts.
                let before = |(route, len)| (entry.route, len) < (route, prefix_len);
                if !first.is_none_or(before) {
                    return;
                }
                if entry.is_for_port(host) && (entry.plain || meets_rest(entry.route)) {
                    first = Some((entry.route, prefix_len));
                    return;
                }
            }
        });
        first
    }

    /// Whether there is a route for this host, whatever else it asks.
    pub(super) fn knows(&self, host: Option<&HostName>) -> bool {
        let names = host.map_or(Names::None, |host| Names::Of(host.name()));
        let mut known = false;
        self.each_table(names, |table| {
            known = known || table.all().any(|entry| entry.is_for_port(host));
        });
        known
    }

    fn each_table<'a>(&'a self, names: Names<'_>, mut visitor: impl FnMut(&'a Paths)) {
        visitor(&self.any);
        let (name, whole) = match names {
            Names::None => return,
            Names::Of(name) => {
                if let Some(table) = self.exact.get(name) {
                    visitor(table);
                }
                (name, false)
            }
            Names::Below(name) => (name, true),
        };
        let mut start = name.len();
        for _ in 0..self.most_labels {
            let dot = memchr::memrchr(b'.', &name[..start]);
            if dot.is_none() && !whole {
                return;
            }
            let domain = &name[dot.map_or(0, |dot| dot + 1)..];
            if let Some(table) = self.below.get(domain) {
                visitor(table);
            }
            let Some(dot) = dot else { return };
            start = dot;
        }
    }

    fn table(&mut self, host: &HostPattern) -> &mut Paths {
        match host.names() {
            Names::Of(name) => self.exact.entry(name.into()).or_default(),
            Names::Below(domain) => {
                let labels = domain.split(|byte| *byte == b'.').count();
                self.most_labels = self.most_labels.max(labels);
                self.below.entry(domain.into()).or_default()
            }
            Names::None => &mut self.any,
        }
    }
}

impl Paths {
    fn insert(&mut self, entry: Entry, when: &Condition) {
        if when.paths.is_empty() {
            push(&mut self.root, entry);
        }
        for path in &when.paths {
            let prefix = path.as_str().as_bytes();
            if prefix.is_empty() {
                push(&mut self.root, entry);
                continue;
            }
            self.lengths |= length_bit(prefix.len());
            self.most_slashes = self.most_slashes.max(slashes(prefix));
            push(self.prefixes.entry(prefix.into()).or_default(), entry);
        }
    }

    fn visit<'a>(&'a self, path: &[u8], visitor: &mut impl FnMut(&'a [Entry], usize)) {
        visitor(&self.root, 0);
        if self.most_slashes == 0 || path.is_empty() {
            return;
        }
        // A prefix ends before a slash, the first aside, or with the path.
        let ends = memchr::memchr_iter(b'/', &path[1..])
            .map(|at| at + 1)
            .chain([path.len()]);
        for end in ends.take(self.most_slashes) {
            if self.lengths & length_bit(end) != 0
                && let Some(list) = self.prefixes.get(&path[..end])
            {
                visitor(list, end);
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &Entry> {
        self.root.iter().chain(self.prefixes.values().flatten())
    }
}

impl Entry {
    /// Whether its port, if it asks for one, is the request's.
    pub(super) fn is_for_port(self, host: Option<&HostName>) -> bool {
        self.port.is_none() || self.port == host.map(HostName::port)
    }
}

fn push(list: &mut Vec<Entry>, entry: Entry) {
    // A host or a path that a route names twice.
    if list.last() != Some(&entry) {
        list.push(entry);
    }
}

fn length_bit(len: usize) -> u128 {
    1 << len.min(127)
}

fn slashes(path: &[u8]) -> usize {
    memchr::memchr_iter(b'/', path).count()
}
