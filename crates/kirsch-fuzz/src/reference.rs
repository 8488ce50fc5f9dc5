//! Second opinions, written from the RFCs, without a thought for speed, and stricter than a client would be.
//!
//! Nothing here knows `kirsch-http`. Each reader gets all bytes at once.

/// A request head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestHead {
    /// How many bytes it has, empty lines in front included.
    pub len: usize,
    /// A token.
    pub method: String,
    /// As it was sent.
    pub target: Vec<u8>,
    /// The digit behind `HTTP/1.`.
    pub minor: u8,
    /// Names and values, in their order.
    pub fields: Vec<(String, Vec<u8>)>,
    /// How long the body is.
    pub body: BodyLength,
    /// Whether another request may follow.
    pub keep_alive: bool,
}

/// How a request's body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyLength {
    /// There is none.
    None,
    /// After so many bytes.
    Known(u64),
    /// With the last chunk.
    Chunked,
}

/// Reads the head at the start of `bytes`.
///
/// # Errors
///
/// What is wrong with it: it may also not be whole.
pub fn request_head(bytes: &[u8]) -> Result<RequestHead, String> {
    let mut start = 0;
    while bytes[start..].starts_with(b"\r\n") && start < 4 {
        start += 2;
    }
    let end = memchr::memmem::find(&bytes[start..], b"\r\n\r\n").ok_or("no empty line")?;
    let mut lines = lines_of(&bytes[start..start + end])?.into_iter();
    let line = lines.next().unwrap_or_default();
    let parts: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [method, target, version] = parts[..] else {
        return Err(format!("{} parts in the request line", parts.len()));
    };
    let [
        b'H',
        b'T',
        b'T',
        b'P',
        b'/',
        b'1',
        b'.',
        minor @ b'0'..=b'9',
    ] = version
    else {
        return Err(format!("version {}", version.escape_ascii()));
    };
    if !is_token(method) {
        return Err("the method is no token".to_owned());
    }
    if target.is_empty()
        || target
            .iter()
            .any(|&byte| byte <= b' ' || byte == 0x7f || byte == b'#')
    {
        return Err("the target holds what it must not".to_owned());
    }
    let fields = lines
        .map(|line| field_of(line, Spacing::Free))
        .collect::<Result<Vec<_>, _>>()?;
    let minor = minor - b'0';
    Ok(RequestHead {
        len: start + end + 4,
        method: latin1(method),
        target: target.to_vec(),
        minor,
        body: body_length(&fields, minor)?,
        keep_alive: keeps_alive(&fields, minor),
        fields,
    })
}

/// RFC 9112 section 6.3, refusing whatever two readers could see differently.
fn body_length(fields: &[(String, Vec<u8>)], minor: u8) -> Result<BodyLength, String> {
    let codings = values(fields, "transfer-encoding");
    let lengths = values(fields, "content-length");
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Ok(BodyLength::None),
        ([], [length]) => Ok(BodyLength::Known(decimal(length)?)),
        ([], _) => Err("several lengths".to_owned()),
        ([coding], []) if minor >= 1 && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(BodyLength::Chunked)
        }
        _ => Err("a coding that is not chunked, not alone, or not in HTTP/1.1".to_owned()),
    }
}

fn keeps_alive(fields: &[(String, Vec<u8>)], minor: u8) -> bool {
    let lines = values(fields, "connection");
    let says = |wanted: &[u8]| {
        lines
            .iter()
            .flat_map(|line| line.split(|&byte| byte == b','))
            .any(|option| trim(option).eq_ignore_ascii_case(wanted))
    };
    !says(b"close") && (minor >= 1 || says(b"keep-alive"))
}

/// A chunked body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Chunked {
    /// All of it, and how many bytes it took.
    Whole {
        /// What was coded.
        body: Vec<u8>,
        /// How many bytes it took.
        len: usize,
    },
    /// More bytes are needed to tell; this is the body so far.
    More(Vec<u8>),
    /// It is not one.
    Bad(String),
}

