//! Phase 2: every record of a backup, once, into another cluster, and the exact mapping of offsets.
//!
//! The order of the steps:
//!
//! 1. [`plan`]: the backup is opened and the target looked at; whatever would make the restore wrong is refused here,
//!    before anything is changed.
//! 2. [`topics`]: missing topics are created, and all get settings under which the broker takes nothing away.
//! 3. [`partition`]: records are written by an idempotent producer that knows at which offset each batch must land.
//! 4. The topics get the settings that they are meant to have, whatever happened in step 3.
//! 5. The mapping is kept beside the backup and written to `offset_report`.

mod partition;
mod plan;
mod prepare;
mod progress;
mod report;
mod source;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_wire::{ByteBudget, Cluster, ClusterConfig, Producer, ProducerOptions};
use offset_mapping::{CommittedOffset, OffsetMapping, TopicPartition};
use segment_format::Manifest;

use crate::catalog::Catalog;
use crate::concurrent::map_bounded;
use crate::config::RestoreConfig;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::observe::{Event, Phase};
use partition::{PartitionJob, RestoredPartition, Shared, restore_partition};
use plan::RestorePlan;
use prepare::PrepareOptions;

/// Partitions that are written at the same time. More gain nothing, as they share a few connections.
const PARALLEL: usize = 32;

/// How long a partition may have no leader, or its leader no answer. Long enough for a rolling restart of a broker.
const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

/// What a restore has done.
#[derive(Debug)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The set.
    pub backup_id: String,
    /// Topics restored.
    pub topics: usize,
    /// Partitions restored, empty ones included.
    pub partitions: usize,
    /// Records written, each once.
    pub records_restored: u64,
    /// Source offsets to target offsets, and the groups' positions in both.
    pub offset_mapping: OffsetMapping,
    /// Object in the storage that holds the mapping.
    pub mapping_object: String,
}

/// Restores what the configuration selects. On success every selected record is on the target once.
pub async fn run(context: &Context, backup_id: &str, config: &RestoreConfig) -> Result<RestoreReport> {
    let manifest = Catalog::new(context).open(backup_id).await?;
    report::check_writable(config.offset_report.as_deref())?;
    let cluster = Cluster::connect(ClusterConfig::new(config.target.bootstrap_servers.clone()))
        .await
        .map_err(Error::kafka("connecting to the target cluster"))?;
    let result = restore_to(&cluster, context, &manifest, config).await;
    cluster.close().await;
    result
}

async fn restore_to(
    cluster: &Cluster,
    context: &Context,
    manifest: &Manifest,
    config: &RestoreConfig,
) -> Result<RestoreReport> {
    let plan = plan::make(cluster, context, manifest, config).await?;
    for warning in &plan.warnings {
        context.observer.event(&Event::Warning(warning.clone()));
    }
    let (topics, partitions) = (plan.topics.len(), plan.partitions());
    let started = Event::Started {
        phase: Phase::Restore,
        topics,
        partitions,
        total: plan.records(),
    };
    context.observer.event(&started);

    let sheltered = topics::shelter(cluster, &plan.topics).await?;
    let written = tokio::select! {
        written = write_all(cluster, context, manifest, config, plan, &sheltered.max_batch_bytes) => written,
        () = context.cancel.cancelled() => Err(Error::Cancelled),
    };
    let put_back = sheltered.put_back(cluster).await;
    if let (Err(_), Err(error)) = (&written, &put_back) {
        // The error that is returned is the first one; this one must not be lost behind it.
        context.observer.event(&Event::Warning(format!(
            "topic settings of the restore are still in force: {error}"
        )));
    }
    let restored = written?;
    for warning in put_back?
        .into_iter()
        .chain(report::retention_warnings(context, manifest, &restored))
    {
        context.observer.event(&Event::Warning(warning));
    }

    let mut offset_mapping = OffsetMapping::new(context.now_ms);
    offset_mapping.backup_id = Some(manifest.backup_id.clone());
    offset_mapping.source_cluster_id = manifest
        .source_cluster_id
        .clone()
        .or_else(|| manifest.cluster_id.clone());
    offset_mapping.target_cluster_id = cluster.cluster_id();
    offset_mapping.target_bootstrap_servers = config.target.bootstrap_servers.clone();
    add_positions(&mut offset_mapping, manifest, restored)?;
    let mapping_object = report::save(
        context,
        manifest,
        config.offset_report.as_deref(),
        &offset_mapping,
    )
    .await?;
    context.observer.event(&Event::Finished {
        phase: Phase::Restore,
    });
    Ok(RestoreReport {
        backup_id: manifest.backup_id.clone(),
        topics,
        partitions,
        records_restored: offset_mapping.detailed_mapping_count(),
        offset_mapping,
        mapping_object,
    })
}

