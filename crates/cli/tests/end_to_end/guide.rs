//! The guide's configurations and commands, as they stand there: only addresses, folders and the storage are replaced.
//! The script that comes out is run with Apache Kafka's own tool, and the Java client says what each group reads next.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use testkit::{
    Cluster, ClusterOptions, Codec, Commit, GroupProtocol, JavaClient, NextRecord, ProduceRecord,
    ProducerOptions, RequestFault, Rule, TransactionEnd, api_key,
};

use crate::positions::Position;
use crate::program::{Ran, Workplace, files_below};
use crate::source::EPOCH;

/// Phase 1 of the guide.
const BACKUP: &str = r#"mode: backup
backup_id: prod-backup-2024

source:
  bootstrap_servers:
    - kafka-1:9092
    - kafka-2:9092
  topics:
    include:
      - "orders-*"
      - "payments-*"

storage:
  backend: s3
  bucket: kafka-backups
  prefix: prod

backup:
  # Enable offset headers for three-phase restore (default: true)
  include_offset_headers: true

  # Optional: identify source cluster in headers
  source_cluster_id: "prod-us-east-1"

  compression: zstd
  segment_max_bytes: 134217728  # 128MB
"#;

/// Phase 2 of the guide.
const RESTORE: &str = r#"mode: restore
backup_id: prod-backup-2024

target:
  bootstrap_servers:
    - dr-kafka-1:9092
    - dr-kafka-2:9092
  topics:
    include:
      - "orders-*"
      - "payments-*"

storage:
  backend: s3
  bucket: kafka-backups
  prefix: prod

restore:
  # Use header-based offset strategy
  consumer_group_strategy: header-based

  # Include original offset headers in produced records
  include_original_offset_header: true

  # Output offset mapping for Phase 3
  offset_report: /var/kafka-backup/offset-mapping.json

  # Consumer groups to reset (Phase 3)
  consumer_groups:
    - order-processor
    - payment-processor
    - notification-service

  # Enable automatic offset reset (or use 'manual' for review first)
  reset_consumer_offsets: false  # Set to true for auto-reset
"#;

const S3: &str = "  backend: s3\n  bucket: kafka-backups\n  prefix: prod\n";
const FILES: &str = "  backend: filesystem\n  path: {backups}\n";

/// Every key of the guide, none with its default or its value there, and those that came since.
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
"#;

/// Where the groups stand on the source. The last one reads nothing that is backed up.
const COMMITS: &[(&str, &str, i32, i64)] = &[
    ("order-processor", "orders-eu", 0, 31),
    ("order-processor", "orders-eu", 1, 60),
    ("order-processor", "orders-us", 0, 3),
    ("payment-processor", "orders-eu", 0, 45),
    ("payment-processor", "payments-card", 0, 11),
    ("notification-service", "payments-card", 0, 0),
    ("stock-keeper", "stock", 0, 1),
];

/// The address in a configuration of the guide, and the cluster instead.
fn placed(yaml: &str, cluster: &Cluster) -> String {
    let server = &cluster.bootstrap_servers()[0];
    [
        "dr-kafka-1:9092",
        "dr-kafka-2:9092",
        "kafka-1:9092",
        "kafka-2:9092",
    ]
    .iter()
    .fold(yaml.replace(S3, FILES), |yaml, name| yaml.replace(name, server))
    .replace("/var/kafka-backup", "{folder}/var/kafka-backup")
}

