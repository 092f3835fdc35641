//! gzip: libdeflate for the usual single member, a streaming reader for everything else.

use std::io::Read;

use libdeflater::{CompressionLvl, DecompressionError};

use super::{Codec, CodecError, grow};

const DEFAULT_LEVEL: i32 = 6;
/// Header and trailer of a member.
const SMALLEST_MEMBER: usize = 18;
const MEMBER_START: [u8; 3] = [0x1f, 0x8b, 8];
/// Output per input byte for which memory is taken at once. deflate itself goes up to 1032.
const LIKELY_PER_BYTE: usize = 16;

fn corrupt(detail: &'static str) -> CodecError {
    CodecError::Corrupt {
        codec: Codec::Gzip,
        detail,
    }
}

/// Reads gzip; keeps libdeflate's context.
#[derive(Default)]
pub(super) struct Reader {
    context: Option<libdeflater::Decompressor>,
}

impl Reader {
    /// Decompresses `input` into the front of `scratch`; returns how many bytes.
    pub(super) fn decompress(
        &mut self,
        input: &[u8],
        limit: usize,
        scratch: &mut Vec<u8>,
    ) -> Result<usize, CodecError> {
        match self.single_member(input, limit, scratch)? {
            Some(written) => Ok(written),
            None => stream(input, limit, scratch),
        }
    }

    /// Decompresses `input` if it is one member of a believable size, which its last four bytes tell.
    fn single_member(
        &mut self,
        input: &[u8],
        limit: usize,
        scratch: &mut Vec<u8>,
    ) -> Result<Option<usize>, CodecError> {
        let Some(size) = input.last_chunk::<4>().filter(|_| input.len() >= SMALLEST_MEMBER) else {
            return Err(corrupt("too short"));
        };
        let size = u32::from_le_bytes(*size) as usize;
        let affordable = scratch.len().max(input.len().saturating_mul(LIKELY_PER_BYTE));
        if size > limit.min(affordable) {
            return Ok(None);
        }
        grow(scratch, size);
        let context = self.context.get_or_insert_with(libdeflater::Decompressor::new);
        match context.gzip_decompress(input, &mut scratch[..size]) {
            Ok(written) if written == size && !has_second_member(input, size) => Ok(Some(written)),
            Ok(_) | Err(DecompressionError::InsufficientSpace) => Ok(None),
            Err(DecompressionError::BadData) => Err(corrupt("malformed or a wrong checksum")),
        }
    }
}

/// Whether a member of `size` bytes may end, and another one begin, inside `input`.
///
/// libdeflate stops after the first member without a word, and the size at the end is the last member's.
fn has_second_member(input: &[u8], size: usize) -> bool {
    let size = (size as u32).to_le_bytes();
    let starts_here = |at: usize| {
        at >= SMALLEST_MEMBER
            && input.get(at..at + MEMBER_START.len()) == Some(&MEMBER_START)
            && input.get(at - size.len()..at) == Some(&size)
    };
    // A block without the first byte is passed in a few vector instructions.
    const BLOCK: usize = 64;
    input.chunks(BLOCK).enumerate().any(|(index, block)| {
        block
            .iter()
            .fold(false, |found, byte| found | (*byte == MEMBER_START[0]))
            && (0..block.len()).any(|inner| starts_here(index * BLOCK + inner))
    })
}

/// Decompresses any number of members, growing `scratch` as output appears.
fn stream(input: &[u8], limit: usize, scratch: &mut Vec<u8>) -> Result<usize, CodecError> {
    let mut reader = flate2::bufread::MultiGzDecoder::new(input);
    let mut written = 0;
    loop {
        if written == scratch.len() {
            grow(
                scratch,
                written
                    .saturating_mul(2)
                    .max(4096)
                    .max(input.len())
                    .min(limit.max(written)),
            );
        }
        let room = scratch.len().min(limit);
        // With the limit reached, one byte more tells whether this was the end.
        let mut probe = [0];
        let target = if written < room {
            &mut scratch[written..room]
        } else {
            &mut probe[..]
        };
        match reader.read(target) {
            Ok(0) => return Ok(written),
            Ok(_) if written >= limit => {
                return Err(CodecError::OverLimit {
                    codec: Codec::Gzip,
                    limit,
                });
            }
            Ok(read) => written += read,
            Err(_) => return Err(corrupt("malformed or a wrong checksum")),
        }
    }
}

/// Writes gzip; keeps the context of the last level.
#[derive(Default)]
pub(super) struct Writer {
    context: Option<(i32, libdeflater::Compressor)>,
}

impl Writer {
    pub(super) fn compress(
        &mut self,
        level: Option<i32>,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let level = level.unwrap_or(DEFAULT_LEVEL).clamp(1, 12);
        let (_, context) = match &mut self.context {
            Some(context) if context.0 == level => context,
            other => {
                let level_value = CompressionLvl::new(level).unwrap_or_default();
                other.insert((level, libdeflater::Compressor::new(level_value)))
            }
        };
        let start = out.len();
        out.resize(start + context.gzip_compress_bound(input.len()), 0);
        let result = context.gzip_compress(input, &mut out[start..]);
        out.truncate(start + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(_) => Ok(()),
            Err(_) => Err(CodecError::Compress {
                codec: Codec::Gzip,
                detail: "no room for the output",
            }),
        }
    }
}
