//! Accepting connections: until there is no room, or no descriptor, and whom to close to make some.
//!
//! Where there are several reactors, the first accepts, and deals the connections to all in turn. If there
//! is no room, the one whose turn it is closes a connection: one that is idle if it has such, else the next is
//! asked, and only when all have been, one that lingers or is in a head. Who closes one tells the first.
//!
//! Read next: `connection.rs`, which says whether and how soon a connection may be closed.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Token};
use tracing::warn;

use super::{ACCEPTOR, Mail, Place, Reactor, Ready, UNSCHEDULED, join};
use crate::connection::{Connection, Eviction, Key, Readiness};
use crate::listener::Accepted;
use crate::request::Origin;
use crate::shared::Counters;
use crate::stream::Stream;

/// Connections accepted before others have their turn.
const ACCEPT_TURN: usize = 64;
/// How long accepting pauses when descriptors have run out and nobody makes room.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Who has just come does not make room for lack of a descriptor: a crowd would push itself out. Its head may
/// take a second, as others can wait in the kernel's queue.
const HEAD_GRACE: Duration = Duration::from_secs(1);
impl Reactor {
    pub(super) fn accept(&mut self, idx: usize) {
        let mut victims = None;
        // Somebody was closed for the sake of a descriptor, and nobody has been accepted since.
        let mut gave_way = false;
        for _ in 0..ACCEPT_TURN {
            if self.accept_again.is_some() || self.shared.room.is_wanted() {
                return;
            }
            if self.others_accept() {
                return;
            }
            let victim = if self.has_room() {
                None
            } else if self.circle.len() > 1 {
                // Only if somebody is there to take the place.
                match self.listeners.get_mut(idx) {
                    Some(listener) if listener.has_waiting() => self.ask_for_room(),
                    Some(listener) => listener.ready = false,
                    None => {}
                }
                return;
            } else {
                let victims = victims.get_or_insert_with(|| self.victims());
                let Some((_, key)) = self.pick(victims, |_| true) else {
                    self.shared.room.ask();
                    self.shared.room.give_up();
                    return;
                };
                Some(key)
            };
            let Some(listener) = self.listeners.get_mut(idx) else {
                return;
            };
            match listener.accept() {
                Ok(Accepted::Connection(stream, origin)) => {
                    gave_way = false;
                    // Only now that somebody is there to take the place.
                    if let Some(key) = victim {
                        self.evict(key);
                    }
                    self.deal(stream, origin);
                }
                Ok(Accepted::Gone) => {}
                Ok(Accepted::None) => {
                    listener.ready = false;
                    return;
                }
                Err(err) => {
                    self.tell_trouble(&err);
                    let now = self.now;
                    let victims = victims.get_or_insert_with(|| self.victims());
                    match self.pick(victims, |why| !gave_way && why.is_due(now)) {
                        // Its descriptor is free at once.
                        Some((_, key)) => self.evict(key),
                        None => return self.pause_accepting(),
                    }
                    gave_way = true;
                }
            }
        }
        self.ready.push_back(Ready::Listener(idx));
    }

    /// Takes in those who wait in the kernel's queue, which would be reset otherwise, and stops listening.
    pub(super) fn accept_the_last(&mut self) {
        for mut listener in std::mem::take(&mut self.listeners) {
            while self.has_room() && !self.others_accept() {
                match listener.accept() {
                    Ok(Accepted::Connection(stream, origin)) => self.deal(stream, origin),
                    Ok(Accepted::Gone) => {}
                    Ok(Accepted::None) | Err(_) => break,
                }
            }
        }
    }

    /// Whether the program accepts for itself, and hands over what it wants served.
    fn others_accept(&self) -> bool {
        let cheroot = self.shared.config.cheroot.as_ref();
        cheroot.is_some_and(|cheroot| cheroot.leaves_accepting())
    }

    fn has_room(&self) -> bool {
        self.shared.connections() < self.shared.config.limits.connections
    }

    /// Gives an accepted connection to the reactor whose turn it is.
    fn deal(&mut self, stream: Stream, origin: Arc<Origin>) {
        self.shared.has_come();
        let to = self.turn;
        self.turn = (to + 1) % self.circle.len();
        if to == self.place {
            self.admit(stream, origin);
        } else {
            self.circle[to].post(Mail::Admit(stream, origin));
        }
    }

