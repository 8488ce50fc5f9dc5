//! The server: binds, has its threads take turns, drains and stops.
//!
//! [`Server::bind`] opens the sockets. Then either [`Server::start`] makes threads (Rust), or an
//! embedding makes them its own way and has each call [`Server::work`] (Python).

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kirsch_pool::{
    Doing, Interpreter, Lane, NoInterpreter, Pool, PoolCounters, TICK, ThreadId, watch, work,
};
use kirsch_tls::{Material, TlsError};
use tracing::{debug, error, warn};

use crate::access_log::{AccessLogError, AccessLogWriter};
use crate::bind_error::BindError;
use crate::config::{Bind, Config};
use crate::connection::Connection;
use crate::exchange::Exchange;
use crate::gateway::Gateway;
use crate::https_only::HttpsOnly;
use crate::listener::{BoundAddress, listen};
use crate::reactor::{Job, Mail, Reactor, Waker};
use crate::reason::reason;
use crate::renewal::{Handshakes, Renewal, TlsNews};
use crate::request::{LocalName, Origin};
use crate::shared::{Common, Counters, Shared};
use crate::sigpipe;
use crate::socket::Socket;
use crate::stream::Stream;

/// How often whoever waits for a drain looks for a reason to leave: as soon as somebody who pressed Ctrl-C
/// expects it, and at no cost worth speaking of.
const LOOK: Duration = Duration::from_millis(100);

thread_local! {
    static CURRENT: Cell<Option<(*const Shared, ThreadId)>> = const { Cell::new(None) };
}

/// The pool thread that runs this, if it is one of this reactor's.
pub(crate) fn current_thread(shared: &Shared) -> Option<ThreadId> {
    let (of, thread) = CURRENT.get()?;
    std::ptr::eq(of, shared).then_some(thread)
}

/// A web server. Cheap to clone: the clones are handles of the same server. Every method may be called from
/// any thread. Dropping the handles does not stop it; [`Server::stop`] does.
#[derive(Clone)]
#[doc(alias("HTTPServer", "CherryPyWSGIServer"))]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    common: Arc<Common>,
    /// A pool for each reactor. The one that accepts is the first.
    crews: Vec<Crew>,
    addresses: Vec<BoundAddress>,
    descriptors: Vec<RawFd>,
    watchers: Mutex<Vec<JoinHandle<()>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Looks whether there are new certificates, if there is TLS.
    renewal: Option<Renewal>,
}

/// A reactor's pool, and what its threads share.
struct Crew {
    shared: Arc<Shared>,
    pool: Arc<Pool<Reactor>>,
}

/// Why a server cannot be made.
pub enum StartError {
    /// An address cannot be listened on.
    Bind(BindError),
    /// The access log cannot be opened.
    AccessLog(AccessLogError),
    /// TLS cannot be served with the files that there are.
    Tls(TlsError),
    /// So many reactors were asked for, and the gateway needs an interpreter, which one reactor serves.
    Reactors(usize),
    /// The system refuses something else that a server needs.
    System(io::Error),
}

/// What a server has done and is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The pool's counters; of several pools, their sums. Those `refused` count here too whose application had none
    /// of its threads for them.
    pub pool: PoolCounters,
    /// What each thread is doing that is there, in the order of their ids.
    pub threads: Vec<Doing>,
    /// Connections open now.
    pub connections: usize,
    /// Connections accepted.
    pub accepted: u64,
    /// TLS handshakes that were completed.
    pub handshakes: u64,
    /// TLS handshakes that were begun and came to nothing; why is logged at debug.
    pub handshakes_failed: u64,
    /// Requests whose head was complete and sound.
    pub requests: u64,
    /// Requests refused with a 4xx or 5xx of the server's own, because they broke a rule.
    pub refused: u64,
    /// Connections closed to make room for others.
    pub evicted: u64,
    /// Responses that waited some hundred microseconds at most to be sent together with others.
    pub corked: u64,
    /// Responses whose only block was sent together with their end, though nobody had said that it was the last.
    pub joined: u64,
    /// Responses that outran their client and went on through a buffer.
    pub outran: u64,
    /// Panics caught.
    pub panics: u64,
    /// Requests that wait for a thread, or for one of those that their application may have.
    pub queued: usize,
    /// Bytes in buffers.
    pub buffer_bytes: u64,
    /// Bytes in spool files.
    pub spool_bytes: u64,
}

