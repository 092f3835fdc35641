use std::io::{self, Write};

use offset_mapping::{
    Coverage, OffsetMapping, OffsetResetPlan, OffsetResetStrategy, Pairs, PartitionMap, Resolution, Run,
    TopicPartition,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::sample;

const GUIDE: &str = include_str!("../../../../testdata/mapping/guide-example.json");

fn written(mapping: &OffsetMapping, pairs: Pairs) -> String {
    let mut out = Vec::new();
    mapping.write_json(&mut out, pairs).unwrap();
    String::from_utf8(out).unwrap()
}

fn read(json: &str) -> OffsetMapping {
    serde_json::from_str(json).unwrap()
}

#[test]
fn the_documented_example_is_read() {
    let mapping: OffsetMapping = serde_json::from_reader(GUIDE.as_bytes()).unwrap();
    assert_eq!(mapping.detailed_mapping_count(), 1001);
    let translation = mapping.translate("orders", 0, 750).unwrap();
    assert_eq!(
        (translation.target_offset, translation.resolution),
        (5750, Resolution::Exact)
    );
    let plan = OffsetResetPlan::build(&mapping, &["order-processor"], OffsetResetStrategy::DryRun).unwrap();
    let reset = &plan.groups[0].partitions[0];
    assert_eq!((reset.source_offset, reset.target_offset), (750, 5750));
    assert_eq!(
        (reset.resolution, reset.timestamp),
        (Resolution::Exact, Some(1_700_000_750_000))
    );
}

/// Every key of the documented example stands in what is written for it, with the same value.
#[test]
fn the_documented_example_is_written() {
    fn assert_within(documented: &serde_json::Value, found: &serde_json::Value, path: &str) {
        match documented {
            serde_json::Value::Object(members) => {
                for (key, value) in members {
                    assert_within(value, &found[key], &format!("{path}.{key}"));
                }
            }
            _ => assert_eq!(documented, found, "{path}"),
        }
    }
    let mut documented: serde_json::Value = serde_json::from_str(GUIDE).unwrap();
    // In the form with all pairs the timestamps of records within a run are not known.
    documented["detailed_mappings"]["orders/0"] = serde_json::Value::Null;
    let mapping = read(GUIDE);
    for pairs in [Pairs::Runs, Pairs::All] {
        let mut found: serde_json::Value = serde_json::from_str(&written(&mapping, pairs)).unwrap();
        let details = found["detailed_mappings"]["orders/0"].take();
        assert_within(&documented, &found, "");
        let count = details.as_array().unwrap().len();
        assert_eq!(count, if pairs == Pairs::All { 1001 } else { 1 });
        assert_eq!(details[0]["target_offset"], 5000);
    }
}

#[test]
fn the_sample_is_written_as_the_golden_file_and_read_back() {
    let mapping = sample::mapping();
    sample::assert_golden("mapping.json", &written(&mapping, Pairs::Runs));
    assert_eq!(read(&written(&mapping, Pairs::Runs)), mapping);
    assert_eq!(read(&serde_json::to_string(&mapping).unwrap()), mapping);
    assert_eq!(
        OffsetMapping::read_json(written(&mapping, Pairs::Runs).as_bytes()).unwrap(),
        mapping
    );
}

fn partition_maps() -> impl Strategy<Value = PartitionMap> {
    let timestamp = || proptest::option::of(any::<i64>());
    let runs = vec((0i64..3, 0i64..2, 1u64..5, timestamp()), 0..20);
    let gaps = vec((0i64..50, 0i64..5), 0..3);
    (0i64..5, 0i64..60, 0i64..9, gaps, runs, timestamp()).prop_map(
        |(start, length, next, gaps, runs, last)| {
            let gaps = gaps
                .into_iter()
                .map(|(from, length)| from..from + length)
                .collect();
            let mut map = PartitionMap::new(
                Coverage {
                    start,
                    end: start + length,
                    gaps,
                },
                next,
            )
            .unwrap();
            let (mut source, mut target) = (start, next);
            for (source_gap, target_gap, length, first_timestamp) in runs {
                (source, target) = (source + source_gap, target + target_gap);
                map.push(Run {
                    source_first: source,
                    target_first: target,
                    length,
                    first_timestamp,
                })
                .unwrap();
                (source, target) = (source + length as i64, target + length as i64);
            }
            map.set_last_timestamp(last);
            map
        },
    )
}

fn mappings() -> impl Strategy<Value = OffsetMapping> {
    let topic = prop_oneof![Just("orders".to_owned()), Just("a/b".to_owned()), ".{0,3}"];
    let partition = prop_oneof![0i32..12, Just(i32::MAX)];
    let entries = btree_map((topic.clone(), partition.clone()), partition_maps(), 0..6);
    let offset = proptest::option::of(-1i64..90);
    let commits = vec(
        (
            topic,
            partition,
            offset,
            ".{0,3}",
            proptest::option::of(any::<i64>()),
        ),
        0..8,
    );
    let groups = btree_map(".{0,4}", commits, 0..4);
    let name = || proptest::option::of(".{0,4}");
    let cluster = (name(), name(), name(), vec(".{0,4}", 0..3));
    (entries, groups, cluster, any::<i64>()).prop_map(|(entries, groups, cluster, created_at)| {
        let mut mapping = OffsetMapping::new(created_at);
        (
            mapping.backup_id,
            mapping.source_cluster_id,
            mapping.target_cluster_id,
            mapping.target_bootstrap_servers,
        ) = cluster;
        for ((topic, partition), map) in entries {
            mapping.entries.insert(TopicPartition::new(topic, partition), map);
        }
        for (group_id, commits) in groups {
            let commit = |(topic, partition, offset, metadata, timestamp)| offset_mapping::CommittedOffset {
                topic,
                partition,
                offset,
                metadata,
                timestamp,
            };
            mapping.add_group(group_id, commits.into_iter().map(commit));
        }
        mapping
    })
}

proptest! {
    #[test]
    fn both_forms_are_read_back_to_the_same_mapping(mapping in mappings()) {
        prop_assert_eq!(&read(&written(&mapping, Pairs::Runs)), &mapping);
        prop_assert_eq!(&read(&written(&mapping, Pairs::All)), &mapping);
    }

    #[test]
    fn a_plan_is_read_back_from_its_json(mapping in mappings()) {
        let plan = OffsetResetPlan::build(&mapping, &[] as &[&str], OffsetResetStrategy::Auto).unwrap();
        let json = offset_mapping::render::plan_json(&plan).unwrap();
        prop_assert_eq!(&serde_json::from_str::<OffsetResetPlan>(&json).unwrap(), &plan);
        let value = serde_json::to_value(&plan).unwrap();
        prop_assert_eq!(&serde_json::from_value::<OffsetResetPlan>(value).unwrap(), &plan);
    }
}

fn one_partition(map: PartitionMap) -> OffsetMapping {
    let mut mapping = OffsetMapping::new(0);
    mapping.entries.insert(TopicPartition::new("orders", 0), map);
    mapping
}

#[test]
fn two_million_records_in_one_run_are_a_small_report() {
    let mapping = one_partition(sample::partition(
        0..2_000_000,
        &[],
        5000,
        &[(0, 5000, 2_000_000)],
    ));
    let json = written(&mapping, Pairs::Runs);
    assert!(json.len() < 2048, "{} bytes", json.len());
    assert_eq!(read(&json), mapping);
    assert_eq!(mapping.detailed_mapping_count(), 2_000_000);
}

/// Remembers only how much came and in how large pieces.
#[derive(Default)]
struct Counter {
    bytes: usize,
    largest: usize,
}

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len();
        self.largest = self.largest.max(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn holes(runs: i64) -> PartitionMap {
    let mut map = PartitionMap::new(Coverage::new(0, runs * 3), 0).unwrap();
    for i in 0..runs {
        map.push(Run {
            source_first: i * 3,
            target_first: i * 2,
            length: 2,
            first_timestamp: Some(i),
        })
        .unwrap();
    }
    map
}

#[test]
fn a_hundred_thousand_runs_are_written_piece_by_piece() {
    let mapping = one_partition(holes(100_000));
    assert_eq!(
        (mapping.run_count(), mapping.detailed_mapping_count()),
        (100_000, 200_000)
    );
    for pairs in [Pairs::Runs, Pairs::All] {
        let mut counter = Counter::default();
        mapping.write_json(&mut counter, pairs).unwrap();
        assert!(counter.largest < 100, "a piece of {} bytes", counter.largest);
        assert!(counter.bytes > 5_000_000, "{} bytes", counter.bytes);
    }
    let map = read(&written(&mapping, Pairs::Runs));
    assert_eq!(map, mapping);
    for i in [0, 1, 31_999, 32_000, 99_999] {
        assert_eq!(
            map.translate("orders", 0, i * 3 + 1).unwrap().target_offset,
            i * 2 + 1
        );
        assert_eq!(
            map.translate("orders", 0, i * 3 + 2).unwrap().target_offset,
            i * 2 + 2
        );
    }
}

#[test]
fn a_writer_that_fails_is_reported() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = sample::mapping().write_json(Full, Pairs::Runs).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

/// Reports of other tools: only the documented keys, and pairs that are all the records, or none of them.
#[test]
fn reports_with_only_the_documented_keys_are_read() {
    let json = |entry: [i64; 4], pairs: &str| {
        format!(
            r#"{{"entries": {{"t/0": {{"topic": "t", "partition": 0, "source_first_offset": {},
            "source_last_offset": {}, "target_first_offset": {}, "target_last_offset": {},
            "first_timestamp": 1, "last_timestamp": 2}}}}, "detailed_mappings": {{{pairs}}}, "created_at": 3}}"#,
            entry[0], entry[1], entry[2], entry[3]
        )
    };
    // Equal spans without pairs, and with pairs that are examples: one run.
    for pairs in [
        "",
        r#""t/0": []"#,
        r#""t/0": [{"source_offset": 4, "target_offset": 104, "timestamp": null}]"#,
        r#""t/0": [{"source_offset": 4, "target_offset": 104}, {"source_offset": 8, "target_offset": 108}]"#,
    ] {
        let map = read(&json([4, 8, 104, 108], pairs));
        let runs: Vec<Run> = map.partition("t", 0).unwrap().runs().collect();
        let run = Run {
            source_first: 4,
            target_first: 104,
            length: 5,
            first_timestamp: Some(1),
        };
        assert_eq!(runs, [run], "{pairs}");
        assert_eq!(
            map.translate("t", 0, 3).unwrap().resolution,
            Resolution::ClampedToStart { skipped: 1 }
        );
        assert_eq!(
            map.translate("t", 0, 10).unwrap().resolution,
            Resolution::BeyondBackup { lost: 1 }
        );
    }
    // Spans that differ, and every pair.
    let pairs = r#""t/0": [{"source_offset": 4, "target_offset": 100, "timestamp": 1},
        {"source_offset": 6, "target_offset": 101}, {"source_offset": 8, "target_offset": 102}]"#;
    let map = read(&json([4, 8, 100, 102], pairs));
    assert_eq!(map.detailed_mapping_count(), 3);
    assert_eq!(map.translate("t", 0, 7).unwrap().target_offset, 102);
}
