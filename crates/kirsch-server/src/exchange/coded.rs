//! The body of a response that is encoded on its way from the gateway to its framing.
//!
//! The first block decides. If it is the whole body, and not too large, it is encoded at once and the head says how
//! long it became; if it did not become smaller, it is sent as it is. Otherwise an encoder takes block after block,
//! flushed behind each, so that none waits for the next (PEP 3333, "Buffering and Streaming").
//!
//! What the application announces is compared with what it gives, not with what becomes of that.
//! **Invariant:** a body that is not whole is never ended: without its last chunk the client can tell.
//! Read next: `compression.rs`, which decides by the head.

use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::fs::FileExt;

use kirsch_http::{ResponseHead, Version};
use tracing::warn;

use super::{Block, Exchange, Finished};
use crate::budget::Charge;
use crate::compression::{ContentCoding, Encoder, WHOLE};
use crate::outlet::Gone;

/// Blocks from this size on are left to [`Exchange::rest`], where the interpreter is released: encoding takes
/// longer than taking it again.
const ASIDE: usize = 4 * 1024;

/// A larger block is encoded and sent in pieces of this size.
const PIECE: usize = 64 * 1024;

/// How a body is encoded.
pub(super) struct Coded {
    coding: ContentCoding,
    step: Step,
    /// Bytes that were announced and not given yet, if the application has announced any.
    announced: Option<u64>,
    /// Bytes that were given beyond.
    overflow: u64,
    /// Encoded bytes that [`Exchange::block`] had no room for.
    owed: Vec<u8>,
}

enum Step {
    /// The first block is to decide. The head waits for it, with the length of the body as it is, if that is known.
    Undecided(ResponseHead, Option<u64>),
    /// The body was encoded at once, and is taken when its block is.
    Whole(Vec<u8>),
    /// The encoder, and the memory that it is charged with.
    Streaming(
        Encoder,
        #[expect(dead_code, reason = "given back on drop")] Charge,
    ),
}

impl Coded {
    pub(super) fn new(coding: ContentCoding, head: ResponseHead, length: Option<u64>) -> Coded {
        Coded {
            coding,
            announced: head.content_length().or(length),
            step: Step::Undecided(head, length),
            overflow: 0,
            owed: Vec::new(),
        }
    }

    pub(super) fn overflow(&self) -> u64 {
        self.overflow
    }

    /// How much of a block of this size belongs to the body.
    fn count(&mut self, len: usize) -> usize {
        let Some(left) = &mut self.announced else {
            return len;
        };
        let take = usize::try_from(*left).map_or(len, |left| left.min(len));
        *left -= take as u64;
        self.overflow += (len - take) as u64;
        take
    }
}

impl Exchange {
    /// [`Exchange::block`] of a body that may be encoded.
    pub(super) fn coded_block(&mut self, data: &[u8]) -> Result<Block, Gone> {
        if data.is_empty() {
            return Ok(Block::Taken);
        }
        if data.len() >= ASIDE {
            return Ok(Block::Rest(data.len()));
        }
        if !self.decide(data)? {
            return self.plain_block(data);
        }
        let mut encoded = self.encode(data, true)?;
        let Block::Rest(count) = self.plain_block(&encoded)? else {
            return Ok(Block::Taken);
        };
        if let Some(coded) = &mut self.coded {
            coded.owed = encoded.split_off(encoded.len() - count);
        }
        Ok(Block::Rest(0))
    }

    /// [`Exchange::rest`] of a body that may be encoded: of a block that was left, or of what became of one.
    pub(super) fn coded_rest(&mut self, rest: &[u8]) -> Result<(), Gone> {
        match &mut self.coded {
            Some(coded) if !coded.owed.is_empty() => {
                let owed = mem::take(&mut coded.owed);
                self.plain_rest(&owed)
            }
            Some(_) | None => {
                if self.decide(rest)? {
                    self.put_encoded(rest)
                } else {
                    self.plain_put(rest)
                }
            }
        }
    }

    /// [`Exchange::file`] of a body that may be encoded: the file is read. Answers `false`, and has done nothing, if it
    /// is to be sent as it is.
    pub(super) fn coded_file(
        &mut self,
        file: &File,
        mut offset: u64,
        mut left: u64,
    ) -> Result<bool, Gone> {
        let whole = left <= WHOLE as u64;
        let mut piece = vec![0; if whole { left as usize } else { PIECE }];
        if whole {
            self.read(file, &mut piece, offset)?;
            if !self.decide(&piece)? {
                return Ok(false);
            }
            return self.put_encoded(&piece).map(|()| true);
        }
        if !self.decide(b"")? {
            return Ok(false);
        }
        while left > 0 {
            let len = left.min(PIECE as u64);
            piece.truncate(len as usize);
            self.read(file, &mut piece, offset)?;
            (offset, left) = (offset + len, left - len);
            let encoded = self.encode(&piece, left == 0)?;
            self.plain_put(&encoded)?;
        }
        Ok(true)
    }

