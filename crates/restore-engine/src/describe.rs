//! What backup sets hold, as their manifests say it: no segment is read.

use segment_format::BackupSet;
use segment_format::manifest::{Gap, Group, GroupOffset, Topic};
use serde::Serialize;

use crate::catalog::Catalog;
use crate::context::Context;
use crate::error::{Error, Result, chain};

/// One backup set in a list of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupEntry {
    /// Its name.
    pub backup_id: String,
    /// Its newest generation, if that can be read.
    pub newest: Option<Totals>,
    /// Why it cannot be read.
    pub problem: Option<String>,
}

/// A generation of a backup set in a few numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Number of the commit.
    pub generation: u64,
    /// When it was committed, in milliseconds since 1970 UTC.
    pub created_at: i64,
    /// Whether the run that committed it had come to its end.
    pub complete: bool,
    /// Topics, those included whose name another topic has now.
    pub topics: usize,
    /// Partitions of them.
    pub partitions: usize,
    /// Partitions that the last run could not cover as far as it wanted to.
    pub partitions_with_trouble: usize,
    /// Records.
    pub records: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Number of segments.
    pub segments: usize,
    /// Consumer groups.
    pub groups: usize,
    /// Offsets that the source had lost before they could be read.
    pub lost_offsets: u64,
}

/// All that the manifests say of a backup set, without the names of its segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupDescription {
    /// Its name.
    pub backup_id: String,
    /// The storage, in words.
    pub place: String,
    /// The generation that is described.
    #[serde(flatten)]
    pub totals: Totals,
    /// Numbers of all generations that there are, oldest first.
    pub generations: Vec<u64>,
    /// Program and version that committed it.
    pub created_by: String,
    /// Id of the source cluster.
    pub cluster_id: Option<String>,
    /// Label of the source cluster.
    pub source_cluster_id: Option<String>,
    /// When the positions of the groups were read, in milliseconds since 1970 UTC.
    pub groups_captured_at: Option<i64>,
    /// The topics, by number: from old to new.
    pub topics: Vec<TopicDescription>,
    /// The groups, by id.
    pub groups_captured: Vec<GroupDescription>,
}

/// A topic of a backup set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Kafka's id of it.
    pub topic_id: String,
    /// False when another topic of the same name came after it: it was deleted at the source and created anew.
    pub current: bool,
    /// Replicas of each partition.
    pub replication_factor: i16,
    /// Its own settings.
    pub configs: std::collections::BTreeMap<String, String>,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition of a backup set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PartitionDescription {
    /// Its number.
    pub partition: i32,
    /// The first offset that the source had.
    pub log_start_offset: i64,
    /// Whether that is not known yet, as nobody could be asked for it.
    pub start_unknown: bool,
    /// The first offset that is not covered.
    pub end_offset: i64,
    /// Records.
    pub records: u64,
    /// Bytes that they take in the segments.
    pub bytes: u64,
    /// Records of aborted transactions that were left out.
    pub aborted_records: u64,
    /// Offsets that the source had lost before they could be read.
    pub gaps: Vec<Gap>,
    /// Why the last run could not cover it as far as it wanted to.
    pub trouble: Option<String>,
}

/// A consumer group of a backup set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GroupDescription {
    /// Its id.
    pub group_id: String,
    /// Its protocol.
    pub kind: String,
    /// Its state when it was seen.
    pub state: String,
    /// Its committed offsets, by topic and partition.
    pub offsets: Vec<GroupOffset>,
}

/// The backup sets of a storage, sorted by name. One that does not open is in the list with the reason.
///
/// # Errors
///
/// When the storage cannot be listed, its folder does not exist, or the context was cancelled.
pub async fn list(context: &Context) -> Result<Vec<BackupEntry>> {
    context.unless_cancelled(list_all(context)).await?
}

async fn list_all(context: &Context) -> Result<Vec<BackupEntry>> {
    let catalog = Catalog::new(context);
    let mut entries = Vec::new();
    for backup in catalog.backups().await? {
        let (newest, problem) = match catalog.open(&backup.backup_id).await {
            Ok(set) => (Some(totals(&set)), None),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => (None, Some(chain(&error))),
        };
        entries.push(BackupEntry {
            backup_id: backup.backup_id,
            newest,
            problem,
        });
    }
    // A path that is misspelt is not a storage without backups.
    if entries.is_empty() && !context.storage.exists().await? {
        return Err(Error::NoPlace {
            place: context.storage.describe(),
        });
    }
    Ok(entries)
}

