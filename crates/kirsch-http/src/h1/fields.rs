//! The field lines of a head, read with httparse. This is the only file that knows it.
//!
//! What httparse is too kind about was dealt with before: bare LF, empty lines in front, the
//! request line (`scan.rs`). What it refuses, it refuses with few words; [`diagnose`] finds the
//! rule. Its defaults must stay: no blank before the colon, no folding.

use httparse::{EMPTY_HEADER, Header};

use crate::chars;
use crate::error::ProtocolErrorKind;
use crate::field_name::FieldName;
use crate::span::Span;

/// Enough for a browser behind a proxy; clearing this array is cheap.
const FEW: usize = 32;

/// The default limit of fields fits in; more than this is allocated.
const MANY: usize = 128;

/// One field line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// The name as received.
    pub name: Span,
    /// The value, without blanks around it.
    pub value: Span,
    /// The name as a number.
    pub known: FieldName,
}

/// Reads the field lines in `section`, which ends with the empty line, into `fields`.
pub(super) fn read(
    buf: &[u8],
    section: Span,
    limit: u32,
    fields: &mut Vec<Field>,
) -> Result<(), ProtocolErrorKind> {
    fields.clear();
    let bytes = section.of(buf);
    let limit = limit as usize;
    let mut few = [EMPTY_HEADER; FEW];
    let parsed = httparse::parse_headers(bytes, &mut few[..limit.min(FEW)]);
    if parsed != Err(httparse::Error::TooManyHeaders) || limit <= FEW {
        return collect(buf, bytes, parsed, fields);
    }
    read_many(buf, bytes, limit, fields)
}

/// The same with more room: for the rare head with more fields than [`FEW`].
#[cold]
fn read_many(
    buf: &[u8],
    bytes: &[u8],
    limit: usize,
    fields: &mut Vec<Field>,
) -> Result<(), ProtocolErrorKind> {
    if limit <= MANY {
        let mut many = [EMPTY_HEADER; MANY];
        return collect(
            buf,
            bytes,
            httparse::parse_headers(bytes, &mut many[..limit]),
            fields,
        );
    }
    let mut any = vec![EMPTY_HEADER; limit];
    collect(buf, bytes, httparse::parse_headers(bytes, &mut any), fields)
}

fn collect(
    buf: &[u8],
    bytes: &[u8],
    parsed: httparse::Result<(usize, &[Header<'_>])>,
    fields: &mut Vec<Field>,
) -> Result<(), ProtocolErrorKind> {
    match parsed {
        Ok(httparse::Status::Complete((used, headers))) => {
            debug_assert_eq!(used, bytes.len(), "scan.rs and httparse see the same end");
            fields.extend(headers.iter().map(|header| Field {
                name: span_of(buf, header.name.as_bytes()),
                value: span_of(buf, header.value),
                known: FieldName::from_bytes(header.name.as_bytes()),
            }));
            Ok(())
        }
        Err(httparse::Error::TooManyHeaders) => Err(ProtocolErrorKind::TooManyFields),
        Ok(httparse::Status::Partial) | Err(_) => Err(diagnose(bytes)),
    }
}

/// Where in `buf` the slice lies that httparse cut out of it.
fn span_of(buf: &[u8], part: &[u8]) -> Span {
    let start = part.as_ptr() as usize - buf.as_ptr() as usize;
    Span::new(start, start + part.len())
}

/// The rule that the first bad line breaks.
#[cold]
fn diagnose(mut bytes: &[u8]) -> ProtocolErrorKind {
    while let Some(end) = memchr::memmem::find(bytes, b"\r\n") {
        if let Err(kind) = check_line(&bytes[..end]) {
            return kind;
        }
        bytes = &bytes[end + 2..];
    }
    debug_assert!(false, "httparse refused a line that we find good");
    ProtocolErrorKind::FieldNameInvalid
}

fn check_line(line: &[u8]) -> Result<(), ProtocolErrorKind> {
    let Some(&first) = line.first() else {
        return Ok(());
    };
    if chars::is_blank(first) {
        return Err(ProtocolErrorKind::FieldFolded);
    }
    if line.contains(&b'\r') {
        return Err(ProtocolErrorKind::BareCr);
    }
    let colon = memchr::memchr(b':', line).ok_or(ProtocolErrorKind::FieldColonMissing)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() {
        return Err(ProtocolErrorKind::FieldNameEmpty);
    }
    if name.last().is_some_and(|&last| chars::is_blank(last)) {
        return Err(ProtocolErrorKind::BlankBeforeColon);
    }
    if !chars::is_token_slice(name) {
        return Err(ProtocolErrorKind::FieldNameInvalid);
    }
    if !chars::is_value_slice(value) {
        return Err(ProtocolErrorKind::FieldValueInvalid);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(section: &[u8], limit: u32) -> Result<Vec<Field>, ProtocolErrorKind> {
        let mut fields = Vec::new();
        read(section, Span::new(0, section.len()), limit, &mut fields).map(|()| fields)
    }

    #[test]
    fn names_and_values_are_offsets_into_the_buffer() {
        let section = b"Host: a.test\r\nX-A:\t 1 \r\nX_B:\r\n\r\n";
        let fields = read_all(section, 100).expect("it is good");
        let seen: Vec<_> = fields
            .iter()
            .map(|field| (field.name.of(section), field.value.of(section), field.known))
            .collect();
        assert_eq!(
            seen,
            [
                (&b"Host"[..], &b"a.test"[..], FieldName::Host),
                (b"X-A", b"1", FieldName::Other),
                (b"X_B", b"", FieldName::Dropped),
            ]
        );
    }

    #[test]
    fn any_number_of_fields_up_to_the_limit_is_read() {
        for limit in [0, 1, 31, 32, 33, 100, 128, 129, 500] {
            let good = [b"A: 1\r\n".repeat(limit), b"\r\n".to_vec()].concat();
            assert_eq!(
                read_all(&good, limit as u32).map(|fields| fields.len()),
                Ok(limit)
            );
            let many = [&b"A: 1\r\n"[..], &good].concat();
            assert_eq!(
                read_all(&many, limit as u32),
                Err(ProtocolErrorKind::TooManyFields),
                "{limit}"
            );
        }
    }

    #[test]
    fn each_malformed_line_names_its_rule() {
        use ProtocolErrorKind as Kind;
        let table: &[(&[u8], Kind)] = &[
            (b" A: 1", Kind::FieldFolded),
            (b"\tA: 1", Kind::FieldFolded),
            (b"A 1", Kind::FieldColonMissing),
            (b": 1", Kind::FieldNameEmpty),
            (b"A : 1", Kind::BlankBeforeColon),
            (b"A\t: 1", Kind::BlankBeforeColon),
            (b"A B: 1", Kind::FieldNameInvalid),
            (b"A\xa0: 1", Kind::FieldNameInvalid),
            (b"A\0: 1", Kind::FieldNameInvalid),
            (b"A: \0", Kind::FieldValueInvalid),
            (b"A: \x7f", Kind::FieldValueInvalid),
            (b"A: a\rb", Kind::BareCr),
            (b"A: 1\r", Kind::BareCr),
        ];
        for (line, kind) in table {
            let section = [b"Host: a\r\n", *line, b"\r\nX: 1\r\n\r\n"].concat();
            assert_eq!(
                read_all(&section, 100),
                Err(*kind),
                "{}",
                line.escape_ascii()
            );
        }
    }
}