/// Decodes the chunked body at the start of `bytes` (RFC 9112 section 7.1).
pub fn chunked(bytes: &[u8]) -> Chunked {
    let mut body = Vec::new();
    let mut rest = bytes;
    let bad = |text: &str| Chunked::Bad(text.to_owned());
    loop {
        let (line, behind) = match next_line(rest) {
            Ok(Some(found)) => found,
            Ok(None) => return Chunked::More(body),
            Err(text) => return Chunked::Bad(text),
        };
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        if !(1..=16).contains(&digits) || !is_extensions(&line[digits..]) {
            return bad("not a chunk-size line");
        }
        let size = line[..digits].iter().fold(0_u64, |size, &digit| {
            size << 4 | u64::from(char::from(digit).to_digit(16).unwrap_or_default())
        });
        rest = behind;
        if size == 0 {
            break;
        }
        let Some((data, behind)) = usize::try_from(size)
            .ok()
            .and_then(|size| rest.split_at_checked(size))
        else {
            return Chunked::More(body);
        };
        body.extend_from_slice(data);
        rest = match behind {
            [b'\r', b'\n', behind @ ..] => behind,
            [] | [b'\r'] => return Chunked::More(body),
            _ => return bad("no line end behind a chunk"),
        };
    }
    loop {
        let (line, behind) = match next_line(rest) {
            Ok(Some(found)) => found,
            Ok(None) => return Chunked::More(body),
            Err(text) => return Chunked::Bad(text),
        };
        rest = behind;
        if line.is_empty() {
            let len = bytes.len() - rest.len();
            return Chunked::Whole { body, len };
        }
        if let Err(text) = field_of(line, Spacing::Free) {
            return Chunked::Bad(text);
        }
    }
}

/// The line at the start and what follows it; `None` where its end is not there.
type Line<'a> = Option<(&'a [u8], &'a [u8])>;

fn next_line(bytes: &[u8]) -> Result<Line<'_>, String> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n") else {
        return Ok(None);
    };
    if bytes[..end].contains(&b'\n') || bytes[..end].contains(&b'\r') {
        return Err("a line end that is not CRLF".to_owned());
    }
    Ok(Some((&bytes[..end], &bytes[end + 2..])))
}

/// `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`
fn is_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(behind) = trim_start(rest).strip_prefix(b";") else {
            return false;
        };
        let Some(behind) = behind_token(trim_start(behind)) else {
            return false;
        };
        rest = behind;
        if let Some(value) = trim_start(behind).strip_prefix(b"=") {
            let value = trim_start(value);
            let Some(behind) = behind_token(value).or_else(|| behind_quoted(value)) else {
                return false;
            };
            rest = behind;
        }
    }
    true
}

fn behind_token(bytes: &[u8]) -> Option<&[u8]> {
    let len = bytes.iter().take_while(|&&byte| is_tchar(byte)).count();
    (len > 0).then(|| &bytes[len..])
}

fn behind_quoted(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', behind @ ..] => return Some(behind),
            [b'\\', pair, behind @ ..] if is_text(*pair) => behind,
            [b'\\', ..] => return None,
            [byte, behind @ ..] if is_text(*byte) => behind,
            _ => return None,
        };
    }
}

/// One response, read to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// How many bytes it took.
    pub len: usize,
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: Vec<u8>,
    /// Names and values, in their order.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The decoded body.
    pub body: Vec<u8>,
    /// How the body ended.
    pub ending: Ending,
}

/// How a response's body ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Where its framing says; the next response follows.
    Framed,
    /// With the connection, as it must.
    WithConnection,
    /// The bytes ran out before.
    Cut,
}

