//! The target's topics around a restore: created, sheltered while old records are written, and put as they should be.
//!
//! Restored records are old. Retention by record time would delete them within minutes of being written, compaction
//! would remove some before anybody could compare, a LogAppendTime topic would overwrite their timestamps, and a
//! broker that recompresses would change the batches. So for the time of the restore each topic gets settings under
//! which nothing is taken away or changed, and afterwards the settings that it is meant to have.
//!
//! What is to be put back is written down in the storage before anything is changed: a restore that is killed leaves its
//! topics sheltered, and the next one would take those settings for the topics' own.

use std::collections::{BTreeMap, BTreeSet};

use kafka_wire::{Cluster, ConfigChange, ConfigEntry, ConfigSource, NewTopic};
use segment_format::manifest::Topic;

use super::plan::{TopicAction, TopicPlan};
use super::settings::{FinalSettings, describe};
use crate::error::{Error, Result};

/// Longest a number of milliseconds can be.
const FOREVER: &str = "9223372036854775807";

/// Room for what re-encoding and added headers may add to the largest batch of the source.
const BATCH_SLACK: u64 = 64 * 1024;

/// Kafka's default of `max.message.bytes`, where nothing else is known.
const DEFAULT_MAX_MESSAGE_BYTES: u64 = 1_048_588;

/// Every setting of the shelter.
const SHELTER: [(&str, &str); 9] = [
    ("cleanup.policy", "delete"),
    ("compression.type", "producer"),
    ("message.timestamp.after.max.ms", FOREVER),
    ("message.timestamp.before.max.ms", FOREVER),
    ("message.timestamp.difference.max.ms", FOREVER),
    ("message.timestamp.type", "CreateTime"),
    ("retention.bytes", "-1"),
    ("retention.ms", "-1"),
    // By record time: years of records would otherwise make thousands of segments.
    ("segment.ms", FOREVER),
];

/// And the one whose value depends on the topic.
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";

/// By topic: the largest batch that the target takes during the restore.
pub(super) type MaxBatchBytes = BTreeMap<String, u64>;

/// What each topic is meant to have after the restore: the source's own settings for a new topic, and for an existing
/// one what it has now (the backup does not change its settings).
pub(super) async fn final_settings(cluster: &Cluster, topics: &[TopicPlan]) -> Result<Vec<FinalSettings>> {
    let existing = topics.iter().filter(|topic| topic.action == TopicAction::Use);
    let existing: Vec<String> = existing.map(|topic| topic.source.name.clone()).collect();
    let mut described = describe(cluster, &existing).await?;
    let of_topic = |topic: &TopicPlan| {
        let name = &topic.source.name;
        let set = match topic.action {
            TopicAction::Create { replication_factor } => source_settings(&topic.source, replication_factor),
            TopicAction::Use => own_settings(described.remove(name).unwrap_or_default()),
        };
        let sheltered = SHELTER.iter().map(|(name, _)| *name).chain([MAX_MESSAGE_BYTES]);
        let reset = sheltered
            .filter(|name| !set.contains_key(*name))
            .map(str::to_owned)
            .collect();
        FinalSettings {
            topic: name.clone(),
            set,
            reset,
        }
    };
    Ok(topics.iter().map(of_topic).collect())
}

/// The settings of the source that make sense on another cluster.
fn source_settings(source: &Topic, replication_factor: i16) -> BTreeMap<String, String> {
    let mut settings = source.configs.clone();
    // These name brokers of the source.
    settings.retain(|name, _| !name.ends_with(".replication.throttled.replicas"));
    if let Some(in_sync) = settings.get_mut("min.insync.replicas")
        && in_sync
            .parse::<i16>()
            .is_ok_and(|wanted| wanted > replication_factor)
    {
        // Otherwise no producer with acks=all could write to the topic.
        *in_sync = replication_factor.to_string();
    }
    settings
}

fn own_settings(entries: Vec<ConfigEntry>) -> BTreeMap<String, String> {
    let own = entries
        .into_iter()
        .filter(|entry| entry.source == ConfigSource::DynamicTopic);
    let own = own.filter(|entry| is_sheltered(&entry.name));
    own.filter_map(|entry| Some((entry.name, entry.value?))).collect()
}

fn is_sheltered(name: &str) -> bool {
    name == MAX_MESSAGE_BYTES || SHELTER.iter().any(|(sheltered, _)| *sheltered == name)
}

/// What a topic is created with: enough to keep its records until it has the rest of the shelter.
const CREATED_WITH: [(&str, &str); 3] = [
    ("cleanup.policy", "delete"),
    ("retention.bytes", "-1"),
    ("retention.ms", "-1"),
];

/// Whether a topic still has what a restore gave it. Hardly anybody else has reason to set all of this.
pub(super) fn is_as_left(entries: &[ConfigEntry]) -> bool {
    CREATED_WITH.iter().all(|(name, value)| {
        let mut own = entries
            .iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic);
        own.any(|entry| entry.name == *name && entry.value.as_deref() == Some(*value))
    })
}

/// Creates what is missing.
pub(super) async fn create_missing(cluster: &Cluster, topics: &[TopicPlan]) -> Result<()> {
    let missing: Vec<NewTopic> = topics
        .iter()
        .filter_map(|topic| {
            let TopicAction::Create { replication_factor } = topic.action else {
                return None;
            };
            // Only what every broker version knows; the rest follows once its names are known.
            let new = NewTopic::new(topic.source.name.as_str(), topic.source.partitions.len() as i32);
            let new = new.with_replication_factor(replication_factor);
            let configs = CREATED_WITH.iter();
            Some(configs.fold(new, |new, (name, value)| new.with_config(*name, *value)))
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    for (topic, result) in cluster.create_topics(&missing).await {
        result.map_err(Error::kafka(format!("creating topic {topic} on the target")))?;
    }
    Ok(())
}

/// Gives every topic its shelter.
pub(super) async fn shelter(cluster: &Cluster, topics: &[TopicPlan]) -> Result<MaxBatchBytes> {
    let names: Vec<String> = topics.iter().map(|topic| topic.source.name.clone()).collect();
    let described = describe(cluster, &names).await?;
    let mut max_batch_bytes = MaxBatchBytes::new();
    let mut changes = Vec::new();
    for topic in topics {
        let name = topic.source.name.clone();
        let entries = described.get(&name).map(Vec::as_slice).unwrap_or_default();
        let known: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let max_batch = largest_batch(&topic.source, entries);
        let change = ConfigChange::new().set(MAX_MESSAGE_BYTES, max_batch.to_string());
        let settings = SHELTER.iter().filter(|(name, _)| known.contains(name));
        changes.push((
            name.clone(),
            settings.fold(change, |change, (name, value)| change.set(*name, *value)),
        ));
        max_batch_bytes.insert(name, max_batch);
    }
    for (topic, result) in cluster.alter_topic_configs(&changes).await {
        result.map_err(Error::kafka(format!("setting up topic {topic} on the target")))?;
    }
    Ok(max_batch_bytes)
}

fn largest_batch(source: &Topic, entries: &[ConfigEntry]) -> u64 {
    let configured = |value: Option<&String>| value.and_then(|value| value.parse::<u64>().ok());
    let on_target = entries.iter().find(|entry| entry.name == MAX_MESSAGE_BYTES);
    (source.largest_batch + BATCH_SLACK)
        .max(
            configured(on_target.and_then(|entry| entry.value.as_ref())).unwrap_or(DEFAULT_MAX_MESSAGE_BYTES),
        )
        .max(configured(source.configs.get(MAX_MESSAGE_BYTES)).unwrap_or(0))
        .min(i32::MAX as u64)
}