async fn write_all(
    cluster: &Cluster,
    context: &Context,
    manifest: &Manifest,
    config: &RestoreConfig,
    plan: RestorePlan,
    max_batch_bytes: &BTreeMap<String, u64>,
) -> Result<Vec<RestoredPartition>> {
    let mut options = ProducerOptions::default();
    options.give_up_after = Some(GIVE_UP_AFTER);
    let producer = Producer::start(cluster, options).await;
    let producer = producer.map_err(Error::kafka("starting a producer on the target"))?;
    let budget = ByteBudget::new(context.memory_bytes);
    let shared = Shared {
        context: context.clone(),
        producer,
        budget,
        progress: Arc::default(),
    };
    let jobs = jobs(manifest, config, plan, max_batch_bytes);
    let restored = map_bounded(jobs, PARALLEL, |job| restore_partition(shared.clone(), job)).await?;
    Ok(restored)
}

fn jobs(
    manifest: &Manifest,
    config: &RestoreConfig,
    plan: RestorePlan,
    max_batch_bytes: &BTreeMap<String, u64>,
) -> Vec<PartitionJob> {
    let source_cluster = manifest
        .source_cluster_id
        .as_ref()
        .or(manifest.cluster_id.as_ref());
    let mut positions: BTreeMap<(String, i32), Vec<i64>> = BTreeMap::new();
    for offset in manifest.groups.iter().flat_map(|group| &group.offsets) {
        positions
            .entry((offset.topic.clone(), offset.partition))
            .or_default()
            .push(offset.offset);
    }
    let RestorePlan {
        topics, mut blocks, ..
    } = plan;
    let mut jobs = Vec::new();
    for topic in topics {
        let options = PrepareOptions {
            origin_headers: config
                .include_original_offset_header
                .then(|| source_cluster.cloned()),
            max_batch_bytes: max_batch_bytes
                .get(&topic.source.name)
                .copied()
                .unwrap_or(u64::from(u32::MAX)),
        };
        for partition in topic.source.partitions {
            let key = (topic.source.name.clone(), partition.partition);
            let mut positions = positions.remove(&key).unwrap_or_default();
            positions.sort_unstable();
            positions.dedup();
            jobs.push(PartitionJob {
                topic: topic.source.name.clone(),
                blocks: blocks.remove(&key).unwrap_or_default(),
                target_next: topic.target_next.get(&partition.partition).copied().unwrap_or(0),
                partition,
                positions,
                options: options.clone(),
            });
        }
    }
    jobs
}

/// Fills the mapping: the partitions' runs, and each group's position on both sides.
fn add_positions(
    mapping: &mut OffsetMapping,
    manifest: &Manifest,
    restored: Vec<RestoredPartition>,
) -> Result<()> {
    let mut timestamps = BTreeMap::new();
    for RestoredPartition {
        topic,
        partition,
        map,
        position_timestamps,
    } in restored
    {
        timestamps.insert((topic.clone(), partition), position_timestamps);
        mapping.entries.insert(TopicPartition::new(topic, partition), map);
    }
    for group in &manifest.groups {
        let committed = group.offsets.iter().map(|offset| {
            let of_partition = timestamps.get(&(offset.topic.clone(), offset.partition));
            CommittedOffset {
                topic: offset.topic.clone(),
                partition: offset.partition,
                offset: Some(offset.offset),
                metadata: offset.metadata.clone(),
                timestamp: of_partition.and_then(|of| of.get(&offset.offset).copied()),
            }
        });
        mapping.add_group(&group.group_id, committed);
    }
    Ok(())
}
