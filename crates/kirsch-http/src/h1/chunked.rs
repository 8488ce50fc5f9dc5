//! The chunked transfer coding (RFC 9112 section 7.1), decoded one framing byte at a time.
//!
//! The decoder keeps no bytes, so it does not matter how the network cuts the stream. It is ours
//! because `httparse::parse_chunk_size` reads an empty size line as the last chunk, and lets any
//! byte but CR through in an extension; both have been used to smuggle requests (CVE-2025-22871).
//!
//! Extensions and trailers are checked and counted; who wants the trailers takes them from the bytes it has given.

use crate::chars;
use crate::error::ProtocolErrorKind;
use crate::limits::Limits;

/// Sixteen digits make 64 bits; leading zeros count.
const SIZE_DIGITS: u8 = 16;

/// Where in the coded stream the decoder is, and what it has counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkedDecoder {
    state: State,
    /// The body so far, chunks announced included; for the body limit.
    body_bytes: u64,
    /// Whether size lines count towards the body limit as well.
    counts_framing: bool,
    /// For the limit of extensions, over the whole request.
    extension_bytes: u32,
    trailer_bytes: u32,
    limits: ChunkLimits,
}

#[derive(Clone, Copy, Debug)]
struct ChunkLimits {
    body_bytes: u64,
    extension_bytes: u32,
    trailer_bytes: u32,
}

/// What the decoder found at the start of the bytes it was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Decoded {
    /// `skip` bytes of framing, then `len` bytes of body.
    Data { skip: usize, len: usize },
    /// All of it is framing, and more has to come.
    NeedMore,
    /// The body ends behind `consume` bytes of framing.
    End { consume: usize },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// In a chunk size of which `digits` digits have been read.
    Size {
        value: u64,
        digits: u8,
    },
    /// In the extensions behind the size `value`.
    Extension {
        value: u64,
        part: Extension,
    },
    /// Behind the CR of a size line.
    SizeLf {
        value: u64,
    },
    /// In the data of a chunk.
    Data {
        remaining: u64,
    },
    /// Behind the data of a chunk.
    DataCr,
    DataLf,
    /// At the start of a line of the trailer section.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    /// Behind the CR of the empty line that ends everything.
    EndLf,
    Done,
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Extension {
    /// Blanks before a semicolon; nothing else may follow them.
    BeforeSemicolon,
    BeforeName,
    Name,
    /// Blanks behind a name.
    AfterName,
    BeforeValue,
    Token,
    Quoted,
    /// Behind a backslash within quotes.
    QuotedPair,
    AfterQuoted,
}

impl ChunkedDecoder {
    pub(super) fn new(limits: &Limits) -> Self {
        ChunkedDecoder {
            state: State::Size {
                value: 0,
                digits: 0,
            },
            body_bytes: 0,
            counts_framing: false,
            extension_bytes: 0,
            trailer_bytes: 0,
            limits: ChunkLimits {
                body_bytes: limits.body_bytes,
                extension_bytes: limits.chunk_extension_bytes,
                trailer_bytes: limits.trailer_bytes,
            },
        }
    }

    /// Changes the body limit, before the first byte.
    pub(super) fn limit_body(&mut self, most: u64) {
        self.limits.body_bytes = most;
    }

    /// Has size lines count towards the body limit.
    pub(super) fn count_framing(&mut self) {
        self.counts_framing = true;
    }

    /// Bytes of the trailer section so far, its empty line included. They lie together, at the end of all that is
    /// taken.
    pub(super) fn trailer_bytes(&self) -> usize {
        self.trailer_bytes as usize
    }

    /// Takes framing up to the next piece of body, which counts as taken too.
    pub(super) fn decode(&mut self, buf: &[u8]) -> Result<Decoded, ProtocolErrorKind> {
        for (skip, &byte) in buf.iter().enumerate() {
            if let State::Data { remaining } = &mut self.state {
                let available = &buf[skip..];
                let len = usize::try_from(*remaining)
                    .map_or(available.len(), |rest| rest.min(available.len()));
                *remaining -= len as u64;
                if *remaining == 0 {
                    self.state = State::DataCr;
                }
                return Ok(Decoded::Data { skip, len });
            }
            let is_size_line = matches!(
                self.state,
                State::Size { .. } | State::Extension { .. } | State::SizeLf { .. }
            );
            if is_size_line && self.counts_framing {
                self.body_bytes = self.body_bytes.saturating_add(1);
            }
            self.state = self.step(byte)?;
            if self.state == State::Done {
                return Ok(Decoded::End { consume: skip + 1 });
            }
        }
        Ok(Decoded::NeedMore)
    }

