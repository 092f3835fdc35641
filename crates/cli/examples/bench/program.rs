//! The program that is measured, and its configurations.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::Cluster;

use crate::clusters::{Clusters, Topic};
use crate::measure::{Cost, child};
use crate::{Args, Result};

/// `kafka-backup`, with a folder for configurations, backup and report.
pub(crate) struct Program {
    program: PathBuf,
    folder: PathBuf,
}

impl Program {
    pub(crate) fn configure(folder: &Path, clusters: &Clusters, topic: &Topic, args: &Args) -> Result<Self> {
        let compression = &args.compression;
        let parallelism = args
            .parallelism
            .map_or(String::new(), |number| format!("  parallelism: {number}\n"));
        let backup = format!(
            "mode: backup\nbackup_id: bench\nsource:\n  bootstrap_servers: {:?}\n  topics:\n    include: [{:?}]\n\
             storage:\n  backend: filesystem\n  path: backups\nbackup:\n  source_cluster_id: source\n  \
             compression: {compression}\n{parallelism}",
            clusters.source.bootstrap_servers(),
            topic.name,
        );
        let restore = format!(
            "mode: restore\nbackup_id: bench\ntarget:\n  bootstrap_servers: {:?}\n  topics:\n    include: [\"*\"]\n\
             storage:\n  backend: filesystem\n  path: backups\nrestore:\n  consumer_group_strategy: header-based\n  \
             offset_report: offset-mapping.json\n",
            clusters.target.bootstrap_servers(),
        );
        fs::write(folder.join("backup.yaml"), backup)?;
        fs::write(folder.join("restore.yaml"), restore)?;
        // Built beside this one.
        let here = std::env::current_exe()?;
        let builds = here.parent().and_then(Path::parent).ok_or("no build folder")?;
        Ok(Self {
            program: builds.join("kafka-backup"),
            folder: folder.to_owned(),
        })
    }

    pub(crate) async fn backup(&self, source: &Cluster) -> Result<Cost> {
        child(
            &self.program,
            &["backup", "--config", "backup.yaml"],
            &self.folder,
            source,
        )
        .await
    }

    pub(crate) async fn restore(&self, target: &Cluster) -> Result<Cost> {
        child(
            &self.program,
            &["restore", "--config", "restore.yaml"],
            &self.folder,
            target,
        )
        .await
    }

    /// The folder of the backup.
    pub(crate) fn backups(&self) -> PathBuf {
        self.folder.join("backups")
    }

    /// Bytes of all files of the backup.
    pub(crate) fn backup_bytes(&self) -> Result<u64> {
        bytes_below(&self.backups())
    }

    pub(crate) fn report_bytes(&self) -> Result<u64> {
        Ok(fs::metadata(self.folder.join("offset-mapping.json"))?.len())
    }
}

fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            bytes_below(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(bytes)
}
