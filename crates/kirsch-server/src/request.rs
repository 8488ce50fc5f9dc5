//! A request as received: its head in the buffer it was read into, its body, where it came from.
//!
//! It travels by value with the exchange, and its buffers are used again for a later request.

use std::any::Any;
use std::fmt::{self, Write as _};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kirsch_http::{
    BodyLength, Field, FieldEdits, FieldName, Head, Method, Span, TargetForm, Version,
};

use kirsch_tls::Variables;

use crate::body::Body;
use crate::forwarded::{Forwarded, Scheme};
use crate::gateway::Terms;

/// Names longer than this are not taken over as a request's id.
const LONGEST_ID: usize = 128;

/// So much of a request line that is not sound, or of a target in the error log, tells what it was meant to be.
const SHOWN_BYTES: usize = 256;

/// Stands in a request whose head has not arrived.
const NO_HEAD: Head = Head {
    len: 0,
    method: Method::Other,
    method_name: Span { start: 0, end: 0 },
    target: Span { start: 0, end: 0 },
    form: TargetForm::Origin,
    path: Span { start: 0, end: 0 },
    query: Span { start: 0, end: 0 },
    authority: None,
    version: Version::Http11,
    body: BodyLength::None,
    keep_alive: false,
    expect_continue: false,
};

/// One request.
pub struct Request {
    /// The bytes of the head; `head` and `fields` point into it. While it is being read, all bytes so far.
    pub(crate) buf: Vec<u8>,
    pub(crate) fields: Vec<Field>,
    pub(crate) head: Head,
    pub(crate) body: Body,
    /// The lines behind a chunked body, where they are kept.
    pub(crate) trailers: Vec<u8>,
    pub(crate) origin: Option<Arc<Origin>>,
    /// What trusted proxies say.
    pub(crate) forwarded: Option<Box<Forwarded>>,
    pub(crate) received: Instant,
    pub(crate) id: u64,
    /// On which terms it is served; `None` until its head was complete.
    pub(crate) terms: Option<Terms>,
    /// What the router chose.
    pub(crate) chosen: Chosen,
    /// Bytes of the path in front that are where the application is mounted.
    pub(crate) mount_len: usize,
    /// The path that takes the place of the one that was sent.
    pub(crate) rewritten: Option<Vec<u8>>,
    /// What is changed in the fields of its response.
    pub(crate) edits: Option<Arc<FieldEdits>>,
}

/// What a router chose for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// None was asked yet.
    #[default]
    Unasked,
    /// The route of this place.
    Route(usize),
    /// No route, though one is for the request's host.
    Nothing,
    /// No route is for the request's host.
    UnknownHost,
    /// A second router was asked, and there is no room for what both chose.
    Twice,
}

/// Where a connection comes from and where it arrived; the same for all its requests.
#[derive(Debug)]
pub struct Origin {
    /// The peer's address; `None` on unix sockets.
    pub peer: Option<SocketAddr>,
    /// The peer's address as text, `REMOTE_ADDR` of CGI; empty on unix sockets.
    pub peer_address: String,
    /// Name and port of the listener that accepted the connection.
    pub local: Arc<LocalName>,
    /// What the application is told of TLS; `None` without TLS.
    pub tls: Option<Secured>,
}

/// What is told of a connection over TLS: the same for all its requests.
#[derive(Debug)]
pub struct Secured {
    /// The `SSL_*` variables.
    pub variables: Variables,
    kept: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Secured {
    pub(crate) fn new(variables: Variables) -> Secured {
        Secured {
            variables,
            kept: OnceLock::new(),
        }
    }

    /// What a gateway has made of the variables, once for the connection. `None` where another kind of gateway was
    /// first: they share the place.
    pub fn kept<T: Send + Sync + 'static>(&self, make: impl FnOnce(&Variables) -> T) -> Option<&T> {
        let kept = self.kept.get_or_init(|| Box::new(make(&self.variables)));
        kept.downcast_ref()
    }
}

