//! Topics and where their partitions begin and end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Isolation, JavaClient};
use crate::error::{Error, Result};

/// A topic as the Java client describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TopicDescription {
    /// Name.
    pub name: String,
    /// Topic id in Kafka's own form (22 characters of Base64).
    pub topic_id: String,
    /// Whether it is one of the cluster's own topics.
    pub internal: bool,
    /// Partitions in order.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition as the Java client describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PartitionDescription {
    /// Number.
    pub partition: i32,
    /// Node id of the leader, when there is one.
    pub leader: Option<i32>,
    /// Node ids of the replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Node ids of the replicas in sync.
    pub in_sync: Vec<i32>,
}

/// What to set a topic's config to; `None` puts the cluster's default back.
pub type ConfigChange<'a> = (&'a str, Option<&'a str>);

/// Which offset of a partition is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The log start offset.
    Earliest,
    /// The first offset that the broker has on its own disk, when older data is in a remote storage.
    EarliestLocal,
    /// The end: the high watermark, or the last stable offset for read committed.
    Latest,
    /// Of the first record with this timestamp or a later one; -1 when there is none.
    AtTime(i64),
}

/// Answer to an [`OffsetSpec`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct ListedOffset {
    /// The offset, -1 when there is none.
    pub offset: i64,
    /// Timestamp of the record, when it was asked for by time.
    pub timestamp: i64,
    /// Leader epoch of the offset.
    pub leader_epoch: Option<i32>,
}

/// A partition in a request.
#[derive(Debug, Serialize)]
pub(super) struct PartitionArg<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
}

pub(super) fn partition_args<'a, S: AsRef<str>>(partitions: &'a [(S, i32)]) -> Vec<PartitionArg<'a>> {
    partitions
        .iter()
        .map(|(topic, partition)| PartitionArg {
            topic: topic.as_ref(),
            partition: *partition,
        })
        .collect()
}

impl JavaClient {
    /// Creates a topic with the cluster's default replication factor, and waits until its partitions have leaders.
    pub async fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<()> {
        self.create(name, partitions, None, configs).await
    }

    /// Creates a topic with a replication factor, and waits until its partitions have leaders.
    pub async fn create_replicated_topic(
        &self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        self.create(name, partitions, Some(replication_factor), configs)
            .await
    }

    async fn create(
        &self,
        topic: &str,
        partitions: i32,
        replication_factor: Option<i16>,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        #[derive(Serialize)]
        struct Args<'a> {
            topic: &'a str,
            partitions: i32,
            replication_factor: Option<i16>,
            configs: BTreeMap<&'a str, &'a str>,
        }
        let configs = configs.iter().copied().collect();
        self.run(
            "topic_create",
            &Args {
                topic,
                partitions,
                replication_factor,
                configs,
            },
        )
        .await?;
        // Asks the leaders themselves, and again until they are: an idempotent Java producer whose first request comes too
        // early may get its second one in first, and then repeats the first in vain.
        // A broker that is behind the others does not know the topic yet.
        let all: Vec<(&str, i32)> = (0..partitions).map(|partition| (topic, partition)).collect();
        let mut attempts_left = 50;
        loop {
            let ends = self.list_offsets(&all, OffsetSpec::Latest, Isolation::ReadUncommitted);
            match ends.await {
                Err(Error::Java(error)) if error.retriable && attempts_left > 0 => attempts_left -= 1,
                outcome => return outcome.map(drop),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Deletes a topic, and waits until it is no longer listed.
    pub async fn delete_topic(&self, topic: &str) -> Result<()> {
        self.run("topic_delete", &TopicArg { topic }).await
    }

    /// Names of all topics, sorted; those of the cluster itself (`__consumer_offsets`) on demand.
    pub async fn list_topics(&self, internal: bool) -> Result<Vec<String>> {
        #[derive(Serialize)]
        struct Args {
            internal: bool,
        }
        self.call("topic_list", &Args { internal }).await
    }

    /// Describes a topic.
    pub async fn describe_topic(&self, topic: &str) -> Result<TopicDescription> {
        self.call("topic_describe", &TopicArg { topic }).await
    }

    /// The configs that are set on a topic itself.
    pub async fn topic_configs(&self, topic: &str) -> Result<BTreeMap<String, String>> {
        self.configs(topic, false).await
    }

    /// All configs that hold for a topic, wherever they come from.
    pub async fn effective_topic_configs(&self, topic: &str) -> Result<BTreeMap<String, String>> {
        self.configs(topic, true).await
    }

    async fn configs(&self, topic: &str, all: bool) -> Result<BTreeMap<String, String>> {
        #[derive(Serialize)]
        struct Args<'a> {
            topic: &'a str,
            all: bool,
        }
        let configs: BTreeMap<String, Option<String>> =
            self.call("topic_configs", &Args { topic, all }).await?;
        Ok(configs
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect())
    }

    /// Changes some configs of a topic.
    pub async fn alter_topic_configs(&self, topic: &str, configs: &[ConfigChange<'_>]) -> Result<()> {
        #[derive(Serialize)]
        struct Args<'a> {
            topic: &'a str,
            configs: BTreeMap<&'a str, Option<&'a str>>,
        }
        self.run(
            "topic_alter_configs",
            &Args {
                topic,
                configs: configs.iter().copied().collect(),
            },
        )
        .await
    }

    /// Raises a topic's number of partitions to `total`, and waits until they have leaders.
    pub async fn add_partitions(&self, topic: &str, total: i32) -> Result<()> {
        #[derive(Serialize)]
        struct Args<'a> {
            topic: &'a str,
            partitions: i32,
        }
        self.run(
            "topic_add_partitions",
            &Args {
                topic,
                partitions: total,
            },
        )
        .await
    }

