use offset_mapping::{
    CommittedOffset, Error, OffsetMapping, OffsetResetPlan, OffsetResetStrategy, PlanSummary, Resolution,
    TopicPartition, UnresolvedReason,
};

use crate::sample::{self, commit};

const ALL: &[&str] = &[];

fn build(mapping: &OffsetMapping, groups: &[&str]) -> OffsetResetPlan {
    OffsetResetPlan::build(mapping, groups, OffsetResetStrategy::Manual).unwrap()
}

#[test]
fn the_sample_in_numbers() {
    let plan = sample::plan();
    let expected = PlanSummary {
        groups: 3,
        groups_incomplete: 1,
        groups_not_in_backup: 1,
        partitions: 6,
        exact: 3,
        clamped: 2,
        skipped: 220,
        beyond: 1,
        lost: 25,
        approximate: 0,
        no_commit: 3,
        unmapped: 1,
    };
    assert_eq!(plan.summary(), expected);
    assert_eq!(plan.partition_count(), 6);
    assert!(!plan.is_complete());
}

#[test]
fn groups_and_partitions_are_sorted_and_planned_once() {
    let mapping = sample::mapping();
    let plan = build(&mapping, &["payment-processor", "audit", "payment-processor"]);
    let ids: Vec<&str> = plan.groups.iter().map(|group| group.group_id.as_str()).collect();
    assert_eq!(ids, ["audit", "payment-processor"]);
    let positions: Vec<_> = plan.groups[1]
        .partitions
        .iter()
        .map(|reset| (reset.topic.as_str(), reset.partition))
        .collect();
    assert_eq!(positions, [("orders", 2), ("orders", 10), ("payments", 0)]);
    assert_eq!(build(&mapping, ALL).groups.len(), 3);
}

#[test]
fn owned_names_are_taken_too() {
    let groups = vec!["audit".to_owned()];
    let plan = OffsetResetPlan::build(&sample::mapping(), &groups, OffsetResetStrategy::DryRun).unwrap();
    assert!(plan.dry_run);
    assert_eq!(plan.groups[0].partitions[0].resolution, Resolution::Approximate);
}

#[test]
fn only_a_dry_run_is_dry() {
    for (strategy, dry) in [
        (OffsetResetStrategy::DryRun, true),
        (OffsetResetStrategy::Manual, false),
        (OffsetResetStrategy::Auto, false),
    ] {
        let plan = OffsetResetPlan::build(&sample::mapping(), ALL, strategy).unwrap();
        assert_eq!((plan.strategy, plan.dry_run), (strategy, dry));
    }
}

#[test]
fn a_group_that_the_backup_does_not_have_makes_the_plan_incomplete() {
    let plan = build(&sample::mapping(), &["audit", "unknown"]);
    assert!(plan.groups[0].is_complete());
    assert!(plan.groups[1].not_in_backup && !plan.groups[1].is_complete());
    assert!(!plan.is_complete());
}

#[test]
fn a_partition_that_was_not_restored_makes_the_plan_incomplete() {
    let plan = build(&sample::mapping(), &["payment-processor"]);
    let unmapped: Vec<_> = plan.groups[0].unmapped().collect();
    assert_eq!(unmapped.len(), 1);
    assert_eq!(
        (unmapped[0].topic.as_str(), unmapped[0].partition),
        ("refunds", 3)
    );
    assert_eq!(
        (unmapped[0].source_offset, unmapped[0].reason),
        (Some(12), UnresolvedReason::Unmapped)
    );
    assert!(!plan.is_complete());
}

#[test]
fn a_partition_without_a_commit_is_shown_and_nothing_is_missing() {
    let mut mapping = sample::mapping();
    let none = CommittedOffset {
        offset: None,
        ..commit("orders", 1, 0)
    };
    mapping.add_group("app", [commit("orders", 0, 3), none, commit("orders", 2, -1)]);
    let plan = build(&mapping, &["app"]);
    assert!(plan.is_complete());
    assert_eq!(plan.partition_count(), 1);
    // Also partition 10, which is restored and of which the backup of the group says nothing.
    let left: Vec<_> = plan.groups[0]
        .unresolved
        .iter()
        .map(|position| (position.partition, position.reason))
        .collect();
    let no_commit = UnresolvedReason::NoCommit;
    assert_eq!(left, [(1, no_commit), (2, no_commit), (10, no_commit)]);
}

#[test]
fn a_group_that_reads_nothing_of_a_topic_is_not_shown_in_it() {
    let mut mapping = sample::mapping();
    mapping.add_group(
        "app",
        [CommittedOffset {
            offset: None,
            ..commit("orders", 0, 0)
        }],
    );
    mapping.add_group("idle", []);
    assert_eq!(mapping.consumer_groups["app"].iter().count(), 1);
    let plan = build(&mapping, &["app", "idle"]);
    assert!(plan.is_complete());
    assert_eq!(plan.partition_count(), 0);
}

#[test]
fn partitions_of_other_topics_are_not_taken_for_the_group_s() {
    let mut mapping = sample::mapping();
    for topic in ["order", "orders-2", "zebras"] {
        let map = sample::partition(0..9, &[], 0, &[(0, 0, 9)]);
        mapping.entries.insert(TopicPartition::new(topic, 77), map);
    }
    mapping.add_group("app", [commit("orders", 0, 3)]);
    let partitions: Vec<_> = mapping.consumer_groups["app"]
        .iter()
        .map(|(topic, number, _)| (topic, number))
        .collect();
    assert_eq!(
        partitions,
        [("orders", 0), ("orders", 1), ("orders", 2), ("orders", 10)]
    );
}

#[test]
fn metadata_and_timestamps_stay_with_their_commits() {
    let plan = build(&sample::mapping(), &["order-processor"]);
    let resets = &plan.groups[0].partitions;
    assert_eq!(resets[0].metadata, "rack=b, seq=17");
    assert_eq!(resets[1].timestamp, Some(1_700_000_402_000));
    assert_eq!(
        (
            resets[0].previous_target_offset,
            resets[0].previous_metadata.as_deref()
        ),
        (None, None)
    );
}

#[test]
fn a_group_added_again_is_replaced_and_the_last_commit_counts() {
    let mut mapping = sample::mapping();
    mapping.add_group(
        "order-processor",
        [commit("payments", 0, 5), commit("payments", 0, 6)],
    );
    let plan = build(&mapping, &["order-processor"]);
    assert_eq!(plan.partition_count(), 1);
    assert_eq!(plan.groups[0].partitions[0].target_offset, 6);
}

#[test]
fn a_position_that_promises_what_it_has_not_is_an_error() {
    let mut mapping = sample::mapping();
    let group = mapping.consumer_groups.get_mut("audit").unwrap();
    let mut position = group.get("payments", 0).unwrap().clone();
    position.target_offset = None;
    group.insert("payments", 0, position);
    let error = OffsetResetPlan::build(&mapping, ALL, OffsetResetStrategy::Auto).unwrap_err();
    assert!(
        matches!(&error, Error::InvalidPosition { group, partition: 0, .. } if group == "audit"),
        "{error}"
    );
}
