//! Reading the report: from this crate, or from any tool that writes the documented keys.
//!
//! Pairs are packed into runs while they are read. A key that may be missing is taken to say the least: without
//! `backup_start_offset` the backup starts at its first record, without `resolution` a position that the mapping does
//! not confirm is approximate.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};

use super::unique;
use crate::coverage::Coverage;
use crate::error::{Error, PositionProblem};
use crate::mapping::{GroupPosition, GroupPositions, OffsetMapping, TopicPartition};
use crate::partition::PartitionMap;
use crate::runs::{Run, Runs};
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
struct Entry {
    topic: String,
    partition: i32,
    source_first_offset: Option<i64>,
    source_last_offset: Option<i64>,
    target_first_offset: Option<i64>,
    target_last_offset: Option<i64>,
    first_timestamp: Option<i64>,
    last_timestamp: Option<i64>,
    backup_start_offset: Option<i64>,
    backup_end_offset: Option<i64>,
    #[serde(default)]
    gaps: Vec<Gap>,
    target_next_offset: Option<i64>,
    records: Option<u64>,
}

#[derive(serde::Deserialize)]
struct Gap {
    from: i64,
    to: i64,
}

/// First and last offsets of an entry that has records.
struct Span {
    source_first: i64,
    source_last: i64,
    target_first: i64,
    target_last: i64,
}

impl Entry {
    fn into_map(self, pairs: Runs) -> Result<PartitionMap, Error> {
        let span = self.span()?;
        let coverage = self.coverage(span.as_ref())?;
        let target_next = match &span {
            Some(span) => span.target_first,
            None => self
                .target_next_offset
                .ok_or(Error::MissingField("target_next_offset"))?,
        };
        let mut map = PartitionMap::new(coverage.clone(), target_next)?;
        match span {
            Some(span) => {
                for run in self.runs(&span, pairs)?.iter() {
                    map.push(run)?;
                }
                agree("backup_start_offset", map.coverage().start, coverage.start)?;
                agree("backup_end_offset", map.coverage().end, coverage.end)?;
            }
            None => agree("records", 0, i64::try_from(pairs.records()).unwrap_or(i64::MAX))?,
        }
        let records = i64::try_from(map.records()).unwrap_or(i64::MAX);
        agree(
            "records",
            records,
            self.records
                .map_or(records, |found| i64::try_from(found).unwrap_or(-1)),
        )?;
        agree(
            "target_next_offset",
            map.target_next(),
            self.target_next_offset.unwrap_or(map.target_next()),
        )?;
        map.set_last_timestamp(self.last_timestamp);
        Ok(map)
    }

    /// The four offsets: all, or none for a partition without records.
    fn span(&self) -> Result<Option<Span>, Error> {
        let offsets = [
            ("source_first_offset", self.source_first_offset),
            ("source_last_offset", self.source_last_offset),
            ("target_first_offset", self.target_first_offset),
            ("target_last_offset", self.target_last_offset),
        ];
        if offsets.iter().all(|(_, offset)| offset.is_none()) {
            return Ok(None);
        }
        let [source_first, source_last, target_first, target_last] =
            offsets.map(|(field, offset)| offset.ok_or(Error::MissingField(field)));
        Ok(Some(Span {
            source_first: source_first?,
            source_last: source_last?,
            target_first: target_first?,
            target_last: target_last?,
        }))
    }

    fn coverage(&self, span: Option<&Span>) -> Result<Coverage, Error> {
        let first = span.map(|span| span.source_first);
        let after_last = span.map(|span| span.source_last.saturating_add(1));
        Ok(Coverage {
            start: self
                .backup_start_offset
                .or(first)
                .ok_or(Error::MissingField("backup_start_offset"))?,
            end: self
                .backup_end_offset
                .or(after_last)
                .ok_or(Error::MissingField("backup_end_offset"))?,
            gaps: self.gaps.iter().map(|gap| gap.from..gap.to).collect(),
        })
    }

    /// The runs of an entry: its pairs, when they are all of its records. Otherwise they are examples, and then the
    /// entry itself must leave no choice: as many offsets in the source as in the target are one run.
    fn runs(&self, span: &Span, pairs: Runs) -> Result<Runs, Error> {
        if span.covered_by(&pairs, self.records) {
            return Ok(pairs);
        }
        let run = Run {
            source_first: span.source_first,
            target_first: span.target_first,
            length: span.source_last.abs_diff(span.source_first).saturating_add(1),
            first_timestamp: self.first_timestamp,
        };
        let ordered = span.source_first <= span.source_last && span.target_first <= span.target_last;
        let same_length =
            span.target_first.abs_diff(span.target_last) == span.source_first.abs_diff(span.source_last);
        let complete = self.records.is_none_or(|records| records == run.length);
        if !(ordered && same_length && complete && pairs.iter().all(|pair| lies_in(&pair, &run))) {
            let Span {
                source_first,
                source_last,
                target_first,
                target_last,
            } = *span;
            let mapped = pairs.records();
            return Err(Error::PairsDoNotCover {
                mapped,
                source_first,
                source_last,
                target_first,
                target_last,
            });
        }
        let mut runs = Runs::default();
        runs.push(run)?;
        Ok(runs)
    }
}

impl Span {
    /// Whether pairs are all records of the entry. When the entry does not say how many it has, it has as many as
    /// target offsets, because a restore leaves no holes.
    fn covered_by(&self, pairs: &Runs, records: Option<u64>) -> bool {
        let (Some(first), Some(last)) = (pairs.first(), pairs.last()) else {
            return false;
        };
        let dense = self.target_last.abs_diff(self.target_first).saturating_add(1);
        first.source_first == self.source_first
            && first.target_first == self.target_first
            && last.source_last() == self.source_last
            && last.target_last() == self.target_last
            && records.unwrap_or(dense) == pairs.records()
    }
}

fn lies_in(pair: &Run, run: &Run) -> bool {
    pair.source_first >= run.source_first
        && pair.source_last() <= run.source_last()
        && pair.source_first.abs_diff(run.source_first) == pair.target_first.abs_diff(run.target_first)
        && pair.target_first >= run.target_first
}

fn agree(field: &'static str, expected: i64, found: i64) -> Result<(), Error> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::Contradiction {
            field,
            expected,
            found,
        })
    }
}

/// The pairs of one partition. What is wrong with them is kept until the partition's name is at hand.
struct Pairs(Result<Runs, Error>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Packing;

        impl<'de> Visitor<'de> for Packing {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of offset pairs")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Pairs, A::Error> {
                let mut runs = Ok(Runs::default());
                while let Some(run) = access.next_element::<Run>()? {
                    runs = runs.and_then(|mut runs: Runs| runs.push(run).map(|()| runs));
                }
                Ok(Pairs(runs))
            }
        }

        deserializer.deserialize_seq(Packing)
    }
}

impl<'de> Deserialize<'de> for Run {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Pair {
            source_offset: i64,
            target_offset: i64,
            timestamp: Option<i64>,
            length: Option<u64>,
        }

        let pair = Pair::deserialize(deserializer)?;
        Ok(Self {
            source_first: pair.source_offset,
            target_first: pair.target_offset,
            length: pair.length.unwrap_or(1),
            first_timestamp: pair.timestamp,
        })
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
