//! Native strings of PEP 3333: `str` whose characters are bytes, in both directions.

#![forbid(unsafe_code)]

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// A `str` with one character per byte.
pub(crate) fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.is_ascii() => PyString::new(py, text),
        _ => PyString::new(
            py,
            &bytes.iter().copied().map(char::from).collect::<String>(),
        ),
    }
}

/// The bytes of a `str` whose characters are bytes.
///
/// # Errors
///
/// `ValueError` if it has other characters; `what` names it.
pub(crate) fn with_latin1<R>(
    text: &Bound<'_, PyString>,
    what: &str,
    then: impl FnOnce(&[u8]) -> R,
) -> PyResult<R> {
    // Lone surrogates have no UTF-8; they are above U+00FF in any case.
    let utf8 = text.to_str().map_err(|_| beyond(what))?;
    if utf8.is_ascii() {
        return Ok(then(utf8.as_bytes()));
    }
    let bytes: Option<Vec<u8>> = utf8.chars().map(|char| u8::try_from(char).ok()).collect();
    bytes.map(|bytes| then(&bytes)).ok_or_else(|| beyond(what))
}

fn beyond(what: &str) -> PyErr {
    PyValueError::new_err(format!(
        "{what} has characters beyond U+00FF; encode it to bytes and decode those as latin-1 (PEP 3333)"
    ))
}
