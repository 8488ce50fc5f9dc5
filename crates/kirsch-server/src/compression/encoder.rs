//! The encoders: gzip, brotli and zstd behind one face. The only file that knows flate2, brotli and zstd.
//!
//! Each writes into memory, from where the exchange takes what is to be sent. Their windows are bounded, and with
//! them what a response may take while it is made.

use std::io::{self, Write};
use std::mem;

use super::ContentCoding;

/// Bits of the largest window: 256 KiB, of which texts that applications make hold several pages. zstd would
/// take 2 MiB, brotli 4 MiB.
const WINDOW_BITS: u32 = 18;

/// What one response is encoded with.
pub(crate) enum Encoder {
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl Encoder {
    /// An encoder for a body, whose length is needed only to take less memory for a small one.
    ///
    /// # Errors
    ///
    /// If there is no memory for it.
    pub(crate) fn new(coding: ContentCoding, length: Option<u64>) -> io::Result<Encoder> {
        match coding {
            ContentCoding::Gzip(level) => {
                let level = flate2::Compression::new(level);
                let encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                Ok(Encoder::Gzip(Box::new(encoder)))
            }
            ContentCoding::Brotli(level) => {
                let parameters = brotli::enc::BrotliEncoderParams {
                    quality: level as i32,
                    lgwin: window_bits(length) as i32,
                    size_hint: length.map_or(0, |length| length as usize),
                    ..Default::default()
                };
                let writer = brotli::CompressorWriter::with_params(Vec::new(), 4096, &parameters);
                Ok(Encoder::Brotli(Box::new(writer)))
            }
            ContentCoding::Zstd(level) => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level as i32)?;
                encoder
                    .set_parameter(zstd::zstd_safe::CParameter::WindowLog(window_bits(length)))?;
                Ok(Encoder::Zstd(Box::new(encoder)))
            }
        }
    }

    /// The most that an encoder of this coding takes, measured at every level, in bytes.
    pub(crate) fn memory_bytes(coding: ContentCoding) -> u64 {
        match coding {
            ContentCoding::Gzip(_) => 512 * 1024,
            ContentCoding::Brotli(_) | ContentCoding::Zstd(_) => 3 * 1024 * 1024,
        }
    }

    /// Encodes a body that is all there.
    pub(crate) fn whole(coding: ContentCoding, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut encoder = Encoder::new(coding, Some(body.len() as u64))?;
        encoder.write(body)?;
        encoder.finish()
    }

    /// Takes the next bytes of the body.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sink().write_all(bytes)
    }

    /// Sees to it that the client can decode all that was written so far, once it has what [`Encoder::take`]
    /// answers. Costs up to a dozen bytes, and what could have been saved by looking at the next block together with this.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.sink().flush()
    }

    /// What is encoded and was not taken yet.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let out = match self {
            Encoder::Gzip(encoder) => encoder.get_mut(),
            Encoder::Brotli(encoder) => encoder.get_mut(),
            Encoder::Zstd(encoder) => encoder.get_mut(),
        };
        mem::take(out)
    }

    /// Ends the body. Answers what was not taken.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Brotli(encoder) => Ok(encoder.into_inner()),
            Encoder::Zstd(encoder) => encoder.finish(),
        }
    }

    fn sink(&mut self) -> &mut dyn Write {
        match self {
            Encoder::Gzip(encoder) => encoder,
            Encoder::Brotli(encoder) => encoder,
            Encoder::Zstd(encoder) => encoder,
        }
    }
}

/// A window that holds the body; both formats know none below 1 KiB.
fn window_bits(length: Option<u64>) -> u32 {
    let needed = length.map_or(WINDOW_BITS, |length| {
        length.max(1).next_power_of_two().trailing_zeros()
    });
    needed.clamp(11, WINDOW_BITS)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn decode(coding: ContentCoding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let read = match coding {
            ContentCoding::Gzip(_) => {
                flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out)
            }
            ContentCoding::Brotli(_) => {
                brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out)
            }
            ContentCoding::Zstd(_) => zstd::stream::read::Decoder::new(bytes)
                .and_then(|mut decoder| decoder.read_to_end(&mut out)),
        };
        read.expect("it can be decoded");
        out
    }

    /// What a client can read of a stream that has not ended.
    fn decode_begun(coding: ContentCoding, bytes: &[u8], len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        match coding {
            ContentCoding::Gzip(_) => flate2::read::GzDecoder::new(bytes).read_exact(&mut out),
            ContentCoding::Brotli(_) => brotli::Decompressor::new(bytes, 4096).read_exact(&mut out),
            ContentCoding::Zstd(_) => zstd::stream::read::Decoder::new(bytes)
                .and_then(|mut decoder| decoder.read_exact(&mut out)),
        }
        .expect("all of it is there");
        out
    }

    fn every_level() -> Vec<ContentCoding> {
        let gzip = (1..=9).map(ContentCoding::Gzip);
        let others = (1..=6).flat_map(|it| [ContentCoding::Brotli(it), ContentCoding::Zstd(it)]);
        gzip.chain(others).collect()
    }

    #[test]
    fn every_block_can_be_decoded_before_the_next_is_made() {
        for coding in every_level() {
            let mut encoder = Encoder::new(coding, None).expect("there is memory");
            let (mut sent, mut given) = (Vec::new(), Vec::new());
            for number in 0..20 {
                let block = format!("event {number}\n");
                encoder.write(block.as_bytes()).expect("it is memory");
                encoder.flush().expect("it is memory");
                sent.extend(encoder.take());
                given.extend(block.into_bytes());
                assert_eq!(decode_begun(coding, &sent, given.len()), given, "{coding}");
            }
            sent.extend(encoder.finish().expect("it is memory"));
            assert_eq!(decode(coding, &sent), given, "{coding}");
        }
    }

    #[test]
    fn a_body_of_any_size_is_encoded_at_once() {
        let body: Vec<u8> = b"Kirschen und Kirschkuchen, ".repeat(10_000);
        for coding in every_level() {
            for len in [0, 1, 1023, 1024, 65_536, 262_144] {
                let encoded = Encoder::whole(coding, &body[..len]).expect("there is memory");
                assert_eq!(decode(coding, &encoded), &body[..len], "{coding} {len}");
                assert!(len < 1024 || encoded.len() < len / 2, "{coding} {len}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_decoded_is_what_was_given(
            blocks in prop::collection::vec((prop::collection::vec(0u8..8, 0..3000), any::<bool>()), 0..8),
        ) {
            let given: Vec<u8> = blocks.iter().flat_map(|(block, _)| block.clone()).collect();
            for coding in every_level() {
                let mut encoder = Encoder::new(coding, None).expect("there is memory");
                let mut sent = Vec::new();
                for (block, flush) in &blocks {
                    encoder.write(block).expect("it is memory");
                    if *flush {
                        encoder.flush().expect("it is memory");
                    }
                    sent.extend(encoder.take());
                }
                sent.extend(encoder.finish().expect("it is memory"));
                prop_assert_eq!(decode(coding, &sent), &given[..], "{}", coding);
            }
        }
    }
}
