//! The mapping of a whole restore: every partition, and where its consumer groups go on.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::PositionProblem;
use crate::partition::PartitionMap;
use crate::translate::{Resolution, Translation};

/// A topic and one of its partitions, ordered by name and then by number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// What a restore did to offsets: the offset mapping report as a value.
///
/// Serialised it is the report's JSON, with a run of records as one element; see [`Pairs`](crate::Pairs) for
/// the form with an element per record. Both are read back to the same value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OffsetMapping {
    /// Every restored partition, also those without a record.
    pub entries: BTreeMap<TopicPartition, PartitionMap>,
    /// The groups of the backup by id, with their positions translated.
    pub consumer_groups: BTreeMap<String, GroupPositions>,
    /// The name of the source cluster.
    pub source_cluster_id: Option<String>,
    /// When the restore ended, in milliseconds since the epoch.
    pub created_at: i64,
    /// The backup that was restored.
    pub backup_id: Option<String>,
    /// Cluster id of the target.
    pub target_cluster_id: Option<String>,
    /// Addresses of the target.
    pub target_bootstrap_servers: Vec<String>,
}

/// The positions of one consumer group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupPositions {
    /// Group id.
    pub group_id: String,
    /// Positions by topic and partition.
    pub offsets: BTreeMap<String, BTreeMap<i32, GroupPosition>>,
}

/// Where a group stood in the source, and where it goes on in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPosition {
    /// The offset committed in the source; `None` when there was none.
    pub source_offset: Option<i64>,
    /// The offset to commit in the target; `None` when there is none, and the resolution says why.
    pub target_offset: Option<i64>,
    /// Timestamp of the record at the position in milliseconds, when known.
    pub timestamp: Option<i64>,
    /// How the target offset came about.
    pub resolution: Resolution,
    /// The string that the group committed with its offset.
    pub metadata: String,
}

/// A committed offset as the backup has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// The committed offset. `None`, or Kafka's -1, when the group has committed none.
    pub offset: Option<i64>,
    /// The string committed with it.
    pub metadata: String,
    /// Timestamp of the record at the offset in milliseconds, when known.
    pub timestamp: Option<i64>,
}

impl OffsetMapping {
    /// A mapping without partitions; `created_at` is in milliseconds since the epoch.
    pub fn new(created_at: i64) -> Self {
        Self {
            created_at,
            ..Self::default()
        }
    }

    /// Number of records mapped.
    pub fn detailed_mapping_count(&self) -> u64 {
        self.entries
            .values()
            .fold(0, |sum, map| sum.saturating_add(map.records()))
    }

    /// Number of runs that map them.
    pub fn run_count(&self) -> usize {
        self.entries.values().map(PartitionMap::run_count).sum()
    }

    /// The mapping of one partition.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionMap> {
        self.entries.get(&TopicPartition::new(topic, partition))
    }

    /// Translates a committed offset; `None` when the partition was not restored.
    pub fn translate(&self, topic: &str, partition: i32, committed: i64) -> Option<Translation> {
        self.partition(topic, partition)
            .map(|map| map.translate(committed))
    }

    /// Adds a group with the offsets that it had committed, each translated by the mapping as it is now: the
    /// partitions come first. A group added twice is replaced; of a partition named twice the last commit
    /// counts.
    ///
    /// Restored partitions of the group's topics in which it has no commit are added as
    /// [`Resolution::NoCommit`]: there the group's consumers will start where `auto.offset.reset` tells them
    /// to, and that is worth knowing.
    pub fn add_group(
        &mut self,
        group_id: impl Into<String>,
        offsets: impl IntoIterator<Item = CommittedOffset>,
    ) {
        let mut group = GroupPositions::new(group_id);
        for committed in offsets {
            let position = self.position(&committed);
            group.insert(committed.topic, committed.partition, position);
        }
        for (topic, partitions) in &mut group.offsets {
            if partitions
                .values()
                .all(|position| position.source_offset.is_none())
            {
                continue;
            }
            let from = TopicPartition::new(topic.as_str(), i32::MIN);
            let same_topic = self
                .entries
                .range(from..)
                .take_while(|(key, _)| key.topic == *topic);
            for (key, _) in same_topic {
                partitions
                    .entry(key.partition)
                    .or_insert_with(GroupPosition::no_commit);
            }
        }
        self.consumer_groups.insert(group.group_id.clone(), group);
    }

    fn position(&self, committed: &CommittedOffset) -> GroupPosition {
        let Some(offset) = committed.offset.filter(|offset| *offset >= 0) else {
            return GroupPosition::no_commit();
        };
        let translation = self.translate(&committed.topic, committed.partition, offset);
        GroupPosition {
            source_offset: Some(offset),
            target_offset: translation.map(|found| found.target_offset),
            timestamp: committed.timestamp,
            resolution: translation.map_or(Resolution::Unmapped, |found| found.resolution),
            metadata: committed.metadata.clone(),
        }
    }
}

impl GroupPositions {
    /// A group without positions.
    pub fn new(group_id: impl Into<String>) -> Self {
        Self {
            group_id: group_id.into(),
            offsets: BTreeMap::new(),
        }
    }

    /// Sets the position in one partition.
    pub fn insert(&mut self, topic: impl Into<String>, partition: i32, position: GroupPosition) {
        self.offsets
            .entry(topic.into())
            .or_default()
            .insert(partition, position);
    }

    /// The position in one partition.
    pub fn get(&self, topic: &str, partition: i32) -> Option<&GroupPosition> {
        self.offsets.get(topic)?.get(&partition)
    }

    /// All positions, in the order of topics and partitions.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32, &GroupPosition)> {
        self.offsets.iter().flat_map(|(topic, partitions)| {
            partitions
                .iter()
                .map(move |(partition, position)| (topic.as_str(), *partition, position))
        })
    }
}

impl GroupPosition {
    /// Whether the resolution goes with the offsets: a target offset where it promises one, and a commit to
    /// translate.
    pub(crate) fn check(&self) -> Result<(), PositionProblem> {
        let has_source = self.resolution != Resolution::NoCommit;
        let has_target = self.resolution.has_target();
        if (self.source_offset.is_some(), self.target_offset.is_some()) == (has_source, has_target) {
            Ok(())
        } else {
            Err(PositionProblem::Resolution(self.resolution.as_str()))
        }
    }

    fn no_commit() -> Self {
        Self {
            source_offset: None,
            target_offset: None,
            timestamp: None,
            resolution: Resolution::NoCommit,
            metadata: String::new(),
        }
    }
}
