//! Archives of loaded classes (class data sharing), which halve the start of a JVM.
//!
//! A start is mostly the loading and checking of classes, all of it CPU time. Once per machine a broker and a client are
//! run to see which classes they load; the JVMs after that map the result. An archive that does not fit, after an
//! update of Java, say, is ignored by the JVM.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::cache;
use crate::cluster::{Cluster, ClusterOptions};
use crate::error::{Error, Result};
use crate::jars;
use crate::java::{Commit, GroupProtocol, GroupRead, JavaClient, ProduceRecord, TransactionEnd};

/// What a JVM does with an archive.
#[derive(Debug, Clone)]
pub(crate) enum ClassArchive {
    /// Nothing.
    None,
    /// Maps it, if it is there and fits.
    Read(PathBuf),
    /// Writes it when it ends.
    Write(PathBuf),
}

impl ClassArchive {
    /// The archive of brokers of the default release.
    pub(crate) fn broker() -> Result<Self> {
        Ok(Self::Read(folder()?.join("broker.jsa")))
    }

    /// The archive of the Java client.
    pub(crate) fn client() -> Result<Self> {
        Ok(Self::Read(folder()?.join("client.jsa")))
    }

    /// The JVM's options for it.
    pub(crate) fn flags(&self) -> Vec<OsString> {
        let (option, path) = match self {
            Self::Read(path) if path.exists() => ("-XX:SharedArchiveFile=", path),
            Self::Write(path) => ("-XX:ArchiveClassesAtExit=", path),
            Self::None | Self::Read(_) => return Vec::new(),
        };
        let mut flag = OsString::from(option);
        flag.push(path);
        vec![flag]
    }
}

fn folder() -> Result<PathBuf> {
    let name = format!("archives-{}-{}", jars::classes_id(), jars::java_version()?);
    cache::once(&name, |folder| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::io("starting a runtime"))?;
        runtime.block_on(record(folder))
    })
}

/// Runs what tests run, so that the classes that they need are loaded.
async fn record(folder: &Path) -> Result<()> {
    let options = ClusterOptions::new().class_archive(ClassArchive::Write(folder.join("broker.jsa")));
    let cluster = Cluster::start(options).await?;
    let archive = ClassArchive::Write(folder.join("client.jsa"));
    let java = JavaClient::separate(&cluster.direct_bootstrap_servers(), archive).await?;
    java.create_topic("t", 1, &[]).await?;
    let record = || ProduceRecord::new("t", 0).key("k").value("v").header("h", "v");
    java.produce(&[record()]).await?;
    java.transaction("t", &[record()], TransactionEnd::Commit).await?;
    java.consume_all("t", 0).await?;
    java.commit("g", &[Commit::new("t", 0, 1)]).await?;
    java.next_records(&[("g", "t", 0)]).await?;
    for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
        java.group_read(&GroupRead::new(format!("{protocol:?}"), protocol, "t", 1))
            .await?;
    }
    java.committed("g").await?;
    java.list_groups().await?;
    java.stop().await?;
    cluster.stop_broker(0).await
}
