//! The body of a response: what each block of the application becomes on the wire.
//!
//! It holds no bytes. It counts what was announced against what is given, so that the client is
//! never sent more than Content-Length, and can tell when it got less.

use std::ops::Deref;

/// How the body is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// By Content-Length, of which so much is still to come.
    Length { remaining: u64 },
    /// By the last chunk.
    Chunked,
    /// By the end of the connection.
    UntilClose,
    /// The status allows no body: what the application gives is a mistake, and dropped.
    NoContent,
    /// The request was HEAD: what the application gives is dropped, and no mistake.
    HeadOnly,
}

/// The body that follows a response head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponseBody {
    framing: Framing,
    keep_alive: bool,
    /// What was given beyond what may be sent.
    overflow: u64,
}

/// What a block becomes: `prefix`, the first `take` bytes of it, `suffix`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Framed {
    /// The size line of a chunk; otherwise empty.
    pub prefix: Prefix,
    /// How many of the block's bytes are sent.
    pub take: usize,
    /// The line end behind a chunk; otherwise empty.
    pub suffix: &'static [u8],
}

/// A chunk-size line, kept inline: at most sixteen digits and CRLF.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    bytes: [u8; 18],
    /// The line stands at the end of `bytes`, from here on.
    start: u8,
}

/// What ends the body, and whether it was whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// The last chunk; otherwise empty.
    pub tail: &'static [u8],
    /// Whether all was given that the head announced.
    pub outcome: Outcome,
}

/// Whether a body was whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was.
    Complete,
    /// Content-Length announced more: the connection must be closed, so that the client can tell.
    Short {
        /// So many bytes are missing.
        missing: u64,
    },
}

impl ResponseBody {
    pub(super) fn new(framing: Framing, keep_alive: bool) -> Self {
        ResponseBody {
            framing,
            keep_alive,
            overflow: 0,
        }
    }

    /// Says what a block of `len` bytes becomes. An empty block becomes nothing: as a chunk it
    /// would end the body.
    pub fn frame(&mut self, len: usize) -> Framed {
        let bare = |take| Framed {
            prefix: Prefix::EMPTY,
            take,
            suffix: b"",
        };
        match &mut self.framing {
            Framing::Length { remaining } => {
                let take = usize::try_from(*remaining).map_or(len, |rest| rest.min(len));
                *remaining -= take as u64;
                self.overflow += (len - take) as u64;
                bare(take)
            }
            Framing::Chunked if len == 0 => bare(0),
            Framing::Chunked => Framed {
                prefix: Prefix::chunk_size(len),
                take: len,
                suffix: b"\r\n",
            },
            Framing::UntilClose => bare(len),
            Framing::NoContent => {
                self.overflow += len as u64;
                bare(0)
            }
            Framing::HeadOnly => bare(0),
        }
    }

    /// Ends the body: the application has nothing more to give.
    ///
    /// After an error of the application it is *not* called: without the last chunk the client can
    /// see that the body is not whole. Whatever is short or aborted ends with the connection.
    pub fn end(&mut self) -> Ended {
        let complete = |tail| Ended {
            tail,
            outcome: Outcome::Complete,
        };
        match self.framing {
            Framing::Length { remaining: 0 } => complete(b""),
            Framing::Length { remaining } => {
                self.keep_alive = false;
                Ended {
                    tail: b"",
                    outcome: Outcome::Short { missing: remaining },
                }
            }
            Framing::Chunked => complete(b"0\r\n\r\n"),
            Framing::UntilClose | Framing::NoContent | Framing::HeadOnly => complete(b""),
        }
    }

    /// How many bytes the application gave that may not be sent; worth a warning.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// Whether Content-Length has been given in full: the application need not be asked for more.
    pub fn is_complete_length(&self) -> bool {
        self.framing == Framing::Length { remaining: 0 }
    }

    /// Whether any byte of body goes on the wire.
    pub fn sends_body(&self) -> bool {
        match self.framing {
            Framing::Length { .. } | Framing::Chunked | Framing::UntilClose => true,
            Framing::NoContent | Framing::HeadOnly => false,
        }
    }