    pub(super) fn admit(&mut self, stream: Stream, origin: Arc<Origin>) {
        stream.prepare();
        let entry = self.connections.vacant_entry();
        let idx = entry.key();
        if idx >= self.generations.len() {
            self.generations.resize(idx + 1, 0);
        }
        let key = join(idx, self.generations[idx]);
        let connection = Box::new(Connection::new(stream, key, origin, self.now, &self.shared));
        let registered = self.poll.registry().register(
            &mut SourceFd(&connection.stream.as_fd().as_raw_fd()),
            Token(key.0),
            Interest::READABLE | Interest::WRITABLE,
        );
        if let Err(err) = registered {
            // The system allows no more to be watched. Not a line for each: there may be thousands.
            self.tell_trouble(&err);
            drop(connection);
            self.shared.has_gone();
            if self.shared.room.is_made() {
                self.tell_room();
            }
            return;
        }
        entry.insert(Place::Away {
            missed: Readiness::default(),
            stamp: UNSCHEDULED,
        });
        Counters::count(&self.shared.counters.accepted);
        self.bring_back(key, connection, UNSCHEDULED, true);
    }

    fn tell_trouble(&mut self, err: &io::Error) {
        if let Some(left_out) = self.trouble.due(self.now) {
            warn!(%err, connections = self.shared.connections(), left_out, "cannot accept connections for now");
        }
    }

    fn pause_accepting(&mut self) {
        self.accept_again = Some(Instant::now() + ACCEPT_PAUSE);
        if self.circle.len() > 1 {
            // Another may have somebody who makes room.
            self.ask_for_room();
        }
    }

    /// Has a reactor close a connection, the one whose turn it is first.
    fn ask_for_room(&mut self) {
        self.shared.room.ask();
        self.ask(self.turn, 0);
    }

    fn ask(&mut self, whom: usize, asked: usize) {
        if whom == self.place {
            self.make_room(asked);
        } else {
            self.circle[whom].post(Mail::MakeRoom(asked));
        }
    }

    pub(super) fn make_room(&mut self, asked: usize) {
        let reactors = self.circle.len();
        if !self.shared.room.is_wanted() {
            return;
        }
        let may_go = |why: &Eviction| asked >= reactors || matches!(why, Eviction::Idle(_));
        match self.pick(&mut self.victims(), may_go) {
            Some((_, key)) => self.evict(key),
            // Twice each: for an idle one, then for any.
            None if asked + 1 < 2 * reactors => {
                self.ask((self.place + 1) % reactors, asked + 1);
            }
            None if self.shared.room.give_up() => {}
            None => self.ask((self.place + 1) % reactors, 0),
        }
    }

    /// Tells who accepts that there is room, or could be made.
    pub(super) fn tell_room(&mut self) {
        if self.place == ACCEPTOR {
            self.resume_listeners();
        } else {
            self.circle[ACCEPTOR].post(Mail::RoomMade);
        }
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

    /// The first of the victims that may go, unless something has arrived from him: the kernel may not have told.
    fn pick(
        &mut self,
        victims: &mut Vec<(Eviction, Key)>,
        may_go: impl Fn(&Eviction) -> bool,
    ) -> Option<(Eviction, Key)> {
        while let Some((why, key)) = victims.pop_if(|(why, _)| may_go(why)) {
            let lingers = matches!(why, Eviction::Linger(_));
            match self.place(key) {
                Some(Place::Here { connection, .. })
                    if lingers || !connection.stream.has_input() =>
                {
                    return Some((why, key));
                }
                Some(Place::Here { .. } | Place::Away { .. }) | None => {}
            }
        }
        None
    }

    /// Whom to close if room is needed, in the order of [`Eviction`], the first one last. Good for one turn
    /// of accepting; looking at all for each would be slow.
    fn victims(&self) -> Vec<(Eviction, Key)> {
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
        victims
    }
}

impl Eviction {
    /// Whether it makes room for lack of a descriptor.
    fn is_due(&self, now: Instant) -> bool {
        match self {
            Eviction::Idle(_) | Eviction::Linger(_) => true,
            Eviction::Head(since) => *since + HEAD_GRACE <= now,
        }
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
