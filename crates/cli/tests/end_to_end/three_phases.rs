//! The whole job: a source backed up and stopped, a target filled and its groups reset; everything compared.

use std::collections::BTreeMap;

use testkit::{Cluster, ClusterOptions, JavaClient, NextRecord, Record, TimestampType};

use crate::positions::{Position, commit_on_every_edge, next_on_source};
use crate::program::{Workplace, backup_yaml, restore_yaml};
use crate::source::{STRANGE_NAME, Source, TOPICS};

/// What the source held, as the Java consumer saw it before the source was stopped.
struct Truth {
    records: BTreeMap<(String, i32), Vec<Record>>,
    configs: BTreeMap<String, BTreeMap<String, String>>,
    positions: Vec<Position>,
    next: Vec<NextRecord>,
}

impl Truth {
    async fn of(java: &JavaClient, positions: Vec<Position>) -> Self {
        let (mut records, mut configs) = (BTreeMap::new(), BTreeMap::new());
        for &(topic, partitions) in TOPICS {
            configs.insert(topic.to_owned(), java.topic_configs(topic).await.unwrap());
            for partition in 0..partitions {
                records.insert(
                    (topic.to_owned(), partition),
                    java.consume_all(topic, partition).await.unwrap(),
                );
            }
        }
        let next = next_on_source(java, &positions).await;
        Self {
            records,
            configs,
            positions,
            next,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_and_every_position_arrives() {
    let source = Source::start().await;
    let positions = commit_on_every_edge(&source.java).await;
    assert!(positions.len() >= 200, "{} positions", positions.len());

    let work = Workplace::new();
    let topics: Vec<&str> = TOPICS.iter().map(|(topic, _)| *topic).collect();
    let yaml = backup_yaml("night", &source.bootstrap(), &topics);
    for compression in ["zstd", "lz4", "none"] {
        let yaml = yaml.replace("night", &format!("night-{compression}"));
        let section = format!(
            "backup:\n  compression: {compression}\n  source_cluster_id: the-source\n  segment_max_bytes: 1048576\n"
        );
        let config = work.config("backup.yaml", &(yaml + &section));
        let ran = work.must(&["backup", "--config", config.to_str().unwrap()]).await;
        assert!(ran.stdout.contains("is complete"), "{ran:?}");
    }
    let truth = Truth::of(&source.java, positions).await;
    drop(source);

    // Unless a topic says otherwise, this cluster deletes what is older than an hour.
    let options = ClusterOptions::new()
        .quick_retention()
        .property("log.retention.ms", 3_600_000);
    let target = Cluster::start(options).await.unwrap();
    let java = JavaClient::of(&target).await.unwrap();
    for (compression, headers) in [("zstd", false), ("lz4", true), ("none", false)] {
        restore_and_compare(&work, &target, &java, &truth, compression, headers).await;
        for &(topic, _) in TOPICS {
            java.delete_topic(topic).await.unwrap();
        }
    }
}

async fn restore_and_compare(
    work: &Workplace,
    target: &Cluster,
    java: &JavaClient,
    truth: &Truth,
    compression: &str,
    headers: bool,
) {
    let backup_id = format!("night-{compression}");
    let headers_line = format!("include_original_offset_header: {headers}");
    let lines = [
        "consumer_group_strategy: header-based",
        "reset_consumer_offsets: true",
        "offset_report: {folder}/reports/mapping.json",
        headers_line.as_str(),
    ];
    let config = work.config(
        "restore.yaml",
        &restore_yaml(&backup_id, &target.bootstrap_servers(), &lines),
    );
    let ran = work
        .run(&["three-phase-restore", "--config", config.to_str().unwrap()])
        .await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");

    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(work.path("reports/mapping.json")).unwrap()).unwrap();
    for ((topic, partition), before) in &truth.records {
        let after = java.consume_all(topic, *partition).await.unwrap();
        compare_records(before, &after, headers);
        compare_mapping(&report, topic, *partition, before, &after);
    }
    for (topic, configs) in &truth.configs {
        assert_eq!(
            &java.topic_configs(topic).await.unwrap(),
            configs,
            "configs of {topic}"
        );
    }
    strange_names_are_kept(java).await;
    compare_positions(java, truth).await;

    // The mapping is found again beside the backup.
    let backups = work.backups().display().to_string();
    let args = [
        "offset-mapping",
        "--backup-id",
        &backup_id,
        "--storage-path",
        &backups,
        "--format",
    ];
    let json = work.must(&[&args[..], &["json"]].concat()).await.stdout;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), report);
    for format in ["csv", "text", "shell-script"] {
        assert!(
            work.must(&[&args[..], &[format]].concat())
                .await
                .stdout
                .contains("orders")
        );
    }
}