impl Server {
    /// Opens the sockets and makes everything but the threads.
    ///
    /// # Errors
    ///
    /// An address that cannot be had, an access log that cannot be opened, several reactors for a gateway that
    /// needs an interpreter.
    pub fn bind(config: Config, gateway: Arc<dyn Gateway>) -> Result<Server, StartError> {
        Server::bind_with(config, gateway, Vec::new())
    }

    /// As [`Server::bind`], with the descriptors that [`Bind::Descriptor`](crate::Bind::Descriptor) names.
    ///
    /// # Errors
    ///
    /// As [`Server::bind`].
    pub fn bind_with(
        mut config: Config,
        gateway: Arc<dyn Gateway>,
        inherited: Vec<(RawFd, OwnedFd)>,
    ) -> Result<Server, StartError> {
        let reactors = reactors(&config);
        if reactors > 1 && gateway.needs_interpreter() {
            return Err(StartError::Reactors(reactors));
        }
        fit_into_descriptors(&mut config);
        warn_of_spooling_to_memory(&config);
        let _ = sigpipe::pending();
        let renewal = renewal(&config).map_err(StartError::Tls)?;
        let tls = renewal.as_ref().map(|it| Arc::clone(it.material()));
        let (listeners, addresses) = listen(&config, inherited).map_err(StartError::Bind)?;
        let access_log = match &config.access_log {
            Some(log) => Some(AccessLogWriter::start(log).map_err(StartError::AccessLog)?),
            None => None,
        };
        let gateway = match &config.tls {
            Some(tls) if tls.redirect => Arc::new(https_only(gateway, &addresses)?),
            Some(_) | None => gateway,
        };
        let threads = config.threads.max(reactors);
        let queue = config.limits.queue_jobs.div_ceil(reactors);
        let common = Arc::new(Common::new(config, gateway, access_log, tls));
        // Thread ids are dealt to the reactors in turn.
        let threads_of = |place: usize| (threads - place).div_ceil(reactors);
        let circle: Vec<Arc<Shared>> = (0..reactors)
            .map(|_| Arc::new(Shared::new(Arc::clone(&common))))
            .collect();
        let mut listeners = Some(listeners);
        let mut made = Vec::with_capacity(reactors);
        for place in 0..reactors {
            let listeners = listeners.take().unwrap_or_default();
            let reactor = Reactor::new(circle.clone(), place, listeners);
            made.push(reactor.map_err(StartError::System)?);
        }
        let descriptors = made
            .iter()
            .flat_map(|(reactor, _)| reactor.descriptors())
            .collect();
        let crew = |(place, (reactor, waker)): (usize, (Box<Reactor>, Waker))| {
            let shared = Arc::clone(&circle[place]);
            let pool = Arc::new(Pool::new(reactor, waker, threads_of(place), queue));
            shared.set_pool(Arc::clone(&pool));
            Crew { shared, pool }
        };
        let server = Server {
            inner: Arc::new(Inner {
                common,
                crews: made.into_iter().enumerate().map(crew).collect(),
                addresses,
                descriptors,
                watchers: Mutex::new(Vec::new()),
                threads: Mutex::new(Vec::new()),
                renewal,
            }),
        };
        if let Err(err) = server.start_watchers() {
            server.stop_within(Duration::ZERO);
            server.join();
            return Err(StartError::System(err));
        }
        Ok(server)
    }

    fn start_watchers(&self) -> io::Result<()> {
        let mut watchers = lock(&self.inner.watchers);
        for Crew { shared, pool } in &self.inner.crews {
            let (shared, pool) = (Arc::clone(shared), Arc::clone(pool));
            watchers.push(
                thread::Builder::new()
                    .name("kirsch-watcher".to_owned())
                    .spawn(move || watch(&pool, || thread::sleep(TICK), |job| run(&shared, job)))
                    .map_err(|err| no_thread(&err))?,
            );
        }
        Ok(())
    }

