//! Numbers as people write them: sizes such as `64KiB`, durations such as `30s`, and back to text.

use std::time::Duration;

use crate::error::Complaint;

/// A century: far beyond any use, and an `Instant` still holds it.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Units of sizes, binary and decimal, in capitals.
const SIZES: [(&str, u64); 11] = [
    ("", 1),
    ("B", 1),
    ("KIB", 1 << 10),
    ("MIB", 1 << 20),
    ("GIB", 1 << 30),
    ("TIB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("BYTES", 1),
];

/// Units of durations, in milliseconds. A number alone is seconds.
const DURATIONS: [(&str, f64); 6] = [
    ("", 1e3),
    ("ms", 1.0),
    ("s", 1e3),
    ("m", 60e3),
    ("h", 3600e3),
    ("d", 24.0 * 3600e3),
];

/// Reads a size in bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, Complaint> {
    const HINT: &str =
        "write a whole number of bytes, KiB, MiB, GiB, kB, MB or GB, for instance 64KiB";
    let wrong = |what: &str| Complaint::new(format!("{text:?} {what}"), HINT);
    let (number, unit) = split(text);
    if number.contains('.') {
        return Err(wrong("is not a whole number"));
    }
    if number.is_empty() {
        return Err(wrong("is not a size"));
    }
    let unit = unit.to_ascii_uppercase();
    let Some((_, factor)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        return Err(wrong("has a unit that is not known"));
    };
    // Digits alone can only fail to parse by being too many.
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(*factor))
        .ok_or_else(|| wrong("is too large"))
}

/// Reads a duration; a number without a unit is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Complaint> {
    const HINT: &str = "write a number with ms, s, m, h or d, for instance 30s";
    let wrong = |what: &str| Complaint::new(format!("{text:?} {what}"), HINT);
    let (number, unit) = split(text);
    if number.is_empty() {
        return Err(wrong("is not a duration"));
    }
    let Some((_, milliseconds)) = DURATIONS.iter().find(|(name, _)| *name == unit) else {
        return Err(wrong("has a unit that is not known"));
    };
    let number: f64 = number.parse().map_err(|_| wrong("is not a duration"))?;
    seconds(number * milliseconds / 1e3).map_err(|_| wrong("is too long"))
}

/// A duration from a number of seconds, to the millisecond.
pub(crate) fn seconds(number: f64) -> Result<Duration, Complaint> {
    let wrong = |what: &str| {
        Complaint::new(
            format!("{number} {what}"),
            "write a number of seconds, for instance 30",
        )
    };
    if number.is_nan() || number < 0.0 {
        return Err(wrong("is not a duration"));
    }
    if number > LONGEST.as_secs_f64() {
        return Err(wrong("is too long"));
    }
    // Rounded, since 0.1 s must not become 100.000001 ms; up, since a tenth of a millisecond is not zero.
    let milliseconds = (number * 1e3).round();
    Ok(Duration::from_millis(if number > 0.0 {
        milliseconds.max(1.0) as u64
    } else {
        0
    }))
}

/// A size in the largest binary unit that needs no fraction.
pub(crate) fn size_text(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// A duration in one unit; up to two minutes it is seconds, as timeouts are spoken of.
pub(crate) fn duration_text(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if !milliseconds.is_multiple_of(1000) {
        return format!("{milliseconds}ms");
    }
    match duration.as_secs() {
        0 => "0s".to_owned(),
        seconds if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        seconds if seconds > 120 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// Digits (and a point), then the unit without the blanks before it.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units() {
        let cases = [
            ("4096", 4096),
            ("64KiB", 64 << 10),
            ("16 MiB", 16 << 20),
            ("1gib", 1 << 30),
            ("10MB", 10_000_000),
            ("5kB", 5000),
            ("0", 0),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "KiB",
            "-1",
            "1.5GiB",
            "12 parsecs",
            "99999999999999999999",
            "20000000TiB",
            "1e3",
        ] {
            let complaint = parse_size(text).expect_err(text);
            assert!(
                complaint.hint.is_some_and(|hint| hint.contains("64KiB")),
                "{text}"
            );
        }
    }

    #[test]
    fn durations_are_read_with_and_without_units() {
        let cases = [
            ("30s", 30_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("75", 75_000),
            ("1.5s", 1500),
            ("0.1s", 100),
            ("0", 0),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "s",
            "-1s",
            "inf",
            "1.2.3s",
            "5 fortnights",
            "99999999d",
            "1m30s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for number in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(seconds(number).is_err(), "{number}");
        }
    }

    #[test]
    fn a_tiny_duration_does_not_become_zero() {
        assert_eq!(seconds(0.000_01), Ok(Duration::from_millis(1)));
    }

    #[test]
    fn texts_read_back_as_what_they_were() {
        for bytes in [0, 1, 1000, 1024, 1 << 20, 3 << 30, 4097] {
            assert_eq!(parse_size(&size_text(bytes)), Ok(bytes));
        }
        for milliseconds in [0, 1, 1500, 15_000, 75_000, 180_000, 3_600_000] {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(parse_duration(&duration_text(duration)), Ok(duration));
        }
    }
}
