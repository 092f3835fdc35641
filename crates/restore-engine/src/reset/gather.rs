//! What the target says about the groups of a plan before anything is changed.

use std::collections::BTreeMap;

use kafka_wire::{Cluster, TopicPartition};
use offset_mapping::OffsetResetPlan;

use crate::concurrent::map_bounded;
use crate::error::{Error, Result};

/// Groups asked at the same time.
const PARALLEL: usize = 16;

/// Notes in the plan which positions it is about to replace, so that the reset can be undone.
pub(super) async fn previous_positions(cluster: &Cluster, plan: &mut OffsetResetPlan) -> Result<()> {
    let groups: Vec<String> = plan.groups.iter().map(|group| group.group_id.clone()).collect();
    let committed = map_bounded(groups, PARALLEL, |group| {
        let cluster = cluster.clone();
        async move { committed_offsets(&cluster, &group).await }
    });
    for (group, committed) in plan.groups.iter_mut().zip(committed.await?) {
        for partition in &mut group.partitions {
            let key = TopicPartition::new(partition.topic.as_str(), partition.partition);
            let previous = committed.get(&key);
            partition.previous_target_offset = previous.map(|(offset, _)| *offset);
            partition.previous_metadata = previous.map(|(_, metadata)| metadata.clone());
        }
    }
    Ok(())
}

/// Committed offset and metadata of every partition for which the group has one.
pub(super) async fn committed_offsets(
    cluster: &Cluster,
    group: &str,
) -> Result<BTreeMap<TopicPartition, (i64, String)>> {
    let what = format!("reading the committed offsets of group {group} on the target");
    let fetched = cluster
        .fetch_offsets(group)
        .await
        .map_err(Error::kafka(what.clone()))?;
    let mut committed = BTreeMap::new();
    for (partition, result) in fetched {
        let commit = result.map_err(Error::kafka(format!("{what}, {partition}")))?;
        committed.insert(partition, (commit.offset, commit.metadata));
    }
    Ok(committed)
}
