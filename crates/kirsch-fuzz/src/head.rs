//! A request head: one verdict however it is cut; what is accepted keeps the grammar and the limits.

use kirsch_http::{
    BodyLength, Field, Head, Limits, ProtocolError, RequestReader, Version, decode_path,
};

use crate::reference;
use crate::splits::splits;

/// Limits that short inputs reach.
pub(crate) const TIGHT: Limits = Limits {
    head_bytes: 256,
    fields: 4,
    target_bytes: 32,
    chunk_extension_bytes: 16,
    trailer_bytes: 32,
    body_bytes: 64,
};

/// What was made of the bytes.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Verdict {
    More,
    Accepted(Head, Vec<Field>),
    Refused(ProtocolError),
}

pub(crate) fn run(bytes: &[u8]) {
    for limits in [Limits::default(), TIGHT] {
        let whole = read(bytes, &limits, &[bytes.len()]);
        for ends in splits(bytes) {
            let cut = read(bytes, &limits, &ends);
            assert_eq!(cut, whole, "pieces that end at {ends:?}");
        }
        match &whole {
            // Who waits for more has not seen more than the limit.
            Verdict::More => assert!(bytes.len() <= limits.head_bytes as usize),
            Verdict::Accepted(head, fields) => {
                check_limits(head, fields, &limits);
                check_accepted(bytes, head, fields);
            }
            Verdict::Refused(error) => assert!(error.rule().status.0 >= 400),
        }
    }
}

/// Reads a head that arrives in pieces.
pub(crate) fn read(bytes: &[u8], limits: &Limits, ends: &[usize]) -> Verdict {
    let mut reader = RequestReader::new();
    let mut fields = Vec::new();
    for &end in ends {
        match reader.next_head(&bytes[..end], limits, &mut fields) {
            Ok(None) => {
                let so_far = reader.head_so_far();
                assert!(so_far.is_none_or(|head| head.len as usize <= end));
            }
            Ok(Some(head)) => {
                assert_eq!(reader.is_body_done(), head.body.is_empty());
                return Verdict::Accepted(head, fields);
            }
            Err(error) => {
                let again = reader.next_head(bytes, limits, &mut fields);
                assert_eq!(again, Err(error), "an error is final");
                return Verdict::Refused(error);
            }
        }
    }
    Verdict::More
}

fn check_limits(head: &Head, fields: &[Field], limits: &Limits) {
    assert!(head.len <= limits.head_bytes);
    assert!(fields.len() <= limits.fields as usize);
    assert!(head.target.len() <= limits.target_bytes as usize);
    if let BodyLength::Known(length) = head.body {
        assert!(length <= limits.body_bytes);
    }
}

/// Compares an accepted head with what the second reader makes of the same bytes.
pub(crate) fn check_accepted(bytes: &[u8], head: &Head, fields: &[Field]) {
    let second = match reference::request_head(bytes) {
        Ok(second) => second,
        Err(text) => panic!("accepted, but {text}: {}", bytes.escape_ascii()),
    };
    let known = |length: BodyLength| match length {
        BodyLength::None => reference::BodyLength::None,
        BodyLength::Known(length) => reference::BodyLength::Known(length),
        BodyLength::Chunked => reference::BodyLength::Chunked,
    };
    let text = |bytes: &[u8]| -> String { bytes.iter().copied().map(char::from).collect() };
    let first = reference::RequestHead {
        len: head.len as usize,
        method: text(head.method_name.of(bytes)),
        target: head.target.of(bytes).to_vec(),
        minor: second.minor,
        fields: fields
            .iter()
            .map(|field| (text(field.name.of(bytes)), field.value.of(bytes).to_vec()))
            .collect(),
        body: known(head.body),
        keep_alive: head.keep_alive,
    };
    assert_eq!(first, second, "{}", bytes.escape_ascii());
    let version = if second.minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    assert_eq!(head.version, version);
    check_target(bytes, head, &second);
    check_host(bytes, head, &second);
}

fn check_target(bytes: &[u8], head: &Head, second: &reference::RequestHead) {
    let parts = match reference::target(&second.target, &second.method) {
        Ok(parts) => parts,
        Err(text) => panic!("accepted, but {text}: {}", bytes.escape_ascii()),
    };
    let (path, query) = (head.path.of(bytes), head.query.of(bytes));
    assert_eq!((path, query), (&parts.path[..], &parts.query[..]));
    let mut decoded = Vec::new();
    decode_path(path, &mut decoded);
    assert_eq!(decoded, reference::decoded(path));
    assert!(!decoded.contains(&0), "a NUL would end a file name");
    if let Some(authority) = &parts.authority {
        assert!(reference::is_authority(authority));
        assert_eq!(
            head.authority.map(|span| span.of(bytes)),
            Some(&authority[..])
        );
    }
}

fn check_host(bytes: &[u8], head: &Head, second: &reference::RequestHead) {
    let hosts: Vec<&[u8]> = second
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map(|(_, value)| &value[..])
        .collect();
    assert!(hosts.len() == 1 || (hosts.is_empty() && second.minor == 0));
    assert!(hosts.iter().all(|host| reference::is_authority(host)));
    let asked = head.authority.map(|span| span.of(bytes));
    if let (Some(host), Some(asked)) = (hosts.first(), asked) {
        // Whatever two readers pick, target or field, is the same host.
        let plain = |authority: &[u8]| authority.to_ascii_lowercase();
        let name = |authority: &[u8]| {
            let lower = plain(authority);
            let end = match lower.first() {
                Some(b'[') => lower.iter().position(|&byte| byte == b']'),
                _ => lower.iter().position(|&byte| byte == b':'),
            };
            let host = lower[..end.unwrap_or(lower.len())].to_vec();
            host.strip_suffix(b".").map_or(host.clone(), <[u8]>::to_vec)
        };
        assert_eq!(name(host), name(asked));
    }
}
