//! lz4 frames over the block functions of `lz4_flex`.
//!
//! A frame reader of our own is two to three times faster than those of the libraries, and lets us decide what is
//! legal. Written frames are what the Java client writes and insists on: independent blocks of 64 KiB, no checksums but
//! that of the header. Read frames may have dependent blocks, checksums, a content size and several frames in a row.

use lz4_flex::block::{
    CompressTable, DecompressError, compress_into_with_table, decompress_into, decompress_into_with_dict,
    get_maximum_output_size,
};

use super::xxh32::xxh32;
use super::{Codec, CodecError, grow};

const MAGIC: u32 = 0x184d_2204;
const SKIPPABLE: u32 = 0x184d_2a50;
const VERSION: u8 = 0b0100_0000;
const INDEPENDENT: u8 = 0b0010_0000;
const BLOCK_CHECKSUM: u8 = 0b0001_0000;
const CONTENT_SIZE: u8 = 0b0000_1000;
const CONTENT_CHECKSUM: u8 = 0b0000_0100;
const DICTIONARY: u8 = 0b0000_0001;
/// Set in a block's size when the block is stored as it is.
const STORED: u32 = 1 << 31;
/// Block size code of the frames that we write, and what it means.
const BLOCK_CODE: u8 = 4 << 4;
const BLOCK_SIZE: usize = 64 << 10;
/// A byte of a block stands for at most this many bytes of output.
const MOST_PER_BYTE: usize = 255;
/// How far back a dependent block can reach.
const WINDOW: usize = 64 << 10;

fn corrupt(detail: &'static str) -> CodecError {
    CodecError::Corrupt {
        codec: Codec::Lz4,
        detail,
    }
}

struct Frame {
    flags: u8,
    largest_block: usize,
}

/// Takes a header off `input`: `None` for a skippable frame, which is taken off as a whole.
fn read_header(input: &mut &[u8]) -> Result<Option<Frame>, CodecError> {
    let start = *input;
    let magic = read_u32(input)?;
    if magic & 0xffff_fff0 == SKIPPABLE {
        let len = read_u32(input)? as usize;
        *input = input.get(len..).ok_or(corrupt("a skippable frame is cut"))?;
        return Ok(None);
    }
    if magic != MAGIC {
        return Err(corrupt("no frame magic"));
    }
    let [flags, block, ..] = **input else {
        return Err(corrupt("the frame header is cut"));
    };
    if flags >> 6 != VERSION >> 6 {
        return Err(corrupt("unknown frame version"));
    }
    if flags & DICTIONARY != 0 {
        return Err(corrupt("a dictionary is needed"));
    }
    let largest_block = match (block >> 4) & 7 {
        code @ 4..=7 => 1 << (8 + 2 * code),
        _ => return Err(corrupt("unknown block size")),
    };
    let descriptor_len = if flags & CONTENT_SIZE == 0 { 2 } else { 10 };
    let (Some(descriptor), Some(&checksum)) = (input.get(..descriptor_len), input.get(descriptor_len)) else {
        return Err(corrupt("the frame header is cut"));
    };
    // Clients of the time of message format 0 hashed the magic too (KAFKA-3160), and so they must to this day.
    let quirk = start.get(..4 + descriptor_len).unwrap_or_default();
    if header_checksum(descriptor) != checksum && header_checksum(quirk) != checksum {
        return Err(corrupt("the frame header's checksum is wrong"));
    }
    *input = input.get(descriptor_len + 1..).unwrap_or_default();
    Ok(Some(Frame { flags, largest_block }))
}

fn header_checksum(descriptor: &[u8]) -> u8 {
    (xxh32(descriptor) >> 8) as u8
}

fn read_u32(input: &mut &[u8]) -> Result<u32, CodecError> {
    let (word, rest) = input.split_first_chunk::<4>().ok_or(corrupt("the data is cut"))?;
    *input = rest;
    Ok(u32::from_le_bytes(*word))
}

