//! What a verification found: a value that is shown as text or as JSON.

use segment_format::BackupSet;
use segment_format::manifest::Gap;
use serde::Serialize;

use super::VerifyOptions;
use super::finding::{Finding, ObjectStatus};
use crate::context::Context;

/// How much of each segment is checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Every byte.
    #[default]
    Full,
    /// That it is there in its size, with header and index whole and as the manifest says; no records.
    Shallow,
}

/// The short answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verdict {
    /// All that was checked is as it was written.
    Good,
    /// Nothing is damaged, and some partitions are not covered as far as the backup wanted to.
    Incomplete,
    /// Objects are damaged or missing.
    Damaged,
    /// Objects could not be read; of those that could, none is damaged.
    Unverified,
}

/// All that a verification has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The backup set.
    pub backup_id: String,
    /// The storage, in words.
    pub place: String,
    /// The short answer.
    pub verdict: Verdict,
    /// The generation that was checked; none when none opens.
    pub generation: Option<u64>,
    /// When it was committed, in milliseconds since 1970 UTC.
    pub created_at: Option<i64>,
    /// Whether the run that committed it had come to its end.
    pub complete: Option<bool>,
    /// Whether no run had come to its end by then: there are no positions of groups, and a restore refuses it unless it is
    /// told to take an incomplete backup. None when no generation opens.
    pub never_complete: Option<bool>,
    /// How much of each segment was checked.
    pub depth: Depth,
    /// Which part of the segments, as `n/m`; all when none.
    pub sample: Option<String>,
    /// Manifests that were read.
    pub manifests: u64,
    /// Segments of the generation.
    pub segments: SegmentCounts,
    /// Record batches that were checked.
    pub batches: u64,
    /// Records that were checked.
    pub records: u64,
    /// Bytes of segments that were read.
    pub bytes_read: u64,
    /// All that is wrong with objects, by name and position.
    pub objects: Vec<Finding>,
    /// Every partition, by topic number and partition number.
    pub partitions: Vec<PartitionReport>,
    /// Positions of groups that are not within what the backup covers.
    pub groups: Vec<GroupPosition>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// How many segments there are, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SegmentCounts {
    /// All that the manifest names.
    pub total: u64,
    /// Those that were looked into.
    pub checked: u64,
    /// Those that are not there.
    pub missing: u64,
    /// Those that are there in their size, and were not looked into.
    pub not_in_sample: u64,
}

/// How a partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PartitionStatus {
    /// All is there.
    Ok,
    /// The source had lost offsets before the backup could read them.
    Gap,
    /// The last run could not cover it as far as it wanted to.
    Trouble,
    /// A segment with some of its records could not be read.
    Unreadable,
    /// Some of its records are in damaged objects.
    Damaged,
    /// Some of its records are in objects that are not there.
    Missing,
}

/// A partition, and what is lost of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PartitionReport {
    /// Name of the topic.
    pub topic: String,
    /// Kafka's id of the topic: a name can be that of several topics, one after the other.
    pub topic_id: String,
    /// Number of the partition.
    pub partition: i32,
    /// The worst that is to be said of it.
    pub status: PartitionStatus,
    /// The first offset that the source had.
    pub log_start_offset: i64,
    /// The first offset that the backup does not cover.
    pub end_offset: i64,
    /// Records that the backup holds, or should hold.
    pub records: u64,
    /// Offsets that the source had lost.
    pub gaps: Vec<Gap>,
    /// Offsets that cannot be restored, and whose fault it is.
    pub lost: Vec<LostRange>,
    /// Why the last run could not cover it as far as it wanted to.
    pub trouble: Option<String>,
}

/// Offsets that cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LostRange {
    /// The first of them.
    pub from: i64,
    /// The first after them.
    pub to: i64,
    /// What is wrong with the object.
    pub status: ObjectStatus,
    /// The object that should hold them.
    pub object: String,
}

/// A position of a group for which a record is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GroupPosition {
    /// The group.
    pub group: String,
    /// Name of the topic.
    pub topic: String,
    /// Number of the partition.
    pub partition: i32,
    /// The committed offset.
    pub offset: i64,
    /// What is with it.
    pub status: PositionStatus,
}

/// Why a position is not within what is covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PositionStatus {
    /// The records next to read had been removed at the source: a restore goes on with the first that is there.
    BeforeStart,
    /// The records next to read are in a gap: a restore goes on behind it.
    InGap,
    /// The group had read further than the backup covers: a restore goes on at its end.
    BeyondEnd,
    /// The backup does not have the partition.
    NotInBackup,
    /// The record next to read is lost by damage.
    Lost,
}

impl VerifyReport {
    pub(super) fn new(context: &Context, backup_id: &str, options: &VerifyOptions) -> Self {
        Self {
            backup_id: backup_id.to_owned(),
            place: context.storage.describe(),
            verdict: Verdict::Good,
            generation: None,
            created_at: None,
            complete: None,
            never_complete: None,
            depth: options.depth,
            sample: options.sample.map(|sample| sample.to_string()),
            manifests: 0,
            segments: SegmentCounts::default(),
            batches: 0,
            records: 0,
            bytes_read: 0,
            objects: Vec::new(),
            partitions: Vec::new(),
            groups: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(super) fn describe(&mut self, set: &BackupSet) {
        let facts = set.facts();
        self.generation = Some(facts.generation);
        self.created_at = Some(facts.created_at);
        self.complete = Some(facts.complete);
        self.never_complete = Some(facts.groups_captured_at.is_none());
    }

    /// Sorts what was found, and gives the verdict.
    pub(super) fn conclude(&mut self) {
        self.objects
            .sort_by(|a, b| (&a.object, a.position, &a.problem).cmp(&(&b.object, b.position, &b.problem)));
        let unreadable = |finding: &Finding| finding.status == ObjectStatus::Unreadable;
        let trouble = self.partitions.iter().any(|p| p.trouble.is_some());
        self.verdict = match self.objects.first() {
            Some(_) if self.objects.iter().all(unreadable) => Verdict::Unverified,
            Some(_) => Verdict::Damaged,
            None if trouble => Verdict::Incomplete,
            None => Verdict::Good,
        };
    }
}
