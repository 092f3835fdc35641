//! One thing that is wrong with one object.

use segment_format::manifest::{Segment, SegmentPartition};
use serde::Serialize;

use crate::error::chain;
use crate::storage::StorageError;

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ObjectStatus {
    /// It is not what was written.
    Damaged,
    /// It is not there.
    Missing,
    /// The storage did not give it, so that nothing is known of it.
    Unreadable,
}

/// One thing that is wrong with one object, and what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Name of the object.
    pub object: String,
    /// What is wrong.
    pub status: ObjectStatus,
    /// Where in the object, in bytes from its start; none when it is the object as a whole.
    pub position: Option<u64>,
    /// What is wrong, in words.
    pub problem: String,
    /// Which offsets cannot be restored for it.
    #[serde(skip)]
    pub(super) affects: Vec<AffectedRange>,
}

/// Offsets that are hit: from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AffectedRange {
    /// Number of the topic in the backup set.
    pub(super) topic: u32,
    pub(super) partition: i32,
    pub(super) first: i64,
    pub(super) last: i64,
}

impl From<SegmentPartition> for AffectedRange {
    fn from(piece: SegmentPartition) -> Self {
        Self {
            topic: piece.topic,
            partition: piece.partition,
            first: piece.first_offset,
            last: piece.last_offset,
        }
    }
}

impl Finding {
    pub(super) fn new(object: impl Into<String>, status: ObjectStatus, problem: impl Into<String>) -> Self {
        Self {
            object: object.into(),
            status,
            position: None,
            problem: problem.into(),
            affects: Vec::new(),
        }
    }

    pub(super) fn missing(object: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::new(object, ObjectStatus::Missing, problem)
    }

    pub(super) fn damaged(
        object: impl Into<String>,
        position: Option<u64>,
        problem: impl Into<String>,
    ) -> Self {
        Self {
            position,
            ..Self::new(object, ObjectStatus::Damaged, problem)
        }
    }

    /// What the format says of bytes that are not what they should be.
    pub(super) fn of_format(object: &str, error: &segment_format::Error) -> Self {
        Self::damaged(object, position(error), chain(error))
    }

    /// What the storage says of an object that it should have.
    pub(super) fn of_storage(object: &str, error: &StorageError) -> Self {
        let status = match error {
            StorageError::NotFound { .. } => ObjectStatus::Missing,
            StorageError::Short { .. } | StorageError::TooLarge { .. } => ObjectStatus::Damaged,
            _ => ObjectStatus::Unreadable,
        };
        Self::new(object, status, chain(error))
    }

    /// The same, at this place when the error has not said a closer one.
    pub(super) fn at(mut self, position: u64) -> Self {
        self.position = self.position.or(Some(position));
        self
    }

    /// The same, hitting all that the segment holds.
    pub(super) fn of_segment(mut self, segment: &Segment) -> Self {
        self.affects = segment.partitions().map(AffectedRange::from).collect();
        self
    }

    /// The same, hitting these offsets.
    pub(super) fn hitting(mut self, range: Option<AffectedRange>) -> Self {
        self.affects.extend(range);
        self
    }
}

/// Where the damage is, as far as the error says it.
fn position(error: &segment_format::Error) -> Option<u64> {
    use segment_format::Error;
    match error {
        Error::Truncated { position, .. }
        | Error::BadMagic { position, .. }
        | Error::Checksum { position, .. }
        | Error::PayloadChecksum { position, .. }
        | Error::Invalid { position, .. }
        | Error::BlockMismatch { position, .. }
        | Error::Decompress { position, .. } => Some(*position),
        _ => None,
    }
}
