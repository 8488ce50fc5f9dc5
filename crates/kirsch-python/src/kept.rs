//! A large block of an application's, kept by reference until its client has it.
//!
//! Who lets go of it drives the reactor, without the interpreter: pyo3 then puts it on a list, and the next
//! thread that enters frees what is there. This file counts what is on the list, so that the server
//! has a thread enter if that is much and nobody comes by.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

/// One for the process, as pyo3's list is.
static UNFREED_BYTES: AtomicU64 = AtomicU64::new(0);

/// The block.
pub(crate) struct KeptBlock {
    /// `None` only while it is dropped.
    block: Option<PyBackedBytes>,
}

impl KeptBlock {
    pub(crate) fn new(block: &Bound<'_, PyBytes>) -> KeptBlock {
        KeptBlock {
            block: Some(PyBackedBytes::from(block.clone())),
        }
    }
}

impl AsRef<[u8]> for KeptBlock {
    fn as_ref(&self) -> &[u8] {
        self.block.as_deref().unwrap_or_default()
    }
}

impl Drop for KeptBlock {
    fn drop(&mut self) {
        let bytes = self.as_ref().len() as u64;
        // First onto the list: what is counted too late is freed once too often, what is counted too early
        // might never be.
        self.block = None;
        UNFREED_BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Bytes that wait to be freed, at most.
pub(crate) fn unfreed_bytes() -> u64 {
    UNFREED_BYTES.load(Ordering::Relaxed)
}

/// To be said right before the interpreter is entered, whoever does so: that frees all there is.
pub(crate) fn will_be_freed() {
    UNFREED_BYTES.store(0, Ordering::Relaxed);
}