    /// Starts the pool's threads, and the one that looks for new certificates; for servers whose gateways are Rust.
    /// To be called once.
    ///
    /// # Errors
    ///
    /// If the system refuses a thread.
    pub fn start(&self) -> io::Result<()> {
        let mut threads = lock(&self.inner.threads);
        for id in 0..self.threads() {
            let server = self.clone();
            let name = format!("kirsch-{id}");
            threads.push(
                thread::Builder::new()
                    .name(name)
                    .spawn(move || server.work(id, &NoInterpreter))
                    .map_err(|err| no_thread(&err))?,
            );
        }
        drop(threads);
        if self.has_tls() {
            let server = self.clone();
            // Nobody waits for it: a file system may hold it up.
            thread::Builder::new()
                .name("kirsch-tls".to_owned())
                .spawn(move || server.watch_tls(|_| {}))
                .map_err(|err| no_thread(&err))?;
        }
        Ok(())
    }

    /// One pool thread's life: returns when the server has stopped, or the thread was dismissed. Each id from 0 to
    /// `threads` is used once, unless it was.
    pub fn work<I: Interpreter>(&self, thread: ThreadId, interpreter: &I) {
        let crews = &self.inner.crews;
        let Crew { shared, pool } = &crews[thread % crews.len()];
        let thread = thread / crews.len();
        CURRENT.set(Some((Arc::as_ptr(shared), thread)));
        work(pool, thread, interpreter, &|job| {
            run(shared, job);
        });
        CURRENT.set(None);
    }

    /// Has the server begin with so many of its threads, those with the first ids; others may come by
    /// [`Server::work`] while it runs. To be called before any thread does.
    pub fn begin_with(&self, threads: usize) {
        let crews = &self.inner.crews;
        for (place, crew) in crews.iter().enumerate() {
            crew.pool
                .begin_with(threads.saturating_sub(place).div_ceil(crews.len()));
        }
    }

    /// Has so many threads of the first reactor return from [`Server::work`] once they have nothing to do, but the last
    /// one. Their ids may be used again.
    pub fn dismiss(&self, threads: usize) {
        self.inner.crews[0].pool.dismiss(threads);
    }

    /// How many threads the server has, or may have.
    pub fn threads(&self) -> usize {
        let config = &self.inner.common.config;
        config.threads.max(reactors(config))
    }

    /// The addresses listened on, in the order of the binds; ports that were 0 are the ones taken.
    pub fn addresses(&self) -> &[BoundAddress] {
        &self.inner.addresses
    }

    /// Descriptors that a forked child must close: the listeners' and the polls'.
    pub fn descriptors(&self) -> &[RawFd] {
        &self.inner.descriptors
    }

