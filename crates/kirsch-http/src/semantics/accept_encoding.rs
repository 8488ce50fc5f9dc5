//! The `Accept-Encoding` field (RFC 9110 section 12.5.3): which content codings a client takes.

use crate::chars::trim_blanks;

use super::list::elements;

/// What a client takes, as its fields say it. Made anew for each request, without allocation.
#[derive(Clone, Copy, Debug, Default)]
pub struct AcceptEncoding<'a> {
    /// The field's value.
    value: &'a [u8],
}

/// A weight in thousandths, 0 to 1000 (section 12.4.2).
type Weight = u16;

impl<'a> AcceptEncoding<'a> {
    /// Of a field's value. Of several lines the caller joins the values with commas.
    ///
    /// Without the field every coding would be acceptable; but who does not say what it can decode is
    /// served best with what needs no decoding, as with an empty value.
    pub fn of(value: &'a [u8]) -> AcceptEncoding<'a> {
        AcceptEncoding { value }
    }

    /// The best of the codings that are there, as an index; `None` for the content as it is.
    ///
    /// The client's weights decide, then the order of `available`. A coding wins over the content as it is
    /// unless the client gives that a larger weight: who has both ready prefers the smaller one.
    /// If the client takes neither (`identity;q=0`), the answer is `None` too: section 12.5.3 allows to
    /// disregard the field, and content serves a client better than a 406.
    pub fn choose(&self, available: &[&str]) -> Option<usize> {
        if self.value.is_empty() {
            return None;
        }
        let mut best = None;
        let mut best_weight = 0;
        for (idx, coding) in available.iter().enumerate() {
            let weight = self.weight(coding.as_bytes()).unwrap_or(0);
            if weight > best_weight {
                (best, best_weight) = (Some(idx), weight);
            }
        }
        // Only where it is named, by itself or by "*", does it have a weight.
        let as_it_is = self.weight(b"identity").unwrap_or(0);
        best.filter(|_| best_weight >= as_it_is)
    }

    /// The weight of a coding; `None` if nothing is said of it.
    fn weight(&self, coding: &[u8]) -> Option<Weight> {
        let mut any = None;
        for element in elements(self.value) {
            let (name, weight) = match element.iter().position(|&byte| byte == b';') {
                Some(at) => (trim_blanks(&element[..at]), read_weight(&element[at + 1..])),
                None => (element, Some(1000)),
            };
            // What has no weight that can be read says nothing.
            let Some(weight) = weight else { continue };
            if name.eq_ignore_ascii_case(coding) || is_alias(name, coding) {
                return Some(weight);
            }
            if name == b"*" {
                any = any.or(Some(weight));
            }
        }
        any
    }
}

/// `x-gzip` means `gzip` (section 8.4.1.3).
fn is_alias(name: &[u8], coding: &[u8]) -> bool {
    coding == b"gzip" && name.eq_ignore_ascii_case(b"x-gzip")
}

/// `q=` and up to three digits behind the point.
fn read_weight(parameter: &[u8]) -> Option<Weight> {
    let [b'q' | b'Q', b'=', value @ ..] = trim_blanks(parameter) else {
        return None;
    };
    let (whole, digits) = match value {
        [b'0'] | [b'0', b'.'] => return Some(0),
        [b'1'] | [b'1', b'.'] => return Some(1000),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] if digits.len() <= 3 => (*whole, digits),
        _ => return None,
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut thousandths = 0;
    for place in 0..3 {
        let digit = digits.get(place).map_or(0, |digit| digit - b'0');
        thousandths = thousandths * 10 + u16::from(digit);
    }
    match (whole, thousandths) {
        (b'0', thousandths) => Some(thousandths),
        (_, 0) => Some(1000),
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[&str] = &["br", "zstd", "gzip"];

    #[test]
    fn the_client_chooses_and_between_equals_the_server_does() {
        for (value, expected) in [
            ("", None),
            ("gzip, deflate, br, zstd", Some("br")),
            ("gzip, deflate", Some("gzip")),
            ("deflate", None),
            ("x-gzip", Some("gzip")),
            ("GZIP", Some("gzip")),
            ("gzip;q=1.0, br;q=0.5", Some("gzip")),
            ("gzip;q=0.2,br;q=0.25,zstd;q=0.249", Some("br")),
            ("gzip;q=0", None),
            ("*", Some("br")),
            ("*;q=0.5, gzip;q=0.6", Some("gzip")),
            ("br;q=0, *", Some("zstd")),
            ("*;q=0", None),
            ("identity", None),
            ("identity, gzip", Some("gzip")),
            ("identity;q=0.5, gzip;q=0.4", None),
            ("gzip;q=0.4", Some("gzip")),
            ("identity;q=0", None),
            ("gzip ; q=0.5 , br ;\tq=0.7", Some("br")),
            (",,gzip,,", Some("gzip")),
            // Without a weight that can be read it is not there.
            ("gzip;q=2", None),
            ("gzip;q=0.1234", None),
            ("gzip;q=1.001", None),
            ("gzip;level=9", None),
            ("gzip;q=-1, br", Some("br")),
            ("gzipped, xgzip, br2", None),
        ] {
            let chosen = AcceptEncoding::of(value.as_bytes()).choose(ALL);
            assert_eq!(chosen.map(|idx| ALL[idx]), expected, "{value}");
        }
    }

    #[test]
    fn only_what_is_there_is_chosen() {
        let accepts = AcceptEncoding::of(b"gzip, br");
        assert_eq!(accepts.choose(&["gzip"]), Some(0));
        assert_eq!(accepts.choose(&["zstd"]), None);
        assert_eq!(accepts.choose(&[]), None);
    }

    #[test]
    fn weights_have_three_digits_at_most() {
        for (text, expected) in [
            ("q=0", Some(0)),
            ("q=0.", Some(0)),
            ("q=0.5", Some(500)),
            ("Q=0.05", Some(50)),
            ("q=0.999", Some(999)),
            ("q=1", Some(1000)),
            ("q=1.000", Some(1000)),
            ("q=", None),
            ("q=.5", None),
            ("q=01", None),
            ("q = 1", None),
            ("q=0.5x", None),
        ] {
            assert_eq!(read_weight(text.as_bytes()), expected, "{text}");
        }
    }
}
