//! `wsgi.file_wrapper` (PEP 3333, "Optional Platform-Specific File Handling").
//!
//! Iterates over any object with `read()`. If the application returns the wrapper itself and the
//! object is a real file, the server sends the file without reading it.

use std::fs::File;
use std::os::fd::RawFd;
use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use crate::ffi;

/// Iterates over a file-like object in blocks.
#[pyclass(frozen, module = "kirsch")]
pub(crate) struct FileWrapper {
    file: Py<PyAny>,
    block_size: usize,
}

/// A regular file, from where the object stands to its end.
pub(crate) struct RealFile {
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, block_size=8192, /))]
    fn new(filelike: Bound<'_, PyAny>, block_size: usize) -> PyResult<FileWrapper> {
        if !filelike.hasattr("read")? {
            return Err(PyTypeError::new_err(
                "wsgi.file_wrapper needs an object with read()",
            ));
        }
        Ok(FileWrapper {
            file: filelike.unbind(),
            block_size: block_size.max(1),
        })
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let block = self
            .file
            .bind(py)
            .call_method1("read", (self.block_size,))?;
        Ok(block.is_truthy()?.then_some(block))
    }

    /// Closes the file, if it can be closed.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let file = self.file.bind(py);
        if file.hasattr("close")? {
            file.call_method0("close")?;
        }
        Ok(())
    }
}

static REAL_TYPES: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();

impl FileWrapper {
    /// The file behind the wrapper, if the kernel can send it: other objects have a `fileno()` too, but
    /// what they `read()` is not what stands in that file.
    pub(crate) fn real_file(&self, py: Python<'_>) -> Option<RealFile> {
        let object = self.file.bind(py);
        // tempfile's wrappers delegate to the file in their attribute.
        let inner = match object.get_type().name().ok()?.to_string().as_str() {
            "_TemporaryFileWrapper" => object.getattr("file").ok()?,
            _ => object.clone(),
        };
        let types = real_types(py).ok()?;
        if !types.iter().any(|real| inner.get_type().is(&real)) {
            return None;
        }
        let offset: u64 = inner.call_method0("tell").ok()?.extract().ok()?;
        let number: RawFd = inner.call_method0("fileno").ok()?.extract().ok()?;
        let file = File::from(ffi::duplicate(number).ok()?);
        let meta = file.metadata().ok()?;
        // Files of size 0 may be the kernel's, which have content all the same.
        let real = meta.file_type().is_file() && meta.len() > 0;
        real.then(|| RealFile {
            len: meta.len().saturating_sub(offset),
            file: Arc::new(file),
            offset,
        })
    }
}

fn real_types(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
    let types = REAL_TYPES.get_or_try_init(py, || -> PyResult<Py<PyTuple>> {
        let io = py.import("io")?;
        let names = ["FileIO", "BufferedReader", "BufferedRandom"];
        let types = names
            .iter()
            .map(|name| io.getattr(*name))
            .collect::<PyResult<Vec<_>>>()?;
        Ok(PyTuple::new(py, types)?.unbind())
    })?;
    Ok(types.bind(py).clone())
}
