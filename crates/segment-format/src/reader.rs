//! Reading whole segments: to check one, or to read one whose index is lost.

use bytes::Bytes;

use crate::block::{BlockEntry, decode_block};
use crate::error::{Error, Part, Result};
use crate::footer::Footer;
use crate::header::{HEADER_LEN, SegmentHeader};
use crate::index::Index;

/// Checks every byte of a segment: header, footer, index, and each block as [`decode_block`] does. Memory: the largest
/// block on top of the object.
///
/// # Errors
///
/// The first damage found, in this order: header, footer, index, blocks in the order in which they are stored.
pub fn check_segment(object: &Bytes) -> Result<Index> {
    SegmentHeader::decode(object)?;
    let footer = Footer::decode(object, object.len() as u64)?;
    let index_bytes = part_of(object, Part::Index, footer.index_position, footer.index_len)?;
    let index = Index::decode(&index_bytes, &footer)?;
    for block in index.blocks_by_position() {
        let range = block.range();
        let stored = part_of(object, Part::BlockPayload, range.start, range.end - range.start)?;
        decode_block(block, stored)?;
    }
    Ok(index)
}

/// The blocks of a segment, read from the start of the object block by block: finds what is left of a segment that has
/// lost its end. Yields each block's entry with the bytes for [`decode_block`]; ends at the first thing that is not
/// a whole block, which is the index in an undamaged segment.
///
/// # Errors
///
/// When the object does not start with a segment header.
pub fn scan_blocks(object: &Bytes) -> Result<impl Iterator<Item = (BlockEntry, Bytes)> + use<>> {
    SegmentHeader::decode(object)?;
    let object = object.clone();
    let mut position = HEADER_LEN as u64;
    Ok(std::iter::from_fn(move || {
        let rest = object.get(usize::try_from(position).ok()?..)?;
        let entry = BlockEntry::decode_header(rest, position).ok()?;
        let range = entry.range();
        let stored = part_of(&object, Part::BlockPayload, range.start, range.end - range.start).ok()?;
        position = range.end;
        Some((entry, stored))
    }))
}

fn part_of(object: &Bytes, part: Part, position: u64, length: u64) -> Result<Bytes> {
    let available = (object.len() as u64).saturating_sub(position);
    if length > available {
        return Err(Error::Truncated {
            part,
            position,
            needed: length,
            available,
        });
    }
    // Both fit into memory, as the object does.
    let start = position as usize;
    Ok(object.slice(start..start + length as usize))
}
