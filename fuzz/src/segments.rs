//! Segments: their parts one by one, with checksums that are made right so that a fuzzer gets behind them, and the whole.

use bytes::Bytes;
use segment_format::{
    BlockEntry, EncodedBlock, FOOTER_LEN, Footer, HEADER_LEN, Index, SegmentHeader, SegmentWriter,
    check_segment, decode_block, scan_blocks,
};

use crate::memory::bounded;

/// Most bytes that a block may hold here: those that say more are not decoded.
const LARGEST: u32 = 1 << 20;
/// In a block header: magic, topic id, partition and name length; then the name, 60 bytes and the checksum.
const BEFORE_NAME: usize = 26;
const AFTER_NAME: usize = 60;
const STORED_LEN_AT: usize = 48;
const PAYLOAD_CRC_AT: usize = 52;

/// A segment.
pub fn segment(data: &[u8]) {
    whole(&Bytes::copy_from_slice(data));
    let mut repaired = data.to_vec();
    if repaired.len() >= HEADER_LEN {
        put_crc(&mut repaired, 0, HEADER_LEN - 4);
    }
    repair_blocks(&mut repaired);
    repair_end(&mut repaired);
    let repaired = Bytes::from(repaired);
    whole(&repaired);
    rewritten(&repaired);
    index(data);
}

/// Reads an object as a segment; where its footer and index are right, so must be what they say of each other.
fn whole(object: &Bytes) {
    let _ = SegmentHeader::decode(object);
    // A block may stand for 1024 times its size.
    bounded(
        || {
            let Ok(blocks) = scan_blocks(object) else { return };
            let mut position = HEADER_LEN as u64;
            for (entry, stored) in blocks {
                assert_eq!(entry.range().start, position);
                position = entry.range().end;
                if entry.raw_len <= LARGEST
                    && let Ok(raw) = decode_block(&entry, stored)
                {
                    assert_eq!(raw.len(), entry.raw_len as usize);
                }
            }
        },
        |()| 3 * LARGEST as usize,
    );
    let Ok(footer) = Footer::decode(object, object.len() as u64) else {
        return;
    };
    let range = footer.index_range();
    let bytes = object.slice(range.start as usize..range.end as usize);
    let Ok(index) = Index::decode(&bytes, &footer) else {
        return;
    };
    consistent(&index);
    if index.blocks().iter().all(|block| block.raw_len <= LARGEST) {
        let _ = check_segment(object);
    }
}

fn consistent(index: &Index) {
    for partition in index.partitions() {
        let blocks = index.blocks_of(&partition.topic, partition.partition);
        assert!(!blocks.is_empty());
        for block in blocks {
            let offsets = block.meta.base_offset..block.meta.base_offset.saturating_add(1);
            let found = index.blocks_in_offsets(&partition.topic, partition.partition, offsets);
            assert!(found.contains(block) || block.meta.base_offset == i64::MAX);
        }
    }
    assert_eq!(index.blocks_by_position().len(), index.blocks().len());
}

/// `data` as an index at a place that its first bytes say, with the right checksum.
fn index(data: &[u8]) {
    let mut bytes = data.to_vec();
    if bytes.len() < 12 {
        return;
    }
    let crc_at = bytes.len() - 4;
    put_crc(&mut bytes, 0, crc_at);
    let index_position = bytes[..crc_at].iter().map(|byte| u64::from(*byte)).sum();
    let index_len = bytes.len() as u64;
    let footer = Footer {
        index_position,
        index_len,
        object_len: index_position + index_len + FOOTER_LEN as u64,
    };
    let decoded = bounded(|| Index::decode(&bytes, &footer), |_| 16 * bytes.len());
    if let Ok(index) = decoded {
        consistent(&index);
    }
}

/// Puts the blocks that an object holds into a new segment, which must be whole and hold the same.
fn rewritten(object: &Bytes) {
    let Ok(blocks) = scan_blocks(object) else { return };
    let mut writer = SegmentWriter::new(1, 2);
    let mut new = writer.header_bytes().to_vec();
    let mut kept = Vec::new();
    for (entry, stored) in blocks.filter(|(entry, _)| entry.raw_len <= LARGEST) {
        let Ok(raw) = decode_block(&entry, stored.clone()) else {
            continue;
        };
        let block = EncodedBlock::from_stored(&entry, stored).expect("it could be decoded");
        if let Ok(bytes) = writer.add_block(&entry.partition, block) {
            bytes.iter().for_each(|bytes| new.extend_from_slice(bytes));
            kept.push((entry, raw));
        }
    }
    let (end, _) = writer.finish();
    end.iter().for_each(|bytes| new.extend_from_slice(bytes));
    let new = Bytes::from(new);
    let index = check_segment(&new).expect("a written segment is whole");
    consistent(&index);
    let read: Vec<BlockEntry> = index.blocks_by_position().into_iter().cloned().collect();
    assert_eq!(read.len(), kept.len());
    for (block, (entry, raw)) in read.iter().zip(kept) {
        assert_eq!((&block.partition, block.meta), (&entry.partition, entry.meta));
        let range = block.range();
        let stored = new.slice(range.start as usize..range.end as usize);
        assert_eq!(
            decode_block(block, stored).expect("it could be decoded before"),
            raw
        );
    }
}

/// Makes the checksums of the blocks right, as far as they follow each other.
fn repair_blocks(object: &mut [u8]) {
    let mut start = HEADER_LEN;
    while let Some(block) = object.get_mut(start..) {
        let Some(&[high, low]) = block.get(BEFORE_NAME - 2..BEFORE_NAME) else {
            return;
        };
        let descriptor = BEFORE_NAME + usize::from(u16::from_be_bytes([high, low]));
        let header_len = descriptor + AFTER_NAME + 4;
        let field = descriptor + STORED_LEN_AT;
        let Some(stored) = block.get(field..field + 4) else {
            return;
        };
        let stored = u32::from_be_bytes([stored[0], stored[1], stored[2], stored[3]]) as usize;
        if let Some(payload) = block.get(header_len..header_len + stored) {
            let crc = crc_fast::crc32_iscsi(payload);
            block[descriptor + PAYLOAD_CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
        }
        if block.len() < header_len {
            return;
        }
        put_crc(block, 0, header_len - 4);
        start += header_len + stored;
    }
}

/// Makes the checksums of footer and index right, and the length in the footer.
fn repair_end(object: &mut [u8]) {
    let len = object.len();
    let Some(footer) = len.checked_sub(FOOTER_LEN).filter(|start| *start >= HEADER_LEN) else {
        return;
    };
    object[footer + 16..footer + 24].copy_from_slice(&(len as u64).to_be_bytes());
    put_crc(object, footer, footer + FOOTER_LEN - 12);
    let Ok(decoded) = Footer::decode(object, len as u64) else {
        return;
    };
    let range = decoded.index_range();
    if range.end - range.start >= 4 {
        put_crc(object, range.start as usize, range.end as usize - 4);
    }
}

/// Puts the CRC of the bytes from `from` to `at` behind them.
fn put_crc(bytes: &mut [u8], from: usize, at: usize) {
    let crc = crc_fast::crc32_iscsi(&bytes[from..at]);
    bytes[at..at + 4].copy_from_slice(&crc.to_be_bytes());
}
