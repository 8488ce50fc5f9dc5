//! What is typed as `WHERE=WHAT`: an application behind a host and a path, a folder of files behind a path.
//!
//! Nothing is imported here and no folder is looked for.
//! Read next: `app_spec.rs`, and `dispatch.rs`, which makes routes of these.

use std::fmt;
use std::path::{Path, PathBuf};

use kirsch_server::{HostPattern, PathPrefix};

use crate::app_spec::AppSpec;
use crate::error::Complaint;
use crate::route_keys::parse_one;

/// An application as typed, `[HOST[/PATH]=]APP`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountedApp {
    /// Where it answers; without it, it takes what no route takes.
    pub mount: Option<Mount>,
    /// What to import.
    pub spec: AppSpec,
}

/// A folder of files as typed, `[HOST]/PATH=FOLDER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticFolder {
    /// Where its files are served.
    pub mount: Mount,
    /// The folder.
    pub folder: PathBuf,
}

/// A host, a path, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The host, perhaps with a port or `*.` before it; every host without it.
    pub host: Option<HostPattern>,
    /// The path; every path without it.
    pub path: Option<PathPrefix>,
}

impl MountedApp {
    /// Reads an application as typed.
    ///
    /// # Errors
    /// When either side of the equals sign is malformed; the complaint names the part that is wrong.
    pub(crate) fn parse(text: &str, _base: &Path) -> Result<Self, Complaint> {
        let Some((before, app)) = text.split_once('=') else {
            let spec = AppSpec::parse(text)?;
            return Ok(MountedApp { mount: None, spec });
        };
        if app.is_empty() {
            let hint = format!("write {before}=module:attribute");
            return Err(Complaint::new("nothing stands after the equals sign", hint));
        }
        let mount = Mount::parse(before).map_err(|complaint| {
            // The two sides are swapped more often than a host is malformed.
            let swapped = AppSpec::parse(before).is_ok() && Mount::parse(app).is_ok();
            let hint = swapped.then(|| format!("write {app}={before}"));
            Complaint {
                hint: hint.or(complaint.hint),
                ..complaint
            }
        })?;
        let spec = AppSpec::parse(app)?;
        Ok(MountedApp {
            mount: Some(mount),
            spec,
        })
    }
}

impl StaticFolder {
    /// Reads a folder as typed; where it is relative, it begins at `base`.
    ///
    /// # Errors
    /// When either side of the equals sign is missing or malformed.
    pub(crate) fn parse(text: &str, base: &Path) -> Result<Self, Complaint> {
        let Some((before, folder)) = text.split_once('=') else {
            let hint = match text.strip_prefix('/') {
                Some(rest) if !rest.is_empty() => format!("write {text}={rest}"),
                _ if text.is_empty() || text == "/" => "write /static=public".to_owned(),
                _ => format!("write /{0}={0}", text.trim_end_matches('/')),
            };
            let message =
                format!("{text:?} does not say where the files are served, or from which folder");
            return Err(Complaint::new(message, hint));
        };
        if folder.is_empty() || folder.contains('\0') {
            let hint = format!("write {before}=FOLDER");
            return Err(Complaint::new(
                "no folder stands after the equals sign",
                hint,
            ));
        }
        let mount = Mount::parse(before).map_err(|complaint| {
            let swapped = folder.starts_with('/') && Mount::parse(folder).is_ok();
            let hint = swapped.then(|| format!("write {folder}={before}"));
            Complaint {
                hint: hint.or(complaint.hint),
                ..complaint
            }
        })?;
        // Whoever forgets the slash would get a host that nobody asks for.
        if !before.contains(['/', '.', ':']) && before != "localhost" {
            let hint = format!(
                "write /{before}={folder} for the path, or {before}/={folder} for the host"
            );
            return Err(Complaint::new(format!("{before:?} is no path"), hint));
        }
        Ok(StaticFolder {
            mount,
            folder: base.join(folder),
        })
    }
}

impl Mount {
    fn parse(text: &str) -> Result<Self, Complaint> {
        if text.is_empty() {
            let hint = "write HOST=, HOST/PATH= or /PATH= before it";
            return Err(Complaint::new(
                "nothing stands before the equals sign",
                hint,
            ));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let hint = format!("write {rest} alone; the key scheme of a route tells them apart");
            return Err(Complaint::new(
                format!("{text:?} begins with a scheme ({scheme})"),
                hint,
            ));
        }
        let (host, path) = match text.find('/') {
            Some(slash) => text.split_at(slash),
            None => (text, ""),
        };
        Ok(Mount {
            host: (!host.is_empty()).then(|| parse_one(host)).transpose()?,
            path: (!matches!(path, "" | "/"))
                .then(|| parse_one(path))
                .transpose()?,
        })
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, &self.path) {
            (Some(host), Some(path)) => write!(f, "{host}{path}"),
            (Some(host), None) => host.fmt(f),
            (None, Some(path)) => path.fmt(f),
            (None, None) => f.write_str("/"),
        }
    }
}

/// As it would be typed.
impl fmt::Display for MountedApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mount {
            Some(mount) => write!(f, "{mount}={}", self.spec),
            None => self.spec.fmt(f),
        }
    }
}

/// As it would be typed.
impl fmt::Display for StaticFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.mount, self.folder.display())
    }
}
