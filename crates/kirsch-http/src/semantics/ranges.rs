//! The `Range` field (RFC 9110 section 14): which bytes of a representation a request wants.
//!
//! What can be asked for is bounded, since a field of a few hundred bytes can ask for the same gigabyte
//! a hundred times over (section 17.15, CVE-2011-3192): ranges that overlap or nearly touch become one, so
//! that no byte is ever sent twice, and a field with more than [`MOST_RANGES`] of them is ignored.

use super::list::elements;

/// So many ranges may one field ask for; with more it is ignored, and the whole representation is sent.
///
/// Readers of documents ask for a few tens at once. Precedents: Apache 200, nginx no bound, Go's net/http none
/// but the sum of their lengths.
pub const MOST_RANGES: usize = 64;

/// Ranges with a smaller gap become one: the fields between two parts cost more than such a gap.
const SMALL_GAP: u64 = 80;

/// The bytes `first` to `last`, both included; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    first: u64,
    last: u64,
}

impl ByteRange {
    /// Offset of the first byte.
    pub fn first(self) -> u64 {
        self.first
    }

    /// Offset of the last byte, which belongs to the range.
    pub fn last(self) -> u64 {
        self.last
    }

    /// The number of bytes; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(self) -> u64 {
        self.last - self.first + 1
    }

    /// The value of `Content-Range` for this part of a representation of `complete` bytes (section 14.4).
    pub fn content_range(self, complete: u64) -> String {
        format!("bytes {}-{}/{complete}", self.first, self.last)
    }
}

/// The value of `Content-Range` beside 416 for a representation of `complete` bytes.
pub fn unsatisfied(complete: u64) -> String {
    format!("bytes */{complete}")
}

/// What a `Range` field wants of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: the field is malformed, in another unit, or asks for too many ranges, and so it is ignored.
    Whole,
    /// One range, for a 206 whose content is that range.
    Part(ByteRange),
    /// Two or more that do not overlap, in the order asked for, for a 206 with `multipart/byteranges`.
    Parts(Vec<ByteRange>),
    /// Nothing of what is there: 416.
    Unsatisfiable,
}

impl Wanted {
    /// Reads the field's value for a representation of `complete` bytes.
    ///
    /// Whether the field counts at all is decided before: only for GET, only if it stands there once, and
    /// only if [`Preconditions::range_applies`](super::Preconditions::range_applies).
    pub fn read(value: &[u8], complete: u64) -> Wanted {
        // Names of units are case-insensitive (section 14.1).
        let Some((unit, set)) = value.split_at_checked(b"bytes=".len()) else {
            return Wanted::Whole;
        };
        if !unit.eq_ignore_ascii_case(b"bytes=") {
            return Wanted::Whole;
        }
        let mut parts = Parts::default();
        for (idx, text) in elements(set).enumerate() {
            if idx >= MOST_RANGES {
                return Wanted::Whole;
            }
            match Spec::parse(text) {
                None => return Wanted::Whole,
                Some(spec) => parts.add(spec, complete),
            }
        }
        parts.into_wanted()
    }
}

/// One range as it is asked for.
#[derive(Clone, Copy, Debug)]
enum Spec {
    From { first: u64 },
    FromTo { first: u64, last: u64 },
    Suffix { len: u64 },
}

/// How a [`Spec`] meets a representation.
enum Met {
    Range(ByteRange),
    /// The last bytes of an empty representation: it can be had, but no `Content-Range` says so.
    Empty,
    Nothing,
}

impl Spec {
    fn parse(text: &[u8]) -> Option<Spec> {
        let dash = memchr::memchr(b'-', text)?;
        let (before, after) = (&text[..dash], &text[dash + 1..]);
        match (before, after) {
            (b"", len) => number(len).map(|len| Spec::Suffix { len }),
            (first, b"") => number(first).map(|first| Spec::From { first }),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Spec::FromTo { first, last })
            }
        }
    }

    fn meet(self, complete: u64) -> Met {
        let (first, last) = match self {
            Spec::From { first } => (first, u64::MAX),
            Spec::FromTo { first, last } => (first, last),
            Spec::Suffix { len: 0 } => return Met::Nothing,
            Spec::Suffix { .. } if complete == 0 => return Met::Empty,
            Spec::Suffix { len } => (complete.saturating_sub(len), u64::MAX),
        };
        if first >= complete {
            return Met::Nothing;
        }
        Met::Range(ByteRange {
            first,
            last: last.min(complete - 1),
        })
    }
}

