//! What somebody must know before consumers are started on a target, for each group.

use super::quote::visible;
use crate::mapping::GroupPositions;
use crate::plan::{GroupResetPlan, UnresolvedReason};
use crate::translate::Resolution;

/// Partitions that a warning names; further ones are marked in the group's table.
const NAMED: usize = 4;

/// A group as it is shown, from a plan or from a mapping.
pub(super) struct Group<'a> {
    pub(super) id: &'a str,
    pub(super) not_in_backup: bool,
    pub(super) positions: Vec<Position<'a>>,
}

/// A position as it is shown.
pub(super) struct Position<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) source: Option<i64>,
    pub(super) target: Option<i64>,
    pub(super) previous: Option<i64>,
    pub(super) resolution: Resolution,
}

impl<'a> From<&'a GroupResetPlan> for Group<'a> {
    fn from(group: &'a GroupResetPlan) -> Self {
        let resets = group.partitions.iter().map(|reset| Position {
            topic: &reset.topic,
            partition: reset.partition,
            source: Some(reset.source_offset),
            target: Some(reset.target_offset),
            previous: reset.previous_target_offset,
            resolution: reset.resolution,
        });
        let unresolved = group.unresolved.iter().map(|position| Position {
            topic: &position.topic,
            partition: position.partition,
            source: position.source_offset,
            target: None,
            previous: None,
            resolution: match position.reason {
                UnresolvedReason::NoCommit => Resolution::NoCommit,
                UnresolvedReason::Unmapped => Resolution::Unmapped,
            },
        });
        let mut positions: Vec<_> = resets.chain(unresolved).collect();
        positions.sort_by_key(|position| (position.topic, position.partition));
        Self {
            id: &group.group_id,
            not_in_backup: group.not_in_backup,
            positions,
        }
    }
}

impl<'a> From<&'a GroupPositions> for Group<'a> {
    fn from(group: &'a GroupPositions) -> Self {
        let position = |(topic, partition, position): (&'a str, i32, &'a crate::GroupPosition)| Position {
            topic,
            partition,
            source: position.source_offset,
            target: position.target_offset,
            previous: None,
            resolution: position.resolution,
        };
        Self {
            id: &group.group_id,
            not_in_backup: false,
            positions: group.iter().map(position).collect(),
        }
    }
}

impl Group<'_> {
    /// The warnings about the group, the worst first.
    pub(super) fn warnings(&self) -> Vec<String> {
        let id = visible(self.id);
        let mut warnings = Vec::new();
        if self.not_in_backup {
            warnings.push(format!("{id}: NOT IN THE BACKUP, nothing will be reset"));
        }
        let mut warn = |text: &str, kind: fn(&Resolution) -> bool| {
            let found: Vec<_> = self
                .positions
                .iter()
                .filter(|position| kind(&position.resolution))
                .collect();
            let skipped = found.iter().filter_map(|position| position.resolution.skipped());
            let lost = found.iter().filter_map(|position| position.resolution.lost());
            let offsets = skipped.chain(lost).fold(0u64, u64::saturating_add);
            if !found.is_empty() {
                let partitions = if found.len() == 1 {
                    "partition"
                } else {
                    "partitions"
                };
                let text = text.replace("{offsets}", &offsets.to_string());
                warnings.push(format!(
                    "{id}: {} {partitions} {text}: {}",
                    found.len(),
                    names(&found)
                ));
            }
        };
        warn("NOT RESOLVED, will not be reset", |kind| {
            *kind == Resolution::Unmapped
        });
        warn(
            "clamped, {offsets} offsets SKIPPED that the backup does not hold",
            |kind| kind.skipped().is_some(),
        );
        warn(
            "BEYOND THE BACKUP, {offsets} offsets lost after it ended",
            |kind| kind.lost().is_some(),
        );
        warn("APPROXIMATE, records may be read twice or not at all", |kind| {
            *kind == Resolution::Approximate
        });
        warn("without a commit, left to auto.offset.reset", |kind| {
            *kind == Resolution::NoCommit
        });
        warnings
    }
}

fn names(positions: &[&Position<'_>]) -> String {
    let name = |position: &&Position<'_>| format!("{}/{}", visible(position.topic), position.partition);
    let named = positions
        .iter()
        .take(NAMED)
        .map(name)
        .collect::<Vec<_>>()
        .join(", ");
    match positions.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
