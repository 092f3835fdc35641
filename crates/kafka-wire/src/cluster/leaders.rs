//! The cache of partition leaders.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::metadata::{Metadata, TopicMetadata, TopicPartition};
use crate::error::ErrorCode;
use crate::hint::LeaderHint;

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
    source: Source,
}

/// Who said who leads a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Metadata.
    Metadata,
    /// A broker that does not lead it any more, in passing.
    Hint,
    /// The same, and what was tried on the strength of it has failed: whatever metadata say counts more.
    DoubtedHint,
    /// Nobody: it turned out to be wrong, and the next look-up asks.
    Forgotten,
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
        if partition.source == Source::Forgotten {
            return Err(Missing::NotAsked);
        }
        let none = Missing::Answered(partition.error.unwrap_or(ErrorCode::LEADER_NOT_AVAILABLE));
        let node = partition.leader.ok_or(none)?;
        Ok(Leader {
            node,
            epoch: partition.epoch,
            topic_id: topic.topic_id,
        })
    }

    /// Takes over what a broker that refused a partition says about its leader. Returns whether that is news.
    ///
    /// The rule is that of metadata: an older epoch never replaces a newer one. The same epoch has the same leader, and
    /// where epochs or topic ids are not known, nothing says which of the two is the older story.
    pub(super) fn take_hint(&self, partition: &TopicPartition, hint: &LeaderHint) -> bool {
        let mut state = self.lock();
        let known = (state.topics.get_mut(&partition.topic))
            .filter(|topic| topic.topic_id == Some(hint.topic_id))
            .and_then(|topic| topic.partitions.get_mut(&partition.partition))
            .filter(|known| known.epoch.is_some_and(|epoch| epoch < hint.epoch));
        let is_news = known.is_some();
        if let Some(known) = known {
            *known = Partition {
                leader: Some(hint.node),
                epoch: Some(hint.epoch),
                error: None,
                source: Source::Hint,
            };
        }
        is_news
    }

    /// Says that something has failed since a hint was taken, if one was: what is told next is believed, even if its epoch
    /// is lower. Else a broker that talked nonsense would be believed for ever.
    pub(super) fn doubt_hint(&self, partition: &TopicPartition) {
        let mut state = self.lock();
        if let Some(topic) = state.topics.get_mut(&partition.topic)
            && let Some(known) = topic.partitions.get_mut(&partition.partition)
            && known.source == Source::Hint
        {
            known.source = Source::DoubtedHint;
        }
    }

    /// When the topic was last asked for.
    pub(super) fn asked(&self, topic: &str) -> Option<Instant> {
        self.lock().topics.get(topic).map(|topic| topic.asked)
    }

    /// Drops a leader that turned out to be none, so that the next look-up asks. A newer one stays, and so does what is known
    /// of the topic's other partitions.
    pub(super) fn forget(&self, partition: &TopicPartition, wrong: Leader) {
        let mut state = self.lock();
        if let Some(topic) = state.topics.get_mut(&partition.topic)
            && let Some(known) = topic.partitions.get_mut(&partition.partition)
            && known.leader == Some(wrong.node)
            && known.epoch == wrong.epoch
        {
            // Without the epoch: that of a topic which is created anew begins again, and old brokers tell no ids.
            *known = Partition {
                leader: None,
                epoch: None,
                error: None,
                source: Source::Forgotten,
            };
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

impl Partition {
    /// Whether this is newer than what an answer says that has come later.
    fn outlasts(self, answer: Self) -> bool {
        self.source != Source::DoubtedHint && self.epoch > answer.epoch
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
                source: Source::Metadata,
            };
            let old = known.and_then(|known| known.partitions.get(&index));
            (index, old.copied().filter(|old| old.outlasts(new)).unwrap_or(new))
        });
        Self {
            asked,
            topic_id: answer.topic_id,
            error: answer.error,
            partitions: partitions.collect(),
        }
    }
}

#[cfg(test)]
#[path = "leaders_tests.rs"]
mod tests;
