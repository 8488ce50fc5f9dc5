//! The WSGI gateway: calls the application as PEP 3333 says and sends what it returns.
//!
//! Iteration and `close()` always run on the thread that called the application. `close()` is called
//! exactly once, after the connection was given back: however long it takes, the client has its answer.
//! Read next: `environ.rs`, `start_response.rs`.

#![forbid(unsafe_code)]

use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kirsch_files::NamedFiles;
use kirsch_server::{ErrorAnswer, Exchange, Finished, Gateway, Lane, Request, Status, Terms};
use pyo3::exceptions::{PyBrokenPipeError, PyException, PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyIterator, PyList, PyTuple};

use crate::cheroot::{PyCheroot, Told, set_current};
use crate::environ::{Named, Template, is_below_mount};
use crate::ffi::FreshContext;
use crate::file_wrapper::FileWrapper;
use crate::kept::{unfreed_bytes, will_be_freed};
use crate::start_response::{Call, Head, LARGE, StartResponse, lock, type_name};

/// The text of a 404: read by whoever has a proxy that cuts off the prefix which Kirsch is told of.
const ELSEWHERE: &str = "the path does not begin with the script-name of this server";

/// How many forks lie between this process and the one that loaded the module: where it differs from
/// what a gateway saw when it was made, the gateway's engine is dead.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Calls one WSGI application: a server's only one, or one that routes lead to.
pub(crate) struct WsgiGateway {
    application: Py<PyAny>,
    /// `report(exception, message, method, target, request id)`: the error log.
    report: Py<PyAny>,
    /// The stream that is `wsgi.errors`.
    errors: Py<PyAny>,
    /// Its lines that are not ended, by thread; a stream of another kind has none.
    begun: Option<Py<PyDict>>,
    /// Where the only application is mounted; empty for one that routes lead to, since the request says it then.
    script_name: String,
    multithread: bool,
    streams: bool,
    templates: Vec<PyOnceLock<Template>>,
    /// Files that the application may name.
    named: Option<Arc<NamedFiles>>,
    /// The calls that the application works on; one of each thread at most.
    running: Mutex<Vec<Arc<Mutex<Call>>>>,
    /// `FORKS` when it was made.
    forks: u32,
    /// Set if the application was written for cheroot: what its server says.
    cheroot: Option<Arc<Told>>,
}

impl WsgiGateway {
    pub(crate) fn new(
        py: Python<'_>,
        application: Py<PyAny>,
        report: Py<PyAny>,
        errors: Py<PyAny>,
        script_name: String,
        threads: usize,
        config: &kirsch_server::Config,
    ) -> WsgiGateway {
        let begun = errors.bind(py).getattr(intern!(py, "begun"));
        WsgiGateway {
            application,
            report,
            begun: begun
                .ok()
                .and_then(|it| it.cast_into().ok())
                .map(Bound::unbind),
            errors,
            script_name,
            multithread: threads > 1,
            streams: config.stream_request_body,
            // One at least: where nothing is listened on, connections are handed over.
            templates: (0..config.binds.len().max(1))
                .map(|_| PyOnceLock::new())
                .collect(),
            named: None,
            running: Mutex::default(),
            forks: Self::forks(),
            cheroot: None,
        }
    }

    /// Has it serve an application that was written for cheroot.
    pub(crate) fn for_cheroot(mut self, cheroot: Option<&PyCheroot>) -> WsgiGateway {
        self.cheroot = cheroot.map(|it| Arc::clone(&it.told));
        self
    }

    /// Has the server send the files that the application names in place of its body.
    pub(crate) fn naming(mut self, named: Option<Arc<NamedFiles>>) -> WsgiGateway {
        self.named = named;
        self
    }

    /// Called in a child after a fork: what returns into the server ends there.
    pub(crate) fn after_fork() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    /// How many forks lie between this process and the one that loaded the module.
    pub(crate) fn forks() -> u32 {
        FORKS.load(Ordering::Relaxed)
    }

