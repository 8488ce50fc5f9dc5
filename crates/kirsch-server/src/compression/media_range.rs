//! Sets of media types, as settings name them: `text/html`, `text/*`, `application/*+json`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A media type, or several with one pattern. Parameters of a type do not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRange {
    /// In lower case.
    kind: Cow<'static, str>,
    subtype: Subtype,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subtype {
    /// `*`.
    Any,
    /// `*+suffix`, with the plus.
    Suffix(Cow<'static, str>),
    One(Cow<'static, str>),
}

/// A text that is no media type and no pattern of some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMediaRange;

/// A stream of events is read as it comes, by a browser that has the page open for hours: an encoder would be kept for
/// as long, and every event flushed by itself hardly becomes smaller. It has to be named to be meant.
const EVENTS: &str = "event-stream";

impl MediaRange {
    /// The types whose content becomes smaller.
    pub(crate) fn worth_it() -> Vec<MediaRange> {
        let one = |subtype| Subtype::One(Cow::Borrowed(subtype));
        let suffix = |suffix| Subtype::Suffix(Cow::Borrowed(suffix));
        let known = [
            ("text", Subtype::Any),
            ("application", one("json")),
            ("application", suffix("+json")),
            ("application", one("x-ndjson")),
            ("application", one("javascript")),
            ("application", one("xml")),
            ("application", suffix("+xml")),
            ("application", one("wasm")),
            ("image", one("svg+xml")),
        ];
        let range = |(kind, subtype)| MediaRange {
            kind: Cow::Borrowed(kind),
            subtype,
        };
        known.map(range).into()
    }

    /// Whether this value of a Content-Type names one of the types.
    pub fn includes(&self, content_type: &[u8]) -> bool {
        let end = content_type.iter().position(|&byte| byte == b';');
        let name = content_type[..end.unwrap_or(content_type.len())].trim_ascii();
        let Some(slash) = name.iter().position(|&byte| byte == b'/') else {
            return false;
        };
        let (kind, subtype) = (&name[..slash], &name[slash + 1..]);
        if !kind.eq_ignore_ascii_case(self.kind.as_bytes()) {
            return false;
        }
        match &self.subtype {
            Subtype::Any => !subtype.eq_ignore_ascii_case(EVENTS.as_bytes()),
            Subtype::Suffix(suffix) => {
                let start = subtype.len().saturating_sub(suffix.len());
                start > 0 && subtype[start..].eq_ignore_ascii_case(suffix.as_bytes())
            }
            Subtype::One(one) => subtype.eq_ignore_ascii_case(one.as_bytes()),
        }
    }
}

impl FromStr for MediaRange {
    type Err = NoMediaRange;

    fn from_str(text: &str) -> Result<Self, NoMediaRange> {
        let text = text.to_ascii_lowercase();
        let (kind, subtype) = text.split_once('/').ok_or(NoMediaRange)?;
        let subtype = match subtype.strip_prefix('*') {
            Some("") => Subtype::Any,
            Some(suffix) if suffix.starts_with('+') && is_name(&suffix[1..]) => {
                Subtype::Suffix(suffix.to_owned().into())
            }
            None if is_name(subtype) => Subtype::One(subtype.to_owned().into()),
            Some(_) | None => return Err(NoMediaRange),
        };
        if !is_name(kind) {
            return Err(NoMediaRange);
        }
        Ok(MediaRange {
            kind: kind.to_owned().into(),
            subtype,
        })
    }
}

/// RFC 6838 section 4.2: no stars among them.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = &self.kind;
        match &self.subtype {
            Subtype::Any => write!(f, "{kind}/*"),
            Subtype::Suffix(suffix) => write!(f, "{kind}/*{suffix}"),
            Subtype::One(one) => write!(f, "{kind}/{one}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_includes_what_it_names() {
        for (range, content_type, expected) in [
            ("text/*", "text/html", true),
            ("text/*", "TEXT/HTML; charset=utf-8", true),
            ("text/*", "text/plain ; x=y", true),
            ("text/*", "text/event-stream", false),
            ("text/*", "Text/Event-Stream; charset=utf-8", false),
            ("text/event-stream", "text/event-stream", true),
            ("text/*", "textual/html", false),
            ("text/*", "text", false),
            ("text/*", "", false),
            ("application/json", "application/json", true),
            ("application/json", "application/jsonx", false),
            ("application/*+json", "application/problem+JSON", true),
            ("application/*+json", "application/json", false),
            ("application/*+json", "application/+json", false),
            ("Image/SVG+xml", "image/svg+xml", true),
        ] {
            let range: MediaRange = range.parse().expect("a range");
            assert_eq!(
                range.includes(content_type.as_bytes()),
                expected,
                "{range} {content_type}"
            );
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "text",
            "text/",
            "/html",
            "*/*",
            "text/*html",
            "text/*+",
            "a b/c",
            "text/html;q=1",
        ] {
            assert_eq!(text.parse::<MediaRange>(), Err(NoMediaRange), "{text}");
        }
    }

    #[test]
    fn every_default_is_written_as_it_is_read() {
        for range in MediaRange::worth_it() {
            assert_eq!(range.to_string().parse(), Ok(range));
        }
    }
}
