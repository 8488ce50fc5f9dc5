//! Conditional requests (RFC 9110 section 13): whether a request is to be carried out on what is there now.

use crate::field_name::FieldName;
use crate::h1::Method;

use super::date::HttpDate;
use super::entity_tag::{EntityTag, Strength};

/// The preconditions of one request.
#[derive(Clone, Debug, Default)]
pub struct Preconditions<'a> {
    /// Lists, one for each line of their field.
    if_match: Vec<&'a [u8]>,
    if_none_match: Vec<&'a [u8]>,
    if_modified_since: Single<'a>,
    if_unmodified_since: Single<'a>,
    if_range: Single<'a>,
}

/// What tells the selected representation from others (section 8.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validators<'a> {
    /// Its `ETag`.
    pub etag: Option<EntityTag<'a>>,
    /// Its `Last-Modified`.
    pub last_modified: Option<LastModified>,
}

/// When a representation was changed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastModified {
    /// The second.
    pub date: HttpDate,
    /// Whether that second is over, so that the representation cannot change in it once more: a strong
    /// validator (section 8.8.2.2).
    pub is_strong: bool,
}

/// What becomes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is carried out; whether in part, [`Preconditions::range_applies`] says.
    Proceed,
    /// 304: the client has it already.
    NotModified,
    /// 412: what is there is not what the client thinks.
    Failed,
}

/// A field that must stand there once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Single<'a> {
    #[default]
    Missing,
    Once(&'a [u8]),
    /// Nobody can tell which line is meant.
    Several,
}

impl<'a> Single<'a> {
    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Single::Missing => Single::Once(value),
            Single::Once(_) | Single::Several => Single::Several,
        };
    }

    /// A date; whatever else stands there is ignored (sections 13.1.3 and 13.1.4).
    fn date(self) -> Option<HttpDate> {
        match self {
            Single::Once(value) => HttpDate::parse(value),
            Single::Missing | Single::Several => None,
        }
    }
}

