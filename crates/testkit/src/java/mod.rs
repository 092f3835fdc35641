//! The Java client, driven over a pipe.

mod bytes;
mod consume;
mod driver;
mod groups;
mod members;
mod positions;
mod produce;
mod raw;
mod records;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::OnceCell;

pub use consume::{ConsumeOptions, Isolation};
pub use groups::{AssignedPartition, Commit, Committed, GroupDescription, GroupListing, MemberDescription};
pub use members::{GroupMember, GroupProtocol, GroupRead};
pub use positions::NextRecord;
pub use produce::{Codec, Generate, JavaProducer, ProducerOptions, TransactionEnd};
pub use raw::{RawFetch, RawFetched, RawProduced};
pub use records::{Content, ProduceRecord, Produced, Record, TimestampType};
pub use topics::{ConfigChange, ListedOffset, OffsetSpec, PartitionDescription, TopicDescription};

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use driver::Driver;

/// The Java client with the connection properties of one cluster.
///
/// All values of a process share one Java process, which is started with the first. Cheap to clone; calls run at the same
/// time, so that who needs an order awaits one before the next.
#[derive(Debug, Clone)]
pub struct JavaClient {
    driver: Arc<Driver>,
    connection: Arc<BTreeMap<String, String>>,
}

/// The arguments of a command, with the connection that every command carries.
#[derive(Serialize)]
struct WithConnection<'a, T> {
    connection: &'a BTreeMap<String, String>,
    #[serde(flatten)]
    args: &'a T,
}

/// An answer that says nothing but that it went well.
#[derive(Deserialize)]
struct Done {}

/// Arguments of a command that has none.
#[derive(Serialize)]
struct Nothing {}

impl JavaClient {
    /// A client of a cluster that does not go through its proxies.
    pub async fn of(cluster: &Cluster) -> Result<Self> {
        Self::start(&cluster.direct_bootstrap_servers()).await
    }

    /// A client of the cluster behind some `host:port`.
    pub async fn start<S: AsRef<str>>(bootstrap_servers: &[S]) -> Result<Self> {
        Self::start_with(bootstrap_servers, &[]).await
    }

    /// Like [`JavaClient::start`], with further client properties, such as those of TLS and SASL.
    pub async fn start_with<S: AsRef<str>>(
        bootstrap_servers: &[S],
        properties: &[(&str, &str)],
    ) -> Result<Self> {
        static DRIVER: OnceCell<Arc<Driver>> = OnceCell::const_new();
        let driver = DRIVER
            .get_or_try_init(async || {
                let started = tokio::task::spawn_blocking(Driver::start).await;
                let driver = started.map_err(|error| Error::Io {
                    what: "starting the Java client".into(),
                    source: error.into(),
                })??;
                Ok::<_, Error>(Arc::new(driver))
            })
            .await?;
        let servers: Vec<&str> = bootstrap_servers.iter().map(AsRef::as_ref).collect();
        let mut connection: BTreeMap<String, String> = properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        connection.insert("bootstrap.servers".into(), servers.join(","));
        Ok(Self {
            driver: Arc::clone(driver),
            connection: Arc::new(connection),
        })
    }

    async fn call<T: DeserializeOwned>(&self, command: &'static str, args: &impl Serialize) -> Result<T> {
        self.driver
            .call(
                command,
                &WithConnection {
                    connection: &self.connection,
                    args,
                },
            )
            .await
    }

    async fn run(&self, command: &'static str, args: &impl Serialize) -> Result<()> {
        self.call::<Done>(command, args).await.map(|Done {}| ())
    }

    async fn stream<P: DeserializeOwned, T: DeserializeOwned>(
        &self,
        command: &'static str,
        args: &impl Serialize,
        on_part: impl FnMut(P),
    ) -> Result<T> {
        self.driver
            .stream(
                command,
                &WithConnection {
                    connection: &self.connection,
                    args,
                },
                on_part,
            )
            .await
    }
}