/// Reads the response at the start of `wire`, as a client that knows whether it asked with HEAD.
///
/// # Errors
///
/// What is wrong with it.
pub fn response(wire: &[u8], is_head: bool) -> Result<Response, String> {
    let end = memchr::memmem::find(wire, b"\r\n\r\n").ok_or("no empty line")?;
    let mut lines = lines_of(&wire[..end])?.into_iter();
    let line = lines.next().unwrap_or_default();
    let Some(
        [
            d1 @ b'2'..=b'9',
            d2 @ b'0'..=b'9',
            d3 @ b'0'..=b'9',
            b' ',
            reason @ ..,
        ],
    ) = line.strip_prefix(b"HTTP/1.1 ")
    else {
        return Err(format!("status line {}", line.escape_ascii()));
    };
    if !reason.iter().all(|&byte| is_text(byte)) {
        return Err("the reason holds what it must not".to_owned());
    }
    let fields = lines
        .map(|line| field_of(line, Spacing::Ours))
        .collect::<Result<Vec<_>, _>>()?;
    let status = [*d1, *d2, *d3]
        .into_iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let mut response = Response {
        len: end + 4,
        status,
        reason: reason.to_vec(),
        fields,
        body: Vec::new(),
        ending: Ending::Framed,
    };
    response.read_body(&wire[end + 4..], is_head)?;
    Ok(response)
}

impl Response {
    /// The values of the fields with this name, which is given in lower case.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        values(&self.fields, name)
    }

    fn read_body(&mut self, rest: &[u8], is_head: bool) -> Result<(), String> {
        let codings = self.values("transfer-encoding");
        let lengths = self.values("content-length");
        let length = match (codings.as_slice(), lengths.as_slice()) {
            ([], []) => None,
            ([], [length]) => Some(decimal(length)?),
            ([coding], []) if *coding == b"chunked" && self.status != 204 => None,
            _ => return Err("contradictory framing".to_owned()),
        };
        if self.status == 204 && length.is_some() {
            return Err("a length with a 204".to_owned());
        }
        if is_head || self.status == 204 || self.status == 304 {
            return Ok(());
        }
        let is_chunked = !codings.is_empty();
        match length {
            _ if is_chunked => match chunked(rest) {
                Chunked::Whole { body, len } => {
                    self.body = body;
                    self.len += len;
                }
                Chunked::More(body) => {
                    self.body = body;
                    self.ending = Ending::Cut;
                    self.len += rest.len();
                }
                Chunked::Bad(text) => return Err(text),
            },
            Some(length) => {
                let len = usize::try_from(length).map_or(rest.len(), |len| len.min(rest.len()));
                self.body = rest[..len].to_vec();
                self.len += len;
                if (len as u64) < length {
                    self.ending = Ending::Cut;
                }
            }
            None => {
                self.body = rest.to_vec();
                self.len += rest.len();
                self.ending = Ending::WithConnection;
            }
        }
        Ok(())
    }
}

/// The parts of a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parts {
    /// Host and port, where the target names them.
    pub authority: Option<Vec<u8>>,
    /// Up to the `?`.
    pub path: Vec<u8>,
    /// Behind it.
    pub query: Vec<u8>,
}

/// Takes a target of a method other than CONNECT apart (RFC 9112 section 3.2).
///
/// # Errors
///
/// If it has none of the forms.
pub fn target(target: &[u8], method: &str) -> Result<Parts, String> {
    let (authority, rest) = match target {
        b"*" if method == "OPTIONS" => (None, target),
        [b'/', ..] => (None, target),
        _ => {
            let rest = target
                .get(..7)
                .filter(|scheme| scheme.eq_ignore_ascii_case(b"http://"))
                .map(|_| &target[7..])
                .ok_or("none of the forms")?;
            let len = rest
                .iter()
                .position(|&byte| byte == b'/' || byte == b'?')
                .unwrap_or(rest.len());
            (Some(rest[..len].to_vec()), &rest[len..])
        }
    };
    let mut parts = rest.splitn(2, |&byte| byte == b'?');
    Ok(Parts {
        authority,
        path: parts.next().unwrap_or_default().to_vec(),
        query: parts.next().unwrap_or_default().to_vec(),
    })
}

/// Whether the bytes are an origin-form after RFC 3986, without the latitude that clients take.
pub fn is_origin_form(bytes: &[u8]) -> bool {
    let pchar =
        |&byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%?".contains(&byte);
    bytes.first() == Some(&b'/') && bytes.iter().all(pchar) && has_whole_escapes(bytes)
}