    /// Moves a partition to these brokers, and waits until the first of them leads it.
    pub async fn reassign_partition(&self, topic: &str, partition: i32, replicas: &[i32]) -> Result<()> {
        #[derive(Serialize)]
        struct Args<'a> {
            topic: &'a str,
            partition: i32,
            replicas: &'a [i32],
        }
        self.run(
            "topic_reassign",
            &Args {
                topic,
                partition,
                replicas,
            },
        )
        .await
    }

    /// Removes the records before an offset; gives the log start offset.
    pub async fn delete_records(&self, topic: &str, partition: i32, before: i64) -> Result<i64> {
        #[derive(Serialize)]
        struct Args<'a> {
            topic: &'a str,
            partition: i32,
            before: i64,
        }
        #[derive(Deserialize)]
        struct Answer {
            log_start_offset: i64,
        }
        let answer: Answer = self
            .call(
                "records_delete",
                &Args {
                    topic,
                    partition,
                    before,
                },
            )
            .await?;
        Ok(answer.log_start_offset)
    }

    /// Offsets of some partitions, in the order asked.
    pub async fn list_offsets<S: AsRef<str>>(
        &self,
        partitions: &[(S, i32)],
        spec: OffsetSpec,
        isolation: Isolation,
    ) -> Result<Vec<ListedOffset>> {
        #[derive(Serialize)]
        struct Args<'a> {
            partitions: Vec<PartitionArg<'a>>,
            spec: &'static str,
            timestamp: Option<i64>,
            isolation: Isolation,
        }
        let (spec, timestamp) = match spec {
            OffsetSpec::Earliest => ("earliest", None),
            OffsetSpec::EarliestLocal => ("earliest_local", None),
            OffsetSpec::Latest => ("latest", None),
            OffsetSpec::AtTime(timestamp) => ("time", Some(timestamp)),
        };
        let args = Args {
            partitions: partition_args(partitions),
            spec,
            timestamp,
            isolation,
        };
        self.call("offsets_list", &args).await
    }

    /// The log start offset of a partition.
    pub async fn beginning_offset(&self, topic: &str, partition: i32) -> Result<i64> {
        let listed = self
            .list_offsets(
                &[(topic, partition)],
                OffsetSpec::Earliest,
                Isolation::ReadUncommitted,
            )
            .await?;
        Ok(listed[0].offset)
    }

    /// The high watermark of a partition.
    pub async fn end_offset(&self, topic: &str, partition: i32) -> Result<i64> {
        let listed = self
            .list_offsets(
                &[(topic, partition)],
                OffsetSpec::Latest,
                Isolation::ReadUncommitted,
            )
            .await?;
        Ok(listed[0].offset)
    }

    /// The last stable offset of a partition.
    pub async fn last_stable_offset(&self, topic: &str, partition: i32) -> Result<i64> {
        let listed = self
            .list_offsets(
                &[(topic, partition)],
                OffsetSpec::Latest,
                Isolation::ReadCommitted,
            )
            .await?;
        Ok(listed[0].offset)
    }
}

#[derive(Serialize)]
struct TopicArg<'a> {
    topic: &'a str,
}
