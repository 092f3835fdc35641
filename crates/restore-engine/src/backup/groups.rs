//! The consumer groups of the source: which there are, and where they stand on the topics that are backed up.

use std::collections::BTreeSet;

use kafka_wire::{Cluster, GroupListing};
use segment_format::manifest::{Group, GroupKind, GroupOffset};

use crate::concurrent::map_bounded;
use crate::error::{Error, Result};

/// Groups asked for their offsets at the same time.
const PARALLEL: usize = 16;

/// Every group with a committed offset on one of `topics`, sorted by name, with those offsets.
///
/// Called **before** the end offsets of the partitions are read: then no commit points behind the end of the backup
/// for a reason of ours.
pub(super) async fn capture(cluster: &Cluster, topics: &BTreeSet<String>) -> Result<Vec<Group>> {
    let mut listed = cluster
        .list_groups()
        .await
        .map_err(Error::kafka("listing the consumer groups of the source"))?;
    // Share groups have no committed offsets.
    listed.retain(|group| group.kind != kafka_wire::GroupKind::Share);
    listed.sort_by(|a, b| a.group_id.cmp(&b.group_id));

    let captured = map_bounded(listed, PARALLEL, |listing| {
        let (cluster, topics) = (cluster.clone(), topics.clone());
        async move { offsets_of(&cluster, listing, &topics).await }
    });
    Ok(captured
        .await?
        .into_iter()
        .filter(|group| !group.offsets.is_empty())
        .collect())
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
    offsets.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
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
