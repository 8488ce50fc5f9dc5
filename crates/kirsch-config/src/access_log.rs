//! The access log, as typed: a format's name or a string of `%` directives, and a file. Two options fill one field of
//! the settings, so neither is a line of `options.rs` alone.

use kirsch_server::{AccessLog, AccessLogFormat, LineFormat};

use crate::error::Complaint;
use crate::field::{FieldValue, Reading};
use crate::option::Field;
use crate::value::KeywordValue;

const FORMATS: &str =
    "write combined, json, off, or a string with % directives, for instance '%h \"%r\" %>s'";

/// The field of `access-log-file`.
pub(crate) const ACCESS_LOG_FILE: Field = Field::Of {
    // Before `access-log` in the list, which may turn off what this turned on.
    set: |settings, given, reading| {
        let path = match given {
            KeywordValue::Str(text) if text == "-" => None,
            _ => Some(FieldValue::read(given, reading)?),
        };
        settings.config.access_log = Some(AccessLog {
            format: AccessLogFormat::Combined,
            file: path,
        });
        Ok(())
    },
    text: |settings, kind| match &settings.config.access_log {
        Some(AccessLog {
            file: Some(path), ..
        }) => path.text(kind),
        Some(AccessLog { file: None, .. }) | None => "-".to_owned(),
    },
    can_be_off: false,
};

/// The field of `access-log`.
pub(crate) const ACCESS_LOG: Field = Field::Of {
    set: |settings, given, reading| {
        let file = settings.config.access_log.take().and_then(|log| log.file);
        let format = access_log_format(given, reading)?;
        settings.config.access_log = format.map(|format| AccessLog { format, file });
        Ok(())
    },
    text: |settings, _| format_text(settings.config.access_log.as_ref().map(|log| &log.format)),
    can_be_off: true,
};

fn access_log_format(
    given: &KeywordValue,
    reading: &Reading<'_>,
) -> Result<Option<AccessLogFormat>, Complaint> {
    match given {
        KeywordValue::None | KeywordValue::Bool(false) => Ok(None),
        KeywordValue::Bool(true) => Ok(Some(AccessLogFormat::Combined)),
        KeywordValue::Str(text) => parse_format(text),
        KeywordValue::Int(_)
        | KeywordValue::Float(_)
        | KeywordValue::List(_)
        | KeywordValue::Table(_) => Err(reading.refuse(given)),
    }
}

/// Reads the form of a line; `None` is no log.
fn parse_format(text: &str) -> Result<Option<AccessLogFormat>, Complaint> {
    match text {
        "off" | "false" | "no" | "0" => Ok(None),
        "combined" | "on" | "true" | "yes" | "1" => Ok(Some(AccessLogFormat::Combined)),
        "json" => Ok(Some(AccessLogFormat::Json)),
        _ if text.contains('%') => custom(text).map(Some),
        _ => Err(Complaint::new(
            format!("{text:?} is not an access log format"),
            FORMATS,
        )),
    }
}

/// The form as it would be typed.
fn format_text(format: Option<&AccessLogFormat>) -> String {
    match format {
        None => "off".to_owned(),
        Some(AccessLogFormat::Combined) => "combined".to_owned(),
        Some(AccessLogFormat::Json) => "json".to_owned(),
        Some(AccessLogFormat::Custom(directives)) => directives.clone(),
    }
}

fn custom(directives: &str) -> Result<AccessLogFormat, Complaint> {
    let format = AccessLogFormat::Custom(directives.to_owned());
    check_directives(&format)?;
    Ok(format)
}

/// The one place where a custom format is checked; the server owns the directives.
fn check_directives(format: &AccessLogFormat) -> Result<(), Complaint> {
    match LineFormat::new(format) {
        Ok(_) => Ok(()),
        Err(error) => Err(Complaint::new(error.message, error.hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_name_or_by_their_directives() {
        let custom = AccessLogFormat::Custom("%h %>s".into());
        assert_eq!(parse_format("off"), Ok(None));
        assert_eq!(parse_format("true"), Ok(Some(AccessLogFormat::Combined)));
        assert_eq!(parse_format("json"), Ok(Some(AccessLogFormat::Json)));
        assert_eq!(parse_format("%h %>s"), Ok(Some(custom)));
    }

    #[test]
    fn a_word_that_is_no_format_is_refused() {
        let complaint = parse_format("jsno").expect_err("not a format");
        assert_eq!(complaint.message, "\"jsno\" is not an access log format");
    }

    #[test]
    fn a_directive_that_is_not_known_is_refused_with_what_to_write() {
        let complaint = parse_format("%h %y").expect_err("no such directive");
        assert_eq!(
            complaint.message,
            "%y at position 4 is not a known directive"
        );
        let hint = complaint.hint.expect("what to write");
        assert!(hint.starts_with("the directives are %%"), "{hint}");
    }
}