impl<'a> Preconditions<'a> {
    /// Picks them out of a request's fields.
    pub fn of(fields: impl Iterator<Item = (FieldName, &'a [u8])>) -> Preconditions<'a> {
        let mut found = Preconditions::default();
        for (name, value) in fields {
            found.add(name, value);
        }
        found
    }

    /// Adds a field of the request; those that are no preconditions change nothing.
    pub fn add(&mut self, name: FieldName, value: &'a [u8]) {
        match name {
            FieldName::IfMatch => self.if_match.push(value),
            FieldName::IfNoneMatch => self.if_none_match.push(value),
            FieldName::IfModifiedSince => self.if_modified_since.add(value),
            FieldName::IfUnmodifiedSince => self.if_unmodified_since.add(value),
            FieldName::IfRange => self.if_range.add(value),
            _ => {}
        }
    }

    /// Evaluates them in the order of section 13.2.2 for a representation that exists.
    pub fn evaluate(&self, method: Method, validators: &Validators<'_>) -> Verdict {
        let date = validators.last_modified.map(|modified| modified.date);
        // Steps 1 and 2.
        if !self.if_match.is_empty() {
            if !matches(&self.if_match, validators.etag, Strength::Strong) {
                return Verdict::Failed;
            }
        } else if let (Some(limit), Some(date)) = (self.if_unmodified_since.date(), date)
            && date > limit
        {
            return Verdict::Failed;
        }
        // Steps 3 and 4.
        let reads = matches!(method, Method::Get | Method::Head);
        if !self.if_none_match.is_empty() {
            match matches(&self.if_none_match, validators.etag, Strength::Weak) {
                true if reads => return Verdict::NotModified,
                true => return Verdict::Failed,
                false => {}
            }
        } else if let (true, Some(since), Some(date)) = (reads, self.if_modified_since.date(), date)
            && date <= since
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Step 5: whether `Range`, if there is one, is to be obeyed. Without `If-Range` it is.
    pub fn range_applies(&self, validators: &Validators<'_>) -> bool {
        let value = match self.if_range {
            Single::Missing => return true,
            Single::Once(value) => value,
            Single::Several => return false,
        };
        if let Some(tag) = EntityTag::parse(value) {
            return validators
                .etag
                .is_some_and(|etag| etag.matches(tag, Strength::Strong));
        }
        // Not "no later than": the very date (section 13.1.5), and only one that is a strong validator.
        match (HttpDate::parse(value), validators.last_modified) {
            (Some(date), Some(modified)) => modified.is_strong && modified.date == date,
            (Some(_), None) | (None, _) => false,
        }
    }
}

/// Whether the lists hold the tag of a representation that exists. `*` alone stands for any.
fn matches(lists: &[&[u8]], etag: Option<EntityTag<'_>>, strength: Strength) -> bool {
    if let [b"*"] = lists {
        return true;
    }
    etag.is_some_and(|etag| lists.iter().any(|list| etag.is_in(list, strength)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn validators() -> Validators<'static> {
        Validators {
            etag: EntityTag::parse(b"\"a\""),
            last_modified: Some(LastModified {
                date: HttpDate::from_seconds(784_111_777),
                is_strong: true,
            }),
        }
    }

    fn preconditions(head: &str) -> Preconditions<'_> {
        Preconditions::of(head.lines().map(|line| {
            let (name, value) = line.split_once(": ").expect("a field");
            (FieldName::from_bytes(name.as_bytes()), value.as_bytes())
        }))
    }

    fn verdict(head: &str, method: Method) -> Verdict {
        preconditions(head).evaluate(method, &validators())
    }

    #[test]
    fn the_fields_count_in_the_order_of_the_rfc() {
        use Verdict::{Failed, NotModified, Proceed};
        let modified = |date: &str| format!("If-Modified-Since: {date}");
        let unmodified = |date: &str| format!("If-Unmodified-Since: {date}");
        for (head, expected) in [
            (String::new(), Proceed),
            // 1
            ("If-Match: \"a\"".to_owned(), Proceed),
            ("If-Match: \"b\", \"a\"".to_owned(), Proceed),
            ("If-Match: \"b\"\nIf-Match: \"a\"".to_owned(), Proceed),
            ("If-Match: *".to_owned(), Proceed),
            ("If-Match: \"b\"".to_owned(), Failed),
            ("If-Match: W/\"a\"".to_owned(), Failed),
            ("If-Match: a".to_owned(), Failed),
            ("If-Match: ".to_owned(), Failed),
            // 2
            (unmodified(OLD), Failed),
            (unmodified(NOW), Proceed),
            (unmodified(NEW), Proceed),
            (unmodified("yesterday"), Proceed),
            (format!("{}\n{}", unmodified(OLD), unmodified(OLD)), Proceed),
            (format!("If-Match: \"a\"\n{}", unmodified(OLD)), Proceed),
            (format!("If-Match: \"b\"\n{}", unmodified(NEW)), Failed),
            // 3
            ("If-None-Match: \"b\"".to_owned(), Proceed),
            ("If-None-Match: \"a\"".to_owned(), NotModified),
            ("If-None-Match: W/\"a\"".to_owned(), NotModified),
            ("If-None-Match: \"b\", W/\"a\"".to_owned(), NotModified),
            ("If-None-Match: *".to_owned(), NotModified),
            ("If-None-Match: a".to_owned(), Proceed),
            (
                "If-Match: \"a\"\nIf-None-Match: \"a\"".to_owned(),
                NotModified,
            ),
            ("If-Match: \"b\"\nIf-None-Match: \"a\"".to_owned(), Failed),
            (format!("If-None-Match: \"a\"\n{}", unmodified(OLD)), Failed),
            // 4
            (modified(OLD), Proceed),
            (modified(NOW), NotModified),
            (modified(NEW), NotModified),
            (modified("0"), Proceed),
            (format!("If-None-Match: \"b\"\n{}", modified(NEW)), Proceed),
            (
                format!("If-None-Match: \"a\"\n{}", modified(OLD)),
                NotModified,
            ),
        ] {
            assert_eq!(verdict(&head, Method::Get), expected, "{head}");
            assert_eq!(verdict(&head, Method::Head), expected, "HEAD {head}");
        }
    }

    #[test]
    fn other_methods_fail_where_a_read_would_be_unmodified() {
        assert_eq!(
            verdict("If-None-Match: \"a\"", Method::Put),
            Verdict::Failed
        );
        let head = format!("If-Modified-Since: {NEW}");
        assert_eq!(verdict(&head, Method::Put), Verdict::Proceed);
    }

    #[test]
    fn a_range_counts_if_the_client_has_the_same_bytes() {
        for (head, applies) in [
            (String::new(), true),
            ("If-Range: \"a\"".to_owned(), true),
            ("If-Range: \"b\"".to_owned(), false),
            ("If-Range: W/\"a\"".to_owned(), false),
            ("If-Range: \"a\", \"a\"".to_owned(), false),
            ("If-Range: \"a\"\nIf-Range: \"a\"".to_owned(), false),
            ("If-Range: *".to_owned(), false),
            (format!("If-Range: {NOW}"), true),
            (format!("If-Range: {OLD}"), false),
            (format!("If-Range: {NEW}"), false),
        ] {
            let found = preconditions(&head).range_applies(&validators());
            assert_eq!(found, applies, "{head}");
        }
        let mut changing = validators();
        changing.last_modified = changing.last_modified.map(|modified| LastModified {
            is_strong: false,
            ..modified
        });
        let head = format!("If-Range: {NOW}");
        assert!(!preconditions(&head).range_applies(&changing));
    }

    #[test]
    fn what_has_no_validators_fails_only_what_asks_for_them() {
        let none = Validators {
            etag: None,
            last_modified: None,
        };
        for (head, expected) in [
            ("If-Match: \"a\"".to_owned(), Verdict::Failed),
            ("If-Match: *".to_owned(), Verdict::Proceed),
            ("If-None-Match: \"a\"".to_owned(), Verdict::Proceed),
            (format!("If-Modified-Since: {NEW}"), Verdict::Proceed),
            (format!("If-Unmodified-Since: {OLD}"), Verdict::Proceed),
        ] {
            let found = preconditions(&head).evaluate(Method::Get, &none);
            assert_eq!(found, expected, "{head}");
        }
        assert!(!preconditions("If-Range: \"a\"").range_applies(&none));
    }
}
