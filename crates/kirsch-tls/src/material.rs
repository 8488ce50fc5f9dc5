//! The certificates of now, and how the next ones take their place.
//!
//! Who begins a handshake takes the [`Served`] of the moment along; a connection in progress keeps its own.
//! [`Material::reload`] may be called at any time, after a signal or every few seconds: it looks at the files and
//! does nothing where they are the same.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;

use crate::clients::verifier;
use crate::config::{Clients, TlsConfig};
use crate::error::{TlsError, Trouble, Warning};
use crate::file::Files;
use crate::pair::{Pair, words};
use crate::self_signed;
use crate::served::{Common, Served, provider};

/// Files of TLS, and what was made of them.
#[derive(Debug)]
pub struct Material {
    config: TlsConfig,
    /// Held for as long as a pointer is copied.
    served: RwLock<Arc<Served>>,
    /// What the next look is compared with. Held while files are read: two reloads at once are one after the other.
    last: Mutex<Last>,
}

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Nothing is new, or what is wrong was said already.
    Nothing,
    /// Handshakes from now on are made with new files, of which this is worth saying.
    Replaced(Vec<Warning>),
}

/// The last attempt, whether it came to something or not.
#[derive(Debug)]
struct Last {
    files: Files,
    /// Why it came to nothing: said once.
    refused: Option<TlsError>,
    tickets: Arc<dyn ProducesTickets>,
    /// A certificate of our own making stays the same: nobody should have to trust another one.
    own: Option<Arc<Pair>>,
}

impl Material {
    /// Reads all files and checks them.
    ///
    /// # Errors
    ///
    /// If TLS cannot be served with them.
    pub fn load(config: TlsConfig) -> Result<(Material, Vec<Warning>), TlsError> {
        let own = match &config.self_signed {
            Some(names) => Some(Arc::new(self_signed::pair(names)?)),
            None => None,
        };
        let mut last = Last {
            files: Files::default(),
            refused: None,
            tickets: new_tickets()?,
            own,
        };
        let (served, warnings) = last.read(&config)?;
        let material = Material {
            config,
            served: RwLock::new(Arc::new(served)),
            last: Mutex::new(last),
        };
        Ok((material, warnings))
    }

    /// What a handshake that begins now is made with.
    pub fn served(&self) -> Arc<Served> {
        // Nothing panics while it is locked.
        Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was wanted.
    pub fn config(&self) -> &TlsConfig {
        &self.config
    }

    /// Looks at the files, and serves the new ones where they are others and good.
    ///
    /// # Errors
    ///
    /// If they are others and cannot be served: the old ones stay. Each error is said once, until it is another.
    /// What was wrong is tried again each time: a file may have been half-written, or a clock set.
    pub fn reload(&self) -> Result<Changed, TlsError> {
        // Behind a panic the state is still true: it is replaced as a whole.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let have_changed = last.files.have_changed();
        if !have_changed && last.refused.is_none() {
            return Ok(Changed::Nothing);
        }
        if self.config.clients != Clients::Anonymous {
            // A session says that its client was trusted, perhaps by an authority that is gone.
            last.tickets = new_tickets()?;
        }
        match last.read(&self.config) {
            Ok((served, warnings)) => {
                let served = Arc::new(served);
                *self.served.write().unwrap_or_else(PoisonError::into_inner) = served;
                last.refused = None;
                Ok(Changed::Replaced(warnings))
            }
            Err(error) if !have_changed && last.refused.as_ref() == Some(&error) => {
                Ok(Changed::Nothing)
            }
            Err(error) => {
                last.refused = Some(error.clone());
                Err(error)
            }
        }
    }
}

impl Last {
    /// Reads everything, and remembers what it looked like even if it was not good.
    fn read(&mut self, config: &TlsConfig) -> Result<(Served, Vec<Warning>), TlsError> {
        let mut files = Files::default();
        let mut warnings = Vec::new();
        let made = self.make(config, &mut files, &mut warnings);
        self.files = files;
        Ok((made?, warnings))
    }

    fn make(
        &self,
        config: &TlsConfig,
        files: &mut Files,
        warnings: &mut Vec<Warning>,
    ) -> Result<Served, TlsError> {
        let mut pairs = Vec::with_capacity(config.pairs.len() + 1);
        for from in &config.pairs {
            pairs.push(Arc::new(Pair::load(from, files, warnings)?));
        }
        pairs.extend(self.own.clone());
        let provider = provider(config);
        let verifier = verifier(&config.clients, &provider, files, warnings)?;
        let common = Common {
            provider,
            verifier,
            tickets: Arc::clone(&self.tickets),
        };
        Served::new(config, pairs, &common)
    }
}

/// Keys for tickets. rustls replaces them every 6 hours and opens tickets of the last ones for 6 more, so that a
/// session lives for 12 at most; they are in memory only, and lost with the process.
fn new_tickets() -> Result<Arc<dyn ProducesTickets>, TlsError> {
    Ticketer::new().map_err(|err| Trouble::Refused(words(&err)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lives_for_half_a_day_at_most() {
        let tickets = new_tickets().expect("randomness");
        assert!(tickets.enabled());
        assert_eq!(tickets.lifetime(), 12 * 60 * 60);
        let ticket = tickets.encrypt(b"a session").expect("a ticket");
        assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(&b"a session"[..]));
        let others = new_tickets().expect("randomness");
        assert_eq!(others.decrypt(&ticket), None);
    }
}