/// Digits; a number beyond 64 bits is as good as the largest one.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

/// The ranges so far: none overlaps another, and between any two lies more than [`SMALL_GAP`].
#[derive(Default)]
struct Parts {
    first: Option<ByteRange>,
    /// Those behind the first; most requests have none.
    more: Vec<ByteRange>,
    asked: bool,
    empty: bool,
}

impl Parts {
    fn add(&mut self, spec: Spec, complete: u64) {
        self.asked = true;
        match spec.meet(complete) {
            Met::Nothing => {}
            Met::Empty => self.empty = true,
            Met::Range(range) => self.add_range(range),
        }
    }

    /// Puts the range in, at the place of the first one that it becomes one with.
    fn add_range(&mut self, mut range: ByteRange) {
        let Some(first) = self.first else {
            self.first = Some(range);
            return;
        };
        // What it has swallowed makes it larger, so that it may reach one that it did not reach before.
        let mut place = None;
        if is_near(first, range) {
            range = union(first, range);
            place = Some(0);
        }
        while let Some(idx) = self.more.iter().position(|&other| is_near(other, range)) {
            range = union(self.more.remove(idx), range);
            place = Some(place.map_or(idx + 1, |place: usize| place.min(idx + 1)));
            if place != Some(0) && is_near(first, range) {
                range = union(first, range);
                place = Some(0);
            }
        }
        match place {
            Some(0) => self.first = Some(range),
            Some(idx) => self.more.insert(idx - 1, range),
            None => self.more.push(range),
        }
    }

    fn into_wanted(self) -> Wanted {
        match self.first {
            Some(first) if self.more.is_empty() => Wanted::Part(first),
            Some(first) => {
                let mut all = self.more;
                all.insert(0, first);
                Wanted::Parts(all)
            }
            None if self.asked && !self.empty => Wanted::Unsatisfiable,
            None => Wanted::Whole,
        }
    }
}

/// Whether two ranges overlap, touch, or have so small a gap that they are sent as one.
fn is_near(one: ByteRange, other: ByteRange) -> bool {
    one.first <= other.last.saturating_add(1 + SMALL_GAP)
        && other.first <= one.last.saturating_add(1 + SMALL_GAP)
}

