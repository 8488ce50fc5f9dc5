//! The command line and its settings as Python sees them.

use std::ffi::OsString;
use std::path::PathBuf;

use kirsch_config::{
    AppSource, AppSpec, AppTarget, Command, Exit, KeywordValue, Settings, from_command_line,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PySequence, PyString, PyTuple};

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
    /// Where the application is: `module` or `file`, its name, `default`, `attribute` or `factory`, its name.
    app: Option<(&'static str, String, &'static str, String)>,
    /// The application as typed.
    app_text: String,
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
        let mut values = Vec::with_capacity(keywords.len());
        for (name, value) in keywords.iter() {
            let name: String = name.extract()?;
            let value = keyword_value(&value, true).map_err(|error| {
                let what = type_name(&value);
                if error.is_instance_of::<PyTypeError>(value.py()) {
                    PyTypeError::new_err(format!("argument {name}: a {what} cannot be a setting"))
                } else {
                    PyValueError::new_err(format!(
                        "argument {name}: this {what} cannot be a setting"
                    ))
                }
            })?;
            values.push((name, value));
        }
        let settings = Settings::from_keywords(values)
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
    let (action, app, settings) = match from_command_line(argv, environ, &cwd) {
        Ok(Command::Serve { app, settings }) => ("serve", app, settings),
        Ok(Command::Check { app, settings }) => ("check", app, settings),
        Err(Exit {
            code,
            stdout,
            stderr,
        }) => {
            let none = String::new();
            return Ok(PyCommand {
                action: "exit",
                code,
                stdout,
                stderr,
                app: None,
                app_text: none,
                settings: None,
            });
        }
    };
    Ok(PyCommand {
        action,
        code: 0,
        stdout: String::new(),
        stderr: String::new(),
        app_text: app.to_string(),
        app: Some(describe_app(&app)),
        settings: Some(Py::new(
            py,
            PySettings {
                settings: *settings,
            },
        )?),
    })
}

fn describe_app(app: &AppSpec) -> (&'static str, String, &'static str, String) {
    let (source, place) = match &app.source {
        AppSource::Module(name) => ("module", name.clone()),
        AppSource::File(path) => ("file", path.to_string_lossy().into_owned()),
    };
    let (kind, name) = match &app.target {
        AppTarget::Default => ("default", String::new()),
        AppTarget::Attribute(name) => ("attribute", name.clone()),
        AppTarget::Factory(name) => ("factory", name.clone()),
    };
    (source, place, kind, name)
}

fn keyword_value(value: &Bound<'_, PyAny>, may_be_list: bool) -> PyResult<KeywordValue> {
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
    if may_be_list && (value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>()) {
        let items = value.cast::<PySequence>()?.try_iter()?;
        let items = items
            .map(|item| keyword_value(&item?, false))
            .collect::<PyResult<Vec<_>>>()?;
        return Ok(KeywordValue::List(items));
    }
    // A path.
    let path: PathBuf = value.extract()?;
    Ok(KeywordValue::Str(path.to_string_lossy().into_owned()))
}
