//! From what is wrong with objects to what is lost of partitions and groups.

use std::collections::BTreeMap;

use segment_format::BackupSet;
use segment_format::manifest::{Partition, Topic};

use super::finding::{Finding, ObjectStatus};
use super::report::{GroupPosition, LostRange, PartitionReport, PartitionStatus, PositionStatus};

/// Offsets that are lost, by topic number and partition.
#[derive(Debug, Default)]
pub(super) struct Affected {
    lost: BTreeMap<(u32, i32), Vec<LostRange>>,
}

impl Affected {
    /// Takes in what the findings hit. Offsets that no consumer could see are no loss.
    pub(super) fn collect(&mut self, findings: &[Finding], set: &BackupSet) {
        for finding in findings {
            for range in &finding.affects {
                let partition = set
                    .incarnation(range.topic)
                    .and_then(|topic| topic.partition(range.partition));
                let covered = partition.map_or(0..i64::MAX, |p| p.log_start_offset..p.end_offset);
                let from = range.first.max(covered.start);
                let to = range.last.saturating_add(1).min(covered.end);
                if from < to {
                    let lost = LostRange {
                        from,
                        to,
                        status: finding.status,
                        object: finding.object.clone(),
                    };
                    self.lost
                        .entry((range.topic, range.partition))
                        .or_default()
                        .push(lost);
                }
            }
        }
        for ranges in self.lost.values_mut() {
            ranges.sort_by(|a, b| (a.from, a.to, &a.object).cmp(&(b.from, b.to, &b.object)));
            ranges.dedup_by(|next, last| {
                let joined = next.object == last.object && next.status == last.status && next.from <= last.to;
                if joined {
                    last.to = last.to.max(next.to);
                }
                joined
            });
        }
    }

    /// All partitions of the set.
    pub(super) fn partitions(mut self, set: &BackupSet) -> Vec<PartitionReport> {
        let mut reports = Vec::new();
        for (number, topic) in set.incarnations() {
            for partition in &topic.partitions {
                let lost = self
                    .lost
                    .remove(&(number, partition.partition))
                    .unwrap_or_default();
                reports.push(report(topic, partition, lost));
            }
        }
        reports
    }
}

fn report(topic: &Topic, partition: &Partition, lost: Vec<LostRange>) -> PartitionReport {
    let damage = lost.iter().map(|range| match range.status {
        ObjectStatus::Missing => PartitionStatus::Missing,
        ObjectStatus::Damaged => PartitionStatus::Damaged,
        ObjectStatus::Unreadable => PartitionStatus::Unreadable,
    });
    let trouble = partition.trouble.as_ref().map(|_| PartitionStatus::Trouble);
    let gap = (!partition.gaps.is_empty()).then_some(PartitionStatus::Gap);
    PartitionReport {
        topic: topic.name.clone(),
        topic_id: topic.topic_id.to_string(),
        partition: partition.partition,
        status: damage
            .chain(trouble)
            .chain(gap)
            .max()
            .unwrap_or(PartitionStatus::Ok),
        log_start_offset: partition.log_start_offset,
        end_offset: partition.end_offset,
        records: partition.records,
        gaps: partition.gaps.clone(),
        lost,
        trouble: partition.trouble.clone(),
    }
}

/// Positions of groups for which a record is not there. They are those of the latest topic of a name.
pub(super) fn positions(set: &BackupSet, partitions: &[PartitionReport]) -> Vec<GroupPosition> {
    let mut latest: BTreeMap<(&str, i32), &PartitionReport> = BTreeMap::new();
    for partition in partitions {
        // Older topics of a name come first.
        latest.insert((&partition.topic, partition.partition), partition);
    }
    let mut found = Vec::new();
    for group in set.groups() {
        for position in &group.offsets {
            let partition = latest
                .get(&(position.topic.as_str(), position.partition))
                .copied();
            if let Some(status) = position_status(partition, position.offset) {
                found.push(GroupPosition {
                    group: group.group_id.clone(),
                    topic: position.topic.clone(),
                    partition: position.partition,
                    offset: position.offset,
                    status,
                });
            }
        }
    }
    found
}

fn position_status(partition: Option<&PartitionReport>, offset: i64) -> Option<PositionStatus> {
    let Some(partition) = partition else {
        return Some(PositionStatus::NotInBackup);
    };
    let within = |from: i64, to: i64| (from..to).contains(&offset);
    if partition.lost.iter().any(|lost| within(lost.from, lost.to)) {
        Some(PositionStatus::Lost)
    } else if offset > partition.end_offset {
        Some(PositionStatus::BeyondEnd)
    } else if partition.gaps.iter().any(|gap| within(gap.from, gap.to)) {
        Some(PositionStatus::InGap)
    } else if offset < partition.log_start_offset {
        Some(PositionStatus::BeforeStart)
    } else {
        None
    }
}
