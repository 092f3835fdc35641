//! zstd frames. The Java client writes no content size, and readers must take several frames in a row.
//!
//! Frames are decoded in one call into a buffer that is large enough: no window has to be kept beside it, which spares
//! a copy, and a frame that asks for a huge window gets none. How large is enough follows from the block headers.

use zstd_safe::zstd_sys::ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall;
use zstd_safe::{CCtx, DCtx};

use super::{Codec, CodecError, grow};

const MAGIC: u32 = 0xfd2f_b528;
const SKIPPABLE: u32 = 0x184d_2a50;
const LARGEST_BLOCK: usize = 128 << 10;
const DEFAULT_LEVEL: i32 = 3;
/// Output per input byte for which memory is taken at once.
const LIKELY_PER_BYTE: usize = 16;

fn corrupt(detail: &'static str) -> CodecError {
    CodecError::Corrupt {
        codec: Codec::Zstd,
        detail,
    }
}

/// Reads frames; keeps the context.
#[derive(Default)]
pub(super) struct Reader {
    context: Option<DCtx<'static>>,
}

impl Reader {
    /// Decompresses all frames of `input` into the front of `scratch`; returns how many bytes.
    pub(super) fn decompress(
        &mut self,
        input: &[u8],
        limit: usize,
        scratch: &mut Vec<u8>,
    ) -> Result<usize, CodecError> {
        let most = upper_bound(input).ok_or(corrupt("a frame is malformed or cut"))?;
        let enough = most.min(limit);
        let likely = LARGEST_BLOCK.max(input.len().saturating_mul(LIKELY_PER_BYTE));
        grow(scratch, enough.min(likely));
        let context = self.context.get_or_insert_with(DCtx::create);
        loop {
            let room = scratch.len().min(limit);
            match context.decompress(&mut scratch[..room], input) {
                Ok(written) => return Ok(written),
                Err(code) if !zstd_safe::is_error_kind(code, ZSTD_error_dstSize_tooSmall) => {
                    return Err(corrupt(zstd_safe::get_error_name(code)));
                }
                // Data of a rare density: starting again with twice the room costs less than a window would.
                Err(_) if room < enough => grow(scratch, room.saturating_mul(2).min(enough)),
                Err(_) if most > limit => {
                    return Err(CodecError::OverLimit {
                        codec: Codec::Zstd,
                        limit,
                    });
                }
                Err(_) => return Err(corrupt("a block is larger than its kind allows")),
            }
        }
    }
}

/// The most bytes that the frames of `input` can decompress to, or `None` when their structure is broken.
fn upper_bound(mut input: &[u8]) -> Option<usize> {
    let mut bound = 0usize;
    while !input.is_empty() {
        let (magic, rest) = input.split_first_chunk::<4>()?;
        let magic = u32::from_le_bytes(*magic);
        if magic & 0xffff_fff0 == SKIPPABLE {
            let (len, rest) = rest.split_first_chunk::<4>()?;
            input = rest.get(u32::from_le_bytes(*len) as usize..)?;
            continue;
        }
        if magic != MAGIC {
            return None;
        }
        let (&descriptor, rest) = rest.split_first()?;
        input = rest.get(header_rest(descriptor)..)?;
        loop {
            let (head, rest) = input.split_first_chunk::<3>()?;
            let head = u32::from_le_bytes([head[0], head[1], head[2], 0]);
            let size = (head >> 3) as usize;
            let (stored, expanded) = match (head >> 1) & 3 {
                0 => (size, size),
                1 => (1, size),
                2 => (size, LARGEST_BLOCK),
                _ => return None,
            };
            bound = bound.checked_add(expanded)?;
            input = rest.get(stored..)?;
            if head & 1 != 0 {
                break;
            }
        }
        let checksum = if descriptor & 4 != 0 { 4 } else { 0 };
        input = input.get(checksum..)?;
    }
    Some(bound)
}

/// Bytes of a frame header behind its descriptor: window, dictionary id, content size.
fn header_rest(descriptor: u8) -> usize {
    let single_segment = descriptor & 0x20 != 0;
    let window = usize::from(!single_segment);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = match descriptor >> 6 {
        0 => usize::from(single_segment),
        code => 1 << code,
    };
    window + dictionary + content_size
}

/// Writes frames; keeps the context.
#[derive(Default)]
pub(super) struct Writer {
    context: Option<CCtx<'static>>,
}

impl Writer {
    pub(super) fn compress(
        &mut self,
        level: Option<i32>,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let level = level.unwrap_or(DEFAULT_LEVEL).clamp(-7, zstd_safe::max_c_level());
        let context = self.context.get_or_insert_with(CCtx::create);
        let start = out.len();
        out.reserve(zstd_safe::compress_bound(input.len()));
        let mut target = std::io::Cursor::new(&mut *out);
        target.set_position(start as u64);
        if let Err(code) = context.compress(&mut target, input, level) {
            out.truncate(start);
            return Err(CodecError::Compress {
                codec: Codec::Zstd,
                detail: zstd_safe::get_error_name(code),
            });
        }
        Ok(())
    }
}
