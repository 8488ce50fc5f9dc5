//! `start_response` and the `write` it returns (PEP 3333, "The start_response() Callable").
//!
//! A [`Call`] is one request's conversation with the application. Its head is checked and encoded
//! while `start_response` runs, so that every mistake is raised into the application, where it was made.

use std::os::fd::IntoRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kirsch_files::{Name, NamedError, NamedFiles};
use kirsch_server::{
    Block, ErrorAnswer, Exchange, Finished, Gone, ResponseError, ResponseHead, Status,
};
use pyo3::exceptions::{
    PyAttributeError, PyBrokenPipeError, PyOSError, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyCFunction, PyList, PyString, PyTuple};

use crate::kept::{KeptBlock, will_be_freed};
use crate::text::with_latin1;

/// Blocks from this size on are sent with the interpreter released, and kept by reference while they wait.
pub(crate) const LARGE: usize = 64 * 1024;

/// cheroot's words.
const TOO_LONG: &str =
    "The requested resource returned more bytes than the declared Content-Length.";

const MISSING: &str = "there is no such file any more";

/// One request's conversation with the application.
pub(crate) struct Call {
    pub(crate) exchange: Exchange,
    pub(crate) head: Head,
    /// The files that the application may name in place of its body.
    pub(crate) named: Option<Arc<NamedFiles>>,
    /// The file that it has named.
    file: Option<Name>,
    /// Whether that file is the body, so that nothing of what the application gives is.
    is_diverted: bool,
    /// Whether the application was written for cheroot.
    cheroot: bool,
}

/// How far the head is.
pub(crate) enum Head {
    /// `start_response` was not called.
    Missing,
    /// It was, and what it was given was refused. That counts as a call.
    Refused,
    /// It was, and can be replaced until something is sent.
    Given(ResponseHead),
    /// It is on its way.
    Sent,
}

/// What the application calls to begin its response.
#[pyclass(frozen, module = "kirsch")]
pub(crate) struct StartResponse {
    call: Arc<Mutex<Call>>,
}

impl StartResponse {
    pub(crate) fn new(call: Arc<Mutex<Call>>) -> StartResponse {
        StartResponse { call }
    }
}

/// Locks a call without holding the interpreter while another thread has it.
pub(crate) fn lock<'a>(py: Python<'_>, call: &'a Mutex<Call>) -> MutexGuard<'a, Call> {
    call.lock_py_attached(py)
        .unwrap_or_else(PoisonError::into_inner)
}

#[pymethods]
impl StartResponse {
    // PEP 3333 wants positions; middleware names `exc_info` all the same, and other servers take it.
    #[pyo3(signature = (status, headers, exc_info=None))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        status: &Bound<'py, PyAny>,
        headers: &Bound<'py, PyAny>,
        exc_info: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCFunction>> {
        // Looking into the arguments may run code of the application's, which may come back here or call
        // `write()`: not under the lock.
        let (before, named, cheroot) = {
            let mut call = lock(py, &self.call);
            let before = match (&call.head, exc_info) {
                // Until this call has come to its end it may be refused.
                (Head::Missing, _) | (Head::Refused | Head::Given(_), Some(_)) => {
                    Some(std::mem::replace(&mut call.head, Head::Refused))
                }
                (Head::Refused | Head::Given(_) | Head::Sent, None) => {
                    return Err(PyRuntimeError::new_err(
                        "start_response() was called before; only an error handler may call it again, with exc_info",
                    ));
                }
                (Head::Sent, Some(_)) => None,
            };
            (before, call.named.clone(), call.cheroot)
        };
        let mut head = match (before, exc_info) {
            (None, Some(exc_info)) => return Err(given_exception(exc_info)?),
            (Some(Head::Given(mut head)), _) => {
                head.clear();
                head
            }
            _ => ResponseHead::new(),
        };
        let file = if cheroot {
            fill_for_cheroot(&mut head, status, headers, named.as_deref())
        } else {
            fill(&mut head, status, headers, named.as_deref())
        }?;
        {
            let mut call = lock(py, &self.call);
            if !matches!(call.head, Head::Sent) {
                call.head = Head::Given(head);
                call.file = file;
            }
        }
        self.write_callable(py)
    }

    /// The gateway whose method this is, for programs written for cheroot.
    #[getter]
    fn __self__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if !lock(py, &slf.get().call).cheroot {
            return Err(PyAttributeError::new_err("__self__"));
        }
        py.import("kirsch.cheroot.server")?
            .call_method1("_gateway_of", (slf,))
    }

    /// The callable that a call answers with; as long as somebody has it, `close()` may still write.
    #[getter]
    fn write<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCFunction>> {
        self.write_callable(py)
    }

    /// A duplicate of the connection's descriptor, which the caller has to close; none once the client is slow.
    fn socket(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        let call = lock(py, &self.call);
        let Some(socket) = call.exchange.socket() else {
            return Ok(None);
        };
        Ok(Some(socket.try_clone_to_owned()?.into_raw_fd()))
    }

    /// Gives the connection away, in place of an answer: its descriptor, which the caller has to close, and what the
    /// client has sent behind the request. None over TLS, or once the client is slow.
    fn take_socket<'py>(&self, py: Python<'py>) -> PyResult<Option<(i32, Bound<'py, PyBytes>)>> {
        let mut call = lock(py, &self.call);
        let Some((socket, behind)) = call.exchange.take_socket()? else {
            return Ok(None);
        };
        call.head = Head::Sent;
        Ok(Some((socket.into_raw_fd(), PyBytes::new(py, &behind))))
    }
}

