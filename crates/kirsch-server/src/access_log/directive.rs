//! Apache's `%` directives: which there are, how they are parsed, what each writes.
//!
//! What the client chose is escaped wherever it stands. What is not there is `-`.
//! `docs/reference/access-log.md` lists the same directives for operators.

use std::io::Write as _;
use std::time::Duration;

use kirsch_http::{FieldName, Version};

use super::escape::write_quoted;
use super::format::FormatError;
use super::time::{self, Clock};
use super::user::write_basic_user;
use super::{Ending, Record};
use crate::request::Request;

/// Named in errors.
const KNOWN: &str = "the directives are %% %a %b %B %D %h %H %l %L %m %p %q %r %s %>s %t %T %u %U %v %X, \
                     %{NAME}i, %{sec|msec|usec}t and %{s|ms|us}T";

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Written as it is.
    Text(String),
    Value(Directive),
}

/// What a directive stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Directive {
    ClientAddress,
    /// `%l`, the name that identd would tell; nobody has it.
    Nothing,
    User,
    Time(TimeForm),
    RequestLine,
    Status,
    /// Bytes of content; `-` for none, as CLF wants it.
    ContentOrDash,
    Content,
    Method,
    Path,
    Query,
    Version,
    ServerName,
    ServerPort,
    Duration(Unit),
    RequestField {
        name: String,
        known: FieldName,
    },
    RequestId,
    ConnectionState,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeForm {
    /// `[10/Oct/2000:13:55:36 +0000]`
    Common,
    /// Since 1970.
    Since(Unit),
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
}

impl Unit {
    fn count(self, duration: Duration) -> u128 {
        match self {
            Unit::Seconds => u128::from(duration.as_secs()),
            Unit::Milliseconds => duration.as_millis(),
            Unit::Microseconds => duration.as_micros(),
        }
    }
}

/// Parses a format.
pub(super) fn parse(format: &str) -> Result<Vec<Piece>, FormatError> {
    if let Some(at) = format.find(|char: char| char.is_control() && char != '\t') {
        return Err(FormatError {
            message: format!("a control character at position {}", position(format, at)),
            hint: "write the format on one line; a record is one line".to_owned(),
        });
    }
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        push_text(&mut pieces, &rest[..at]);
        let start = format.len() - rest.len() + at;
        let written = &format[start..];
        let len = directive_len(written);
        let directive = &written[..len];
        if directive == "%%" {
            push_text(&mut pieces, "%");
        } else {
            let parsed = parse_directive(directive)
                .map_err(|problem| problem.at(directive, position(format, start)))?;
            pieces.push(Piece::Value(parsed));
        }
        rest = &written[len..];
    }
    push_text(&mut pieces, rest);
    Ok(pieces)
}

/// Joins neighbours, which `%%` makes.
fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if text.is_empty() {
        return;
    }
    match pieces.last_mut() {
        Some(Piece::Text(last)) => last.push_str(text),
        Some(Piece::Value(_)) | None => pieces.push(Piece::Text(text.to_owned())),
    }
}

/// The length of the directive that `written` begins with: `%`, `>` or `{…}`, and a letter.
fn directive_len(written: &str) -> usize {
    let mut len = 1;
    if written[len..].starts_with(['>', '<']) {
        len += 1;
    }
    if written[len..].starts_with('{') {
        match written[len..].find('}') {
            Some(close) => len += close + 1,
            None => return written.len(),
        }
    }
    len + written[len..].chars().next().map_or(0, char::len_utf8)
}

/// Characters counted from 1, as an editor does.
fn position(format: &str, at: usize) -> usize {
    format[..at].chars().count() + 1
}

