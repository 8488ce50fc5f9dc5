//! The engine's side of `kirsch.cheroot`: settings that programs written for cheroot change while their server runs.
//!
//! `python/kirsch/cheroot/server.py` has the classes, and makes an engine with a [`PyCheroot`] when such a server is
//! prepared. It says through that whether its requests go to the application at once (`serve_natively`), or to a
//! function of its own that looks at each; nothing is asked of its objects meanwhile.
//! What the gateway does otherwise then is this, beside the tables of `kirsch-http/src/dialect.rs` and
//! `kirsch-server/src/cheroot.rs`:
//!
//! | difference | who needs it |
//! |---|---|
//! | `environ` has what `extra` holds, `HTTP_TRANSFER_ENCODING`, and a PATH_INFO that begins with a slash and keeps `%2F` | web.py (`web.data()`, its log), CherryPy (`_cpwsgi`), cheroot `test_parse_uri_asterisk_uri` |
//! | the sizes of keys in `SSL_CIPHER_*` are numbers, and `SSL_CIPHER_EXPORT` is empty; certificates end without a newline | cheroot's `BuiltinSSLAdapter.get_environ` |
//! | several lines of one field are joined by a comma and a blank | CherryPy `test_repeated_headers` |
//! | the headers may be any iterable of pairs | cheroot `test_core` and `test_conn`, whose applications give `dict.items()` |
//! | a status may be its code alone | cheroot `test_No_Message_Body` |
//! | the length of a list of several blocks is not told: they go in chunks | cheroot `test_streaming_11[False]` |
//! | a first block longer than Content-Length is answered with 500 | cheroot and CherryPy `test_Content_Length_out` |
//! | an exception that is no `Exception` ends the connection without an answer | cheroot `test_kb_int_from_http_handler`, CherryPy `test_states` |
//! | `start_response.take_socket()` gives the connection away | ws4py's plugin for CherryPy, by `HTTPConnection.linger` |
//! | `start_response.__self__` is a gateway | cheroot `test_send_header_before_closing` |

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kirsch_server::Cheroot;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBool, PyDict};

thread_local! {
    /// The `environ` of the request that this thread serves.
    static CURRENT: RefCell<Option<Py<PyDict>>> = const { RefCell::new(None) };
}

/// The settings of one server; assignments count from the next request on.
#[pyclass(frozen, name = "Cheroot", module = "kirsch._kirsch")]
pub(crate) struct PyCheroot {
    pub(crate) told: Arc<Told>,
    /// Where issuers of the certificate are looked for.
    pub(crate) issuers: Option<PathBuf>,
}

/// What a server's object has told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) settings: Arc<Cheroot>,
    /// Held for as long as something is looked up or replaced.
    way: Mutex<Way>,
}

/// What the gateway looks at for each request.
#[derive(Default)]
struct Way {
    /// What every `environ` has beside the request's own.
    extra: Option<Py<PyDict>>,
    /// What the next `environ` is a copy of: made by the first request behind a change of `extra`.
    template: Option<Py<PyDict>>,
    /// Where requests go at once.
    native: Option<Native>,
    /// How many have gone there.
    served_natively: u64,
}

/// An application for which nobody has to look at a request first.
struct Native {
    application: Py<PyAny>,
    /// Programs set `Enabled` in it; then somebody has to look.
    statistics: Py<PyDict>,
}

impl Told {
    /// The application to be called with a request; `None` if the server's own function looks at it first.
    pub(crate) fn native(
        &self,
        py: Python<'_>,
        environ: &Bound<'_, PyDict>,
    ) -> PyResult<Option<Py<PyAny>>> {
        let mut way = self.way(py);
        let Some(native) = &way.native else {
            return Ok(None);
        };
        let enabled = native
            .statistics
            .bind(py)
            .get_item(intern!(py, "Enabled"))?;
        // Nothing but the constant itself: what an object of the program's says of its truth may come back here.
        if !enabled.is_some_and(|it| it.is(PyBool::new(py, false).as_any())) {
            return Ok(None);
        }
        // Who takes over the socket looks for the objects.
        if environ.contains(intern!(py, "HTTP_UPGRADE"))? {
            return Ok(None);
        }
        let application = native.application.clone_ref(py);
        way.served_natively += 1;
        Ok(Some(application))
    }

