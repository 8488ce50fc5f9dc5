//! The server as Python sees it. The threads are Python's own: `threading.Thread`s whose target is
//! [`PyServer::work`], so that thread-locals, profilers and debuggers see ordinary threads.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kirsch_config::{Dispatch, Origin, Settings};
use kirsch_files::NamedFiles;
use kirsch_server::{
    Bind, BoundAddress, Interpreter, LocalName, Scheme, Server, StartError, TlsError, TlsNews,
    Trouble,
};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::cheroot::PyCheroot;
use crate::dispatch::{PyDispatch, gateway, internal_folders};
use crate::ffi;
use crate::gateway::WsgiGateway;
use crate::provided::Started;
use crate::settings::PySettings;

/// The engine behind `kirsch.Server`.
#[pyclass(frozen, name = "Engine", module = "kirsch._kirsch")]
pub(crate) struct PyServer {
    server: Server,
    /// Forks before it was made: in a child made since, it is a copy.
    forks: u32,
    /// Dropped after the server, which ends before they do.
    _started: Started,
}

impl Drop for PyServer {
    fn drop(&mut self) {
        // A child has closed the descriptors by their numbers: closing them once more would hit whatever
        // has those numbers now. One handle that is never dropped keeps the copy for good.
        if self.forks != WsgiGateway::forks() {
            std::mem::forget(self.server.clone());
        }
    }
}

/// Held while a pool thread is inside; released around everything that waits.
struct Attached<'py>(Python<'py>);

impl Interpreter for Attached<'_> {
    fn release<R: Send>(&self, outside: impl FnOnce() -> R + Send) -> R {
        self.0.detach(outside)
    }
}

