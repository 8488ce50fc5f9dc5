//! A line of JSON: one object, its keys named after OpenTelemetry's semantic conventions.
//!
//! What is not known is left out. The keys and their order are the same for all requests.

use std::io::Write as _;

use kirsch_http::{FieldName, Version};

use super::escape::write_json;
use super::time::{self, Clock};
use super::{Ending, Record};

/// Appends a record's object, without a line end.
pub(super) fn write(record: &Record, clock: &Clock, out: &mut Vec<u8>) {
    let request = &*record.request;
    out.extend_from_slice(b"{\"timestamp\":\"");
    time::write_rfc3339(clock.since_epoch(request.received), out);
    out.push(b'"');
    write_text("client.address", request.client_address().as_bytes(), out);
    if let Some(port) = request.client_port() {
        write_value("client.port", port, out);
    }
    if request.has_line() {
        write_text("http.request.method", request.method_name(), out);
        write_text("url.path", request.original_path(), out);
        write_text("url.query", request.query(), out);
        write_text("network.protocol.version", version(request.version()), out);
    }
    write_value("http.response.status_code", record.status, out);
    write_value("http.response.body.size", record.sent, out);
    let duration = record.duration();
    write_value(
        "http.server.request.duration",
        format_args!("{}.{:06}", duration.as_secs(), duration.subsec_micros()),
        out,
    );
    for (key, name) in [
        ("user_agent.original", FieldName::UserAgent),
        ("http.request.header.referer", FieldName::Referer),
    ] {
        write_text(key, request.field(name).unwrap_or_default(), out);
    }
    let host = request.authority().unwrap_or_default();
    write_text("http.request.header.host", host, out);
    write_text("server.address", request.server_name().as_bytes(), out);
    if let Ok(port) = request.server_port().parse::<u16>() {
        write_value("server.port", port, out);
    }
    write_value("request.id", format_args!("\"{}\"", request.id()), out);
    write_value("complete", record.ending != Ending::Aborted, out);
    out.push(b'}');
}

fn version(version: Version) -> &'static [u8] {
    match version {
        Version::Http10 => b"1.0",
        Version::Http11 => b"1.1",
    }
}

/// A member with a string that the client may have chosen; none if it is empty.
fn write_text(key: &str, text: &[u8], out: &mut Vec<u8>) {
    if text.is_empty() {
        return;
    }
    write_key(key, out);
    out.push(b'"');
    write_json(text, out);
    out.push(b'"');
}

/// A member whose value is JSON as it prints. Ids are harmless by the rule in `request.rs`.
fn write_value(key: &str, value: impl std::fmt::Display, out: &mut Vec<u8>) {
    write_key(key, out);
    let _ = write!(out, "{value}");
}

fn write_key(key: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

#[cfg(test)]
mod tests {
    use super::super::tests::{line, record};
    use crate::config::AccessLogFormat;

    /// The line without its timestamp.
    fn json(head: &str) -> String {
        let line = line(&AccessLogFormat::Json, &record(head));
        let (_, rest) = line.split_once("Z\",").expect("a timestamp first");
        rest.to_owned()
    }

    #[test]
    fn an_object_has_what_is_known() {
        let head = "POST /a?b=c HTTP/1.1\r\nHost: x.test:80\r\nUser-Agent: ch\"\u{e9}\r\n\
                    Referer: http://a.test/\r\nX-Request-ID: id-7\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(
            json(head),
            "\"client.address\":\"192.0.2.7\",\"client.port\":4711,\
             \"http.request.method\":\"POST\",\"url.path\":\"/a\",\"url.query\":\"b=c\",\
             \"network.protocol.version\":\"1.1\",\"http.response.status_code\":200,\
             \"http.response.body.size\":12,\"http.server.request.duration\":1.234567,\
             \"user_agent.original\":\"ch\\\"\\u00e9\",\
             \"http.request.header.referer\":\"http://a.test/\",\
             \"http.request.header.host\":\"x.test:80\",\
             \"server.address\":\"server.test\",\"server.port\":8000,\
             \"request.id\":\"id-7\",\"complete\":true}\n"
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        assert_eq!(
            json(""),
            "\"client.address\":\"192.0.2.7\",\"client.port\":4711,\
             \"http.response.status_code\":200,\
             \"http.response.body.size\":12,\"http.server.request.duration\":1.234567,\
             \"server.address\":\"server.test\",\"server.port\":8000,\
             \"request.id\":\"0000000000000000\",\"complete\":true}\n"
        );
    }
}
