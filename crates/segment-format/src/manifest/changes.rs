//! What one manifest adds to its layers, or says anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{GroupKind, GroupOffset, Partition, Segment, TimestampType, Topic};
use crate::partition::TopicId;

/// Changes of a backup set. All lists are sorted and name nothing twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Topics that are new, or whose own facts (without partitions) are others now; by number.
    pub topics: Vec<TopicChange>,
    /// Partitions that are new, or of which anything is different now; by topic number and partition.
    pub partitions: Vec<PartitionChange>,
    /// Groups that are gone, by id (as bytes). They go before those of `groups` come, so that a group that was deleted and
    /// made anew is in both lists.
    pub removed_groups: Vec<String>,
    /// Groups that are new, or of which anything is different now; by id (as bytes).
    pub groups: Vec<GroupChange>,
    /// Segments that are new, by their ids.
    pub segments: Vec<Segment>,
}

/// A topic's own facts, as they are now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicChange {
    /// Number of the topic in the backup set: 1 for the first, and one more for each new pair of name and topic id.
    pub number: u32,
    /// Name of the topic; never another one for the same number.
    pub name: String,
    /// Kafka's identity of the topic; never another one for the same number.
    pub topic_id: TopicId,
    /// See [`Topic::replication_factor`].
    pub replication_factor: i16,
    /// See [`Topic::configs`].
    pub configs: BTreeMap<String, String>,
    /// See [`Topic::timestamp_type`].
    pub timestamp_type: Option<TimestampType>,
    /// See [`Topic::largest_batch`].
    pub largest_batch: u64,
}

impl TopicChange {
    /// The facts of `topic`, without its partitions.
    pub(crate) fn new(number: u32, topic: &Topic) -> Self {
        Self {
            number,
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            replication_factor: topic.replication_factor,
            configs: topic.configs.clone(),
            timestamp_type: topic.timestamp_type.clone(),
            largest_batch: topic.largest_batch,
        }
    }
}

/// The whole state of a partition, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionChange {
    /// Number of its topic in the backup set.
    pub topic: u32,
    /// Its state.
    #[serde(flatten)]
    pub state: Partition,
}

impl PartitionChange {
    pub(crate) fn key(&self) -> (u32, i32) {
        (self.topic, self.state.partition)
    }
}

/// What is different in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChange {
    /// Id of the group.
    pub group_id: String,
    /// See [`Group::kind`](super::Group::kind).
    pub kind: GroupKind,
    /// See [`Group::state`](super::Group::state).
    pub state: String,
    /// See [`Group::protocol_type`](super::Group::protocol_type).
    pub protocol_type: String,
    /// Positions that are new or have moved, by topic name (as bytes) and partition.
    pub offsets: Vec<GroupOffset>,
    /// Positions that are no longer there, in the same order; none of `offsets`.
    pub gone: Vec<Position>,
}

/// A partition that a group had a committed offset for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Name of the topic.
    pub topic: String,
    /// Number of the partition.
    pub partition: i32,
}

impl Changes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries() == 0
    }

    /// How many things they name: what storing them costs, about, wherever they come from.
    pub fn entries(&self) -> u64 {
        let positions: usize = self
            .groups
            .iter()
            .map(|group| 1 + group.offsets.len() + group.gone.len())
            .sum();
        let pieces: usize = self.segments.iter().map(|s| 1 + s.partitions().len()).sum();
        (self.topics.len() + self.partitions.len() + self.removed_groups.len() + positions + pieces) as u64
    }
}
