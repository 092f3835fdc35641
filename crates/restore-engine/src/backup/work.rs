//! What there is to do in one cycle: the topics as they are now, and for each partition where the backup stands and how far
//! it is to get.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_wire::TopicPartition;
use segment_format::manifest::{Partition, Topic};
use segment_format::{BackupSet, Compression, PartitionRef};

use super::partition::{PartitionReader, note_trouble};
use super::report::Trouble;
use super::topics::Found;

/// Topics and partitions of a cycle.
#[derive(Debug)]
pub(super) struct Work {
    /// The topics' own facts; their partitions are in `partitions`.
    topics: Vec<Topic>,
    /// In the order of the topics, and of their numbers.
    pub(super) partitions: Vec<PartitionReader>,
    by_name: HashMap<(Arc<str>, i32), usize>,
    /// Topics of the backup of which the source tells too little to go on with them, with the trouble in each partition.
    untold: Vec<Topic>,
}

impl Work {
    /// Every partition of what was found, with what `set` has of it.
    pub(super) fn new(set: &BackupSet, found: Vec<Found>, compression: Compression) -> Self {
        let mut work = Self {
            topics: Vec::new(),
            partitions: Vec::new(),
            by_name: HashMap::new(),
            untold: Vec::new(),
        };
        for Found {
            mut topic,
            partitions,
            source_id,
            leaderless,
        } in found
        {
            let known = set
                .incarnation_number(&topic.name, topic.topic_id)
                .and_then(|number| set.incarnation(number));
            topic.largest_batch = known.map_or(0, |known| known.largest_batch);
            let name: Arc<str> = topic.name.as_str().into();
            for number in 0..partitions {
                let state = known.and_then(|known| known.partition(number)).cloned();
                let reference = PartitionRef::new(Arc::clone(&name), topic.topic_id, number);
                let at = work.partitions.len();
                work.by_name.insert((Arc::clone(&name), number), at);
                let topic = work.topics.len();
                let mut partition = PartitionReader::new(topic, reference, state, compression);
                partition.source_id = source_id;
                partition.is_leaderless = leaderless.contains(&number);
                work.partitions.push(partition);
            }
            work.topics.push(topic);
        }
        work
    }

    /// Takes note of a topic that is not to be read in this cycle: what the backup has of it may not be all.
    pub(super) fn leave_alone(&mut self, known: &Topic, problem: &str) {
        let mut topic = known.clone();
        for partition in &mut topic.partitions {
            note_trouble(partition, problem.to_owned());
        }
        self.untold.push(topic);
    }

    /// Index of the partition of this name.
    pub(super) fn position(&self, topic: &Arc<str>, partition: i32) -> Option<usize> {
        self.by_name.get(&(Arc::clone(topic), partition)).copied()
    }

    /// The partition of this name.
    pub(super) fn named(&mut self, name: &TopicPartition) -> Option<&mut PartitionReader> {
        let at = self.position(&name.topic, name.partition)?;
        self.partitions.get_mut(at)
    }

    /// The names of partitions for which `wanted` holds.
    pub(super) fn names(&self, wanted: impl Fn(&PartitionReader) -> bool) -> Vec<TopicPartition> {
        let wanted = self.partitions.iter().filter(|partition| wanted(partition));
        wanted.map(PartitionReader::name).collect()
    }

    /// The number of topics.
    pub(super) fn topics(&self) -> usize {
        self.topics.len()
    }

    /// Offsets that are still to be read.
    pub(super) fn remaining(&self) -> u64 {
        self.partitions.iter().map(PartitionReader::remaining).sum()
    }

    /// The topics and partitions as they stand now.
    pub(super) fn snapshot(&mut self) -> Vec<Topic> {
        let mut topics = Vec::with_capacity(self.topics.len());
        let mut partitions = self.partitions.iter_mut().peekable();
        for (index, topic) in self.topics.iter_mut().enumerate() {
            let mut states: Vec<Partition> = Vec::new();
            while let Some(partition) = partitions.next_if(|partition| partition.topic == index) {
                topic.largest_batch = topic.largest_batch.max(partition.largest_batch);
                // Where it starts is still to be asked, unless that has failed: then it is there, without a start.
                if !partition.needs_start() || partition.is_troubled() {
                    states.push(partition.snapshot());
                }
            }
            topics.push(Topic {
                partitions: states,
                ..topic.clone()
            });
        }
        topics.extend(self.untold.iter().cloned());
        topics
    }

    /// What keeps partitions from their ends.
    pub(super) fn troubles(&self) -> impl Iterator<Item = Trouble> {
        self.partitions.iter().filter_map(PartitionReader::trouble)
    }
}
