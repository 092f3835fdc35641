//! What topics are to have after a restore: written down before anything is changed, put back at the end, or by the next
//! restore when this one is killed.

use std::collections::{BTreeMap, BTreeSet};

use kafka_wire::{Cluster, ConfigChange, ConfigEntry};
use segment_format::layout;
use serde::{Deserialize, Serialize};

use super::topics;
use crate::context::Context;
use crate::error::{Error, Result, chain};

/// A record larger than this is none of ours.
const MAX_RECORD_BYTES: u64 = 64 * 1024 * 1024;

/// What one topic is meant to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FinalSettings {
    pub(super) topic: String,
    /// Settings to set.
    pub(super) set: BTreeMap<String, String>,
    /// Settings to leave to the broker's default.
    pub(super) reset: BTreeSet<String>,
}

/// The settings of a restore, kept in the storage until they are in force.
#[derive(Debug)]
pub(super) struct KeptSettings {
    name: String,
    record: Record,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    target_cluster_id: Option<String>,
    topics: Vec<FinalSettings>,
}

impl KeptSettings {
    /// Writes the settings down.
    pub(super) async fn keep(
        context: &Context,
        backup_id: &str,
        cluster: &Cluster,
        topics: Vec<FinalSettings>,
    ) -> Result<Self> {
        let record = Record {
            target_cluster_id: cluster.cluster_id(),
            topics,
        };
        let name = layout::shelter_name(
            backup_id,
            context.now_ms,
            &format!("{:016x}", rand::random::<u64>()),
        );
        let json = serde_json::to_vec_pretty(&record)
            .map_err(|e| Error::Internal(format!("topic settings as JSON: {e}")))?;
        context.storage.put(&name, json.into()).await?;
        Ok(Self { name, record })
    }

    /// What restores of this backup into this cluster have left behind when they were killed, the newest first: without
    /// the topics that are no longer as they were left.
    pub(super) async fn left_behind(
        context: &Context,
        backup_id: &str,
        cluster: &Cluster,
    ) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for object in context.storage.list(&layout::shelters_prefix(backup_id)).await? {
            if layout::parse_shelter_name(&object.name).is_none() {
                continue;
            }
            let bytes = context.storage.get(&object.name, MAX_RECORD_BYTES).await?;
            let record: Record =
                serde_json::from_slice(&bytes).map_err(|e| Error::damaged(&object.name, e))?;
            if record.target_cluster_id == cluster.cluster_id() {
                let name = object.name;
                let mut kept = Self { name, record };
                kept.forget_changed_topics(cluster).await?;
                found.push(kept);
            }
        }
        Ok(found)
    }

    /// A topic that was deleted and made anew, or whose settings were put right by hand, has what its owner wants now.
    async fn forget_changed_topics(&mut self, cluster: &Cluster) -> Result<()> {
        for settings in std::mem::take(&mut self.record.topics) {
            let entries = describe_if_there(cluster, &settings.topic).await?;
            if entries.is_some_and(|entries| topics::is_as_left(&entries)) {
                self.record.topics.push(settings);
            }
        }
        Ok(())
    }

    /// The topics concerned.
    pub(super) fn topics(&self) -> Vec<&str> {
        self.record
            .topics
            .iter()
            .map(|settings| settings.topic.as_str())
            .collect()
    }

    /// Gives every topic that there is the settings that it is meant to have, then forgets them. Returns what the target
    /// would not take.
    pub(super) async fn put_back(self, context: &Context, cluster: &Cluster) -> Result<Vec<String>> {
        let mut refused = Vec::new();
        let mut failed = Vec::new();
        for settings in &self.record.topics {
            match settings.put_back(cluster).await {
                Ok(warnings) => refused.extend(warnings),
                Err(error) => failed.push(format!(
                    "{}: {}; {}",
                    settings.topic,
                    chain(&error),
                    settings.in_words()
                )),
            }
        }
        if !failed.is_empty() {
            return Err(Error::SettingsNotPutBack {
                record: self.name,
                topics: failed,
            });
        }
        context.storage.delete(&self.name).await?;
        Ok(refused)
    }
}

impl FinalSettings {
    async fn put_back(&self, cluster: &Cluster) -> Result<Vec<String>> {
        let Some(entries) = describe_if_there(cluster, &self.topic).await? else {
            // Deleted since: nothing to be put back.
            return Ok(Vec::new());
        };
        let known: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let (set, unknown): (BTreeMap<&str, &str>, BTreeMap<&str, &str>) = self
            .set
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .partition(|(name, _)| known.contains(name));
        let mut refused: Vec<String> = unknown
            .iter()
            .map(|(name, value)| {
                format!(
                    "{}: the target does not know {name}, which was {value}",
                    self.topic
                )
            })
            .collect();
        let reset = self.reset.iter().filter(|name| known.contains(name.as_str()));
        let without = reset.fold(ConfigChange::new(), ConfigChange::reset);
        let all = set
            .iter()
            .fold(without.clone(), |change, (name, value)| change.set(*name, *value));
        if self.alter(cluster, all).await.is_err() {
            // One value that this cluster cannot take must not keep the others away.
            self.alter(cluster, without).await?;
            for (name, value) in set {
                if let Err(error) = self.alter(cluster, ConfigChange::new().set(name, value)).await {
                    refused.push(format!(
                        "{}: the target does not take {name}={value} ({})",
                        self.topic,
                        chain(&error)
                    ));
                }
            }
        }
        Ok(refused)
    }

    async fn alter(&self, cluster: &Cluster, change: ConfigChange) -> Result<()> {
        for (topic, result) in cluster.alter_topic_configs(&[(self.topic.clone(), change)]).await {
            result.map_err(Error::kafka(format!(
                "putting back the settings of topic {topic}"
            )))?;
        }
        Ok(())
    }

    /// For whoever has to do it by hand.
    fn in_words(&self) -> String {
        let set: Vec<String> = self
            .set
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let reset: Vec<&str> = self.reset.iter().map(String::as_str).collect();
        format!(
            "it is to have [{}] and the broker's defaults of [{}]",
            set.join(", "),
            reset.join(", ")
        )
    }
}

/// The settings in force; `None` when there is no such topic.
async fn describe_if_there(cluster: &Cluster, topic: &str) -> Result<Option<Vec<ConfigEntry>>> {
    match describe(cluster, &[topic.to_owned()]).await {
        Err(Error::Kafka { source, .. })
            if source.code().is_some_and(kafka_wire::ErrorCode::is_unknown_topic) =>
        {
            Ok(None)
        }
        described => Ok(described?.remove(topic)),
    }
}

/// The settings in force, by topic.
pub(super) async fn describe(
    cluster: &Cluster,
    topics: &[String],
) -> Result<BTreeMap<String, Vec<ConfigEntry>>> {
    let described = cluster
        .describe_topic_configs(topics)
        .await
        .into_iter()
        .map(|(topic, entries)| {
            let entries = entries.map_err(Error::kafka(format!(
                "reading the settings of topic {topic} on the target"
            )))?;
            Ok((topic, entries))
        });
    described.collect()
}