    fn serve(&self, py: Python<'_>, mut exchange: Exchange) {
        if !is_below_mount(exchange.request(), &self.script_name) {
            return exchange.answer(&ErrorAnswer::new(Status(404), ELSEWHERE));
        }
        let request = exchange.request_mut();
        let environ = self
            .template(py, request)
            .and_then(|it| it.environ(py, request, &self.script_name));
        let (environ, named) = match environ {
            Ok(environ) => environ,
            Err(error) => {
                // Only memory can have run out.
                error.write_unraisable(py, None);
                return exchange.abort();
            }
        };
        let named_files = self.named.clone();
        let call = Call::new(exchange, named_files, self.cheroot.is_some());
        let call = Arc::new(Mutex::new(call));
        self.running().push(Arc::clone(&call));
        if self.cheroot.is_some() {
            set_current(Some(environ.clone().unbind()));
        }
        let context = FreshContext::enter(py);
        if let Err(error) = self.converse(py, &environ, &call, &named) {
            self.failed(py, &call, &named, error);
        }
        drop(context);
        if self.cheroot.is_some() {
            set_current(None);
        }
        // Before the call itself: who still has `write` must learn that it is over.
        self.running().retain(|other| !Arc::ptr_eq(other, &call));
        // Kept by the application, it has nothing to give any more.
        named.input.get().end(py);
        self.end_line(py);
    }

    fn running(&self) -> MutexGuard<'_, Vec<Arc<Mutex<Call>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what the application has begun to write to `wsgi.errors`.
    fn end_line(&self, py: Python<'_>) {
        if let Some(begun) = &self.begun
            && !begun.bind(py).is_empty()
            && let Err(error) = self.errors.bind(py).call_method0(intern!(py, "end_line"))
        {
            error.write_unraisable(py, None);
        }
    }

    fn template(&self, py: Python<'_>, request: &Request) -> PyResult<&Template> {
        let origin = request.origin();
        let place = self
            .templates
            .get(origin.local.listener)
            .ok_or_else(|| PyRuntimeError::new_err("no listener"))?;
        place.get_or_try_init(py, || {
            Template::new(
                py,
                origin,
                &self.script_name,
                self.multithread,
                self.errors.bind(py),
            )
            .map(|it| it.for_cheroot(self.cheroot.clone()))
        })
    }

