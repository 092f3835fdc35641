//! Writing the report.

use std::collections::BTreeMap;
use std::iter;
use std::ops::Range;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::Pairs;
use crate::mapping::{GroupPosition, GroupPositions, OffsetMapping, TopicPartition};
use crate::partition::PartitionMap;
use crate::runs::Run;

impl Serialize for OffsetMapping {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Report {
            mapping: self,
            pairs: Pairs::Runs,
        }
        .serialize(serializer)
    }
}

/// A mapping and the form in which to write it.
pub(super) struct Report<'a> {
    pub(super) mapping: &'a OffsetMapping,
    pub(super) pairs: Pairs,
}

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Every field is named, so that a new one cannot be forgotten here.
        let OffsetMapping {
            entries,
            consumer_groups,
            source_cluster_id,
            created_at,
            backup_id,
            target_cluster_id,
            target_bootstrap_servers,
        } = self.mapping;
        let mut report = serializer.serialize_struct("OffsetMapping", 8)?;
        report.serialize_field("entries", &Entries(entries))?;
        report.serialize_field(
            "detailed_mappings",
            &Details {
                entries,
                pairs: self.pairs,
            },
        )?;
        report.serialize_field("consumer_groups", consumer_groups)?;
        report.serialize_field("source_cluster_id", source_cluster_id)?;
        report.serialize_field("created_at", created_at)?;
        if let Some(backup_id) = backup_id {
            report.serialize_field("backup_id", backup_id)?;
        }
        if let Some(target_cluster_id) = target_cluster_id {
            report.serialize_field("target_cluster_id", target_cluster_id)?;
        }
        if !target_bootstrap_servers.is_empty() {
            report.serialize_field("target_bootstrap_servers", target_bootstrap_servers)?;
        }
        report.end()
    }
}

struct Entries<'a>(&'a BTreeMap<TopicPartition, PartitionMap>);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|(key, map)| (key.to_string(), Entry::of(key, map))),
        )
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    topic: &'a str,
    partition: i32,
    source_first_offset: Option<i64>,
    source_last_offset: Option<i64>,
    target_first_offset: Option<i64>,
    target_last_offset: Option<i64>,
    first_timestamp: Option<i64>,
    last_timestamp: Option<i64>,
    backup_start_offset: i64,
    backup_end_offset: i64,
    gaps: Vec<Gap>,
    target_next_offset: i64,
    records: u64,
}

#[derive(Serialize)]
struct Gap {
    from: i64,
    to: i64,
}

impl<'a> Entry<'a> {
    fn of(key: &'a TopicPartition, map: &PartitionMap) -> Self {
        let coverage = map.coverage();
        let gap = |&Range { start: from, end: to }: &Range<i64>| Gap { from, to };
        Self {
            topic: &key.topic,
            partition: key.partition,
            source_first_offset: map.source_first(),
            source_last_offset: map.source_last(),
            target_first_offset: map.target_first(),
            target_last_offset: map.target_last(),
            first_timestamp: map.first_timestamp(),
            last_timestamp: map.last_timestamp(),
            backup_start_offset: coverage.start,
            backup_end_offset: coverage.end,
            gaps: coverage.gaps.iter().map(gap).collect(),
            target_next_offset: map.target_next(),
            records: map.records(),
        }
    }
}

struct Details<'a> {
    entries: &'a BTreeMap<TopicPartition, PartitionMap>,
    pairs: Pairs,
}

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let details = |map| Detail {
            map,
            pairs: self.pairs,
        };
        serializer.collect_map(
            self.entries
                .iter()
                .map(|(key, map)| (key.to_string(), details(map))),
        )
    }
}

struct Detail<'a> {
    map: &'a PartitionMap,
    pairs: Pairs,
}

impl Serialize for Detail<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.pairs {
            Pairs::Runs => serializer.collect_seq(self.map.runs()),
            Pairs::All => serializer.collect_seq(self.map.runs().flat_map(pairs)),
        }
    }
}

/// A run as runs of one record. Only the first one's timestamp is known.
pub(crate) fn pairs(run: Run) -> impl Iterator<Item = Run> {
    iter::successors(Some(Run { length: 1, ..run }), move |pair| {
        let (source_first, target_first) = (pair.source_first + 1, pair.target_first + 1);
        let more = source_first <= run.source_last();
        more.then_some(Run {
            source_first,
            target_first,
            length: 1,
            first_timestamp: None,
        })
    })
}

impl Serialize for Run {
    /// An element of `detailed_mappings`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_struct("Run", 4)?;
        pair.serialize_field("source_offset", &self.source_first)?;
        pair.serialize_field("target_offset", &self.target_first)?;
        pair.serialize_field("timestamp", &self.first_timestamp)?;
        if self.length != 1 {
            pair.serialize_field("length", &self.length)?;
        }
        pair.end()
    }
}

impl Serialize for GroupPositions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut group = serializer.serialize_struct("GroupPositions", 2)?;
        group.serialize_field("group_id", &self.group_id)?;
        group.serialize_field("offsets", &self.offsets)?;
        group.end()
    }
}

impl Serialize for GroupPosition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut position = serializer.serialize_struct("GroupPosition", 7)?;
        position.serialize_field("source_offset", &self.source_offset)?;
        position.serialize_field("target_offset", &self.target_offset)?;
        position.serialize_field("timestamp", &self.timestamp)?;
        position.serialize_field("resolution", self.resolution.as_str())?;
        if let Some(skipped) = self.resolution.skipped() {
            position.serialize_field("skipped", &skipped)?;
        }
        if let Some(lost) = self.resolution.lost() {
            position.serialize_field("lost", &lost)?;
        }
        position.serialize_field("metadata", &self.metadata)?;
        position.end()
    }
}
