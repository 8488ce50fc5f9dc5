//! Which responses are compressed, and how: what is set, and the decision for one response.
//!
//! Nothing is compressed unless a coding is set. Then the type and the size of a response decide, what the application
//! says of it, and what the client takes (RFC 9110 section 12.5.3). It knows heads, not bodies.
//! Read next: `compression/encoder.rs`, and `exchange/coded.rs`, where blocks meet an encoder.

mod encoder;
mod media_range;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use kirsch_http::{AcceptEncoding, FieldName, ResponseHead, Version};

pub(crate) use self::encoder::Encoder;
pub use self::media_range::{MediaRange, NoMediaRange};
use crate::request::Request;

/// Bodies up to this size that are there at once are encoded at once, so that their length can be said. A thread holds
/// so many encoded bytes at most, for as long as it takes to send them.
pub(crate) const WHOLE: usize = 256 * 1024;

/// What is compressed, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Compression {
    /// The codings the server has, the preferred one first; the client's weights come before this order. Default: none,
    /// so nothing is compressed: a page that holds a secret and repeats what somebody else sent tells the secret by
    /// its length (the attack is called BREACH), and only the author of a page knows whether it does.
    pub codings: Vec<ContentCoding>,
    /// The types of content that are worth it. Default: texts, and what is written like one.
    pub types: Vec<MediaRange>,
    /// Bytes below which a body of known length is left alone. Default 1 KiB: a smaller one fits into one packet
    /// compressed or not (nginx 20 bytes, Apache none, Caddy 512 bytes).
    pub min_bytes: u64,
}

/// A content coding (RFC 9110 section 8.4.1), and how hard its encoder tries.
///
/// The levels end where an encoder begins to take tens of megabytes, or longer than the network saves: what is worth
/// more is worth being compressed once and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// `gzip` (RFC 1952), which every client takes. Levels 1 to 9; default 6, zlib's own.
    Gzip(u32),
    /// `br` (RFC 7932), which browsers take over HTTPS. Levels 1 to 6; default 5, as Apache has it: the least that makes
    /// texts smaller than gzip does, for twice its time.
    Brotli(u32),
    /// `zstd` (RFC 8878), which browsers take over HTTPS. Levels 1 to 6; default 3, zstd's own: a quarter of gzip's time,
    /// for a tenth more bytes.
    Zstd(u32),
}

/// A text that names no coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodingError {
    /// The name is not known.
    Unknown,
    /// The level is not a number, or not one that this coding has; it goes from 1 to this one.
    Level(u32),
}

/// Whether and how a response is encoded, so far as its head says.
pub(crate) enum Plan {
    /// Its content is sent as it is.
    AsItIs,
    /// Its blocks are encoded, unless the first one is all of a body that does not become smaller.
    Encoded(ContentCoding),
}

impl Compression {
    /// Decides on a response, and notes in its head what it depends on. `length` is that of the whole body if the
    /// caller knows it.
    pub(crate) fn plan(
        &self,
        request: &Request,
        head: &mut ResponseHead,
        length: Option<u64>,
    ) -> Plan {
        if head.status_code() == 304 {
            if head.is_known_weakly(values(request, FieldName::IfNoneMatch)) {
                // The client has it encoded, and this is about what it has.
                head.weaken_entity_tag();
                head.vary_by_encoding();
            }
            return Plan::AsItIs;
        }
        // A HEAD request's body is empty in many applications, which tells nothing (section 9.3.2).
        let length = head
            .content_length()
            .or(length.filter(|&it| it > 0 || !request.is_head()));
        if length.is_some_and(|length| length < self.min_bytes.max(1))
            || !self.includes(head.value_of("content-type"))
            || !head.may_be_encoded()
        {
            return Plan::AsItIs;
        }
        head.vary_by_encoding();
        let Some(coding) = self.choose(request) else {
            return Plan::AsItIs;
        };
        // Where there are no chunks, the length has to be there.
        if request.version() == Version::Http10 && length.is_none_or(|it| it > WHOLE as u64) {
            return Plan::AsItIs;
        }
        if !request.is_head() {
            return Plan::Encoded(coding);
        }
        match length {
            Some(_) => head.encode(coding.name()),
            // Whether the GET would be long enough, nobody knows; a weak tag is right in either case.
            None => head.weaken_entity_tag(),
        }
        Plan::AsItIs
    }