    /// Calls the application, sends what it returns, closes it.
    fn converse<'py>(
        &self,
        py: Python<'py>,
        environ: &Bound<'py, PyDict>,
        call: &Arc<Mutex<Call>>,
        named: &Named,
    ) -> PyResult<()> {
        let start_response = Bound::new(py, StartResponse::new(Arc::clone(call)))?;
        let native = match &self.cheroot {
            None => None,
            Some(told) => told.native(py, environ)?,
        };
        let application = native.as_ref().unwrap_or(&self.application).bind(py);
        let iterable = application.call1((environ, &start_response));
        self.end_if_forked(py);
        let iterable = iterable?;
        if let Some(blocks) = plain(&iterable) {
            // Python's own sequences have no `close()`: one look at the call does it all.
            let mut call = lock(py, call);
            send_all(py, &blocks, &mut call)?;
            let finished = call.finish(py)?;
            drop(call);
            self.check(py, finished, named);
            return Ok(());
        }
        let sent = self.send(py, &iterable, call);
        self.end_if_forked(py);
        // Who still has `write` may use it in `close()`, and what it writes belongs to the body. Otherwise
        // the response ends here, so that the client does not wait for `close()`.
        let mut unfinished = sent.is_ok();
        if let Err(error) = sent {
            self.failed(py, call, named, error);
        } else if Arc::weak_count(call) == 0 {
            unfinished = false;
            self.finish(py, call, named);
        }
        // Exactly once, whatever happened; what it raises cannot hurt a response that is sent.
        if let Some(close) = iterable.getattr_opt(intern!(py, "close"))? {
            let closed = close.call0();
            self.end_if_forked(py);
            if let Err(error) = closed {
                self.report(py, &error, "close() of the response failed", named);
            }
        }
        if unfinished {
            self.finish(py, call, named);
        }
        Ok(())
    }

    fn send(
        &self,
        py: Python<'_>,
        iterable: &Bound<'_, PyAny>,
        call: &Mutex<Call>,
    ) -> PyResult<()> {
        if let Ok(wrapper) = iterable.cast_exact::<FileWrapper>()
            && send_file(py, wrapper, &mut lock(py, call))?
        {
            return Ok(());
        }
        // Each block is on its way before the next is asked for, or on the reactor's shelf, whence another thread
        // sends it while the application goes on (PEP 3333, "Buffering and Streaming").
        for block in iterate(iterable)? {
            self.end_if_forked(py);
            let block = block?;
            let mut call = lock(py, call);
            call.send(py, as_bytes(&block)?)?;
            if !call.exchange.wants_more() {
                break;
            }
        }
        Ok(())
    }

    fn finish(&self, py: Python<'_>, call: &Mutex<Call>, named: &Named) {
        let finished = lock(py, call).finish(py);
        match finished {
            Ok(finished) => self.check(py, finished, named),
            Err(error) => self.failed(py, call, named, error),
        }
    }

    /// A forked child that comes back here ends: the connection and the threads are its parent's.
    fn end_if_forked(&self, py: Python<'_>) {
        if Self::forks() != self.forks {
            let ended = py
                .import("os")
                .and_then(|os| os.call_method1("_exit", (0,)));
            if let Err(error) = ended {
                error.write_unraisable(py, None);
            }
            std::process::abort();
        }
    }

    /// Logs what the application announced and did not do.
    fn check(&self, py: Python<'_>, finished: Finished, named: &Named) {
        let text = match finished {
            Finished {
                missing: 0,
                overflow: 0,
            } => return,
            Finished {
                missing: 0,
                overflow,
            } => {
                format!(
                    "the application gave {overflow} bytes more than the response can have; they were dropped"
                )
            }
            Finished { missing, .. } => {
                format!(
                    "the application gave {missing} bytes less than Content-Length says; the connection is closed"
                )
            }
        };
        self.log(py, py.None(), &text, named);
    }

    /// The application, or what it returned, failed.
    fn failed(&self, py: Python<'_>, call: &Mutex<Call>, named: &Named, error: PyErr) {
        // A client that leaves is no error of the application. Others are told before the client is: who has seen
        // the answer, a test for one, finds the reason.
        if !error.is_instance_of::<PyBrokenPipeError>(py) {
            self.report(py, &error, "the application failed", named);
        }
        if self.cheroot.is_some() && !error.is_instance_of::<PyException>(py) {
            lock(py, call).exchange.hang_up();
        } else {
            lock(py, call).exchange.abort();
        }
    }

    fn report(&self, py: Python<'_>, error: &PyErr, message: &str, named: &Named) {
        // Not `value()`: before Python 3.12 the exception itself does not know where it was raised.
        let exception = error.clone_ref(py).into_value(py).into_any();
        self.log(py, exception, message, named);
    }

    fn log(&self, py: Python<'_>, error: Py<PyAny>, message: &str, named: &Named) {
        let logged =
            self.report
                .bind(py)
                .call1((error, message, &named.method, &named.target, &named.id));
        if let Err(error) = logged {
            error.write_unraisable(py, None);
        }
    }
}

impl Gateway for WsgiGateway {
    fn handle(&self, exchange: Exchange) {
        will_be_freed();
        // The thread is attached already, so this costs a look at a counter.
        Python::attach(|py| self.serve(py, exchange));
    }

    fn lane(&self) -> Lane {
        Lane::Interpreter
    }

    fn admit(&self, request: &mut Request) -> Terms {
        let mut terms = Terms::new(self.lane());
        terms.streams_body = self.streams_body(request);
        if let Some(told) = &self.cheroot {
            terms.limit_body = Some(told.settings.body_bytes());
        }
        terms
    }