    fn step(&mut self, byte: u8) -> Result<State, ProtocolErrorKind> {
        match self.state {
            State::Size { value, digits } => self.size(value, digits, byte),
            State::Extension { value, part } => self.extension(value, part, byte),
            State::SizeLf { value } if byte == b'\n' => self.begin_chunk(value),
            State::SizeLf { .. } => Err(ProtocolErrorKind::BareCr),
            State::DataCr => match byte {
                b'\r' => Ok(State::DataLf),
                _ => Err(ProtocolErrorKind::ChunkEndMissing),
            },
            State::DataLf => match byte {
                b'\n' => Ok(State::Size {
                    value: 0,
                    digits: 0,
                }),
                _ => Err(ProtocolErrorKind::ChunkEndMissing),
            },
            State::TrailerStart
            | State::TrailerName
            | State::TrailerValue
            | State::TrailerLf
            | State::EndLf => self.trailer(byte),
            State::Data { .. } | State::Done => unreachable!("decode() deals with these"),
        }
    }

    fn size(&self, value: u64, digits: u8, byte: u8) -> Result<State, ProtocolErrorKind> {
        if let Some(digit) = char::from(byte).to_digit(16) {
            return match digits < SIZE_DIGITS {
                true => Ok(State::Size {
                    value: value << 4 | u64::from(digit),
                    digits: digits + 1,
                }),
                false => Err(ProtocolErrorKind::ChunkSizeInvalid),
            };
        }
        match byte {
            _ if digits == 0 => Err(ProtocolErrorKind::ChunkSizeInvalid),
            b'\r' => Ok(State::SizeLf { value }),
            b';' => Ok(State::Extension {
                value,
                part: Extension::BeforeName,
            }),
            b' ' | b'\t' => Ok(State::Extension {
                value,
                part: Extension::BeforeSemicolon,
            }),
            b'\n' => Err(ProtocolErrorKind::BareLf),
            _ => Err(ProtocolErrorKind::ChunkSizeInvalid),
        }
    }

    fn begin_chunk(&mut self, size: u64) -> Result<State, ProtocolErrorKind> {
        if size == 0 && self.body_bytes <= self.limits.body_bytes {
            return Ok(State::TrailerStart);
        }
        match self.body_bytes.checked_add(size) {
            Some(total) if total <= self.limits.body_bytes => {
                self.body_bytes = total;
                Ok(State::Data { remaining: size })
            }
            Some(_) | None => Err(ProtocolErrorKind::BodyTooLarge),
        }
    }

    fn extension(
        &mut self,
        value: u64,
        part: Extension,
        byte: u8,
    ) -> Result<State, ProtocolErrorKind> {
        self.extension_bytes += 1;
        if self.extension_bytes > self.limits.extension_bytes {
            return Err(ProtocolErrorKind::ChunkExtensionsTooLarge);
        }
        if byte == b'\n' {
            return Err(ProtocolErrorKind::BareLf);
        }
        let ends_here = matches!(
            part,
            Extension::Name | Extension::Token | Extension::AfterQuoted
        );
        if byte == b'\r' && ends_here {
            return Ok(State::SizeLf { value });
        }
        match part.step(byte) {
            Some(part) => Ok(State::Extension { value, part }),
            None => Err(ProtocolErrorKind::ChunkExtensionInvalid),
        }
    }

    /// `trailer-section = *( field-line CRLF )`, then CRLF.
    fn trailer(&mut self, byte: u8) -> Result<State, ProtocolErrorKind> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > self.limits.trailer_bytes {
            return Err(ProtocolErrorKind::TrailersTooLarge);
        }
        match (self.state, byte) {
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::EndLf, b'\n') => Ok(State::Done),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::EndLf | State::TrailerLf, _) => Err(ProtocolErrorKind::BareCr),
            (_, b'\n') => Err(ProtocolErrorKind::BareLf),
            (State::TrailerStart | State::TrailerName, _) if chars::is_token(byte) => {
                Ok(State::TrailerName)
            }
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if chars::is_value(byte) => Ok(State::TrailerValue),
            _ => Err(ProtocolErrorKind::TrailerInvalid),
        }
    }
}

