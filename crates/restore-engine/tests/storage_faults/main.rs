//! Backups and restores over a storage that fails, lies or is slow.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the lints' exception for tests does not reach helpers in integration tests"
)]

mod continuing;
mod faulty;

use std::sync::Arc;
use std::time::Duration;

use restore_engine::storage::{MemoryStorage, Storage};
use restore_engine::{Catalog, Config, Context, Result, backup, restore};
use testkit::{Cluster, JavaClient, ProduceRecord};

use self::faulty::{Fault, Faulty};

const RECORDS: usize = 300;

fn config(mode: &str, side: &str, topic: &str, server: &str) -> Config {
    let yaml = format!(
        "mode: {mode}\nbackup_id: b\n{side}:\n  bootstrap_servers: [\"{server}\"]\n  topics:\n    include: [{topic}]\n\
         storage:\n  backend: filesystem\n  path: /nowhere\n"
    );
    Config::from_yaml(&yaml, "test.yaml").unwrap()
}

async fn fill(cluster: &Cluster, topic: &str) {
    let java = JavaClient::of(cluster).await.unwrap();
    java.create_topic(topic, 2, &[]).await.unwrap();
    let records: Vec<ProduceRecord> = (0..RECORDS)
        .map(|n| ProduceRecord::new(topic, (n % 2) as i32).value(format!("record {n}")))
        .collect();
    java.produce(&records).await.unwrap();
}

async fn back_up(storage: Arc<dyn Storage>, config: &Config) -> Result<backup::BackupReport> {
    let context = Context::new(storage, 1_700_000_000_000);
    backup::run(&context, "b", config.backup().unwrap()).await
}

/// A manifest is there and opens, or there is none.
async fn is_whole_or_not_there(storage: &Arc<dyn Storage>) -> bool {
    let context = Context::new(Arc::clone(storage), 0);
    let backups = Catalog::new(&context).backups().await.unwrap();
    if !backups.is_empty() {
        Catalog::new(&context).open("b").await.unwrap();
    }
    !backups.is_empty()
}

async fn records_of_a_complete_backup(storage: &Arc<dyn Storage>, topic: &str) -> u64 {
    let context = Context::new(Arc::clone(storage), 0);
    let set = Catalog::new(&context).open("b").await.unwrap();
    assert!(set.facts().complete);
    let partitions = &set.topic(topic).unwrap().partitions;
    partitions.iter().map(|partition| partition.records).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_storage_fails_once_leaves_a_whole_manifest_or_none() {
    let cluster = Cluster::shared().await.unwrap();
    fill(cluster, "failing").await;
    let config = config("backup", "source", "failing", &cluster.bootstrap_servers()[0]);
    let counting = Faulty::counting(Arc::new(MemoryStorage::new()));
    back_up(Arc::new(counting.clone()), &config).await.unwrap();
    let operations = counting.numbered();
    assert!(operations.iter().any(|o| o.kind == "finish"), "{operations:?}");
    for fault in [Fault::Fail, Fault::FailAfter] {
        for operation in &operations {
            let inner: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
            let faulty = Faulty::at(Arc::clone(&inner), operation.clone(), fault);
            let done = back_up(Arc::new(faulty.clone()), &config).await;
            // In how many pieces a segment is written is a matter of timing.
            let is_certain = operation.kind != "write" || operation.before == 0;
            assert!(faulty.hits() == 1 || !is_certain && done.is_ok(), "{operation:?}");
            let there = is_whole_or_not_there(&inner).await;
            match done {
                Ok(_) => assert!(there, "{operation:?}"),
                Err(error) => {
                    let text = restore_engine::chain(&error);
                    assert!(text.contains("a fault of the test"), "{operation:?}: {text}");
                    // Whether or not something was committed on the way, the next run goes on from it.
                    back_up(Arc::clone(&inner), &config).await.unwrap();
                }
            }
            assert_eq!(
                records_of_a_complete_backup(&inner, "failing").await,
                RECORDS as u64
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_from_a_storage_that_lies_ends_in_an_error_that_names_the_object() {
    let cluster = Cluster::shared().await.unwrap();
    fill(cluster, "lied").await;
    let server = &cluster.bootstrap_servers()[0];
    let good: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    back_up(Arc::clone(&good), &config("backup", "source", "lied", server))
        .await
        .unwrap();
    // Records are there already, and new ones go behind them: the target is the source.
    let mut config = config("restore", "target", "lied", server)
        .restore()
        .unwrap()
        .clone();
    config.on_existing_data = restore_engine::config::OnExistingData::Append;
    for end in [".manifest", ".segment"] {
        for fault in [Fault::Truncate, Fault::Flip, Fault::Fail] {
            let faulty = Faulty::reads_of(Arc::clone(&good), end, fault);
            let context = Context::new(Arc::new(faulty.clone()), 1_700_000_000_001);
            let error = restore::run(&context, "b", &config).await.unwrap_err();
            let text = restore_engine::chain(&error);
            assert!(
                faulty.hits() > 0 && text.contains(end),
                "{fault:?} of {end}: {text}"
            );
        }
    }
    let slow = Faulty::reads_of(good, ".segment", Fault::Delay(Duration::from_millis(50)));
    let context = Context::new(Arc::new(slow.clone()), 1_700_000_000_002);
    let report = restore::run(&context, "b", &config).await.unwrap();
    assert!(slow.hits() > 0);
    assert_eq!(report.records_restored, RECORDS as u64);
}
