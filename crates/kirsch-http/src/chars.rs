//! The character classes of RFC 9110 and RFC 3986, as tables and as whole-slice checks.

/// Which classes a byte belongs to; the bits of [`CLASSES`].
const TOKEN: u8 = 1;
const REG_NAME: u8 = 2;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut idx = 0;
    while idx < 256 {
        let byte = idx as u8;
        let alphanumeric = byte.is_ascii_alphanumeric();
        if alphanumeric || contains(b"!#$%&'*+-.^_`|~", byte) {
            table[idx] |= TOKEN;
        }
        // unreserved / sub-delims / "%"; the two digits behind a "%" are the caller's to check.
        if alphanumeric || contains(b"-._~!$&'()*+,;=%", byte) {
            table[idx] |= REG_NAME;
        }
        idx += 1;
    }
    table
}

const fn contains(set: &[u8], byte: u8) -> bool {
    let mut idx = 0;
    while idx < set.len() {
        if set[idx] == byte {
            return true;
        }
        idx += 1;
    }
    false
}

/// `tchar` of RFC 9110 section 5.6.2.
#[inline]
pub(crate) fn is_token(byte: u8) -> bool {
    CLASSES[byte as usize] & TOKEN != 0
}

/// Whether `bytes` is a `token`: one or more `tchar`.
#[inline]
pub fn is_token_slice(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .fold(TOKEN, |all, &byte| all & CLASSES[byte as usize])
            != 0
}

/// Whether every byte may stand in a `reg-name` of RFC 3986 section 3.2.2.
#[inline]
pub(crate) fn is_reg_name_slice(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|&byte| CLASSES[byte as usize] & REG_NAME != 0)
}

/// HTAB, SP, VCHAR and obs-text of RFC 9110 section 5.5: what a field value may hold.
#[inline]
pub(crate) fn is_value(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7f) || byte == b'\t'
}

/// Whether a field value (or a reason phrase) holds no control byte but HTAB.
#[inline]
pub(crate) fn is_value_slice(bytes: &[u8]) -> bool {
    // A fold without early exit: the compiler turns it into vector instructions.
    bytes.iter().fold(true, |good, &byte| good & is_value(byte))
}

/// SP and HTAB, the only blanks HTTP knows. (Not VT, FF, NBSP or NEL: CVE-2019-16789.)
#[inline]
pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Takes the blanks off both ends.
#[inline]
pub(crate) fn trim_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_blank(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_blank(*last)
    {
        bytes = rest;
    }
    bytes
}

/// A number of one or more decimal digits and nothing else; `None` otherwise.
///
/// # Errors
///
/// [`Overflow`] if the digits are good and the number needs more than 64 bits.
pub(crate) fn parse_decimal(bytes: &[u8]) -> Result<Option<u64>, Overflow> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return Ok(None);
    }
    bytes
        .iter()
        .try_fold(0u64, |value, digit| {
            value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })
        .map(Some)
        .ok_or(Overflow)
}

/// A number that is well formed and too large.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_the_fifteen_marks_and_the_alphanumerics() {
        let count = (0..=255).filter(|&byte| is_token(byte)).count();
        assert_eq!(count, 15 + 62);
        assert!(!is_token_slice(b""));
        assert!(!is_token_slice(b"X A") && !is_token_slice(b"X:") && !is_token_slice(b"X\xe9"));
    }

    #[test]
    fn values_hold_no_control_byte_but_htab() {
        let bad: Vec<u8> = (0..=255).filter(|&byte| !is_value(byte)).collect();
        let expected: Vec<u8> = (0..32).filter(|&byte| byte != 9).chain([127]).collect();
        assert_eq!(bad, expected);
    }

    #[test]
    fn only_sp_and_htab_are_trimmed() {
        assert_eq!(trim_blanks(b" \ta b\t "), b"a b");
        assert_eq!(trim_blanks(b"\x0ba\xa0"), b"\x0ba\xa0");
        assert_eq!(trim_blanks(b" \t"), b"");
    }

    #[test]
    fn decimals_are_digits_only() {
        assert_eq!(parse_decimal(b"010"), Ok(Some(10)));
        assert_eq!(parse_decimal(b"18446744073709551615"), Ok(Some(u64::MAX)));
        assert_eq!(parse_decimal(b"18446744073709551616"), Err(Overflow));
        for bad in [
            &b""[..],
            b"+5",
            b"-0",
            b"5 ",
            b"0x5",
            b"5_0",
            b"5,5",
            b"\xef\xbc\x95",
        ] {
            assert_eq!(parse_decimal(bad), Ok(None), "{}", bad.escape_ascii());
        }
    }
}