/// The name a listener gives the server: `SERVER_NAME` and `SERVER_PORT` of CGI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalName {
    /// Which listener this is, counted from 0 in the order of the binds.
    pub listener: usize,
    /// A host name or address as a URL has it, so an IPv6 address stands in brackets; never empty.
    pub name: String,
    /// A port; `80` for unix sockets, since CGI demands that it is not empty and applications expect a number.
    pub port: String,
    /// What is spoken there.
    pub scheme: Scheme,
}

impl Request {
    pub(crate) fn new() -> Request {
        Request {
            buf: Vec::with_capacity(8 * 1024),
            fields: Vec::with_capacity(16),
            head: NO_HEAD,
            body: Body::Empty,
            trailers: Vec::new(),
            origin: None,
            forwarded: None,
            received: Instant::now(),
            id: 0,
            terms: None,
            chosen: Chosen::Unasked,
            mount_len: 0,
            rewritten: None,
            edits: None,
        }
    }

    /// Forgets everything but the buffers.
    pub(crate) fn clear(&mut self) {
        self.buf.clear();
        self.fields.clear();
        self.head = NO_HEAD;
        self.body = Body::Empty;
        self.trailers = Vec::new();
        self.origin = None;
        self.forwarded = None;
        self.terms = None;
        self.chosen = Chosen::Unasked;
        self.mount_len = 0;
        self.rewritten = None;
        self.edits = None;
    }

    /// The facts of the head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The method as sent.
    pub fn method_name(&self) -> &[u8] {
        self.head.method_name.of(&self.buf)
    }

    /// Whether this is a HEAD request, whose response has no content.
    pub fn is_head(&self) -> bool {
        self.head.method == Method::Head
    }

    /// The request target as sent, in whichever form: a path with its query, an absolute URI, or `*`.
    pub fn target(&self) -> &[u8] {
        self.head.target.of(&self.buf)
    }

    /// The request line as sent, without its end. Of one that is not sound, or not whole, the start.
    pub(crate) fn request_line(&self) -> &[u8] {
        if !self.has_line() {
            return self.start_of_line();
        }
        let line = &self.buf[self.head.method_name.start as usize..];
        let len = memchr::memchr(b'\r', line).unwrap_or(line.len());
        &line[..len]
    }

    /// Whether its body is handed on while it arrives.
    pub(crate) fn streams_body(&self) -> bool {
        self.terms.as_ref().is_some_and(|terms| terms.streams_body)
    }

    fn start_of_line(&self) -> &[u8] {
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        // An empty line before it is none of it (RFC 9112, 2.2).
        let start = self.buf.iter().take_while(|byte| is_end(byte)).count();
        let line = &self.buf[start..];
        let len = line
            .iter()
            .take(SHOWN_BYTES)
            .take_while(|byte| !is_end(byte))
            .count();
        &line[..len]
    }

    /// What it asks for, for the error log: `GET /path`, with nothing in it that could forge a line.
    pub(crate) fn asks_for(&self) -> String {
        let line = self.request_line();
        let target = line
            .iter()
            .rposition(|byte| *byte == b' ')
            .filter(|_| self.has_line());
        let line = &line[..target.unwrap_or(line.len()).min(SHOWN_BYTES)];
        line.escape_ascii().to_string()
    }

    /// Whether method and target are known; they are for every request but one refused for its very
    /// request line, or before that was there.
    pub(crate) fn has_line(&self) -> bool {
        !self.head.method_name.is_empty()
    }

    /// The path asked for, undecoded: that of the target, `/` for an absolute-form target without one, or what a
    /// route has made of it.
    pub fn path(&self) -> &[u8] {
        match &self.rewritten {
            Some(path) => path,
            None => self.original_path(),
        }
    }

    /// The part of the path, undecoded, under which the application is mounted: the prefix of the route that leads
    /// to it. Empty, or it begins with a slash and does not end with one.
    pub fn mount(&self) -> &[u8] {
        &self.path()[..self.mount_len]
    }

    /// The rest of the path, undecoded: empty, or it begins with a slash, which may be written as `%2F`.
    pub fn path_below_mount(&self) -> &[u8] {
        &self.path()[self.mount_len..]
    }

    /// Whether the path is another than the target's.
    pub fn is_rewritten(&self) -> bool {
        self.rewritten.is_some()
    }

