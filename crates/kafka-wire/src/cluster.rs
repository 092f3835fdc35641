//! The cluster: its brokers, who leads what, and how to reach them.

mod coordinators;
mod grouped;
mod hints;
mod join;
mod leaders;
mod links;
mod metadata;
mod partitioned;
mod refresh;
mod routing;
mod settle;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::config::ClusterConfig;
use crate::connection::{Link, Role, Secured};
use crate::error::Error;
use crate::retry::{Effect, Retry};

pub(crate) use join::join_all;
pub(crate) use leaders::Leader;
pub use metadata::{Broker, Metadata, PartitionMetadata, TopicFilter, TopicMetadata, TopicPartition};
pub use partitioned::PartitionResults;
pub(crate) use partitioned::{Asked, by_topic};
pub(crate) use settle::{all_failed, answers_for};

/// A handle to a Kafka cluster. Clones share connections and caches.
///
/// Operations repeat what fails in a way that passes, up to `retry_timeout`. They are cancelled by dropping their
/// future; a request that was already written may still take effect.
///
/// ```no_run
/// # async fn example() -> Result<(), kafka_wire::Error> {
/// use kafka_wire::{Cluster, ClusterConfig, TopicFilter};
///
/// let cluster = Cluster::connect(ClusterConfig::new(["localhost:9092"])).await?;
/// for (name, topic) in &cluster.metadata(TopicFilter::All).await?.topics {
///     println!("{name}: {} partitions", topic.partitions.len());
/// }
/// cluster.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ClusterConfig,
    links: links::Links,
    leaders: leaders::LeaderCache,
    refresh: refresh::Refresh,
    coordinators: coordinators::CoordinatorCache,
}

impl Cluster {
    /// Finds the cluster through the first bootstrap server that answers, in the order of the list.
    ///
    /// Tries the list once, without repeating: an operator who mistyped an address should hear of it soon. Only a broker
    /// that answers, but has just been started, is waited for. A refused login is the end of it: the others of the list are not
    /// tried, as three wrong passwords may lock an account.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`], or [`Error::Bootstrap`] with the cause for each address.
    pub async fn connect(config: ClusterConfig) -> Result<Self, Error> {
        config.validate()?;
        let secured = Secured::load(&config.security).await?;
        let cluster = Self {
            inner: Arc::new(Inner {
                links: links::Links::new(&config, secured)?,
                leaders: leaders::LeaderCache::default(),
                refresh: refresh::Refresh::default(),
                coordinators: coordinators::CoordinatorCache::default(),
                config,
            }),
        };
        let mut retry = cluster.retry(Effect::Repeatable);
        loop {
            match cluster.metadata_once(&TopicFilter::none()).await {
                Ok(_) => return Ok(cluster),
                Err(error @ (Error::NotReady { .. } | Error::Kafka(_))) => retry.pause(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// The id that the cluster gave itself when it was created, if the brokers tell.
    pub fn cluster_id(&self) -> Option<String> {
        self.inner.leaders.cluster_id()
    }

    /// The configuration that the cluster was connected with.
    pub fn config(&self) -> &ClusterConfig {
        &self.inner.config
    }

    /// Reads metadata from a broker, afresh. Topics that do not exist are in the result, with their error; no topic
    /// is ever created by asking for it.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn metadata(&self, topics: TopicFilter) -> Result<Metadata, Error> {
        let mut retry = self.retry(Effect::Repeatable);
        loop {
            match self.metadata_once(&topics).await {
                Ok(metadata) => return Ok(metadata),
                Err(error) => retry.pause(error).await?,
            }
        }
    }

    /// Ends every connection and waits until they are gone. Requests in flight fail, later ones too.
    pub async fn close(&self) {
        self.inner.links.close().await;
    }

    /// The connection for a broker, a role and a shard: the existing one while it works, else a new one.
    ///
    /// # Errors
    /// [`Error::Unreachable`] with the cause for each address, [`Error::UnknownBroker`], [`Error::Closed`].
    pub(crate) async fn link(&self, node: i32, role: Role, shard: usize) -> Result<Link, Error> {
        self.inner.links.to_broker(node, role, shard).await
    }

    pub(crate) fn retry(&self, effect: Effect) -> Retry {
        Retry::new(&self.inner.config, effect)
    }
}
