//! What is said of a block, in the same fields and the same bytes, in the index and in the block's own header.

use bytes::BufMut;

use super::MAX_BLOCK_LEN;
use crate::compression::{Compression, is_plausible};
use crate::cursor::Cursor;
use crate::error::Result;

/// Bytes of an encoded [`BlockBody`].
pub(crate) const DESCRIPTOR_LEN: usize = 60;

/// What the batches of a block hold. All of it is known from the batch headers, without decoding a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockMeta {
    /// Base offset of the first batch.
    pub base_offset: i64,
    /// Last offset of the last batch, as its header says: after compaction no record may have it.
    pub last_offset: i64,
    /// About the lowest timestamp of a record, in milliseconds; the lowest base timestamp of a batch will do. A hint
    /// for people: records may be older, so a reader must not skip a block for it.
    pub min_timestamp: i64,
    /// The highest timestamp of a record, in milliseconds (the highest `maxTimestamp` of a batch). No record of the
    /// block is newer, so a reader may skip the block when it looks for newer records.
    pub max_timestamp: i64,
    /// Number of batches.
    pub batches: u32,
    /// Number of records in the batches.
    pub records: u64,
}

impl BlockMeta {
    pub(super) fn problem(&self) -> Option<&'static str> {
        if self.base_offset < 0 {
            Some("the base offset is negative")
        } else if self.last_offset < self.base_offset {
            Some("the last offset is before the base offset")
        } else if self.batches == 0 {
            Some("it holds no batch")
        } else {
            None
        }
    }
}

/// The fields that the index and the block header share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockBody {
    pub(crate) meta: BlockMeta,
    pub(crate) compression: Compression,
    pub(crate) raw_len: u32,
    pub(crate) stored_len: u32,
    pub(crate) payload_crc: u32,
}

impl BlockBody {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64(self.meta.base_offset);
        out.put_i64(self.meta.last_offset);
        out.put_i64(self.meta.min_timestamp);
        out.put_i64(self.meta.max_timestamp);
        out.put_u64(self.meta.records);
        out.put_u32(self.meta.batches);
        out.put_u32(self.raw_len);
        out.put_u32(self.stored_len);
        out.put_u32(self.payload_crc);
        out.put_u8(self.compression.code());
        out.put_bytes(0, 3);
    }

    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Result<Self> {
        let position = cursor.position();
        let (base_offset, last_offset) = (cursor.i64()?, cursor.i64()?);
        let (min_timestamp, max_timestamp) = (cursor.i64()?, cursor.i64()?);
        let (records, batches) = (cursor.u64()?, cursor.u32()?);
        let (raw_len, stored_len, payload_crc) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        let code = cursor.u8()?;
        let compression = Compression::from_code(code)
            .ok_or_else(|| cursor.invalid_at(position, format!("compression {code} is not known")))?;
        cursor.zeros::<3>()?;

        let meta = BlockMeta {
            base_offset,
            last_offset,
            min_timestamp,
            max_timestamp,
            batches,
            records,
        };
        if let Some(problem) = meta.problem() {
            return Err(cursor.invalid_at(position, format!("the block is impossible: {problem}")));
        }
        let (raw, stored) = (u64::from(raw_len), u64::from(stored_len));
        if raw == 0 || raw > MAX_BLOCK_LEN || !is_plausible(compression, raw, stored) {
            let reason =
                format!("a block of {raw} bytes stored in {stored} bytes with compression {compression}");
            return Err(cursor.invalid_at(position, reason));
        }
        Ok(Self {
            meta,
            compression,
            raw_len,
            stored_len,
            payload_crc,
        })
    }
}
