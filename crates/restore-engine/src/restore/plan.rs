//! The restore plan: a value that says what will be created, protected, written and put back, before any of it is done.

use std::collections::BTreeMap;

use kafka_wire::{Cluster, IsolationLevel, OffsetSpec, TopicFilter, TopicMetadata, TopicPartition};
use segment_format::BackupSet;
use segment_format::manifest::Topic;

use super::settings::describe;
use super::source::{self, BlocksByPartition};
use crate::config::{OnExistingData, RestoreConfig};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::selection::TopicSelection;

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
    /// The partitions that the target has already.
    pub(super) existing_partitions: Vec<i32>,
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
    set: &BackupSet,
    config: &RestoreConfig,
) -> Result<RestorePlan> {
    let (chosen, mut warnings) = choose(set, config)?;
    let names: Vec<&str> = chosen.iter().map(|topic| topic.name.as_str()).collect();
    let blocks = source::locate_blocks(context, set, &names).await?;

    let metadata = cluster.metadata(TopicFilter::All).await;
    let metadata = metadata.map_err(Error::kafka("listing the topics of the target cluster"))?;
    let mut topics = Vec::new();
    let mut problems = Vec::new();
    for topic in chosen {
        let existing = metadata.topics.get(&topic.name);
        let action = match existing {
            None => create(topic, metadata.brokers.len(), &mut warnings),
            Some(existing) => {
                problems.extend(unfit_partitions(topic, existing, &mut warnings));
                TopicAction::Use
            }
        };
        let existing_partitions = existing.map(|existing| existing.partitions.keys().copied().collect());
        topics.push(TopicPlan {
            source: topic.clone(),
            action,
            existing_partitions: existing_partitions.unwrap_or_default(),
            target_next: BTreeMap::new(),
        });
    }
    // Asking for offsets of partitions that are not there would only hide the problem found.
    if problems.is_empty() {
        look_at_logs(cluster, &mut topics, config.on_existing_data, &mut problems).await?;
    }
    if !problems.is_empty() {
        return Err(Error::TargetNotReady { problems });
    }
    Ok(RestorePlan {
        topics,
        blocks,
        warnings,
    })
}

/// The topics of the backup that are meant, and what is odd about the wishes.
fn choose<'a>(set: &'a BackupSet, config: &RestoreConfig) -> Result<(Vec<&'a Topic>, Vec<String>)> {
    let selection = TopicSelection::new(&config.target)?;
    let place = format!("backup `{}`", set.backup_id());
    let all: Vec<String> = set.topics().map(|topic| topic.name.clone()).collect();
    let mut warnings = selection.check_every_entry(&place, &all)?;
    let meant = set
        .topics()
        .filter(|topic| selection.contains(&topic.name, is_internal(&topic.name)));
    let chosen: Vec<&Topic> = meant.collect();
    if chosen.is_empty() {
        return Err(selection.nothing_matches(&place, &all));
    }
    if let Some(internal) = chosen.iter().find(|topic| is_internal(&topic.name)) {
        let problem = format!(
            "{} belongs to Kafka itself: writing into it would break the target",
            internal.name
        );
        return Err(Error::TargetNotReady {
            problems: vec![problem],
        });
    }
    for group in &config.consumer_groups {
        if set.group(group).is_none() {
            warnings.push(format!(
                "consumer group {group} has no committed offsets in the backup and cannot be reset"
            ));
        }
    }
    Ok((chosen, warnings))
}

/// Kafka's own topics.
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

fn unfit_partitions(topic: &Topic, existing: &TopicMetadata, warnings: &mut Vec<String>) -> Option<String> {
    let (name, wanted, found) = (&topic.name, topic.partitions.len(), existing.partitions.len());
    if found > wanted {
        warnings.push(format!(
            "{name}: the target has {found} partitions and the backup {wanted}; records keep their partitions, so keys are \
             not where new producers will put them"
        ));
    }
    (found < wanted).then(|| {
        format!(
            "topic {name} has {found} partition(s) on the target, and the backup has {wanted}: add partitions to it \
             (kafka-topics --alter --topic {name} --partitions {wanted}), or delete it so that the restore creates it"
        )
    })
}