fn parse_directive(directive: &str) -> Result<Directive, Problem> {
    let body = &directive[1..];
    if let Some(braced) = body.strip_prefix('{') {
        let (argument, letter) = braced.split_once('}').ok_or(Problem::Unclosed)?;
        return parse_with_argument(argument, letter);
    }
    Ok(match body {
        "a" | "h" => Directive::ClientAddress,
        "l" => Directive::Nothing,
        "u" => Directive::User,
        "t" => Directive::Time(TimeForm::Common),
        "r" => Directive::RequestLine,
        "s" | ">s" | "<s" => Directive::Status,
        "b" => Directive::ContentOrDash,
        "B" => Directive::Content,
        "m" => Directive::Method,
        "U" => Directive::Path,
        "q" => Directive::Query,
        "H" => Directive::Version,
        "v" => Directive::ServerName,
        "p" => Directive::ServerPort,
        "D" => Directive::Duration(Unit::Microseconds),
        "T" => Directive::Duration(Unit::Seconds),
        "L" => Directive::RequestId,
        "X" => Directive::ConnectionState,
        "i" => return Err(Problem::WithoutName),
        "o" => return Err(Problem::ResponseField),
        _ => return Err(Problem::Unknown),
    })
}

fn parse_with_argument(argument: &str, letter: &str) -> Result<Directive, Problem> {
    match letter {
        "i" if is_field_name(argument) => Ok(Directive::RequestField {
            name: argument.to_owned(),
            known: FieldName::from_bytes(argument.as_bytes()),
        }),
        "i" => Err(Problem::NoFieldName),
        "o" => Err(Problem::ResponseField),
        "t" => match argument {
            "" => Ok(Directive::Time(TimeForm::Common)),
            "sec" => Ok(Directive::Time(TimeForm::Since(Unit::Seconds))),
            "msec" => Ok(Directive::Time(TimeForm::Since(Unit::Milliseconds))),
            "usec" => Ok(Directive::Time(TimeForm::Since(Unit::Microseconds))),
            _ => Err(Problem::TimeForm),
        },
        "T" => match argument {
            "s" => Ok(Directive::Duration(Unit::Seconds)),
            "ms" => Ok(Directive::Duration(Unit::Milliseconds)),
            "us" => Ok(Directive::Duration(Unit::Microseconds)),
            _ => Err(Problem::DurationUnit),
        },
        _ => Err(Problem::Unknown),
    }
}

/// A token of RFC 9110, 5.6.2.
fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Why a directive cannot be used.
enum Problem {
    Unknown,
    Unclosed,
    WithoutName,
    NoFieldName,
    ResponseField,
    TimeForm,
    DurationUnit,
}

impl Problem {
    fn at(&self, directive: &str, position: usize) -> FormatError {
        let (what, hint) = match self {
            Problem::Unknown => ("is not a known directive", KNOWN),
            Problem::Unclosed => ("has no closing brace", "write for instance %{User-Agent}i"),
            Problem::WithoutName => (
                "needs the name of a request field",
                "write for instance %{User-Agent}i",
            ),
            Problem::NoFieldName => (
                "does not name a request field",
                "write for instance %{User-Agent}i",
            ),
            Problem::ResponseField => (
                "asks for a response field, and these are not kept for the log",
                "leave it out",
            ),
            Problem::TimeForm => (
                "is not a known form of the time",
                "write %t, %{sec}t, %{msec}t or %{usec}t",
            ),
            Problem::DurationUnit => (
                "is not a known unit of the duration",
                "write %T, %{s}T, %{ms}T, %{us}T or %D",
            ),
        };
        FormatError {
            message: format!("{directive} at position {position} {what}"),
            hint: hint.to_owned(),
        }
    }
}

impl Piece {
    pub(super) fn write(&self, record: &Record, clock: &Clock, out: &mut Vec<u8>) {
        match self {
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Value(directive) => directive.write(record, clock, out),
        }
    }
}

