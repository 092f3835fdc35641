//! The target's topics around a restore: created, sheltered while old records are written, and put as they should be.
//!
//! Restored records are old. Retention by record time would delete them within minutes of being written, compaction
//! would remove some before anybody could compare, a LogAppendTime topic would overwrite their timestamps, and a
//! broker that recompresses would change the batches. So for the time of the restore each topic gets settings under
//! which nothing is taken away or changed, and afterwards the settings that it is meant to have.

use std::collections::{BTreeMap, BTreeSet};

use kafka_wire::{Cluster, ConfigChange, ConfigEntry, ConfigSource, NewTopic};

use super::plan::{TopicAction, TopicPlan};
use crate::error::{Error, Result};

/// Longest a number of milliseconds can be.
const FOREVER: &str = "9223372036854775807";

/// Room for what re-encoding and added headers may add to the largest batch of the source.
const BATCH_SLACK: u64 = 64 * 1024;

/// Kafka's default of `max.message.bytes`, where nothing else is known.
const DEFAULT_MAX_MESSAGE_BYTES: u64 = 1_048_588;

/// What is to be set once the restore is over.
#[derive(Debug)]
pub(super) struct Sheltered {
    topics: Vec<FinalSettings>,
    /// By topic: the largest batch that the target takes during the restore.
    pub(super) max_batch_bytes: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct FinalSettings {
    topic: String,
    /// Settings to set.
    set: BTreeMap<String, String>,
    /// Settings of the shelter to remove.
    remove: BTreeSet<String>,
    /// Settings of the source that the target does not know.
    unknown: Vec<String>,
}

/// Creates what is missing and gives every topic its shelter.
pub(super) async fn shelter(cluster: &Cluster, topics: &[TopicPlan]) -> Result<Sheltered> {
    create_missing(cluster, topics).await?;
    let names: Vec<String> = topics.iter().map(|topic| topic.source.name.clone()).collect();
    let mut described: BTreeMap<String, Vec<ConfigEntry>> = BTreeMap::new();
    for (topic, entries) in cluster.describe_topic_configs(&names).await {
        let entries = entries.map_err(Error::kafka(format!(
            "reading the configs of {topic} on the target"
        )))?;
        described.insert(topic, entries);
    }
    let mut sheltered = Sheltered {
        topics: Vec::new(),
        max_batch_bytes: BTreeMap::new(),
    };
    let mut changes = Vec::new();
    for topic in topics {
        let entries = described.remove(&topic.source.name).unwrap_or_default();
        let known: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let max_batch = largest_batch(topic, &entries);
        let shelter: BTreeMap<String, String> = shelter_settings(max_batch)
            .into_iter()
            .filter(|(name, _)| known.contains(name.as_str()))
            .collect();
        sheltered
            .topics
            .push(final_settings(topic, &entries, &known, &shelter));
        sheltered
            .max_batch_bytes
            .insert(topic.source.name.clone(), max_batch);
        let change = shelter
            .into_iter()
            .fold(ConfigChange::new(), |change, (name, value)| {
                change.set(name, value)
            });
        changes.push((topic.source.name.clone(), change));
    }
    if let Err(error) = alter(cluster, changes, "setting up").await {
        // Some topics may have changed already.
        let _ = sheltered.put_back(cluster).await;
        return Err(error);
    }
    Ok(sheltered)
}

impl Sheltered {
    /// Gives every topic the settings that it is meant to have. Returns what could not be set and why it matters.
    pub(super) async fn put_back(&self, cluster: &Cluster) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let mut changes = Vec::new();
        for FinalSettings {
            topic,
            set,
            remove,
            unknown,
        } in &self.topics
        {
            let change = set.iter().fold(ConfigChange::new(), |change, (name, value)| {
                change.set(name, value)
            });
            changes.push((topic.clone(), remove.iter().fold(change, ConfigChange::reset)));
            if !unknown.is_empty() {
                warnings.push(format!(
                    "{topic}: the target does not know {}, which the source had set",
                    unknown.join(", ")
                ));
            }
        }
        alter(cluster, changes, "putting back the settings of").await?;
        Ok(warnings)
    }
}

