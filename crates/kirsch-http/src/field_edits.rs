//! What an operator wants changed in the fields of a response, whoever made it.
//!
//! They hold for the server's own fields, too. Those that frame the message or speak of the connection cannot be
//! named, so a response stays what it is. `ResponseHead::edit` changes a head before it is complete, so that what
//! follows from its fields follows from these; a whole response of the server's own is changed here.

use std::ops::Range;

use crate::chars;
use crate::error::ResponseError;
use crate::h1::{is_servers_own, push_field};

/// Fields to take out of a response, and fields to put in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldEdits {
    /// Names whose lines are taken out; those of `added` are among them.
    dropped: Vec<Vec<u8>>,
    /// Lines to put in, as they are sent.
    added: Vec<u8>,
}

impl FieldEdits {
    /// No change.
    pub fn new() -> FieldEdits {
        FieldEdits::default()
    }

    /// Has the response hold this field once, with this value, instead of any that it has. Setting one name
    /// several times sends several lines.
    ///
    /// # Errors
    ///
    /// If name or value holds a character it must not hold, or the field is the server's: Date, Content-Length,
    /// Connection and whatever else describes the connection.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), ResponseError> {
        check_name(name)?;
        if !chars::is_value_slice(value) {
            return Err(ResponseError::ValueInvalid);
        }
        self.drop_name(name);
        push_field(&mut self.added, name, chars::trim_blanks(value));
        Ok(())
    }

    /// Has the response not hold this field, unless it is also set.
    ///
    /// # Errors
    ///
    /// As [`FieldEdits::set`].
    pub fn remove(&mut self, name: &[u8]) -> Result<(), ResponseError> {
        check_name(name)?;
        self.drop_name(name);
        Ok(())
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.dropped.is_empty()
    }

    /// Changes the head that `response` begins with; `content` bytes stand behind its end.
    pub fn apply(&self, response: &mut Vec<u8>, content: usize) {
        // The empty line that ends the head stays where it is.
        let end = response.len() - content - 2;
        let mut lines: Vec<Range<usize>> = Vec::new();
        let mut start = line_end(response, 0);
        while start < end {
            let next = line_end(response, start);
            if self.drops_line(&response[start..next]) {
                lines.push(start..next);
            }
            start = next;
        }
        response.splice(end..end, self.added.iter().copied());
        for line in lines.into_iter().rev() {
            response.drain(line);
        }
    }

    /// Lines to put in, as they are sent.
    pub(crate) fn added(&self) -> &[u8] {
        &self.added
    }

    /// Whether the field of this name is taken out, or put in anew.
    pub(crate) fn drops(&self, name: &[u8]) -> bool {
        self.dropped.iter().any(|it| it.eq_ignore_ascii_case(name))
    }

    fn drop_name(&mut self, name: &[u8]) {
        if !self.drops(name) {
            self.dropped.push(name.to_vec());
        }
    }

    fn drops_line(&self, line: &[u8]) -> bool {
        let name_len = memchr::memchr(b':', line).unwrap_or(line.len());
        self.drops(&line[..name_len])
    }
}

fn check_name(name: &[u8]) -> Result<(), ResponseError> {
    if !chars::is_token_slice(name) {
        return Err(ResponseError::NameInvalid);
    }
    if is_servers_own(name) {
        return Err(ResponseError::HopByHop);
    }
    Ok(())
}

/// Where the line at `start` ends; a head that was made here ends each with CR LF.
fn line_end(head: &[u8], start: usize) -> usize {
    memchr::memchr(b'\n', &head[start..]).map_or(head.len(), |at| start + at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(edits: &FieldEdits, head: &str, content: &str) -> String {
        let mut response = format!("{head}{content}").into_bytes();
        edits.apply(&mut response, content.len());
        String::from_utf8(response).expect("it is ASCII")
    }

    const HEAD: &str = "HTTP/1.1 200 OK\r\nServer: kirsch\r\nx-a: 1\r\nX-A: 2\r\nX-Ab: 3\r\n\r\n";

    #[test]
    fn a_field_that_is_set_takes_the_place_of_all_of_its_name() {
        let mut edits = FieldEdits::new();
        edits.set(b"X-a", b" 4 ").expect("it is good");
        assert_eq!(
            edited(&edits, HEAD, "X-A: body\r\n"),
            "HTTP/1.1 200 OK\r\nServer: kirsch\r\nX-Ab: 3\r\nX-a: 4\r\n\r\nX-A: body\r\n"
        );
    }

    #[test]
    fn a_field_that_is_removed_is_not_sent_and_set_twice_it_has_two_lines() {
        let mut edits = FieldEdits::new();
        edits.remove(b"server").expect("it is good");
        edits.remove(b"absent").expect("it is good");
        edits.set(b"Link", b"</a>").expect("it is good");
        edits.set(b"Link", b"</b>").expect("it is good");
        assert_eq!(
            edited(&edits, HEAD, ""),
            "HTTP/1.1 200 OK\r\nx-a: 1\r\nX-A: 2\r\nX-Ab: 3\r\nLink: </a>\r\nLink: </b>\r\n\r\n"
        );
    }

    #[test]
    fn what_frames_a_response_and_what_would_break_it_is_refused() {
        let mut edits = FieldEdits::new();
        for name in [
            "Date",
            "content-length",
            "Connection",
            "Transfer-Encoding",
            "Upgrade",
        ] {
            assert_eq!(
                edits.set(name.as_bytes(), b"1"),
                Err(ResponseError::HopByHop)
            );
            assert_eq!(edits.remove(name.as_bytes()), Err(ResponseError::HopByHop));
        }
        assert_eq!(edits.set(b"a b", b"1"), Err(ResponseError::NameInvalid));
        assert_eq!(
            edits.set(b"a", b"1\r\nb: 2"),
            Err(ResponseError::ValueInvalid)
        );
        assert_eq!(edited(&FieldEdits::new(), HEAD, "x"), format!("{HEAD}x"));
    }
}