impl Directive {
    fn write(&self, record: &Record, clock: &Clock, out: &mut Vec<u8>) {
        let request = &*record.request;
        match self {
            Directive::ClientAddress => write_or_dash(request.client_address().as_bytes(), out),
            Directive::Nothing => out.push(b'-'),
            Directive::User => write_user(request, out),
            Directive::Time(form) => write_time(*form, clock.since_epoch(request.received), out),
            Directive::RequestLine => write_or_dash(request.request_line(), out),
            Directive::Status => write_number(record.status.into(), out),
            Directive::ContentOrDash if record.sent == 0 => out.push(b'-'),
            Directive::ContentOrDash | Directive::Content => write_number(record.sent.into(), out),
            Directive::Method => write_or_dash(request.method_name(), out),
            Directive::Path if request.has_line() => write_or_dash(request.original_path(), out),
            Directive::Path => out.push(b'-'),
            Directive::Query => write_query(request, out),
            Directive::Version if request.has_line() => out.extend_from_slice(version(request)),
            Directive::Version => out.push(b'-'),
            Directive::ServerName => write_or_dash(request.server_name().as_bytes(), out),
            Directive::ServerPort => write_or_dash(request.server_port().as_bytes(), out),
            Directive::Duration(unit) => write_number(unit.count(record.duration()), out),
            Directive::RequestField { name, known } => write_field(request, name, *known, out),
            Directive::RequestId => request.id().write(out),
            Directive::ConnectionState => out.push(match record.ending {
                Ending::Kept => b'+',
                Ending::Closed => b'-',
                Ending::Aborted => b'X',
            }),
        }
    }
}

fn write_or_dash(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes {
        [] => out.push(b'-'),
        _ => write_quoted(bytes, out),
    }
}

fn write_number(number: u128, out: &mut Vec<u8>) {
    let _ = write!(out, "{number}");
}

fn write_user(request: &Request, out: &mut Vec<u8>) {
    let value = request.field(FieldName::Authorization).unwrap_or_default();
    if !write_basic_user(value, out) {
        out.push(b'-');
    }
}

fn write_time(form: TimeForm, since_epoch: Duration, out: &mut Vec<u8>) {
    match form {
        TimeForm::Common => time::write_common(since_epoch, out),
        TimeForm::Since(unit) => write_number(unit.count(since_epoch), out),
    }
}

fn write_query(request: &Request, out: &mut Vec<u8>) {
    let query = request.query();
    if !query.is_empty() {
        out.push(b'?');
        write_quoted(query, out);
    }
}

fn version(request: &Request) -> &'static [u8] {
    match request.version() {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
    }
}

