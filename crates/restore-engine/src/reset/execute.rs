//! Carries out a reset plan.

use std::collections::BTreeMap;

use kafka_wire::{Cluster, IsolationLevel, OffsetCommit, OffsetSpec, TopicPartition};
use offset_mapping::{GroupResetPlan, OffsetResetPlan};
use tokio_util::sync::CancellationToken;

use super::gather::committed_offsets;
use crate::error::{Result, chain};

/// What a reset has done.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OffsetResetReport {
    /// Groups of which every planned position was set and read back, sorted.
    pub groups_reset: Vec<String>,
    /// Positions that were set and read back, over all groups.
    pub partitions_reset: u64,
    /// Every group of the plan with its outcome, sorted.
    pub groups: Vec<GroupReset>,
}

/// One group of the plan.
#[derive(Debug, Clone)]
pub struct GroupReset {
    /// The group.
    pub group_id: String,
    /// What happened to it.
    pub outcome: GroupResetOutcome,
}

/// What happened to a group.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum GroupResetOutcome {
    /// Every planned position was set and read back.
    Reset,
    /// Nothing was changed, and why.
    Refused(String),
    /// Some positions were not set; the others were.
    Partial(Vec<PartitionFailure>),
}

/// A position that was not set.
#[derive(Debug, Clone)]
pub struct PartitionFailure {
    /// The partition.
    pub partition: TopicPartition,
    /// Why.
    pub problem: String,
}

impl OffsetResetReport {
    /// True when every group of the plan was reset.
    pub fn is_complete(&self) -> bool {
        self.groups
            .iter()
            .all(|group| matches!(group.outcome, GroupResetOutcome::Reset))
    }
}

pub(super) async fn execute(
    cluster: &Cluster,
    plan: &OffsetResetPlan,
    cancel: &CancellationToken,
) -> Result<OffsetResetReport> {
    let bounds = LogBounds::of(cluster, plan).await;
    let mut report = OffsetResetReport::default();
    for group in &plan.groups {
        // Between groups: a group is never left half committed for this reason, and the report says what was done.
        let outcome = match cancel.is_cancelled() {
            true => GroupResetOutcome::Refused("cancelled before its turn".to_owned()),
            false => reset_group(cluster, group, &bounds).await,
        };
        match &outcome {
            GroupResetOutcome::Reset => {
                report.groups_reset.push(group.group_id.clone());
                report.partitions_reset += group.partitions.len() as u64;
            }
            GroupResetOutcome::Partial(failures) => {
                report.partitions_reset += (group.partitions.len() - failures.len()) as u64;
            }
            GroupResetOutcome::Refused(_) => {}
        }
        report.groups.push(GroupReset {
            group_id: group.group_id.clone(),
            outcome,
        });
    }
    Ok(report)
}

/// The offsets at which the target's logs start and end. Brokers accept commits outside of them, even negative ones,
/// and consumers then fall back to `auto.offset.reset` without a word.
struct LogBounds {
    starts: BTreeMap<TopicPartition, i64>,
    ends: BTreeMap<TopicPartition, i64>,
}

impl LogBounds {
    async fn of(cluster: &Cluster, plan: &OffsetResetPlan) -> Self {
        let all = plan.groups.iter().flat_map(|group| &group.partitions);
        let mut partitions: Vec<TopicPartition> = all
            .map(|p| TopicPartition::new(p.topic.as_str(), p.partition))
            .collect();
        partitions.sort();
        partitions.dedup();
        let bound = async |spec| {
            let listed = cluster
                .list_offsets(&partitions, spec, IsolationLevel::ReadUncommitted)
                .await;
            // A partition without an answer has no bounds, and its positions are refused below.
            let answered = listed
                .into_iter()
                .filter_map(|(partition, result)| Some((partition, result.ok()?.offset)));
            answered.collect()
        };
        Self {
            starts: bound(OffsetSpec::Earliest).await,
            ends: bound(OffsetSpec::Latest).await,
        }
    }

