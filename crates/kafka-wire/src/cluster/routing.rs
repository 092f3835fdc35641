//! Finding the broker to ask: a partition's leader, the controller, or any.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Cluster;
use super::leaders::{Leader, Missing};
use super::metadata::{TopicFilter, TopicPartition};
use crate::connection::{Api, Link, Role};
use crate::error::{Error, ErrorCode};
use kafka_protocol::messages::MetadataRequest;

impl Cluster {
    /// The leader of a partition, from the cache or, if it is not there, from a broker. Asks once: whoever needs a
    /// leader that is being elected calls again.
    pub(crate) async fn leader(&self, partition: &TopicPartition) -> Result<Leader, Error> {
        let cached = || self.inner.leaders.get(&partition.topic, partition.partition);
        if let Ok(leader) = cached() {
            return Ok(leader);
        }
        self.refresh_topics(BTreeSet::from([Arc::clone(&partition.topic)]))
            .await?;
        cached().map_err(|missing| self.no_leader(partition, missing))
    }

    /// The leader of a partition if the cache has one.
    pub(crate) fn cached_leader(&self, partition: &TopicPartition) -> Option<Leader> {
        self.inner.leaders.get(&partition.topic, partition.partition).ok()
    }

    /// The leader of a partition if the cache has one, else why not.
    pub(crate) fn known_leader(&self, partition: &TopicPartition) -> Result<Leader, Error> {
        let cached = self.inner.leaders.get(&partition.topic, partition.partition);
        cached.map_err(|missing| self.no_leader(partition, missing))
    }

    /// Says that `leader` answered that it is none, or did not answer: the next look-up asks the brokers.
    pub(crate) fn forget_leader(&self, partition: &TopicPartition, leader: Leader) {
        self.inner.leaders.forget(partition, leader);
    }

    /// Asks the brokers for the leaders of these topics, in one request shared with other callers.
    pub(crate) async fn refresh_leaders<'a>(
        &self,
        topics: impl IntoIterator<Item = &'a Arc<str>>,
    ) -> Result<(), Error> {
        self.refresh_topics(topics.into_iter().cloned().collect()).await
    }

    pub(super) fn no_leader(&self, partition: &TopicPartition, missing: Missing) -> Error {
        let code = match missing {
            Missing::NotAsked => ErrorCode::LEADER_NOT_AVAILABLE,
            Missing::Answered(code) => code,
        };
        let broker: Arc<str> = "the cluster's metadata".into();
        Error::kafka(code, MetadataRequest::NAME, &broker, partition.to_string())
    }

    /// A connection to any broker.
    pub(crate) async fn any_link(&self) -> Result<Link, Error> {
        self.inner.links.to_any().await
    }

    /// A connection to the broker that takes topic changes.
    pub(crate) async fn controller_link(&self) -> Result<Link, Error> {
        let controller = match self.inner.leaders.controller() {
            Some(node) => Some(node),
            None => self.metadata_once(&TopicFilter::none()).await?.controller,
        };
        match controller {
            Some(node) => self.link(node, Role::Control, 0).await,
            None => self.any_link().await,
        }
    }

    /// Says that the controller is another one now.
    pub(crate) fn forget_controller(&self) {
        self.inner.leaders.forget_controller();
    }

    /// Forgets all that is known about a topic.
    pub(crate) fn forget_topic(&self, topic: &str) {
        self.inner.leaders.forget_topic(topic);
    }

    /// Node ids of the brokers that are known.
    pub(crate) fn nodes(&self) -> Vec<i32> {
        self.inner.links.nodes()
    }
}
