//! Percent-encoding: the path decoded, as PEP 3333 wants it in `PATH_INFO`, and a target made fit for a `Location`.

/// Appends `raw` to `out` with every well-formed `%XX` replaced by its byte.
///
/// `%zz` and a `%` at the end stay as they are, as with all servers we compared. `%2F` becomes a
/// slash (RFC 3875 section 4.1.5); `;` and `+` mean themselves in a path. A `%00` never gets here:
/// the request was refused. Each `%` is looked at once, so `%252F` becomes `%2F`.
pub fn decode_path(raw: &[u8], out: &mut Vec<u8>) {
    decode(raw, out, |_| true);
}

/// As [`decode_path`], but `%2F` and `%2f` become `%2F`: programs written for cheroot tell it from a slash.
pub fn decode_path_but_slashes(raw: &[u8], out: &mut Vec<u8>) {
    decode(raw, out, |byte| byte != b'/');
}

/// Decodes the bytes that `may` says; others are written as `%2F` is.
fn decode(raw: &[u8], out: &mut Vec<u8>, may: impl Fn(u8) -> bool) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = match decode_one(&rest[at..]) {
            Some(byte) => {
                if may(byte) {
                    out.push(byte);
                } else {
                    out.extend(rest[at..at + 3].iter().map(u8::to_ascii_uppercase));
                }
                &rest[at + 3..]
            }
            None => {
                out.push(b'%');
                &rest[at + 1..]
            }
        };
    }
    out.extend_from_slice(rest);
}

/// Appends a path or a query as a client has sent it, with `%` for what no URI may hold there (RFC 3986 sections
/// 3.3 and 3.4): of what clients send, that is more than a `Location` may say. What is encoded already stays so.
pub fn encode_target(raw: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for (at, &byte) in raw.iter().enumerate() {
        let stays = match byte {
            b'%' => decode_one(&raw[at..]).is_some(),
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte),
        };
        if stays {
            out.push(byte);
        } else {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'%', high, low]);
        }
    }
}

/// The byte that `%XX` at the start of `bytes` stands for.
fn decode_one(bytes: &[u8]) -> Option<u8> {
    let [_, high, low, ..] = bytes else {
        return None;
    };
    let high = char::from(*high).to_digit(16)?;
    let low = char::from(*low).to_digit(16)?;
    Some((high * 16 + low) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once() {
        let table: &[(&[u8], &[u8])] = &[
            (b"/echo", b"/echo"),
            (b"/a%2Fb", b"/a/b"),
            (b"/%C3%a9", b"/\xc3\xa9"),
            (b"/%FF", b"/\xff"),
            (b"/%252F", b"/%2F"),
            (b"/a+b;c=1", b"/a+b;c=1"),
            (b"/a%", b"/a%"),
            (b"/a%4", b"/a%4"),
            (b"/a%zz%41", b"/a%zzA"),
            (b"/%u0041", b"/%u0041"),
            (b"/%%41", b"/%A"),
            (b"/%+1", b"/%+1"),
            (b"", b""),
        ];
        for (raw, expected) in table {
            let mut out = Vec::new();
            decode_path(raw, &mut out);
            assert_eq!(out, *expected, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn encoded_slashes_can_be_left() {
        let mut out = Vec::new();
        decode_path_but_slashes(b"/a%2fb%2F%41%252F", &mut out);
        assert_eq!(out, b"/a%2Fb%2FA%2F");
    }

    #[test]
    fn a_target_is_encoded_where_no_uri_may_hold_it() {
        let table: &[(&[u8], &str)] = &[
            (b"/a/b;c=1,2?d=e&f=g:h@i/j?k", "/a/b;c=1,2?d=e&f=g:h@i/j?k"),
            (b"/%41%c3%A9", "/%41%c3%A9"),
            (b"/%", "/%25"),
            (b"/%4", "/%254"),
            (b"/%%41", "/%25%41"),
            (b"/%zz", "/%25zz"),
            (
                b"/[x]{y}|^`\"<>\\#",
                "/%5Bx%5D%7By%7D%7C%5E%60%22%3C%3E%5C%23",
            ),
            (b"/\xc3\xa9\xff\x7f ", "/%C3%A9%FF%7F%20"),
        ];
        for (raw, expected) in table {
            let mut out = Vec::new();
            encode_target(raw, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), *expected);
        }
    }
}