    /// The path of the target, undecoded, whatever a route has made of it; for logs.
    pub(crate) fn original_path(&self) -> &[u8] {
        match self.head.path.of(&self.buf) {
            b"" => b"/",
            path => path,
        }
    }

    /// What follows the `?` of the target; empty without one.
    pub fn query(&self) -> &[u8] {
        self.head.query.of(&self.buf)
    }

    /// The host asked for, from an absolute-form target or the `Host` field, or as a trusted proxy says.
    pub fn authority(&self) -> Option<&[u8]> {
        let forwarded = self.forwarded.as_ref().and_then(|it| it.host.as_deref());
        forwarded.or_else(|| self.head.authority.map(|span| span.of(&self.buf)))
    }

    /// How the client speaks: as the listener that it came to, unless a trusted proxy says otherwise.
    pub fn scheme(&self) -> Scheme {
        let forwarded = self.forwarded.as_ref().and_then(|it| it.scheme);
        let spoken = || self.origin.as_ref().map(|origin| origin.local.scheme);
        forwarded.or_else(spoken).unwrap_or(Scheme::Http)
    }

    /// The part of the path that a trusted proxy took off, decoded: it stands in front of `SCRIPT_NAME`.
    pub fn prefix(&self) -> &[u8] {
        let forwarded = self.forwarded.as_ref().and_then(|it| it.prefix.as_deref());
        forwarded.unwrap_or_default()
    }

    /// Whether anything of this request is what a trusted proxy says.
    pub fn is_forwarded(&self) -> bool {
        self.forwarded.is_some()
    }

    /// The protocol version.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The fields in the order received: known name, name as sent, value.
    pub fn fields(&self) -> impl Iterator<Item = (FieldName, &[u8], &[u8])> {
        self.fields.iter().map(|field| {
            (
                field.known,
                field.name.of(&self.buf),
                field.value.of(&self.buf),
            )
        })
    }

    /// The value of the first field of that name, without the blanks around it.
    pub fn field(&self, name: FieldName) -> Option<&[u8]> {
        self.fields()
            .find(|(known, ..)| *known == name)
            .map(|(.., value)| value)
    }

    /// Where the request comes from.
    ///
    /// # Panics
    ///
    /// Never for a request that was dispatched.
    pub fn origin(&self) -> &Origin {
        self.origin
            .as_ref()
            .expect("set when the head was complete")
    }

    /// The client's address as text: that of the peer, empty on unix sockets, or what a trusted proxy says.
    pub fn client_address(&self) -> &str {
        if let Some(client) = self.forwarded.as_ref().and_then(|it| it.client.as_ref()) {
            return &client.address;
        }
        self.origin
            .as_ref()
            .map_or("", |origin| &origin.peer_address)
    }

    /// The client's address: that of the peer, none on unix sockets, or what a trusted proxy says.
    ///
    /// An IPv4 address has its own form, also where it came to a dual-stack socket.
    pub fn client_ip(&self) -> Option<IpAddr> {
        if let Some(client) = self.forwarded.as_ref().and_then(|it| it.client.as_ref()) {
            return Some(client.ip);
        }
        let peer = self.origin.as_ref()?.peer?;
        Some(peer.ip().to_canonical())
    }

    /// The client's port, as far as it is known.
    pub fn client_port(&self) -> Option<u16> {
        if let Some(client) = self.forwarded.as_ref().and_then(|it| it.client.as_ref()) {
            return client.port;
        }
        let peer = self.origin.as_ref()?.peer?;
        Some(peer.port())
    }

    /// The name of the listener that it came to.
    pub(crate) fn server_name(&self) -> &str {
        self.origin.as_ref().map_or("", |origin| &origin.local.name)
    }

    /// The port that the client came to: that of the listener, or what a trusted proxy says.
    pub fn server_port(&self) -> &str {
        if let Some(port) = self.forwarded.as_ref().and_then(|it| it.port.as_deref()) {
            return port;
        }
        self.origin.as_ref().map_or("", |origin| &origin.local.port)
    }

    /// When the head was complete; the access log counts a request's duration from here.
    pub fn received(&self) -> Instant {
        self.received
    }

    /// Takes the body out; a second call finds it empty.
    pub fn take_body(&mut self) -> Body {
        mem::take(&mut self.body)
    }