    /// Gives a block to the encoder, and what comes of it to the wire. May wait for the client.
    pub(super) fn put_encoded(&mut self, block: &[u8]) -> Result<(), Gone> {
        self.encode_block(block, |exchange, encoded| exchange.plain_put(&encoded))
    }

    /// Gives a block to the encoder, piece by piece, and what comes of each to `give`.
    pub(super) fn encode_block(
        &mut self,
        block: &[u8],
        give: impl Fn(&mut Exchange, Vec<u8>) -> Result<(), Gone>,
    ) -> Result<(), Gone> {
        let whole = self
            .coded
            .as_ref()
            .is_some_and(|it| matches!(it.step, Step::Whole(_)));
        let size = if whole { block.len().max(1) } else { PIECE };
        let mut pieces = block.chunks(size).peekable();
        while let Some(piece) = pieces.next() {
            let encoded = self.encode(piece, pieces.peek().is_none())?;
            give(self, encoded)?;
        }
        Ok(())
    }

    /// Decides, at the first block, whether the body is encoded, and fixes the head. Answers whether it is.
    pub(super) fn decide(&mut self, first: &[u8]) -> Result<bool, Gone> {
        let Some(coded) = &mut self.coded else {
            return Ok(false);
        };
        if !matches!(coded.step, Step::Undecided(..)) {
            return Ok(true);
        }
        let decided = mem::replace(&mut coded.step, Step::Whole(Vec::new()));
        let Step::Undecided(mut head, length) = decided else {
            return Err(Gone);
        };
        let coding = coded.coding;
        let body = coded.announced.and_then(|announced| {
            let announced = usize::try_from(announced).ok()?;
            first.get(..announced).filter(|_| announced <= WHOLE)
        });
        if let Some(body) = body {
            let encoded = Encoder::whole(coding, body).ok();
            if let Some(encoded) = encoded.filter(|encoded| encoded.len() < body.len()) {
                head.encode(coding.name());
                self.fix(head, Some(encoded.len() as u64));
                if let Some(coded) = &mut self.coded {
                    coded.step = Step::Whole(encoded);
                }
                return Ok(true);
            }
        } else if let Some(step) = self.stream(coding) {
            head.encode(coding.name());
            self.fix(head, None);
            if let Some(coded) = &mut self.coded {
                coded.step = step;
            }
            return Ok(true);
        }
        self.coded = None;
        self.fix(head, length);
        Ok(false)
    }

    /// An encoder for a body in several blocks, if the client understands chunks and there is memory for it.
    fn stream(&self, coding: ContentCoding) -> Option<Step> {
        if self.request.as_ref()?.version() == Version::Http10 {
            return None;
        }
        let mut charge = Charge::new(&self.shared.memory);
        if !charge.grow_to(Encoder::memory_bytes(coding)) {
            return None;
        }
        let encoder = Encoder::new(coding, None).ok()?;
        Some(Step::Streaming(encoder, charge))
    }

    /// Encodes a block, or a piece of one, after it was decided that the body is encoded.
    fn encode(&mut self, data: &[u8], ends_block: bool) -> Result<Vec<u8>, Gone> {
        let Some(coded) = &mut self.coded else {
            return Err(Gone);
        };
        let take = coded.count(data.len());
        let encoded = match &mut coded.step {
            Step::Undecided(..) => return Err(Gone),
            Step::Whole(encoded) => Ok(mem::take(encoded)),
            Step::Streaming(..) if take == 0 => Ok(Vec::new()),
            Step::Streaming(encoder, _) => encoder
                .write(&data[..take])
                .and_then(|()| if ends_block { encoder.flush() } else { Ok(()) })
                .map(|()| encoder.take()),
        };
        encoded.map_err(|err| self.broken(&err))
    }

    /// [`Exchange::finish`] of a body that may be encoded.
    pub(super) fn coded_finish(&mut self, coded: Coded) -> Finished {
        let missing = coded.announced.unwrap_or(0);
        let last = match coded.step {
            // Nothing was given, so there is nothing to encode.
            Step::Undecided(head, length) => {
                self.fix(head, length);
                return self.plain_finish(b"");
            }
            Step::Streaming(encoder, _) if missing == 0 => encoder.finish(),
            Step::Whole(_) | Step::Streaming(..) => Ok(Vec::new()),
        };
        match last {
            Ok(last) if missing == 0 => {
                let finished = self.plain_finish(&last);
                return Finished {
                    overflow: finished.overflow + coded.overflow,
                    ..finished
                };
            }
            Ok(_) => self.abort(),
            Err(err) => {
                self.broken(&err);
            }
        }
        Finished {
            missing,
            overflow: coded.overflow,
        }
    }

    /// An encoder failed in the middle of a body, which can only be for want of memory.
    fn broken(&mut self, err: &io::Error) -> Gone {
        warn!(%err, "a response could not be encoded; it is aborted");
        self.abort();
        Gone
    }

    fn read(&mut self, file: &File, piece: &mut [u8], offset: u64) -> Result<(), Gone> {
        file.read_exact_at(piece, offset).map_err(|err| {
            warn!(%err, "a file could not be read while it was sent; its response is aborted");
            self.abort();
            Gone
        })
    }
}