/// Whether the bytes are `host [ ":" port ]` (RFC 3986 section 3.2) with a host that is not empty.
pub fn is_authority(bytes: &[u8]) -> bool {
    let (host_is_good, port) = if bytes.first() == Some(&b'[') {
        let Some(close) = bytes.iter().position(|&byte| byte == b']') else {
            return false;
        };
        let address = std::str::from_utf8(&bytes[1..close]).ok();
        let is_address = address.and_then(|text| text.parse::<std::net::Ipv6Addr>().ok());
        (is_address.is_some(), &bytes[close + 1..])
    } else {
        let len = bytes.iter().position(|&byte| byte == b':');
        let (host, port) = bytes.split_at(len.unwrap_or(bytes.len()));
        let unreserved =
            |&byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte);
        let is_name = !host.is_empty() && host.iter().all(unreserved) && has_whole_escapes(host);
        (is_name, port)
    };
    let port_is_good = match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => decimal(digits).is_ok_and(|port| port <= 65535),
        _ => false,
    };
    host_is_good && port_is_good
}

fn has_whole_escapes(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().all(|(at, &byte)| {
        let digits = bytes.get(at + 1..at + 3).unwrap_or_default();
        byte != b'%' || (digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// The path with every whole `%XX` replaced by its byte.
pub fn decoded(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let escape = path
            .get(at..at + 3)
            .filter(|escape| has_whole_escapes(escape));
        match escape {
            Some([b'%', digits @ ..]) => {
                let text: String = latin1(digits);
                out.push(u8::from_str_radix(&text, 16).unwrap_or_default());
                at += 3;
            }
            _ => {
                out.push(path[at]);
                at += 1;
            }
        }
    }
    out
}

/// What may stand between a field's colon and its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spacing {
    /// Any blanks, or none.
    Free,
    /// One blank, and none behind the value: as a careful sender writes.
    Ours,
}

fn field_of(line: &[u8], spacing: Spacing) -> Result<(String, Vec<u8>), String> {
    let wrong = |what: &str| format!("{what} in the field {}", line.escape_ascii());
    let colon = line
        .iter()
        .position(|&byte| byte == b':')
        .ok_or_else(|| wrong("no colon"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) {
        return Err(wrong("no token"));
    }
    if !value.iter().all(|&byte| is_text(byte)) {
        return Err(wrong("a control byte"));
    }
    if spacing == Spacing::Ours && value.strip_prefix(b" ") != Some(trim(value)) {
        return Err(wrong("odd blanks"));
    }
    Ok((latin1(name), trim(value).to_vec()))
}

/// Splits at CRLF; no other CR or LF may be there.
fn lines_of(section: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut lines = Vec::new();
    let mut rest = section;
    while let Some((line, behind)) = next_line(rest)? {
        lines.push(line);
        rest = behind;
    }
    if rest.contains(&b'\r') || rest.contains(&b'\n') {
        return Err("a line end that is not CRLF".to_owned());
    }
    lines.push(rest);
    Ok(lines)
}

fn values<'a>(fields: &'a [(String, Vec<u8>)], name: &str) -> Vec<&'a [u8]> {
    fields
        .iter()
        .filter(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_slice())
        .collect()
}

fn decimal(bytes: &[u8]) -> Result<u64, String> {
    let text = latin1(bytes);
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if is_digits => Ok(number),
        _ => Err(format!("{text:?} is not a length")),
    }
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_tchar(byte))
}

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// HTAB, SP, VCHAR and obs-text.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|&&byte| is_blank(byte)).count();
    &bytes[blanks..]
}

