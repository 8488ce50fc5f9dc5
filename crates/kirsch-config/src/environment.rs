//! Environment variables: `KIRSCH_*`, and `PORT` and `WEB_CONCURRENCY` as platforms set them.
//!
//! An empty variable is as good as none: that is what `docker compose` makes of an unset one.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::bind::every_address;
use crate::error::{ConfigError, Origin, nearest};
use crate::option::OptionSpec;
use crate::options::options;
use crate::settings::Given;
use crate::value::KeywordValue;

const PREFIX: &str = "KIRSCH_";

/// What the environment gives.
pub(crate) struct Environment {
    /// `KIRSCH_*`, above the file.
    pub(crate) own: Vec<Given>,
    /// What platforms set for every server, below the file.
    pub(crate) platform: Vec<Given>,
}

/// Reads the variables; relative paths begin at `cwd`.
pub(crate) fn read_environment(
    env: impl IntoIterator<Item = (OsString, OsString)>,
    cwd: &Path,
) -> Result<Environment, ConfigError> {
    let mut environment = Environment {
        own: Vec::new(),
        platform: Vec::new(),
    };
    for (name, value) in env {
        let Some(name) = name.to_str() else { continue };
        if value.is_empty() {
            continue;
        }
        let given = |option, value| Given {
            option,
            value,
            origin: Origin::Variable(name.to_owned()),
            base: cwd.to_owned(),
        };
        match name {
            "PORT" => environment
                .platform
                .push(given(option("bind"), platform_port(name, &value)?)),
            "WEB_CONCURRENCY" => {
                environment.platform.push(given(
                    option("workers"),
                    KeywordValue::Str(text(name, &value)?),
                ));
            }
            _ if !name.starts_with(PREFIX) || of_an_orchestrator(name, &value) => {}
            _ => {
                let option = known(name)?;
                environment
                    .own
                    .push(given(option, own_value(option, text(name, &value)?)));
            }
        }
    }
    Ok(environment)
}

/// Variables that Kubernetes and Docker's links set in every container near a service called `kirsch` or
/// `kirsch-blog`: `…_SERVICE_HOST`, `…_SERVICE_PORT`, `…_SERVICE_PORT_HTTP`, `…_PORT` with a URL, `…_PORT_80_TCP`,
/// `…_PORT_80_TCP_ADDR`. No option is called so.
fn of_an_orchestrator(name: &str, value: &OsStr) -> bool {
    // With the underscore, which is the service's name alone or its end.
    let rest = name.strip_prefix("KIRSCH").unwrap_or_default();
    let is_url = value.to_str().is_some_and(|value| value.contains("://"));
    let is_port = |part: &str| {
        let protocol = part.trim_start_matches(|c: char| c.is_ascii_digit());
        protocol.len() < part.len()
            && ["_TCP", "_UDP", "_SCTP"]
                .iter()
                .any(|it| protocol.starts_with(it))
    };
    rest.ends_with("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT")
        || rest.ends_with("_PORT") && is_url
        || rest.split("_PORT_").skip(1).any(is_port)
}

fn known(name: &str) -> Result<&'static OptionSpec, ConfigError> {
    if let Some(option) = options().iter().find(|option| option.variable() == name) {
        return Ok(option);
    }
    let variables: Vec<String> = options().iter().map(OptionSpec::variable).collect();
    // Without the common prefix, which would make everything look alike.
    let rest = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let rests: Vec<String> = variables.iter().map(|name| rest(name)).collect();
    let meant = nearest(&rest(name), rests.iter().map(String::as_str));
    let hint = match meant {
        _ if name == "KIRSCH_PORT" => {
            Some("write KIRSCH_BIND, or PORT without a prefix".to_owned())
        }
        Some(meant) => Some(format!("did you mean {PREFIX}{meant}?")),
        None => Some(
            "kirsch --help lists the options; a variable is KIRSCH_ and the option's name"
                .to_owned(),
        ),
    };
    Err(ConfigError::new(
        Origin::Variable(name.to_owned()),
        "is not a known variable",
        hint,
    ))
}

/// Options that can be repeated take several values at once in a variable, with commas between them.
fn own_value(option: &OptionSpec, text: String) -> KeywordValue {
    if !option.kind.is_list() {
        return KeywordValue::Str(text);
    }
    KeywordValue::List(
        text.split(',')
            .map(|part| KeywordValue::Str(part.to_owned()))
            .collect(),
    )
}

fn platform_port(name: &str, value: &OsStr) -> Result<KeywordValue, ConfigError> {
    let bind = every_address(text(name, value)?.trim())
        .map_err(|complaint| complaint.at(Origin::Variable(name.to_owned())))?;
    Ok(KeywordValue::Str(bind.to_string()))
}

fn text(name: &str, value: &OsStr) -> Result<String, ConfigError> {
    let wrong = || {
        ConfigError::new(
            Origin::Variable(name.to_owned()),
            "is not valid UTF-8",
            None,
        )
    };
    value.to_str().map(str::to_owned).ok_or_else(wrong)
}

fn option(name: &str) -> &'static OptionSpec {
    #[expect(
        clippy::expect_used,
        reason = "called with two literal names that stand in the list; a test calls both"
    )]
    options()
        .iter()
        .find(|option| option.name == name)
        .expect("the name stands in the list")
}
