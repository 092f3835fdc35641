//! Segments of a backup set.

use serde::{Deserialize, Serialize};

/// A segment and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Name of the object, relative to the storage's prefix.
    pub object: String,
    /// Bytes of the object.
    pub bytes: u64,
    /// SHA-256 of the object, in 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// What it holds of each partition, sorted by topic name (as bytes) and partition.
    pub partitions: Vec<SegmentPartition>,
}

/// What a segment holds of a partition. The offsets from `first_offset` to `last_offset` overlap those of no other
/// segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentPartition {
    /// Name of the topic.
    pub topic: String,
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
    pub blocks: u64,
}
