//! Entity tags (RFC 9110 section 8.8.3), and whether a list of them holds a given one.

use crate::chars::{is_blank, trim_blanks};

/// An entity tag as it stands in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    weak: bool,
    /// What stands between the quotes.
    opaque: &'a [u8],
}

/// How two entity tags are compared (section 8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// Both have to be strong: the bytes are the same.
    Strong,
    /// The meaning is the same.
    Weak,
}

impl<'a> EntityTag<'a> {
    /// Reads one entity tag with its quotes, and nothing beside it.
    pub fn parse(value: &'a [u8]) -> Option<EntityTag<'a>> {
        match EntityTag::take(trim_blanks(value)) {
            Some((tag, b"")) => Some(tag),
            Some(_) | None => None,
        }
    }

    /// Whether the tags are the same in this sense.
    pub fn matches(self, other: EntityTag<'_>, strength: Strength) -> bool {
        let strong_enough = match strength {
            Strength::Strong => !self.weak && !other.weak,
            Strength::Weak => true,
        };
        strong_enough && self.opaque == other.opaque
    }

    /// Whether it is marked as weak.
    pub fn is_weak(self) -> bool {
        self.weak
    }

    /// Whether the list in a field's value holds this tag.
    pub(crate) fn is_in(self, list: &[u8], strength: Strength) -> bool {
        EntityTag::of_list(list).any(|tag| tag.matches(self, strength))
    }

    /// The tags of a list. It is read up to its first mistake: of what follows nobody can tell what it is.
    /// Commas may stand inside the quotes.
    pub(crate) fn of_list(list: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
        let mut rest = list;
        std::iter::from_fn(move || {
            let (tag, after) = EntityTag::take(skip_separators(rest))?;
            rest = after;
            Some(tag)
        })
    }

    /// The tag at the start of `bytes`, and what follows it.
    fn take(bytes: &'a [u8]) -> Option<(EntityTag<'a>, &'a [u8])> {
        // The W is case-sensitive.
        let (weak, quoted) = match bytes.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, bytes),
        };
        let inner = quoted.strip_prefix(b"\"")?;
        let end = memchr::memchr(b'"', inner)?;
        let (opaque, rest) = inner.split_at(end);
        // etagc: a quote ends it, and neither blanks nor controls belong to it.
        let good = opaque.iter().all(|&byte| byte > b' ' && byte != 0x7f);
        good.then_some((EntityTag { weak, opaque }, &rest[1..]))
    }
}

fn skip_separators(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && (*first == b',' || is_blank(*first))
    {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> EntityTag<'_> {
        EntityTag::parse(text.as_bytes()).expect("a tag")
    }

    #[test]
    fn tags_are_compared_as_the_table_of_the_rfc_has_it() {
        for (one, other, strong, weak) in [
            (r#"W/"1""#, r#"W/"1""#, false, true),
            (r#"W/"1""#, r#"W/"2""#, false, false),
            (r#"W/"1""#, r#""1""#, false, true),
            (r#""1""#, r#""1""#, true, true),
        ] {
            assert_eq!(tag(one).matches(tag(other), Strength::Strong), strong);
            assert_eq!(tag(one).matches(tag(other), Strength::Weak), weak);
        }
    }

    #[test]
    fn what_is_no_tag_is_none() {
        for text in [
            "",
            "1",
            "\"",
            "\"1",
            "1\"",
            "w/\"1\"",
            "W/1",
            "W/ \"1\"",
            "\"a b\"",
            "\"1\"x",
            "\"1\",",
            "\"1\" \"2\"",
            "*",
        ] {
            assert_eq!(EntityTag::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(tag(" \"\" ").opaque, b"");
        assert_eq!(tag("\"\u{e9}\\\"").opaque, "\u{e9}\\".as_bytes());
    }

    #[test]
    fn lists_are_searched_up_to_their_first_mistake() {
        let wanted = tag("\"b,c\"");
        for (list, found) in [
            (&br#""b,c""#[..], true),
            (br#""a", "b,c""#, true),
            (br#",, "a" ,"#, false),
            (br#" , "a",W/"b,c""#, true),
            (br#""a""b,c""#, true),
            (br#""a", x, "b,c""#, false),
            (b"", false),
            (b"b,c", false),
            (b"*", false),
        ] {
            assert_eq!(
                wanted.is_in(list, Strength::Weak),
                found,
                "{}",
                list.escape_ascii()
            );
        }
        assert!(!wanted.is_in(br#"W/"b,c""#, Strength::Strong));
    }
}
