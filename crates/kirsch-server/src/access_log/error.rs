//! Why an access log cannot be written, in words that say what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::FormatError;
use crate::path_trouble::PathTrouble;
use crate::reason::reason;

/// An access log that cannot be started.
pub struct AccessLogError {
    /// Its file, if that is at fault.
    pub path: Option<PathBuf>,
    /// Why.
    pub source: io::Error,
    trouble: Option<PathTrouble>,
}

impl AccessLogError {
    /// The file cannot be opened.
    pub(super) fn of_file(path: &Path, source: io::Error) -> AccessLogError {
        AccessLogError {
            path: Some(path.to_owned()),
            trouble: PathTrouble::find(path, &source),
            source,
        }
    }

    /// Lines cannot be written in this form.
    pub(super) fn of_format(error: FormatError) -> AccessLogError {
        AccessLogError::of_system(io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    /// There is no thread to write it.
    pub(super) fn of_system(source: io::Error) -> AccessLogError {
        AccessLogError {
            path: None,
            trouble: None,
            source,
        }
    }
}

impl fmt::Display for AccessLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot open the access log")?;
        if let Some(path) = &self.path {
            write!(f, " {}", path.display())?;
        }
        match &self.trouble {
            Some(trouble) => write!(f, ": {trouble}"),
            None => write!(f, ": {}", reason(&self.source)),
        }
    }
}

/// As it prints: a program that ends with it, `fn main() -> Result<(), …>`, shows this form.
impl fmt::Debug for AccessLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for AccessLogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_opened_is_named_with_what_to_do() {
        let path = Path::new("/nowhere/access.log");
        let error = std::fs::File::create(path).expect_err("there is no such folder");
        assert_eq!(
            AccessLogError::of_file(path, error).to_string(),
            "cannot open the access log /nowhere/access.log: the folder /nowhere does not exist; \
             make it, or choose another path"
        );
    }
}
