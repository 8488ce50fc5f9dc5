//! What an application may give, as choices: no bytes of it break the framing.
//!
//! The wire is read again by a strict reader, which must find the status, the fields and the body
//! that were accepted; where the connection is kept, the next response begins exactly behind. Then fields are
//! changed as a route may have it, which changes nothing else.

use kirsch_http::{CommonFields, FieldEdits, Outcome, RequestFacts, ResponseHead, Version};

use crate::choices::Choices;
use crate::reference::{self, Ending};

const COMMON: CommonFields<'_> = CommonFields {
    date: b"Sun, 06 Nov 1994 08:49:37 GMT",
    server: Some(b"Kirsch"),
    request_id: Some(b"7"),
    keep_alive: None,
};

/// What follows on a kept connection.
const NEXT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ncanary";

pub(crate) const STATUSES: [&[u8]; 8] = [
    b"200 OK",
    b"204 No Content",
    b"205 Reset Content",
    b"206 Partial Content",
    b"304 Not Modified",
    b"404 Not Found",
    b"500 ",
    b"999 \xe9",
];

pub(crate) const NAMES: [&[u8]; 16] = [
    b"Content-Length",
    b"Content-Type",
    b"Connection",
    b"Transfer-Encoding",
    b"Date",
    b"Server",
    b"X-Request-ID",
    b"Set-Cookie",
    b"Trailer",
    b"Upgrade",
    b"Keep-Alive",
    b"TE",
    b"content-length",
    b"CONNECTION",
    b"X-A",
    b"Content-Encoding",
];

pub(crate) const VALUES: [&[u8]; 10] = [
    b"",
    b"0",
    b"5",
    b" 12\t",
    b"18446744073709551615",
    b"close",
    b"keep-alive",
    b"chunked",
    b"a\r\nInjected: 1",
    b"\xff \t x",
];

/// What the application gave and the server took.
struct Given<'a> {
    status: &'a [u8],
    fields: Vec<(&'a [u8], &'a [u8])>,
    body: Vec<u8>,
    /// What ended it; `None` where the application failed before the end.
    outcome: Option<Outcome>,
    keep_alive: bool,
}

pub(crate) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let request = RequestFacts {
        version: choices.one_of(&[Version::Http11, Version::Http10]),
        is_head: choices.below(4) == 3,
        keep_alive: !choices.flip(),
    };
    let mut head = ResponseHead::new();
    // As `exc_info` does: a head may be begun twice, and nothing of the first may be left.
    for _ in 0..choices.below(2) {
        let _ = head.status(b"200 OK");
        let _ = head.field(b"Content-Length", b"77");
        let _ = head.field(b"Connection", b"close");
    }
    let status = match choices.below(4) {
        0 => choices.bytes(40),
        _ => choices.one_of(&STATUSES),
    };
    if head.status(status).is_err() {
        return;
    }
    let fields = put_fields(&mut head, &mut choices);
    let known = match choices.below(3) {
        0 => None,
        1 => Some(u64::from(choices.byte())),
        _ => Some(u64::from(choices.byte()) << 24),
    };
    let length = head.content_length();
    let mut framing = head.finish(&request, known, &COMMON, !choices.flip());
    let mut wire = head.bytes().to_vec();
    let head_len = wire.len();
    let mut body = Vec::new();
    for _ in 0..choices.below(6) {
        let block = choices.bytes(100);
        let framed = framing.frame(block.len());
        wire.extend_from_slice(&framed.prefix);
        wire.extend_from_slice(&block[..framed.take]);
        wire.extend_from_slice(framed.suffix);
        body.extend_from_slice(block);
    }
    let outcome = (choices.below(8) != 7).then(|| {
        let ended = framing.end();
        wire.extend_from_slice(ended.tail);
        ended.outcome
    });
    // The first decides: what the application gave, or else what the server knows.
    if let Some(length) = length.or(known.filter(|_| !framing.is_chunked())) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        body.truncate(length);
    }
    if !framing.sends_body() {
        body.clear();
    }
    let given = Given {
        status,
        fields,
        body,
        outcome,
        keep_alive: framing.keep_alive() && outcome.is_some(),
    };
    check(&wire, &given, &request);
    check_edits(&wire, head_len, request.is_head, &mut choices);
}

