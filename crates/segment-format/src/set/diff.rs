//! What a commit changes of a backup set.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::error::Result;
use crate::manifest::{
    Changes, Group, GroupChange, GroupOffset, PartitionChange, Position, Segment, SegmentPartition, Topic,
    TopicChange, inconsistent, require_sorted,
};
use crate::partition::TopicId;
use crate::writer::PartitionSummary;

use super::{BackupSet, NewSegment};

impl BackupSet {
    /// Changes that make the set's topics (those that are given) and groups what they are given as, with more segments.
    pub(super) fn diff(
        &self,
        topics: Vec<Topic>,
        groups: Option<&[Group]>,
        segments: &[NewSegment],
    ) -> Result<Changes> {
        let mut changes = Changes::default();
        let new_numbers = self.diff_topics(topics, &mut changes)?;
        match groups {
            Some(groups) => self.diff_groups(groups, &mut changes)?,
            None => self.drop_positions_on_replaced(&mut changes),
        }
        for segment in segments {
            let number = |piece: &PartitionSummary| self.number_of(piece, &new_numbers);
            changes.segments.push(stored(segment, number)?);
        }
        changes.segments.sort_unstable_by_key(|segment| segment.id);
        Ok(changes)
    }

    /// Returns the numbers of topics that are new.
    fn diff_topics(
        &self,
        topics: Vec<Topic>,
        changes: &mut Changes,
    ) -> Result<HashMap<(Arc<str>, TopicId), u32>> {
        let mut new_numbers = HashMap::new();
        let mut partitions = BTreeMap::new();
        let mut facts = BTreeMap::new();
        let mut next = self.topics.len() as u32;
        for topic in topics {
            let known = self.incarnation_number(&topic.name, topic.topic_id);
            let number = known.unwrap_or_else(|| {
                next += 1;
                next
            });
            if known.is_none() {
                let key = (Arc::from(topic.name.as_str()), topic.topic_id);
                if new_numbers.insert(key, number).is_some() {
                    return inconsistent(format!("topic {:?}", topic.name), "it is given twice");
                }
            }
            let before = self.incarnation(number);
            let change = TopicChange::new(number, &topic);
            if before.is_none_or(|before| TopicChange::new(number, before) != change) {
                facts.insert(number, change);
            }
            for state in topic.partitions {
                if before.and_then(|before| before.partition(state.partition)) == Some(&state) {
                    continue;
                }
                let change = PartitionChange { topic: number, state };
                if let Some(twice) = partitions.insert(change.key(), change) {
                    let place = format!("partition {} of {:?}", twice.state.partition, topic.name);
                    return inconsistent(place, "it is given twice");
                }
            }
        }
        changes.topics = facts.into_values().collect();
        changes.partitions = partitions.into_values().collect();
        Ok(new_numbers)
    }

    fn diff_groups(&self, groups: &[Group], changes: &mut Changes) -> Result<()> {
        require_sorted(groups.iter().map(|group| &group.group_id), "groups")?;
        let given = |group_id: &String| {
            groups
                .binary_search_by(|group| group.group_id.cmp(group_id))
                .is_ok()
        };
        changes.removed_groups = self
            .groups
            .keys()
            .filter(|known| !given(known))
            .cloned()
            .collect();
        for group in groups {
            let place = format!("group {:?}", group.group_id);
            require_sorted(group.offsets.iter().map(|offset| offset.key()), place)?;
            match self.groups.get(&group.group_id) {
                None => changes.groups.push(GroupChange::whole(group)),
                Some(before) if before != group => changes.groups.push(difference(before, group)),
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// A topic that was made anew has another log: positions in the one before it say nothing about it, and must not be
    /// taken for its own.
    fn drop_positions_on_replaced(&self, changes: &mut Changes) {
        let new = changes
            .topics
            .iter()
            .filter(|topic| self.incarnation(topic.number).is_none());
        let replaced: BTreeSet<&str> = new
            .map(|topic| topic.name.as_str())
            .filter(|name| self.current.contains_key(*name))
            .collect();
        if replaced.is_empty() {
            return;
        }
        for group in self.groups.values() {
            let is_on_replaced = |offset: &&GroupOffset| replaced.contains(offset.topic.as_str());
            let gone: Vec<Position> = group
                .offsets
                .iter()
                .filter(is_on_replaced)
                .map(Position::of)
                .collect();
            if gone.is_empty() {
                continue;
            }
            if gone.len() == group.offsets.len() {
                changes.removed_groups.push(group.group_id.clone());
            } else {
                changes.groups.push(GroupChange {
                    gone,
                    ..GroupChange::facts(group)
                });
            }
        }
    }

    fn number_of(&self, piece: &PartitionSummary, new: &HashMap<(Arc<str>, TopicId), u32>) -> Result<u32> {
        let key = (Arc::clone(&piece.partition.topic), piece.partition.topic_id);
        match self.numbers.get(&key).or_else(|| new.get(&key)) {
            Some(number) => Ok(*number),
            None => inconsistent(
                &piece.partition,
                "a segment holds it, but no topic of this name and id is known",
            ),
        }
    }
}

/// What a manifest says of a segment.
fn stored(new: &NewSegment, number: impl Fn(&PartitionSummary) -> Result<u32>) -> Result<Segment> {
    let pieces = new.summary.partitions.iter().map(|piece| {
        Ok(SegmentPartition {
            topic: number(piece)?,
            partition: piece.partition.partition,
            first_offset: piece.first_offset,
            last_offset: piece.last_offset,
            records: piece.records,
            min_timestamp: piece.min_timestamp,
            max_timestamp: piece.max_timestamp,
            stored_bytes: piece.stored_bytes,
            // The number of all blocks of a segment fits: its index holds it in as many bits.
            blocks: u32::try_from(piece.blocks).unwrap_or(u32::MAX),
        })
    });
    let mut pieces = pieces.collect::<Result<Vec<_>>>()?;
    pieces.sort_unstable_by_key(SegmentPartition::key);
    Ok(Segment::new(
        new.id,
        new.summary.bytes,
        new.summary.blake3,
        pieces,
    ))
}

fn difference(before: &Group, after: &Group) -> GroupChange {
    let mut old = before.offsets.iter().peekable();
    let mut offsets: Vec<GroupOffset> = Vec::new();
    let mut gone = Vec::new();
    for new in &after.offsets {
        while let Some(left) = old.next_if(|old| old.key() < new.key()) {
            gone.push(Position::of(left));
        }
        if old.next_if(|old| old.key() == new.key()) != Some(new) {
            offsets.push(new.clone());
        }
    }
    gone.extend(old.map(Position::of));
    GroupChange {
        offsets,
        gone,
        ..GroupChange::facts(after)
    }
}
