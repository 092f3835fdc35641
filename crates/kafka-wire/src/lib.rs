//! A native Kafka client for bulk reading and writing of logs: record batches travel as bytes.

pub mod batch;
pub mod codec;

mod budget;
mod cluster;
mod config;
mod connection;
mod error;
mod fetch;
mod groups;
mod offsets;
mod problem;
mod produce;
mod retry;
mod topics;
mod transactions;
mod verdict;
mod wire;

pub use cluster::{
    Broker, Cluster, Metadata, PartitionMetadata, PartitionResults, TopicFilter, TopicMetadata,
    TopicPartition,
};
pub use config::ClusterConfig;
pub use error::{ConnectFailure, ConnectionError, Error, ErrorCode, KafkaError};

pub use budget::{ByteBudget, Permit};
pub use fetch::{FetchEvent, FetchEventKind, FetchOptions, FetchPartition, FetchStream, FetchedBatches};
pub use groups::{
    CommittedOffset, GroupDescription, GroupKind, GroupListing, GroupMember, GroupState, OffsetCommit,
};
pub use offsets::{EpochEnd, IsolationLevel, ListedOffset, OffsetSpec};
pub use problem::PartitionProblem;
pub use produce::{PartitionWriter, Producer, ProducerOptions};
pub use topics::{ConfigChange, ConfigEntry, ConfigSource, CreatedTopic, NewTopic, TopicResults};
pub use transactions::{AbortedFilter, AbortedTransaction, BatchFacts, ControlMarker, Visibility};
