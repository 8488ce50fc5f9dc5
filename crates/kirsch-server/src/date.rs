//! The `Date` field's value (RFC 9110, 6.6.1), formatted once a second and thread.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

/// An IMF-fixdate.
pub(crate) type Date = [u8; 29];

thread_local! {
    static LAST: RefCell<(u64, Date)> = const { RefCell::new((u64::MAX, [b' '; 29])) };
}

/// The current date.
pub(crate) fn now() -> Date {
    let time = SystemTime::now();
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    LAST.with_borrow_mut(|(second, date)| {
        if *second != seconds {
            *second = seconds;
            let text = httpdate::fmt_http_date(time);
            if let Ok(bytes) = Date::try_from(text.as_bytes()) {
                *date = bytes;
            }
        }
        *date
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_an_imf_fixdate() {
        let date = now();
        let text = std::str::from_utf8(&date).expect("ascii");
        assert!(text.ends_with(" GMT"), "{text}");
        let parsed = httpdate::parse_http_date(text).expect("a date");
        let age = SystemTime::now()
            .duration_since(parsed)
            .expect("not in the future");
        assert!(age.as_secs() <= 2);
    }
}