/// All values of that name, in one list, as Apache joins them.
fn write_field(request: &Request, name: &str, known: FieldName, out: &mut Vec<u8>) {
    let is_meant = |field: FieldName, sent: &[u8]| match known.index() {
        Some(_) => field == known,
        None => sent.eq_ignore_ascii_case(name.as_bytes()),
    };
    let mut values = request
        .fields()
        .filter(|(field, sent, _)| is_meant(*field, sent))
        .map(|(.., value)| value);
    let Some(first) = values.next() else {
        out.push(b'-');
        return;
    };
    write_quoted(first, out);
    for value in values {
        out.extend_from_slice(b", ");
        write_quoted(value, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{line, record};
    use super::*;

    fn custom(format: &str, head: &str) -> String {
        let pieces = parse(format).unwrap_or_else(|error| panic!("{error}"));
        let mut out = Vec::new();
        let record = record(head);
        for piece in pieces {
            piece.write(&record, &Clock::now(), &mut out);
        }
        String::from_utf8(out).expect("ascii")
    }

    fn refused(format: &str) -> String {
        parse(format).expect_err("refused").to_string()
    }

    const HEAD: &str = "GET /a%20b?q=1 HTTP/1.1\r\nHost: x.test\r\nX-Tag: one\r\nx-tag: two\r\n\
                        User-Agent: cherry \"pie\"\r\nX-Request-ID: id-7\r\nEmpty:\r\n\r\n";

    #[test]
    fn every_directive_writes_its_value() {
        let cases = [
            ("%h %a %l %u", "192.0.2.7 192.0.2.7 - -"),
            ("%r", "GET /a%20b?q=1 HTTP/1.1"),
            ("%m|%U|%q|%H", "GET|/a%20b|?q=1|HTTP/1.1"),
            ("%s %>s %b %B", "200 200 12 12"),
            ("%v:%p", "server.test:8000"),
            ("%D %T %{s}T %{ms}T %{us}T", "1234567 1 1 1234 1234567"),
            ("%{User-Agent}i", r#"cherry \"pie\""#),
            ("%{x-tag}i", "one, two"),
            ("[%{Empty}i] %{Absent}i", "[] -"),
            ("%L %X", "id-7 +"),
            ("100%% %%h é", "100% %h é"),
        ];
        for (format, expected) in cases {
            assert_eq!(custom(format, HEAD), expected, "{format}");
        }
    }

    #[test]
    fn a_request_without_a_sound_line_has_dashes() {
        assert_eq!(custom("\"%r\" %m %U [%q] %H", ""), "\"-\" - - [] -");
    }

    #[test]
    fn the_time_is_when_the_request_was_received() {
        let epoch = |text: String| text.parse::<u128>().expect("a number");
        let seconds = epoch(custom("%{sec}t", HEAD));
        let millis = epoch(custom("%{msec}t", HEAD));
        assert!(millis / 1000 - seconds <= 1);
        assert!(epoch(custom("%{usec}t", HEAD)) / 1_000_000 - seconds <= 1);
    }

    #[test]
    fn an_unknown_directive_is_refused_with_its_place_and_the_known_ones() {
        assert_eq!(
            refused("é %h %y"),
            format!("%y at position 6 is not a known directive; {KNOWN}")
        );
        assert!(refused("%h %").starts_with("% at position 4 is not a known directive"));
        assert!(refused("%>h").starts_with("%>h at position 1 is not a known directive"));
        assert!(refused("%{Name}C").starts_with("%{Name}C at position 1 is not a known"));
        assert!(refused("%400s").starts_with("%4 at position 1 is not a known directive"));
        assert!(refused("%é").starts_with("%é at position 1 is not a known directive"));
    }

    #[test]
    fn a_known_directive_with_a_wrong_argument_says_what_to_write() {
        let cases = [
            (
                "%i",
                "%i at position 1 needs the name of a request field; write for instance %{User-Agent}i",
            ),
            (
                "%{User Agent}i",
                "%{User Agent}i at position 1 does not name a request field; write for instance %{User-Agent}i",
            ),
            (
                "%{User-Agent",
                "%{User-Agent at position 1 has no closing brace; write for instance %{User-Agent}i",
            ),
            (
                "%{Content-Type}o",
                "%{Content-Type}o at position 1 asks for a response field, and these are not kept for the log; leave it out",
            ),
            (
                "%{%Y-%m}t",
                "%{%Y-%m}t at position 1 is not a known form of the time; write %t, %{sec}t, %{msec}t or %{usec}t",
            ),
            (
                "%{h}T",
                "%{h}T at position 1 is not a known unit of the duration; write %T, %{s}T, %{ms}T, %{us}T or %D",
            ),
            (
                "%h\n%r",
                "a control character at position 3; write the format on one line; a record is one line",
            ),
        ];
        for (format, expected) in cases {
            assert_eq!(refused(format), expected);
        }
    }

    #[test]
    fn the_error_names_every_directive_there_is() {
        for written in KNOWN
            .split([' ', ','])
            .filter(|word| word.starts_with('%') && word.len() <= 3)
        {
            assert!(parse(written).is_ok(), "{written}");
        }
    }

    #[test]
    fn combined_is_apaches() {
        let line = line(&crate::config::AccessLogFormat::Combined, &record(HEAD));
        let (before, rest) = line.split_once('[').expect("a time");
        let (_, after) = rest.split_once(']').expect("a time");
        assert_eq!(before, "192.0.2.7 - - ");
        assert_eq!(
            after,
            " \"GET /a%20b?q=1 HTTP/1.1\" 200 12 \"-\" \"cherry \\\"pie\\\"\"\n"
        );
    }
}
