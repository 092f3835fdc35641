//! Phase 1: topics and consumer groups of a cluster into a backup.
//!
//! The order of the steps is what makes the result true:
//!
//! 1. committed offsets first, then the end offsets: no commit points behind the backup's end for a reason of ours;
//! 2. each partition is read from its log start to the last stable offset of that moment, checked by offsets and not
//!    concluded from an empty response;
//! 3. segments are durable before the manifest names them, and the manifest is created once: until then, a crash
//!    leaves objects that no reader looks at.

mod blocks;
mod groups;
mod read;
mod segments;
mod topics;

use std::collections::BTreeSet;

use kafka_wire::{Cluster, ClusterConfig};
use segment_format::{BackupSet, CapturedGroups, Commit, layout};

use crate::catalog::Catalog;
use crate::config::BackupConfig;
use crate::context::Context;
use crate::error::{Error, Result, chain};
use crate::observe::{Event, Phase};
use crate::selection::TopicSelection;
use crate::storage::StorageError;

/// What a backup has done.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BackupReport {
    /// The set.
    pub backup_id: String,
    /// Name of the manifest that makes it a backup.
    pub manifest: String,
    /// Topics in it.
    pub topics: usize,
    /// Partitions in it, empty ones included.
    pub partitions: usize,
    /// Records in it.
    pub records: u64,
    /// Records of aborted transactions that were left out.
    pub aborted_records: u64,
    /// Consumer groups in it.
    pub groups: usize,
    /// Segments written.
    pub segments: usize,
    /// Bytes of those segments.
    pub bytes: u64,
    /// Offsets that retention removed before they could be read.
    pub lost_offsets: u64,
}

/// Runs a one-shot backup. Ends in an error, and without a manifest, when anything is missing.
pub async fn run(context: &Context, backup_id: &str, config: &BackupConfig) -> Result<BackupReport> {
    // Part of the names of all segments of this run.
    let writer_nonce = rand::random();
    let done = context
        .unless_cancelled(backup(context, backup_id, config, writer_nonce))
        .await;
    let done = done.and_then(|done| done);
    if done.is_err() {
        remove_segments(context, backup_id, writer_nonce).await;
    }
    done
}

async fn backup(
    context: &Context,
    backup_id: &str,
    config: &BackupConfig,
    writer_nonce: u64,
) -> Result<BackupReport> {
    Catalog::new(context).refuse_existing(backup_id).await?;
    let mut client = ClusterConfig::new(config.source.bootstrap_servers.clone());
    client.recycled_buffer_bytes = context.memory_bytes / 4;
    let cluster = Cluster::connect(client)
        .await
        .map_err(Error::kafka("connecting to the source cluster"))?;
    let result = backup_from(&cluster, context, backup_id, config, writer_nonce).await;
    cluster.close().await;
    result
}

/// Removes what a failed run has published: without a manifest no reader looks at it, and a full disk would stay full. What
/// cannot be removed is told.
async fn remove_segments(context: &Context, backup_id: &str, writer_nonce: u64) {
    let ours = |name: &str| {
        layout::parse_segment_name(name).is_some_and(|segment| segment.writer_nonce == writer_nonce)
    };
    let removed = async {
        for object in context.storage.list(&layout::segments_prefix(backup_id)).await? {
            if ours(&object.name) {
                context.storage.delete(&object.name).await?;
            }
        }
        Ok::<_, StorageError>(())
    };
    if let Err(error) = removed.await {
        let text = format!(
            "segments of the failed backup may be left in {}: {}",
            context.storage.describe(),
            chain(&error)
        );
        context.observer.event(&Event::Warning(text));
    }
}

async fn backup_from(
    cluster: &Cluster,
    context: &Context,
    backup_id: &str,
    config: &BackupConfig,
    writer_nonce: u64,
) -> Result<BackupReport> {
    let selection = TopicSelection::new(&config.source)?;
    let mut topics = topics::describe(cluster, context, &selection).await?;
    let names: BTreeSet<String> = topics.iter().map(|topic| topic.name.clone()).collect();

    let captured_at = context.now_ms;
    let groups = groups::capture(cluster, &names).await?;
    topics::capture_ranges(cluster, &mut topics).await?;
    let partitions = topics.iter().map(|topic| topic.partitions.len()).sum();
    let total = topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|p| (p.end_offset - p.log_start_offset) as u64)
        .sum();
    context.observer.event(&Event::Started {
        phase: Phase::Backup,
        topics: topics.len(),
        partitions,
        total,
    });

    let target = segments::SegmentTarget {
        backup_id: backup_id.to_owned(),
        generation: FIRST_GENERATION,
        segment_max_bytes: config.segment_max_bytes,
        writer_nonce,
    };
    let sink = segments::SegmentSink::start(context, target);
    let segments = read::read_all(cluster, context, config.compression, &mut topics, sink).await?;

    let mut set = BackupSet::empty(backup_id);
    let commit = Commit {
        created_at: context.now_ms,
        created_by: concat!("kafka-backup ", env!("CARGO_PKG_VERSION")).to_owned(),
        cluster_id: cluster.cluster_id(),
        source_cluster_id: config.source_cluster_id.clone(),
        offset_headers: config.include_offset_headers,
        complete: true,
        topics,
        groups: Some(CapturedGroups { captured_at, groups }),
        segments,
    };
    let manifest = commit_to(context, &mut set, commit).await?;
    context.observer.event(&Event::Finished { phase: Phase::Backup });
    Ok(report(&set, manifest))
}

/// A set has one generation until there are backups that continue one.
const FIRST_GENERATION: u64 = 1;

/// Creates the manifest: from here on the backup exists. Returns its name.
async fn commit_to(context: &Context, set: &mut BackupSet, commit: Commit) -> Result<String> {
    let unfit = |e| Error::Internal(format!("the manifest could not be made: {e}"));
    let planned = set.plan_commit(commit).map_err(unfit)?;
    let planned = planned.ok_or_else(|| Error::Internal("the first commit says nothing".to_owned()))?;
    let name = planned.object().to_owned();
    context.storage.put(&name, planned.bytes().clone()).await?;
    set.apply(planned).map_err(unfit)?;
    Ok(name)
}

fn report(set: &BackupSet, manifest: String) -> BackupReport {
    let partitions = || set.topics().flat_map(|topic| &topic.partitions);
    let gaps = partitions().flat_map(|p| &p.gaps);
    BackupReport {
        backup_id: set.backup_id().to_owned(),
        manifest,
        topics: set.topics().len(),
        partitions: partitions().count(),
        records: partitions().map(|p| p.records).sum(),
        aborted_records: partitions().map(|p| p.aborted_records).sum(),
        groups: set.groups().len(),
        segments: set.segments().len(),
        bytes: set.segments().iter().map(|s| s.bytes).sum(),
        lost_offsets: gaps.map(|gap| (gap.to - gap.from) as u64).sum(),
    }
}
