//! The fields that the server writes itself, into the application's heads and into its own.
//!
//! It does not know when one is due; that is `response_head.rs` and `error_response.rs`.

use super::head::Version;

/// What the server puts into every head.
#[derive(Clone, Copy, Debug)]
pub struct CommonFields<'a> {
    /// An IMF-fixdate of 29 bytes.
    pub date: &'a [u8],
    /// The value of Server, if it is to be sent.
    pub server: Option<&'a [u8]>,
    /// The value of X-Request-ID, if it is to be sent.
    pub request_id: Option<&'a [u8]>,
    /// Seconds that an HTTP/1.0 client is told its connection stays open, where it is told
    /// ([`Dialect::Cheroot`](crate::Dialect::Cheroot)).
    pub keep_alive: Option<u64>,
}

/// Date, X-Request-ID and Server; an empty date is left out.
pub(crate) fn push_common(out: &mut Vec<u8>, common: &CommonFields<'_>) {
    if !common.date.is_empty() {
        push_field(out, b"Date", common.date);
    }
    if let Some(request_id) = common.request_id {
        push_field(out, b"X-Request-ID", request_id);
    }
    if let Some(server) = common.server {
        push_field(out, b"Server", server);
    }
}

/// Says what becomes of the connection, where the version's default does not (RFC 9112 section 9.3).
pub(crate) fn push_connection(
    out: &mut Vec<u8>,
    version: Version,
    keep_alive: bool,
    common: &CommonFields<'_>,
) {
    if let (Version::Http10, Some(seconds)) = (version, common.keep_alive) {
        if keep_alive {
            push_field(out, b"Connection", b"Keep-Alive");
            push_field(out, b"Keep-Alive", format!("timeout={seconds}").as_bytes());
        }
        return;
    }
    match (keep_alive, version) {
        (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (true, Version::Http11) => {}
    }
}

pub(crate) fn push_length(out: &mut Vec<u8>, length: u64) {
    let mut digits = [0; 20];
    push_field(out, b"Content-Length", decimal(length, &mut digits));
}

pub(crate) fn push_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes `value` into the end of `digits`, which holds the longest `u64`.
fn decimal(mut value: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &digits[at..];
        }
    }
}
