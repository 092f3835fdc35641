//! What can be wrong with a record batch.

use crate::batch::Obstacle;
use crate::codec::{Codec, CodecError};

/// A record batch, or a slab of them, that cannot be read or rewritten.
///
/// Every variant says where: by the base offset of the batch and, inside a batch, by the index of the record and the
/// byte position in the (decompressed) records. None of them is worth a retry with the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Fewer bytes than the batch needs.
    #[error("record batch is cut: {needed} bytes needed, {available} there")]
    Truncated {
        /// Bytes that a whole batch would have.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// More bytes than the batch's own length field covers.
    #[error("{extra} bytes follow the record batch at offset {base_offset}")]
    ExtraBytes {
        /// The batch's base offset.
        base_offset: i64,
        /// Bytes after its end.
        extra: usize,
    },
    /// The length field is smaller than the rest of a header, or negative.
    #[error("record batch at byte {position} (offset {base_offset}) says it is {length} bytes long")]
    Length {
        /// Byte position in the slab.
        position: usize,
        /// The offset field of the entry.
        base_offset: i64,
        /// The length field.
        length: i32,
    },
    /// A magic byte other than 0, 1 or 2, or another one than the caller reads.
    #[error("record batch at byte {position} (offset {base_offset}) has magic {magic}")]
    Magic {
        /// Byte position in the slab.
        position: usize,
        /// The offset field of the entry.
        base_offset: i64,
        /// The magic byte.
        magic: i8,
    },
    /// A header field with a value that no broker writes.
    #[error("record batch at offset {base_offset}: {field} is {value}")]
    Field {
        /// The batch's base offset.
        base_offset: i64,
        /// The field's name.
        field: &'static str,
        /// Its value.
        value: i64,
    },
    /// The checksum does not match the bytes.
    #[error("record batch at offset {base_offset}: CRC is {computed:#010x}, {stored:#010x} expected")]
    Crc {
        /// The batch's base offset.
        base_offset: i64,
        /// The CRC in the batch.
        stored: u32,
        /// The CRC of its bytes.
        computed: u32,
    },
    /// A codec number that Kafka does not define.
    #[error("record batch at offset {base_offset}: unknown compression codec {id}")]
    UnknownCodec {
        /// The batch's base offset.
        base_offset: i64,
        /// The codec bits of the attributes.
        id: u8,
    },
    /// The records could not be decompressed or compressed.
    #[error("record batch at offset {base_offset}: {source}")]
    Codec {
        /// The batch's base offset.
        base_offset: i64,
        /// What the codec says.
        #[source]
        source: CodecError,
    },
    /// A record that does not parse.
    #[error("record batch at offset {base_offset}, record {index} (byte {position}): {problem}")]
    Record {
        /// The batch's base offset.
        base_offset: i64,
        /// The record's index in the batch.
        index: u32,
        /// Where it starts in the decompressed records.
        position: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// Offset deltas that do not rise, or leave the range of the batch.
    #[error(
        "record batch at offset {base_offset}, record {index}: offset delta {delta} is out of order or range"
    )]
    OffsetDelta {
        /// The batch's base offset.
        base_offset: i64,
        /// The record's index in the batch.
        index: u32,
        /// The record's offset delta.
        delta: i32,
    },
    /// A batch that cannot be produced with its record bytes untouched.
    #[error("record batch at offset {base_offset} cannot be passed through: {obstacle}")]
    NotPassable {
        /// The batch's base offset.
        base_offset: i64,
        /// Why.
        obstacle: Obstacle,
    },
    /// A control batch where only data is expected.
    #[error("record batch at offset {base_offset} is a control batch")]
    Control {
        /// The batch's base offset.
        base_offset: i64,
    },
    /// An old-format message whose parts contradict each other.
    #[error("message set entry at offset {offset}: {problem}")]
    Legacy {
        /// The entry's offset.
        offset: i64,
        /// What is wrong.
        problem: &'static str,
    },
    /// What is to be written does not fit the format's 32-bit sizes.
    #[error("record batch at offset {base_offset} would be too large to write")]
    TooLarge {
        /// The batch's base offset.
        base_offset: i64,
    },
}

impl BatchError {
    pub(crate) fn codec(base_offset: i64, source: CodecError) -> Self {
        Self::Codec { base_offset, source }
    }

    /// The codec that failed, if a codec did.
    pub fn failed_codec(&self) -> Option<Codec> {
        match self {
            Self::Codec { source, .. } => Some(source.codec()),
            _ => None,
        }
    }
}
