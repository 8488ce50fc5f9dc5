//! The content of a response with several ranges: `multipart/byteranges` (RFC 9110 section 14.6).
//!
//! It knows the text between the parts, not the parts: these may lie in a file.

use super::ranges::ByteRange;

/// How the parts of one response are packed.
#[derive(Clone, Debug)]
pub struct Multipart<'a> {
    /// Must not occur in any part; RFC 2046 section 5.1.1 allows letters and digits, 70 at most.
    pub boundary: &'a str,
    /// The media type of the whole representation, if it is known.
    pub content_type: Option<&'a str>,
    /// The length of the whole representation.
    pub complete: u64,
}

impl Multipart<'_> {
    /// The value of the response's own `Content-Type`.
    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// What stands in front of a part.
    pub fn before(&self, range: ByteRange) -> String {
        let boundary = self.boundary;
        let content_range = range.content_range(self.complete);
        match self.content_type {
            Some(content_type) => format!(
                "\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {content_range}\r\n\r\n"
            ),
            None => format!("\r\n--{boundary}\r\nContent-Range: {content_range}\r\n\r\n"),
        }
    }

    /// What stands behind the last part.
    pub fn end(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }

    /// The length of the content with these parts.
    pub fn content_length(&self, ranges: &[ByteRange]) -> u64 {
        let parts = ranges
            .iter()
            .map(|&range| self.before(range).len() as u64 + range.len());
        parts.sum::<u64>() + self.end().len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::ranges::Wanted;
    use super::*;

    #[test]
    fn the_parts_are_packed_as_the_rfc_shows_and_their_length_is_known() {
        let Wanted::Parts(ranges) = Wanted::read(b"bytes=0-1,-2", 1000) else {
            panic!("two parts");
        };
        let mut packed = Multipart {
            boundary: "THIS",
            content_type: Some("application/pdf"),
            complete: 1000,
        };
        assert_eq!(packed.content_type(), "multipart/byteranges; boundary=THIS");
        let expected = "\r\n--THIS\r\nContent-Type: application/pdf\r\nContent-Range: bytes 0-1/1000\r\n\r\n\
             ab\
             \r\n--THIS\r\nContent-Type: application/pdf\r\nContent-Range: bytes 998-999/1000\r\n\r\n\
             yz\
             \r\n--THIS--\r\n";
        let content = [
            &packed.before(ranges[0]),
            "ab",
            &packed.before(ranges[1]),
            "yz",
            &packed.end(),
        ]
        .concat();
        assert_eq!(content, expected);
        assert_eq!(packed.content_length(&ranges), expected.len() as u64);
        packed.content_type = None;
        assert_eq!(
            packed.before(ranges[0]),
            "\r\n--THIS\r\nContent-Range: bytes 0-1/1000\r\n\r\n"
        );
    }
}
