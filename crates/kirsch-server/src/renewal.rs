//! Looks whether certificates, keys, authorities or revocation lists are others now, and counts handshakes aloud.
//!
//! Files are read by its thread and nowhere else while the server runs: who drives the reactor reads none, and a
//! signal only asks for a look. What came of it is logged, and told to whoever has lent the thread; what is wrong is
//! said once, and the old ones stay.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kirsch_tls::{Changed, Material, TlsError, Warning};
use tracing::{error, info, warn};

/// How often is looked: soon enough for whoever waits for a renewal to be served, and next to nothing for the
/// system, as each look is a call for each file.
const PERIOD: Duration = Duration::from_secs(5);
/// How often handshakes that failed are summed up: scanners fill no log with that, and who wonders why a client
/// stays away has a place to begin.
const SUMMARY: Duration = Duration::from_secs(60 * 60);

/// What is worth saying of the files of TLS. Its text is a line for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsNews {
    /// Handshakes are made with new files. Of each certificate SHA-256, as browsers show it.
    Renewed(Vec<String>),
    /// A server can live with it: of the files that there were at the start, or of those that came.
    Doubt(Warning),
    /// The new files cannot be served, and the old ones stay.
    Refused(TlsError),
}

/// The files of a server, and when they are looked at.
pub(crate) struct Renewal {
    material: Arc<Material>,
    /// Of the first files; taken when it begins.
    doubts: Mutex<Vec<Warning>>,
    asked: Mutex<Asked>,
    bell: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Look,
    End,
}

/// Handshakes since the server began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handshakes {
    pub(crate) done: u64,
    pub(crate) failed: u64,
}

impl Renewal {
    pub(crate) fn new(material: Arc<Material>, doubts: Vec<Warning>) -> Renewal {
        Renewal {
            material,
            doubts: Mutex::new(doubts),
            asked: Mutex::new(Asked::Nothing),
            bell: Condvar::new(),
        }
    }

    /// What handshakes are made with.
    pub(crate) fn material(&self) -> &Arc<Material> {
        &self.material
    }

    /// Looks now and then, until [`Renewal::end`]. To be called by one thread, which a file system may hold up.
    pub(crate) fn run(&self, tell: &mut dyn FnMut(&TlsNews), count: impl Fn() -> Handshakes) {
        for doubt in std::mem::take(&mut *lock(&self.doubts)) {
            // It was logged before there was this thread.
            tell(&TlsNews::Doubt(doubt));
        }
        let mut summary = Summary::new(Instant::now());
        while self.wait() != Asked::End {
            look(&self.material, tell);
            if let Some(handshakes) = summary.due(Instant::now(), &count) {
                handshakes.log();
            }
        }
        count().log();
    }

    /// Has the thread look at once.
    pub(crate) fn look_now(&self) {
        self.ask(Asked::Look);
    }

    /// Has the thread return. Nobody need wait for that.
    pub(crate) fn end(&self) {
        self.ask(Asked::End);
    }

    fn ask(&self, what: Asked) {
        let mut asked = lock(&self.asked);
        if *asked != Asked::End {
            *asked = what;
        }
        self.bell.notify_one();
    }

    /// Until it is time to look, or to end.
    fn wait(&self) -> Asked {
        let asked = lock(&self.asked);
        let waited = self
            .bell
            .wait_timeout_while(asked, PERIOD, |asked| *asked == Asked::Nothing);
        let (mut asked, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match *asked {
            Asked::Nothing | Asked::Look => std::mem::replace(&mut asked, Asked::Nothing),
            Asked::End => Asked::End,
        }
    }
}

impl Handshakes {
    fn log(self) {
        let Handshakes { done, failed } = self;
        if failed > 0 {
            info!(done, failed, "TLS handshakes since the start");
        }
    }
}

/// When handshakes are summed up: each hour in which some failed.
struct Summary {
    next: Instant,
    failed: u64,
}

impl Summary {
    fn new(now: Instant) -> Summary {
        Summary {
            next: now + SUMMARY,
            failed: 0,
        }
    }

    fn due(&mut self, now: Instant, count: impl Fn() -> Handshakes) -> Option<Handshakes> {
        if now < self.next {
            return None;
        }
        self.next = now + SUMMARY;
        let handshakes = count();
        let before = std::mem::replace(&mut self.failed, handshakes.failed);
        (handshakes.failed > before).then_some(handshakes)
    }
}

impl fmt::Display for TlsNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsNews::Renewed(certificates) => {
                write!(
                    f,
                    "TLS is served with new files; certificates: SHA-256 {}",
                    certificates.join(", ")
                )
            }
            TlsNews::Doubt(warning) => warning.fmt(f),
            TlsNews::Refused(error) => write!(
                f,
                "TLS goes on with the files it had; the new ones cannot be served: {error}"
            ),
        }
    }
}

fn look(material: &Material, tell: &mut dyn FnMut(&TlsNews)) {
    match material.reload() {
        Ok(Changed::Nothing) => {}
        Ok(Changed::Replaced(warnings)) => {
            let served = material.served();
            let certificates: Vec<String> = served
                .pairs()
                .map(|pair| pair.fingerprint().to_owned())
                .collect();
            info!(certificates = %certificates.join(", "), "TLS is served with new files");
            tell(&TlsNews::Renewed(certificates));
            for warning in warnings {
                warn!("{warning}");
                tell(&TlsNews::Doubt(warning));
            }
        }
        Err(err) => {
            error!(%err, "TLS goes on with the files it had; the new ones cannot be served");
            tell(&TlsNews::Refused(err));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_without_a_failure_is_not_summed_up() {
        let start = Instant::now();
        let mut summary = Summary::new(start);
        let mut due = |minutes: u64, failed| {
            let handshakes = Handshakes { done: 7, failed };
            let due = summary.due(start + Duration::from_secs(minutes * 60), || handshakes);
            due.map(|it| it.failed)
        };
        assert_eq!((due(1, 1), due(59, 3)), (None, None));
        assert_eq!((due(60, 3), due(61, 4)), (Some(3), None));
        assert_eq!((due(121, 4), due(182, 4)), (Some(4), None));
    }

    #[test]
    fn who_is_asked_to_end_does_not_look_instead() {
        let config = kirsch_tls::TlsConfig {
            self_signed: Some(Vec::new()),
            ..kirsch_tls::TlsConfig::default()
        };
        let (material, _) = Material::load(config).expect("a certificate of its own");
        let renewal = Renewal::new(Arc::new(material), Vec::new());
        renewal.end();
        renewal.look_now();
        renewal.run(
            &mut |news| panic!("nothing is new: {news}"),
            Handshakes::default,
        );
    }
}