    /// Whether the connection may be used again after a complete end.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether only the end of the connection ends the body.
    pub fn is_until_close(&self) -> bool {
        self.framing == Framing::UntilClose
    }

    /// Whether blocks become chunks.
    pub fn is_chunked(&self) -> bool {
        self.framing == Framing::Chunked
    }
}

impl Prefix {
    /// No prefix.
    pub const EMPTY: Prefix = Prefix {
        bytes: [0; 18],
        start: 18,
    };

    fn chunk_size(len: usize) -> Prefix {
        let mut prefix = Prefix {
            bytes: [0; 18],
            start: 16,
        };
        prefix.bytes[16..].copy_from_slice(b"\r\n");
        let mut rest = len;
        loop {
            prefix.start -= 1;
            prefix.bytes[usize::from(prefix.start)] = b"0123456789abcdef"[rest & 0xf];
            rest >>= 4;
            if rest == 0 {
                return prefix;
            }
        }
    }
}

impl Deref for Prefix {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes a block becomes.
    fn wire(body: &mut ResponseBody, block: &[u8]) -> Vec<u8> {
        let framed = body.frame(block.len());
        [&framed.prefix, &block[..framed.take], framed.suffix].concat()
    }

    #[test]
    fn a_length_is_neither_exceeded_nor_left_short() {
        let mut body = ResponseBody::new(Framing::Length { remaining: 5 }, true);
        assert_eq!(wire(&mut body, b"abc"), b"abc");
        let ended = ResponseBody::clone(&body).end();
        assert_eq!(
            ended,
            Ended {
                tail: b"",
                outcome: Outcome::Short { missing: 2 }
            }
        );
        assert!(!body.is_complete_length());
        assert_eq!(wire(&mut body, b"defg"), b"de");
        assert_eq!(wire(&mut body, b"hi"), b"");
        assert!(body.is_complete_length());
        assert_eq!(body.overflow(), 4);
        assert_eq!(
            body.end(),
            Ended {
                tail: b"",
                outcome: Outcome::Complete
            }
        );
        assert!(body.keep_alive());
    }

    #[test]
    fn a_short_body_ends_the_connection() {
        let mut body = ResponseBody::new(Framing::Length { remaining: 5 }, true);
        body.end();
        assert!(!body.keep_alive());
    }

    #[test]
    fn blocks_become_chunks_and_empty_ones_nothing() {
        let mut body = ResponseBody::new(Framing::Chunked, true);
        assert_eq!(wire(&mut body, b"hello"), b"5\r\nhello\r\n");
        assert_eq!(wire(&mut body, b""), b"");
        assert_eq!(wire(&mut body, &[b'x'; 0x1a0])[..5], *b"1a0\r\n");
        assert_eq!(&*body.frame(usize::MAX).prefix, b"ffffffffffffffff\r\n");
        assert_eq!(
            body.end(),
            Ended {
                tail: b"0\r\n\r\n",
                outcome: Outcome::Complete
            }
        );
        assert!(body.is_chunked() && body.sends_body());
    }

    #[test]
    fn without_a_body_blocks_are_dropped_and_only_the_status_makes_it_a_mistake() {
        for (framing, overflow) in [(Framing::NoContent, 5), (Framing::HeadOnly, 0)] {
            let mut body = ResponseBody::new(framing, true);
            assert_eq!(wire(&mut body, b"stray"), b"");
            assert_eq!(
                body.end(),
                Ended {
                    tail: b"",
                    outcome: Outcome::Complete
                }
            );
            assert_eq!(body.overflow(), overflow);
            assert!(!body.sends_body() && body.keep_alive());
        }
    }

    #[test]
    fn a_body_until_close_is_sent_as_it_is() {
        let mut body = ResponseBody::new(Framing::UntilClose, false);
        assert_eq!(wire(&mut body, b"hello"), b"hello");
        assert_eq!(
            body.end(),
            Ended {
                tail: b"",
                outcome: Outcome::Complete
            }
        );
    }
}
