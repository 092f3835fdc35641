//! The topics of the source, as they are now: ids, partitions, own settings.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_wire::{Cluster, ConfigEntry, ConfigSource, ErrorCode, Metadata, TopicFilter, TopicMetadata};
use segment_format::manifest::{TimestampType, Topic};
use segment_format::{BackupSet, TopicId};

use super::identity;
use super::report::Trouble;
use crate::error::{Error, Result, chain};
use crate::selection::TopicSelection;

/// Together, how long a topic that has gone is looked for before it is believed.
const LOOKS_FOR_GONE: u32 = 6;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// What the source says.
#[derive(Debug, Default)]
pub(super) struct Described {
    /// The selected topics, sorted by name.
    pub(super) topics: Vec<Found>,
    /// Topics that cannot be described now.
    pub(super) troubles: Vec<Trouble>,
    /// What the operator should know.
    pub(super) warnings: Vec<Warning>,
}

/// A topic of the source.
#[derive(Debug)]
pub(super) struct Found {
    /// Its facts, with the id by which the backup knows it; the list of partitions is empty.
    pub(super) topic: Topic,
    /// How many partitions it has.
    pub(super) partitions: i32,
    /// The id that it has at the source now; zero when the cluster tells none.
    pub(super) source_id: TopicId,
    /// Partitions that have no leader now.
    pub(super) leaderless: BTreeSet<i32>,
}

/// Worth telling once in a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Warning {
    /// An entry of the selection finds nothing.
    NoMatch(String),
    /// A topic of the backup is not there any more.
    Gone(String),
    /// A topic has another id than the one of its name in the backup.
    MadeAnew(String),
}

/// Asks for the selected topics. `set` has those that earlier runs have seen, `told` what this run has said of them.
pub(super) async fn describe(
    cluster: &Cluster,
    selection: &TopicSelection<'_>,
    set: &BackupSet,
    told: &BTreeSet<Warning>,
) -> Result<Described> {
    let backed_up: BTreeSet<&str> = set.topics().map(|topic| topic.name.as_str()).collect();
    let Seen {
        metadata,
        gone,
        hidden,
    } = look(cluster, selection, &backed_up, told).await?;
    let chosen: Vec<&TopicMetadata> = metadata
        .topics
        .values()
        .filter(|topic| selection.contains(&topic.name, topic.internal))
        .collect();
    let mut described = Described::default();
    // A topic that is gone was once found by the entry that names it, and one that is hidden may be there.
    let mut known: BTreeSet<&str> = metadata.topics.keys().map(String::as_str).collect();
    known.extend(&backed_up);
    known.extend(hidden.iter().map(String::as_str));
    let known: Vec<String> = known.into_iter().map(str::to_owned).collect();
    let unmatched = selection.check_every_entry("the source cluster", &known)?;
    described
        .warnings
        .extend(unmatched.into_iter().map(Warning::NoMatch));
    described.warnings.extend(gone);
    if chosen.is_empty() && backed_up.is_empty() && hidden.is_empty() {
        let public = metadata.topics.values().filter(|topic| !topic.internal);
        let all: Vec<String> = public.map(|topic| topic.name.clone()).collect();
        return Err(selection.nothing_matches("the source cluster", &all));
    }
    add_topics(cluster, set, &chosen, &mut described).await;
    let hidden = hidden
        .iter()
        .map(|name| Trouble::of_topic(name, MAY_NOT_DESCRIBE.to_owned()));
    described.troubles.extend(hidden);
    Ok(described)
}

/// Brokers say the same of a topic that there is not, to who may not know whether there is.
const MAY_NOT_DESCRIBE: &str = "the source cluster does not let this user see it, or whether it is there: grant the right \
                                Describe on the topic (Read, which a backup needs as well, includes it). If it was deleted \
                                on purpose, exclude it";

/// What the source lets one see.
struct Seen {
    metadata: Metadata,
    /// The topics of the backup that are not there any more.
    gone: Vec<Warning>,
    /// Topics that may not be seen: of the backup, or named in full by the selection.
    hidden: Vec<String>,
}

