//! Which positions of consumer groups a restore goes by: those of the newest complete run, or those of a time in the past.

use offset_mapping::render::utc;
use segment_format::BackupSet;
use segment_format::manifest::{Group, GroupOffset};

use crate::catalog::Catalog;
use crate::config::RestoreConfig;
use crate::context::Context;
use crate::error::{Error, Result};

/// The groups with their positions, and what the operator should know about them.
///
/// The records are always those of the newest generation, whatever the time of the positions.
pub(super) async fn load(
    context: &Context,
    set: &BackupSet,
    config: &RestoreConfig,
) -> Result<(Vec<Group>, Vec<String>)> {
    let mut warnings = Vec::new();
    if set.facts().groups_captured_at.is_none() {
        let backup_id = set.backup_id().to_owned();
        if !config.allow_incomplete_backup {
            return Err(Error::NeverComplete { backup_id });
        }
        warnings.push(format!(
            "backup `{backup_id}` was never complete: it has no positions of consumer groups, and records may be missing at \
             the ends of its partitions"
        ));
    }
    if let Some(captured_at) = set.facts().groups_captured_at
        && !set.facts().complete
    {
        warnings.push(format!(
            "the last run of backup `{}` came to no complete end: its records are newer than the positions of the consumer \
             groups, which are those of {}; groups have none on topics that were made anew since then",
            set.backup_id(),
            utc(captured_at)
        ));
    }
    warnings.extend(troubles(set));
    let groups = match config.consumer_groups_as_of {
        None => set.groups().cloned().collect(),
        Some(time) => {
            let then = Catalog::new(context).open_as_of(set.backup_id(), time).await?;
            as_of(set, &then, &mut warnings)
        }
    };
    Ok((groups, warnings))
}

/// Partitions that the backup could not read to their ends.
fn troubles(set: &BackupSet) -> impl Iterator<Item = String> {
    let partitions = set.topics().flat_map(|topic| {
        let of_topic = topic.partitions.iter();
        of_topic.map(move |partition| (&topic.name, partition))
    });
    partitions.filter_map(|(topic, partition)| {
        let trouble = partition.trouble.as_ref()?;
        let number = partition.partition;
        Some(format!(
            "{topic}/{number}: the backup may lack its last records: {trouble}"
        ))
    })
}

/// Positions on a topic that was made anew since then are positions in another log.
fn as_of(set: &BackupSet, then: &BackupSet, warnings: &mut Vec<String>) -> Vec<Group> {
    let is_same = |offset: &GroupOffset| {
        let id = |set: &BackupSet| set.topic(&offset.topic).map(|topic| topic.topic_id);
        id(set) == id(then)
    };
    let mut groups: Vec<Group> = then.groups().cloned().collect();
    for group in &mut groups {
        let before = group.offsets.len();
        group.offsets.retain(is_same);
        let lost = before - group.offsets.len();
        if lost > 0 {
            warnings.push(format!(
                "group {}: {lost} position(s) are left out, as their topics were made anew since then",
                group.group_id
            ));
        }
    }
    groups
}