    /// A new `environ` of what is the same for all requests: `base`, and what the server says.
    pub(crate) fn environ<'py>(
        &self,
        py: Python<'py>,
        base: &Py<PyDict>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let template = self.way(py).template.as_ref().map(|it| it.bind(py).clone());
        let template = match template {
            Some(template) => template,
            None => self.make_template(py, base)?,
        };
        template.copy()
    }

    #[cold]
    fn make_template<'py>(
        &self,
        py: Python<'py>,
        base: &Py<PyDict>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let template = base.bind(py).copy()?;
        let mut way = self.way(py);
        if let Some(extra) = &way.extra {
            template.update(extra.bind(py).as_mapping())?;
        }
        way.template = Some(template.clone().unbind());
        Ok(template)
    }

    fn way(&self, py: Python<'_>) -> MutexGuard<'_, Way> {
        self.way
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says which request this thread serves from now on; `None` once it is over.
pub(crate) fn set_current(environ: Option<Py<PyDict>>) {
    // Dropped behind the borrow: it may run code of the application's.
    drop(CURRENT.replace(environ));
}

#[pymethods]
impl PyCheroot {
    /// `certificate_chain` is the file with issuers of a certificate that comes without.
    #[new]
    #[pyo3(signature = (certificate_chain=None))]
    fn new(certificate_chain: Option<PathBuf>) -> PyCheroot {
        PyCheroot {
            told: Arc::default(),
            issuers: certificate_chain,
        }
    }

    /// Has requests go to `application` at once; with `None` to what the engine was made with. They go there as well
    /// while `statistics` has a true value for `Enabled`.
    fn serve_natively(
        &self,
        py: Python<'_>,
        application: Option<Py<PyAny>>,
        statistics: Py<PyDict>,
    ) {
        let native = application.map(|application| Native {
            application,
            statistics,
        });
        let before = std::mem::replace(&mut self.told.way(py).native, native);
        // To let go of it may run code of the application's: not under the lock.
        drop(before);
    }

    /// What every `environ` has beside the request's own, from the next request on.
    fn set_extra(&self, py: Python<'_>, extra: Py<PyDict>) {
        let mut way = self.told.way(py);
        let before = (way.extra.replace(extra), way.template.take());
        drop(way);
        drop(before);
    }

    /// The `environ` of the request that this thread serves.
    #[getter]
    fn environ(&self, py: Python<'_>) -> Option<Py<PyDict>> {
        CURRENT.with_borrow(|it| it.as_ref().map(|it| it.clone_ref(py)))
    }

    /// Requests that went to the application at once.
    #[getter]
    fn served_natively(&self, py: Python<'_>) -> u64 {
        self.told.way(py).served_natively
    }

    /// Seconds for a head, for the next byte of a body, and until the next request; `None` for no end.
    fn set_timeout(&self, seconds: Option<f64>) -> PyResult<()> {
        let timeout = match seconds {
            None => Duration::from_secs(u64::from(u32::MAX)),
            Some(seconds) => Duration::try_from_secs_f64(seconds)
                .map_err(|error| PyValueError::new_err(format!("timeout: {error}")))?,
        };
        self.told.settings.set_timeout(timeout);
        Ok(())
    }

    /// Bytes of a head; 0 for the largest that there may be.
    fn limit_head(&self, bytes: u64) {
        let most = u64::from(Cheroot::MOST_HEAD_BYTES);
        self.told.settings.limit_head(bytes.min(most) as u32);
    }

    /// Bytes of a body; 0 for no limit.
    fn limit_body(&self, bytes: u64) {
        self.told.settings.limit_body(bytes);
    }

    /// Idle connections that are kept; `None` for no limit.
    fn limit_kept(&self, connections: Option<usize>) {
        self.told.settings.limit_kept(connections);
    }

    /// Whether the server says that it speaks HTTP/1.0 only.
    fn speak_http10(&self, yes: bool) {
        self.told.settings.speak_http10(yes);
    }

    /// Whether absolute targets and CONNECT are taken.
    fn be_proxy(&self, yes: bool) {
        self.told.settings.be_proxy(yes);
    }

    /// Accepts nobody any more: the program does, and uses `Engine.admit`.
    fn leave_accepting(&self) {
        self.told.settings.leave_accepting();
    }

    /// Connections that are kept idle now.
    #[getter]
    fn kept(&self) -> usize {
        self.told.settings.kept()
    }
}
