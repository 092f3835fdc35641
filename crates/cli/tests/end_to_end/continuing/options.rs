//! `isolation_level` and `start_from`.

use testkit::{
    Cluster, ConsumeOptions, Isolation, JavaClient, ProduceRecord, ProducerOptions, TransactionEnd,
};

use super::{backup, commit, covered, fill};
use crate::program::{Workplace, backup_yaml, restore_yaml};
use crate::source::EPOCH;
use crate::stored::Stored;

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_read_as_the_isolation_level_says() {
    let cluster = Cluster::shared().await.unwrap();
    let java = JavaClient::of(cluster).await.unwrap();
    java.create_topic("isolated", 1, &[]).await.unwrap();
    let records = |from: usize| -> Vec<ProduceRecord> {
        (from..from + 5)
            .map(|n| ProduceRecord::new("isolated", 0).value(format!("{n}")))
            .collect()
    };
    java.transaction("isolated-1", &records(0), TransactionEnd::Commit)
        .await
        .unwrap();
    java.transaction("isolated-1", &records(10), TransactionEnd::Abort)
        .await
        .unwrap();
    let open = java
        .producer(&ProducerOptions::new().transactional_id("isolated-2"))
        .await
        .unwrap();
    open.begin().await.unwrap();
    open.send(&records(20)).await.unwrap();
    open.flush().await.unwrap();
    fill(&java, "isolated", 0, 30..35).await;

    let work = Workplace::new();
    let folder = work.backups();
    let yaml = |id: &str, level: &str| {
        let section = format!("backup:\n  isolation_level: {level}\n");
        backup_yaml(id, &cluster.bootstrap_servers(), &["isolated"]) + &section
    };
    work.config("backup.yaml", &yaml("committed", "read_committed"));
    assert_eq!(backup(&work).await.code, Some(0));
    work.config("backup.yaml", &yaml("all", "read_uncommitted"));
    assert_eq!(backup(&work).await.code, Some(0));

    // Up to the open transaction, without the aborted one; and everything there is.
    let committed = Stored::open(&folder, "committed").await.unwrap();
    assert_eq!(committed.records("isolated", 0).len(), 5);
    let all = Stored::open(&folder, "all").await.unwrap();
    let options = ConsumeOptions {
        isolation: Isolation::ReadUncommitted,
        ..ConsumeOptions::default()
    };
    let seen = java.consume("isolated", 0, &options).await.unwrap();
    assert_eq!(seen.len(), 20);
    all.holds("isolated", 0, &seen);

    // What is decided now is backed up now.
    open.commit().await.unwrap();
    open.close().await.unwrap();
    work.config("backup.yaml", &yaml("committed", "read_committed"));
    assert_eq!(backup(&work).await.code, Some(0));
    let committed = Stored::open(&folder, "committed").await.unwrap();
    committed.is_same(&java, "isolated", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_partitions_begin_where_start_from_says() {
    let cluster = Cluster::shared().await.unwrap();
    let java = JavaClient::of(cluster).await.unwrap();
    java.create_topic("begun", 1, &[("retention.ms", "-1")])
        .await
        .unwrap();
    for half in [0, 10] {
        let records: Vec<ProduceRecord> = (half..half + 10)
            .map(|n| {
                let record = ProduceRecord::new("begun", 0).value(format!("{n}"));
                record.timestamp(EPOCH + n * 1000)
            })
            .collect();
        java.produce(&records).await.unwrap();
    }
    commit(&java, "begun-group", "begun", 4).await;
    let work = Workplace::new();
    let folder = work.backups();
    // The batch of offset 14 begins at 10, which is stored, and not part of the backup.
    for (id, start_from, first) in [
        ("earliest", "earliest".to_owned(), 0),
        ("time", (EPOCH + 14_000).to_string(), 14),
        ("rfc", "2023-11-14T22:13:34Z".to_owned(), 14),
        ("future", "2100-01-01T00:00:00Z".to_owned(), 20),
        ("latest", "latest".to_owned(), 20),
    ] {
        let section = format!("backup:\n  start_from: {start_from}\n");
        let yaml = backup_yaml(id, &cluster.bootstrap_servers(), &["begun"]) + &section;
        work.config("backup.yaml", &yaml);
        assert_eq!(backup(&work).await.code, Some(0), "{id}");
        let stored = Stored::open(&folder, id).await.unwrap();
        let offsets: Vec<i64> = stored.records("begun", 0).iter().map(|r| r.offset).collect();
        assert_eq!(offsets, (first..20).collect::<Vec<i64>>(), "{id}");
        assert_eq!(covered(&stored, "begun", 0), 20, "{id}");
    }
    // The next run goes on; where to begin is asked for new partitions only.
    fill(&java, "begun", 0, 20..23).await;
    let latest = backup(&work).await;
    assert_eq!(latest.code, Some(0), "{latest:#?}");
    let stored = Stored::open(&folder, "latest").await.unwrap();
    assert_eq!(stored.records("begun", 0).len(), 3);

    // A position before the start is put on the first record, and it is said how many offsets that skips.
    java.delete_topic("begun").await.unwrap();
    let lines = ["consumer_group_strategy: header-based"];
    let yaml = restore_yaml("time", &cluster.bootstrap_servers(), &lines);
    work.config("restore.yaml", &yaml);
    let ran = work
        .must(&["three-phase-restore", "--config", "restore.yaml"])
        .await;
    assert!(
        ran.stdout.contains("clamped-to-start, 10 offsets skipped"),
        "{ran:#?}"
    );
    let restored = java.consume_all("begun", 0).await.unwrap();
    assert_eq!(restored[0].value.as_deref(), Some(b"14".as_slice()));
    assert_eq!(restored.len(), 6);
}