impl Extension {
    /// Where `byte` leads; `None` if the grammar has no way.
    fn step(self, byte: u8) -> Option<Extension> {
        let blank = chars::is_blank(byte);
        let token = chars::is_token(byte);
        match self {
            Extension::BeforeSemicolon if blank => Some(self),
            Extension::BeforeName if blank => Some(self),
            Extension::BeforeName | Extension::Name if token => Some(Extension::Name),
            Extension::Name | Extension::AfterName if blank => Some(Extension::AfterName),
            Extension::Name | Extension::AfterName if byte == b'=' => Some(Extension::BeforeValue),
            Extension::BeforeValue if blank => Some(self),
            Extension::BeforeValue if byte == b'"' => Some(Extension::Quoted),
            Extension::BeforeValue | Extension::Token if token => Some(Extension::Token),
            Extension::Token | Extension::AfterQuoted if blank => Some(Extension::BeforeSemicolon),
            Extension::Quoted if byte == b'"' => Some(Extension::AfterQuoted),
            Extension::Quoted if byte == b'\\' => Some(Extension::QuotedPair),
            Extension::Quoted | Extension::QuotedPair if chars::is_value(byte) => {
                Some(Extension::Quoted)
            }
            Extension::BeforeSemicolon | Extension::Name | Extension::AfterName if byte == b';' => {
                Some(Extension::BeforeName)
            }
            Extension::Token | Extension::AfterQuoted if byte == b';' => {
                Some(Extension::BeforeName)
            }
            Extension::BeforeSemicolon
            | Extension::BeforeName
            | Extension::Name
            | Extension::AfterName
            | Extension::BeforeValue
            | Extension::Token
            | Extension::Quoted
            | Extension::QuotedPair
            | Extension::AfterQuoted => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes all of `coded`: the body, or the rule it breaks.
    fn decode(coded: &str, limits: &Limits) -> Result<String, ProtocolErrorKind> {
        let (mut decoder, mut rest, mut body) =
            (ChunkedDecoder::new(limits), coded.as_bytes(), String::new());
        loop {
            match decoder.decode(rest)? {
                Decoded::Data { skip, len } => {
                    body.extend(rest[skip..skip + len].iter().copied().map(char::from));
                    rest = &rest[skip + len..];
                }
                Decoded::NeedMore => panic!("cut short: {coded:?}"),
                Decoded::End { consume } => {
                    assert_eq!(consume, rest.len(), "{coded:?}");
                    return Ok(body);
                }
            }
        }
    }

    #[test]
    fn extensions_and_trailers_are_dropped() {
        let limits = Limits::default();
        for coded in [
            "5\r\nhello\r\n0\r\n\r\n",
            "2;a\r\nhe\r\n3;a=b;c=\"d\\\"\";e\r\nllo\r\n00;x\r\nX-T: 1\r\nX-U:\r\n\r\n",
            "5 ;a\r\nhello\r\n0 ; b\t= c ;d\r\n\r\n",
        ] {
            assert_eq!(decode(coded, &limits).as_deref(), Ok("hello"), "{coded:?}");
        }
    }

    #[test]
    fn each_malformed_stream_names_its_rule() {
        use ProtocolErrorKind as Kind;
        let table = [
            ("\r\n", Kind::ChunkSizeInvalid),
            (";a\r\n", Kind::ChunkSizeInvalid),
            (" \r\n", Kind::ChunkSizeInvalid),
            ("00000000000000005\r\n", Kind::ChunkSizeInvalid),
            ("5\n", Kind::BareLf),
            ("5\rh", Kind::BareCr),
            ("5 \r\n", Kind::ChunkExtensionInvalid),
            ("5;\r\n", Kind::ChunkExtensionInvalid),
            ("5;a=\r\n", Kind::ChunkExtensionInvalid),
            ("5;a \r\n", Kind::ChunkExtensionInvalid),
            ("5;a=b \r\n", Kind::ChunkExtensionInvalid),
            ("5;a=b c\r\n", Kind::ChunkExtensionInvalid),
            ("5;a=\"b\r\n", Kind::ChunkExtensionInvalid),
            ("5;a=\"b\"c\r\n", Kind::ChunkExtensionInvalid),
            ("5;a=\"\\\r\n", Kind::ChunkExtensionInvalid),
            ("5;a\n", Kind::BareLf),
            ("1\r\nab\r\n", Kind::ChunkEndMissing),
            ("1\r\na\rb", Kind::ChunkEndMissing),
            ("1\r\na\n", Kind::ChunkEndMissing),
            ("0\r\n: 1\r\n", Kind::TrailerInvalid),
            ("0\r\nX\r\n", Kind::TrailerInvalid),
            ("0\r\nX : 1\r\n", Kind::TrailerInvalid),
            ("0\r\nX: 1\r\n 2\r\n", Kind::TrailerInvalid),
            ("0\r\nX: \0\r\n", Kind::TrailerInvalid),
            ("0\r\nX: 1\n", Kind::BareLf),
            ("0\r\n\rX", Kind::BareCr),
        ];
        for (coded, kind) in table {
            assert_eq!(decode(coded, &Limits::default()), Err(kind), "{coded:?}");
        }
    }

    #[test]
    fn limits_are_met_exactly() {
        let limits = Limits {
            body_bytes: 3,
            chunk_extension_bytes: 6,
            trailer_bytes: 8,
            ..Limits::default()
        };
        assert_eq!(
            decode("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", &limits).as_deref(),
            Ok("abc")
        );
        assert_eq!(
            decode("1\r\na\r\n3\r\n", &limits),
            Err(ProtocolErrorKind::BodyTooLarge)
        );
        assert_eq!(
            decode("ffffffffffffffff\r\n", &limits),
            Err(ProtocolErrorKind::BodyTooLarge)
        );
        // The CR of a line with an extension is counted too.
        assert_eq!(
            decode("1;ab\r\na\r\n0;cd\r\n\r\n", &limits).as_deref(),
            Ok("a")
        );
        let over = decode("1;ab\r\na\r\n0;cde\r\n\r\n", &limits);
        assert_eq!(over, Err(ProtocolErrorKind::ChunkExtensionsTooLarge));
        assert_eq!(decode("0\r\nX:12\r\n\r\n", &limits).as_deref(), Ok(""));
        assert_eq!(
            decode("0\r\nX:123\r\n\r\n", &limits),
            Err(ProtocolErrorKind::TrailersTooLarge)
        );
    }
}