fn compare_records(before: &[Record], after: &[Record], headers: bool) {
    assert_eq!(before.len(), after.len(), "{before:?}\n{after:?}");
    for (old, new) in before.iter().zip(after) {
        let mut new = new.clone();
        assert_eq!(new.timestamp_type, TimestampType::CreateTime);
        if headers {
            let added = new.headers.split_off(old.headers.len());
            let text = |value: String| Some(value.into_bytes());
            assert_eq!(
                added,
                [
                    ("x-original-offset".to_owned(), text(old.offset.to_string())),
                    ("x-original-timestamp".to_owned(), text(old.timestamp.to_string())),
                    ("x-source-cluster".to_owned(), text("the-source".to_owned())),
                ]
            );
        }
        assert_eq!(
            old.content(),
            new.content(),
            "{}/{} offset {}",
            old.topic,
            old.partition,
            old.offset
        );
    }
}

/// Reads the report as its documentation describes it, and not through our own types.
fn compare_mapping(
    report: &serde_json::Value,
    topic: &str,
    partition: i32,
    before: &[Record],
    after: &[Record],
) {
    let key = format!("{topic}/{partition}");
    let entry = &report["entries"][&key];
    assert_eq!(
        entry["source_first_offset"].as_i64(),
        before.first().map(|r| r.offset),
        "{key}: {entry}"
    );
    assert_eq!(
        entry["source_last_offset"].as_i64(),
        before.last().map(|r| r.offset),
        "{key}: {entry}"
    );
    assert_eq!(
        entry["target_first_offset"].as_i64(),
        after.first().map(|r| r.offset),
        "{key}: {entry}"
    );
    assert_eq!(
        entry["target_last_offset"].as_i64(),
        after.last().map(|r| r.offset),
        "{key}: {entry}"
    );
    assert_eq!(
        entry["first_timestamp"].as_i64(),
        before.first().map(|r| r.timestamp),
        "{key}: {entry}"
    );
    assert_eq!(
        entry["last_timestamp"].as_i64(),
        before.last().map(|r| r.timestamp),
        "{key}: {entry}"
    );
    let mut pairs = Vec::new();
    for run in report["detailed_mappings"][&key].as_array().into_iter().flatten() {
        let (source, target) = (
            run["source_offset"].as_i64().unwrap(),
            run["target_offset"].as_i64().unwrap(),
        );
        let length = run.get("length").map_or(1, |length| length.as_i64().unwrap());
        let first = before.iter().find(|record| record.offset == source).unwrap();
        assert_eq!(run["timestamp"].as_i64(), Some(first.timestamp), "{key}: {run}");
        pairs.extend((0..length).map(|n| (source + n, target + n)));
    }
    let expected: Vec<(i64, i64)> = before
        .iter()
        .zip(after)
        .map(|(old, new)| (old.offset, new.offset))
        .collect();
    assert_eq!(pairs, expected, "{key}");
}

async fn strange_names_are_kept(java: &JavaClient) {
    let mut found = 0;
    let mut from = 0;
    let end = java.end_offset("orders", 1).await.unwrap();
    while from < end {
        let fetched = java
            .fetch_raw("orders", 1, testkit::RawFetch::from(from))
            .await
            .unwrap();
        let slab = bytes::Bytes::from(fetched.records);
        let mut entries = kafka_wire::batch::BatchIter::new(slab);
        for entry in &mut entries {
            let entry = entry.unwrap();
            from = entry.next_offset();
            let kafka_wire::batch::LogEntry::Batch(batch) = entry else {
                panic!("an old format")
            };
            found += batch
                .bytes
                .windows(STRANGE_NAME.len())
                .filter(|window| *window == STRANGE_NAME)
                .count();
        }
    }
    assert_eq!(found, 4);
}

async fn compare_positions(java: &JavaClient, truth: &Truth) {
    let after = java.next_records(&truth.positions).await.unwrap();
    for ((position, old), new) in truth.positions.iter().zip(&truth.next).zip(after) {
        assert!(
            new.committed.is_some() && !new.out_of_range,
            "{position:?}: {old:?} {new:?}"
        );
        let (old_content, new_record) = (old.record.as_ref().map(Record::content), new.record);
        let mut new_record = new_record;
        if let (Some(old), Some(new)) = (&old.record, &mut new_record) {
            new.headers.truncate(old.headers.len());
        }
        assert_eq!(
            old_content,
            new_record.as_ref().map(Record::content),
            "{position:?} committed {:?}",
            old.committed
        );
    }
    let metadata: Vec<String> = java
        .committed("edge-1")
        .await
        .unwrap()
        .into_iter()
        .map(|commit| commit.metadata)
        .collect();
    assert!(
        !metadata.is_empty() && metadata.iter().all(|text| text.starts_with("at ")),
        "{metadata:?}"
    );
}