/// What a generation of a backup set holds; the newest when none is given.
///
/// # Errors
///
/// When there is no such backup or generation, or it does not open.
pub async fn describe(
    context: &Context,
    backup_id: &str,
    generation: Option<u64>,
) -> Result<BackupDescription> {
    context
        .unless_cancelled(describe_set(context, backup_id, generation))
        .await?
}

async fn describe_set(
    context: &Context,
    backup_id: &str,
    generation: Option<u64>,
) -> Result<BackupDescription> {
    let catalog = Catalog::new(context);
    let mut generations = catalog.manifest_generations(backup_id).await?;
    let Some(&(newest, _)) = generations.first() else {
        return Err(catalog.unknown(backup_id).await);
    };
    let wanted = generation.unwrap_or(newest);
    let found = generations.iter().find(|(number, _)| *number == wanted);
    let Some((_, name)) = found else {
        return Err(Error::UnknownGeneration {
            backup_id: backup_id.to_owned(),
            generation: wanted,
            newest,
        });
    };
    let set = catalog.open_generation(backup_id, wanted, name).await?;
    generations.reverse();
    let facts = set.facts();
    Ok(BackupDescription {
        backup_id: backup_id.to_owned(),
        place: context.storage.describe(),
        totals: totals(&set),
        generations: generations.into_iter().map(|(number, _)| number).collect(),
        created_by: facts.created_by.clone(),
        cluster_id: facts.cluster_id.clone(),
        source_cluster_id: facts.source_cluster_id.clone(),
        groups_captured_at: facts.groups_captured_at,
        topics: topics(&set),
        groups_captured: set.groups().map(GroupDescription::of).collect(),
    })
}

fn totals(set: &BackupSet) -> Totals {
    let partitions = || set.incarnations().flat_map(|(_, topic)| &topic.partitions);
    let gaps = partitions().flat_map(|partition| &partition.gaps);
    Totals {
        generation: set.generation(),
        created_at: set.facts().created_at,
        complete: set.facts().complete,
        topics: set.incarnations().len(),
        partitions: partitions().count(),
        partitions_with_trouble: partitions().filter(|p| p.trouble.is_some()).count(),
        records: partitions().map(|partition| partition.records).sum(),
        bytes: set.segments().iter().map(|segment| segment.bytes).sum(),
        segments: set.segments().len(),
        groups: set.groups().len(),
        lost_offsets: gaps.map(|gap| gap.to.abs_diff(gap.from)).sum(),
    }
}

fn topics(set: &BackupSet) -> Vec<TopicDescription> {
    let mut bytes: std::collections::HashMap<(u32, i32), u64> = std::collections::HashMap::new();
    for piece in set.segments().iter().flat_map(|segment| segment.partitions()) {
        *bytes.entry((piece.topic, piece.partition)).or_default() += piece.stored_bytes;
    }
    let describe = |(number, topic): (u32, &Topic)| TopicDescription {
        name: topic.name.clone(),
        topic_id: topic.topic_id.to_string(),
        current: set.topic_number(&topic.name) == Some(number),
        replication_factor: topic.replication_factor,
        configs: topic.configs.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| PartitionDescription {
                partition: partition.partition,
                log_start_offset: partition.log_start_offset,
                start_unknown: partition.start_unknown,
                end_offset: partition.end_offset,
                records: partition.records,
                bytes: bytes.get(&(number, partition.partition)).copied().unwrap_or(0),
                aborted_records: partition.aborted_records,
                gaps: partition.gaps.clone(),
                trouble: partition.trouble.clone(),
            })
            .collect(),
    };
    set.incarnations().map(describe).collect()
}

impl GroupDescription {
    fn of(group: &Group) -> Self {
        Self {
            group_id: group.group_id.clone(),
            kind: group.kind.to_string(),
            state: group.state.clone(),
            offsets: group.offsets.clone(),
        }
    }
}