/// Topics whose offsets cannot stay what they are: transactions, aborted ones too, and a log that starts late.
async fn fill(java: &JavaClient) {
    for (topic, partitions) in [
        ("orders-eu", 2),
        ("orders-us", 1),
        ("payments-card", 1),
        ("stock", 1),
    ] {
        java.create_topic(topic, partitions, &[]).await.unwrap();
    }
    let record = |topic: &str, partition: i32, n: i64| {
        ProduceRecord::new(topic, partition)
            .value(format!("{topic}/{partition} {n}"))
            .timestamp(EPOCH + n)
    };
    for (round, codec) in Codec::ALL.into_iter().cycle().take(6).enumerate() {
        let batch: Vec<ProduceRecord> = (0..20)
            .map(|n| record("orders-eu", n % 2, round as i64 * 20 + i64::from(n)))
            .collect();
        let options = ProducerOptions::new().codec(codec);
        java.produce_with(&options, &[batch]).await.unwrap();
    }
    java.delete_records("orders-eu", 0, 25).await.unwrap();
    let few: Vec<ProduceRecord> = (0..8)
        .flat_map(|n| [record("orders-us", 0, n), record("stock", 0, n)])
        .collect();
    java.produce(&few).await.unwrap();
    for round in 0..4 {
        let records: Vec<ProduceRecord> = (0..4)
            .map(|n| record("payments-card", 0, round * 4 + n))
            .collect();
        let end = if round == 2 {
            TransactionEnd::Abort
        } else {
            TransactionEnd::Commit
        };
        java.transaction("guide", &records, end).await.unwrap();
    }
    for (group, topic, partition, offset) in COMMITS {
        let commit = Commit::new(*topic, *partition, *offset);
        java.commit(group, &[commit]).await.unwrap();
    }
}

fn positions() -> Vec<Position> {
    COMMITS
        .iter()
        .filter(|(_, topic, ..)| *topic != "stock")
        .map(|(group, topic, partition, _)| ((*group).to_owned(), (*topic).to_owned(), *partition))
        .collect()
}

/// What each position reads next; records are known by their values.
async fn next(java: &JavaClient) -> Vec<(Position, NextRecord)> {
    let positions = positions();
    let next = java.next_records(&positions).await.unwrap();
    positions.into_iter().zip(next).collect()
}

