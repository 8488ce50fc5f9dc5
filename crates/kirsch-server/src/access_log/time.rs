//! Wall-clock times of records, in UTC.
//!
//! Requests carry the monotonic clock only, which is what durations are measured with. The writer
//! looks at both clocks once a batch and counts back from there, so that serving reads none more.

use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 60 * 60;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    wall: Duration,
    instant: Instant,
}

impl Clock {
    pub(super) fn now() -> Clock {
        Clock {
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            instant: Instant::now(),
        }
    }

    /// The time since 1970 at an instant not later than this clock's.
    pub(super) fn since_epoch(&self, instant: Instant) -> Duration {
        let age = self.instant.saturating_duration_since(instant);
        self.wall.saturating_sub(age)
    }
}

/// A time of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Civil {
    year: u64,
    /// From 1.
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Civil {
    /// Counts eras of 400 years from 1 March of the year 0, so that leap days come last
    /// (Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
    fn at(seconds: u64) -> Civil {
        let days = seconds / DAY + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = (from_march + 2) % 12 + 1;
        Civil {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            hour: seconds % DAY / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }
}

/// Apache's form: `[10/Oct/2000:13:55:36 +0000]`.
pub(super) fn write_common(since_epoch: Duration, out: &mut Vec<u8>) {
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    } = Civil::at(since_epoch.as_secs());
    let month = MONTHS[month as usize - 1];
    let _ = write!(
        out,
        "[{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000]"
    );
}

/// RFC 3339 with milliseconds: `2000-10-10T13:55:36.042Z`.
pub(super) fn write_rfc3339(since_epoch: Duration, out: &mut Vec<u8>) {
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    } = Civil::at(since_epoch.as_secs());
    let millis = since_epoch.subsec_millis();
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: fn(Duration, &mut Vec<u8>), since_epoch: Duration) -> String {
        let mut out = Vec::new();
        write(since_epoch, &mut out);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn times_have_apaches_and_the_rfcs_form() {
        let time = Duration::from_millis(971_186_136_042);
        assert_eq!(text(write_common, time), "[10/Oct/2000:13:55:36 +0000]");
        assert_eq!(text(write_rfc3339, time), "2000-10-10T13:55:36.042Z");
    }

    #[test]
    fn the_calendar_agrees_with_httpdate_over_two_centuries() {
        // A step that is no multiple of a day, and prime.
        for seconds in (0..200 * 366 * DAY).step_by(1_000_003) {
            let civil = Civil::at(seconds);
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            let ours = format!(
                "{:02} {} {} {:02}:{:02}:{:02} GMT",
                civil.day,
                MONTHS[civil.month as usize - 1],
                civil.year,
                civil.hour,
                civil.minute,
                civil.second
            );
            assert_eq!(&date[5..], ours);
        }
    }

    #[test]
    fn leap_days_are_counted() {
        let leap = Duration::from_secs(951_782_400);
        assert_eq!(text(write_rfc3339, leap), "2000-02-29T00:00:00.000Z");
    }

    #[test]
    fn the_wall_clock_is_counted_back_to_the_instant() {
        let instant = Instant::now();
        let clock = Clock {
            wall: Duration::from_secs(100),
            instant: instant + Duration::from_secs(3),
        };
        assert_eq!(clock.since_epoch(instant), Duration::from_secs(97));
    }
}
