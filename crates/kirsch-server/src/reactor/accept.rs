//! Accepting connections: until there is no room, or no descriptor, and whom to close to make some.
//!
//! Read next: `connection.rs`, which says whether and how soon a connection may be closed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::{Interest, Token};
use tracing::warn;

use super::{Place, Reactor, Ready, UNSCHEDULED, join};
use crate::connection::{Connection, Eviction, Key, Readiness};
use crate::listener::Accepted;
use crate::request::Origin;
use crate::shared::Counters;
use crate::stream::Stream;

/// Connections accepted before others have their turn.
const ACCEPT_TURN: usize = 64;
/// How long accepting pauses when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Such trouble is logged at most this often.
const TROUBLE_LOG: Duration = Duration::from_secs(10);

impl Reactor {
    pub(super) fn accept(&mut self, idx: usize) {
        let mut victims = None;
        for _ in 0..ACCEPT_TURN {
            if self.accept_again.is_some() || self.full {
                return;
            }
            let limit = self.shared.config.limits.connections;
            let victim = if self.connections.len() < limit {
                None
            } else {
                let victims = victims.get_or_insert_with(|| self.victims());
                let Some(key) = victims.pop() else {
                    self.full = true;
                    return;
                };
                Some(key)
            };
            let Some(listener) = self.listeners.get_mut(idx) else {
                return;
            };
            match listener.accept() {
                Ok(Accepted::Connection(stream, origin)) => {
                    // Only now that somebody is there to take the place.
                    if let Some(key) = victim {
                        self.evict(key);
                    }
                    self.admit(stream, origin);
                }
                Ok(Accepted::Gone) => {}
                Ok(Accepted::None) => {
                    listener.ready = false;
                    return;
                }
                Err(err) => return self.pause_accepting(&err),
            }
        }
        self.ready.push_back(Ready::Listener(idx));
    }

    /// Takes in those who wait in the kernel's queue, which would be reset otherwise, and stops listening.
    pub(super) fn accept_the_last(&mut self) {
        for mut listener in std::mem::take(&mut self.listeners) {
            while self.connections.len() < self.shared.config.limits.connections {
                match listener.accept() {
                    Ok(Accepted::Connection(stream, origin)) => self.admit(stream, origin),
                    Ok(Accepted::Gone) => {}
                    Ok(Accepted::None) | Err(_) => break,
                }
            }
        }
    }

    fn admit(&mut self, stream: Stream, origin: Arc<Origin>) {
        stream.prepare();
        let entry = self.connections.vacant_entry();
        let idx = entry.key();
        if idx >= self.generations.len() {
            self.generations.resize(idx + 1, 0);
        }
        let key = join(idx, self.generations[idx]);
        let mut connection = Box::new(Connection::new(stream, key, origin, self.now, &self.shared));
        let registered = self.poll.registry().register(
            &mut connection.stream,
            Token(key.0),
            Interest::READABLE | Interest::WRITABLE,
        );
        if let Err(err) = registered {
            warn!(%err, "cannot watch a connection");
            return;
        }
        entry.insert(Place::Away {
            missed: Readiness::default(),
            stamp: UNSCHEDULED,
        });
        Counters::count(&self.shared.counters.accepted);
        self.shared
            .connections
            .store(self.connections.len(), Ordering::Relaxed);
        self.bring_back(key, connection, UNSCHEDULED, true);
    }

    fn pause_accepting(&mut self, err: &io::Error) {
        if self
            .last_trouble
            .is_none_or(|last| last + TROUBLE_LOG <= self.now)
        {
            self.last_trouble = Some(self.now);
            warn!(%err, connections = self.connections.len(), "cannot accept connections for now");
        }
        if let Some(key) = self.victims().pop() {
            self.evict(key);
        }
        self.accept_again = Some(Instant::now() + ACCEPT_PAUSE);
    }

    pub(super) fn resume_listeners(&mut self) {
        for (idx, listener) in self.listeners.iter_mut().enumerate() {
            // The edge may have been used up before the pause: look.
            listener.ready = true;
            self.ready.push_back(Ready::Listener(idx));
        }
    }

    fn evict(&mut self, key: Key) {
        if let Some((connection, _)) = self.take_away(key) {
            Counters::count(&self.shared.counters.evicted);
            self.remove(key, connection);
        }
    }

    /// Whom to close if room is needed, in the order of [`Eviction`], the first one last. Good for one turn
    /// of accepting; looking at all for each would be slow.
    fn victims(&self) -> Vec<Key> {
        let mut victims: Vec<(Eviction, Key)> = self
            .connections
            .iter()
            .filter_map(|(_, place)| match place {
                Place::Here { connection, .. } => place.eviction().map(|why| (why, connection.key)),
                Place::Away { .. } => None,
            })
            .collect();
        if victims.len() > ACCEPT_TURN {
            victims.select_nth_unstable(ACCEPT_TURN);
            victims.truncate(ACCEPT_TURN);
        }
        victims.sort_unstable_by(|one, other| other.cmp(one));
        victims.into_iter().map(|(_, key)| key).collect()
    }
}

impl Place {
    /// Whether it may be closed to make room; not while there is news of it that was not looked at.
    fn eviction(&self) -> Option<Eviction> {
        match self {
            Place::Here {
                connection,
                queued: false,
                ..
            } => connection.eviction(),
            Place::Here { queued: true, .. } | Place::Away { .. } => None,
        }
    }
}
