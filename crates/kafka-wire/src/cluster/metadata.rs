//! What the brokers tell about brokers, topics and partitions.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};

use crate::connection::{BrokerAddress, topic_name};
use crate::error::ErrorCode;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// Index of the partition, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {} partition {}", self.topic, self.partition)
    }
}

/// Which topics to read metadata of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicFilter {
    /// All that may be described.
    All,
    /// These; an empty list asks for the brokers only.
    Names(Vec<String>),
}

impl TopicFilter {
    pub(crate) fn none() -> Self {
        Self::Names(Vec::new())
    }

    pub(super) fn request(&self) -> MetadataRequest {
        let topic = |name: &String| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let topics = match self {
            Self::All => None,
            Self::Names(names) => Some(names.iter().map(topic).collect()),
        };
        MetadataRequest::default()
            .with_topics(topics)
            .with_allow_auto_topic_creation(false)
    }
}

/// A broker, as it advertises itself on the listener that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broker {
    /// Node id.
    pub id: i32,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Rack or availability zone, if configured.
    pub rack: Option<String>,
}

/// A snapshot of a cluster's brokers and topics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// The id that the cluster gave itself when it was created.
    pub cluster_id: Option<String>,
    /// Node id of the broker to send topic changes to. With KRaft any broker may be named here.
    pub controller: Option<i32>,
    /// The live brokers, by node id.
    pub brokers: BTreeMap<i32, Broker>,
    /// The topics that were asked for, by name.
    pub topics: BTreeMap<String, TopicMetadata>,
}

/// A topic and its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicMetadata {
    /// Name.
    pub name: String,
    /// The id that tells this topic from an earlier one of the same name (KIP-516). `None` from brokers before 2.8.
    pub topic_id: Option<[u8; 16]>,
    /// Whether Kafka made it for its own use, such as `__consumer_offsets`.
    pub internal: bool,
    /// Why nothing more is known about it, such as [`ErrorCode::UNKNOWN_TOPIC_OR_PARTITION`].
    pub error: Option<ErrorCode>,
    /// Its partitions, by index.
    pub partitions: BTreeMap<i32, PartitionMetadata>,
}

/// Where a partition is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionMetadata {
    /// Node id of the leader; `None` while there is none.
    pub leader: Option<i32>,
    /// Number of the leader's reign; `None` from brokers before 2.1.
    pub leader_epoch: Option<i32>,
    /// Node ids of the replicas; the first is the preferred leader.
    pub replicas: Vec<i32>,
    /// Node ids of the in-sync replicas.
    pub isr: Vec<i32>,
    /// Node ids of the replicas that are offline.
    pub offline: Vec<i32>,
    /// Why there is no leader, or another passing condition.
    pub error: Option<ErrorCode>,
}

impl Metadata {
    pub(super) fn from_response(response: MetadataResponse) -> Self {
        let brokers = (response.brokers.into_iter())
            .filter_map(|broker| {
                let address = BrokerAddress::announced(&broker.host, broker.port)?;
                let BrokerAddress { host, port } = address;
                let rack = broker.rack.map(|rack| rack.to_string());
                Some((
                    broker.node_id.0,
                    Broker {
                        id: broker.node_id.0,
                        host,
                        port,
                        rack,
                    },
                ))
            })
            .collect();
        let topics = (response.topics.into_iter())
            .filter_map(TopicMetadata::from_response)
            .map(|topic| (topic.name.clone(), topic))
            .collect();
        Self {
            cluster_id: response.cluster_id.map(|id| id.to_string()),
            controller: node(response.controller_id.0),
            brokers,
            topics,
        }
    }
}

impl TopicMetadata {
    fn from_response(topic: MetadataResponseTopic) -> Option<Self> {
        let partitions = topic.partitions.into_iter().map(|partition| {
            (
                partition.partition_index,
                PartitionMetadata::from_response(partition),
            )
        });
        Some(Self {
            // Only an answer to a question by topic id, which is never asked, may lack the name.
            name: topic.name?.to_string(),
            topic_id: (!topic.topic_id.is_nil()).then(|| topic.topic_id.into_bytes()),
            internal: topic.is_internal,
            error: ErrorCode::new(topic.error_code),
            partitions: partitions.collect(),
        })
    }
}

impl PartitionMetadata {
    fn from_response(partition: MetadataResponsePartition) -> Self {
        let ids = |nodes: Vec<kafka_protocol::messages::BrokerId>| nodes.into_iter().map(|id| id.0).collect();
        Self {
            leader: node(partition.leader_id.0),
            leader_epoch: (partition.leader_epoch >= 0).then_some(partition.leader_epoch),
            replicas: ids(partition.replica_nodes),
            isr: ids(partition.isr_nodes),
            offline: ids(partition.offline_replicas),
            error: ErrorCode::new(partition.error_code),
        }
    }
}

/// The protocol writes "no broker" as a negative id.
fn node(id: i32) -> Option<i32> {
    (id >= 0).then_some(id)
}
