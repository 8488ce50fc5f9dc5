//! How a line of the access log looks.

use std::fmt;

use super::Record;
use crate::config::AccessLogFormat;

/// A parsed format.
#[derive(Debug)]
pub struct LineFormat;

/// A format that cannot be parsed.
#[derive(Debug)]
pub struct FormatError(String);

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FormatError {}

impl LineFormat {
    /// Parses a format.
    ///
    /// # Errors
    ///
    /// If a custom format has an unknown directive.
    pub fn new(_format: &AccessLogFormat) -> Result<LineFormat, FormatError> {
        Ok(LineFormat)
    }

    pub(crate) fn write(&self, record: &Record, out: &mut Vec<u8>) {
        out.extend_from_slice(
            format!("{:?} {} {}\n", record.request, record.status, record.sent).as_bytes(),
        );
    }
}
