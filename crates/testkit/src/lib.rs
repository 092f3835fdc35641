//! Real Kafka clusters, a Java client, an S3 server and a fault-injecting proxy for tests.
//!
//! Brokers are the official jars, run as child processes on free loopback ports; what a test writes and reads goes
//! through the Java client, so that nothing of ours is on both sides of a check. This crate is for tests and
//! development programs only: it needs Java 17, Maven and, for S3, Go on the machine, and the network once (see its README).
//!
//! ```no_run
//! use testkit::{Cluster, ClusterOptions, JavaClient, ProduceRecord};
//!
//! # async fn example() -> testkit::Result<()> {
//! let cluster = Cluster::start(ClusterOptions::new()).await?;
//! let java = JavaClient::of(&cluster).await?;
//! java.create_topic("orders", 3, &[("cleanup.policy", "delete")]).await?;
//! java.produce(&[ProduceRecord::new("orders", 0).key("k").value("v")]).await?;
//! let records = java.consume_all("orders", 0).await?;
//! assert_eq!(records[0].value.as_deref(), Some(b"v".as_slice()));
//! # Ok(())
//! # }
//! ```
//!
//! Children die with the process that started them, whatever ended it. Nothing here is bound to the runtime it was
//! made in, so that one cluster can be shared by all tests of a binary through a `tokio::sync::OnceCell`.

pub use certificates::{Authority, Identity, Validity};
pub use cluster::{Cluster, ClusterOptions, IamKeys, Mechanism, Tuning};
pub use error::{Error, JavaError, Result};
pub use java::{
    Acl, AssignedPartition, Codec, Commit, Committed, ConfigChange, ConsumeOptions, Content, DelegationToken,
    Generate, GroupDescription, GroupListing, GroupMember, GroupProtocol, GroupRead, Isolation, JavaClient,
    JavaProducer, ListedOffset, MemberDescription, NextRecord, OffsetSpec, PartitionDescription,
    ProduceRecord, Produced, ProducerOptions, Quota, RawFetch, RawFetched, RawProduced, Record, ShareMember,
    TimestampType, TopicDescription, TransactionEnd,
};
pub use proxy::{
    Alteration, Direction, FaultProxy, RecordedRequest, RequestFault, Rule, RuleHandle, api_key,
};
pub use s3::{S3Kind, S3Server};
pub use tools::consumer_groups_script;

mod archives;
mod cache;
mod certificates;
mod cluster;
mod error;
mod jars;
mod java;
mod ports;
mod process;
mod proxy;
mod s3;
mod tools;

/// The Kafka release that is started, and whose client is used, when nothing else is asked for.
pub const DEFAULT_KAFKA_VERSION: &str = "4.3.1";
