//! snappy: the framing of the Java library ("xerial"), and single raw blocks as other clients write them.

use super::{Codec, CodecError, grow};

/// What a framed stream starts with: the magic, then version and compatible version as big-endian integers.
const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const STREAM_HEADER: [u8; 16] = [
    0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
];
/// Block size of the Java library.
const BLOCK_SIZE: usize = 32 << 10;
/// The densest element is a three-byte copy of 64 bytes.
const MOST_PER_BYTE: usize = 22;

fn corrupt(detail: &'static str) -> CodecError {
    CodecError::Corrupt {
        codec: Codec::Snappy,
        detail,
    }
}

/// Decompresses `input` into the front of `scratch`; returns how many bytes.
pub(super) fn decompress(
    decoder: &mut snap::raw::Decoder,
    input: &[u8],
    limit: usize,
    scratch: &mut Vec<u8>,
) -> Result<usize, CodecError> {
    if !input.starts_with(&MAGIC) {
        return block(decoder, input, 0, limit, scratch);
    }
    let mut written = 0;
    let mut rest = input;
    while !rest.is_empty() {
        // A stream that was appended to another one brings its own header.
        if rest.starts_with(&MAGIC) {
            rest = rest
                .get(STREAM_HEADER.len()..)
                .ok_or(corrupt("the stream header is cut"))?;
            continue;
        }
        let (len, tail) = rest
            .split_first_chunk::<4>()
            .ok_or(corrupt("a block's length is cut"))?;
        let len = u32::from_be_bytes(*len) as usize;
        let compressed = tail.get(..len).ok_or(corrupt("a block is cut"))?;
        rest = &tail[len..];
        if !compressed.is_empty() {
            written += block(decoder, compressed, written, limit, scratch)?;
        }
    }
    Ok(written)
}

fn block(
    decoder: &mut snap::raw::Decoder,
    input: &[u8],
    at: usize,
    limit: usize,
    scratch: &mut Vec<u8>,
) -> Result<usize, CodecError> {
    let len = snap::raw::decompress_len(input).map_err(|_| corrupt("a block says no length"))?;
    if len > input.len().saturating_mul(MOST_PER_BYTE) {
        return Err(corrupt("a block says a length that it cannot have"));
    }
    if len > limit - at {
        return Err(CodecError::OverLimit {
            codec: Codec::Snappy,
            limit,
        });
    }
    grow(scratch, at + len);
    decoder
        .decompress(input, &mut scratch[at..at + len])
        .map_err(|_| corrupt("a block is malformed"))
}

/// Writes framed streams; keeps its tables.
pub(super) struct Writer {
    encoder: snap::raw::Encoder,
    block: Vec<u8>,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            encoder: snap::raw::Encoder::new(),
            block: Vec::new(),
        }
    }
}

impl Writer {
    pub(super) fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        grow(&mut self.block, snap::raw::max_compress_len(BLOCK_SIZE));
        let start = out.len();
        out.extend_from_slice(&STREAM_HEADER);
        for chunk in input.chunks(BLOCK_SIZE) {
            let Ok(len) = self.encoder.compress(chunk, &mut self.block) else {
                out.truncate(start);
                return Err(CodecError::Compress {
                    codec: Codec::Snappy,
                    detail: "no room for a block",
                });
            };
            out.extend_from_slice(&(len as u32).to_be_bytes());
            out.extend_from_slice(self.block.get(..len).unwrap_or_default());
        }
        Ok(())
    }
}
