//! How a line of the access log looks: the forms there are, and a line of each.
//!
//! Read next: `directive.rs` (the `%` forms), `json.rs`.

use std::fmt;

use super::Record;
use super::directive::{self, Piece};
use super::json;
use super::time::Clock;
use crate::config::AccessLogFormat;

/// Apache's combined log format, as its documentation writes it.
const COMBINED: &str = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#;

/// The parsed form of an access log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFormat(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Directives(Vec<Piece>),
    Json,
}

/// What is wrong with a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// What is wrong and where: lower case, no full stop.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.hint)
    }
}

impl std::error::Error for FormatError {}

impl LineFormat {
    /// Parses a format.
    ///
    /// # Errors
    ///
    /// If a custom format has an unknown directive or a line break.
    pub fn new(format: &AccessLogFormat) -> Result<LineFormat, FormatError> {
        let form = match format {
            AccessLogFormat::Combined => Form::Directives(directive::parse(COMBINED)?),
            AccessLogFormat::Json => Form::Json,
            AccessLogFormat::Custom(text) => Form::Directives(directive::parse(text)?),
        };
        Ok(LineFormat(form))
    }

    /// Appends a record's line. Nothing in a record can add a second one.
    pub(super) fn write(&self, record: &Record, clock: &Clock, out: &mut Vec<u8>) {
        match &self.0 {
            Form::Directives(pieces) => {
                for piece in pieces {
                    piece.write(record, clock, out);
                }
            }
            Form::Json => json::write(record, clock, out),
        }
        out.push(b'\n');
    }
}