#[pymethods]
impl PyServer {
    /// Opens the sockets. With `cheroot` it serves a program written for that; unless `listens`, connections are
    /// handed over by `admit`.
    #[new]
    #[pyo3(signature = (applications, dispatch, settings, report, errors, cheroot=None, listens=true))]
    #[expect(
        clippy::too_many_arguments,
        reason = "made in one place, with a signature of its own"
    )]
    fn new(
        py: Python<'_>,
        applications: Vec<Py<PyAny>>,
        dispatch: &PyDispatch,
        settings: &PySettings,
        report: Py<PyAny>,
        errors: Py<PyAny>,
        cheroot: Option<&PyCheroot>,
        listens: bool,
    ) -> PyResult<PyServer> {
        let settings = &settings.settings;
        let mut config = settings.config.clone();
        config.cheroot = cheroot.map(|it| Arc::clone(&it.told.settings));
        if let (Some(cheroot), Some(tls)) = (cheroot, &mut config.tls) {
            for pair in &mut tls.certificates.pairs {
                pair.issuers.clone_from(&cheroot.issuers);
            }
        }
        if !listens {
            config.binds.clear();
        }
        let named = named_files(settings, &dispatch.dispatch)?;
        let wsgi = |place: usize, mount: &str, threads: usize| {
            let application = applications[place].clone_ref(py);
            let (report, errors) = (report.clone_ref(py), errors.clone_ref(py));
            let mount = mount.to_owned();
            WsgiGateway::new(py, application, report, errors, mount, threads, &config)
                .naming(named.clone())
                .for_cheroot(cheroot)
        };
        if applications.len() != dispatch.given() {
            return Err(PyValueError::new_err(
                "not as many applications as the routes have",
            ));
        }
        let mut started = Started::default();
        let gateway = gateway(&dispatch.dispatch, settings, &mut started, wsgi)?;
        let mut inherited = Vec::new();
        for bind in &config.binds {
            if let Bind::Descriptor(number) | Bind::TlsDescriptor(number) = bind
                && let Ok(descriptor) = ffi::duplicate(*number)
            {
                inherited.push((*number, descriptor));
            }
        }
        let server = py
            .detach(|| Server::bind_with(config, gateway, inherited))
            .map_err(|error| start_error(settings, &error))?;
        Ok(PyServer {
            server,
            forks: WsgiGateway::forks(),
            _started: started,
        })
    }

    /// One pool thread's life.
    fn work(&self, py: Python<'_>, thread: usize) {
        self.server.work(thread, &Attached(py));
    }

    /// Has only so many threads come to work at first.
    fn begin_with(&self, threads: usize) {
        self.server.begin_with(threads);
    }

    /// Has so many threads return from `work` once they have nothing to do; their places may be taken again.
    fn dismiss(&self, threads: usize) {
        self.server.dismiss(threads);
    }

    /// Takes in a connected socket; the descriptor stays the caller's, who closes it.
    ///
    /// `peer` is what applications are told of its client: an address and a port; and `local` of this side, `secure` if
    /// it was decrypted.
    #[pyo3(signature = (descriptor, peer, local, secure=true))]
    fn admit(
        &self,
        descriptor: i32,
        peer: Option<(IpAddr, u16)>,
        local: (String, String),
        secure: bool,
    ) -> PyResult<()> {
        let local = LocalName {
            listener: 0,
            name: local.0,
            port: local.1,
            scheme: match secure {
                true => Scheme::Https,
                false => Scheme::Http,
            },
        };
        let socket = ffi::duplicate(descriptor)?;
        self.server
            .admit(socket, peer.map(SocketAddr::from), Arc::new(local))
            .map_err(PyErr::from)
    }

    /// Stops accepting, finishes what has begun within `patience` seconds (the drain timeout without it).
    /// In the main thread signal handlers run meanwhile; if one raises, the wait ends and the server drains on.
    #[pyo3(signature = (patience=None))]
    fn stop(&self, py: Python<'_>, patience: Option<f64>) -> PyResult<bool> {
        let patience = match patience {
            None => self.server.drain_timeout(),
            Some(seconds) => Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX),
        };
        let look = || Python::attach(|py| py.check_signals());
        py.detach(|| self.server.stop_unless(patience, look))
    }

    /// Ends a `stop` that is under way.
    fn stop_now(&self) {
        self.server.stop_now();
    }

    /// Opens the access log's file again, after it was moved away.
    fn reopen_access_log(&self) {
        self.server.reopen_access_log();
    }

    /// Whether TLS is spoken anywhere.
    #[getter]
    fn has_tls(&self) -> bool {
        self.server.has_tls()
    }

    /// Looks for new files of TLS until the server stops: one thread's life. `tell` is called with a level of
    /// `logging` and a line for each thing that is worth saying.
    #[pyo3(signature = (tell=None))]
    fn watch_tls(&self, py: Python<'_>, tell: Option<Py<PyAny>>) {
        py.detach(|| {
            self.server.watch_tls(|news| {
                if let Some(tell) = &tell {
                    Python::attach(|py| {
                        let told = tell.call1(py, (level(news), news.to_string()));
                        if let Err(error) = told {
                            error.write_unraisable(py, Some(tell.bind(py)));
                        }
                    });
                }
            });
        });
    }

    /// Looks at the files of TLS at once. Answers whether there are any.
    fn reload_tls(&self) -> bool {
        self.server.reload_tls()
    }

    /// SHA-256 of the certificate that the server has made for itself, if it has.
    #[getter]
    fn own_fingerprint(&self) -> Option<String> {
        self.server.own_fingerprint()
    }

    /// Lets go of sockets and logs, once every thread has returned from `work`.
    fn release(&self, py: Python<'_>) {
        py.detach(|| self.server.join());
    }

    /// Writes what waits for the access log, where threads do not return from `work` and the process ends.
    fn close_access_log(&self, py: Python<'_>) {
        py.detach(|| self.server.close_access_log());
    }

    #[getter]
    fn threads(&self) -> usize {
        self.server.threads()
    }

    /// What is listened on: `http://127.0.0.1:8000`, `https://127.0.0.1:8443`, `unix:/run/kirsch.sock`, `@name`.
    #[getter]
    fn urls(&self) -> Vec<String> {
        self.server
            .addresses()
            .iter()
            .map(BoundAddress::to_string)
            .collect()
    }

    /// What is listened on: `(host, port)` for TCP, a path or `@name` for unix sockets.
    #[getter]
    fn addresses<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let address = |address: &BoundAddress| match address {
            BoundAddress::Tcp(addr) | BoundAddress::Tls(addr) => {
                (addr.ip().to_string(), addr.port())
                    .into_pyobject(py)
                    .map(Bound::into_any)
            }
            other => Ok(other
                .to_string()
                .trim_start_matches("unix:")
                .into_pyobject(py)?
                .into_any()),
        };
        self.server.addresses().iter().map(address).collect()
    }

    /// Descriptors that a forked child must close.
    #[getter]
    fn descriptors(&self) -> Vec<i32> {
        self.server.descriptors().to_vec()
    }

    /// Counters and what each thread is doing.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let statistics = self.server.statistics();
        let dict = PyDict::new(py);
        dict.set_item("requests", statistics.requests)?;
        dict.set_item("accepted", statistics.accepted)?;
        dict.set_item("handshakes", statistics.handshakes)?;
        dict.set_item("handshakes_failed", statistics.handshakes_failed)?;
        dict.set_item("refused", statistics.refused)?;
        dict.set_item("evicted", statistics.evicted)?;
        dict.set_item("corked", statistics.corked)?;
        dict.set_item("joined", statistics.joined)?;
        dict.set_item("outran", statistics.outran)?;
        dict.set_item("panics", statistics.panics)?;
        dict.set_item("connections", statistics.connections)?;
        dict.set_item("queued", statistics.queued)?;
        dict.set_item("buffer_bytes", statistics.buffer_bytes)?;
        dict.set_item("spool_bytes", statistics.spool_bytes)?;
        dict.set_item("jobs", statistics.pool.jobs)?;
        dict.set_item("hand_overs", statistics.pool.hand_overs)?;
        dict.set_item("rescues", statistics.pool.rescues)?;
        dict.set_item("watcher_drives", statistics.pool.watcher_drives)?;
        dict.set_item("jobs_queued", statistics.pool.queued)?;
        dict.set_item("jobs_refused", statistics.pool.refused)?;
        let threads: Vec<String> = statistics
            .threads
            .iter()
            .map(|doing| format!("{doing:?}").to_lowercase())
            .collect();
        dict.set_item("threads", threads)?;
        Ok(dict)
    }
}

