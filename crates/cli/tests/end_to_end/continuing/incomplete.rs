//! A backup whose first run never came to its end, and a run that is held back.

use testkit::{Cluster, JavaClient};

use super::{backup, commit, covered, end, wait_for};
use crate::program::{Workplace, backup_yaml, restore_yaml};
use crate::source::create_large;
use crate::stored::Stored;

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_backup_is_restored_when_it_is_asked_for_and_says_what_it_lacks() {
    let cluster = Cluster::shared().await.unwrap();
    let java = JavaClient::of(cluster).await.unwrap();
    create_large(&java, "half", 2, 10_000).await;
    commit(&java, "half-group", "half", 7).await;
    let mut truth = Vec::new();
    for partition in 0..2 {
        truth.push(java.consume_all("half", partition).await.unwrap());
    }
    let work = Workplace::new();
    let slow = "backup:\n  max_bytes_per_second: 2000000\n  segment_max_interval_ms: 200\n";
    let yaml = backup_yaml("half", &cluster.bootstrap_servers(), &["half"]) + slow;
    work.config("backup.yaml", &yaml);
    let child = work.start(&["backup", "--config", "backup.yaml"]);
    let folder = work.backups();
    wait_for(&folder, "half", |stored| covered(stored, "half", 0) > 0).await;
    let ran = end(child, "TERM").await;
    assert_eq!(ran.code, Some(143), "{ran:#?}");
    let stored = Stored::open(&folder, "half").await.unwrap();
    assert_eq!(stored.set.facts().groups_captured_at, None);
    let has: Vec<usize> = (0..2)
        .map(|partition| covered(&stored, "half", partition) as usize)
        .collect();
    assert!(
        has.iter().sum::<usize>() < 10_000,
        "the run was over before it was told to end"
    );
    java.delete_topic("half").await.unwrap();
    java.delete_group("half-group").await.unwrap();

    let servers = cluster.bootstrap_servers();
    work.config("restore.yaml", &restore_yaml("half", &servers, &[]));
    work.run(&["restore", "--config", "restore.yaml"])
        .await
        .failed_saying(&["`half` was never complete", "allow_incomplete_backup"]);
    assert!(
        !java
            .list_topics(false)
            .await
            .unwrap()
            .contains(&"half".to_owned())
    );

    let lines = [
        "allow_incomplete_backup: true",
        "consumer_group_strategy: header-based",
        "reset_consumer_offsets: true",
        "consumer_groups: [half-group]",
    ];
    work.config("restore.yaml", &restore_yaml("half", &servers, &lines));
    let ran = work
        .run(&["three-phase-restore", "--config", "restore.yaml"])
        .await;
    // The records are there, and the group's position is not in the backup: it is said, and is no success.
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(ran.stdout.contains("half-group: NOT IN THE BACKUP"), "{ran:#?}");
    for told in [
        "was never complete",
        "no positions of consumer groups",
        "records may be missing",
    ] {
        assert!(ran.stderr.contains(told), "{told}: {ran:#?}");
    }
    for (partition, (truth, has)) in truth.iter().zip(has).enumerate() {
        let restored = java.consume_all("half", partition as i32).await.unwrap();
        assert_eq!(restored.len(), has);
        for (old, mut new) in truth.iter().zip(restored) {
            new.headers.truncate(old.headers.len());
            assert_eq!(old.content(), new.content());
        }
    }
    assert!(java.committed("half-group").await.unwrap().is_empty());
    // And so does what looks at the backup.
    let ran = work
        .run(&["verify", "--backup-id", "half", "--config", "restore.yaml"])
        .await;
    assert!(ran.stdout.contains("committed in the midst of a run"), "{ran:#?}");
    assert_eq!(ran.code, Some(0), "what it has is as it was written");
    let last = ran.stdout.lines().last().unwrap();
    for told in [
        "No run of this backup was ever complete",
        "no consumer groups",
        "allow_incomplete_backup",
    ] {
        assert!(last.contains(told), "{told}: {ran:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_bandwidth_holds_the_run_back_and_the_report_says_so() {
    let cluster = Cluster::shared().await.unwrap();
    let java = JavaClient::of(cluster).await.unwrap();
    create_large(&java, "limited", 2, 3_000).await;
    let work = Workplace::new();
    let yaml = |id: &str| backup_yaml(id, &cluster.bootstrap_servers(), &["limited"]);
    work.config("backup.yaml", &yaml("unlimited"));
    let free = backup(&work).await;
    assert_eq!(free.code, Some(0), "{free:#?}");
    assert!(!free.stdout.contains("held back"), "{free:#?}");
    let limited = yaml("limited") + "backup:\n  max_bytes_per_second: 1000000\n";
    work.config("backup.yaml", &limited);
    let ran = backup(&work).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stdout.contains("held back for"), "{ran:#?}");
    let folder = work.backups();
    for id in ["unlimited", "limited"] {
        let stored = Stored::open(&folder, id).await.unwrap();
        for partition in 0..2 {
            stored.is_same(&java, "limited", partition).await;
        }
    }
}
