//! Reads responses from the bytes a server sent. It trusts them: they are ours.

/// One response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WireResponse {
    /// The status code.
    pub status: u16,
    /// Status line and fields, without the empty line.
    pub head: String,
    /// The decoded body.
    pub body: Vec<u8>,
    /// Whether the end of the body was seen; never for one that ends with the connection.
    pub complete: bool,
}

impl WireResponse {
    /// The values of all fields of this name.
    pub fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head.split("\r\n").skip(1).filter_map(move |line| {
            let (line_name, value) = line.split_once(": ")?;
            line_name.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Whether the response announces the end of the connection.
    pub fn says_close(&self) -> bool {
        self.fields("Connection").any(|value| value == "close")
    }
}

/// Splits `wire` into responses; `is_head` says for each final one whether it answers HEAD.
///
/// # Panics
///
/// If the bytes are not responses.
pub fn read_responses(mut wire: &[u8], is_head: impl Fn(usize) -> bool) -> Vec<WireResponse> {
    let mut responses: Vec<WireResponse> = Vec::new();
    while !wire.is_empty() {
        let end = memchr::memmem::find(wire, b"\r\n\r\n").expect("a head ends with an empty line");
        let head: String = wire[..end].iter().copied().map(char::from).collect();
        let status = head
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .expect("a status line");
        let status = status.parse().expect("a status code");
        wire = &wire[end + 4..];
        let finals = responses
            .iter()
            .filter(|response| response.status >= 200)
            .count();
        let mut response = WireResponse {
            status,
            head,
            body: Vec::new(),
            complete: true,
        };
        if status >= 200 && status != 204 && status != 304 && !is_head(finals) {
            wire = read_body(wire, &mut response);
        }
        responses.push(response);
    }
    responses
}

fn read_body<'a>(wire: &'a [u8], response: &mut WireResponse) -> &'a [u8] {
    let length = response
        .fields("Content-Length")
        .next()
        .map(|value| value.parse().expect("a length"));
    let chunked = response.fields("Transfer-Encoding").next().is_some();
    match length {
        Some(_) if chunked => panic!("a length and chunks"),
        Some(length) => take(wire, length, response),
        None if chunked => read_chunks(wire, response),
        None => {
            response.complete = false;
            response.body.extend_from_slice(wire);
            &[]
        }
    }
}

fn read_chunks<'a>(mut wire: &'a [u8], response: &mut WireResponse) -> &'a [u8] {
    while let Some(end) = memchr::memmem::find(wire, b"\r\n") {
        let size = std::str::from_utf8(&wire[..end]).expect("a chunk size is ASCII");
        let size = usize::from_str_radix(size, 16).expect("a chunk size is hexadecimal");
        wire = take(&wire[end + 2..], size, response);
        wire = wire.strip_prefix(b"\r\n").expect("CRLF behind a chunk");
        if size == 0 {
            return wire;
        }
    }
    response.complete = false;
    assert!(wire.is_empty(), "dirt behind an aborted body");
    wire
}

fn take<'a>(wire: &'a [u8], len: usize, response: &mut WireResponse) -> &'a [u8] {
    let (body, rest) = wire.split_at(len.min(wire.len()));
    response.complete &= body.len() == len;
    response.body.extend_from_slice(body);
    rest
}
