//! Phase 2: every record of a backup, once, into another cluster, and the exact mapping of offsets.
//!
//! The order of the steps:
//!
//! 1. `plan`: the backup is opened and the target looked at; whatever would make the restore wrong is refused here,
//!    before anything is changed.
//! 2. `topics`: missing topics are created, and all get settings under which the broker takes nothing away.
//! 3. `partition`: records are written by an idempotent producer that knows at which offset each batch must land.
//! 4. The ends of the target's logs are compared with the mapping, which is kept beside the backup and written to
//!    `offset_report`.
//! 5. The topics get the settings that they are meant to have (`settings`), whatever happened in step 3.

mod partition;
mod plan;
mod prepare;
mod progress;
mod report;
mod retention;
mod settings;
mod source;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_wire::{ByteBudget, Cluster, ClusterConfig, IsolationLevel, OffsetSpec, Producer, ProducerOptions};
use offset_mapping::{CommittedOffset, OffsetMapping, TopicPartition};
use segment_format::BackupSet;

use crate::catalog::Catalog;
use crate::concurrent::map_bounded;
use crate::config::RestoreConfig;
use crate::context::Context;
use crate::error::{Error, Result, chain};
use crate::observe::{Event, Phase};
use partition::{PartitionJob, RestoredPartition, Shared, restore_partition};
use plan::RestorePlan;
use prepare::PrepareOptions;
use report::MappingPlaces;
use settings::KeptSettings;
use topics::MaxBatchBytes;

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
    let set = Catalog::new(context).open(backup_id).await?;
    let mut client = ClusterConfig::new(config.target.bootstrap_servers.clone());
    client.recycled_buffer_bytes = context.memory_bytes / 8;
    let connected = context.unless_cancelled(Cluster::connect(client)).await?;
    let cluster = connected.map_err(Error::kafka("connecting to the target cluster"))?;
    let restore = Restore {
        context,
        set: &set,
        config,
        cluster: &cluster,
    };
    let result = restore.run().await;
    cluster.close().await;
    result
}

/// A restore under way.
struct Restore<'a> {
    context: &'a Context,
    set: &'a BackupSet,
    config: &'a RestoreConfig,
    cluster: &'a Cluster,
}

