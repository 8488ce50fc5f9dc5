//! The Rust applications that this build provides, by name. Each starts when a server has a route to it.
//!
//! It knows gateways, and not what is behind them. Read next: `dispatch.rs`, where routes lead to them.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, mem};

use kirsch_server::Gateway;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

type BoxError = Box<dyn Error + Send + Sync>;

/// Makes the gateway of an application.
type Start = dyn Fn() -> Result<Arc<dyn Gateway>, BoxError> + Send + Sync;

/// A process has one engine, and this is what was put into it: written while its module is imported, then only read.
static PROVIDED: Mutex<BTreeMap<String, Arc<Start>>> = Mutex::new(BTreeMap::new());

/// Provides a Rust application under a name, by which routes find it: `rust = "NAME"` in a table `[apps.…]`, or
/// `kirsch.Rust("NAME")`.
///
/// `start` makes its gateway, once for each server that has a route to it, and never if none has. What it starts, a
/// runtime for instance, is to end when the gateway is dropped. To be called while the module is imported.
///
/// # Errors
///
/// `ValueError` if there is one of this name.
pub fn provide<G, E>(
    name: &str,
    start: impl Fn() -> Result<G, E> + Send + Sync + 'static,
) -> PyResult<()>
where
    G: Gateway,
    E: Into<BoxError>,
{
    let start = move || -> Result<Arc<dyn Gateway>, BoxError> {
        start()
            .map(|gateway| Arc::new(gateway) as Arc<dyn Gateway>)
            .map_err(Into::into)
    };
    let mut provided = lock();
    if provided.contains_key(name) {
        let text = format!("there are two Rust applications called {name:?}");
        return Err(PyValueError::new_err(text));
    }
    provided.insert(name.to_owned(), Arc::new(start));
    Ok(())
}

/// The names of all.
pub(crate) fn names() -> Vec<String> {
    lock().keys().cloned().collect()
}

fn lock() -> MutexGuard<'static, BTreeMap<String, Arc<Start>>> {
    PROVIDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The Rust applications of one server, each started once. They end with it.
#[derive(Default)]
pub(crate) struct Started(Vec<(String, Arc<dyn Gateway>)>);

impl Started {
    /// The gateway of an application, which is started if it was not.
    pub(crate) fn gateway(&mut self, name: &str) -> PyResult<Arc<dyn Gateway>> {
        if let Some((_, gateway)) = self.0.iter().find(|(known, _)| known == name) {
            return Ok(Arc::clone(gateway));
        }
        // Not under the lock: it is the application's.
        let start = lock().get(name).cloned();
        let Some(start) = start else {
            let text = format!("this build of Kirsch provides no Rust application called {name:?}");
            return Err(PyValueError::new_err(text));
        };
        let gateway = start().map_err(|error| {
            PyOSError::new_err(format!(
                "the Rust application {name:?} cannot start: {error}"
            ))
        })?;
        self.0.push((name.to_owned(), Arc::clone(&gateway)));
        Ok(gateway)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let gateways = mem::take(&mut self.0);
        if gateways.is_empty() {
            return;
        }
        // Their end may wait for threads that wait for the interpreter.
        Python::try_attach(|py| py.detach(|| drop(gateways)));
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}
