//! What a backup has done, and what it could not do.

use std::fmt;
use std::time::Duration;

use segment_format::BackupSet;
use segment_format::layout;
use segment_format::manifest::GapCause;

use super::undecided::Undecided;

/// What a backup has done. It is complete when there is no trouble in it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BackupReport {
    /// The set.
    pub backup_id: String,
    /// Name of the newest manifest.
    pub manifest: String,
    /// Number of the newest commit.
    pub generation: u64,
    /// Topics in the set.
    pub topics: usize,
    /// Partitions in it, empty ones included.
    pub partitions: usize,
    /// Records in it.
    pub records: u64,
    /// Records of aborted transactions that were left out.
    pub aborted_records: u64,
    /// Consumer groups in it.
    pub groups: usize,
    /// Segments of it.
    pub segments: usize,
    /// Bytes of those segments.
    pub bytes: u64,
    /// Offsets that retention removed before they could be read.
    pub lost_offsets: u64,
    /// What this run has added.
    pub added: Added,
    /// How long reading was held back by `max_bytes_per_second`.
    pub held_back: Duration,
    /// Topics and partitions that could not be read to their ends, and groups whose positions could not be had; sorted.
    /// Everything else is complete.
    pub troubles: Vec<Trouble>,
    /// Partitions whose ends are held back by open transactions. What is before those is in the backup.
    pub undecided: Vec<Undecided>,
}

/// What one run has added to a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    /// Commits.
    pub generations: u64,
    /// Records.
    pub records: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of those segments.
    pub bytes: u64,
}

/// Something that is not in the backup as it is at the source now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Trouble {
    /// The topic; the positions of the consumer groups when `None`.
    pub topic: Option<String>,
    /// The partition; all of the topic when `None`.
    pub partition: Option<i32>,
    /// Why, and what to do.
    pub problem: String,
}

impl Trouble {
    pub(super) fn of_groups(problem: String) -> Self {
        Self {
            topic: None,
            partition: None,
            problem,
        }
    }

    pub(super) fn of_topic(topic: &str, problem: String) -> Self {
        Self {
            topic: Some(topic.to_owned()),
            partition: None,
            problem,
        }
    }

    pub(super) fn of_partition(topic: &str, partition: i32, problem: String) -> Self {
        Self {
            topic: Some(topic.to_owned()),
            partition: Some(partition),
            problem,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.topic, self.partition) {
            (Some(topic), Some(partition)) => write!(f, "{topic}/{partition}: {}", self.problem),
            (Some(topic), None) => write!(f, "{topic}: {}", self.problem),
            (None, _) => write!(f, "consumer groups: {}", self.problem),
        }
    }
}

impl BackupReport {
    pub(super) fn new(set: &BackupSet, added: Added, mut troubles: Vec<Trouble>) -> Self {
        troubles.sort();
        let partitions = || set.topics().flat_map(|topic| &topic.partitions);
        let gaps = partitions()
            .flat_map(|partition| &partition.gaps)
            .filter(|gap| gap.cause == GapCause::Retention);
        Self {
            backup_id: set.backup_id().to_owned(),
            manifest: layout::manifest_name(set.backup_id(), set.generation()),
            generation: set.generation(),
            topics: set.topics().len(),
            partitions: partitions().count(),
            records: partitions().map(|partition| partition.records).sum(),
            aborted_records: partitions().map(|partition| partition.aborted_records).sum(),
            groups: set.groups().len(),
            segments: set.segments().len(),
            bytes: set.segments().iter().map(|segment| segment.bytes).sum(),
            lost_offsets: gaps.map(|gap| (gap.to - gap.from) as u64).sum(),
            added,
            held_back: Duration::ZERO,
            troubles,
            undecided: Vec::new(),
        }
    }
}
