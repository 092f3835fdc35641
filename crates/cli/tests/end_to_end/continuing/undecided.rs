//! Transactions that are open when a run ends.

use testkit::{Cluster, JavaClient, JavaProducer, ProduceRecord, ProducerOptions};

use super::{backup, fill};
use crate::program::{Workplace, backup_yaml};
use crate::source::EPOCH;

/// A transaction with three records, that is left open.
async fn open(java: &JavaClient, id: &str, partition: i32, timestamp: Option<i64>) -> JavaProducer {
    let options = ProducerOptions::new().transactional_id(id);
    let producer = java.producer(&options).await.unwrap();
    producer.begin().await.unwrap();
    let records: Vec<_> = (0..3)
        .map(|n| ProduceRecord::new("undecided", partition).value(format!("open {n}")))
        .map(|record| match timestamp {
            Some(timestamp) => record.timestamp(timestamp),
            None => record,
        })
        .collect();
    producer.send(&records).await.unwrap();
    producer.flush().await.unwrap();
    producer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_open_transactions_hold_back_is_told_and_only_old_ones_are_warned_of() {
    let cluster = Cluster::shared().await.unwrap();
    let java = JavaClient::of(cluster).await.unwrap();
    java.create_topic("undecided", 3, &[("retention.ms", "-1")])
        .await
        .unwrap();
    for partition in 0..3 {
        fill(&java, "undecided", partition, 0..5).await;
    }
    let old = open(&java, "undecided-old", 1, Some(EPOCH)).await;
    let young = open(&java, "undecided-young", 2, None).await;
    fill(&java, "undecided", 1, 5..9).await;

    let work = Workplace::new();
    let yaml = backup_yaml("undecided", &cluster.bootstrap_servers(), &["undecided"]);
    work.config("backup.yaml", &yaml);
    let ran = backup(&work).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let told: Vec<&str> = (ran.stdout.lines())
        .filter(|line| line.contains("undecided/"))
        .collect();
    let [of_old, of_young] = told[..] else {
        panic!("{ran:#?}")
    };
    for part in [
        "  ! undecided/1: 7 offset(s) from 5 on are not in the backup",
        "since offset 5, last record",
        "days ago",
        "abort --topic undecided --partition 1 --start-offset 5",
    ] {
        assert!(of_old.contains(part), "{part:?} is not in {of_old}");
    }
    assert!(
        of_young.starts_with("  - undecided/2: 3 offset(s) from 5 on"),
        "{of_young}"
    );
    assert!(
        of_young.ends_with("the next run reads them when it has ended"),
        "{of_young}"
    );
    assert!(ran.stderr.contains("undecided/1: 7 offset(s)"), "{ran:#?}");
    assert!(!ran.stderr.contains("undecided/2"), "{ran:#?}");

    old.abort().await.unwrap();
    young.commit().await.unwrap();
    for partition in [1, 2] {
        // The markers are written right after the answers.
        for _ in 0..200 {
            let stable = java.last_stable_offset("undecided", partition).await.unwrap();
            if stable == java.end_offset("undecided", partition).await.unwrap() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    let ran = backup(&work).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(
        !ran.stdout.contains("undecided/") && !ran.stderr.contains("undecided/"),
        "{ran:#?}"
    );
    old.close().await.unwrap();
    young.close().await.unwrap();
}