/// What a route changes in the fields of a response changes nothing else.
fn check_edits(wire: &[u8], head_len: usize, is_head: bool, choices: &mut Choices<'_>) {
    let mut edits = FieldEdits::new();
    let (mut dropped, mut added) = (Vec::new(), Vec::new());
    for _ in 0..choices.below(4) {
        let name = match choices.below(4) {
            0 => choices.bytes(20),
            _ => choices.one_of(&NAMES),
        };
        let value = match choices.below(3) {
            0 => choices.bytes(20),
            _ => choices.one_of(&VALUES),
        };
        if choices.flip() {
            if edits.remove(name).is_ok() {
                dropped.push(name);
            }
        } else if edits.set(name, value).is_ok() {
            dropped.push(name);
            added.push((
                name.iter().copied().map(char::from).collect(),
                trimmed(value),
            ));
        }
    }
    let mut edited = wire.to_vec();
    edits.apply(&mut edited, wire.len() - head_len);
    let read = |bytes: &[u8]| {
        reference::response(bytes, is_head)
            .unwrap_or_else(|text| panic!("{text}: {}", bytes.escape_ascii()))
    };
    let (before, after) = (read(wire), read(&edited));
    let shown = edited.escape_ascii();
    assert_eq!(after.status, before.status, "{shown}");
    assert_eq!(after.reason, before.reason, "{shown}");
    assert_eq!(after.body, before.body, "{shown}");
    assert_eq!(after.ending, before.ending, "{shown}");
    assert_eq!(after.len, edited.len(), "it ends where it ends: {shown}");
    let stays = |name: &str| {
        !dropped
            .iter()
            .any(|it| it.eq_ignore_ascii_case(name.as_bytes()))
    };
    let mut expected: Vec<(String, Vec<u8>)> = before.fields;
    expected.retain(|(name, _)| stays(name));
    expected.extend(added);
    assert_eq!(after.fields, expected, "{shown}");
}

/// Gives fields, and answers those that were taken.
fn put_fields<'a>(head: &mut ResponseHead, choices: &mut Choices<'a>) -> Vec<(&'a [u8], &'a [u8])> {
    let mut fields = Vec::new();
    for _ in 0..choices.below(8) {
        let name = match choices.below(4) {
            0 => choices.bytes(40),
            _ => choices.one_of(&NAMES),
        };
        let value = match choices.below(3) {
            0 => choices.bytes(60),
            _ => choices.one_of(&VALUES),
        };
        let before = head.bytes().to_vec();
        match head.field(name, value) {
            Ok(()) => fields.push((name, value)),
            Err(_) => assert_eq!(head.bytes(), before, "what is refused leaves nothing"),
        }
    }
    fields
}

fn check(wire: &[u8], given: &Given<'_>, request: &RequestFacts) {
    let followed = match given.keep_alive {
        true => [wire, NEXT].concat(),
        false => wire.to_vec(),
    };
    let response = match reference::response(&followed, request.is_head) {
        Ok(response) => response,
        Err(text) => panic!("{text}: {}", wire.escape_ascii()),
    };
    let shown = wire.escape_ascii();
    assert_eq!(response.len, wire.len(), "it ends where it ends: {shown}");
    let (code, reason) = given.status.split_at(4);
    assert_eq!(code, format!("{} ", response.status).as_bytes(), "{shown}");
    assert_eq!(reason, response.reason, "{shown}");
    assert_eq!(given.body, response.body, "{shown}");
    let expected = match given.outcome {
        Some(Outcome::Complete) => None,
        Some(Outcome::Short { .. }) => Some(Ending::Cut),
        None if response.values("transfer-encoding").is_empty() => None,
        None => Some(Ending::Cut),
    };
    if let Some(ending) = expected {
        assert_eq!(response.ending, ending, "the client can tell: {shown}");
    }
    if given.keep_alive {
        assert_eq!(response.ending, Ending::Framed, "{shown}");
        assert!(
            !response.values("connection").contains(&&b"close"[..]),
            "{shown}"
        );
        let next = reference::response(&followed[wire.len()..], false);
        assert!(next.is_ok_and(|next| next.body == b"canary"));
    }
    check_fields(&response, given);
}

/// The application's fields come in their order, then the server's; those that frame are the server's affair.
fn check_fields(response: &reference::Response, given: &Given<'_>) {
    let frames = |name: &str| {
        ["connection", "content-length", "transfer-encoding"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    };
    let text = |bytes: &[u8]| -> String { bytes.iter().copied().map(char::from).collect() };
    let theirs: Vec<(String, Vec<u8>)> = given
        .fields
        .iter()
        .map(|(name, value)| (text(name), trimmed(value)))
        .filter(|(name, _)| !frames(name))
        .collect();
    let seen: Vec<(String, Vec<u8>)> = response
        .fields
        .iter()
        .filter(|(name, _)| !frames(name))
        .cloned()
        .collect();
    assert!(seen.starts_with(&theirs), "{seen:?}, not {theirs:?}");
    for (name, _) in &seen[theirs.len()..] {
        assert!(["Date", "Server", "X-Request-ID"].contains(&name.as_str()));
        let is_theirs = |(theirs, _): &(String, Vec<u8>)| theirs.eq_ignore_ascii_case(name);
        assert!(!theirs.iter().any(is_theirs), "{name} is there already");
    }
    assert!(response.values("connection").len() <= 1);
}

fn trimmed(value: &[u8]) -> Vec<u8> {
    let is_blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let start = value.iter().take_while(|byte| is_blank(byte)).count();
    let end = value[start..]
        .iter()
        .rev()
        .take_while(|byte| is_blank(byte))
        .count();
    value[start..value.len() - end].to_vec()
}
