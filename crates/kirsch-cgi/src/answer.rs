//! The head of a script's answer (RFC 3875 section 6): what it means, and what of it may reach a client.

use kirsch_server::{ResponseError, ResponseHead};
use tracing::debug;

/// Bytes of a script's head; beyond, it is taken for a script that does not speak CGI. As the largest default of
/// servers for a proxied head.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;

/// What a script answers.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A response to the client; a document, or a redirect that the client follows (sections 6.2.1, 6.2.3, 6.2.4).
    Client(ResponseHead),
    /// The answer to this path and query in its place (section 6.2.2).
    Elsewhere(Vec<u8>),
}

/// Why a script's answer is none; for the log, and for a 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nonsense {
    /// It ended before the empty line behind its head.
    NoHead,
    /// Its head is too long.
    TooLong,
    /// A line of its head is no field.
    NoField,
    /// None of its fields is one of CGI: `Content-Type`, `Location` or `Status`.
    NothingSaid,
    /// `Status` is no three-digit number of a final response.
    Status,
    /// The target of a redirect cannot be sent.
    Location,
    /// A field that cannot be sent.
    Field(ResponseError),
}

/// Where the head ends in what was read so far, and the body begins; lines may end as in HTTP or as in Unix.
pub(crate) fn head_end(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    // A line end may have been cut in two.
    let mut at = from.saturating_sub(2);
    if bytes.starts_with(b"\n") {
        return Some((0, 1));
    }
    while let Some(found) = memchr::memchr(b'\n', &bytes[at..]) {
        let next = at + found + 1;
        match &bytes[next..] {
            [b'\n', ..] => return Some((next, next + 1)),
            [b'\r', b'\n', ..] => return Some((next, next + 2)),
            _ => at = next,
        }
    }
    None
}

/// Reads a head without the empty line behind it.
pub(crate) fn read(head: &[u8]) -> Result<Answer, Nonsense> {
    let fields: Vec<(&[u8], &[u8])> = head
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .map(|line| {
            let colon = memchr::memchr(b':', line).ok_or(Nonsense::NoField)?;
            Ok((&line[..colon], line[colon + 1..].trim_ascii()))
        })
        .collect::<Result<_, _>>()?;
    let value_of = |name: &str| {
        let named = |(given, _): &&(&[u8], &[u8])| given.eq_ignore_ascii_case(name.as_bytes());
        fields.iter().find(named).map(|(_, value)| *value)
    };
    let (status, location) = (value_of("status"), value_of("location"));
    if status.is_none() && location.is_none() && value_of("content-type").is_none() {
        return Err(Nonsense::NothingSaid);
    }
    let status = match (status, location) {
        (Some(status), _) => whole_status(status)?,
        (None, Some([b'/', rest @ ..])) if !rest.starts_with(b"/") => {
            return Ok(Answer::Elsewhere([b"/", rest].concat()));
        }
        // Section 6.2.3: 302 where the script does not say which redirect it means.
        (None, Some(_)) => b"302 Found".to_vec(),
        (None, None) => b"200 OK".to_vec(),
    };
    let mut head = ResponseHead::new();
    head.status(&status).map_err(|_| Nonsense::Status)?;
    for (name, value) in fields {
        if name.eq_ignore_ascii_case(b"status") {
            continue;
        }
        match head.field(name, value) {
            Ok(()) => {}
            // Section 6.3.4: what concerns the connection is not the script's, and scripts say it all the same.
            Err(ResponseError::HopByHop) => {
                debug!(name = %name.escape_ascii(), "a script's field about the connection is left out");
            }
            Err(err) => return Err(Nonsense::Field(err)),
        }
    }
    Ok(Answer::Client(head))
}