async fn create_missing(cluster: &Cluster, topics: &[TopicPlan]) -> Result<()> {
    let missing: Vec<NewTopic> = topics
        .iter()
        .filter_map(|topic| {
            let TopicAction::Create { replication_factor } = topic.action else {
                return None;
            };
            // Only what every broker version knows; the rest follows once its names are known.
            let new = NewTopic::new(topic.source.name.as_str(), topic.source.partitions.len() as i32);
            let new = new
                .with_replication_factor(replication_factor)
                .with_config("cleanup.policy", "delete");
            Some(
                new.with_config("retention.ms", "-1")
                    .with_config("retention.bytes", "-1"),
            )
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

fn shelter_settings(max_batch: u64) -> BTreeMap<String, String> {
    let max_batch = max_batch.to_string();
    let settings = [
        ("cleanup.policy", "delete"),
        ("compression.type", "producer"),
        ("max.message.bytes", max_batch.as_str()),
        ("message.timestamp.after.max.ms", FOREVER),
        ("message.timestamp.before.max.ms", FOREVER),
        ("message.timestamp.difference.max.ms", FOREVER),
        ("message.timestamp.type", "CreateTime"),
        ("retention.bytes", "-1"),
        ("retention.ms", "-1"),
        // By record time: years of records would otherwise make thousands of segments.
        ("segment.ms", FOREVER),
    ];
    settings
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn largest_batch(topic: &TopicPlan, entries: &[ConfigEntry]) -> u64 {
    let configured = |value: Option<&String>| value.and_then(|value| value.parse::<u64>().ok());
    let on_target = entries
        .iter()
        .find(|entry| entry.name == "max.message.bytes")
        .and_then(|entry| entry.value.as_ref());
    let on_source = topic.source.configs.get("max.message.bytes");
    (topic.source.largest_batch + BATCH_SLACK)
        .max(configured(on_target).unwrap_or(DEFAULT_MAX_MESSAGE_BYTES))
        .max(configured(on_source).unwrap_or(0))
        .min(i32::MAX as u64)
}

fn final_settings(
    topic: &TopicPlan,
    entries: &[ConfigEntry],
    known: &BTreeSet<&str>,
    shelter: &BTreeMap<String, String>,
) -> FinalSettings {
    let (set, unknown): (BTreeMap<String, String>, Vec<String>) = match topic.action {
        TopicAction::Create { .. } => {
            let (set, unknown) = topic
                .source
                .configs
                .clone()
                .into_iter()
                .partition(|(name, _)| known.contains(name.as_str()));
            let unknown: BTreeMap<String, String> = unknown;
            (set, unknown.into_keys().collect())
        }
        // What an existing topic had set for itself; the backup does not change its settings.
        TopicAction::Use => {
            let own = entries
                .iter()
                .filter(|entry| entry.source == ConfigSource::DynamicTopic);
            let own = own.filter(|entry| shelter.contains_key(&entry.name));
            (
                own.filter_map(|entry| Some((entry.name.clone(), entry.value.clone()?)))
                    .collect(),
                Vec::new(),
            )
        }
    };
    let remove = shelter
        .keys()
        .filter(|name| !set.contains_key(*name))
        .cloned()
        .collect();
    FinalSettings {
        topic: topic.source.name.clone(),
        set,
        remove,
        unknown,
    }
}

async fn alter(cluster: &Cluster, changes: Vec<(String, ConfigChange)>, doing: &str) -> Result<()> {
    for (topic, result) in cluster.alter_topic_configs(&changes).await {
        result.map_err(Error::kafka(format!("{doing} topic {topic} on the target")))?;
    }
    Ok(())
}
