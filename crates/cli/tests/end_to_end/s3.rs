//! The guide's configurations as they stand: backups in a bucket, everything else from the environment.

use std::process::Command;

use testkit::{Cluster, ClusterOptions, Commit, JavaClient, ProduceRecord, S3Kind, S3Server};

use crate::program::{Ran, Workplace, files_below, finish};

const BACKUP: &str = r#"mode: backup
backup_id: prod-backup-2024

source:
  bootstrap_servers:
    - {bootstrap}
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

const RESTORE: &str = r#"mode: restore
backup_id: prod-backup-2024

target:
  bootstrap_servers:
    - {bootstrap}
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
  offset_report: {folder}/offset-mapping.json

  # Consumer groups to reset (Phase 3)
  consumer_groups:
    - order-processor
    - payment-processor
    - notification-service

  # Enable automatic offset reset (or use 'manual' for review first)
  reset_consumer_offsets: false  # Set to true for auto-reset
"#;

/// What the environment of an S3 user says.
fn environment(command: &mut Command, server: &S3Server) {
    command
        .env("AWS_ACCESS_KEY_ID", server.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", server.secret_access_key())
        .env("AWS_REGION", server.region())
        .env("AWS_ENDPOINT_URL", server.endpoint());
}

#[track_caller]
fn is_done(ran: &Ran) {
    assert_eq!(ran.code, Some(0), "{ran:#?}");
}

/// 100 KiB that do not compress: 200 of them make a segment that goes in parts.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed + 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..100 * 1024).map(|_| next()).collect()
}