/// A status with its reason, which scripts may leave out.
fn whole_status(status: &[u8]) -> Result<Vec<u8>, Nonsense> {
    match status {
        [b'2'..=b'9', b'0'..=b'9', b'0'..=b'9'] => Ok([status, b" "].concat()),
        [b'2'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', ..] => Ok(status.to_vec()),
        _ => Err(Nonsense::Status),
    }
}

impl Nonsense {
    /// What is wrong, for who mends the script.
    pub(crate) fn text(self) -> String {
        match self {
            Nonsense::NoHead => "it ended before the empty line behind its head".to_owned(),
            Nonsense::TooLong => format!("its head is longer than {HEAD_BYTES} bytes"),
            Nonsense::NoField => "a line of its head has no colon".to_owned(),
            Nonsense::NothingSaid => {
                "its head has neither Content-Type nor Location nor Status".to_owned()
            }
            Nonsense::Status => "its Status is no number from 200 to 999".to_owned(),
            Nonsense::Location => "its Location has characters that no field may have".to_owned(),
            Nonsense::Field(err) => err.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(head: &str) -> Result<String, Nonsense> {
        read(head.as_bytes()).map(|answer| match answer {
            Answer::Client(head) => String::from_utf8_lossy(head.bytes()).into_owned(),
            Answer::Elsewhere(target) => format!("-> {}", String::from_utf8_lossy(&target)),
        })
    }

    #[test]
    fn a_head_means_a_document_or_a_redirect() {
        for (head, expected) in [
            (
                "Content-Type: text/plain\n",
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n",
            ),
            (
                "Status: 404 Gone fishing\r\nContent-Type:a/b\r\nX-Own:  c \r\n",
                "HTTP/1.1 404 Gone fishing\r\nContent-Type: a/b\r\nX-Own: c\r\n",
            ),
            ("status: 204\n", "HTTP/1.1 204 \r\n"),
            ("Location: /other?a=b\n", "-> /other?a=b"),
            (
                "Location: http://a.test/\n",
                "HTTP/1.1 302 Found\r\nLocation: http://a.test/\r\n",
            ),
            (
                "Location: //a.test/\n",
                "HTTP/1.1 302 Found\r\nLocation: //a.test/\r\n",
            ),
            (
                "Status: 303 See Other\nLocation: /other\n",
                "HTTP/1.1 303 See Other\r\nLocation: /other\r\n",
            ),
            (
                "Content-Type: a/b\nTransfer-Encoding: chunked\nKeep-Alive: 5\n",
                "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n",
            ),
        ] {
            assert_eq!(shown(head).as_deref(), Ok(expected), "{head}");
        }
    }

    #[test]
    fn nonsense_is_named() {
        for (head, expected) in [
            ("", Nonsense::NothingSaid),
            ("X-Own: 1\n", Nonsense::NothingSaid),
            ("Content-Type: a/b\noops\n", Nonsense::NoField),
            ("HTTP/1.1 200 OK\nContent-Type: a/b\n", Nonsense::NoField),
            ("Status: fine\n", Nonsense::Status),
            ("Status: 100 Continue\n", Nonsense::Status),
            ("Status: 2000\n", Nonsense::Status),
            (
                "Content-Type: a/b\nX Y: z\n",
                Nonsense::Field(ResponseError::NameInvalid),
            ),
            (
                "Content-Type: a\x01b\n",
                Nonsense::Field(ResponseError::ValueInvalid),
            ),
        ] {
            assert_eq!(shown(head), Err(expected), "{head:?}");
        }
    }

    #[test]
    fn the_empty_line_is_found_wherever_the_bytes_are_cut() {
        for (bytes, expected) in [
            ("A: b\n\nbody", Some((5, 6))),
            ("A: b\r\n\r\nbody", Some((6, 8))),
            ("A: b\n\r\nbody", Some((5, 7))),
            ("\nbody", Some((0, 1))),
            ("A: b\nC: d\n", None),
            ("A: b\r\n\r", None),
        ] {
            for cut in 0..=bytes.len() {
                let early = head_end(&bytes.as_bytes()[..cut], 0);
                let end = early.or_else(|| head_end(bytes.as_bytes(), cut));
                assert_eq!(end, expected, "{bytes:?} cut at {cut}");
            }
        }
    }
}
