//! `wsgi.input` (PEP 3333, "Input and Error Streams"): behaves as a binary file that is read once.
//!
//! Body in memory is read where it lies. From files and streams it is read with the interpreter
//! released, through a buffer.

use std::io;
use std::mem;
use std::sync::{Mutex, PoisonError};

use kirsch_server::Body;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::{MutexExt, PyOnceLock};
use pyo3::types::{PyBytes, PyIterator, PyList};

/// Read at once from files and streams.
const READ: usize = 64 * 1024;

/// A request body as the application sees it.
#[pyclass(frozen, module = "kirsch")]
pub(crate) struct Input {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    body: Body,
    /// Read from `body` and not yet given; all of it if the body is in memory.
    buffer: Vec<u8>,
    position: usize,
    ended: bool,
    failed: Option<(io::ErrorKind, String)>,
    /// The lines behind a chunked body, where they are kept.
    trailers: Vec<u8>,
}

/// How many bytes a call asks for.
#[derive(Clone, Copy)]
enum Size {
    All,
    Most(usize),
}

static EMPTY: PyOnceLock<Py<Input>> = PyOnceLock::new();

impl Input {
    /// The input of a request with this body.
    pub(crate) fn of(py: Python<'_>, body: Body, trailers: Vec<u8>) -> PyResult<Py<Input>> {
        if body.is_empty() && trailers.is_empty() {
            // An empty input has nothing to remember, so that one serves all.
            return EMPTY
                .get_or_try_init(py, || {
                    Py::new(
                        py,
                        Input {
                            state: Mutex::new(State::ended()),
                        },
                    )
                })
                .map(|input| input.clone_ref(py));
        }
        let state = match body {
            Body::Memory(memory) => State {
                buffer: memory.into_bytes(),
                ended: true,
                trailers,
                ..State::default()
            },
            body => State {
                body,
                trailers,
                ..State::default()
            },
        };
        Py::new(
            py,
            Input {
                state: Mutex::new(state),
            },
        )
    }

    /// The request has ended: what was not read is let go.
    pub(crate) fn end(&self, py: Python<'_>) {
        let mut state = self
            .state
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner);
        *state = State::ended();
    }

    fn with<R: Send>(&self, py: Python<'_>, act: impl FnOnce(&mut State) -> R + Send) -> R {
        // Another thread of the application may be waiting in a read: do not hold the interpreter meanwhile.
        let mut state = self
            .state
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner);
        if state.ended {
            return act(&mut state);
        }
        let state = &mut *state;
        py.detach(move || act(state))
    }
}

#[pymethods]
impl Input {
    /// Reads at most `size` bytes, all that is left without it; `b""` at the end.
    #[pyo3(signature = (size=None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let size = Size::from(size);
        let range = self.with(py, |state| state.fill(size).map(|len| state.take(len)))?;
        Ok(PyBytes::new(py, &range))
    }

    /// Reads a line with its end, or at most `size` bytes of it; `b""` at the end.
    #[pyo3(signature = (size=None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let size = Size::from(size);
        let line = self.with(py, |state| state.fill_line(size).map(|len| state.take(len)))?;
        Ok(PyBytes::new(py, &line))
    }

    /// Reads lines until the end, or until they have `hint` bytes together.
    #[pyo3(signature = (hint=None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<isize>) -> PyResult<Bound<'py, PyList>> {
        let hint = hint
            .and_then(|hint| usize::try_from(hint).ok())
            .filter(|hint| *hint > 0);
        let lines = PyList::empty(py);
        let mut total = 0;
        loop {
            let line = self.readline(py, None)?;
            let len = line.as_bytes().len();
            if len == 0 {
                return Ok(lines);
            }
            lines.append(line)?;
            total += len;
            if hint.is_some_and(|hint| total >= hint) {
                return Ok(lines);
            }
        }
    }

    /// The fields behind a chunked body, a line each with its end, once the body was read; cheroot's and CherryPy's way
    /// to get at trailers. Kept only for programs written for those.
    fn read_trailer_lines<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let trailers = self.with(py, |state| match state.fill(Size::Most(1)) {
            Ok(0) => Ok(Some(mem::take(&mut state.trailers))),
            Ok(_) => Ok(None),
            Err(error) => Err(error),
        });
        let Some(trailers) = trailers? else {
            return Err(PyValueError::new_err(
                "Cannot read trailers until the request body has been read.",
            ));
        };
        let lines = trailers.split_inclusive(|byte| *byte == b'\n');
        PyList::new(py, lines.map(|line| PyBytes::new(py, line)))?.try_iter()
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.readline(py, None)?;
        Ok((!line.as_bytes().is_empty()).then_some(line))
    }

    /// Does nothing: the input is the server's to close (PEP 3333).
    fn close(&self) {}

    fn readable(&self) -> bool {
        true
    }

    fn seekable(&self) -> bool {
        false
    }

    fn writable(&self) -> bool {
        false
    }

    #[getter]
    fn closed(&self) -> bool {
        false
    }
}

impl Size {
    fn from(size: Option<isize>) -> Size {
        size.and_then(|size| usize::try_from(size).ok())
            .map_or(Size::All, Size::Most)
    }
}

impl State {
    fn ended() -> State {
        State {
            ended: true,
            ..State::default()
        }
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.position..]
    }

    /// Makes sure that the buffer holds what a read of `size` gives; answers how much that is.
    fn fill(&mut self, size: Size) -> PyResult<usize> {
        loop {
            match size {
                Size::Most(most) if self.rest().len() >= most => return Ok(most),
                _ if self.ended => return Ok(self.rest().len()),
                _ => self.read_more()?,
            }
        }
    }

    /// As `fill`, for a line.
    fn fill_line(&mut self, size: Size) -> PyResult<usize> {
        let mut searched = 0;
        loop {
            let rest = self.rest();
            let most = match size {
                Size::Most(most) => most.min(rest.len()),
                Size::All => rest.len(),
            };
            if let Some(at) = rest[searched.min(most)..most]
                .iter()
                .position(|byte| *byte == b'\n')
            {
                return Ok(searched + at + 1);
            }
            if self.ended || matches!(size, Size::Most(wanted) if rest.len() >= wanted) {
                return Ok(most);
            }
            searched = rest.len();
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> PyResult<()> {
        if let Some((kind, text)) = &self.failed {
            return Err(io::Error::new(*kind, text.clone()).into());
        }
        if self.position > 0 {
            self.buffer.drain(..self.position);
            self.position = 0;
        }
        let have = self.buffer.len();
        self.buffer.resize(have + READ, 0);
        let read = self.body.read(&mut self.buffer[have..]);
        self.buffer
            .truncate(have + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(0) => {
                self.ended = true;
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(err) => {
                // Again the next time: a body that is cut short must never look whole.
                self.failed = Some((err.kind(), err.to_string()));
                Err(err.into())
            }
        }
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let end = self.position + len;
        let taken = if self.position == 0 && end == self.buffer.len() {
            mem::take(&mut self.buffer)
        } else {
            let taken = self.buffer[self.position..end].to_vec();
            self.position = end;
            taken
        };
        if self.buffer.is_empty() {
            self.position = 0;
        }
        taken
    }
}
