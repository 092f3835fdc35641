//! Whether a manifest can be one, as far as that can be seen without its layers. Checked when one is written, so that a
//! mistake does not become durable, and when one is read, so that what uses it can rely on it.

use std::fmt::Display;

use super::{
    Changes, Facts, Gap, GroupChange, LayerRef, MAX_LAYERS, Manifest, Partition, PartitionChange, Segment,
    SegmentPartition, TopicChange,
};
use crate::error::{Error, Result};
use crate::partition::MAX_TOPIC_LEN;

pub(crate) fn inconsistent<T>(place: impl Display, reason: impl Into<String>) -> Result<T> {
    Err(Error::Inconsistent {
        place: place.to_string(),
        reason: reason.into(),
    })
}

pub(super) fn require(condition: bool, place: impl Display, reason: &str) -> Result<()> {
    if condition {
        Ok(())
    } else {
        inconsistent(place, reason)
    }
}

/// That `keys` ascend, none of them twice.
pub(crate) fn require_sorted<K: PartialOrd>(
    keys: impl IntoIterator<Item = K>,
    place: impl Display,
) -> Result<()> {
    let sorted = keys.into_iter().is_sorted_by(|left, right| left < right);
    require(sorted, place, "the list is not sorted, or names something twice")
}

impl Manifest {
    pub(super) fn check(&self) -> Result<()> {
        check_head(&self.facts, &self.layers)?;
        self.changes.check()
    }
}

/// What precedes the changes.
pub(super) fn check_head(facts: &Facts, layers: &[LayerRef]) -> Result<()> {
    require(!facts.backup_id.is_empty(), "backup_id", "it is empty")?;
    require(facts.generation > 0, "generation", "it is zero")?;
    require(layers.len() <= MAX_LAYERS, "layers", "there are too many")?;
    require_sorted(layers.iter().map(|layer| layer.generation), "layers")?;
    let earlier = layers
        .iter()
        .all(|layer| layer.generation > 0 && layer.generation < facts.generation);
    require(earlier, "layers", "a layer is not of an earlier generation")
}

impl Changes {
    pub(super) fn check(&self) -> Result<()> {
        require_sorted(self.topics.iter().map(|topic| topic.number), "topics")?;
        require_sorted(self.partitions.iter().map(PartitionChange::key), "partitions")?;
        require_sorted(&self.removed_groups, "removed_groups")?;
        require_sorted(self.groups.iter().map(|group| &group.group_id), "groups")?;
        require_sorted(self.segments.iter().map(|segment| segment.id), "segments")?;
        self.topics.iter().try_for_each(TopicChange::check)?;
        self.partitions.iter().try_for_each(PartitionChange::check)?;
        self.groups.iter().try_for_each(GroupChange::check)?;
        self.segments.iter().try_for_each(Segment::check)
    }
}

impl TopicChange {
    fn check(&self) -> Result<()> {
        let place = format!("topic {} {:?}", self.number, self.name);
        require(self.number > 0, &place, "the number is zero")?;
        require(!self.name.is_empty(), &place, "the name is empty")?;
        require(
            self.name.len() <= MAX_TOPIC_LEN,
            &place,
            "the name is longer than 249 bytes",
        )
    }
}

impl PartitionChange {
    fn check(&self) -> Result<()> {
        self.state.check(&format!(
            "partition {} of topic {}",
            self.state.partition, self.topic
        ))
    }
}

impl Partition {
    fn check(&self, place: &str) -> Result<()> {
        require(self.partition >= 0, place, "the partition number is negative")?;
        require(
            self.log_start_offset >= 0,
            place,
            "the log start offset is negative",
        )?;
        require(
            self.log_start_offset <= self.end_offset,
            place,
            "the end offset is before the log start offset",
        )?;
        match (self.first_offset, self.last_offset) {
            (None, None) => require(
                self.records == 0,
                place,
                "it has records but no first and last offset",
            )?,
            (Some(first), Some(last)) => {
                require(
                    0 <= first && first <= last,
                    place,
                    "the last offset is before the first",
                )?;
                require(
                    last < self.end_offset,
                    place,
                    "the last offset is not before the end offset",
                )?;
            }
            _ => return inconsistent(place, "it has only one of first and last offset"),
        }
        self.check_gaps(place)?;
        let nothing = Self {
            trouble: self.trouble.clone(),
            start_unknown: true,
            ..Self::empty(self.partition, self.log_start_offset)
        };
        require(
            !self.start_unknown || *self == nothing,
            place,
            "something is covered, but where it starts is not known",
        )
    }

    fn check_gaps(&self, place: &str) -> Result<()> {
        for Gap { from, to, .. } in &self.gaps {
            require(
                0 <= *from && from < to && *to <= self.end_offset,
                place,
                "a gap is empty or past the end offset",
            )?;
        }
        let apart = self.gaps.is_sorted_by(|left, right| left.to <= right.from);
        require(apart, place, "the gaps are not sorted, or overlap")
    }
}

impl GroupChange {
    fn check(&self) -> Result<()> {
        let place = format!("group {:?}", self.group_id);
        require_sorted(self.offsets.iter().map(|offset| offset.key()), &place)?;
        require_sorted(&self.gone, &place)?;
        let valid = self
            .offsets
            .iter()
            .all(|offset| offset.partition >= 0 && offset.offset >= 0);
        require(
            valid,
            &place,
            "a partition number or a committed offset is negative",
        )?;
        let both = self.gone.iter().find(|gone| {
            self.offsets
                .binary_search_by(|offset| offset.key().cmp(&(gone.topic.as_str(), gone.partition)))
                .is_ok()
        });
        match both {
            None => Ok(()),
            Some(both) => inconsistent(
                place,
                format!(
                    "the position of {}-{} is there and gone",
                    both.topic, both.partition
                ),
            ),
        }
    }
}

impl Segment {
    fn check(&self) -> Result<()> {
        let place = format!("segment {}", self.id);
        require(self.partitions().len() > 0, &place, "it holds no partition")?;
        require_sorted(self.partitions().map(|piece| piece.key()), &place)?;
        let mut stored = 0u64;
        for piece in self.partitions() {
            piece.check(&place)?;
            stored = stored.saturating_add(piece.stored_bytes);
        }
        require(
            stored < self.bytes,
            &place,
            "its blocks are larger than the object",
        )
    }
}

impl SegmentPartition {
    fn check(&self, segment: &str) -> Result<()> {
        let place = || format!("{segment}, partition {} of topic {}", self.partition, self.topic);
        if self.first_offset < 0 || self.first_offset > self.last_offset {
            return inconsistent(place(), "the last offset is before the first");
        }
        if self.blocks == 0 {
            return inconsistent(place(), "it has no block");
        }
        Ok(())
    }
}