fn union(one: ByteRange, other: ByteRange) -> ByteRange {
    ByteRange {
        first: one.first.min(other.first),
        last: one.last.max(other.last),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(first: u64, last: u64) -> ByteRange {
        ByteRange { first, last }
    }

    fn read(value: &str, complete: u64) -> Wanted {
        Wanted::read(value.as_bytes(), complete)
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        for (value, expected) in [
            ("bytes=0-499", Wanted::Part(range(0, 499))),
            ("bytes=500-999", Wanted::Part(range(500, 999))),
            ("bytes=-500", Wanted::Part(range(9500, 9999))),
            ("bytes=9500-", Wanted::Part(range(9500, 9999))),
            (
                "bytes=0-0,-1",
                Wanted::Parts(vec![range(0, 0), range(9999, 9999)]),
            ),
            (
                "bytes= 0-999, 4500-5499, -1000",
                Wanted::Parts(vec![range(0, 999), range(4500, 5499), range(9000, 9999)]),
            ),
            ("bytes=500-600,601-999", Wanted::Part(range(500, 999))),
            ("bytes=500-700,601-999", Wanted::Part(range(500, 999))),
            ("Bytes=0-99999", Wanted::Part(range(0, 9999))),
            ("bytes=-99999", Wanted::Part(range(0, 9999))),
            ("bytes=10000-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=10000-,5-5", Wanted::Part(range(5, 5))),
            (
                "bytes=5-99999999999999999999999",
                Wanted::Part(range(5, 9999)),
            ),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
        ] {
            assert_eq!(read(value, 10_000), expected, "{value}");
        }
    }

    #[test]
    fn what_is_malformed_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=5",
            "bytes=5-4",
            "bytes=1-2-3",
            "bytes=+1-2",
            "bytes=1 -2",
            "bytes =1-2",
            "lines=1-2",
            "bytes=0-1,x",
            "bytes=0x1-2",
            "bytes=0-1;2-3",
            "bytes=--1",
        ] {
            assert_eq!(read(value, 10_000), Wanted::Whole, "{value}");
        }
    }

    #[test]
    fn of_nothing_the_last_bytes_are_all_of_it() {
        assert_eq!(read("bytes=-5", 0), Wanted::Whole);
        assert_eq!(read("bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(read("bytes=0-,-5", 0), Wanted::Whole);
    }

    #[test]
    fn ranges_become_one_and_keep_their_order() {
        let value = "bytes=9000-9100,100-200,0-50,9150-9200,5000-5001";
        let expected = vec![range(9000, 9200), range(0, 200), range(5000, 5001)];
        assert_eq!(read(value, 10_000), Wanted::Parts(expected));
        // The third makes one of the first two, with everything between.
        let value = "bytes=0-0,5000-5000,0-4999,9000-9000";
        let expected = vec![range(0, 5000), range(9000, 9000)];
        assert_eq!(read(value, 10_000), Wanted::Parts(expected));
    }

    #[test]
    fn too_many_ranges_are_ignored_however_small() {
        let many = |count: u64| {
            let specs: Vec<_> = (0..count).map(|at| format!("{0}-{0}", at * 1000)).collect();
            format!("bytes={}", specs.join(","))
        };
        let most = MOST_RANGES as u64;
        assert!(
            matches!(read(&many(most), 1 << 20), Wanted::Parts(parts) if parts.len() == MOST_RANGES)
        );
        assert_eq!(read(&many(most + 1), 1 << 20), Wanted::Whole);
        // The same byte over and over is one range, and still too many of them.
        assert_eq!(
            read(&format!("bytes={}0-", "0-,".repeat(64)), 10),
            Wanted::Whole
        );
    }

    #[test]
    fn the_fields_of_an_answer_say_what_is_in_it() {
        assert_eq!(range(0, 499).content_range(1234), "bytes 0-499/1234");
        assert_eq!(unsatisfied(1234), "bytes */1234");
    }

    proptest! {
        /// Compared with a set of bytes: every byte that is asked for is there, no byte is there twice, and
        /// beside them there are only small gaps.
        #[test]
        fn every_byte_that_is_asked_for_is_sent_once(
            specs in proptest::collection::vec((0u64..1200, 0u64..400, 0u8..3), 1..20),
            complete in 0u64..1000,
        ) {
            let mut asked = vec![false; complete as usize];
            let texts: Vec<String> = specs.iter().map(|&(first, more, kind)| {
                let (text, from, to) = match kind {
                    0 => (format!("{first}-{}", first + more), first, first + more),
                    1 => (format!("{first}-"), first, u64::MAX),
                    _ => (format!("-{more}"), complete.saturating_sub(more), u64::MAX),
                };
                for (at, byte) in asked.iter_mut().enumerate() {
                    *byte |= (from..=to).contains(&(at as u64)) && !(kind == 2 && more == 0);
                }
                text
            }).collect();
            let wanted = read(&format!("bytes={}", texts.join(",")), complete);
            let parts = match wanted {
                Wanted::Part(part) => vec![part],
                Wanted::Parts(parts) => {
                    prop_assert!(parts.len() > 1);
                    parts
                }
                Wanted::Unsatisfiable => {
                    prop_assert!(!asked.contains(&true));
                    return Ok(());
                }
                Wanted::Whole => {
                    prop_assert_eq!(complete, 0);
                    return Ok(());
                }
            };
            let mut sent = vec![0; complete as usize];
            for part in &parts {
                prop_assert!(part.first <= part.last && part.last < complete);
                sent[part.first as usize..=part.last as usize].iter_mut().for_each(|count| *count += 1);
            }
            let mut gap = 0;
            for (asked, sent) in asked.iter().zip(&sent) {
                prop_assert!(*sent <= 1);
                prop_assert!(!asked || *sent == 1);
                gap = if !asked && *sent == 1 { gap + 1 } else { 0 };
                prop_assert!(gap <= SMALL_GAP);
            }
        }
    }
}