fn trim(bytes: &[u8]) -> &[u8] {
    let bytes = trim_start(bytes);
    let blanks = bytes
        .iter()
        .rev()
        .take_while(|&&byte| is_blank(byte))
        .count();
    &bytes[..bytes.len() - blanks]
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_smuggles_is_no_request_head() {
        let bad: [&[u8]; 12] = [
            b"GET / HTTP/1.1\r\nHost: a\r\n",
            b"GET / HTTP/1.1\nHost: a\r\n\r\n",
            b"GET  / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/2.0\r\n\r\n",
            b"GET / HTTP/1.1\r\nA : 1\r\n\r\n",
            b"GET / HTTP/1.1\r\nA: 1\r\n 2\r\n\r\n",
            b"GET / HTTP/1.1\r\nA: 1\rB: 2\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ];
        for head in bad {
            assert!(request_head(head).is_err(), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn a_chunked_body_has_one_reading() {
        let whole = |body: &str, len| Chunked::Whole {
            body: body.as_bytes().to_vec(),
            len,
        };
        assert_eq!(chunked(b"3\r\nabc\r\n0\r\n\r\nrest"), whole("abc", 13));
        assert_eq!(
            chunked(b"3;a=\"\\\"\" ; b\r\nabc\r\n00\r\nT: 1\r\n\r\n"),
            whole("abc", 31)
        );
        for more in [
            "",
            "3",
            "3\r\nab",
            "3\r\nabc\r",
            "3\r\nabc\r\n0\r\n",
            "0\r\nT: 1\r\n",
        ] {
            let read = chunked(more.as_bytes());
            assert!(matches!(read, Chunked::More(_)), "{more:?}: {read:?}");
        }
        for bad in [
            "\r\n",
            "g\r\n",
            "3 \r\n",
            "3;\r\n",
            "3;a \r\n",
            "1\r\nabc",
            "3\n\r\n",
            "0\r\nT\r\n\r\n",
        ] {
            let read = chunked(bad.as_bytes());
            assert!(matches!(read, Chunked::Bad(_)), "{bad:?}: {read:?}");
        }
    }

    #[test]
    fn what_splits_a_response_is_no_response() {
        let bad: [&[u8]; 6] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\nX: 1\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX:1\r\n\r\n",
        ];
        for wire in bad {
            assert!(response(wire, false).is_err(), "{}", wire.escape_ascii());
        }
    }
}

/// A range as asked for: offsets of the first and the last byte, or how many of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedRange {
    /// `5-` and `5-9`.
    From(u64, u64),
    /// `-5`.
    Last(u64),
}

impl AskedRange {
    /// What there is of it in so many bytes.
    pub fn within(self, complete: u64) -> Option<(u64, u64)> {
        let end = complete.checked_sub(1)?;
        match self {
            AskedRange::From(first, last) => (first <= end).then_some((first, last.min(end))),
            AskedRange::Last(0) => None,
            AskedRange::Last(count) => Some((complete.saturating_sub(count), end)),
        }
    }
}

/// The ranges of a Range field in bytes (RFC 9110 section 14.1.2); `None` if it is none, or not well formed.
pub fn byte_ranges(value: &[u8]) -> Option<Vec<AskedRange>> {
    let text = std::str::from_utf8(value).ok()?;
    let (unit, set) = text.split_once('=')?;
    if unit.to_lowercase() != "bytes" {
        return None;
    }
    let blank = [' ', '\t'];
    let mut asked = Vec::new();
    for element in set.split(',').map(|it| it.trim_matches(blank)) {
        if element.is_empty() {
            continue;
        }
        let number = |digits: &str| -> Option<u64> {
            let good = !digits.is_empty() && digits.chars().all(|it| it.is_ascii_digit());
            // What is beyond 64 bits is beyond every representation.
            good.then(|| digits.parse().unwrap_or(u64::MAX))
        };
        asked.push(match element.split_once('-')? {
            ("", count) => AskedRange::Last(number(count)?),
            (first, "") => AskedRange::From(number(first)?, u64::MAX),
            (first, last) => AskedRange::From(number(first)?, number(last)?),
        });
        if let Some(AskedRange::From(first, last)) = asked.last()
            && first > last
        {
            return None;
        }
    }
    (!asked.is_empty()).then_some(asked)
}
