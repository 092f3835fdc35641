//! Changes after changes, as one.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::{Changes, Group, GroupChange, GroupOffset, PartitionChange, Position, TopicChange};

use super::BackupSet;

impl Changes {
    /// These changes and then `later`, as one: whatever both are applied to, the result is the same.
    #[must_use]
    pub fn then(self, later: Self) -> Self {
        let removed: BTreeSet<String> = later.removed_groups.into_iter().collect();
        let mut groups = by_key(self.groups, |group| group.group_id.clone());
        groups.retain(|group_id, _| !removed.contains(group_id));
        for change in later.groups {
            let merged = match groups.remove(&change.group_id) {
                Some(earlier) => earlier.then(change),
                None => change,
            };
            groups.insert(merged.group_id.clone(), merged);
        }
        let mut removed_groups = removed;
        removed_groups.extend(self.removed_groups);
        let mut segments = self.segments;
        segments.extend(later.segments);
        segments.sort_unstable_by_key(|segment| segment.id);
        Self {
            topics: upsert(self.topics, later.topics, |topic| topic.number),
            partitions: upsert(self.partitions, later.partitions, PartitionChange::key),
            removed_groups: removed_groups.into_iter().collect(),
            groups: groups.into_values().collect(),
            segments,
        }
    }
}

impl GroupChange {
    fn then(self, later: Self) -> Self {
        let mut positions: BTreeMap<Position, Option<GroupOffset>> = BTreeMap::new();
        for change in [self.gone, later.gone]
            .into_iter()
            .zip([self.offsets, later.offsets])
        {
            let (gone, offsets) = change;
            positions.extend(gone.into_iter().map(|position| (position, None)));
            positions.extend(
                offsets
                    .into_iter()
                    .map(|offset| (Position::of(&offset), Some(offset))),
            );
        }
        let mut offsets = Vec::new();
        let mut gone = Vec::new();
        for (position, offset) in positions {
            match offset {
                Some(offset) => offsets.push(offset),
                None => gone.push(position),
            }
        }
        Self {
            group_id: later.group_id,
            kind: later.kind,
            state: later.state,
            protocol_type: later.protocol_type,
            offsets,
            gone,
        }
    }

    /// All of a group, for a set that does not have it.
    pub(super) fn whole(group: &Group) -> Self {
        Self {
            offsets: group.offsets.clone(),
            ..Self::facts(group)
        }
    }

    /// A group without its positions.
    pub(super) fn facts(group: &Group) -> Self {
        Self {
            group_id: group.group_id.clone(),
            kind: group.kind.clone(),
            state: group.state.clone(),
            protocol_type: group.protocol_type.clone(),
            offsets: Vec::new(),
            gone: Vec::new(),
        }
    }
}

impl Position {
    pub(super) fn of(offset: &GroupOffset) -> Self {
        Self {
            topic: offset.topic.clone(),
            partition: offset.partition,
        }
    }
}

fn by_key<K: Ord, V>(values: Vec<V>, key: impl Fn(&V) -> K) -> BTreeMap<K, V> {
    values.into_iter().map(|value| (key(&value), value)).collect()
}

fn upsert<K: Ord, V>(earlier: Vec<V>, later: Vec<V>, key: impl Fn(&V) -> K) -> Vec<V> {
    let mut merged = by_key(earlier, &key);
    merged.extend(later.into_iter().map(|value| (key(&value), value)));
    merged.into_values().collect()
}

impl BackupSet {
    /// The whole state as changes of an empty set.
    pub fn as_changes(&self) -> Changes {
        let mut partitions = Vec::new();
        for (number, topic) in self.incarnations() {
            let of_topic = topic.partitions.iter().cloned();
            partitions.extend(of_topic.map(|state| PartitionChange { topic: number, state }));
        }
        let mut segments = self.segments.clone();
        segments.sort_unstable_by_key(|segment| segment.id);
        Changes {
            topics: self
                .incarnations()
                .map(|(number, topic)| TopicChange::new(number, topic))
                .collect(),
            partitions,
            removed_groups: Vec::new(),
            groups: self.groups.values().map(GroupChange::whole).collect(),
            segments,
        }
    }
}