    /// Takes in a connection that somebody else has accepted: a stream socket, of whose peer this is what
    /// applications are told. It is served like those that the server accepts.
    ///
    /// # Errors
    ///
    /// If the server stops, or has as many connections as it may have.
    pub fn admit(
        &self,
        socket: OwnedFd,
        peer: Option<SocketAddr>,
        local: Arc<LocalName>,
    ) -> io::Result<()> {
        let Inner { common, crews, .. } = &*self.inner;
        let most = common.config.limits.connections;
        if common.is_draining() || common.connections() >= most {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let stream = Stream::plain(Socket::of(socket)?);
        let peer_address = peer.map_or(String::new(), |peer| peer.ip().to_canonical().to_string());
        let origin = Origin {
            peer,
            peer_address,
            local,
            tls: None,
        };
        common.has_come();
        crews[0].shared.post(Mail::Admit(stream, Arc::new(origin)));
        Ok(())
    }

    /// Stops accepting, finishes what has begun within the drain timeout, then ends the rest.
    /// Returns when no thread will begin anything more; waits for no thread.
    ///
    /// Answers whether everything that had begun was finished.
    pub fn stop(&self) -> bool {
        self.stop_within(self.drain_timeout())
    }

    /// How long [`Server::stop`] waits for what has begun.
    pub fn drain_timeout(&self) -> Duration {
        self.inner.common.config.timeouts.drain
    }

    /// As [`Server::stop`], with a drain timeout of its own; zero ends everything at once. A gateway that is in
    /// the middle of a request is not interrupted: it finds that its client has gone.
    pub fn stop_within(&self, patience: Duration) -> bool {
        match self.stop_unless(patience, || Ok::<(), Infallible>(())) {
            Ok(drained) => drained,
            Err(never) => match never {},
        }
    }

    /// As [`Server::stop_within`], for a caller that may have to leave before: while it waits, it asks several
    /// times a second.
    ///
    /// # Errors
    ///
    /// The first that `look` answers with. The server is then left draining, and has to be stopped again.
    pub fn stop_unless<E>(
        &self,
        patience: Duration,
        mut look: impl FnMut() -> Result<(), E>,
    ) -> Result<bool, E> {
        let Inner { common, crews, .. } = &*self.inner;
        common.draining.store(true, Ordering::Relaxed);
        crews.iter().for_each(|crew| crew.shared.post(Mail::Drain));
        let began = Instant::now();
        let drained = loop {
            let left = patience.saturating_sub(began.elapsed());
            match common.drained.wait(Instant::now() + left.min(LOOK)) {
                Some(drained) => break drained,
                None if left <= LOOK => break false,
                None => look()?,
            }
        };
        if !drained {
            common.aborted.store(true, Ordering::SeqCst);
            common.gateway.cut();
            crews.iter().for_each(|crew| crew.shared.post(Mail::Abort));
        }
        crews.iter().for_each(|crew| crew.pool.stop());
        if let Some(renewal) = &self.inner.renewal {
            renewal.end();
        }
        let watchers: Vec<_> = lock(&self.inner.watchers).drain(..).collect();
        for watcher in watchers {
            let _ = watcher.join();
        }
        Ok(drained)
    }

    /// Ends a drain that is under way in another thread.
    pub fn stop_now(&self) {
        self.inner.common.drained.give_up();
    }

    /// Waits for the threads of [`Server::start`], and lets go of everything. Once every thread has returned
    /// from [`Server::work`], it may be called instead of dropping the server.
    pub fn join(&self) {
        let threads: Vec<_> = lock(&self.inner.threads).drain(..).collect();
        for thread in threads {
            let _ = thread.join();
        }
        // The first may still deal connections to the others.
        for crew in &self.inner.crews {
            let (reactor, jobs) = crew.pool.take_over();
            // In this order: a job gives its permit to who waits for it, until the reactor has taken those out.
            drop(reactor);
            drop(jobs);
        }
        self.close_access_log();
    }

    /// Writes what waits for the access log, and ends that: for a process that ends without [`Server::join`].
    pub fn close_access_log(&self) {
        if let Some(log) = &self.inner.common.access_log {
            log.close();
        }
    }

    /// Opens the access log's file again, after it was renamed or deleted: what is logged from now on goes to
    /// the file at its path. Does not wait for it; if the file cannot be opened, the old one is kept.
    pub fn reopen_access_log(&self) {
        if let Some(log) = &self.inner.common.access_log {
            log.reopen();
        }
    }

    /// Looks at the files of TLS at once, instead of in a few seconds, and serves the new ones if they are good.
    /// Does not wait for it; the log says what came of it. Answers whether there is TLS, and so something to look at.
    pub fn reload_tls(&self) -> bool {
        if let Some(renewal) = &self.inner.renewal {
            renewal.look_now();
        }
        self.has_tls()
    }

    /// Whether TLS is spoken anywhere.
    pub fn has_tls(&self) -> bool {
        self.inner.renewal.is_some()
    }

    /// Looks at the files of TLS every few seconds, and whenever [`Server::reload_tls`] asks for it, until the server
    /// stops. What came of it is logged, and told: what there is to say of the first files, then what has changed.
    /// Without TLS it returns at once.
    ///
    /// [`Server::start`] has a thread for it; who calls [`Server::work`] instead calls this by one more thread.
    pub fn watch_tls(&self, mut tell: impl FnMut(&TlsNews)) {
        let count = || {
            let statistics = self.statistics();
            Handshakes {
                done: statistics.handshakes,
                failed: statistics.handshakes_failed,
            }
        };
        if let Some(renewal) = &self.inner.renewal {
            renewal.run(&mut tell, count);
        }
    }

    /// The fingerprint of the certificate that the server has made for itself, if it has: SHA-256, as browsers show
    /// it.
    pub fn own_fingerprint(&self) -> Option<String> {
        let material = self.inner.common.tls.as_ref()?;
        material.config().self_signed.as_ref()?;
        let served = material.served();
        // It stands behind those of files.
        served
            .pairs()
            .last()
            .map(|pair| pair.fingerprint().to_owned())
    }

    /// What happened so far, and what each thread does now. Counters never go back; the rest is of this moment.
    pub fn statistics(&self) -> Statistics {
        let Inner { common, crews, .. } = &*self.inner;
        let mut statistics = Statistics {
            connections: common.connections(),
            buffer_bytes: common.memory.used(),
            spool_bytes: common.spool.used(),
            ..Statistics::default()
        };
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        for Crew { shared, pool } in crews {
            let (counters, of_pool) = (&shared.counters, pool.counters());
            statistics.pool += of_pool;
            statistics.accepted += read(&counters.accepted);
            statistics.handshakes += read(&counters.handshakes);
            statistics.handshakes_failed += read(&counters.handshakes_failed);
            statistics.requests += read(&counters.requests);
            statistics.refused += read(&counters.refused);
            statistics.evicted += read(&counters.evicted);
            statistics.corked += read(&counters.corked);
            statistics.joined += read(&counters.joined);
            statistics.outran += read(&counters.remote);
            statistics.panics += read(&counters.panics) + of_pool.panics;
            statistics.queued += pool.queue_len() + shared.in_line.load(Ordering::Relaxed);
            statistics.pool.refused += read(&counters.turned_away);
        }
        let doing: Vec<Vec<Doing>> = crews.iter().map(|crew| crew.pool.doing()).collect();
        statistics.threads = (0..self.threads())
            .map(|id| doing[id % crews.len()][id / crews.len()])
            .filter(|doing| *doing != Doing::Absent)
            .collect();
        statistics
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.inner.addresses)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Bind(err) => err.fmt(f),
            StartError::AccessLog(err) => err.fmt(f),
            StartError::Tls(err) => write!(f, "cannot serve TLS: {err}"),
            StartError::Reactors(count) => write!(
                f,
                "cannot start {count} reactors: the gateway needs an interpreter, which one reactor serves"
            ),
            StartError::System(err) => write!(f, "cannot start: {}", reason(err)),
        }
    }
}

