//! Keeps bytes that a client chose from being more than content: no line, quote or field of a log
//! can be forged with them. What is written is ASCII, in both forms.

use std::io::Write as _;

/// Apache's way: `\"`, `\\`, and `\x` with two digits for control bytes and for bytes from 0x80 up.
pub(super) fn write_quoted(bytes: &[u8], out: &mut Vec<u8>) {
    write_runs(bytes, out, is_plain, |byte, out| match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        _ => write_hex(byte, out),
    });
}

/// As [`write_quoted`], for a value that may stand outside quotes: blanks are escaped too.
pub(super) fn write_word_byte(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b' ' => write_hex(byte, out),
        _ => write_quoted(&[byte], out),
    }
}

/// The inside of a JSON string. Everything beyond ASCII is `\u` and four digits: some readers of
/// lines take U+0085, U+2028 and U+2029 for their end. Bytes that are no UTF-8 become U+FFFD.
pub(super) fn write_json(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        write_json_text(chunk.valid(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn write_json_text(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.find(|char: char| !char.is_ascii() || !is_plain(char as u8)) {
        let (plain, odd) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut chars = odd.chars();
        match chars.next() {
            Some(char @ ('"' | '\\')) => out.extend_from_slice(&[b'\\', char as u8]),
            Some(char) => {
                // Beyond the basic plane, JSON wants a pair of surrogates (RFC 8259, 7).
                for unit in char.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// Copies runs of plain bytes whole, since most values are one.
fn write_runs(
    bytes: &[u8],
    out: &mut Vec<u8>,
    is_plain: fn(u8) -> bool,
    escape: fn(u8, &mut Vec<u8>),
) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| !is_plain(byte)) {
        out.extend_from_slice(&rest[..at]);
        escape(rest[at], out);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn write_hex(byte: u8, out: &mut Vec<u8>) {
    let _ = write!(out, "\\x{byte:02x}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_quoted(bytes, &mut out);
        String::from_utf8(out).expect("ascii")
    }

    fn json(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_json(bytes, &mut out);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn a_quoted_value_is_escaped_as_apache_does() {
        assert_eq!(quoted(b"plain, (text)"), "plain, (text)");
        assert_eq!(quoted(b"a\"b\\c"), r#"a\"b\\c"#);
        assert_eq!(quoted(b"\r\n\t\x00\x7f"), r"\x0d\x0a\x09\x00\x7f");
        assert_eq!(quoted("é\u{2028}".as_bytes()), r"\xc3\xa9\xe2\x80\xa8");
    }

    #[test]
    fn a_json_string_is_valid_whatever_the_bytes() {
        assert_eq!(json(b"plain"), "plain");
        assert_eq!(json(b"a\"b\\c"), r#"a\"b\\c"#);
        assert_eq!(json(b"\r\n\x00\x7f"), r"\u000d\u000a\u0000\u007f");
        assert_eq!(json("é\u{2028}\u{85}".as_bytes()), r"\u00e9\u2028\u0085");
        assert_eq!(json("🍒".as_bytes()), r"\ud83c\udf52");
        assert_eq!(json(b"a\xff\xfeb\xc3"), r"a\ufffd\ufffdb\ufffd");
    }

    #[test]
    fn no_byte_leaves_printable_ascii_in_either_form() {
        let all: Vec<u8> = (0..=255).collect();
        for text in [quoted(&all), json(&all)] {
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }
}
