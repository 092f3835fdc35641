//! Two writers, and one that is killed again and again.

use std::sync::Arc;
use std::time::Duration;

use restore_engine::storage::{MemoryStorage, Storage};
use restore_engine::{Config, Context, Error};
use testkit::{Cluster, JavaClient};

use super::{backup, covered, end, fill, wait_for};
use crate::program::{Workplace, backup_yaml, restore_yaml};
use crate::source::{EPOCH, create_large};
use crate::stored::Stored;

#[tokio::test(flavor = "multi_thread")]
async fn the_second_writer_loses_and_damages_nothing() {
    let cluster = Cluster::shared().await.unwrap();
    let java = JavaClient::of(cluster).await.unwrap();
    create_large(&java, "two", 2, 20_000).await;
    let work = Workplace::new();
    let yaml = backup_yaml("two", &cluster.bootstrap_servers(), &["two"]);
    // One that takes its time, and does not commit before its end.
    let slow =
        "backup:\n  max_bytes_per_second: 3000000\n  segment_max_bytes: 1048576\n  compression: none\n";
    work.config("slow.yaml", &(yaml.clone() + slow));
    work.config("backup.yaml", &yaml);
    let child = work.start(&["backup", "--config", "slow.yaml"]);
    let segments = || {
        let files = crate::program::files_below(&work.backups());
        files
            .iter()
            .filter(|path| path.to_str().unwrap().ends_with(".segment"))
            .count()
    };
    while segments() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let first = backup(&work).await;
    assert_eq!(first.code, Some(0), "{first:#?}");
    let second = end(child, "CONT").await;
    second.failed_saying(&[
        "somebody else adds to backup `two`",
        "generation 1",
        "not damaged",
    ]);

    let folder = work.backups();
    let stored = Stored::open(&folder, "two").await.unwrap();
    assert_eq!(stored.set.generation(), 1);
    stored.has_no_orphans();
    for partition in 0..2 {
        stored.is_same(&java, "two", partition).await;
    }
}

/// The same within one process, on a storage without files.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_contexts_loses_as_well() {
    let cluster = Cluster::shared().await.unwrap();
    let java = JavaClient::of(cluster).await.unwrap();
    create_large(&java, "contexts", 2, 20_000).await;
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let yaml = backup_yaml("contexts", &cluster.bootstrap_servers(), &["contexts"]);
    // Not looked at: the storage is given.
    let yaml = yaml.replace("{backups}", "/nowhere");
    let slow =
        "backup:\n  max_bytes_per_second: 3000000\n  segment_max_bytes: 1048576\n  compression: none\n";
    let run = |yaml: String| {
        let context = Context::new(Arc::clone(&storage), EPOCH);
        async move {
            let config = Config::from_yaml(&yaml, "test.yaml").unwrap();
            restore_engine::backup::run(&context, &config.backup_id, config.backup().unwrap()).await
        }
    };
    let loser = tokio::spawn(run(yaml.clone() + slow));
    while storage.list("contexts/segments/").await.unwrap().is_empty() {
        assert!(!loser.is_finished(), "{:?}", loser.await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let winner = run(yaml).await.unwrap();
    assert_eq!((winner.generation, winner.records), (1, 20_000));
    let error = loser.await.unwrap().unwrap_err();
    assert!(
        matches!(error, Error::AnotherWriter { generation: 1, .. }),
        "{error:?}"
    );
    let left = storage.list("contexts/segments/").await.unwrap();
    assert_eq!(left.len(), winner.segments, "{left:?}");
}

/// SIGKILL, a dozen times: each time what is there opens and is true, and in the end nothing is missing or there twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_again_and_again_comes_to_its_end() {
    let cluster = Cluster::shared().await.unwrap();
    let java = JavaClient::of(cluster).await.unwrap();
    create_large(&java, "killed", 3, 30_000).await;
    let mut truth = Vec::new();
    for partition in 0..3 {
        truth.push(java.consume_all("killed", partition).await.unwrap());
    }
    let work = Workplace::new();
    let section = "backup:\n  max_bytes_per_second: 12000000\n  segment_max_bytes: 1048576\n  \
                   segment_max_interval_ms: 100\n  compression: lz4\n";
    let yaml = backup_yaml("killed", &cluster.bootstrap_servers(), &["killed"]) + section;
    work.config("backup.yaml", &yaml);
    let folder = work.backups();
    let mut reached = Vec::new();
    for round in 0..12u64 {
        let mut child = work.start(&["backup", "--config", "backup.yaml"]);
        // Times that have nothing to do with the program's own.
        tokio::time::sleep(Duration::from_millis(60 + (round * 7919) % 480)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        if let Some(stored) = Stored::open(&folder, "killed").await {
            for (partition, truth) in truth.iter().enumerate() {
                let end = covered(&stored, "killed", partition as i32);
                let below = truth.partition_point(|record| record.offset < end);
                stored.holds("killed", partition as i32, &truth[..below]);
            }
            reached.push(stored.set.generation());
        }
    }
    assert!(reached.len() > 2, "too few runs have committed: {reached:?}");

    // Before the first end there is no restore, unless it is asked for.
    let incomplete = Stored::open(&folder, "killed").await.unwrap();
    if incomplete.set.facts().groups_captured_at.is_none() {
        work.config(
            "restore.yaml",
            &restore_yaml("killed", &cluster.bootstrap_servers(), &[]),
        );
        work.run(&["restore", "--config", "restore.yaml"])
            .await
            .failed_saying(&["`killed` was never complete", "allow_incomplete_backup"]);
    }
    let ran = backup(&work).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let stored = Stored::open(&folder, "killed").await.unwrap();
    assert!(stored.set.facts().complete);
    for (partition, truth) in truth.iter().enumerate() {
        stored.holds("killed", partition as i32, truth);
    }
}

/// SIGTERM in the midst of a run: what was read is committed, and the next run goes on from there.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_told_to_end_keeps_what_it_has() {
    let cluster = Cluster::shared().await.unwrap();
    let java = JavaClient::of(cluster).await.unwrap();
    create_large(&java, "ended", 2, 20_000).await;
    fill(&java, "ended", 1, 0..1).await;
    let work = Workplace::new();
    let yaml = backup_yaml("ended", &cluster.bootstrap_servers(), &["ended"]);
    let slow = "backup:\n  max_bytes_per_second: 2000000\n  segment_max_interval_ms: 300\n";
    work.config("backup.yaml", &(yaml.clone() + slow));
    let child = work.start(&["backup", "--config", "backup.yaml"]);
    let folder = work.backups();
    wait_for(&folder, "ended", |stored| covered(stored, "ended", 0) > 0).await;
    let ran = end(child, "TERM").await;
    assert_eq!(ran.code, Some(143), "{ran:#?}");
    assert!(ran.stderr.contains("not complete yet"), "{ran:#?}");
    let stored = Stored::open(&folder, "ended").await.unwrap();
    stored.has_no_orphans();
    assert!(!stored.set.facts().complete);

    // What it has can be restored when that is asked for.
    let lines = ["allow_incomplete_backup: true"];
    let restore = restore_yaml("ended", &cluster.bootstrap_servers(), &lines);
    work.config("restore.yaml", &restore.replace("['*']", "[no-such-topic]"));
    work.run(&["restore", "--config", "restore.yaml"])
        .await
        .failed_saying(&["no-such-topic"]);

    work.config("backup.yaml", &yaml);
    let ran = backup(&work).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let stored = Stored::open(&folder, "ended").await.unwrap();
    stored.has_no_orphans();
    for partition in 0..2 {
        stored.is_same(&java, "ended", partition).await;
    }
}
