//! Whether a topic is still the one that the backup knows, where its id cannot tell.
//!
//! Two ids that differ are two topics. But clusters before Kafka 2.8 give topics no ids; an upgrade gives one to every topic
//! that is there, and while it is rolled out some brokers tell it and others do not. From no id to an id, and back, a topic may
//! be the same one, then, and its logs decide: it is the same when every partition still has what the backup has of it, by the
//! leader epoch of its last batch or, where no epoch is known, by its end. The backup keeps calling it what it called it first.

use std::collections::{BTreeMap, BTreeSet};

use kafka_wire::{Cluster, IsolationLevel, OffsetSpec, TopicPartition};
use segment_format::manifest::Topic;
use segment_format::{BackupSet, TopicId};

use super::report::Trouble;
use super::topics::{Described, Found, Warning};
use crate::error::chain;

/// What the logs say of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Same,
    Other,
    /// A log could not be asked.
    Unknown(String),
}

/// Adds what was found, under the ids by which the backup knows it.
pub(super) async fn settle(cluster: &Cluster, set: &BackupSet, found: Vec<Found>, described: &mut Described) {
    let is_unsure = |found: &Found| {
        set.topic(&found.topic.name)
            .is_some_and(|before| cannot_tell(before, found))
    };
    let unsure: Vec<_> = found.iter().filter(|found| is_unsure(found)).collect();
    let mut verdicts = match unsure.is_empty() {
        true => BTreeMap::new(),
        false => ask_logs(cluster, set, &unsure).await,
    };
    for mut found in found {
        let name = found.topic.name.clone();
        let Some(before) = set.topic(&name) else {
            described.topics.push(found);
            continue;
        };
        let known_id = set.incarnation_number(&name, found.source_id).is_some();
        match verdicts.remove(&name) {
            None if before.topic_id == found.source_id => {}
            Some(Verdict::Same) => found.topic.topic_id = before.topic_id,
            Some(Verdict::Unknown(problem)) => {
                let problem =
                    format!("whether it is the topic that the backup knows cannot be told: {problem}");
                described.troubles.push(Trouble::of_topic(&name, problem));
                continue;
            }
            // Its batches must not follow those of the earlier topic that had this id, or none.
            _ if known_id => {
                let problem = "it is not the topic that the backup knows, and the cluster gives it no id by which the two \
                               could be told apart. Back it up under another backup_id";
                described
                    .troubles
                    .push(Trouble::of_topic(&name, problem.to_owned()));
                continue;
            }
            _ => described.warnings.push(Warning::MadeAnew(name)),
        }
        described.topics.push(found);
    }
}

/// Of two ids one is none.
fn cannot_tell(before: &Topic, found: &Found) -> bool {
    let (known, now) = (before.topic_id, found.source_id);
    known != now && (known == TopicId::ZERO || now == TopicId::ZERO)
}

/// Compares the logs of topics with what the backup has of them.
async fn ask_logs(cluster: &Cluster, set: &BackupSet, unsure: &[&Found]) -> BTreeMap<String, Verdict> {
    let mut epochs = Vec::new();
    let mut ends = Vec::new();
    // What every partition of a topic must have at least.
    let mut wanted = BTreeMap::new();
    let mut fewer = BTreeSet::new();
    for found in unsure {
        let name = found.topic.name.as_str();
        let partitions = set.topic(name).map_or(&[][..], |before| &before.partitions);
        for state in partitions.iter().filter(|state| state.end_offset > 0) {
            let at = TopicPartition::new(name, state.partition);
            match state.last_leader_epoch {
                // A topic never gets fewer partitions.
                _ if state.partition >= found.partitions => _ = fewer.insert(name),
                Some(epoch) => epochs.push((at.clone(), epoch)),
                None => ends.push(at.clone()),
            }
            wanted.insert(at, (state.end_offset, state.last_leader_epoch));
        }
    }
    let mut verdicts: BTreeMap<String, Verdict> = unsure
        .iter()
        .map(|found| match fewer.contains(found.topic.name.as_str()) {
            true => (found.topic.name.clone(), Verdict::Other),
            false => (found.topic.name.clone(), Verdict::Same),
        })
        .collect();
    let mut judge = |at: TopicPartition, has: Result<Option<(i64, Option<i32>)>, kafka_wire::Error>| {
        let verdict = match (has, wanted.get(&at)) {
            (Ok(Some((end, epoch))), Some(wanted)) if end >= wanted.0 && epoch == wanted.1 => Verdict::Same,
            (Ok(_), _) => Verdict::Other,
            (Err(error), _) => Verdict::Unknown(chain(&error)),
        };
        if let Some(of_topic) = verdicts.get_mut(&*at.topic) {
            *of_topic = worse(of_topic.clone(), verdict);
        }
    };
    if !epochs.is_empty() {
        for (at, answer) in cluster.leader_epoch_ends(&epochs).await {
            judge(
                at,
                answer.map(|end| end.map(|end| (end.end_offset, Some(end.leader_epoch)))),
            );
        }
    }
    if !ends.is_empty() {
        let all = IsolationLevel::ReadUncommitted;
        for (at, answer) in cluster.list_offsets(&ends, OffsetSpec::Latest, all).await {
            judge(at, answer.map(|listed| Some((listed.offset, None))));
        }
    }
    verdicts
}

/// One log that is another makes another topic, and without an answer nothing is sure.
fn worse(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::Other, _) | (_, Verdict::Other) => Verdict::Other,
        (Verdict::Unknown(problem), _) | (_, Verdict::Unknown(problem)) => Verdict::Unknown(problem),
        (Verdict::Same, Verdict::Same) => Verdict::Same,
    }
}
