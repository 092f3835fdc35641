//! The 61-byte header of a record batch of format 2.

use bytes::Bytes;

use super::crc::crc32c;
use super::{BatchError, Codec};

/// Length of a batch header: the records follow it.
pub const HEADER_LEN: usize = 61;
/// Bytes before the part that the length field counts: base offset and the length itself.
pub const LENGTH_OVERHEAD: usize = 12;
/// First byte that the CRC covers (the attributes). Base offset, length and leader epoch lie before it.
pub const CRC_START: usize = 21;
/// Position of the magic byte, in batches as in the older message sets.
pub(crate) const MAGIC_AT: usize = 16;

const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const DELETE_HORIZON: i16 = 1 << 6;

/// The header of a record batch (magic 2), field by field in the order of the wire.
///
/// Layout: Apache Kafka, `DefaultRecordBatch`. All integers are big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record slot; kept by compaction even when that record is gone.
    pub base_offset: i64,
    /// Bytes after this field: 49 and the records.
    pub length: i32,
    /// Leader epoch at which the batch was appended; -1 in batches of a producer.
    pub partition_leader_epoch: i32,
    /// Format version: 2.
    pub magic: i8,
    /// CRC-32C of the bytes from the attributes to the end.
    pub crc: u32,
    /// Codec (bits 0-2), LogAppendTime (3), transactional (4), control (5), delete horizon (6).
    pub attributes: i16,
    /// Distance from the base offset to the last record slot.
    pub last_offset_delta: i32,
    /// What timestamp deltas count from; the delete horizon when bit 6 is set.
    pub base_timestamp: i64,
    /// Largest timestamp of the records, or the append time of all of them.
    pub max_timestamp: i64,
    /// Producer id, or -1.
    pub producer_id: i64,
    /// Producer epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record slot, or -1.
    pub base_sequence: i32,
    /// Records that are there: fewer than slots after compaction, or none.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, which may go on with records and further batches.
    ///
    /// The values are checked for consistency: length, magic 2, offsets that do not overflow, a record count that is
    /// not negative. The CRC is not checked here: see [`RawBatch::verify_crc`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let header = Self::decode(bytes)?;
        let base_offset = header.base_offset;
        if header.magic != 2 {
            return Err(BatchError::Magic {
                position: 0,
                base_offset,
                magic: header.magic,
            });
        }
        if header.length < (HEADER_LEN - LENGTH_OVERHEAD) as i32 {
            return Err(BatchError::Length {
                position: 0,
                base_offset,
                length: header.length,
            });
        }
        let field = |field, value| {
            Err(BatchError::Field {
                base_offset,
                field,
                value,
            })
        };
        if base_offset < 0 {
            return field("base offset", base_offset);
        }
        let next_offset = base_offset.checked_add(i64::from(header.last_offset_delta) + 1);
        if header.last_offset_delta < 0 || next_offset.is_none() {
            return field("last offset delta", i64::from(header.last_offset_delta));
        }
        if header.record_count < 0 {
            return field("record count", i64::from(header.record_count));
        }
        Ok(header)
    }

    fn decode(bytes: &[u8]) -> Result<Self, BatchError> {
        let Some(b) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(BatchError::Truncated {
                needed: HEADER_LEN,
                available: bytes.len(),
            });
        };
        Ok(Self {
            base_offset: i64::from_be_bytes(at(b, 0)),
            length: i32::from_be_bytes(at(b, 8)),
            partition_leader_epoch: i32::from_be_bytes(at(b, 12)),
            magic: b[MAGIC_AT] as i8,
            crc: u32::from_be_bytes(at(b, 17)),
            attributes: i16::from_be_bytes(at(b, 21)),
            last_offset_delta: i32::from_be_bytes(at(b, 23)),
            base_timestamp: i64::from_be_bytes(at(b, 27)),
            max_timestamp: i64::from_be_bytes(at(b, 35)),
            producer_id: i64::from_be_bytes(at(b, 43)),
            producer_epoch: i16::from_be_bytes(at(b, 51)),
            base_sequence: i32::from_be_bytes(at(b, 53)),
            record_count: i32::from_be_bytes(at(b, 57)),
        })
    }

    /// The header as bytes. [`BatchHeader::parse`] of them gives the same value.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut b = [0; HEADER_LEN];
        put(&mut b, 0, self.base_offset.to_be_bytes());
        put(&mut b, 8, self.length.to_be_bytes());
        put(&mut b, 12, self.partition_leader_epoch.to_be_bytes());
        put(&mut b, MAGIC_AT, self.magic.to_be_bytes());
        put(&mut b, 17, self.crc.to_be_bytes());
        put(&mut b, 21, self.attributes.to_be_bytes());
        put(&mut b, 23, self.last_offset_delta.to_be_bytes());
        put(&mut b, 27, self.base_timestamp.to_be_bytes());
        put(&mut b, 35, self.max_timestamp.to_be_bytes());
        put(&mut b, 43, self.producer_id.to_be_bytes());
        put(&mut b, 51, self.producer_epoch.to_be_bytes());
        put(&mut b, 53, self.base_sequence.to_be_bytes());
        put(&mut b, 57, self.record_count.to_be_bytes());
        b
    }

    /// Offset of the last record slot.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// The offset to read after this batch: from the header, as compaction may have removed the last record.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Bytes of the whole batch, header included; what `max.message.bytes` is compared with.
    pub fn total_len(&self) -> usize {
        usize::try_from(self.length).unwrap_or(0) + LENGTH_OVERHEAD
    }

    /// The codec of the records.
    pub fn compression(&self) -> Result<Codec, BatchError> {
        let id = (self.attributes & 7) as u8;
        Codec::from_id(id).ok_or(BatchError::UnknownCodec {
            base_offset: self.base_offset,
            id,
        })
    }

    /// Whether the records belong to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether this is a control batch (a transaction marker), which no consumer sees.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Whether every record has the broker's append time, [`BatchHeader::max_timestamp`].
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Whether [`BatchHeader::base_timestamp`] is a delete horizon; timestamp deltas count from it all the same.
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON != 0
    }

    /// The timestamp that a consumer sees on a record with this delta (AK `DefaultRecord.readFrom`).
    #[inline]
    pub fn timestamp(&self, timestamp_delta: i64) -> i64 {
        if self.is_log_append_time() {
            self.max_timestamp
        } else {
            self.base_timestamp.wrapping_add(timestamp_delta)
        }
    }

    /// Whether every slot holds a record: then the record at index `i` has offset `base_offset + i`.
    pub fn is_dense(&self) -> bool {
        i64::from(self.record_count) == i64::from(self.last_offset_delta) + 1
    }
}

