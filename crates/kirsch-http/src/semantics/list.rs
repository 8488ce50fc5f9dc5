//! The elements of a list-based field (RFC 9110 section 5.6.1).

use crate::chars::trim_blanks;

/// The elements between commas, without the blanks around them; empty ones are left out, as section
/// 5.6.1.2 asks. Only for lists whose elements hold no comma of their own.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim_blanks)
        .filter(|element| !element.is_empty())
}