impl StartResponse {
    fn write_callable<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCFunction>> {
        let call = Arc::downgrade(&self.call);
        PyCFunction::new_closure(
            py,
            Some(c"write"),
            None,
            move |args: &Bound<'_, PyTuple>, _| -> PyResult<()> {
                let py = args.py();
                if args.len() != 1 {
                    return Err(PyTypeError::new_err(format!(
                        "write() takes one argument, the bytes, not {}",
                        args.len()
                    )));
                }
                let data = args.get_item(0)?;
                let data = data.cast::<PyBytes>().map_err(|_| {
                    PyTypeError::new_err(format!("write() takes bytes, not {}", type_name(&data)))
                })?;
                let Some(call) = call.upgrade() else {
                    return Err(PyRuntimeError::new_err(
                        "write() was called after the request had ended",
                    ));
                };
                let mut call = lock(py, &call);
                call.send(py, data)?;
                // What is iterated over is no longer asked for more; who writes has to be told.
                if call.exchange.is_overfull() {
                    return Err(PyValueError::new_err(
                        "write() was given more bytes than Content-Length says; what is beyond was not sent",
                    ));
                }
                Ok(())
            },
        )
    }
}

impl Call {
    pub(crate) fn new(exchange: Exchange, named: Option<Arc<NamedFiles>>, cheroot: bool) -> Call {
        Call {
            exchange,
            head: Head::Missing,
            named,
            file: None,
            is_diverted: false,
            cheroot,
        }
    }

    /// Sends a block of the body, behind the head if that was not sent yet.
    pub(crate) fn send(&mut self, py: Python<'_>, block: &Bound<'_, PyBytes>) -> PyResult<()> {
        let bytes = block.as_bytes();
        if bytes.is_empty() {
            return Ok(());
        }
        self.check_first(block)?;
        self.begin(py, None)?;
        if self.is_diverted {
            return Ok(());
        }
        let exchange = &mut self.exchange;
        let sent = if bytes.len() >= LARGE {
            let kept = Box::new(KeptBlock::new(block));
            py.detach(|| {
                let sent = exchange.shared_block(kept);
                will_be_freed();
                sent
            })
        } else {
            match exchange.block(bytes) {
                Ok(Block::Taken) => Ok(()),
                Ok(Block::Rest(count)) => {
                    let rest = &bytes[bytes.len() - count..];
                    py.detach(|| exchange.rest(rest))
                }
                Err(gone) => Err(gone),
            }
        };
        sent.map_err(|Gone| PyBrokenPipeError::new_err("the client has closed the connection"))
    }

    /// Whether the sum of so many blocks is announced as the body's length.
    pub(crate) fn tells_length_of(&self, blocks: usize) -> bool {
        !self.cheroot || blocks <= 1
    }

    /// Refuses, of a program written for cheroot, a first block that is longer than the whole body.
    pub(crate) fn check_first(&mut self, block: &Bound<'_, PyBytes>) -> PyResult<()> {
        let Head::Given(head) = &self.head else {
            return Ok(());
        };
        let len = block.as_bytes().len() as u64;
        let fits = head.content_length().is_none_or(|length| len <= length);
        if fits || !self.cheroot || self.exchange.request().is_head() {
            return Ok(());
        }
        let answer = ErrorAnswer::new(Status(500), TOO_LONG);
        self.exchange
            .answer(&answer.worded(Status(500), "Internal Server Error", TOO_LONG));
        Err(PyValueError::new_err(
            "Response body exceeds the declared Content-Length.",
        ))
    }

    /// As `begin`, for a body that is all there: its length is known, unless something was written before.
    pub(crate) fn begin_fresh(&mut self, py: Python<'_>, length: u64) -> PyResult<()> {
        let fresh = !matches!(self.head, Head::Sent);
        self.begin(py, fresh.then_some(length))
    }

    /// Ends the response; without any block it is empty.
    pub(crate) fn finish(&mut self, py: Python<'_>) -> PyResult<Finished> {
        self.begin_fresh(py, 0)?;
        Ok(self.exchange.finish())
    }

