//! Segments of a backup set.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::checksum::unhex;
use crate::layout;

/// What names a segment within its backup set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId {
    /// The generation whose commit was to be the first to name the segment.
    pub generation: u64,
    /// Number of the segment among those of its writer and generation.
    pub sequence: u64,
    /// The number that the writer drew at random when it started; in the segment's header too.
    pub writer_nonce: u64,
}

impl SegmentId {
    /// Name of the object, relative to the storage's prefix.
    pub fn object(&self, backup_id: &str) -> String {
        layout::segment_name(backup_id, self.generation, self.sequence, self.writer_nonce)
    }
}

/// As in the name of the object, without folder and extension.
impl std::fmt::Display for SegmentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:016x}-{:016x}-{:016x}",
            self.generation, self.sequence, self.writer_nonce
        )
    }
}

impl Serialize for SegmentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SegmentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let mut numbers = text.split('-').map(|part| unhex(part).map(u64::from_be_bytes));
        let mut next = || numbers.next().flatten();
        let parsed = match (next(), next(), next()) {
            (Some(generation), Some(sequence), Some(writer_nonce)) => Self {
                generation,
                sequence,
                writer_nonce,
            },
            _ => return Err(D::Error::custom(format!("{text:?} is not the id of a segment"))),
        };
        match numbers.next() {
            None => Ok(parsed),
            Some(_) => Err(D::Error::custom(format!("{text:?} is not the id of a segment"))),
        }
    }
}

/// A segment and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// What names it.
    pub id: SegmentId,
    /// Bytes of the object.
    pub bytes: u64,
    /// BLAKE3 of the object.
    #[serde(with = "crate::checksum::hex_digest")]
    pub blake3: [u8; 32],
    partitions: Box<[SegmentPartition]>,
}

impl Segment {
    /// A segment; `partitions` are sorted by topic number and partition.
    pub fn new(id: SegmentId, bytes: u64, blake3: [u8; 32], partitions: Vec<SegmentPartition>) -> Self {
        Self {
            id,
            bytes,
            blake3,
            partitions: partitions.into(),
        }
    }

    /// What it holds of each partition, sorted by topic number and partition.
    pub fn partitions(&self) -> impl ExactSizeIterator<Item = SegmentPartition> + '_ {
        self.partitions.iter().copied()
    }
}

/// What a segment holds of a partition. The offsets from `first_offset` to `last_offset` overlap those of no other
/// segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct SegmentPartition {
    /// Number of the topic in the backup set.
    pub topic: u32,
    /// Number of the partition.
    pub partition: i32,
    /// Base offset of the first batch.
    pub first_offset: i64,
    /// Last offset of the last batch.
    pub last_offset: i64,
    /// Number of records.
    pub records: u64,
    /// About the lowest timestamp of a record, in milliseconds; a hint, see
    /// [`BlockMeta::min_timestamp`](crate::BlockMeta::min_timestamp).
    pub min_timestamp: i64,
    /// The highest timestamp of a record, in milliseconds.
    pub max_timestamp: i64,
    /// Bytes of the partition's blocks in the segment.
    pub stored_bytes: u64,
    /// Number of the partition's blocks in the segment.
    pub blocks: u32,
}

impl SegmentPartition {
    pub(crate) fn key(&self) -> (u32, i32) {
        (self.topic, self.partition)
    }
}

/// In a manifest it is a list of numbers, in the order of the fields: there are many of them.
type Stored = (u32, i32, i64, i64, u64, i64, i64, u64, u32);

impl From<Stored> for SegmentPartition {
    fn from(stored: Stored) -> Self {
        let (
            topic,
            partition,
            first_offset,
            last_offset,
            records,
            min_timestamp,
            max_timestamp,
            stored_bytes,
            blocks,
        ) = stored;
        Self {
            topic,
            partition,
            first_offset,
            last_offset,
            records,
            min_timestamp,
            max_timestamp,
            stored_bytes,
            blocks,
        }
    }
}

impl From<SegmentPartition> for Stored {
    fn from(piece: SegmentPartition) -> Self {
        (
            piece.topic,
            piece.partition,
            piece.first_offset,
            piece.last_offset,
            piece.records,
            piece.min_timestamp,
            piece.max_timestamp,
            piece.stored_bytes,
            piece.blocks,
        )
    }
}
