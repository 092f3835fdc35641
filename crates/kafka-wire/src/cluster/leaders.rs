//! The cache of partition leaders.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::metadata::{Metadata, TopicMetadata, TopicPartition};
use crate::error::ErrorCode;

/// Who leads a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) node: i32,
    /// `None` when the broker does not tell.
    pub(crate) epoch: Option<i32>,
    /// `None` when the broker does not tell.
    pub(crate) topic_id: Option<[u8; 16]>,
}

#[derive(Debug, Default)]
pub(super) struct LeaderCache {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cluster_id: Option<String>,
    controller: Option<i32>,
    topics: HashMap<Arc<str>, Topic>,
}

#[derive(Debug)]
struct Topic {
    /// When the question was sent that was answered by what is here.
    asked: Instant,
    topic_id: Option<[u8; 16]>,
    error: Option<ErrorCode>,
    partitions: BTreeMap<i32, Partition>,
}

#[derive(Debug, Clone, Copy)]
struct Partition {
    leader: Option<i32>,
    epoch: Option<i32>,
    error: Option<ErrorCode>,
}

/// Why the cache has no leader to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Nobody asked yet, or it was forgotten.
    NotAsked,
    /// The broker's answer.
    Answered(ErrorCode),
}

impl LeaderCache {
    /// Takes over an answer to a question that was sent at `asked`.
    ///
    /// Brokers learn of elections one after the other, so an answer may be older than what is known already: a
    /// partition's lower epoch is ignored, unless the topic is another one of the same name.
    pub(super) fn update(&self, metadata: &Metadata, asked: Instant) {
        let mut state = self.lock();
        if metadata.cluster_id.is_some() {
            state.cluster_id.clone_from(&metadata.cluster_id);
        }
        state.controller = metadata.controller;
        for (name, topic) in &metadata.topics {
            let known = state.topics.get(name.as_str());
            let merged = Topic::merge(known, topic, asked);
            state.topics.insert(name.as_str().into(), merged);
        }
    }

    pub(super) fn get(&self, topic: &str, partition: i32) -> Result<Leader, Missing> {
        let state = self.lock();
        let topic = state.topics.get(topic).ok_or(Missing::NotAsked)?;
        if let Some(error) = topic.error {
            return Err(Missing::Answered(error));
        }
        let unknown = Missing::Answered(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        let partition = topic.partitions.get(&partition).ok_or(unknown)?;
        let none = Missing::Answered(partition.error.unwrap_or(ErrorCode::LEADER_NOT_AVAILABLE));
        let node = partition.leader.ok_or(none)?;
        Ok(Leader {
            node,
            epoch: partition.epoch,
            topic_id: topic.topic_id,
        })
    }

    /// When the topic was last asked for.
    pub(super) fn asked(&self, topic: &str) -> Option<Instant> {
        self.lock().topics.get(topic).map(|topic| topic.asked)
    }

    /// Drops a leader that turned out to be none, so that the next look-up asks. A newer one stays.
    pub(super) fn forget(&self, partition: &TopicPartition, wrong: Leader) {
        let mut state = self.lock();
        if let Some(topic) = state.topics.get_mut(&partition.topic)
            && topic
                .partitions
                .get(&partition.partition)
                .is_some_and(|known| known.leader == Some(wrong.node) && known.epoch == wrong.epoch)
        {
            state.topics.remove(&partition.topic);
        }
    }

    /// Drops all that is known about a topic.
    pub(super) fn forget_topic(&self, topic: &str) {
        self.lock().topics.remove(topic);
    }

    pub(super) fn controller(&self) -> Option<i32> {
        self.lock().controller
    }

    pub(super) fn forget_controller(&self) {
        self.lock().controller = None;
    }

    pub(super) fn cluster_id(&self) -> Option<String> {
        self.lock().cluster_id.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topic {
    fn merge(known: Option<&Self>, answer: &TopicMetadata, asked: Instant) -> Self {
        let known = known.filter(|known| known.topic_id == answer.topic_id);
        let partitions = answer.partitions.iter().map(|(&index, partition)| {
            let new = Partition {
                leader: partition.leader,
                epoch: partition.leader_epoch,
                error: partition.error,
            };
            let old = known.and_then(|known| known.partitions.get(&index));
            (
                index,
                old.copied().filter(|old| old.epoch > new.epoch).unwrap_or(new),
            )
        });
        Self {
            asked,
            topic_id: answer.topic_id,
            error: answer.error,
            partitions: partitions.collect(),
        }
    }
}