/// Fills in where each partition of an existing topic ends, and finds what must not be written behind.
async fn look_at_logs(
    cluster: &Cluster,
    topics: &mut [TopicPlan],
    on_existing_data: OnExistingData,
    problems: &mut Vec<String>,
) -> Result<()> {
    let name = |topic: &TopicPlan, partition: i32| TopicPartition::new(topic.source.name.as_str(), partition);
    let partitions: Vec<TopicPartition> = topics
        .iter()
        .flat_map(|topic| {
            topic
                .existing_partitions
                .iter()
                .map(|&partition| name(topic, partition))
        })
        .collect();
    let starts = list_offsets(
        cluster,
        OffsetSpec::Earliest,
        IsolationLevel::ReadUncommitted,
        &partitions,
    )
    .await?;
    let ends = list_offsets(
        cluster,
        OffsetSpec::Latest,
        IsolationLevel::ReadUncommitted,
        &partitions,
    )
    .await?;
    let stable = list_offsets(
        cluster,
        OffsetSpec::Latest,
        IsolationLevel::ReadCommitted,
        &partitions,
    )
    .await?;
    for topic in topics {
        let offset = |of: &BTreeMap<TopicPartition, i64>, partition: i32| {
            of.get(&name(topic, partition)).copied().unwrap_or(0)
        };
        let existing = topic.existing_partitions.iter().copied();
        let held: i64 = existing
            .clone()
            .map(|p| (offset(&ends, p) - offset(&starts, p)).max(0))
            .sum();
        let open = existing.clone().find(|&p| offset(&stable, p) < offset(&ends, p));
        let compacted = held > 0 && is_compacted(cluster, &topic.source.name).await?;
        problems.extend(unfit_logs(
            &topic.source.name,
            held,
            open,
            compacted,
            on_existing_data,
        ));
        let wanted = topic.source.partitions.iter().map(|p| p.partition);
        topic.target_next = wanted
            .map(|partition| (partition, offset(&ends, partition)))
            .collect();
    }
    Ok(())
}

fn unfit_logs(
    topic: &str,
    held: i64,
    open: Option<i32>,
    compacted: bool,
    on_existing_data: OnExistingData,
) -> Option<String> {
    if held > 0 && on_existing_data == OnExistingData::Refuse {
        return Some(format!(
            "topic {topic} already holds records on the target ({held} offsets). Restore to a clean topic, or say \
             `on_existing_data: append` to write behind them"
        ));
    }
    if let Some(partition) = open {
        return Some(format!(
            "topic {topic} has an open transaction in partition {partition} on the target: its end would fall between \
             restored records. End it first"
        ));
    }
    compacted.then(|| {
        format!(
            "topic {topic} is compacted and already holds records on the target: restored values, which are older, would \
             take the place of newer ones. Restore to a clean topic"
        )
    })
}

async fn is_compacted(cluster: &Cluster, topic: &str) -> Result<bool> {
    let described = describe(cluster, &[topic.to_owned()]).await?;
    let policy = described
        .values()
        .flatten()
        .find(|entry| entry.name == "cleanup.policy");
    Ok(policy
        .and_then(|entry| entry.value.as_deref())
        .is_some_and(|policy| policy.contains("compact")))
}

/// The offsets of the target's partitions.
pub(super) async fn list_offsets(
    cluster: &Cluster,
    spec: OffsetSpec,
    isolation: IsolationLevel,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, i64>> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let listed = cluster.list_offsets(partitions, spec, isolation).await;
    let each = listed.into_iter().map(|(partition, result)| {
        let what = format!("reading the offsets of {partition} on the target");
        Ok((partition, result.map_err(Error::kafka(what))?.offset))
    });
    each.collect()
}
