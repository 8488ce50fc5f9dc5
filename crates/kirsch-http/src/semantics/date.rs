//! The time of a field such as `Last-Modified`, to the second (RFC 9110 section 5.6.7).
//!
//! The only file of this crate that knows `httpdate`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970. Ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpDate(u64);

/// The first second of the year 10000: IMF-fixdate has four digits.
const END: u64 = 253_402_300_800;

impl HttpDate {
    /// A second since 1970; the last that can be written, in the year 9999, stands for every later one.
    pub fn from_seconds(seconds: u64) -> HttpDate {
        HttpDate(seconds.min(END - 1))
    }

    /// Reads any of the three formats; `None` for everything else, and for years before 1970.
    pub fn parse(value: &[u8]) -> Option<HttpDate> {
        let text = std::str::from_utf8(value).ok()?;
        let time = httpdate::parse_http_date(text).ok()?;
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        Some(HttpDate::from_seconds(since.as_secs()))
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// The date as an IMF-fixdate, the one format that may be sent.
    pub fn to_text(self) -> String {
        let time: SystemTime = UNIX_EPOCH + Duration::from_secs(self.0);
        httpdate::fmt_http_date(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_formats_are_one_time_and_nothing_else_is_a_date() {
        let expected = Some(HttpDate::from_seconds(784_111_777));
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(HttpDate::parse(text.as_bytes()), expected, "{text}");
        }
        for text in [
            "",
            "0",
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 25:49:37 GMT",
            "Thu, 01 Jan 1960 00:00:00 GMT",
            "\u{e9}",
        ] {
            assert_eq!(HttpDate::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(HttpDate::parse(b"\xff"), None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for seconds in [0, 1, 784_111_777, 4_102_444_800, END - 1] {
            let date = HttpDate::from_seconds(seconds);
            assert_eq!(date.to_text().len(), 29);
            assert_eq!(HttpDate::parse(date.to_text().as_bytes()), Some(date));
        }
        assert_eq!(
            HttpDate::from_seconds(u64::MAX),
            HttpDate::from_seconds(END - 1)
        );
    }
}
