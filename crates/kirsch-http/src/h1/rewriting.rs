//! Changes a response head that has fields already: line by line, into one that reads the same otherwise.
//!
//! It does not know why. Read next: `content_coding.rs`, for a body that is encoded, and `field_edits.rs`, for what
//! an operator wants.

use super::response_head::ResponseHead;
use crate::field_edits::FieldEdits;
use crate::semantics::EntityTag;

/// What becomes of a field.
pub(super) enum Fate {
    Stays,
    Goes,
    /// It stays, an entity tag, as a weak one; it goes if it is none.
    Weakened,
}

impl ResponseHead {
    /// Changes the fields so far as an operator wants, and sees to it that the server adds none that is not wanted.
    pub fn edit(&mut self, edits: &FieldEdits) {
        self.rewrite(|name| match edits.drops(name) {
            true => Fate::Goes,
            false => Fate::Stays,
        });
        self.push_lines(edits.added());
        self.mark_seen(|name| edits.drops(name));
    }

    /// Makes the head anew; `fate` is asked for each field by its name.
    pub(super) fn rewrite(&mut self, fate: impl Fn(&[u8]) -> Fate) {
        let before = self.take_lines();
        for line in before.split_inclusive(|&byte| byte == b'\n') {
            let Some(colon) = name_len(line).filter(|_| !self.bytes().is_empty()) else {
                // The status line.
                self.push_lines(line);
                continue;
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            match fate(name) {
                Fate::Stays if name.eq_ignore_ascii_case(b"content-length") => {
                    // Its place is known to the head; the value was checked when it was given.
                    let known = self.field(name, value);
                    debug_assert!(known.is_ok(), "it was accepted before");
                }
                Fate::Stays => self.push_lines(line),
                Fate::Goes => {}
                Fate::Weakened => match EntityTag::parse(value) {
                    Some(tag) if tag.is_weak() => self.push_lines(line),
                    Some(_) => self.push(name, &[b"W/", value].concat()),
                    None => {}
                },
            }
        }
    }
}

fn name_len(line: &[u8]) -> Option<usize> {
    memchr::memchr(b':', line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CommonFields, RequestFacts, Version};

    fn edited(fields: &[(&str, &str)], edits: &FieldEdits) -> String {
        let mut head = ResponseHead::new();
        head.status(b"200 OK: fine").expect("it is good");
        for (name, value) in fields {
            let added = head.field(name.as_bytes(), value.as_bytes());
            added.expect("it is good");
        }
        head.edit(edits);
        let common = CommonFields {
            date: b"now",
            server: Some(b"kirsch"),
            request_id: Some(b"1"),
            keep_alive: None,
        };
        let request = RequestFacts {
            version: Version::Http11,
            is_head: false,
            keep_alive: true,
        };
        head.finish(&request, Some(3), &common, true);
        String::from_utf8_lossy(head.bytes()).into_owned()
    }

    #[test]
    fn what_is_set_takes_the_place_of_what_the_application_gave_and_of_what_the_server_would() {
        let mut edits = FieldEdits::new();
        edits.set(b"X-A", b"2").expect("it is good");
        edits.set(b"Server", b"mine").expect("it is good");
        let given = [("x-a", "1"), ("Content-Length", "3"), ("X-B", "1")];
        assert_eq!(
            edited(&given, &edits),
            "HTTP/1.1 200 OK: fine\r\nContent-Length: 3\r\nX-B: 1\r\nX-A: 2\r\nServer: mine\r\n\
             Date: now\r\nX-Request-ID: 1\r\n\r\n"
        );
    }

    #[test]
    fn what_is_removed_is_not_added_by_the_server_either() {
        let mut edits = FieldEdits::new();
        edits.remove(b"server").expect("it is good");
        edits.remove(b"X-Request-Id").expect("it is good");
        assert_eq!(
            edited(&[("Server", "its own")], &edits),
            "HTTP/1.1 200 OK: fine\r\nContent-Length: 3\r\nDate: now\r\n\r\n"
        );
    }

    #[test]
    fn a_length_that_moved_is_still_taken_out_whole() {
        let mut edits = FieldEdits::new();
        edits.remove(b"x-long").expect("it is good");
        let mut head = ResponseHead::new();
        head.status(b"204 No Content").expect("it is good");
        head.field(b"X-Long", b"so and so long")
            .expect("it is good");
        head.field(b"Content-Length", b"3").expect("it is good");
        head.field(b"X-B", b"1").expect("it is good");
        head.edit(&edits);
        let request = RequestFacts {
            version: Version::Http11,
            is_head: false,
            keep_alive: true,
        };
        let none = CommonFields {
            date: b"now",
            server: None,
            request_id: None,
            keep_alive: None,
        };
        head.finish(&request, None, &none, true);
        assert_eq!(
            head.bytes(),
            b"HTTP/1.1 204 No Content\r\nX-B: 1\r\nDate: now\r\n\r\n"
        );
    }
}