async fn fill(java: &JavaClient) {
    java.create_topic("orders-eu", 2, &[]).await.unwrap();
    java.create_topic("payments-eu", 1, &[]).await.unwrap();
    java.create_topic("other", 1, &[]).await.unwrap();
    let records: Vec<ProduceRecord> = (0..500)
        .map(|n| ProduceRecord::new("orders-eu", n % 2).value(format!("order {n}")))
        .collect();
    java.produce(&records).await.unwrap();
    let payments: Vec<ProduceRecord> = (0..200)
        .map(|n| ProduceRecord::new("payments-eu", 0).value(noise(n)))
        .collect();
    java.produce(&payments).await.unwrap();
    for (group, topic, offset) in [
        ("order-processor", "orders-eu", 123),
        ("payment-processor", "payments-eu", 199),
        ("notification-service", "orders-eu", 250),
    ] {
        java.commit(group, &[Commit::new(topic, 0, offset)])
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configurations_of_the_guide_run_on_a_bucket() {
    the_configurations_run_on(S3Server::start().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long suite: scripts/test-long"]
async fn the_configurations_of_the_guide_run_on_a_bucket_of_minio() {
    the_configurations_run_on(S3Server::start_kind(S3Kind::Minio).await.unwrap()).await;
}

async fn the_configurations_run_on(server: S3Server) {
    server.create_bucket("kafka-backups").unwrap();
    let source = Cluster::start(ClusterOptions::new()).await.unwrap();
    let java = JavaClient::of(&source).await.unwrap();
    fill(&java).await;
    let partitions = [("orders-eu", 0), ("orders-eu", 1), ("payments-eu", 0)];
    let mut before = Vec::new();
    for (topic, partition) in partitions {
        before.push(java.consume_all(topic, partition).await.unwrap());
    }

    let work = Workplace::new();
    work.config(
        "backup.yaml",
        &BACKUP.replace("{bootstrap}", &source.bootstrap_servers()[0]),
    );
    let mut command = work.command(&["backup", "--config", "backup.yaml"]);
    environment(&mut command, &server);
    let ran = finish(command).await;
    is_done(&ran);
    assert!(ran.stdout.contains("s3://kafka-backups/prod"), "{ran:#?}");
    drop(source);

    let target = Cluster::start(ClusterOptions::new()).await.unwrap();
    let java = JavaClient::of(&target).await.unwrap();
    work.config(
        "restore.yaml",
        &RESTORE.replace("{bootstrap}", &target.bootstrap_servers()[0]),
    );
    let mut command = work.command(&["three-phase-restore", "--config", "restore.yaml"]);
    environment(&mut command, &server);
    is_done(&finish(command).await);
    for ((topic, partition), before) in partitions.into_iter().zip(before) {
        let after = java.consume_all(topic, partition).await.unwrap();
        assert_eq!(before.len(), after.len(), "{topic}/{partition}");
        for (old, mut new) in before.iter().zip(after) {
            new.headers.truncate(old.headers.len());
            assert_eq!(
                old.content(),
                new.content(),
                "{topic}/{partition} offset {}",
                old.offset
            );
        }
    }
    assert!(
        !java
            .list_topics(false)
            .await
            .unwrap()
            .contains(&"other".to_owned())
    );
    objects_lie_below_the_prefix(&server);
    mapping_comes_back_with_keys_from_the_configuration(&work, &server).await;
}

fn objects_lie_below_the_prefix(server: &S3Server) {
    let bucket = server.bucket_folder("kafka-backups");
    let objects = files_below(&bucket.join("prod"));
    // A file, or the files in a folder of its name.
    let of_segments = objects
        .iter()
        .filter(|path| path.to_string_lossy().contains(".segment"));
    let bytes: u64 = of_segments.map(|path| path.metadata().unwrap().len()).sum();
    assert!(bytes > 16 * 1024 * 1024, "{objects:?}");
    let beside = files_below(&bucket).into_iter().filter(|path| {
        let name = path.strip_prefix(&bucket).unwrap().to_string_lossy().into_owned();
        !name.starts_with("prod/") && !name.starts_with(".sgwtmp")
    });
    assert_eq!(beside.count(), 0);
}

async fn mapping_comes_back_with_keys_from_the_configuration(work: &Workplace, server: &S3Server) {
    let keys = format!(
        "  bucket: kafka-backups\n  region: {}\n  endpoint: {}\n  path_style: true\n  access_key_id: {}\n  \
         secret_access_key: ${{THE_SECRET}}\n",
        server.region(),
        server.endpoint(),
        server.access_key_id()
    );
    let yaml = RESTORE.replace("  bucket: kafka-backups\n", &keys);
    work.config("mapping.yaml", &yaml.replace("{bootstrap}", "nowhere:9092"));
    let args = [
        "offset-mapping",
        "--backup-id",
        "prod-backup-2024",
        "--config",
        "mapping.yaml",
        "--format",
        "json",
    ];
    let mut command = work.command(&args);
    command.env("THE_SECRET", server.secret_access_key());
    let ran = finish(command).await;
    is_done(&ran);
    let report = std::fs::read(work.path("offset-mapping.json")).unwrap();
    let (report, stored): (serde_json::Value, serde_json::Value) = (
        serde_json::from_slice(&report).unwrap(),
        serde_json::from_str(&ran.stdout).unwrap(),
    );
    assert_eq!(report, stored);
    assert!(
        report["consumer_groups"]["order-processor"].is_object(),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_keys_and_servers_that_are_not_there() {
    let server = S3Server::start().await.unwrap();
    let work = Workplace::new();
    work.config("restore.yaml", &RESTORE.replace("{bootstrap}", "127.0.0.1:1"));
    let restore = || {
        let mut command = work.command(&["restore", "--config", "restore.yaml"]);
        environment(&mut command, &server);
        command
    };
    finish(restore()).await.failed_saying(&[
        "There is no bucket kafka-backups",
        &server.endpoint(),
        "storage.bucket",
    ]);

    let mut command = restore();
    command.env("AWS_SECRET_ACCESS_KEY", "not-the-secret");
    let ran = finish(command).await;
    ran.failed_saying(&["SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"]);
    assert!(!ran.stderr.contains("not-the-secret"), "{ran:#?}");

    let mut command = restore();
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    finish(command).await.failed_saying(&[
        "s3://kafka-backups/prod",
        "http://127.0.0.1:1",
        "storage.endpoint",
    ]);

    let mut command = restore();
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("HOME", work.path("nobody"));
    finish(command)
        .await
        .failed_saying(&["storage.access_key_id", "AWS_ACCESS_KEY_ID"]);

    let mut command = restore();
    command
        .env_remove("AWS_ENDPOINT_URL")
        .env_remove("AWS_REGION")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("HOME", work.path("nobody"));
    finish(command)
        .await
        .failed_saying(&["storage.region", "AWS_REGION"]);

    // Once the bucket is there, it is the backup that is missing.
    server.create_bucket("kafka-backups").unwrap();
    finish(restore())
        .await
        .failed_saying(&["no backup `prod-backup-2024`", "s3://kafka-backups/prod"]);
}
