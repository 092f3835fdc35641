//! A configuration with every key, none of them with its default or its value in the guide.

use std::process::Command;

use serde_json::Value;
use testkit::{Cluster, ClusterOptions, Commit, JavaClient, NextRecord, ProduceRecord};

use super::configs::placed;
use super::source::{fill, next};
use super::tools::tools;
use crate::program::{Workplace, files_below, finish};

const EVERY_BACKUP_KEY: &str = r#"
mode: backup
backup_id: 2024
source:
  bootstrap_servers: [kafka-1:9092]
  topics:
    include: ["orders-*", "payments-*"]
    exclude: ["*-card"]
storage:
  backend: filesystem
  path: "{backups}"
  prefix: prod/eu
backup:
  include_offset_headers: false
  source_cluster_id: every-key
  compression: lz4
  segment_max_bytes: 1048576
  continuous: false
  segment_max_interval_ms: 5000
  max_bytes_per_second: 100000000
  parallelism: 1
  memory_limit_bytes: 16777216
  isolation_level: read_uncommitted
  start_from: 2001-01-01T00:00:00Z
"#;

const EVERY_RESTORE_KEY: &str = r#"
mode: restore
backup_id: 2024
target:
  bootstrap_servers: [dr-kafka-1:9092]
  topics:
    include: ["*"]
    exclude: [orders-us]
storage:
  backend: filesystem
  path: "{backups}"
  prefix: prod/eu
restore:
  consumer_group_strategy: header-based
  include_original_offset_header: false
  offset_report: "{folder}/reports/every.json"
  consumer_groups: [order-processor]
  reset_consumer_offsets: true
  on_existing_data: append
  allow_incomplete_backup: true
  consumer_groups_as_of: 2100-01-01T00:00:00Z
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_key_does_what_it_says() {
    let cluster = Cluster::start(ClusterOptions::new().quick_retention())
        .await
        .unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    fill(&java).await;
    let before = next(&java).await;
    let records = java.consume_all("orders-eu", 1).await.unwrap();
    let work = Workplace::new();
    work.config("backup.yaml", &placed(EVERY_BACKUP_KEY, &cluster));
    let ran = work.must(&["backup", "--config", "backup.yaml"]).await;
    assert!(
        ran.stdout.contains("2 topic(s), 3 partition(s)"),
        "payments-card is excluded: {ran:?}"
    );
    let made = files_below(&work.backups());
    assert!(
        made.iter()
            .all(|path| path.starts_with(work.backups().join("prod/eu"))),
        "{made:?}"
    );

    // The same cluster is the target, and has five other records: `append` writes behind them.
    for group in ["order-processor", "payment-processor", "notification-service"] {
        java.delete_group(group).await.unwrap();
    }
    for topic in ["orders-eu", "orders-us"] {
        java.delete_topic(topic).await.unwrap();
    }
    java.create_topic("orders-eu", 2, &[]).await.unwrap();
    let other: Vec<ProduceRecord> = (0..5)
        .map(|_| ProduceRecord::new("orders-eu", 1).value("other"))
        .collect();
    java.produce(&other).await.unwrap();
    let early = Commit::new("orders-eu", 1, 2);
    java.commit("order-processor", &[early]).await.unwrap();

    // orders-us is excluded here, and one of the group's positions is on it: all that can be done is done, and said.
    work.config("restore.yaml", &placed(EVERY_RESTORE_KEY, &cluster));
    let ran = work.run(&["restore", "--config", "restore.yaml"]).await;
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stdout.contains("NOT RESOLVED") && ran.stdout.contains("orders-us/0"),
        "{ran:#?}"
    );
    assert!(
        !java
            .list_topics(false)
            .await
            .unwrap()
            .contains(&"orders-us".to_owned())
    );
    let restored = java.consume_all("orders-eu", 1).await.unwrap();
    assert_eq!(restored.len(), 5 + records.len());
    for (old, new) in records.iter().zip(&restored[5..]) {
        assert_eq!(old.content(), new.content(), "and no header is added");
    }
    let after = next(&java).await;
    for ((position, before), (_, after)) in before.iter().zip(&after) {
        let reset = position.0 == "order-processor" && position.1 == "orders-eu";
        assert_eq!(after.committed.is_some(), reset, "{position:?}: {after:?}");
        if reset {
            let value = |next: &NextRecord| next.record.as_ref().map(|record| record.value.clone());
            assert_eq!(value(before), value(after), "{position:?}");
        }
    }
    let report: Value =
        serde_json::from_slice(&std::fs::read(work.path("reports/every.json")).unwrap()).unwrap();
    assert_eq!(report["source_cluster_id"], "every-key");
    the_mapping_is_found_below_the_prefix(&work, &report).await;

    // What the reset has replaced is kept, and can be put back.
    assert!(ran.stdout.contains("REPLACES"), "{ran:#?}");
    undo(&work, &cluster, "order-processor").await;
    let committed = java.committed("order-processor").await.unwrap();
    assert_eq!(
        (committed[1].partition, committed[1].offset),
        (1, 2),
        "{committed:?}"
    );
}

/// As the documentation has it, but for `jq`.
async fn undo(work: &Workplace, cluster: &Cluster, group: &str) {
    let made = files_below(&work.backups().join("prod/eu/2024/resets"));
    assert_eq!(made.len(), 1, "{made:?}");
    let kept: Value = serde_json::from_slice(&std::fs::read(&made[0]).unwrap()).unwrap();
    let groups = kept["groups"].as_array().unwrap();
    let of_group = groups.iter().find(|kept| kept["group_id"] == group).unwrap();
    let rows: String = of_group["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|reset| !reset["previous_target_offset"].is_null())
        .map(|reset| {
            let topic = reset["topic"].as_str().unwrap();
            format!(
                "{topic},{},{}\n",
                reset["partition"], reset["previous_target_offset"]
            )
        })
        .collect();
    std::fs::write(work.path("undo.csv"), rows).unwrap();
    let tool = tools(work);
    let mut command = Command::new(tool.join("kafka-consumer-groups.sh"));
    command
        .args([
            "--bootstrap-server",
            &cluster.bootstrap_servers()[0],
            "--group",
            group,
        ])
        .args(["--reset-offsets", "--from-file", "undo.csv", "--execute"])
        .current_dir(work.path(""));
    let ran = finish(command).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
}

/// The prefix comes from the configuration, or is part of the path.
async fn the_mapping_is_found_below_the_prefix(work: &Workplace, report: &Value) {
    let below = work.backups().join("prod/eu").display().to_string();
    let args = ["offset-mapping", "--backup-id", "2024", "--format", "json"];
    for place in [["--config", "restore.yaml"], ["--storage-path", &below]] {
        let ran = work.must(&[&args[..], &place].concat()).await;
        assert_eq!(&serde_json::from_str::<Value>(&ran.stdout).unwrap(), report);
    }
    let above = work.backups().display().to_string();
    work.run(&[&args[..], &["--storage-path", &above]].concat())
        .await
        .failed_saying(&["there is no backup `2024`"]);
}
