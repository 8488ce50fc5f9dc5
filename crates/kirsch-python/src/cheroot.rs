//! The engine's side of `kirsch.cheroot`: settings that programs written for cheroot change while their server runs.
//!
//! `python/kirsch/cheroot/server.py` has the classes, and makes an engine with a [`PyCheroot`] when such a server is
//! prepared. What the gateway does otherwise then is this, beside the tables of `kirsch-http/src/dialect.rs` and
//! `kirsch-server/src/cheroot.rs`:
//!
//! | difference | who needs it |
//! |---|---|
//! | `environ` has what `extra` holds, `HTTP_TRANSFER_ENCODING`, and a PATH_INFO that begins with a slash and keeps `%2F` | web.py (`web.data()`, its log), CherryPy (`_cpwsgi`), cheroot `test_parse_uri_asterisk_uri` |
//! | several lines of one field are joined by a comma and a blank | CherryPy `test_repeated_headers` |
//! | the headers may be any iterable of pairs | cheroot `test_core` and `test_conn`, whose applications give `dict.items()` |
//! | a status may be its code alone | cheroot `test_No_Message_Body` |
//! | the length of a list of several blocks is not told: they go in chunks | cheroot `test_streaming_11[False]` |
//! | a first block longer than Content-Length is answered with 500 | cheroot and CherryPy `test_Content_Length_out` |
//! | an exception that is no `Exception` ends the connection without an answer | cheroot `test_kb_int_from_http_handler`, CherryPy `test_states` |
//! | `start_response.take_socket()` gives the connection away | ws4py's plugin for CherryPy, by `HTTPConnection.linger` |
//! | `start_response.__self__` is a gateway | cheroot `test_send_header_before_closing` |

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use kirsch_server::Cheroot;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The settings of one server; assignments count from the next request on.
#[pyclass(frozen, name = "Cheroot", module = "kirsch._kirsch")]
pub(crate) struct PyCheroot {
    pub(crate) settings: Arc<Cheroot>,
    /// What every `environ` has beside the request's own.
    pub(crate) extra: Py<PyDict>,
}

#[pymethods]
impl PyCheroot {
    #[new]
    fn new(extra: Py<PyDict>) -> PyCheroot {
        PyCheroot {
            settings: Arc::default(),
            extra,
        }
    }

    /// Seconds for a head, for the next byte of a body, and until the next request; `None` for no end.
    fn set_timeout(&self, seconds: Option<f64>) -> PyResult<()> {
        let timeout = match seconds {
            None => Duration::from_secs(u64::from(u32::MAX)),
            Some(seconds) => Duration::try_from_secs_f64(seconds)
                .map_err(|error| PyValueError::new_err(format!("timeout: {error}")))?,
        };
        self.settings.set_timeout(timeout);
        Ok(())
    }

    /// Bytes of a head; 0 for the largest that there may be.
    fn limit_head(&self, bytes: u64) {
        let most = u64::from(Cheroot::MOST_HEAD_BYTES);
        self.settings.limit_head(bytes.min(most) as u32);
    }

    /// Bytes of a body; 0 for no limit.
    fn limit_body(&self, bytes: u64) {
        self.settings.limit_body(bytes);
    }

    /// Idle connections that are kept; `None` for no limit.
    fn limit_kept(&self, connections: Option<usize>) {
        self.settings.limit_kept(connections);
    }

    /// Whether the server says that it speaks HTTP/1.0 only.
    fn speak_http10(&self, yes: bool) {
        self.settings.speak_http10(yes);
    }

    /// Whether absolute targets and CONNECT are taken.
    fn be_proxy(&self, yes: bool) {
        self.settings.be_proxy(yes);
    }

    /// Accepts nobody any more: the program does, and uses `Engine.admit`.
    fn leave_accepting(&self) {
        self.settings.leave_accepting();
    }

    /// Connections that are kept idle now.
    #[getter]
    fn kept(&self) -> usize {
        self.settings.kept()
    }
}