    /// Takes the trailer section of a chunked body, lines with their CRLF: kept for programs written for cheroot
    /// (`Config::cheroot`), and never more than 8 KiB.
    pub fn take_trailers(&mut self) -> Vec<u8> {
        mem::take(&mut self.trailers)
    }

    /// The request's id: the `X-Request-ID` it came with if that is harmless, else one of ours.
    pub fn id(&self) -> RequestId<'_> {
        let given = self
            .field(FieldName::XRequestId)
            .and_then(|value| std::str::from_utf8(value).ok());
        match given {
            Some(id) if is_harmless(id) => RequestId::Given(id),
            _ => RequestId::Own(self.id),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = String::from_utf8_lossy(self.method_name());
        write!(
            f,
            "Request({method} {})",
            String::from_utf8_lossy(self.target())
        )
    }
}

/// A request's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestId<'a> {
    /// Taken from the request.
    Given(&'a str),
    /// Made by the server.
    Own(u64),
}

/// What may stand in a log line and a field value without being escaped.
fn is_harmless(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= LONGEST_ID
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:+/=@".contains(&byte))
}

impl fmt::Display for RequestId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestId::Given(id) => f.write_str(id),
            RequestId::Own(id) => write!(f, "{id:016x}"),
        }
    }
}

impl<'a> RequestId<'a> {
    /// The id; one of our own is written into `room`.
    pub(crate) fn bytes<'b>(self, room: &'b mut [u8; 16]) -> &'b [u8]
    where
        'a: 'b,
    {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        match self {
            RequestId::Given(id) => id.as_bytes(),
            RequestId::Own(id) => {
                for (place, byte) in room.iter_mut().enumerate() {
                    *byte = HEX[(id >> (60 - place * 4)) as usize & 15];
                }
                room
            }
        }
    }

    /// Writes the id into a buffer that is used again.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes(&mut [0; 16]));
    }

    /// The id as text.
    pub fn to_text(self) -> String {
        let mut text = String::with_capacity(16);
        let _ = write!(text, "{self}");
        text
    }
}

/// Makes ids that differ within a process and, very likely, between processes.
pub(crate) struct RequestIds(AtomicU64);

impl RequestIds {
    pub(crate) fn new() -> RequestIds {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_nanos() as u64);
        let seed = time ^ (u64::from(std::process::id()) << 40);
        RequestIds(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    pub(crate) fn next(&self) -> u64 {
        // An odd step visits every number before it repeats one; a large one makes neighbours look different.
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_over_only_if_it_cannot_forge_a_log_line() {
        assert!(is_harmless("7f3a-41.b"));
        assert!(!is_harmless("a b"));
        assert!(!is_harmless("a\"b"));
        assert!(!is_harmless("é"));
        assert!(!is_harmless(""));
        assert!(!is_harmless(&"a".repeat(129)));
    }

    #[test]
    fn a_request_line_that_is_not_sound_is_shown_as_far_as_it_goes() {
        let mut request = Request::new();
        for (bytes, line) in [
            (
                &b"GET /a\x01b HTTP/1.1\r\nHost: a\r\n"[..],
                &b"GET /a\x01b HTTP/1.1"[..],
            ),
            (b"\r\nGET /a HTTP/3\n\n", b"GET /a HTTP/3"),
            (b"GET /unfin", b"GET /unfin"),
            (b"", b""),
            (&[b'a'; 70_000], &[b'a'; 256]),
        ] {
            request.buf = bytes.to_vec();
            assert_eq!(request.request_line(), line);
        }
        assert_eq!(request.asks_for(), "a".repeat(256));
        request.buf = b"\x16\x03\n".to_vec();
        assert_eq!(request.asks_for(), "\\x16\\x03");
    }

    #[test]
    fn an_own_id_reads_the_same_everywhere() {
        let mut bytes = Vec::new();
        RequestId::Own(0x0123_4567_89ab_cdef).write(&mut bytes);
        assert_eq!(bytes, b"0123456789abcdef");
        assert_eq!(
            RequestId::Own(0x0123_4567_89ab_cdef).to_text(),
            "0123456789abcdef"
        );
    }
}