    fn streams_body(&self, _request: &Request) -> bool {
        self.streams
    }

    fn cut(&self) {
        let running = mem::take(&mut *self.running());
        for call in running {
            // Who has it is in the engine and waits for the client, which the end of the connection ends.
            if let Ok(mut call) = call.try_lock() {
                call.exchange.cut();
            }
        }
    }

    fn unfreed_bytes(&self) -> u64 {
        unfreed_bytes()
    }

    fn free(&self) {
        // Somebody may have come by.
        if unfreed_bytes() > 0 {
            will_be_freed();
            Python::try_attach(|_| ());
        }
    }
}

/// The blocks of one of Python's own sequences.
fn plain<'py>(iterable: &Bound<'py, PyAny>) -> Option<Bound<'py, PyTuple>> {
    match iterable.cast_exact::<PyList>() {
        Ok(list) => Some(list.to_tuple()),
        Err(_) => iterable.cast_exact::<PyTuple>().ok().cloned(),
    }
}

/// Sends blocks that are all there, so that their sum is the length.
fn send_all(py: Python<'_>, blocks: &Bound<'_, PyTuple>, call: &mut Call) -> PyResult<()> {
    let mut total = 0;
    for block in blocks.iter_borrowed() {
        total += as_bytes(&block)?.as_bytes().len();
    }
    if let Ok(first) = blocks.get_borrowed_item(0) {
        call.check_first(as_bytes(&first)?)?;
    }
    if call.tells_length_of(blocks.len()) {
        call.begin_fresh(py, total as u64)?;
    } else {
        call.begin(py, None)?;
    }
    if total < LARGE && blocks.len() > 1 {
        // One copy is cheaper than several sends.
        let mut joined = Vec::with_capacity(total);
        for block in blocks.iter_borrowed() {
            joined.extend_from_slice(as_bytes(&block)?.as_bytes());
        }
        return call.send(py, &PyBytes::new(py, &joined));
    }
    for block in blocks.iter_borrowed() {
        call.send(py, as_bytes(&block)?)?;
    }
    Ok(())
}

/// Sends a real file without reading it; false if it is none.
fn send_file(py: Python<'_>, wrapper: &Bound<'_, FileWrapper>, call: &mut Call) -> PyResult<bool> {
    let Some(real) = wrapper.get().real_file(py) else {
        return Ok(false);
    };
    let given = match &call.head {
        Head::Given(head) => head.content_length(),
        Head::Missing | Head::Refused | Head::Sent => None,
    };
    let len = given.map_or(real.len, |given| given.min(real.len));
    call.begin_fresh(py, len)?;
    let exchange = &mut call.exchange;
    let sent = py.detach(|| {
        if exchange.wants_more() {
            exchange.file(&real.file, real.offset, len)
        } else {
            Ok(())
        }
    });
    sent.map_err(|_| gone())?;
    Ok(true)
}

fn as_bytes<'a, 'py>(block: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyBytes>> {
    block.cast::<PyBytes>().map_err(|_| {
        PyTypeError::new_err(format!(
            "the response must consist of bytes, not {}",
            type_name(block)
        ))
    })
}

fn iterate<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyIterator>> {
    let wrong = if object.is_instance_of::<PyBytes>() {
        // Iterating over it gives numbers.
        "bytes itself; put it into a list"
    } else if object.hasattr(intern!(object.py(), "__iter__"))?
        || object.hasattr(intern!(object.py(), "__getitem__"))?
    {
        // Whatever fails now is the application's own.
        return object.try_iter();
    } else {
        ""
    };
    let name = type_name(object);
    let shown = if wrong.is_empty() { &name } else { wrong };
    Err(PyTypeError::new_err(format!(
        "the application must return an iterable of bytes, not {shown}"
    )))
}

fn gone() -> PyErr {
    PyBrokenPipeError::new_err("the client has closed the connection, or the file was cut short")
}
