//! A Range field. The input is the length of the representation in two bytes, and the field's value.

use kirsch_http::{ByteRange, MOST_RANGES, Multipart, Wanted};

use crate::reference;

pub(crate) fn run(bytes: &[u8]) {
    let Some((length, value)) = bytes.split_first_chunk() else {
        return;
    };
    let complete = u64::from(u16::from_be_bytes(*length));
    let wanted = Wanted::read(value, complete);
    let shown = || format!("{wanted:?} of {complete}: {}", value.escape_ascii());
    let asked = match reference::byte_ranges(value) {
        Some(asked) if asked.len() <= MOST_RANGES => asked,
        Some(_) | None => {
            assert_eq!(wanted, Wanted::Whole, "{}", shown());
            return;
        }
    };
    // A suffix of nothing can be had, but not as a part.
    let there: Vec<(u64, u64)> = asked
        .iter()
        .filter_map(|range| range.within(complete))
        .collect();
    match &wanted {
        Wanted::Whole => assert!(complete == 0 && there.is_empty(), "{}", shown()),
        Wanted::Unsatisfiable => assert!(there.is_empty(), "{}", shown()),
        Wanted::Part(part) => check_parts(&[*part], &there, complete, &shown),
        Wanted::Parts(parts) => {
            assert!(parts.len() > 1, "{}", shown());
            check_parts(parts, &there, complete, &shown);
            check_packing(parts, complete);
        }
    }
}

/// Several parts as they are sent: a reader finds each, and the length that was announced.
fn check_packing(parts: &[ByteRange], complete: u64) {
    let packed = Multipart {
        boundary: "b0",
        content_type: Some("text/plain"),
        complete,
    };
    let mut content = Vec::new();
    for part in parts {
        content.extend_from_slice(packed.before(*part).as_bytes());
        content.extend((part.first()..=part.last()).map(letter));
    }
    content.extend_from_slice(packed.end().as_bytes());
    assert_eq!(content.len() as u64, packed.content_length(parts));
    let mut rest = &content[..];
    for part in parts {
        let (first, last) = (part.first(), part.last());
        let line = format!(
            "\r\n--b0\r\nContent-Type: text/plain\r\nContent-Range: bytes {first}-{last}/{complete}\r\n\r\n"
        );
        rest = rest.strip_prefix(line.as_bytes()).expect("the part's head");
        for at in first..=last {
            let (found, behind) = rest.split_first().expect("the part's bytes");
            assert_eq!(*found, letter(at));
            rest = behind;
        }
    }
    assert_eq!(rest, b"\r\n--b0--\r\n");
}

/// The byte of the representation at this place.
fn letter(at: u64) -> u8 {
    b'a' + (at % 23) as u8
}

fn check_parts(
    parts: &[ByteRange],
    asked: &[(u64, u64)],
    complete: u64,
    shown: &dyn Fn() -> String,
) {
    assert!(parts.len() <= asked.len(), "{}", shown());
    for &(first, last) in asked {
        let whole = |part: &&ByteRange| part.first() <= first && last <= part.last();
        assert_eq!(parts.iter().filter(whole).count(), 1, "{}", shown());
    }
    let mut sorted: Vec<(u64, u64)> = parts.iter().map(|it| (it.first(), it.last())).collect();
    sorted.sort_unstable();
    assert!(
        sorted
            .iter()
            .all(|&(first, last)| first <= last && last < complete),
        "{}",
        shown()
    );
    assert!(
        sorted.windows(2).all(|two| two[0].1 + 1 < two[1].0),
        "{}",
        shown()
    );
    // They begin and end where something does that was asked for.
    for (first, last) in sorted {
        assert!(asked.iter().any(|it| it.0 == first), "{}", shown());
        assert!(asked.iter().any(|it| it.1 == last), "{}", shown());
    }
}
