//! Reading the report: from this crate, or from any tool that writes the documented keys.
//!
//! Pairs are packed into runs while they are read. A key that may be missing is taken to say the least:
//! without `backup_start_offset` the backup starts at its first record, without `resolution` a position that
//! the mapping does not confirm is approximate.

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, Error as _};

use super::entry::{Entry, Pairs};
use super::unique;
use crate::error::{Error, PositionProblem};
use crate::mapping::{GroupPosition, GroupPositions, OffsetMapping, TopicPartition};
use crate::partition::PartitionMap;
use crate::runs::Runs;
use crate::translate::Resolution;

impl<'de> Deserialize<'de> for OffsetMapping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ReportKeys::deserialize(deserializer)?
            .into_mapping()
            .map_err(D::Error::custom)
    }
}

#[derive(serde::Deserialize)]
struct ReportKeys {
    #[serde(deserialize_with = "unique::map")]
    entries: BTreeMap<String, Entry>,
    #[serde(default, deserialize_with = "unique::map")]
    detailed_mappings: BTreeMap<String, Pairs>,
    #[serde(default, deserialize_with = "unique::map")]
    consumer_groups: BTreeMap<String, Group>,
    source_cluster_id: Option<String>,
    created_at: i64,
    backup_id: Option<String>,
    target_cluster_id: Option<String>,
    #[serde(default)]
    target_bootstrap_servers: Vec<String>,
}

impl ReportKeys {
    fn into_mapping(mut self) -> Result<OffsetMapping, Error> {
        let mut mapping = OffsetMapping {
            source_cluster_id: self.source_cluster_id,
            created_at: self.created_at,
            backup_id: self.backup_id,
            target_cluster_id: self.target_cluster_id,
            target_bootstrap_servers: self.target_bootstrap_servers,
            ..OffsetMapping::default()
        };
        for (key, entry) in self.entries {
            let named = TopicPartition::new(entry.topic.as_str(), entry.partition);
            if entry.partition < 0 || key != named.to_string() {
                return Err(Error::KeyMismatch {
                    key,
                    expected: named.to_string(),
                });
            }
            let runs = self
                .detailed_mappings
                .remove(&key)
                .map_or(Ok(Runs::default()), |pairs| pairs.0);
            let map = runs.and_then(|runs| entry.into_map(runs));
            let map = map.map_err(|error| error.in_partition(named.topic.as_str(), named.partition))?;
            mapping.entries.insert(named, map);
        }
        if let Some((key, _)) = self.detailed_mappings.pop_first() {
            return Err(Error::PairsWithoutEntry(key));
        }
        for (key, group) in self.consumer_groups {
            if key != group.group_id {
                return Err(Error::KeyMismatch {
                    key,
                    expected: group.group_id,
                });
            }
            let group = group.into_positions(&mapping)?;
            mapping.consumer_groups.insert(key, group);
        }
        Ok(mapping)
    }
}

#[derive(serde::Deserialize)]
struct Group {
    group_id: String,
    offsets: BTreeMap<String, BTreeMap<i32, Position>>,
}

#[derive(serde::Deserialize)]
struct Position {
    source_offset: Option<i64>,
    target_offset: Option<i64>,
    timestamp: Option<i64>,
    resolution: Option<String>,
    skipped: Option<u64>,
    lost: Option<u64>,
    #[serde(default)]
    metadata: String,
}

impl Group {
    fn into_positions(self, mapping: &OffsetMapping) -> Result<GroupPositions, Error> {
        let Self { group_id, offsets } = self;
        let mut group = GroupPositions::new(group_id.as_str());
        for (topic, partitions) in offsets {
            for (partition, position) in partitions {
                let position = position
                    .check(mapping.partition(&topic, partition))
                    .map_err(|problem| {
                        let (group, topic) = (group_id.clone(), topic.clone());
                        Error::InvalidPosition {
                            group,
                            topic,
                            partition,
                            problem,
                        }
                    })?;
                group.insert(topic.as_str(), partition, position);
            }
        }
        Ok(group)
    }
}

impl Position {
    fn check(self, map: Option<&PartitionMap>) -> Result<GroupPosition, PositionProblem> {
        if let Some(&negative) = self
            .source_offset
            .iter()
            .chain(&self.target_offset)
            .find(|offset| **offset < 0)
        {
            return Err(PositionProblem::NegativeOffset(negative));
        }
        let translation = self
            .source_offset
            .and_then(|source| map.map(|map| map.translate(source)));
        let resolution = match (&self.resolution, self.source_offset, self.target_offset) {
            (Some(word), ..) => Resolution::from_parts(word, self.skipped, self.lost)?,
            (None, None, _) => Resolution::NoCommit,
            (None, Some(_), None) => Resolution::Unmapped,
            (None, Some(_), Some(target)) => match translation {
                Some(translation) if translation.target_offset == target => translation.resolution,
                _ => Resolution::Approximate,
            },
        };
        let position = GroupPosition {
            source_offset: self.source_offset,
            target_offset: self.target_offset,
            timestamp: self.timestamp,
            resolution,
            metadata: self.metadata,
        };
        position.check()?;
        match (translation, position.target_offset) {
            (Some(translation), Some(found))
                if resolution != Resolution::Approximate && translation.target_offset != found =>
            {
                Err(PositionProblem::NotTheMapping {
                    expected: translation.target_offset,
                    found,
                })
            }
            _ => Ok(position),
        }
    }
}