/// The files that applications may name, if there are any.
fn named_files(settings: &Settings, dispatch: &Dispatch) -> PyResult<Option<Arc<NamedFiles>>> {
    let folders = settings.x_sendfile.as_slice();
    let internal = internal_folders(dispatch)?;
    if folders.is_empty() && internal.is_empty() {
        return Ok(None);
    }
    let named = NamedFiles::new(folders)
        .map_err(|error| PyOSError::new_err(format!("x-sendfile: {error}")))?;
    Ok(Some(Arc::new(named.with_internal(internal))))
}

/// How much news matters, as a level of `logging`.
fn level(news: &TlsNews) -> u8 {
    match news {
        TlsNews::Renewed(_) => 20,
        TlsNews::Doubt(_) => 30,
        TlsNews::Refused(_) => 40,
    }
}

/// The setting that named the file that is at fault.
fn tls_option(settings: &Settings, error: &TlsError) -> &'static str {
    let tls = &settings.tls;
    let Some(path) = &error.path else {
        return match error.trouble {
            Trouble::NoSuite => "tls-ciphers",
            _ => "tls-cert",
        };
    };
    let lists = [
        ("tls-cert", tls.certificates.as_slice()),
        ("tls-key", &tls.keys),
        ("tls-key-password-file", tls.password_file.as_slice()),
        ("tls-client-ca", tls.client_authorities.as_slice()),
        ("tls-client-crl", &tls.client_revocations),
    ];
    let named = lists.into_iter().find(|(_, paths)| paths.contains(path));
    named.map_or("tls-cert", |(option, _)| option)
}

/// The engine's words, after the place of the setting that is at fault.
fn start_error(settings: &Settings, error: &StartError) -> PyErr {
    let (option, number) = match error {
        StartError::Bind(error) => (Some("bind"), error.source.raw_os_error()),
        StartError::AccessLog(error) => (Some("access-log-file"), error.source.raw_os_error()),
        StartError::Tls(error) => (Some(tls_option(settings, error)), None),
        StartError::System(error) => (None, error.raw_os_error()),
        StartError::Reactors(_) => (None, None),
    };
    let mut text = match option.map(|name| settings.origin(name)) {
        None | Some(Origin::Default) => error.to_string(),
        Some(origin) => format!("{origin}: {error}"),
    };
    if let StartError::Tls(error) = error
        && error.trouble == Trouble::PasswordWanted
    {
        text.push_str(" as tls-key-password-file, or set KIRSCH_TLS_KEY_PASSWORD");
    }
    match number {
        Some(number) => PyOSError::new_err((number, text)),
        None => PyOSError::new_err(text),
    }
}