    /// Fixes the head; `length` is that of the whole body, if it is known.
    pub(crate) fn begin(&mut self, py: Python<'_>, length: Option<u64>) -> PyResult<()> {
        match std::mem::replace(&mut self.head, Head::Sent) {
            Head::Given(head) => match (&self.named, self.file.take()) {
                (Some(named), Some(file)) => {
                    let named = Arc::clone(named);
                    return self.divert(py, &named, &head, &file);
                }
                (_, _) => self.exchange.begin(head, length),
            },
            Head::Sent => {}
            Head::Missing => {
                self.head = Head::Missing;
                return Err(PyRuntimeError::new_err(
                    "the application did not call start_response()",
                ));
            }
            Head::Refused => {
                self.head = Head::Refused;
                return Err(PyRuntimeError::new_err(
                    "what the application gave to start_response() was refused",
                ));
            }
        }
        Ok(())
    }

    /// Sends the file that the application has named in place of its body.
    fn divert(
        &mut self,
        py: Python<'_>,
        named: &NamedFiles,
        head: &ResponseHead,
        file: &Name,
    ) -> PyResult<()> {
        self.is_diverted = true;
        let exchange = &mut self.exchange;
        // It may wait for a disk and for the client.
        match py.detach(|| named.send(exchange, head, file)) {
            Ok(()) => Ok(()),
            Err(NamedError::Missing) => {
                exchange.answer(&ErrorAnswer::new(Status(404), MISSING));
                Ok(())
            }
            Err(error @ (NamedError::Outside | NamedError::Nowhere | NamedError::System(_))) => {
                Err(PyOSError::new_err(format!("{file}: {error}")))
            }
        }
    }
}

/// Fills the head. Answers the file that the application names, if it may.
fn fill(
    head: &mut ResponseHead,
    status: &Bound<'_, PyAny>,
    headers: &Bound<'_, PyAny>,
    named: Option<&NamedFiles>,
) -> PyResult<Option<Name>> {
    let mut file = None;
    let status = status.cast::<PyString>().map_err(|_| {
        PyTypeError::new_err(format!(
            "status must be a str such as '200 OK', not {}",
            type_name(status)
        ))
    })?;
    with_latin1(status, "status", |bytes| head.status(bytes))?
        .map_err(|error| refused(error, status))?;
    let headers = headers.cast::<PyList>().map_err(|_| {
        PyTypeError::new_err(format!(
            "headers must be a list of (name, value) tuples, not {}",
            type_name(headers)
        ))
    })?;
    for item in headers.iter() {
        let pair = item
            .cast::<PyTuple>()
            .ok()
            .filter(|pair| pair.len() == 2)
            .ok_or_else(|| {
                PyTypeError::new_err(format!(
                    "headers must hold (name, value) tuples, not {}",
                    type_name(&item)
                ))
            })?;
        let (name, value) = (pair.get_item(0)?, pair.get_item(1)?);
        let name = name.cast::<PyString>().map_err(|_| {
            PyTypeError::new_err(format!(
                "header names must be str, not {}",
                type_name(&name)
            ))
        })?;
        let value = value.cast::<PyString>().map_err(|_| {
            PyTypeError::new_err(format!(
                "the value of header {name} must be a str, not {}",
                type_name(&value)
            ))
        })?;
        with_latin1(name, "a header name", |name_bytes| {
            with_latin1(value, "a header value", |bytes| {
                // The bytes of a path, as everything in a native string (PEP 3333, "Unicode Issues").
                if let Some(name) = named.and_then(|named| named.named_by(name_bytes, bytes)) {
                    file = Some(name);
                    return Ok(());
                }
                head.field(name_bytes, bytes)
            })
        })??
        .map_err(|error| refused(error, name))?;
    }
    Ok(file)
}

/// As `fill`, of what programs written for cheroot give.
fn fill_for_cheroot(
    head: &mut ResponseHead,
    status: &Bound<'_, PyAny>,
    headers: &Bound<'_, PyAny>,
    named: Option<&NamedFiles>,
) -> PyResult<Option<Name>> {
    let py = status.py();
    let pairs = PyList::empty(py);
    for pair in headers.try_iter()? {
        pairs.append(PyTuple::new(
            py,
            pair?.try_iter()?.collect::<PyResult<Vec<_>>>()?,
        )?)?;
    }
    match status.cast::<PyString>() {
        Ok(code) if code.len()? == 3 => {
            let status = PyString::new(py, &format!("{code} "));
            fill(head, status.as_any(), pairs.as_any(), named)
        }
        _ => fill(head, status, pairs.as_any(), named),
    }
}

fn refused(error: ResponseError, what: &Bound<'_, PyString>) -> PyErr {
    let shown = what.repr().map(|text| text.to_string()).unwrap_or_default();
    PyValueError::new_err(format!("{error}; got {shown}"))
}

/// The exception of an `exc_info` tuple, with its traceback.
fn given_exception(exc_info: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let tuple = exc_info.cast::<PyTuple>().map_err(|_| {
        PyTypeError::new_err(format!(
            "exc_info must be a tuple as of sys.exc_info(), not {}",
            type_name(exc_info)
        ))
    })?;
    let (value, traceback) = (tuple.get_item(1)?, tuple.get_item(2)?);
    let value = value.call_method1("with_traceback", (traceback,))?;
    Ok(PyErr::from_value(value))
}

pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object
        .get_type()
        .name()
        .map(|name| name.to_string())
        .unwrap_or_default()
}