/// As it prints: a program that ends with it, `fn main() -> Result<(), …>`, shows this form.
impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for StartError {}

/// Runs one job on the thread that has it.
fn run(shared: &Arc<Shared>, job: Job) {
    match job {
        Job::Request(job) => {
            // What never blocks needs no forecast.
            let measurement = match job.lane {
                Lane::Inline => None,
                Lane::Interpreter | Lane::Thread | Lane::Long | Lane::Newcomer => {
                    shared.forecaster.measure(job.key)
                }
            };
            // Kept until the gateway has returned, or panicked.
            let permit = job.permit;
            let cap = permit.as_ref().map(|permit| Arc::clone(permit.cap()));
            let exchange = Exchange::new(job.request, job.wire, job.key, cap, Arc::clone(shared));
            if exchange.is_gone() {
                // While it waited for a thread, the client left or was told that it takes too long.
                return;
            }
            if catch_unwind(AssertUnwindSafe(|| shared.gateway.handle(exchange))).is_err() {
                Counters::count(&shared.counters.panics);
                error!("a gateway panicked; its request was answered with 500 or aborted");
            }
            if let Some(measurement) = measurement {
                shared.forecaster.learn(&measurement);
            }
            drop(permit);
        }
        Job::Handshake(connection, _) => {
            let connection = run_long(shared, connection, |held| held.work(shared));
            shared.post(Mail::Shaken(connection));
        }
        Job::Spool(connection) => {
            let connection = run_long(shared, connection, |held| held.spill(shared));
            shared.post(Mail::Return(connection));
        }
        Job::SendFile(connection) => {
            let connection = run_long(shared, connection, |held| held.transmit_file(shared));
            shared.post(Mail::Return(connection));
        }
        Job::Free => {
            shared.freeing.store(false, Ordering::Relaxed);
            shared.gateway.free();
        }
    }
}

