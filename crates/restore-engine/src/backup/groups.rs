//! The consumer groups of the source: which there are, and where they stand on the topics that are backed up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_wire::{Cluster, GroupListing, TopicFilter};
use segment_format::BackupSet;
use segment_format::manifest::{Group, GroupKind, GroupOffset};

use crate::concurrent::map_bounded;
use crate::error::{Error, Result, chain};

/// Groups asked for their offsets at the same time.
const PARALLEL: usize = 16;

/// The topic in which brokers keep the groups.
const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Together, how long a coordinator that is missing is waited for: another broker takes its groups over.
const LOOKS_FOR_COORDINATORS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// The groups as the backup is to have them, sorted by name: where each stands now on the topics that were `seen` in this
/// cycle, and on other topics of the backup where it stood when those were seen last.
///
/// Called **before** the end offsets of the partitions are read: then no commit points behind the end of the backup
/// for a reason of ours.
///
/// # Errors
///
/// Why not all is known: a group or a position that is left out would be taken for one that is gone.
pub(super) async fn capture(
    cluster: &Cluster,
    seen: &BTreeSet<String>,
    set: &BackupSet,
) -> std::result::Result<Vec<Group>, String> {
    find_all(cluster, seen)
        .await
        .map(|found| with_unseen(found, seen, set))
        .map_err(|error| chain(&error))
}

/// Every group with a committed offset on one of `topics`, with those offsets.
async fn find_all(cluster: &Cluster, topics: &BTreeSet<String>) -> Result<Vec<Group>> {
    every_coordinator_is_there(cluster).await?;
    let mut listed = cluster
        .list_groups()
        .await
        .map_err(Error::kafka("listing the consumer groups of the source"))?;
    // Share groups have no committed offsets.
    listed.retain(|group| group.kind != kafka_wire::GroupKind::Share);
    let captured = map_bounded(listed, PARALLEL, |listing| {
        let (cluster, topics) = (cluster.clone(), topics.clone());
        async move { offsets_of(&cluster, listing, &topics).await }
    });
    captured.await
}

/// No broker lists the groups whose part of the offsets topic has no leader.
async fn every_coordinator_is_there(cluster: &Cluster) -> Result<()> {
    let mut looks = 0;
    loop {
        let filter = TopicFilter::Names(vec![OFFSETS_TOPIC.to_owned()]);
        let metadata = cluster.metadata(filter).await;
        let metadata = metadata.map_err(Error::kafka(
            "looking for the coordinators of the consumer groups",
        ))?;
        // Where there are no groups yet there is no such topic, and not everybody may see it.
        let partitions = metadata.topics.get(OFFSETS_TOPIC).map(|topic| &topic.partitions);
        let without_leader = partitions.map_or(0, |partitions| {
            partitions
                .values()
                .filter(|partition| partition.leader.is_none())
                .count()
        });
        if without_leader == 0 {
            return Ok(());
        }
        if looks == LOOKS_FOR_COORDINATORS {
            return Err(Error::NoCoordinator { without_leader });
        }
        looks += 1;
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// Adds the positions that the backup has on topics that were not seen: deleted at the source, not selected any more, or in
/// trouble. The records that it has of them stay in the backup, and the positions belong to these records.
fn with_unseen(found: Vec<Group>, seen: &BTreeSet<String>, set: &BackupSet) -> Vec<Group> {
    let found = found.into_iter().map(|group| (group.group_id.clone(), group));
    let mut groups: BTreeMap<String, Group> = found.collect();
    for before in set.groups() {
        let unseen = before
            .offsets
            .iter()
            .filter(|offset| !seen.contains(&offset.topic));
        let mut unseen = unseen.cloned().peekable();
        if unseen.peek().is_none() {
            continue;
        }
        let group = groups.entry(before.group_id.clone()).or_insert_with(|| Group {
            offsets: Vec::new(),
            ..before.clone()
        });
        group.offsets.extend(unseen);
        sort(&mut group.offsets);
    }
    groups
        .into_values()
        .filter(|group| !group.offsets.is_empty())
        .collect()
}

async fn offsets_of(cluster: &Cluster, listing: GroupListing, topics: &BTreeSet<String>) -> Result<Group> {
    let what = || format!("reading the committed offsets of group {}", listing.group_id);
    let committed = cluster
        .fetch_offsets(&listing.group_id)
        .await
        .map_err(Error::kafka(what()))?;
    let mut offsets = Vec::new();
    for (partition, result) in committed {
        if !topics.contains(&*partition.topic) {
            continue;
        }
        // A position that cannot be read would be a group silently put back to nowhere.
        let commit = result.map_err(Error::kafka(format!("{} on {partition}", what())))?;
        offsets.push(GroupOffset {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            offset: commit.offset,
            leader_epoch: commit.leader_epoch,
            metadata: commit.metadata,
        });
    }
    sort(&mut offsets);
    Ok(Group {
        kind: match listing.kind {
            kafka_wire::GroupKind::Classic => GroupKind::Classic,
            kafka_wire::GroupKind::Consumer => GroupKind::Consumer,
            other => GroupKind::Other(other.to_string()),
        },
        group_id: listing.group_id,
        state: listing.state.to_string(),
        protocol_type: listing.protocol_type,
        offsets,
    })
}

fn sort(offsets: &mut [GroupOffset]) {
    offsets.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
}

#[cfg(test)]
mod tests {
    use segment_format::{CapturedGroups, Commit};

    use super::*;

    fn group(group_id: &str, state: &str, offsets: &[(&str, i32, i64)]) -> Group {
        let offset = |&(topic, partition, offset): &(&str, i32, i64)| GroupOffset {
            topic: topic.to_owned(),
            partition,
            offset,
            leader_epoch: None,
            metadata: String::new(),
        };
        Group {
            group_id: group_id.to_owned(),
            kind: GroupKind::Classic,
            state: state.to_owned(),
            protocol_type: "consumer".to_owned(),
            offsets: offsets.iter().map(offset).collect(),
        }
    }

    #[test]
    fn positions_on_topics_that_were_not_seen_stay_and_others_are_as_they_are_now() {
        let mut set = BackupSet::empty("prod");
        let before = vec![
            group(
                "both",
                "Stable",
                &[("hidden", 0, 7), ("seen", 0, 1), ("seen", 1, 2)],
            ),
            group("gone", "Empty", &[("hidden", 3, 9), ("seen", 0, 5)]),
            group("gone-too", "Empty", &[("seen", 0, 5)]),
        ];
        let commit = Commit {
            complete: true,
            groups: Some(CapturedGroups {
                captured_at: 1,
                groups: before,
            }),
            ..Commit::default()
        };
        let planned = set.plan_commit(commit).unwrap().unwrap();
        set.apply(planned).unwrap();

        let now = vec![
            group("both", "Empty", &[("seen", 0, 3), ("zoo", 0, 1)]),
            group("elsewhere", "Stable", &[]),
            group("new", "Stable", &[("seen", 0, 4)]),
        ];
        let seen = BTreeSet::from(["seen".to_owned(), "zoo".to_owned()]);
        let wanted = [
            group(
                "both",
                "Empty",
                &[("hidden", 0, 7), ("seen", 0, 3), ("zoo", 0, 1)],
            ),
            group("gone", "Empty", &[("hidden", 3, 9)]),
            group("new", "Stable", &[("seen", 0, 4)]),
        ];
        assert_eq!(with_unseen(now, &seen, &set), wanted);
    }
}
