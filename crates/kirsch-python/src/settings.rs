//! The command line and its settings as Python sees them.

use std::ffi::OsString;
use std::path::PathBuf;

use kirsch_config::{Command, Exit, KeywordValue, Settings, from_command_line};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PySequence, PyString, PyTuple,
};

use crate::dispatch::PyDispatch;
use crate::start_response::type_name;

/// What the command line asks for.
#[pyclass(frozen, name = "Command", module = "kirsch._kirsch", get_all)]
pub(crate) struct PyCommand {
    /// `serve`, `check`, or `exit` for help, version and mistakes.
    action: &'static str,
    /// The exit code of `exit`.
    code: u8,
    /// What `exit` prints.
    stdout: String,
    stderr: String,
    /// What to import, and which requests it is for.
    dispatch: Option<Py<PyDispatch>>,
    settings: Option<Py<PySettings>>,
}

/// Validated settings.
#[pyclass(frozen, name = "Settings", module = "kirsch._kirsch")]
pub(crate) struct PySettings {
    pub(crate) settings: Settings,
}

#[pymethods]
impl PySettings {
    /// Settings from keyword arguments.
    #[staticmethod]
    fn from_keywords(keywords: &Bound<'_, PyDict>) -> PyResult<PySettings> {
        let settings = Settings::from_keywords(keyword_values(keywords, Nesting::List)?)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(PySettings { settings })
    }

    #[getter]
    fn chdir(&self) -> Option<PathBuf> {
        self.settings.chdir.clone()
    }

    #[getter]
    fn log_level(&self) -> String {
        self.settings.log_level.name().to_owned()
    }

    #[getter]
    fn threads(&self) -> usize {
        self.settings.config.threads
    }

    #[getter]
    fn drain_timeout(&self) -> f64 {
        self.settings.config.timeouts.drain.as_secs_f64()
    }

    /// The effective settings, one a line, each with where it was set.
    fn describe(&self) -> String {
        self.settings.describe()
    }
}

/// Parses a command line; `argv[0]` is the program's name.
#[pyfunction]
pub(crate) fn parse_command_line(
    py: Python<'_>,
    argv: Vec<OsString>,
    environ: Vec<(OsString, OsString)>,
    cwd: PathBuf,
) -> PyResult<PyCommand> {
    let (action, dispatch, settings) = match from_command_line(argv, environ, &cwd) {
        Ok(Command::Serve { dispatch, settings }) => ("serve", dispatch, settings),
        Ok(Command::Check { dispatch, settings }) => ("check", dispatch, settings),
        Err(Exit {
            code,
            stdout,
            stderr,
        }) => {
            return Ok(PyCommand {
                action: "exit",
                code,
                stdout,
                stderr,
                dispatch: None,
                settings: None,
            });
        }
    };
    Ok(PyCommand {
        action,
        code: 0,
        stdout: String::new(),
        stderr: String::new(),
        dispatch: Some(Py::new(py, PyDispatch::new(dispatch))?),
        settings: Some(Py::new(
            py,
            PySettings {
                settings: *settings,
            },
        )?),
    })
}

/// The named values of a dictionary.
pub(crate) fn keyword_values(
    keywords: &Bound<'_, PyDict>,
    nesting: Nesting,
) -> PyResult<Vec<(String, KeywordValue)>> {
    let mut values = Vec::with_capacity(keywords.len());
    for (name, value) in keywords.iter() {
        let name: String = name.extract()?;
        let value = keyword_value(&value, nesting).map_err(|error| {
            let what = type_name(&value);
            if error.is_instance_of::<PyTypeError>(value.py()) {
                PyTypeError::new_err(format!("argument {name}: a {what} cannot be a setting"))
            } else {
                PyValueError::new_err(format!("argument {name}: this {what} cannot be a setting"))
            }
        })?;
        values.push((name, value));
    }
    Ok(values)
}

/// What a value may consist of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Nesting {
    /// It stands alone.
    Nothing,
    /// It may be a list.
    List,
    /// It may be a list or a dictionary.
    Table,
}

fn keyword_value(value: &Bound<'_, PyAny>, nesting: Nesting) -> PyResult<KeywordValue> {
    if value.is_none() {
        return Ok(KeywordValue::None);
    }
    if let Ok(value) = value.cast::<PyBool>() {
        return Ok(KeywordValue::Bool(value.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        return Ok(KeywordValue::Int(value.extract()?));
    }
    if value.is_instance_of::<PyFloat>() {
        return Ok(KeywordValue::Float(value.extract()?));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(KeywordValue::Str(value.extract()?));
    }
    if nesting >= Nesting::List
        && (value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>())
    {
        let items = value.cast::<PySequence>()?.try_iter()?;
        let items = items
            .map(|item| keyword_value(&item?, Nesting::Nothing))
            .collect::<PyResult<Vec<_>>>()?;
        return Ok(KeywordValue::List(items));
    }
    if nesting == Nesting::Table
        && let Ok(fields) = value.cast::<PyMapping>()
    {
        let fields = fields.items()?;
        let fields = fields
            .iter()
            .map(|item| {
                let (name, value): (String, Bound<'_, PyAny>) = item.extract()?;
                Ok((name, keyword_value(&value, Nesting::Nothing)?))
            })
            .collect::<PyResult<Vec<_>>>()?;
        return Ok(KeywordValue::Table(fields));
    }
    // A path.
    let path: PathBuf = value.extract()?;
    Ok(KeywordValue::Str(path.to_string_lossy().into_owned()))
}