/// Runs long work of a connection's. Whatever becomes of it, the connection returns: the reactor keeps its place.
fn run_long(
    shared: &Shared,
    mut connection: Box<Connection>,
    work: impl FnOnce(&mut Connection),
) -> Box<Connection> {
    if catch_unwind(AssertUnwindSafe(|| work(&mut connection))).is_err() {
        Counters::count(&shared.counters.panics);
        connection.give_up(shared);
        connection.lost(None);
    }
    if shared.is_aborted() {
        // Whoever waits for room in its pipe must not wait for a reactor that has ended.
        connection.give_up(shared);
        connection.lost(None);
    }
    connection
}

/// The system's refusal of a thread, with what to do about it.
pub fn no_thread(source: &io::Error) -> io::Error {
    let text = format!(
        "the system refuses a thread ({source}); allow this user more processes (`ulimit -u`), or the \
         container (`pids.max`)"
    );
    io::Error::new(source.kind(), text)
}

fn https_only(
    gateway: Arc<dyn Gateway>,
    addresses: &[BoundAddress],
) -> Result<HttpsOnly, StartError> {
    let made = HttpsOnly::new(gateway, addresses);
    made.map_err(|err| StartError::System(io::Error::other(err.to_string())))
}

/// Reads what handshakes are to be made with, if there will be any.
fn renewal(config: &Config) -> Result<Option<Renewal>, TlsError> {
    if !config.binds.iter().any(Bind::is_tls) {
        return Ok(None);
    }
    let tls = config.tls.clone().unwrap_or_default();
    let (material, warnings) = Material::load(tls.certificates)?;
    for warning in &warnings {
        warn!("{warning}");
    }
    Ok(Some(Renewal::new(Arc::new(material), warnings)))
}

fn reactors(config: &Config) -> usize {
    config.reactors.max(1)
}

/// Descriptors left to the rest of the process: listeners, polls, logs, and what the application opens, for which
/// some ten threads with a few connections to databases each are enough.
const RESERVED_DESCRIPTORS: u64 = 128;

/// File systems without a disk behind them: tmpfs and ramfs (`statfs(2)`).
const IN_MEMORY: [rustix::fs::FsWord; 2] = [0x0102_1994, 0x8584_58f6_u32 as _];

/// Takes as many descriptors as the system allows, and no more connections than these suffice for.
fn fit_into_descriptors(config: &mut Config) {
    let Some(descriptors) = raise_descriptor_limit() else {
        return;
    };
    let configured = config.limits.connections;
    config.limits.connections = configured.min(connections_within(descriptors));
    if config.limits.connections < configured {
        warn!(
            connections = config.limits.connections,
            configured, descriptors, "the limit of open descriptors allows fewer connections"
        );
    }
}

/// Spool files are there to keep bodies out of memory.
fn warn_of_spooling_to_memory(config: &Config) {
    let folder = config.spool_dir.clone().unwrap_or_else(std::env::temp_dir);
    // What cannot be asked is met with the first file, and logged then.
    if let Ok(found) = rustix::fs::statfs(&folder)
        && IN_MEMORY.contains(&found.f_type)
    {
        warn!(
            folder = %folder.display(),
            limit_spool = config.limits.spool_bytes,
            "the folder of spool files lies in memory; name one on a disk with --spool-dir, or count them as memory"
        );
    }
}

/// Two connections share three descriptors: their own, and one for the spool file that every other may have. An
/// idle one has none, and most are idle where there are many. (lighttpd counts two for each.)
fn connections_within(descriptors: u64) -> usize {
    let reserved = RESERVED_DESCRIPTORS.min(descriptors / 4);
    let connections = (descriptors - reserved) / 3 * 2;
    usize::try_from(connections).unwrap_or(usize::MAX).max(1)
}

/// Answers how many descriptors this process may have then; `None` if there is no limit.
fn raise_descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if limit.current == limit.maximum {
        return limit.maximum;
    }
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(err) => {
            debug!(%err, "cannot raise the limit of open descriptors");
            limit.current
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_their_files_and_to_the_application() {
        for (descriptors, connections) in [
            (0, 1),
            (64, 32),
            (1024, 596),
            (15_128, 10_000),
            (1_048_576, 698_964),
        ] {
            assert_eq!(
                connections_within(descriptors),
                connections,
                "{descriptors}"
            );
        }
    }
}
