//! The restore plan: a value that says what will be created, protected, written and put back, before any of it is done.

use std::collections::BTreeMap;

use kafka_wire::{Cluster, IsolationLevel, OffsetSpec, TopicFilter, TopicMetadata, TopicPartition};
use segment_format::Manifest;
use segment_format::manifest::Topic;

use super::source::{self, BlocksByPartition};
use crate::backup::select::TopicSelection;
use crate::config::{OnExistingData, RestoreConfig};
use crate::context::Context;
use crate::error::{Error, Result};

/// All that a restore is going to do.
#[derive(Debug)]
pub(super) struct RestorePlan {
    pub(super) topics: Vec<TopicPlan>,
    pub(super) blocks: BlocksByPartition,
    /// Worth telling before the work begins.
    pub(super) warnings: Vec<String>,
}

/// What happens to one topic.
#[derive(Debug)]
pub(super) struct TopicPlan {
    /// As the backup has it.
    pub(super) source: Topic,
    pub(super) action: TopicAction,
    /// By partition: where the first record goes.
    pub(super) target_next: BTreeMap<i32, i64>,
}

/// Whether the topic is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TopicAction {
    /// It is not, and is created with this replication factor.
    Create { replication_factor: i16 },
    /// It is, with enough partitions.
    Use,
}

impl RestorePlan {
    pub(super) fn records(&self) -> u64 {
        self.topics
            .iter()
            .flat_map(|topic| &topic.source.partitions)
            .map(|partition| partition.records)
            .sum()
    }

    pub(super) fn partitions(&self) -> usize {
        self.topics
            .iter()
            .map(|topic| topic.source.partitions.len())
            .sum()
    }
}

/// Looks at the backup and at the target, and changes neither.
pub(super) async fn make(
    cluster: &Cluster,
    context: &Context,
    manifest: &Manifest,
    config: &RestoreConfig,
) -> Result<RestorePlan> {
    let selection = TopicSelection::new(&config.target)?;
    let chosen: Vec<&Topic> = manifest
        .topics
        .iter()
        .filter(|t| selection.contains(&t.name, is_internal(&t.name)))
        .collect();
    if chosen.is_empty() {
        let all: Vec<String> = manifest.topics.iter().map(|topic| topic.name.clone()).collect();
        return Err(selection.nothing_matches(&format!("backup `{}`", manifest.backup_id), &all));
    }
    let names: Vec<&str> = chosen.iter().map(|topic| topic.name.as_str()).collect();
    let blocks = source::locate_blocks(context, manifest, &names).await?;

    let metadata = cluster
        .metadata(TopicFilter::All)
        .await
        .map_err(Error::kafka("listing the topics of the target cluster"))?;
    let mut plan = RestorePlan {
        topics: Vec::new(),
        blocks,
        warnings: Vec::new(),
    };
    let mut problems = Vec::new();
    for topic in chosen {
        let action = match metadata.topics.get(&topic.name) {
            None => create(topic, metadata.brokers.len(), &mut plan.warnings),
            Some(existing) => {
                problems.extend(too_few_partitions(topic, existing));
                TopicAction::Use
            }
        };
        plan.topics.push(TopicPlan {
            source: topic.clone(),
            action,
            target_next: BTreeMap::new(),
        });
    }
    // Asking for offsets of partitions that are not there would only hide the problem found.
    if problems.is_empty() {
        look_at_logs(cluster, &mut plan.topics, config.on_existing_data, &mut problems).await?;
    }
    if !problems.is_empty() {
        return Err(Error::TargetNotReady { problems });
    }
    Ok(plan)
}

/// Kafka's own topics; the source's metadata said so when the backup was made, but a target could differ.
fn is_internal(topic: &str) -> bool {
    matches!(
        topic,
        "__consumer_offsets" | "__transaction_state" | "__share_group_state"
    )
}

fn create(topic: &Topic, brokers: usize, warnings: &mut Vec<String>) -> TopicAction {
    let wanted = topic.replication_factor.max(1);
    let possible = i16::try_from(brokers).unwrap_or(i16::MAX).max(1);
    if wanted > possible {
        warnings.push(format!(
            "{}: created with replication factor {possible} instead of {wanted}, as the target has {brokers} broker(s)",
            topic.name
        ));
    }
    TopicAction::Create {
        replication_factor: wanted.min(possible),
    }
}

fn too_few_partitions(topic: &Topic, existing: &TopicMetadata) -> Option<String> {
    let (wanted, found) = (topic.partitions.len(), existing.partitions.len());
    (found < wanted).then(|| {
        format!(
            "topic {} has {found} partition(s) on the target, and the backup has {wanted}: add partitions to it \
             (kafka-topics --alter --topic {} --partitions {wanted}), or delete it so that the restore creates it",
            topic.name, topic.name
        )
    })
}

/// Fills in where each partition of an existing topic ends, and finds those that hold records.
async fn look_at_logs(
    cluster: &Cluster,
    topics: &mut [TopicPlan],
    on_existing_data: OnExistingData,
    problems: &mut Vec<String>,
) -> Result<()> {
    let existing = topics.iter().filter(|topic| topic.action == TopicAction::Use);
    let partitions: Vec<TopicPartition> = existing
        .flat_map(|t| {
            t.source
                .partitions
                .iter()
                .map(|p| TopicPartition::new(t.source.name.clone(), p.partition))
        })
        .collect();
    let starts = list_offsets(cluster, OffsetSpec::Earliest, &partitions).await?;
    let ends = list_offsets(cluster, OffsetSpec::Latest, &partitions).await?;
    for topic in topics {
        let mut held = 0;
        for partition in &topic.source.partitions {
            let key = TopicPartition::new(topic.source.name.clone(), partition.partition);
            let (start, end) = match topic.action {
                TopicAction::Create { .. } => (0, 0),
                TopicAction::Use => (
                    starts.get(&key).copied().unwrap_or(0),
                    ends.get(&key).copied().unwrap_or(0),
                ),
            };
            held += (end - start).max(0);
            topic.target_next.insert(partition.partition, end);
        }
        if held > 0 && on_existing_data == OnExistingData::Refuse {
            problems.push(format!(
                "topic {} already holds records on the target ({held} offsets). Restore to a clean topic, or say \
                 `on_existing_data: append` to write behind them",
                topic.source.name
            ));
        }
    }
    Ok(())
}

/// The offsets of the target's partitions, counting what open transactions hold back, too.
pub(super) async fn list_offsets(
    cluster: &Cluster,
    spec: OffsetSpec,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, i64>> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let listed = cluster
        .list_offsets(partitions, spec, IsolationLevel::ReadUncommitted)
        .await;
    let each = listed.into_iter().map(|(partition, result)| {
        let what = format!("reading the offsets of {partition} on the target");
        Ok((partition, result.map_err(Error::kafka(what))?.offset))
    });
    each.collect()
}