/// The groups named read what they would have read on the source, the others have no position.
async fn assert_reset(java: &JavaClient, before: &[(Position, NextRecord)], groups: &[&str]) {
    for ((position, before), (_, after)) in before.iter().zip(next(java).await) {
        if !groups.contains(&position.0.as_str()) {
            assert_eq!(after.committed, None, "{position:?} was not asked for");
            continue;
        }
        assert!(
            after.committed.is_some() && !after.out_of_range,
            "{position:?}: {after:?}"
        );
        let value = |next: &NextRecord| next.record.as_ref().map(|record| record.value.clone());
        assert_eq!(value(before), value(&after), "{position:?}: {before:?} {after:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_from_its_first_command_to_its_last() {
    let source = Cluster::start(ClusterOptions::new()).await.unwrap();
    let java = JavaClient::of(&source).await.unwrap();
    fill(&java).await;
    let before = next(&java).await;
    let work = Workplace::new();
    work.config("backup.yaml", &placed(BACKUP, &source));
    let ran = work.must(&["backup", "--config", "backup.yaml"]).await;
    assert!(ran.stdout.contains("3 topic(s), 4 partition(s)"), "{ran:?}");
    assert!(ran.stdout.contains("3 consumer group(s)"), "{ran:?}");
    drop(source);

    let target = Cluster::start(ClusterOptions::new().quick_retention())
        .await
        .unwrap();
    let java = JavaClient::of(&target).await.unwrap();
    work.config("restore.yaml", &placed(RESTORE, &target));
    work.must(&["restore", "--config", "restore.yaml"]).await;
    assert_eq!(
        java.list_topics(false).await.unwrap(),
        ["orders-eu", "orders-us", "payments-card"]
    );
    assert_reset(&java, &before, &[]).await;

    let report = std::fs::read(work.path("var/kafka-backup/offset-mapping.json")).unwrap();
    the_report_is_as_documented(&serde_json::from_slice(&report).unwrap());
    every_format_goes_to_a_file_and_to_stdout(&work).await;
    the_script_resets_the_groups(&work, &java, &before).await;
}

/// `--format shell-script`, `chmod +x`, and run.
async fn the_script_resets_the_groups(
    work: &Workplace,
    java: &JavaClient,
    before: &[(Position, NextRecord)],
) {
    let backups = work.backups().display().to_string();
    let script = work.path("var/kafka-backup/offset-reset.sh");
    let args = [
        "offset-mapping",
        "--backup-id",
        "prod-backup-2024",
        "--storage-path",
        &backups,
        "--format",
        "shell-script",
        "--groups",
        "order-processor,payment-processor",
        "--output",
        script.to_str().unwrap(),
    ];
    let ran = work.must(&args).await;
    assert_eq!(ran.stdout, "", "what goes to a file does not go to stdout");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let tool = tools(work);

    let ran = run_script(&script, &tool, &["--dry-run"]).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stdout.contains("orders-eu"), "{ran:#?}");
    assert_reset(java, before, &[]).await;

    // Who is at work is not reset, and the script does not claim it.
    let member = java
        .join_group("order-processor", GroupProtocol::Classic, &["orders-eu"])
        .await
        .unwrap();
    let ran = run_script(&script, &tool, &[]).await;
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert!(ran.stderr.contains("FAILED: group order-processor"), "{ran:#?}");
    assert_reset(java, before, &["payment-processor"]).await;
    member.leave().await.unwrap();

    let ran = run_script(&script, &tool, &[]).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_reset(java, before, &["order-processor", "payment-processor"]).await;
    let offsets: Vec<i64> = java
        .committed("order-processor")
        .await
        .unwrap()
        .iter()
        .map(|commit| commit.offset)
        .collect();
    assert_eq!(offsets, [31 - 25, 60, 3]);
}

/// Runs the script as an operator does: the tool is on the path.
async fn run_script(script: &Path, tool: &Path, args: &[&str]) -> Ran {
    let path = format!("{}:{}", tool.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(script);
    command
        .args(args)
        .env("PATH", path)
        .env_remove("BOOTSTRAP_SERVERS")
        .env_remove("KAFKA_CONSUMER_GROUPS")
        .env_remove("COMMAND_CONFIG");
    finish(command).await
}

async fn finish(mut command: Command) -> Ran {
    tokio::task::spawn_blocking(move || Ran::of(command.output().unwrap()))
        .await
        .unwrap()
}

/// A folder with Apache Kafka's tools.
fn tools(work: &Workplace) -> PathBuf {
    let folder = work.path("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let script = testkit::consumer_groups_script(&folder).unwrap();
    let configs = std::fs::read_to_string(script).unwrap().replace(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "kafka.admin.ConfigCommand",
    );
    let path = folder.join("kafka-configs.sh");
    std::fs::write(&path, configs).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The guide leaves `--storage-path` out here; where the default is not the folder, the environment names it.
async fn every_format_goes_to_a_file_and_to_stdout(work: &Workplace) {
    let mut texts = Vec::new();
    for (format, name) in [
        ("json", "offset-mapping.json"),
        ("csv", "offset-mapping.csv"),
        ("text", "offset-mapping.txt"),
    ] {
        let args = [
            "offset-mapping",
            "--backup-id",
            "prod-backup-2024",
            "--format",
            format,
        ];
        let to_file = [&args[..], &["--output", name]].concat();
        let [shown, written] = [&args[..], &to_file].map(|args| {
            let mut command = work.command(args);
            command.env("KAFKA_BACKUP_STORAGE_PATH", work.backups());
            let ran = Ran::of(command.output().unwrap());
            assert_eq!(ran.code, Some(0), "{ran:#?}");
            ran.stdout
        });
        assert_eq!(written, "");
        assert_eq!(std::fs::read_to_string(work.path(name)).unwrap(), shown);
        texts.push(shown);
    }
    let [json, csv, text] = texts.try_into().unwrap();
    the_report_is_as_documented(&serde_json::from_str(&json).unwrap());
    let mut lines = csv.lines();
    assert_eq!(
        lines.next(),
        Some(
            "topic,partition,source_first_offset,source_last_offset,target_first_offset,target_last_offset,records,first_timestamp"
        )
    );
    assert!(
        csv.contains(&format!("orders-eu,0,25,59,0,34,35,{}", EPOCH + 50)),
        "{csv}"
    );
    assert!(lines.all(|line| line.split(',').count() == 8), "{csv}");
    for part in ["prod-us-east-1", "orders-us", "order-processor", "No warnings."] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

/// The keys of the guide's example, and values of its types.
fn the_report_is_as_documented(report: &Value) {
    assert_eq!(report["source_cluster_id"], "prod-us-east-1");
    assert!(report["created_at"].as_i64().unwrap() > EPOCH);
    let keys = |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
    let partitions = ["orders-eu/0", "orders-eu/1", "orders-us/0", "payments-card/0"].map(str::to_owned);
    assert_eq!(keys(&report["entries"]), partitions.clone().into());
    assert_eq!(keys(&report["detailed_mappings"]), partitions.into());
    for (key, entry) in report["entries"].as_object().unwrap() {
        let (topic, partition) = key.split_once('/').unwrap();
        assert_eq!(entry["topic"], topic);
        assert_eq!(
            entry["partition"].as_i64().unwrap(),
            partition.parse::<i64>().unwrap()
        );
        for key in [
            "source_first_offset",
            "source_last_offset",
            "target_first_offset",
            "target_last_offset",
            "first_timestamp",
            "last_timestamp",
        ] {
            assert!(entry[key].is_i64(), "{key} of {entry}");
        }
    }
    for pair in report["detailed_mappings"].as_object().unwrap().values() {
        for pair in pair.as_array().unwrap() {
            for key in ["source_offset", "target_offset", "timestamp"] {
                assert!(pair[key].is_i64(), "{key} of {pair}");
            }
        }
    }
    let groups = ["notification-service", "order-processor", "payment-processor"].map(str::to_owned);
    assert_eq!(keys(&report["consumer_groups"]), groups.into());
    for (group, topic, partition, offset) in COMMITS.iter().filter(|(_, topic, ..)| *topic != "stock") {
        let of_group = &report["consumer_groups"][group];
        assert_eq!(of_group["group_id"], *group);
        let position = &of_group["offsets"][topic][partition.to_string()];
        assert_eq!(position["source_offset"].as_i64(), Some(*offset), "{of_group}");
        assert!(position["target_offset"].is_i64(), "{of_group}");
        // There is no record to have a timestamp at the very end.
        let at_the_end = position["resolution"] == "exact-end";
        assert!(position["timestamp"].is_i64() || at_the_end, "{of_group}");
    }
    let standing = &report["consumer_groups"]["order-processor"]["offsets"]["orders-eu"]["0"];
    assert_eq!(
        (standing["target_offset"].as_i64(), standing["timestamp"].as_i64()),
        (Some(6), Some(EPOCH + 62))
    );
}

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

/// Our own guide, for what it says about the day on which a restore is killed.
const OPERATORS_GUIDE: &str = include_str!("../../../../docs/guide.md");

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_restore_is_begun_again_as_the_guide_says() {
    let options = ClusterOptions::new().quick_retention().proxied();
    let cluster = Cluster::start(options).await.unwrap();
    let java = JavaClient::of(&cluster).await.unwrap();
    let own = [("retention.ms", "-1"), ("segment.bytes", "2000000")];
    java.create_topic("orders-eu", 1, &own).await.unwrap();
    let record = |n: i64| {
        ProduceRecord::new("orders-eu", 0)
            .value(format!("{n}"))
            .timestamp(EPOCH + n)
    };
    java.produce(&(0..50).map(record).collect::<Vec<_>>())
        .await
        .unwrap();
    java.commit("order-processor", &[Commit::new("orders-eu", 0, 20)])
        .await
        .unwrap();
    let before = java.topic_configs("orders-eu").await.unwrap();
    let work = Workplace::new();
    work.config("backup.yaml", &placed(BACKUP, &cluster));
    work.must(&["backup", "--config", "backup.yaml"]).await;
    java.delete_topic("orders-eu").await.unwrap();
    java.delete_group("order-processor").await.unwrap();

    // The target takes the records, its answer never comes, and the restore is killed while it waits.
    let proxy = cluster.proxy(0).unwrap();
    let lost = proxy.add(Rule::request(api_key::PRODUCE, RequestFault::DropResponse).always());
    let yaml =
        placed(RESTORE, &cluster).replace("reset_consumer_offsets: false", "reset_consumer_offsets: true");
    work.config("restore.yaml", &yaml);
    let mut child = work
        .command(&["restore", "--config", "restore.yaml"])
        .spawn()
        .unwrap();
    while java.end_offset("orders-eu", 0).await.unwrap_or(0) == 0 && child.try_wait().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().unwrap();
    assert_eq!(
        child.wait().unwrap().code(),
        None,
        "it was killed and did not end"
    );
    lost.remove();
    assert!(java.committed("order-processor").await.unwrap().is_empty());

    // The settings that the guide names are still there, and its command removes them.
    let left: BTreeSet<String> = java
        .topic_configs("orders-eu")
        .await
        .unwrap()
        .into_keys()
        .collect();
    let command = OPERATORS_GUIDE
        .split("```bash\n")
        .find(|block| block.starts_with("kafka-configs.sh"))
        .and_then(|block| block.split("```").next())
        .unwrap();
    let named = command
        .split("--delete-config ")
        .nth(1)
        .unwrap()
        .trim()
        .split(',');
    assert_eq!(left, named.map(str::to_owned).collect());
    for name in &left {
        assert!(
            OPERATORS_GUIDE.contains(&format!("| `{name}`"))
                || name.contains("after")
                || name == "retention.bytes"
        );
    }
    let command = command
        .replace("dr-kafka-1:9092", &cluster.direct_bootstrap_servers()[0])
        .replace("--entity-name orders ", "--entity-name orders-eu ");
    let mut bash = Command::new("bash");
    let path = format!("{}:{}", tools(&work).display(), std::env::var("PATH").unwrap());
    bash.args(["-c", &command]).env("PATH", path);
    let ran = finish(bash).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(
        java.topic_configs("orders-eu").await.unwrap().is_empty(),
        "{ran:#?}"
    );

    // Nothing is written to a topic that has records; on a clean target the same command does all.
    work.run(&["restore", "--config", "restore.yaml"])
        .await
        .failed_saying(&["nothing was written", "orders-eu already holds records"]);
    java.delete_topic("orders-eu").await.unwrap();
    let ran = work.run(&["restore", "--config", "restore.yaml"]).await;
    // Two of the guide's groups are not in this backup.
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stdout.contains("payment-processor: NOT IN THE BACKUP"),
        "{ran:#?}"
    );
    assert_eq!(java.end_offset("orders-eu", 0).await.unwrap(), 50);
    assert_eq!(java.topic_configs("orders-eu").await.unwrap(), before);
    assert_eq!(java.committed("order-processor").await.unwrap()[0].offset, 20);
}

#[tokio::test]
async fn what_is_not_built_in_is_said_before_anything_is_done() {
    let work = Workplace::new();
    for (name, command, yaml) in [
        ("backup.yaml", "backup", BACKUP),
        ("restore.yaml", "restore", RESTORE),
    ] {
        work.config(name, yaml);
        work.run(&[command, "--config", name]).await.failed_saying(&[
            name,
            "storage.backend",
            "`s3` is not built in",
            "filesystem",
        ]);
    }
    // The guide's advice for groups that the mapping does not have.
    for strategy in ["timestamp-based", "cluster-scan"] {
        let yaml = RESTORE.replace(S3, FILES).replace("header-based", strategy);
        work.config("restore.yaml", &yaml);
        work.run(&["restore", "--config", "restore.yaml"])
            .await
            .failed_saying(&[
                "restore.consumer_group_strategy",
                strategy,
                "not built into this version",
            ]);
    }
    assert!(files_below(&work.backups()).is_empty());
}
