use std::time::Duration;

use kafka_wire::IsolationLevel;
use segment_format::Compression;

use super::*;

const BACKUP: &str = "
mode: backup
backup_id: prod-backup-2024
source:
  bootstrap_servers: [kafka-1:9092, kafka-2:9092]
  topics:
    include: ['orders-*', 'payments-*']
storage: {backend: filesystem, path: /backups}
";

const RESTORE: &str = "
mode: restore
backup_id: prod-backup-2024
target:
  bootstrap_servers: [dr-kafka-1:9092]
  topics: {include: ['*'], exclude: ['tmp-*']}
storage: {backend: filesystem, path: /backups, prefix: /prod/}
restore:
  consumer_group_strategy: header-based
";

fn error(yaml: &str) -> String {
    Config::from_yaml(yaml, "test.yaml").unwrap_err().to_string()
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = Config::from_yaml(BACKUP, "b.yaml").unwrap();
    let backup = config.backup().unwrap();
    assert_eq!(backup.compression, Compression::Zstd);
    assert_eq!(backup.segment_max_bytes, 134_217_728);
    assert!(backup.include_offset_headers);
    assert_eq!(backup.source_cluster_id, None);
    assert!(!backup.continuous);
    assert_eq!(backup.segment_max_interval, Duration::from_secs(60));
    assert_eq!(backup.max_bytes_per_second, None);
    assert_eq!((backup.parallelism, backup.memory_limit_bytes), (None, None));
    assert_eq!(backup.isolation_level, IsolationLevel::ReadCommitted);
    assert_eq!(backup.start_from, StartFrom::Earliest);
    assert_eq!(backup.source.bootstrap_servers, ["kafka-1:9092", "kafka-2:9092"]);

    let config = Config::from_yaml(
        &RESTORE.replace("restore:\n  consumer_group_strategy: header-based\n", ""),
        "r.yaml",
    )
    .unwrap();
    let restore = config.restore().unwrap();
    assert_eq!(restore.strategy, ConsumerGroupStrategy::Skip);
    assert!(!restore.include_original_offset_header);
    assert!(!restore.reset_consumer_offsets);
    assert_eq!(restore.on_existing_data, OnExistingData::Refuse);
    assert!(!restore.allow_incomplete_backup);
    assert_eq!(restore.consumer_groups_as_of, None);
    assert_eq!(
        config.storage,
        StorageConfig::Filesystem {
            path: "/backups".into(),
            prefix: "prod".into()
        }
    );
}

#[test]
fn a_misspelt_key_names_the_nearest_one_and_the_line() {
    let message = error(&BACKUP.replace("backup_id", "backup_ids"));
    assert!(
        message.contains("unknown key `backup_ids`") && message.contains("`backup_id`"),
        "{message}"
    );
    let message = error(&RESTORE.replace("consumer_group_strategy", "consumer_groups_strategy"));
    assert!(
        message.contains("restore: unknown key")
            && message.contains("did you mean `consumer_group_strategy`")
    );
    assert!(message.contains("line 9"), "{message}");
    let message = error(&format!("{BACKUP}compression: zstd\n"));
    assert!(
        message.contains("`compression` belongs under `backup:`"),
        "{message}"
    );
}

#[test]
fn a_value_that_cannot_be_used_says_what_can() {
    assert!(error(&RESTORE.replace("header-based", "header_based")).contains("did you mean `header-based`"));
    assert!(error(&BACKUP.replace("kafka-1:9092", "kafka-1")).contains("`kafka-1` is not host:port"));
    let address = error(&BACKUP.replace("kafka-1:9092", "'::1:9092'"));
    assert!(
        address.contains("source.bootstrap_servers: ") && address.contains("brackets"),
        "{address}"
    );
    assert!(error(&BACKUP.replace("mode: backup", "mode: bakup")).contains("did you mean `backup`"));
    assert!(error(&format!("{BACKUP}backup: {{compression: zip}}\n")).contains("none, lz4, zstd"));
    assert!(error(&format!("{BACKUP}backup: {{segment_max_bytes: 12}}\n")).contains("1 MiB"));
    assert!(error(&format!("{BACKUP}backup: {{segment_max_bytes: -12}}\n")).contains("whole number"));
    assert!(error(&format!("{RESTORE}  reset_consumer_offsets: perhaps\n")).contains("true or false"));
    assert!(error(&BACKUP.replace("'orders-*'", "'orders-['")).contains("source.topics.include"));
    assert!(error(&BACKUP.replace("prod-backup-2024", "''")).contains("backup_id"));
    assert!(error("").contains("mode"));
    assert!(error("- 1\n- 2\n").contains("test.yaml"));
}

