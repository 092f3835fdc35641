//! Backups that are killed (`SIGKILL`) again and again, and then restored elsewhere: each record once, in its order.

use std::time::Duration;

use testkit::{Cluster, ClusterOptions, Commit, JavaClient, Record, S3Kind, S3Server};

use crate::program::{Workplace, backup_yaml, files_below, restore_yaml};
use crate::source::create_large;

const PARTITIONS: i32 = 3;

/// The lines of a configuration that name a folder.
const FILES: &str = "  backend: filesystem\n  path: {backups}\n";

fn bucket(server: &S3Server, name: &str) -> String {
    server.create_bucket(name).unwrap();
    format!(
        "  backend: s3\n  bucket: {name}\n  region: {}\n  endpoint: {}\n  path_style: true\n  access_key_id: {}\n  \
         secret_access_key: {}\n",
        server.region(),
        server.endpoint(),
        server.access_key_id(),
        server.secret_access_key()
    )
}

/// Kills `rounds` runs, each at another moment, then lets one come to its end, and compares what a restore of it gives.
async fn killed_and_restored(topic: &str, storage: &str, rounds: u64) {
    let source = Cluster::shared().await.unwrap();
    let java = JavaClient::of(source).await.unwrap();
    create_large(&java, topic, PARTITIONS, 12_000).await;
    java.commit(&format!("{topic}-group"), &[Commit::new(topic, 1, 1234)])
        .await
        .unwrap();
    let mut truth = Vec::new();
    for partition in 0..PARTITIONS {
        truth.push(java.consume_all(topic, partition).await.unwrap());
    }
    let work = Workplace::new();
    let section = "backup:\n  max_bytes_per_second: 6000000\n  segment_max_bytes: 1048576\n  \
                   segment_max_interval_ms: 100\n  compression: lz4\n";
    let yaml = backup_yaml(topic, &source.bootstrap_servers(), &[topic]).replace(FILES, storage) + section;
    work.config("backup.yaml", &yaml);
    let verify = ["verify", "--backup-id", topic, "--config", "backup.yaml"];
    for round in 0..rounds {
        let mut child = work.start(&["backup", "--config", "backup.yaml"]);
        // Moments that have nothing to do with the program's own, from before its first request to many commits.
        tokio::time::sleep(Duration::from_millis(40 + (round * 7919) % 900)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let ran = work.run(&verify).await;
        let nothing_yet = ran.code == Some(1) && ran.stderr.contains("no backup");
        assert!(ran.code == Some(0) || nothing_yet, "round {round}: {ran:#?}");
    }
    work.must(&["backup", "--config", "backup.yaml"]).await;
    let ran = work.must(&verify).await;
    assert!(
        ran.stdout.contains("GOOD") && ran.stdout.contains("12,000 records"),
        "{ran:#?}"
    );
    work.must(&[
        "orphans",
        "--backup-id",
        topic,
        "--config",
        "backup.yaml",
        "--older-than",
        "0s",
        "--delete",
    ])
    .await;
    work.must(&verify).await;

    let target = Cluster::start(ClusterOptions::new()).await.unwrap();
    let lines = [
        "consumer_group_strategy: header-based",
        "reset_consumer_offsets: true",
    ];
    let yaml = restore_yaml(topic, &target.bootstrap_servers(), &lines).replace(FILES, storage);
    work.config("restore.yaml", &yaml);
    work.must(&["three-phase-restore", "--config", "restore.yaml"])
        .await;
    let java = JavaClient::of(&target).await.unwrap();
    for (partition, truth) in truth.iter().enumerate() {
        is_same(truth, java.consume_all(topic, partition as i32).await.unwrap());
    }
    let committed = java.committed(&format!("{topic}-group")).await.unwrap();
    assert_eq!((committed.len(), committed[0].offset), (1, 1234));
}

fn is_same(truth: &[Record], restored: Vec<Record>) {
    assert_eq!(truth.len(), restored.len());
    for (old, mut new) in truth.iter().zip(restored) {
        new.headers.truncate(old.headers.len());
        assert_eq!((old.offset, old.content()), (new.offset, new.content()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_folder_nothing_is_lost_or_there_twice() {
    killed_and_restored("killed-files", FILES, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_bucket_nothing_is_lost_or_there_twice() {
    let server = S3Server::start().await.unwrap();
    killed_and_restored("killed-s3", &bucket(&server, "killed"), 6).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: many runs that are killed"]
async fn many_kills_in_a_folder() {
    killed_and_restored("killed-files-long", FILES, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: many runs that are killed"]
async fn many_kills_over_a_bucket() {
    let server = S3Server::start().await.unwrap();
    killed_and_restored("killed-s3-long", &bucket(&server, "killed-long"), 60).await;
}

/// A server keeps, and charges, the parts of an upload that nobody ends. (Of two servers the one that lists them by a
/// prefix, as S3 does.)
#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_a_killed_run_are_listed_and_removed() {
    let server = S3Server::start_kind(S3Kind::Versitygw).await.unwrap();
    let source = Cluster::shared().await.unwrap();
    let java = JavaClient::of(source).await.unwrap();
    create_large(&java, "parts", PARTITIONS, 30_000).await;
    let work = Workplace::new();
    let section = "backup:\n  max_bytes_per_second: 12000000\n  compression: none\n";
    let yaml = backup_yaml("parts", &source.bootstrap_servers(), &["parts"]);
    work.config(
        "backup.yaml",
        &(yaml.replace(FILES, &bucket(&server, "parts")) + section),
    );
    // Where this server keeps parts until an upload ends. (Those of the probe are small.)
    let parts = || {
        let files = files_below(&server.bucket_folder("parts").join(".sgwtmp"));
        files
            .into_iter()
            .filter(|path| path.metadata().is_ok_and(|file| file.len() > 1_000_000))
            .count()
    };
    let mut child = work.start(&["backup", "--config", "backup.yaml"]);
    while parts() == 0 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the run ended before a part was sent"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(parts() > 0);

    let orphans = ["orphans", "--backup-id", "parts", "--config", "backup.yaml"];
    // What is young stays unless it is asked for.
    let ran = work.must(&[&orphans[..], &["--delete"]].concat()).await;
    assert!(
        ran.stdout.contains("young") && ran.stdout.contains("unfinished"),
        "{ran:#?}"
    );
    assert!(parts() > 0, "{ran:#?}");
    let ran = work.must(&[&orphans[..], &["--older-than", "0s"]].concat()).await;
    assert!(ran.stdout.contains("delete     unfinished"), "{ran:#?}");
    assert!(parts() > 0, "{ran:#?}");
    let ran = work
        .must(&[&orphans[..], &["--older-than", "0s", "--delete"]].concat())
        .await;
    assert!(ran.stdout.contains("1 object(s) removed"), "{ran:#?}");
    assert_eq!(parts(), 0, "{ran:#?}");

    work.must(&["backup", "--config", "backup.yaml"]).await;
    let ran = work.must(&orphans).await;
    assert!(ran.stdout.contains("has no orphans"), "{ran:#?}");
    let ran = work
        .must(&["verify", "--backup-id", "parts", "--config", "backup.yaml"])
        .await;
    assert!(ran.stdout.contains("30,000 records"), "{ran:#?}");
}
