//! A new header for a batch that is produced again, its record bytes untouched.

use super::crc;
use super::header::{CRC_START, HEADER_LEN, produce_attributes};
use super::{BatchError, Passthrough, RawBatch};

/// What an idempotent producer writes into the header of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducePatch {
    /// Producer id, or -1 for a producer that is not idempotent.
    pub producer_id: i64,
    /// Producer epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or -1.
    pub base_sequence: i32,
}

impl ProducePatch {
    /// The values of a producer that is not idempotent.
    pub const NONE: Self = Self {
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
    };

    /// The header with which `batch` can be produced; [`RawBatch::stored_records_bytes`] goes behind it.
    ///
    /// Base offset 0, no leader epoch, the producer's identity, and neither the transactional nor the delete-horizon
    /// bit. The CRC is moved, not computed again: the cost does not depend on the size of the batch.
    ///
    /// Fails with [`BatchError::NotPassable`] for a batch whose records would have to change.
    pub fn patched_header(&self, batch: &RawBatch) -> Result<[u8; HEADER_LEN], BatchError> {
        let base_offset = batch.header.base_offset;
        if let Passthrough::No(obstacle) = Passthrough::check(&batch.header) {
            return Err(BatchError::NotPassable {
                base_offset,
                obstacle,
            });
        }
        let (Some(old), Ok(records_len)) = (
            batch.bytes.first_chunk::<HEADER_LEN>(),
            u32::try_from(batch.bytes.len().saturating_sub(HEADER_LEN)),
        ) else {
            return Err(BatchError::Truncated {
                needed: HEADER_LEN,
                available: batch.bytes.len(),
            });
        };
        let mut header = batch.header;
        header.base_offset = 0;
        header.partition_leader_epoch = -1;
        header.attributes = produce_attributes(header.attributes);
        header.producer_id = self.producer_id;
        header.producer_epoch = self.producer_epoch;
        header.base_sequence = self.base_sequence;
        let new = header.encode();
        let changed = old[CRC_START..].iter().zip(&new[CRC_START..]).map(|(a, b)| a ^ b);
        header.crc ^= crc::shift(crc::difference(changed), records_len);
        Ok(header.encode())
    }
}
