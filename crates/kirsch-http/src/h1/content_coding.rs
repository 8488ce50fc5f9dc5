//! What a content coding that the server applies means for a response head (RFC 9110 section 8.4.1).
//!
//! The encoded content is another representation than the one that the application described: its length
//! differs, ranges of it cannot be had, its entity tag must not claim that the bytes are the same. It does not
//! know how anything is encoded, nor whether it is worth it.

use super::response_head::ResponseHead;
use super::rewriting::Fate;
use crate::semantics::{EntityTag, Strength, elements};

/// Fields whose values are about the bytes of the content, or that say it is encoded already. A digest may be made
/// by somebody who signed it, and a range is one of the bytes as they are.
const ABOUT_BYTES: [&[u8]; 7] = [
    b"content-encoding",
    b"content-range",
    b"content-md5",
    b"content-digest",
    b"repr-digest",
    b"digest",
    b"signature",
];

impl ResponseHead {
    /// The value of the first field of that name.
    pub fn value_of(&self, name: &str) -> Option<&[u8]> {
        self.fields()
            .find(|(given, _)| given.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// Whether a server may encode the content: there is some, it is whole, it is not encoded yet, and the
    /// application has nothing against it.
    pub fn may_be_encoded(&self) -> bool {
        if matches!(self.status_code(), 204 | 205 | 206 | 304) {
            return false;
        }
        self.fields().all(|(name, value)| {
            if name.eq_ignore_ascii_case(b"cache-control") {
                // RFC 9111 section 5.2.2.6.
                return !elements(value).any(|it| it.eq_ignore_ascii_case(b"no-transform"));
            }
            !ABOUT_BYTES
                .iter()
                .any(|about| name.eq_ignore_ascii_case(about))
        })
    }

    /// Notes that what is sent depends on the request's Accept-Encoding (RFC 9110 section 12.5.5), unless the
    /// application has done so.
    pub fn vary_by_encoding(&mut self) {
        let noted = self.fields().any(|(name, value)| {
            name.eq_ignore_ascii_case(b"vary")
                && elements(value)
                    .any(|it| it == b"*" || it.eq_ignore_ascii_case(b"accept-encoding"))
        });
        if !noted {
            self.push(b"Vary", b"Accept-Encoding");
        }
    }

    /// Makes the entity tag a weak one: it says that the content means the same, not that the bytes are the same
    /// (RFC 9110 section 8.8.1). What is no entity tag is taken out.
    pub fn weaken_entity_tag(&mut self) {
        self.rewrite(|name| {
            if name.eq_ignore_ascii_case(b"etag") {
                Fate::Weakened
            } else {
                Fate::Stays
            }
        });
    }

    /// Whether these lists, the values of If-None-Match, hold the entity tag as a weak one: so the client has it of
    /// a response that was encoded, and a 304 that says it is strong would be about another one (RFC 9111
    /// section 4.3.4).
    pub fn is_known_weakly<'a>(&self, mut lists: impl Iterator<Item = &'a [u8]>) -> bool {
        let Some(own) = self.value_of("etag").and_then(EntityTag::parse) else {
            return false;
        };
        lists.any(|list| {
            EntityTag::of_list(list).any(|tag| tag.is_weak() && tag.matches(own, Strength::Weak))
        })
    }

    /// Turns the head into that of the content in a coding: says which, takes out the length and the offer of
    /// ranges, which were those of the content as it was, and weakens the entity tag.
    pub fn encode(&mut self, coding: &str) {
        self.rewrite(|name| {
            if name.eq_ignore_ascii_case(b"etag") {
                Fate::Weakened
            } else if name.eq_ignore_ascii_case(b"content-length")
                || name.eq_ignore_ascii_case(b"accept-ranges")
            {
                Fate::Goes
            } else {
                Fate::Stays
            }
        });
        self.push(b"Content-Encoding", coding.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> ResponseHead {
        let mut head = ResponseHead::new();
        head.status(b"200 OK: fine").expect("it is good");
        for (name, value) in fields {
            head.field(name.as_bytes(), value.as_bytes())
                .expect("it is good");
        }
        head
    }

    fn text(head: &ResponseHead) -> String {
        String::from_utf8_lossy(head.bytes()).into_owned()
    }

    #[test]
    fn an_encoded_response_says_nothing_of_the_bytes_that_were() {
        let mut head = head(&[
            ("content-length", "9"),
            ("Accept-Ranges", "bytes"),
            ("ETag", "\"a:b\""),
            ("X-Empty", ""),
            ("Set-Cookie", "a=1: 2"),
        ]);
        head.encode("br");
        assert_eq!(
            text(&head),
            "HTTP/1.1 200 OK: fine\r\nETag: W/\"a:b\"\r\nX-Empty: \r\nSet-Cookie: a=1: 2\r\nContent-Encoding: br\r\n"
        );
        assert_eq!(head.content_length(), None);
    }

    #[test]
    fn a_weakened_head_keeps_its_length() {
        let mut head = head(&[
            ("ETag", "\"a\""),
            ("Content-Length", "9"),
            ("ETag", "W/\"b\""),
            ("etag", "c"),
        ]);
        head.weaken_entity_tag();
        assert_eq!(
            text(&head),
            "HTTP/1.1 200 OK: fine\r\nETag: W/\"a\"\r\nContent-Length: 9\r\nETag: W/\"b\"\r\n"
        );
        assert_eq!(head.content_length(), Some(9));
    }

    #[test]
    fn a_weak_tag_is_known_where_it_stands_in_a_list() {
        for (list, known) in [
            ("W/\"a\"", true),
            ("\"a\"", false),
            ("\"x,y\", W/\"a\"", true),
            ("W/\"b\"", false),
            ("*", false),
        ] {
            let lists = [list.as_bytes()];
            let known_weakly = head(&[("ETag", "\"a\"")]).is_known_weakly(lists.into_iter());
            assert_eq!(known_weakly, known, "{list}");
        }
        assert!(!head(&[]).is_known_weakly([&b"W/\"a\""[..]].into_iter()));
    }

    #[test]
    fn what_depends_on_the_encoding_is_said_once() {
        for (given, added) in [
            ("Accept", true),
            ("accept-encoding", false),
            ("Cookie, Accept-Encoding", false),
            ("*", false),
        ] {
            let mut head = head(&[("vary", given)]);
            head.vary_by_encoding();
            assert_eq!(
                text(&head).ends_with("\r\nVary: Accept-Encoding\r\n"),
                added,
                "{given}"
            );
        }
    }

    #[test]
    fn what_speaks_of_its_bytes_is_left_alone() {
        for (name, value, may) in [
            ("X", "y", true),
            ("Content-Encoding", "gzip", false),
            ("content-range", "bytes 0-1/2", false),
            ("Content-MD5", "x", false),
            ("Repr-Digest", "sha-256=:x:", false),
            ("Cache-Control", "max-age=1", true),
            ("Cache-Control", "public, No-Transform", false),
        ] {
            assert_eq!(
                head(&[(name, value)]).may_be_encoded(),
                may,
                "{name}: {value}"
            );
        }
        for status in ["204 X", "205 X", "206 X", "304 X"] {
            let mut head = ResponseHead::new();
            head.status(status.as_bytes()).expect("it is good");
            assert!(!head.may_be_encoded(), "{status}");
        }
    }
}
