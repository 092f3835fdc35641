//! Changes become part of the state. They were checked before: see `check`.

use std::sync::Arc;

use crate::manifest::{
    Changes, Group, GroupChange, GroupOffset, Partition, PartitionChange, Topic, TopicChange,
};

use super::BackupSet;

impl BackupSet {
    /// Takes in changes that [`BackupSet::check`] has found right.
    pub(super) fn take_in(&mut self, changes: &Changes) {
        for topic in &changes.topics {
            self.take_topic(topic);
        }
        for partition in &changes.partitions {
            self.take_partition(partition);
        }
        for group_id in &changes.removed_groups {
            if let Some(group) = self.groups.remove(group_id) {
                self.live_entries -= 1 + group.offsets.len() as u64;
            }
        }
        for group in &changes.groups {
            self.take_group(group);
        }
        for segment in &changes.segments {
            self.live_entries += 1 + segment.partitions().len() as u64;
            self.segment_ids.insert(segment.id);
            self.segments.push(segment.clone());
        }
    }

    fn take_topic(&mut self, change: &TopicChange) {
        let known = (change.number as usize)
            .checked_sub(1)
            .and_then(|index| self.topics.get_mut(index));
        match known {
            Some(topic) => {
                topic.replication_factor = change.replication_factor;
                topic.configs.clone_from(&change.configs);
                topic.timestamp_type.clone_from(&change.timestamp_type);
                topic.largest_batch = change.largest_batch;
            }
            None => {
                let name: Arc<str> = change.name.as_str().into();
                self.current.insert(Arc::clone(&name), change.number);
                self.numbers.insert((name, change.topic_id), change.number);
                self.topics.push(Topic {
                    name: change.name.clone(),
                    topic_id: change.topic_id,
                    replication_factor: change.replication_factor,
                    configs: change.configs.clone(),
                    timestamp_type: change.timestamp_type.clone(),
                    largest_batch: change.largest_batch,
                    partitions: Vec::new(),
                });
                self.live_entries += 1;
            }
        }
    }

    fn take_partition(&mut self, change: &PartitionChange) {
        let topic = (change.topic as usize)
            .checked_sub(1)
            .and_then(|index| self.topics.get_mut(index));
        let Some(Topic { partitions, .. }) = topic else {
            return;
        };
        let place =
            partitions.binary_search_by_key(&change.state.partition, |known: &Partition| known.partition);
        match place {
            Ok(place) => partitions[place] = change.state.clone(),
            Err(place) => {
                partitions.insert(place, change.state.clone());
                self.live_entries += 1;
            }
        }
    }

    fn take_group(&mut self, change: &GroupChange) {
        let group = self.groups.entry(change.group_id.clone()).or_insert_with(|| {
            self.live_entries += 1;
            Group {
                group_id: change.group_id.clone(),
                kind: change.kind.clone(),
                state: String::new(),
                protocol_type: String::new(),
                offsets: Vec::new(),
            }
        });
        group.kind = change.kind.clone();
        group.state.clone_from(&change.state);
        group.protocol_type.clone_from(&change.protocol_type);
        let before = group.offsets.len() as u64;
        group.offsets = merged(std::mem::take(&mut group.offsets), change);
        self.live_entries = self.live_entries + group.offsets.len() as u64 - before;
    }
}

/// The positions after a change, sorted as those before it and those in it are.
fn merged(before: Vec<GroupOffset>, change: &GroupChange) -> Vec<GroupOffset> {
    let mut after = Vec::with_capacity(before.len() + change.offsets.len());
    let mut new = change.offsets.iter().peekable();
    for old in before {
        while let Some(next) = new.next_if(|next| next.key() < old.key()) {
            after.push(next.clone());
        }
        if let Some(moved) = new.next_if(|next| next.key() == old.key()) {
            after.push(moved.clone());
            continue;
        }
        let gone = change
            .gone
            .binary_search_by(|gone| (gone.topic.as_str(), gone.partition).cmp(&old.key()));
        if gone.is_err() {
            after.push(old);
        }
    }
    after.extend(new.cloned());
    after
}
