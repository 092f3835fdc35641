//! Phase 1: topics and consumer groups of a cluster into a backup set.
//!
//! A run opens the set, or begins it, and goes on where the newest manifest ends: `session` has the order of the steps.
//! Segments are durable before a manifest names them, and a manifest is created once. So a crash, whenever it comes,
//! leaves a set that opens, and perhaps objects that no reader looks at.
//!
//! ```text
//! topics, groups, ranges ──► work ──► read ──► partition ──► blocks ──► segments ──┐
//!   (the source, now)        (what is to be done)  (batches)      (objects)        ├──► commit
//!                                                   the partitions' states ────────┘
//! ```

mod blocks;
mod commit;
mod groups;
mod identity;
mod leftovers;
mod partition;
mod ranges;
mod read;
mod report;
mod segments;
mod session;
mod throttle;
mod topics;
mod undecided;
mod work;
mod write_behind;

use std::thread::available_parallelism;

use kafka_wire::{Cluster, ClusterConfig};
use segment_format::BackupSet;

use crate::catalog::Catalog;
use crate::config::BackupConfig;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::workers::Workers;
use commit::Committer;
pub use report::{Added, BackupReport, Trouble};
use session::Session;
pub use undecided::{OpenTransaction, Undecided};

/// Runs a backup: once, or, with `continuous: true`, until the context is cancelled.
///
/// A partition that cannot be read does not stop the others; it is in [`BackupReport::troubles`].
///
/// # Errors
///
/// When the run could not do its work, or was cancelled. What it had committed until then (see
/// [`Event::Committed`](crate::Event::Committed)) is part of the set, and the next run goes on from there.
pub async fn run(context: &Context, backup_id: &str, config: &BackupConfig) -> Result<BackupReport> {
    let parallelism = config.parallelism.unwrap_or_else(by_cores);
    let mut context = context.clone();
    context.workers = Workers::new(parallelism);
    context.memory_bytes = config.memory_limit_bytes.unwrap_or(context.memory_bytes);
    // One limit for what was fetched and for what is on its way into the storage. Each side has its own part of it: bytes
    // fetched wait for those before them to be stored, and must not hold what these need for it.
    let half = context.memory_bytes / 2;
    context.memory_bytes -= context.storage.limit_memory(half).min(half);

    let catalog = Catalog::new(&context);
    let set = context
        .unless_cancelled(catalog.open_or_begin(backup_id))
        .await??;
    let mut client = ClusterConfig::from(config.source.clone());
    client.recycled_buffer_bytes = context.memory_bytes / 4;
    let connected = context.unless_cancelled(Cluster::connect(client)).await?;
    let cluster = connected.map_err(Error::kafka("connecting to the source cluster"))?;
    let result = run_on(&context, config, &cluster, set, parallelism).await;
    cluster.close().await;
    result
}

async fn run_on(
    context: &Context,
    config: &BackupConfig,
    cluster: &Cluster,
    set: BackupSet,
    parallelism: usize,
) -> Result<BackupReport> {
    check_cluster(&set, cluster)?;
    let commits = Committer::new(context, set, cluster.cluster_id(), config);
    let mut session = Session::new(context, config, cluster, commits, parallelism);
    let result = session.run().await;
    if result.is_err() {
        session.commits.remove_orphans().await;
    }
    result
}

/// Offsets of one cluster mean nothing in another one.
fn check_cluster(set: &BackupSet, cluster: &Cluster) -> Result<()> {
    match (&set.facts().cluster_id, cluster.cluster_id()) {
        (Some(known), Some(found)) if *known != found => Err(Error::OtherCluster {
            backup_id: set.backup_id().to_owned(),
            known: known.clone(),
            found,
        }),
        _ => Ok(()),
    }
}

/// Connections for each broker, and threads that compress.
fn by_cores() -> usize {
    available_parallelism().map_or(2, usize::from).clamp(2, 8)
}
