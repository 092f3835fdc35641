//! Topics and partitions of a backup set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::partition::TopicId;

/// A topic as the backup last saw it, and what the backup set holds of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Name of the topic.
    pub name: String,
    /// Kafka's identity of the topic; all zero when the cluster has none.
    pub topic_id: TopicId,
    /// Number of replicas of each partition.
    pub replication_factor: i16,
    /// The topic's settings that are not the cluster's defaults.
    pub configs: BTreeMap<String, String>,
    /// What the timestamps of its records mean; none when the writer did not ask.
    pub timestamp_type: Option<TimestampType>,
    /// Bytes of the largest stored batch: what a restored topic's `max.message.bytes` must allow.
    pub largest_batch: u64,
    /// The partitions, sorted by number.
    pub partitions: Vec<Partition>,
}

impl Topic {
    /// The partition of this number.
    pub fn partition(&self, partition: i32) -> Option<&Partition> {
        let found = self
            .partitions
            .binary_search_by_key(&partition, |entry| entry.partition)
            .ok()?;
        self.partitions.get(found)
    }
}

/// A partition, and what the backup set holds of it. It is covered from `log_start_offset` (or from a gap's end) up to
/// `end_offset`: an offset in between that no record has was not lost by the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Number of the partition.
    pub partition: i32,
    /// The first offset that the source had when the backup set began.
    pub log_start_offset: i64,
    /// The last stable offset of the source that the backup read up to: the first offset that it does not cover.
    pub end_offset: i64,
    /// Base offset of the first stored batch; none when no batch is stored.
    pub first_offset: Option<i64>,
    /// Last offset of the last stored batch; none when no batch is stored.
    pub last_offset: Option<i64>,
    /// Leader epoch of the batch that ends right before `end_offset`, stored or left out: a backup that continues checks it,
    /// to find that the source lost records in an unclean leader election. None when it is not known, as when the batch
    /// has no epoch, or compaction has removed it.
    pub last_leader_epoch: Option<i32>,
    /// Number of records in the stored batches.
    pub records: u64,
    /// Records of aborted transactions that were left out.
    pub aborted_records: u64,
    /// Batches of transaction markers that were left out.
    pub control_batches: u64,
    /// Offsets that the source no longer had when the backup wanted to read them, sorted.
    pub gaps: Vec<Gap>,
    /// Why the last run could not cover the partition up to the end that it wanted; none when it could.
    pub trouble: Option<String>,
    /// Whether the source could not be asked yet where the partition starts. Then nothing of it is covered,
    /// `log_start_offset` says nothing, and a later commit says where it starts, once and for good. In a manifest it is there
    /// only when it is true.
    #[serde(default, skip_serializing_if = "is_false")]
    pub start_unknown: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Partition {
    /// A partition of which nothing is covered yet: the first record to store is the one at `start`, or after it.
    pub fn empty(partition: i32, start: i64) -> Self {
        Self {
            partition,
            log_start_offset: start,
            end_offset: start,
            first_offset: None,
            last_offset: None,
            last_leader_epoch: None,
            records: 0,
            aborted_records: 0,
            control_batches: 0,
            gaps: Vec::new(),
            trouble: None,
            start_unknown: false,
        }
    }

    /// A partition that there is, and of which nobody could say yet where it starts.
    pub fn unknown(partition: i32) -> Self {
        Self {
            start_unknown: true,
            ..Self::empty(partition, 0)
        }
    }
}

/// Offsets that the backup set does not hold, although they are between its start and its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first offset that is missing.
    pub from: i64,
    /// The first offset that is not missing any more.
    pub to: i64,
    /// Why they are missing.
    pub cause: GapCause,
}

/// What the timestamps of a topic's records mean.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum TimestampType {
    /// The time that the producer gave the record.
    CreateTime,
    /// The time at which the broker appended the batch.
    LogAppendTime,
    /// Another word of the broker.
    Other(String),
}

impl From<String> for TimestampType {
    fn from(name: String) -> Self {
        match name.as_str() {
            "CreateTime" => TimestampType::CreateTime,
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::Other(name),
        }
    }
}

impl From<TimestampType> for String {
    fn from(kind: TimestampType) -> Self {
        match kind {
            TimestampType::CreateTime => "CreateTime".to_owned(),
            TimestampType::LogAppendTime => "LogAppendTime".to_owned(),
            TimestampType::Other(name) => name,
        }
    }
}

/// Why offsets are missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum GapCause {
    /// Retention, or a request to delete records, moved the log start offset past them before they were read.
    Retention,
    /// A cause that another version of the program named.
    Other(String),
}

impl From<String> for GapCause {
    fn from(name: String) -> Self {
        if name == "retention" {
            GapCause::Retention
        } else {
            GapCause::Other(name)
        }
    }
}

impl From<GapCause> for String {
    fn from(cause: GapCause) -> Self {
        match cause {
            GapCause::Retention => "retention".to_owned(),
            GapCause::Other(name) => name,
        }
    }
}

impl std::fmt::Display for GapCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GapCause::Retention => f.write_str("retention"),
            GapCause::Other(name) => f.write_str(name),
        }
    }
}
