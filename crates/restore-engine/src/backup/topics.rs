//! The topics of the source: ids, partitions, configs, and the offset range that a backup will hold of each partition.

use std::collections::BTreeMap;

use kafka_wire::{
    Cluster, ConfigSource, IsolationLevel, OffsetSpec, TopicFilter, TopicMetadata, TopicPartition,
};
use segment_format::TopicId;
use segment_format::manifest::{Partition, Topic};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::observe::Event;
use crate::selection::TopicSelection;

/// The selected topics, sorted by name, with everything but the offsets.
pub(super) async fn describe(
    cluster: &Cluster,
    context: &Context,
    selection: &TopicSelection<'_>,
) -> Result<Vec<Topic>> {
    let metadata = cluster
        .metadata(TopicFilter::All)
        .await
        .map_err(Error::kafka("listing the topics of the source cluster"))?;
    let chosen: Vec<&TopicMetadata> = metadata
        .topics
        .values()
        .filter(|topic| selection.contains(&topic.name, topic.internal))
        .collect();
    let all: Vec<String> = metadata
        .topics
        .values()
        .filter(|topic| !topic.internal)
        .map(|topic| topic.name.clone())
        .collect();
    let named: Vec<String> = metadata.topics.keys().cloned().collect();
    for warning in selection.check_every_entry("the source cluster", &named)? {
        context.observer.event(&Event::Warning(warning));
    }
    if chosen.is_empty() {
        return Err(selection.nothing_matches("the source cluster", &all));
    }
    let names: Vec<String> = chosen.iter().map(|topic| topic.name.clone()).collect();
    let mut configs = non_default_configs(cluster, &names).await?;
    chosen
        .into_iter()
        .map(|topic| {
            let configs = configs.remove(&topic.name).unwrap_or_default();
            without_offsets(topic, configs)
        })
        .collect()
}

fn without_offsets(topic: &TopicMetadata, configs: BTreeMap<String, String>) -> Result<Topic> {
    if let Some(code) = topic.error {
        return Err(Error::partition(
            &topic.name,
            0,
            format!("the cluster cannot describe the topic now ({code}); try again"),
        ));
    }
    let numbers: Vec<i32> = topic.partitions.keys().copied().collect();
    if numbers.iter().zip(0..).any(|(have, want)| *have != want) {
        return Err(Error::partition(
            &topic.name,
            numbers.len() as i32,
            "the cluster lists its partitions with a hole",
        ));
    }
    let replicas = topic
        .partitions
        .values()
        .map(|partition| partition.replicas.len())
        .min()
        .unwrap_or(1);
    Ok(Topic {
        name: topic.name.clone(),
        topic_id: topic.topic_id.map_or(TopicId::ZERO, TopicId),
        replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
        configs,
        timestamp_type: None,
        largest_batch: 0,
        partitions: numbers
            .into_iter()
            .map(|partition| Partition::empty(partition, 0))
            .collect(),
    })
}

/// What was set for the topics themselves. Values that come from brokers' settings or from defaults belong to the
/// source cluster's environment and not to the topic.
async fn non_default_configs(
    cluster: &Cluster,
    topics: &[String],
) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    let mut by_topic = BTreeMap::new();
    for (topic, entries) in cluster.describe_topic_configs(topics).await {
        let entries = entries.map_err(Error::kafka(format!("reading the configs of topic {topic}")))?;
        let own = entries
            .into_iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic);
        by_topic.insert(
            topic,
            own.filter_map(|entry| Some((entry.name, entry.value?))).collect(),
        );
    }
    Ok(by_topic)
}

/// Fixes what the backup will hold: from the log start to the last stable offset (behind it lie records of undecided
/// transactions, which a restore could not give back truly).
pub(super) async fn capture_ranges(cluster: &Cluster, topics: &mut [Topic]) -> Result<()> {
    let partitions: Vec<TopicPartition> = topics
        .iter()
        .flat_map(|topic| {
            topic
                .partitions
                .iter()
                .map(|p| TopicPartition::new(topic.name.clone(), p.partition))
        })
        .collect();
    // Start before end: then start <= end even if retention runs between the two.
    let starts = offsets(cluster, OffsetSpec::Earliest, &partitions).await?;
    let ends = offsets(cluster, OffsetSpec::Latest, &partitions).await?;
    let mut ranges = starts.into_iter().zip(ends);
    for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if let Some((start, end)) = ranges.next() {
            partition.log_start_offset = start;
            partition.end_offset = end.max(start);
        }
    }
    Ok(())
}

async fn offsets(cluster: &Cluster, spec: OffsetSpec, partitions: &[TopicPartition]) -> Result<Vec<i64>> {
    let mut by_partition: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    for (partition, result) in cluster
        .list_offsets(partitions, spec, IsolationLevel::ReadCommitted)
        .await
    {
        let listed = result.map_err(Error::kafka(format!("reading the offsets of {partition}")))?;
        by_partition.insert(partition, listed.offset);
    }
    partitions
        .iter()
        .map(|p| {
            by_partition
                .get(p)
                .copied()
                .ok_or_else(|| Error::partition(&p.topic, p.partition, "the broker gave no offset"))
        })
        .collect()
}
