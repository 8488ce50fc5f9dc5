//! The user name of Basic authentication (RFC 7617), for the log only.
//!
//! It is what the client claims: the server checks no password, and decodes none.

use super::escape::write_word_byte;

/// Writes the user name of an `Authorization` value; false if it has none, and nothing is written.
pub(super) fn write_basic_user(authorization: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let written = decode_user(authorization, out).is_some() && out.len() > start;
    if !written {
        out.truncate(start);
    }
    written
}

fn decode_user(authorization: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (scheme, credentials) = authorization.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let mut bits: u32 = 0;
    let mut count = 0;
    for &digit in credentials.trim_ascii() {
        bits = bits << 6 | u32::from(base64_value(digit)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            match (bits >> count) as u8 {
                b':' => return Some(()),
                byte => write_word_byte(byte, out),
            }
        }
    }
    // Without the colon there is no telling name from password.
    None
}

fn base64_value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(authorization: &str) -> Option<String> {
        let mut out = Vec::new();
        write_basic_user(authorization.as_bytes(), &mut out)
            .then(|| String::from_utf8(out).expect("ascii"))
    }

    #[test]
    fn the_name_before_the_colon_is_taken() {
        assert_eq!(
            user("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            Some("Aladdin".into())
        );
        assert_eq!(user("basic dGVzdDoxMjPCow=="), Some("test".into()));
    }

    #[test]
    fn a_name_cannot_forge_columns_or_lines() {
        // a b"\n:x
        assert_eq!(user("Basic YSBiIgo6eA=="), Some(r#"a\x20b\"\x0a"#.into()));
    }

    #[test]
    fn what_is_no_basic_authentication_has_no_name() {
        for value in [
            "",
            "Basic",
            "Basic ",
            "Bearer QWxhZGRpbjpv",
            "Basic QWxhZGRpbg==",
            "Basic ?Wxh:",
            "Basic OnNlY3JldA==",
        ] {
            assert_eq!(user(value), None, "{value:?}");
        }
    }
}
