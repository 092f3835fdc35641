//! Whether a manifest agrees with itself. Checked when one is written, so that a mistake does not become durable, and
//! when one is read, so that what uses it can rely on it.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::{Gap, Group, Manifest, Partition, Segment, SegmentPartition, Topic};
use crate::checksum::unhex;
use crate::error::{Error, Result};
use crate::layout;

fn inconsistent<T>(place: impl Display, reason: impl Into<String>) -> Result<T> {
    Err(Error::Inconsistent {
        place: place.to_string(),
        reason: reason.into(),
    })
}

fn require(condition: bool, place: impl Display, reason: &str) -> Result<()> {
    if condition {
        Ok(())
    } else {
        inconsistent(place, reason)
    }
}

/// That `keys` ascend, none of them twice.
fn require_sorted<K: PartialOrd>(keys: impl IntoIterator<Item = K>, place: impl Display) -> Result<()> {
    let sorted = keys.into_iter().is_sorted_by(|left, right| left < right);
    require(sorted, place, "the list is not sorted, or names something twice")
}

impl Manifest {
    pub(super) fn validate(&self) -> Result<()> {
        require(!self.backup_id.is_empty(), "backup_id", "it is empty")?;
        require(self.generation > 0, "generation", "it is zero")?;
        require_sorted(self.topics.iter().map(|topic| &topic.name), "topics")?;
        require_sorted(self.groups.iter().map(|group| &group.group_id), "groups")?;
        require_sorted(self.segments.iter().map(|segment| &segment.object), "segments")?;
        self.topics.iter().try_for_each(Topic::validate)?;
        self.groups.iter().try_for_each(Group::validate)?;
        self.segments
            .iter()
            .try_for_each(|segment| segment.validate(&self.backup_id))?;
        self.validate_segments_against_topics()
    }

    /// What the topics say of stored batches is what the segments say.
    fn validate_segments_against_topics(&self) -> Result<()> {
        let mut stored: BTreeMap<(&str, i32), Vec<&SegmentPartition>> = BTreeMap::new();
        for entry in self.segments.iter().flat_map(|segment| &segment.partitions) {
            stored
                .entry((&entry.topic, entry.partition))
                .or_default()
                .push(entry);
        }
        for topic in &self.topics {
            for partition in &topic.partitions {
                let pieces = stored
                    .remove(&(topic.name.as_str(), partition.partition))
                    .unwrap_or_default();
                partition.validate_pieces(&topic.name, pieces)?;
            }
        }
        match stored.first_key_value() {
            None => Ok(()),
            Some(((topic, partition), _)) => inconsistent(
                format!("{topic}-{partition}"),
                "a segment holds it, but no topic lists it",
            ),
        }
    }
}

impl Topic {
    fn validate(&self) -> Result<()> {
        let place = format!("topic {:?}", self.name);
        require(!self.name.is_empty(), &place, "the name is empty")?;
        require_sorted(
            self.partitions.iter().map(|partition| partition.partition),
            &place,
        )?;
        self.partitions
            .iter()
            .try_for_each(|partition| partition.validate(&self.name))
    }
}

impl Partition {
    fn validate(&self, topic: &str) -> Result<()> {
        let place = format!("{topic}-{}", self.partition);
        require(self.partition >= 0, &place, "the partition number is negative")?;
        require(
            self.log_start_offset >= 0,
            &place,
            "the log start offset is negative",
        )?;
        require(
            self.log_start_offset <= self.end_offset,
            &place,
            "the end offset is before the log start offset",
        )?;
        match (self.first_offset, self.last_offset) {
            (None, None) => require(
                self.records == 0,
                &place,
                "it has records but no first and last offset",
            )?,
            (Some(first), Some(last)) => {
                require(
                    0 <= first && first <= last,
                    &place,
                    "the last offset is before the first",
                )?;
                require(
                    last < self.end_offset,
                    &place,
                    "the last offset is not before the end offset",
                )?;
            }
            _ => return inconsistent(place, "it has only one of first and last offset"),
        }
        for Gap { from, to, .. } in &self.gaps {
            require(
                0 <= *from && from < to && *to <= self.end_offset,
                &place,
                "a gap is empty or past the end offset",
            )?;
        }
        let apart = self.gaps.is_sorted_by(|left, right| left.to <= right.from);
        require(apart, &place, "the gaps are not sorted, or overlap")
    }

    /// `pieces` are what the segments hold of this partition.
    fn validate_pieces(&self, topic: &str, mut pieces: Vec<&SegmentPartition>) -> Result<()> {
        let place = format!("{topic}-{}", self.partition);
        pieces.sort_unstable_by_key(|piece| piece.first_offset);
        let apart = pieces.is_sorted_by(|left, right| left.last_offset < right.first_offset);
        require(apart, &place, "segments hold the same offsets twice")?;
        let first = pieces.first().map(|piece| piece.first_offset);
        let last = pieces.last().map(|piece| piece.last_offset);
        let same = self.first_offset == first && self.last_offset == last;
        require(
            same,
            &place,
            "first and last offset are not those of the segments",
        )?;
        let records = pieces
            .iter()
            .try_fold(0u64, |sum, piece| sum.checked_add(piece.records));
        require(
            records == Some(self.records),
            &place,
            "the number of records is not that of the segments",
        )
    }
}

impl Group {
    fn validate(&self) -> Result<()> {
        let place = format!("group {:?}", self.group_id);
        require_sorted(
            self.offsets
                .iter()
                .map(|offset| (&offset.topic, offset.partition)),
            &place,
        )?;
        let valid = self
            .offsets
            .iter()
            .all(|offset| offset.partition >= 0 && offset.offset >= 0);
        require(
            valid,
            &place,
            "a partition number or a committed offset is negative",
        )
    }
}

impl Segment {
    /// The object must be one of this backup set: its name is used to read, and one day to delete.
    fn validate(&self, backup_id: &str) -> Result<()> {
        let place = format!("segment {:?}", self.object);
        let ours = layout::parse_segment_name(&self.object).is_some_and(|name| name.backup_id == backup_id);
        require(ours, &place, "it is not the name of a segment of this backup set")?;
        require(
            unhex::<32>(&self.sha256).is_some(),
            &place,
            "the SHA-256 is not 64 lower-case digits",
        )?;
        require_sorted(
            self.partitions
                .iter()
                .map(|entry| (&entry.topic, entry.partition)),
            &place,
        )?;
        for entry in &self.partitions {
            let place = format!("{place}, {}-{}", entry.topic, entry.partition);
            let ordered = 0 <= entry.first_offset && entry.first_offset <= entry.last_offset;
            require(ordered, &place, "the last offset is before the first")?;
            require(entry.blocks > 0, &place, "it has no block")?;
        }
        let stored = self
            .partitions
            .iter()
            .try_fold(0u64, |sum, entry| sum.checked_add(entry.stored_bytes));
        require(
            stored.is_some_and(|stored| stored < self.bytes),
            &place,
            "its blocks are larger than the object",
        )
    }
}