impl Restore<'_> {
    async fn run(&self) -> Result<RestoreReport> {
        let Self {
            context,
            set,
            config,
            cluster,
        } = self;
        let places = MappingPlaces::prepare(context, set, config.offset_report.as_deref()).await?;
        let plan = context
            .unless_cancelled(plan::make(cluster, context, set, config))
            .await??;
        self.announce(&plan);
        self.finish_earlier_restores().await?;
        if context.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }

        let names: Vec<String> = plan
            .topics
            .iter()
            .map(|topic| topic.source.name.clone())
            .collect();
        let partitions = plan.partitions();
        let settings = topics::final_settings(cluster, &plan.topics).await?;
        let kept = KeptSettings::keep(context, set.backup_id(), cluster, settings).await?;
        let written = match context.unless_cancelled(self.write(plan)).await {
            Ok(Ok(written)) => written,
            Ok(Err(error)) | Err(error) => return Err(self.unfinished(kept, names, error).await),
        };
        let mapping = self.mapping(written);
        self.settle(&mapping, &places, kept, &names).await?;
        context.observer.event(&Event::Finished {
            phase: Phase::Restore,
        });
        Ok(RestoreReport {
            backup_id: set.backup_id().to_owned(),
            topics: names.len(),
            partitions,
            records_restored: mapping.detailed_mapping_count(),
            offset_mapping: mapping,
            mapping_object: places.object,
        })
    }

    fn announce(&self, plan: &RestorePlan) {
        let (topics, partitions) = (plan.topics.len(), plan.partitions());
        let total = plan.records();
        self.context.observer.event(&Event::Started {
            phase: Phase::Restore,
            topics,
            partitions,
            total,
        });
        self.warn(plan.warnings.iter().cloned());
    }

    fn warn(&self, warnings: impl IntoIterator<Item = String>) {
        warnings
            .into_iter()
            .for_each(|warning| self.context.observer.event(&Event::Warning(warning)));
    }

    /// A restore that was killed has left its topics sheltered. The plan was made already: topics that hold its records are
    /// refused, or are to be appended to, so nobody is writing them now.
    async fn finish_earlier_restores(&self) -> Result<()> {
        let Self {
            context,
            set,
            cluster,
            ..
        } = self;
        for left in KeptSettings::left_behind(context, set.backup_id(), cluster).await? {
            let topics = left.topics().join(", ");
            if !topics.is_empty() {
                self.warn([format!(
                    "an earlier restore did not end; its topics get their settings back: {topics}"
                )]);
            }
            self.warn(left.put_back(context, cluster).await?);
        }
        Ok(())
    }

    /// Creates and shelters the topics and writes every record.
    async fn write(&self, plan: RestorePlan) -> Result<Vec<RestoredPartition>> {
        topics::create_missing(self.cluster, &plan.topics).await?;
        let max_batch_bytes = topics::shelter(self.cluster, &plan.topics).await?;
        let mut options = ProducerOptions::default();
        options.give_up_after = Some(GIVE_UP_AFTER);
        let producer = Producer::start(self.cluster, options).await;
        let producer = producer.map_err(Error::kafka("starting a producer on the target"))?;
        let budget = ByteBudget::new(self.context.memory_bytes);
        let shared = Shared {
            context: self.context.clone(),
            producer,
            budget,
            progress: Arc::default(),
        };
        let jobs = jobs(self.set, self.config, plan, &max_batch_bytes);
        let restored = map_bounded(jobs, PARALLEL, |job| restore_partition(shared.clone(), job)).await?;
        self.check_ends(&restored).await?;
        Ok(restored)
    }

    /// Asks the target itself where its logs end now: behind the last restored record, or somebody else wrote.
    async fn check_ends(&self, restored: &[RestoredPartition]) -> Result<()> {
        let name = |r: &RestoredPartition| kafka_wire::TopicPartition::new(r.topic.as_str(), r.partition);
        let partitions: Vec<_> = restored.iter().map(name).collect();
        let ends = plan::list_offsets(
            self.cluster,
            OffsetSpec::Latest,
            IsolationLevel::ReadUncommitted,
            &partitions,
        )
        .await?;
        for partition in restored {
            let expected = partition
                .map
                .target_last()
                .map_or(partition.map.target_next(), |last| last + 1);
            let found = ends.get(&name(partition)).copied();
            if found != Some(expected) {
                let found = found.map_or("at an unknown offset".to_owned(), |end| format!("at {end}"));
                let problem = format!(
                    "the target's log ends {found} instead of {expected}: somebody else writes to it, so that positions \
                     would not be exact"
                );
                return Err(Error::partition(&partition.topic, partition.partition, problem));
            }
        }
        Ok(())
    }

    /// Leaves the topics with their own settings and says what state they are in.
    async fn unfinished(&self, kept: KeptSettings, topics: Vec<String>, error: Error) -> Error {
        match kept.put_back(self.context, self.cluster).await {
            Ok(warnings) => self.warn(warnings),
            Err(error) => self.warn([chain(&error)]),
        }
        if matches!(error, Error::Cancelled) {
            let topics = topics.join(", ");
            self.warn([format!(
                "the target has some records of {topics}, and not others: delete them before the next try"
            )]);
            return error;
        }
        Error::Unfinished {
            topics,
            source: Box::new(error),
        }
    }

    /// The records are there. The mapping is saved first: without it they are of no use to the groups.
    async fn settle(
        &self,
        mapping: &OffsetMapping,
        places: &MappingPlaces<'_>,
        kept: KeptSettings,
        topics: &[String],
    ) -> Result<()> {
        let Self {
            context,
            set,
            cluster,
            ..
        } = self;
        let saved = places.save(context, mapping).await;
        let put_back = kept.put_back(context, cluster).await;
        let records = mapping.detailed_mapping_count();
        if let Err(error) = saved {
            self.warn(put_back.err().map(|error| chain(&error)));
            let restored = format!("All {records} records are restored, but the mapping could not be saved.");
            return Err(Error::AfterRestore {
                restored,
                source: Box::new(error),
            });
        }
        match put_back {
            Ok(warnings) => self.warn(warnings),
            Err(error) => {
                let restored = format!(
                    "All {records} records are restored, and the mapping is in {}.",
                    places.object
                );
                return Err(Error::AfterRestore {
                    restored,
                    source: Box::new(error),
                });
            }
        }
        match retention::warnings(cluster, context, set, topics).await {
            Ok(warnings) => self.warn(warnings),
            Err(error) => self.warn([format!(
                "whether the target will delete old records is not known: {}",
                chain(&error)
            )]),
        }
        Ok(())
    }

    fn mapping(&self, restored: Vec<RestoredPartition>) -> OffsetMapping {
        let Self {
            context,
            set,
            config,
            cluster,
        } = self;
        let mut mapping = OffsetMapping::new(context.now_ms);
        mapping.backup_id = Some(set.backup_id().to_owned());
        mapping.source_cluster_id = source_cluster(set).cloned();
        mapping.target_cluster_id = cluster.cluster_id();
        mapping.target_bootstrap_servers = config.target.bootstrap_servers.clone();
        add_positions(&mut mapping, set, restored);
        mapping
    }
}

/// What the operator calls the source, or else what it calls itself.
fn source_cluster(set: &BackupSet) -> Option<&String> {
    let facts = set.facts();
    facts.source_cluster_id.as_ref().or(facts.cluster_id.as_ref())
}

fn jobs(
    set: &BackupSet,
    config: &RestoreConfig,
    plan: RestorePlan,
    max_batch_bytes: &MaxBatchBytes,
) -> Vec<PartitionJob> {
    let source_cluster = source_cluster(set);
    let mut positions: BTreeMap<(String, i32), Vec<i64>> = BTreeMap::new();
    for offset in set.groups().flat_map(|group| &group.offsets) {
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
fn add_positions(mapping: &mut OffsetMapping, set: &BackupSet, restored: Vec<RestoredPartition>) {
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
    for group in set.groups() {
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
}