/// Attributes of a batch that a producer may send: the codec alone.
pub(crate) fn produce_attributes(attributes: i16) -> i16 {
    attributes & !(LOG_APPEND_TIME | TRANSACTIONAL | CONTROL | DELETE_HORIZON)
}

/// The attribute bits for a batch with these properties.
pub(crate) fn attribute_bits(
    log_append_time: bool,
    transactional: bool,
    control: bool,
    horizon: bool,
) -> i16 {
    let bit = |set: bool, bit: i16| if set { bit } else { 0 };
    bit(log_append_time, LOG_APPEND_TIME)
        | bit(transactional, TRANSACTIONAL)
        | bit(control, CONTROL)
        | bit(horizon, DELETE_HORIZON)
}

#[inline(always)]
fn at<const N: usize>(bytes: &[u8; HEADER_LEN], position: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[position..position + N]);
    field
}

#[inline(always)]
fn put<const N: usize>(bytes: &mut [u8; HEADER_LEN], position: usize, field: [u8; N]) {
    bytes[position..position + N].copy_from_slice(&field);
}

/// A whole record batch as it is on the wire and on disk, with its header read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawBatch {
    /// The header, already checked.
    pub header: BatchHeader,
    /// The batch, header included: exactly [`BatchHeader::total_len`] bytes.
    pub bytes: Bytes,
}

impl RawBatch {
    /// Takes bytes that are exactly one batch. No copy is made and the CRC is not checked.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(&bytes)?;
        let (needed, available) = (header.total_len(), bytes.len());
        if available < needed {
            return Err(BatchError::Truncated { needed, available });
        }
        if available > needed {
            return Err(BatchError::ExtraBytes {
                base_offset: header.base_offset,
                extra: available - needed,
            });
        }
        Ok(Self { header, bytes })
    }

    /// Checks the CRC-32C over everything from the attributes on.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let computed = crc32c(self.bytes.get(CRC_START..).unwrap_or_default());
        if computed == self.header.crc {
            return Ok(());
        }
        Err(BatchError::Crc {
            base_offset: self.header.base_offset,
            stored: self.header.crc,
            computed,
        })
    }

    /// The records as they are stored: compressed, when the batch is.
    pub fn stored_records(&self) -> &[u8] {
        self.bytes.get(HEADER_LEN..).unwrap_or_default()
    }

    /// [`RawBatch::stored_records`] as a handle on the same memory.
    pub fn stored_records_bytes(&self) -> Bytes {
        self.bytes.slice(HEADER_LEN.min(self.bytes.len())..)
    }
}
