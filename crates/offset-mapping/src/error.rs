//! What can go wrong: a run that does not fit, a report that contradicts itself.

use std::error::Error as StdError;

/// Why a mapping could not be built, read or turned into a plan.
///
/// The first group of variants means that what was handed over does not describe an append-only restore; the
/// second that a report must be corrected or made again. Neither kind goes away by trying again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A run is empty, starts below zero, or ends past the largest offset.
    #[error("not a run: {length} records from source offset {source_first} to target offset {target_first}")]
    InvalidRun {
        /// First source offset of the run.
        source_first: i64,
        /// First target offset of the run.
        target_first: i64,
        /// Number of records of the run.
        length: u64,
    },

    /// A run starts at or before a source offset that is already mapped.
    #[error("source offset {found} comes after {mapped}: runs must be in source order and each record once")]
    SourceNotIncreasing {
        /// Last source offset mapped so far.
        mapped: i64,
        /// First source offset of the run that was refused.
        found: i64,
    },

    /// A run starts below the offset at which the restore would write next.
    #[error("target offset {found} lies below {next}, where the restore writes next")]
    TargetNotIncreasing {
        /// Where the restore writes next.
        next: i64,
        /// First target offset of the run that was refused.
        found: i64,
    },

    /// The offsets that a backup covers are negative or end before they start.
    #[error("a backup cannot cover the offsets {start} to {end}")]
    InvalidCoverage {
        /// Log start offset when the backup was made.
        start: i64,
        /// Exclusive end of the backup.
        end: i64,
    },

    /// A gap is negative or ends before it starts.
    #[error("not a gap: offsets {from} to {to}")]
    InvalidGap {
        /// First offset of the gap.
        from: i64,
        /// Exclusive end of the gap.
        to: i64,
    },

    /// The offset at which a restore starts to write is negative.
    #[error("a restore cannot write at offset {0}")]
    InvalidTarget(i64),

    /// An error of one partition.
    // The message has the inner one, because serde keeps of an error no more than its message; so it is no source.
    #[error("{topic}/{partition}: {error}")]
    InPartition {
        /// Topic name.
        topic: String,
        /// Partition number.
        partition: i32,
        /// What is wrong with it.
        error: Box<Error>,
    },

    /// A position of a consumer group has a resolution that does not go with its offsets.
    #[error("consumer group {group:?}, {topic}/{partition}: {problem}")]
    InvalidPosition {
        /// Group id.
        group: String,
        /// Topic name.
        topic: String,
        /// Partition number.
        partition: i32,
        /// What does not fit.
        problem: PositionProblem,
    },

    /// An object of a report has the same key twice.
    #[error("the report has the key {0:?} twice")]
    DuplicateKey(String),

    /// A key of a report does not say what its value says, or is not `topic/partition`.
    #[error("the report's key {key:?} does not match its value, {expected:?}")]
    KeyMismatch {
        /// The key as it stands in the report.
        key: String,
        /// What the value says.
        expected: String,
    },

    /// A report has pairs for a partition that has no entry.
    #[error("the report has detailed mappings for {0:?}, but no entry")]
    PairsWithoutEntry(String),

    /// An entry lacks a value that it needs.
    #[error("the entry says nothing for {0}")]
    MissingField(&'static str),

    /// Two values of an entry contradict each other.
    #[error("the entry says {found} for {field}, but its mappings mean {expected}")]
    Contradiction {
        /// The key that does not fit.
        field: &'static str,
        /// What the rest of the entry means.
        expected: i64,
        /// What it says.
        found: i64,
    },

    /// The pairs of a partition leave out records, and the records that they leave out cannot be derived,
    /// because the partition's source offsets have holes where its target offsets have none.
    #[error(
        "the detailed mappings give {mapped} records and do not cover source offsets {source_first} to \
         {source_last}, and these are not as far apart as target offsets {target_first} to {target_last}"
    )]
    PairsDoNotCover {
        /// Records that the pairs map.
        mapped: u64,
        /// First source offset of the entry.
        source_first: i64,
        /// Last source offset of the entry.
        source_last: i64,
        /// First target offset of the entry.
        target_first: i64,
        /// Last target offset of the entry.
        target_last: i64,
    },

    /// JSON that cannot be read or written; the source of the error has the line and the column.
    #[error("cannot read or write the JSON")]
    Json(#[source] Box<dyn StdError + Send + Sync>),
}

/// What is wrong with the position of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PositionProblem {
    /// The resolution promises a target offset and there is none, or the reverse.
    #[error("the resolution {0:?} does not go with the offsets given")]
    Resolution(&'static str),
    /// The resolution is not one of the known words.
    #[error("unknown resolution {0:?}")]
    UnknownResolution(String),
    /// An offset is negative.
    #[error("negative offset {0}")]
    NegativeOffset(i64),
    /// A position that calls itself translated is not what the mapping translates it to.
    #[error("the target offset is {found}, but the mapping gives {expected}")]
    NotTheMapping {
        /// What the mapping gives.
        expected: i64,
        /// What the position says.
        found: i64,
    },
}

impl Error {
    /// The same error, naming the partition in which it happened.
    #[must_use]
    pub fn in_partition(self, topic: impl Into<String>, partition: i32) -> Self {
        Self::InPartition {
            topic: topic.into(),
            partition,
            error: Box::new(self),
        }
    }

    pub(crate) fn json(error: serde_json::Error) -> Self {
        Self::Json(Box::new(error))
    }
}