    fn problem(&self, partition: &TopicPartition, offset: i64) -> Option<String> {
        match (self.starts.get(partition), self.ends.get(partition)) {
            (Some(start), Some(end)) if (*start..=*end).contains(&offset) => None,
            (Some(start), Some(end)) => Some(format!(
                "{partition}: offset {offset} is outside of the target's log, which goes from {start} to {end}"
            )),
            _ => Some(format!(
                "{partition}: the target has no such partition, or did not say where its log starts and ends"
            )),
        }
    }
}

async fn reset_group(cluster: &Cluster, group: &GroupResetPlan, bounds: &LogBounds) -> GroupResetOutcome {
    let outside: Vec<String> = group
        .partitions
        .iter()
        .filter_map(|p| {
            bounds.problem(
                &TopicPartition::new(p.topic.as_str(), p.partition),
                p.target_offset,
            )
        })
        .collect();
    if !outside.is_empty() {
        return GroupResetOutcome::Refused(outside.join("; "));
    }
    if let Some(problem) = not_resettable(cluster, group).await {
        return GroupResetOutcome::Refused(problem);
    }
    match commit_and_read_back(cluster, group).await {
        Ok(failures) if failures.is_empty() => GroupResetOutcome::Reset,
        Ok(failures) => GroupResetOutcome::Partial(failures),
        Err(error) => {
            let all = group
                .partitions
                .iter()
                .map(|p| TopicPartition::new(p.topic.as_str(), p.partition));
            let problem = format!("whether it was set is not known: {}", chain(&error));
            GroupResetOutcome::Partial(
                all.map(|partition| PartitionFailure {
                    partition,
                    problem: problem.clone(),
                })
                .collect(),
            )
        }
    }
}

/// Why the group cannot be reset now: it is not in the backup, or somebody is using it.
async fn not_resettable(cluster: &Cluster, group: &GroupResetPlan) -> Option<String> {
    if group.not_in_backup {
        return Some("the backup has no committed offsets of this group".to_owned());
    }
    for (_, result) in cluster
        .describe_groups(std::slice::from_ref(&group.group_id))
        .await
    {
        match result {
            Ok(description) if !description.is_idle() => {
                let clients: Vec<&str> = description
                    .members
                    .iter()
                    .map(|member| member.client_id.as_str())
                    .collect();
                return Some(format!(
                    "it is {} with {} member(s) ({}), whose own commits would overwrite the reset: stop them first",
                    description.state,
                    clients.len(),
                    clients.join(", ")
                ));
            }
            Ok(_) => {}
            Err(error) => return Some(format!("its members could not be asked for: {}", chain(&error))),
        }
    }
    None
}

async fn commit_and_read_back(cluster: &Cluster, group: &GroupResetPlan) -> Result<Vec<PartitionFailure>> {
    let commits: Vec<OffsetCommit> = group
        .partitions
        .iter()
        .map(|p| {
            let partition = TopicPartition::new(p.topic.as_str(), p.partition);
            OffsetCommit::new(partition, p.target_offset).with_metadata(p.metadata.as_str())
        })
        .collect();
    let mut failures: BTreeMap<TopicPartition, String> = BTreeMap::new();
    for (partition, result) in cluster.commit_offsets(&group.group_id, &commits).await {
        if let Err(error) = result {
            failures.insert(partition, chain(&error));
        }
    }
    let committed = committed_offsets(cluster, &group.group_id).await?;
    for commit in commits {
        let partition = commit.partition;
        let found = committed.get(&partition);
        if found.map(|(offset, metadata)| (*offset, metadata)) != Some((commit.offset, &commit.metadata)) {
            let found = found.map_or("nothing".to_owned(), |(offset, _)| format!("offset {offset}"));
            let problem = format!("{} was committed, and {found} was read back", commit.offset);
            failures.entry(partition).or_insert(problem);
        }
    }
    Ok(failures
        .into_iter()
        .map(|(partition, problem)| PartitionFailure { partition, problem })
        .collect())
}
