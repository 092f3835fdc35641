use std::ops::Range;
use std::path::PathBuf;

use offset_mapping::{
    CommittedOffset, Coverage, GroupPosition, OffsetMapping, OffsetResetPlan, OffsetResetStrategy,
    PartitionMap, Resolution, Run, TopicPartition,
};

pub(crate) const GROUPS: [&str; 3] = ["order-processor", "payment-processor", "notification-service"];

pub(crate) fn partition(
    covered: Range<i64>,
    gaps: &[(i64, i64)],
    target_next: i64,
    runs: &[(i64, i64, u64)],
) -> PartitionMap {
    let coverage = Coverage {
        start: covered.start,
        end: covered.end,
        gaps: gaps.iter().map(|&(from, to)| from..to).collect(),
    };
    let mut map = PartitionMap::new(coverage, target_next).unwrap();
    for &(source_first, target_first, length) in runs {
        let first_timestamp = Some(1_700_000_000_000 + source_first * 1000);
        map.push(Run {
            source_first,
            target_first,
            length,
            first_timestamp,
        })
        .unwrap();
    }
    map.set_last_timestamp(map.source_last().map(|offset| 1_700_000_000_000 + offset * 1000));
    map
}

pub(crate) fn commit(topic: &str, partition: i32, offset: i64) -> CommittedOffset {
    CommittedOffset {
        topic: topic.into(),
        partition,
        offset: Some(offset),
        ..Default::default()
    }
}

pub(crate) fn mapping() -> OffsetMapping {
    let mut mapping = OffsetMapping::new(1_700_002_000_000);
    mapping.source_cluster_id = Some("prod-us-east-1".into());
    mapping.backup_id = Some("prod-backup-2024".into());
    mapping.target_cluster_id = Some("Some-Cluster-Id-000000".into());
    mapping.target_bootstrap_servers = vec!["dr-kafka-1:9092".into(), "dr-kafka-2:9092".into()];
    let partitions = [
        ("orders", 0, partition(0..1001, &[], 5000, &[(0, 5000, 1001)])),
        (
            "orders",
            1,
            partition(0..1100, &[], 0, &[(0, 0, 400), (402, 400, 600)]),
        ),
        (
            "orders",
            2,
            partition(500..2000, &[(800, 1000)], 0, &[(500, 0, 300), (1000, 300, 1000)]),
        ),
        ("orders", 10, partition(40..40, &[], 7, &[])),
        (
            "payments",
            0,
            partition(0..3_000_000, &[], 0, &[(0, 0, 3_000_000)]),
        ),
    ];
    for (topic, number, map) in partitions {
        mapping.entries.insert(TopicPartition::new(topic, number), map);
    }
    let noted = CommittedOffset {
        metadata: "rack=b, seq=17".into(),
        ..commit("orders", 0, 750)
    };
    let timed = CommittedOffset {
        timestamp: Some(1_700_000_402_000),
        ..commit("orders", 1, 401)
    };
    mapping.add_group("order-processor", [noted, timed, commit("orders", 2, 380)]);
    mapping.add_group(
        "payment-processor",
        [
            commit("payments", 0, 3_000_025),
            commit("orders", 2, 900),
            commit("refunds", 3, 12),
            commit("orders", 10, 40),
        ],
    );
    let found = GroupPosition {
        source_offset: Some(17),
        target_offset: Some(19),
        timestamp: Some(1_700_000_017_000),
        resolution: Resolution::Approximate,
        metadata: String::new(),
    };
    mapping.add_group("audit", [commit("payments", 0, 17)]);
    mapping
        .consumer_groups
        .get_mut("audit")
        .unwrap()
        .insert("payments", 0, found);
    mapping
}

pub(crate) fn plan() -> OffsetResetPlan {
    OffsetResetPlan::build(&mapping(), &GROUPS, OffsetResetStrategy::Manual).unwrap()
}

/// Compares with a file of `testdata/mapping`. With `UPDATE_GOLDEN=1` it is written instead.
#[track_caller]
pub(crate) fn assert_golden(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/mapping")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(expected == found, "{name} differs; it would now be:\n{found}");
}
