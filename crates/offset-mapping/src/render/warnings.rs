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

/// How bad a warning is; the worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    NotInBackup,
    Unmapped,
    Approximate,
    Clamped,
    Beyond,
}

/// The warnings about groups, the worst first, each about one group and one kind of position.
pub(super) fn warnings(groups: &[Group<'_>]) -> Vec<String> {
    let mut found = Vec::new();
    for group in groups {
        if group.not_in_backup {
            found.push((
                Severity::NotInBackup,
                format!("{}: NOT IN THE BACKUP", visible(group.id)),
            ));
        }
        let kinds = [
            (Severity::Unmapped, "NOT RESOLVED, left alone"),
            (
                Severity::Approximate,
                "APPROXIMATE, records may be read twice or not at all",
            ),
            (
                Severity::Clamped,
                "CLAMPED, {} offsets skipped that the backup does not hold",
            ),
            (
                Severity::Beyond,
                "BEYOND THE BACKUP, {} offsets lost after its end",
            ),
        ];
        for (severity, text) in kinds {
            let positions = group
                .positions
                .iter()
                .filter(|position| severity.is_of(&position.resolution));
            found.extend(group.about(positions, text).map(|warning| (severity, warning)));
        }
    }
    found.sort_by_key(|(severity, _)| *severity);
    found.into_iter().map(|(_, warning)| warning).collect()
}

/// What is worth knowing about groups and no reason to worry.
pub(super) fn notes(groups: &[Group<'_>]) -> Vec<String> {
    let note = |group: &Group<'_>| {
        let without = group
            .positions
            .iter()
            .filter(|position| position.resolution == Resolution::NoCommit);
        group.about(without, "without a commit, left to auto.offset.reset")
    };
    groups.iter().filter_map(note).collect()
}

impl Severity {
    fn is_of(self, resolution: &Resolution) -> bool {
        match self {
            Self::NotInBackup => false,
            Self::Unmapped => *resolution == Resolution::Unmapped,
            Self::Approximate => *resolution == Resolution::Approximate,
            Self::Clamped => resolution.skipped().is_some(),
            Self::Beyond => resolution.lost().is_some(),
        }
    }
}

impl Group<'_> {
    /// Whether a position of the group has no target offset that should have one.
    pub(super) fn is_incomplete(&self) -> bool {
        self.positions
            .iter()
            .any(|position| position.resolution == Resolution::Unmapped)
    }

    /// A sentence about some positions, with the offsets that they skip or lose for `{}`.
    fn about<'a>(&self, positions: impl Iterator<Item = &'a Position<'a>>, text: &str) -> Option<String> {
        let positions: Vec<_> = positions.collect();
        let offsets = positions.iter().map(|position| {
            let resolution = position.resolution;
            resolution.skipped().or(resolution.lost()).unwrap_or(0)
        });
        let text = text.replace("{}", &offsets.fold(0, u64::saturating_add).to_string());
        let count = plural(positions.len(), "partition");
        (!positions.is_empty())
            .then(|| format!("{}: {count} {text}: {}", visible(self.id), names(&positions)))
    }
}

/// A number and its noun.
pub(super) fn plural(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
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
