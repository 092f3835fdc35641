//! A native Kafka client for bulk reading and writing of logs: record batches travel as bytes.
//!
//! Made for whoever moves whole logs: backups, restores, migrations, audits. A fetched batch is a slice of the response
//! that brought it, with its checksum verified and its records undecoded; a produced batch is that slice with a new
//! 61-byte header in front. Both directions are bounded in memory by one [`ByteBudget`], keep several requests in flight
//! over several connections per broker, and ride out leader changes and restarts.
//!
//! ```no_run
//! use kafka_wire::batch::LogEntry;
//! use kafka_wire::{ByteBudget, Cluster, ClusterConfig, FetchEventKind, FetchOptions, FetchPartition, FetchStream};
//! use kafka_wire::{Producer, ProducerOptions};
//!
//! # async fn copy() -> Result<(), kafka_wire::Error> {
//! // Copy the first million offsets of a partition, batch by batch, into an empty one.
//! let source = Cluster::connect(ClusterConfig::new(["kafka-1:9092"])).await?;
//! let target = Cluster::connect(ClusterConfig::new(["dr-kafka-1:9092"])).await?;
//! let producer = Producer::start(&target, ProducerOptions::default()).await?;
//! let mut writer = producer.partition("orders", 0, 0).await?;
//!
//! let wanted = FetchPartition::new("orders", 0, 0).until(1_000_000);
//! let mut stream = FetchStream::start(&source, [wanted], FetchOptions::new(ByteBudget::new(64 << 20)));
//! while let Some(event) = stream.next().await {
//!     if let FetchEventKind::Batches(fetched) = event.kind {
//!         for entry in fetched.batches {
//!             if let LogEntry::Batch(batch) = entry {
//!                 let target_offset = writer.append(batch).await?; // the offset that its first record gets
//!                 println!("next batch goes to {target_offset}");
//!             }
//!         }
//!     }
//! }
//! println!("everything below {} is on all in-sync replicas", writer.flush().await?);
//! # Ok(())
//! # }
//! ```
//!
//! What this crate is not: a general client. It has no consumer that joins a group, no partitioner, no transactions on the
//! writing side. It does list, describe and reposition the groups of others. Connections are secured by TLS and SASL
//! ([`Security`]).
//!
//! | area | what it does | APIs and versions |
//! |---|---|---|
//! | [`batch`], [`codec`] | headers, record walk, transcoding, compression; no I/O | formats 0, 1 (reading) and 2 |
//! | [`FetchStream`] | many partitions from start to end offset, committed data | Fetch 4 to 17 |
//! | [`Producer`] | whole batches, each once, at the offset that was expected; gaps, so that a log gets the offsets of another one | InitProducerId, Produce 3 to 13, WriteTxnMarkers |
//! | [`Security`] | TLS, client certificates, `PLAIN`, `SCRAM`, `OAUTHBEARER`, `AWS_MSK_IAM`, renewed while the connection works | SaslHandshake 1, SaslAuthenticate 0 to 2 |
//! | [`Cluster`] | metadata and routing, offsets, topics and their configs, groups, who may do what | Metadata, ListOffsets, OffsetForLeaderEpoch, CreateTopics, CreatePartitions, DeleteTopics, DescribeConfigs, IncrementalAlterConfigs, DeleteRecords, FindCoordinator, ListGroups, DescribeGroups, ConsumerGroupDescribe, ShareGroupDescribe, OffsetFetch, OffsetCommit, OffsetDelete, DeleteGroups, DescribeShareGroupOffsets, AlterShareGroupOffsets, DeleteShareGroupOffsets, DescribeAcls, DescribeClientQuotas, DescribeUserScramCredentials, DescribeProducers |
//!
//! Versions are negotiated on every connection, as the intersection of what the broker offers and what this crate can
//! write and read. A failed request is [`Error::NotSent`] when it had no effect, and [`Error::InDoubt`] when it may have had
//! one. Causes are in `source()`.

pub mod batch;
pub mod codec;

mod admin;
mod budget;
mod cluster;
mod config;
mod connection;
mod error;
mod fetch;
mod groups;
mod hint;
mod offsets;
mod problem;
mod produce;
mod producers;
mod retry;
mod sasl;
mod secret;
mod throttled;
mod tls;
mod topics;
mod transactions;
mod wire;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use connection::fuzzing;

pub use cluster::{
    Broker, Cluster, Metadata, PartitionMetadata, PartitionResults, TopicFilter, TopicMetadata,
    TopicPartition,
};
pub use config::{
    AwsCredentials, AwsCredentialsError, AwsCredentialsFuture, AwsCredentialsProvider, AwsCredentialsSource,
    AwsMskIam, ClientCertificate, ClientCredentials, ClusterConfig, OauthBearer, Password, SaslConfig,
    Security, TlsConfig, TokenSource,
};
pub use error::{ConnectFailure, ConnectionError, Error, ErrorCode, KafkaError};

pub use admin::{
    AclBinding, AclFilter, AclOperation, AclPattern, AclPermission, AclResource, QuotaEntry, ScramCredential,
    ScramMechanism, UserResults,
};
pub use budget::{ByteBudget, Permit};
pub use fetch::{FetchEvent, FetchEventKind, FetchOptions, FetchPartition, FetchStream, FetchedBatches};
pub use groups::{
    CommittedOffset, GroupDescription, GroupKind, GroupListing, GroupMember, GroupResults, GroupState,
    OffsetCommit, ShareOffset,
};
pub use offsets::{EpochEnd, IsolationLevel, ListedOffset, OffsetSpec};
pub use problem::PartitionProblem;
pub use produce::{PartitionWriter, Producer, ProducerOptions};
pub use producers::ActiveProducer;
pub use secret::Secret;
pub use topics::{
    ConfigChange, ConfigEntry, ConfigSource, CreatedTopic, NewPartitions, NewTopic, TopicResults,
};
pub use transactions::{AbortedFilter, AbortedTransaction, BatchFacts, ControlMarker, Visibility};
