//! What a reset of consumer groups will commit, as a value: shown by a dry run, saved for review, and
//! executed as it is.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::mapping::{GroupPositions, OffsetMapping};
use crate::translate::Resolution;

/// What becomes of a plan once it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OffsetResetStrategy {
    /// It is only shown.
    DryRun,
    /// It is shown, and executed on request or by a person.
    Manual,
    /// It is executed.
    Auto,
}

/// The offsets to commit in the target, for every group of a mapping or for some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetResetPlan {
    /// What becomes of the plan.
    pub strategy: OffsetResetStrategy,
    /// Whether it must not be executed.
    pub dry_run: bool,
    /// The backup that was restored.
    pub backup_id: Option<String>,
    /// The name of the source cluster.
    pub source_cluster_id: Option<String>,
    /// The cluster that the plan is for.
    pub target_cluster_id: Option<String>,
    /// Its addresses.
    pub target_bootstrap_servers: Vec<String>,
    /// The groups, by id.
    pub groups: Vec<GroupResetPlan>,
}

/// The part of a plan for one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupResetPlan {
    /// Group id.
    pub group_id: String,
    /// Positions to commit, by topic and partition.
    pub partitions: Vec<PartitionReset>,
    /// Positions that are left alone, by topic and partition.
    pub unresolved: Vec<UnresolvedPosition>,
    /// The group was asked for, but the backup has none of that id.
    pub not_in_backup: bool,
}

/// One offset to commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionReset {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// The offset committed in the source.
    pub source_offset: i64,
    /// The offset to commit in the target.
    pub target_offset: i64,
    /// How it came about.
    #[serde(flatten)]
    pub resolution: Resolution,
    /// The string to commit with it.
    pub metadata: String,
    /// Timestamp of the record at the position in milliseconds, when known.
    pub timestamp: Option<i64>,
    /// The offset that the reset replaces, once looked up, and if there is one.
    pub previous_target_offset: Option<i64>,
    /// The string committed with the offset that the reset replaces.
    pub previous_metadata: Option<String>,
}

/// A position that has no target offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnresolvedPosition {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// The offset committed in the source, if there was one.
    pub source_offset: Option<i64>,
    /// Why it has none in the target.
    pub reason: UnresolvedReason,
}

/// Why a position has no target offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum UnresolvedReason {
    /// The group has no committed offset there. Nothing is missing.
    NoCommit,
    /// The partition was not restored, or has no mapping. The plan is incomplete.
    Unmapped,
}

/// Counts over a plan or a mapping's groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PlanSummary {
    /// Groups of the plan.
    pub groups: usize,
    /// Groups that have an unmapped position.
    pub groups_incomplete: usize,
    /// Groups that the backup does not have.
    pub groups_not_in_backup: usize,
    /// Offsets to commit.
    pub partitions: usize,
    /// Of these, exact, also at the end.
    pub exact: usize,
    /// Of these, clamped to the start.
    pub clamped: usize,
    /// Offsets skipped by the clamped ones, together.
    pub skipped: u64,
    /// Of these, beyond the backup.
    pub beyond: usize,
    /// Offsets lost to those beyond the backup, together.
    pub lost: u64,
    /// Of these, approximate.
    pub approximate: usize,
    /// Positions left alone because there is no commit.
    pub no_commit: usize,
    /// Positions left alone because there is no mapping.
    pub unmapped: usize,
}

impl OffsetResetPlan {
    /// Plans the reset of the groups asked for, or of all groups of the mapping when none is.
    ///
    /// Groups, topics and partitions are sorted; a group asked for twice is planned once. A group that the
    /// mapping does not have is part of the plan and makes it incomplete.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPosition`] when a position of the mapping has a resolution that does not go with its
    /// offsets.
    pub fn build(
        mapping: &OffsetMapping,
        groups: &[impl AsRef<str>],
        strategy: OffsetResetStrategy,
    ) -> Result<Self, Error> {
        let asked: BTreeSet<&str> = if groups.is_empty() {
            mapping.consumer_groups.keys().map(String::as_str).collect()
        } else {
            groups.iter().map(AsRef::as_ref).collect()
        };
        let plan = |group_id: &str| match mapping.consumer_groups.get(group_id) {
            Some(positions) => GroupResetPlan::of(group_id, positions),
            None => Ok(GroupResetPlan {
                not_in_backup: true,
                ..GroupResetPlan::empty(group_id)
            }),
        };
        Ok(Self {
            strategy,
            dry_run: strategy == OffsetResetStrategy::DryRun,
            backup_id: mapping.backup_id.clone(),
            source_cluster_id: mapping.source_cluster_id.clone(),
            target_cluster_id: mapping.target_cluster_id.clone(),
            target_bootstrap_servers: mapping.target_bootstrap_servers.clone(),
            groups: asked.into_iter().map(plan).collect::<Result<_, _>>()?,
        })
    }