    /// Whether anything is compressed.
    pub(crate) fn is_on(&self) -> bool {
        !self.codings.is_empty()
    }

    fn includes(&self, content_type: Option<&[u8]>) -> bool {
        content_type.is_some_and(|it| self.types.iter().any(|range| range.includes(it)))
    }

    /// The coding that suits the client best.
    fn choose(&self, request: &Request) -> Option<ContentCoding> {
        let mut accepted = Cow::Borrowed(&b""[..]);
        for value in values(request, FieldName::AcceptEncoding) {
            accepted = if accepted.is_empty() {
                Cow::Borrowed(value)
            } else {
                // Several lines are one list (section 5.3).
                Cow::Owned([&accepted, &b","[..], value].concat())
            };
        }
        let mut names = [""; ContentCoding::COUNT];
        let codings = &self.codings[..self.codings.len().min(names.len())];
        for (name, coding) in names.iter_mut().zip(codings) {
            *name = coding.name();
        }
        let chosen = AcceptEncoding::of(&accepted).choose(&names[..codings.len()])?;
        codings.get(chosen).copied()
    }
}

fn values(request: &Request, name: FieldName) -> impl Iterator<Item = &[u8]> {
    request
        .fields()
        .filter(move |(known, ..)| *known == name)
        .map(|(.., value)| value)
}

impl Default for Compression {
    fn default() -> Self {
        Compression {
            codings: Vec::new(),
            types: MediaRange::worth_it(),
            min_bytes: 1024,
        }
    }
}

impl ContentCoding {
    /// How many there are.
    pub const COUNT: usize = 3;

    /// The name in fields.
    pub fn name(self) -> &'static str {
        match self {
            ContentCoding::Gzip(_) => "gzip",
            ContentCoding::Brotli(_) => "br",
            ContentCoding::Zstd(_) => "zstd",
        }
    }

    /// The level.
    pub fn level(self) -> u32 {
        match self {
            ContentCoding::Gzip(level)
            | ContentCoding::Brotli(level)
            | ContentCoding::Zstd(level) => level,
        }
    }

    fn most(self) -> u32 {
        match self {
            ContentCoding::Gzip(_) => 9,
            ContentCoding::Brotli(_) | ContentCoding::Zstd(_) => 6,
        }
    }

    fn at(self, level: u32) -> ContentCoding {
        match self {
            ContentCoding::Gzip(_) => ContentCoding::Gzip(level),
            ContentCoding::Brotli(_) => ContentCoding::Brotli(level),
            ContentCoding::Zstd(_) => ContentCoding::Zstd(level),
        }
    }
}

impl FromStr for ContentCoding {
    type Err = CodingError;

    /// Reads a name, or a name, a colon and a level.
    fn from_str(text: &str) -> Result<Self, CodingError> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let usual = match name {
            "gzip" => ContentCoding::Gzip(6),
            "br" => ContentCoding::Brotli(5),
            "zstd" => ContentCoding::Zstd(3),
            _ => return Err(CodingError::Unknown),
        };
        let Some(level) = level else {
            return Ok(usual);
        };
        let most = usual.most();
        match level.parse() {
            Ok(level) if (1..=most).contains(&level) && !text.contains('+') => Ok(usual.at(level)),
            _ => Err(CodingError::Level(most)),
        }
    }
}

impl fmt::Display for ContentCoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name(), self.level())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_a_name_with_or_without_a_level() {
        for (text, expected) in [
            ("gzip", Ok(ContentCoding::Gzip(6))),
            ("gzip:9", Ok(ContentCoding::Gzip(9))),
            ("br", Ok(ContentCoding::Brotli(5))),
            ("zstd:1", Ok(ContentCoding::Zstd(1))),
            ("br:7", Err(CodingError::Level(6))),
            ("gzip:0", Err(CodingError::Level(9))),
            ("gzip:+1", Err(CodingError::Level(9))),
            ("gzip:", Err(CodingError::Level(9))),
            ("deflate", Err(CodingError::Unknown)),
            ("GZIP", Err(CodingError::Unknown)),
            ("", Err(CodingError::Unknown)),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        assert_eq!(ContentCoding::Brotli(4).to_string(), "br:4");
    }
}