#[test]
fn sections_of_the_other_mode_are_not_ignored() {
    assert!(
        error(&format!("{BACKUP}restore: {{}}\n")).contains("`restore:` has no meaning with `mode: backup`")
    );
    let config = Config::from_yaml(BACKUP, "b.yaml").unwrap();
    assert!(config.restore().unwrap_err().to_string().contains("mode: backup"));
}

#[test]
fn resetting_needs_a_strategy_that_can() {
    let auto = format!("{RESTORE}  reset_consumer_offsets: true\n");
    assert!(
        Config::from_yaml(&auto, "r")
            .unwrap()
            .restore()
            .unwrap()
            .reset_consumer_offsets
    );
    assert!(error(&auto.replace("header-based", "manual")).contains("header-based"));
    assert!(error(&auto.replace("header-based", "timestamp-based")).contains("not built into this version"));
}

#[test]
fn every_backup_key_is_taken() {
    let section = "backup: {continuous: true, segment_max_interval_ms: 5000, max_bytes_per_second: 1000000, parallelism: 3, \
                   memory_limit_bytes: 33554432, isolation_level: read_uncommitted, start_from: 2024-05-01T12:00:00Z}\n";
    let config = Config::from_yaml(&format!("{BACKUP}{section}"), "b.yaml").unwrap();
    let backup = config.backup().unwrap();
    assert!(backup.continuous);
    assert_eq!(backup.segment_max_interval, Duration::from_secs(5));
    assert_eq!(backup.max_bytes_per_second.unwrap().get(), 1_000_000);
    assert_eq!(backup.parallelism, Some(3));
    assert_eq!(backup.memory_limit_bytes, Some(33_554_432));
    assert_eq!(backup.isolation_level, IsolationLevel::ReadUncommitted);
    assert_eq!(backup.start_from, StartFrom::Time(1_714_564_800_000));
    let latest = Config::from_yaml(&format!("{BACKUP}backup: {{start_from: latest}}\n"), "b").unwrap();
    assert_eq!(latest.backup().unwrap().start_from, StartFrom::Latest);
    let ms = Config::from_yaml(&format!("{BACKUP}backup: {{start_from: 1714564800000}}\n"), "b").unwrap();
    assert_eq!(
        ms.backup().unwrap().start_from,
        StartFrom::Time(1_714_564_800_000)
    );
}

#[test]
fn a_backup_key_out_of_its_range_is_refused() {
    for (line, says) in [
        ("segment_max_interval_ms: 5", "between 100 and"),
        ("max_bytes_per_second: 0", "between 1 and"),
        ("parallelism: 0", "between 1 and 64"),
        ("memory_limit_bytes: 1048576", "between 16777216 and"),
        ("isolation_level: read-committed", "did you mean `read_committed`"),
        ("start_from: late", "earliest, latest"),
        ("start_from: 2024-05-01", "is not a time"),
        ("continuous: perhaps", "true or false"),
    ] {
        let message = error(&format!("{BACKUP}backup: {{{line}}}\n"));
        let key = line.split_once(':').unwrap().0;
        assert!(message.contains(key) && message.contains(says), "{message}");
    }
}

#[test]
fn a_restore_takes_a_time_for_its_groups() {
    let yaml =
        format!("{RESTORE}  allow_incomplete_backup: true\n  consumer_groups_as_of: 2024-05-01T12:00:00Z\n");
    let config = Config::from_yaml(&yaml, "r").unwrap();
    let restore = config.restore().unwrap();
    assert!(restore.allow_incomplete_backup);
    assert_eq!(restore.consumer_groups_as_of, Some(1_714_564_800_000));
    let message = error(&format!("{RESTORE}  consumer_groups_as_of: noon\n"));
    assert!(
        message.contains("restore.consumer_groups_as_of: `noon` is not a time"),
        "{message}"
    );
}
