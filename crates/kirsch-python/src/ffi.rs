//! The only file of this crate with `unsafe`: what CPython and the kernel offer by raw handles.
//!
//! One operation a block, wrapped in a safe function.
#![allow(unsafe_code, reason = "this is the fence")]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Duplicates a descriptor that Python code named by its number; the duplicate is ours alone.
///
/// # Errors
///
/// If the number names no open descriptor, or no more can be had.
pub(crate) fn duplicate(number: RawFd) -> PyResult<OwnedFd> {
    if number < 0 {
        return Err(PyValueError::new_err("a descriptor must not be negative"));
    }
    // SAFETY: the number is not -1, and it is borrowed only for the call that duplicates it: if it is
    // not open, or closed by another thread meanwhile, the kernel answers EBADF and nothing is owned.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    borrowed.try_clone_to_owned().map_err(io::Error::into)
}

/// A context for `contextvars`, entered on this thread until dropped.
pub(crate) struct FreshContext<'py> {
    context: Bound<'py, PyAny>,
}

impl<'py> FreshContext<'py> {
    /// Enters an empty context, so that nothing an earlier request set is seen.
    pub(crate) fn enter(py: Python<'py>) -> PyResult<FreshContext<'py>> {
        // SAFETY: the interpreter is held; the call returns a new reference, or null with an error set.
        let context = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_New())? };
        // SAFETY: `context` was made by PyContext_New two lines up and nobody has entered it.
        match unsafe { ffi::PyContext_Enter(context.as_ptr()) } {
            0 => Ok(FreshContext { context }),
            _ => Err(PyErr::fetch(py)),
        }
    }
}

impl Drop for FreshContext<'_> {
    fn drop(&mut self) {
        // SAFETY: the interpreter is held (`context` carries its lifetime), and this context was
        // entered on this thread by `enter`; contexts are left in the reverse order because this
        // value lives in a scope.
        if unsafe { ffi::PyContext_Exit(self.context.as_ptr()) } != 0 {
            // An application left a context of its own entered: report it, the next request has a fresh one.
            PyErr::fetch(self.context.py()).write_unraisable(self.context.py(), None);
        }
    }
}