/// The topics that there are. One that has just gone is looked for again: after a restart with ZooKeeper, brokers answer for a
/// moment as if there were no topics.
async fn look(
    cluster: &Cluster,
    selection: &TopicSelection<'_>,
    backed_up: &BTreeSet<&str>,
    told: &BTreeSet<Warning>,
) -> Result<Seen> {
    let mut looks = 0;
    loop {
        let metadata = ask(cluster, TopicFilter::All).await?;
        let before = backed_up.iter().copied();
        let wanted: BTreeSet<&str> = before
            .filter(|name| selection.contains(name, false))
            .chain(selection.named())
            .filter(|&name| !metadata.topics.contains_key(name))
            .collect();
        let hidden = hidden(cluster, &wanted).await?;
        let is_gone = |name: &&str| backed_up.contains(name) && !hidden.iter().any(|hidden| hidden == name);
        let gone: Vec<Warning> = wanted
            .into_iter()
            .filter(is_gone)
            .map(|name| Warning::Gone(name.to_owned()))
            .collect();
        if looks == LOOKS_FOR_GONE || gone.iter().all(|warning| told.contains(warning)) {
            return Ok(Seen {
                metadata,
                gone,
                hidden,
            });
        }
        looks += 1;
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// Which of these topics may not be seen. A list of all topics leaves those out without a word; asked for by name, brokers
/// tell.
async fn hidden(cluster: &Cluster, names: &BTreeSet<&str>) -> Result<Vec<String>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let names = names.iter().map(|&name| name.to_owned()).collect();
    let answers = ask(cluster, TopicFilter::Names(names))
        .await?
        .topics
        .into_values();
    let refused = answers.filter(|topic| topic.error == Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    Ok(refused.map(|topic| topic.name).collect())
}

async fn ask(cluster: &Cluster, topics: TopicFilter) -> Result<Metadata> {
    let answer = cluster.metadata(topics).await;
    answer.map_err(Error::kafka("listing the topics of the source cluster"))
}

async fn add_topics(
    cluster: &Cluster,
    set: &BackupSet,
    chosen: &[&TopicMetadata],
    described: &mut Described,
) {
    let names: Vec<&str> = chosen.iter().map(|topic| topic.name.as_str()).collect();
    let mut configs: BTreeMap<String, _> = match names.is_empty() {
        true => BTreeMap::new(),
        false => cluster.describe_topic_configs(&names).await.into_iter().collect(),
    };
    let mut found = Vec::new();
    for topic in chosen {
        let entries = match configs.remove(&topic.name) {
            Some(Ok(entries)) => Ok(entries),
            Some(Err(error)) => Err(format!("its settings cannot be read: {}", chain(&error))),
            None => Err("the cluster did not tell its settings".to_owned()),
        };
        match entries.and_then(|entries| with_facts(topic, entries)) {
            Ok(facts) => found.push(facts),
            Err(problem) => described.troubles.push(Trouble::of_topic(&topic.name, problem)),
        }
    }
    identity::settle(cluster, set, found, described).await;
}

fn with_facts(topic: &TopicMetadata, entries: Vec<ConfigEntry>) -> std::result::Result<Found, String> {
    if let Some(code) = topic.error {
        return Err(format!("the cluster cannot describe it now ({code})"));
    }
    let numbers = topic.partitions.keys().copied();
    if topic.partitions.is_empty() || !numbers.zip(0..).all(|(have, want)| have == want) {
        return Err("the cluster lists its partitions with a hole".to_owned());
    }
    let replicas = topic
        .partitions
        .values()
        .map(|partition| partition.replicas.len())
        .min()
        .unwrap_or(1);
    let timestamp_type = entries
        .iter()
        .find(|entry| entry.name == "message.timestamp.type")
        .and_then(|entry| entry.value.clone())
        .map(TimestampType::from);
    // Values that come from brokers' settings or from defaults belong to the cluster and not to the topic.
    let own = entries
        .into_iter()
        .filter(|entry| entry.source == ConfigSource::DynamicTopic);
    let source_id = topic.topic_id.map_or(TopicId::ZERO, TopicId);
    let facts = Topic {
        name: topic.name.clone(),
        topic_id: source_id,
        replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
        configs: own.filter_map(|entry| Some((entry.name, entry.value?))).collect(),
        timestamp_type,
        largest_batch: 0,
        partitions: Vec::new(),
    };
    let leaderless = topic
        .partitions
        .iter()
        .filter(|(_, partition)| partition.leader.is_none());
    Ok(Found {
        topic: facts,
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        source_id,
        leaderless: leaderless.map(|(&number, _)| number).collect(),
    })
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoMatch(text) => f.write_str(text),
            Self::Gone(topic) => write!(
                f,
                "topic {topic} is no longer on the source cluster; what the backup has of it stays"
            ),
            Self::MadeAnew(topic) => write!(
                f,
                "topic {topic} was deleted and made anew on the source cluster: it is backed up from its beginning, and what \
                 the backup has of the topic before it stays"
            ),
        }
    }
}
