//! The Java client, driven over a pipe.

mod admin;
mod bytes;
mod consume;
mod driver;
mod groups;
mod members;
mod positions;
mod produce;
mod quotas;
mod raw;
mod records;
mod security;
mod share;
mod streams;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::OnceCell;

pub use admin::Acl;
pub use consume::{ConsumeOptions, Isolation};
pub use groups::{AssignedPartition, Commit, Committed, GroupDescription, GroupListing, MemberDescription};
pub use members::{GroupMember, GroupProtocol, GroupRead};
pub use positions::NextRecord;
pub use produce::{Codec, Generate, JavaProducer, ProducerOptions, TransactionEnd};
pub use quotas::Quota;
pub use raw::{RawFetch, RawFetched, RawProduced};
pub use records::{Content, ProduceRecord, Produced, Record, TimestampType};
pub use security::DelegationToken;
pub use share::ShareMember;
pub use topics::{ConfigChange, ListedOffset, OffsetSpec, PartitionDescription, TopicDescription};

use crate::archives::ClassArchive;
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
        let start = || async { start_driver(None).await.map(Arc::new) };
        let driver = DRIVER.get_or_try_init(start).await?;
        Ok(Self::new(Arc::clone(driver), bootstrap_servers, properties))
    }

    /// A client with a process of its own.
    pub(crate) async fn separate(bootstrap_servers: &[String], archive: ClassArchive) -> Result<Self> {
        Ok(Self::new(
            Arc::new(start_driver(Some(archive)).await?),
            bootstrap_servers,
            &[],
        ))
    }

    fn new<S: AsRef<str>>(driver: Arc<Driver>, bootstrap_servers: &[S], properties: &[(&str, &str)]) -> Self {
        let servers: Vec<&str> = bootstrap_servers.iter().map(AsRef::as_ref).collect();
        let mut connection: BTreeMap<String, String> = properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        connection.insert("bootstrap.servers".into(), servers.join(","));
        Self {
            driver,
            connection: Arc::new(connection),
        }
    }

    /// Ends the process in an orderly way; other values that share it are of no use any more.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.driver.stop().await
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

async fn start_driver(archive: Option<ClassArchive>) -> Result<Driver> {
    let start = move || {
        let archive = archive.map_or_else(ClassArchive::client, Ok)?;
        Driver::start(&archive)
    };
    tokio::task::spawn_blocking(start)
        .await
        .map_err(|error| Error::Io {
            what: "starting the Java client".into(),
            source: error.into(),
        })?
}