/// Decompresses all frames of `input` into the front of `scratch`; returns how many bytes.
pub(super) fn decompress(mut input: &[u8], limit: usize, scratch: &mut Vec<u8>) -> Result<usize, CodecError> {
    let mut written = 0;
    while !input.is_empty() {
        let Some(frame) = read_header(&mut input)? else {
            continue;
        };
        let frame_start = written;
        loop {
            let size = read_u32(&mut input)?;
            if size == 0 {
                break;
            }
            let len = (size & !STORED) as usize;
            let block = input.get(..len).ok_or(corrupt("a block is cut"))?;
            input = &input[len..];
            if frame.flags & BLOCK_CHECKSUM != 0 && read_u32(&mut input)? != xxh32(block) {
                return Err(corrupt("a block's checksum is wrong"));
            }
            if size & STORED != 0 {
                written += store(block, &frame, written, limit, scratch)?;
            } else {
                written += expand(block, &frame, frame_start, written, limit, scratch)?;
            }
        }
        if frame.flags & CONTENT_CHECKSUM != 0 {
            let content = scratch.get(frame_start..written).unwrap_or_default();
            if read_u32(&mut input)? != xxh32(content) {
                return Err(corrupt("the content's checksum is wrong"));
            }
        }
    }
    Ok(written)
}

fn store(
    block: &[u8],
    frame: &Frame,
    at: usize,
    limit: usize,
    scratch: &mut Vec<u8>,
) -> Result<usize, CodecError> {
    if block.len() > frame.largest_block {
        return Err(corrupt("a block is larger than the frame allows"));
    }
    if block.len() > limit - at {
        return Err(CodecError::OverLimit {
            codec: Codec::Lz4,
            limit,
        });
    }
    grow(scratch, at + block.len());
    scratch[at..at + block.len()].copy_from_slice(block);
    Ok(block.len())
}

fn expand(
    block: &[u8],
    frame: &Frame,
    frame_start: usize,
    at: usize,
    limit: usize,
    scratch: &mut Vec<u8>,
) -> Result<usize, CodecError> {
    let possible = frame.largest_block.min(block.len().saturating_mul(MOST_PER_BYTE));
    let room = possible.min(limit - at);
    grow(scratch, at + room);
    let (before, free) = scratch.split_at_mut(at);
    let out = &mut free[..room];
    let result = if frame.flags & INDEPENDENT != 0 || at == frame_start {
        decompress_into(block, out)
    } else {
        let from = frame_start.max(at.saturating_sub(WINDOW));
        decompress_into_with_dict(block, out, &before[from..])
    };
    result.map_err(|error| match error {
        DecompressError::OutputTooSmall { .. } if room < possible => CodecError::OverLimit {
            codec: Codec::Lz4,
            limit,
        },
        DecompressError::OutputTooSmall { .. } => corrupt("a block is larger than the frame allows"),
        DecompressError::OffsetZero | DecompressError::OffsetOutOfBounds => {
            corrupt("a match lies outside the data")
        }
        _ => corrupt("a block is malformed"),
    })
}

/// Writes frames; keeps its hash table.
#[derive(Default)]
pub(super) struct Writer {
    table: Option<CompressTable>,
    block: Vec<u8>,
}

impl Writer {
    pub(super) fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let table = self.table.get_or_insert_with(CompressTable::large);
        grow(&mut self.block, get_maximum_output_size(BLOCK_SIZE));
        let start = out.len();
        out.extend_from_slice(&MAGIC.to_le_bytes());
        let descriptor = [VERSION | INDEPENDENT, BLOCK_CODE];
        out.extend_from_slice(&descriptor);
        out.push(header_checksum(&descriptor));
        for chunk in input.chunks(BLOCK_SIZE) {
            let Ok(len) = compress_into_with_table(chunk, &mut self.block, table) else {
                out.truncate(start);
                return Err(CodecError::Compress {
                    codec: Codec::Lz4,
                    detail: "no room for a block",
                });
            };
            let (size, block) = match self.block.get(..len) {
                Some(block) if len < chunk.len() => (len as u32, block),
                _ => (chunk.len() as u32 | STORED, chunk),
            };
            out.extend_from_slice(&size.to_le_bytes());
            out.extend_from_slice(block);
        }
        out.extend_from_slice(&0u32.to_le_bytes());
        Ok(())
    }
}