    /// Whether every position of every group asked for gets its offset.
    pub fn is_complete(&self) -> bool {
        self.groups.iter().all(GroupResetPlan::is_complete)
    }

    /// Number of offsets to commit.
    pub fn partition_count(&self) -> usize {
        self.groups.iter().map(|group| group.partitions.len()).sum()
    }

    /// The plan in numbers.
    pub fn summary(&self) -> PlanSummary {
        let mut summary = PlanSummary::default();
        self.groups.iter().for_each(|group| summary.add(group));
        summary
    }
}

impl GroupResetPlan {
    fn empty(group_id: &str) -> Self {
        Self {
            group_id: group_id.to_owned(),
            partitions: Vec::new(),
            unresolved: Vec::new(),
            not_in_backup: false,
        }
    }

    fn of(group_id: &str, positions: &GroupPositions) -> Result<Self, Error> {
        let mut plan = Self::empty(group_id);
        for (topic, partition, position) in positions.iter() {
            position.check().map_err(|problem| {
                let (group, topic) = (group_id.to_owned(), topic.to_owned());
                Error::InvalidPosition {
                    group,
                    topic,
                    partition,
                    problem,
                }
            })?;
            match (position.source_offset, position.target_offset) {
                (Some(source_offset), Some(target_offset)) => plan.partitions.push(PartitionReset {
                    topic: topic.to_owned(),
                    partition,
                    source_offset,
                    target_offset,
                    resolution: position.resolution,
                    metadata: position.metadata.clone(),
                    timestamp: position.timestamp,
                    previous_target_offset: None,
                    previous_metadata: None,
                }),
                (source_offset, _) => plan.unresolved.push(UnresolvedPosition {
                    topic: topic.to_owned(),
                    partition,
                    source_offset,
                    reason: match source_offset {
                        Some(_) => UnresolvedReason::Unmapped,
                        None => UnresolvedReason::NoCommit,
                    },
                }),
            }
        }
        Ok(plan)
    }

    /// Whether the backup has the group and every position of it gets its offset.
    pub fn is_complete(&self) -> bool {
        !self.not_in_backup && self.unmapped().next().is_none()
    }

    /// Positions that the group has and that have no target offset.
    pub fn unmapped(&self) -> impl Iterator<Item = &UnresolvedPosition> {
        self.unresolved
            .iter()
            .filter(|position| position.reason != UnresolvedReason::NoCommit)
    }
}

impl PlanSummary {
    /// Counts in a group.
    pub fn add(&mut self, group: &GroupResetPlan) {
        self.groups += 1;
        self.groups_not_in_backup += usize::from(group.not_in_backup);
        self.partitions += group.partitions.len();
        for reset in &group.partitions {
            match reset.resolution {
                Resolution::Exact | Resolution::ExactEnd => self.exact += 1,
                Resolution::ClampedToStart { skipped } => {
                    self.clamped += 1;
                    self.skipped = self.skipped.saturating_add(skipped);
                }
                Resolution::BeyondBackup { lost } => {
                    self.beyond += 1;
                    self.lost = self.lost.saturating_add(lost);
                }
                Resolution::Approximate | Resolution::NoCommit | Resolution::Unmapped => {
                    self.approximate += 1;
                }
            }
        }
        let unmapped = group.unmapped().count();
        self.groups_incomplete += usize::from(unmapped > 0);
        self.unmapped += unmapped;
        self.no_commit += group.unresolved.len() - unmapped;
    }
}

impl fmt::Display for OffsetResetStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DryRun => "dry-run",
            Self::Manual => "manual",
            Self::Auto => "auto",
        })
    }
}

impl fmt::Display for UnresolvedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCommit => "no-commit",
            Self::Unmapped => "unmapped",
        })
    }
}
