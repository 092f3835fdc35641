//! A source cluster that all tests share, and for each test a backup of it and a target of its own.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use kafka_backup_core::engine::{Context, storage};
use kafka_backup_core::{Config, backup};
use tempfile::TempDir;
use testkit::{
    Cluster, ClusterOptions, Commit, Committed, JavaClient, NextRecord, ProduceRecord, TransactionEnd,
};
use tokio::sync::OnceCell;

/// What every example may end in.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Where the groups stand on the source: in the middle of a batch, behind a transaction that was aborted, at the end.
const COMMITS: &[(&str, &str, i32, i64)] = &[
    ("notification-service", "orders", 0, 7),
    ("order-processor", "orders", 0, 25),
    ("order-processor", "orders", 1, 60),
    ("payment-processor", "orders", 1, 41),
    ("payment-processor", "payments", 0, 11),
];

/// The offset that `orders/1` starts with: what is before has been deleted.
const ORDERS_1_START: i64 = 40;

/// One test's backup, target, and folder for reports.
pub(crate) struct Site {
    pub(crate) target: Cluster,
    pub(crate) java: JavaClient,
    /// What each of the groups would have read next on the source, in the order of [`COMMITS`].
    next_on_source: Vec<NextRecord>,
    folder: TempDir,
}

impl Site {
    /// A backup of the source, and an empty target.
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (source, target) =
            tokio::join!(source(), Cluster::start(ClusterOptions::new().quick_retention()));
        let target = target.unwrap();
        let site = Self {
            java: JavaClient::of(&target).await.unwrap(),
            next_on_source: JavaClient::of(source)
                .await
                .unwrap()
                .next_records(&positions())
                .await
                .unwrap(),
            target,
            folder,
        };
        site.back_up(source).await;
        site
    }

    /// Phase 1, through the facade.
    async fn back_up(&self, source: &Cluster) {
        let servers = source.bootstrap_servers();
        let path = self.write(
            "backup.yaml",
            &format!(
                "mode: backup\nbackup_id: prod-backup-2024\nsource:\n  bootstrap_servers: {servers:?}\n  \
                 topics:\n    include: [orders, payments]\n{}backup:\n  source_cluster_id: prod-us-east-1\n",
                self.storage()
            ),
        );
        let config = Config::from_file(path).unwrap();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let context = Context::new(storage::open(&config.storage), since_epoch.as_millis() as i64);
        let report = backup::run(&context, &config.backup_id, config.backup().unwrap())
            .await
            .unwrap();
        assert_eq!((report.topics, report.partitions, report.groups), (2, 3, 3));
    }

    /// Writes `restore.yaml`, the guide's configuration for this target.
    pub(crate) fn write_restore_config(&self, groups: &[&str], reset: bool) -> PathBuf {
        let yaml = format!(
            "mode: restore\nbackup_id: prod-backup-2024\ntarget:\n  bootstrap_servers: {:?}\n  topics:\n    \
             include: ['*']\n{}restore:\n  consumer_group_strategy: header-based\n  \
             include_original_offset_header: true\n  offset_report: {}\n  consumer_groups: {groups:?}\n  \
             reset_consumer_offsets: {reset}\n",
            self.target.bootstrap_servers(),
            self.storage(),
            self.path("offset-mapping.json").display()
        );
        self.write("restore.yaml", &yaml)
    }

    fn storage(&self) -> String {
        let path = self.path("backups");
        format!("storage:\n  backend: filesystem\n  path: {}\n", path.display())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The groups stand on the records that they would have read next on the source, and no other group stands
    /// anywhere.
    pub(crate) async fn assert_reset(&self, groups: &[&str]) {
        let positions = positions();
        let after = self.java.next_records(&positions).await.unwrap();
        let each = positions.iter().zip(&self.next_on_source).zip(after);
        for (((group, topic, partition), before), after) in each {
            if !groups.contains(&group.as_str()) {
                assert_eq!(after.committed, None, "{group} was not to be reset");
                continue;
            }
            assert!(after.committed.is_some() && !after.out_of_range, "{after:?}");
            let value = |next: &NextRecord| next.record.as_ref().map(|record| record.value.clone());
            assert_eq!(
                value(before),
                value(&after),
                "{group} reads another record of {topic}/{partition}: {after:?}"
            );
        }
    }

    /// No group has a position on the target.
    pub(crate) async fn assert_untouched(&self) {
        self.assert_reset(&[]).await;
    }

    pub(crate) async fn committed(&self, group: &str) -> Vec<Committed> {
        self.java.committed(group).await.unwrap()
    }

    /// Everything that the source showed a consumer is on the target, with the header of its source offset.
    pub(crate) async fn assert_restored(&self) {
        let source = JavaClient::of(source().await).await.unwrap();
        for (topic, partition) in [("orders", 0), ("orders", 1), ("payments", 0)] {
            let before = source.consume_all(topic, partition).await.unwrap();
            let after = self.java.consume_all(topic, partition).await.unwrap();
            assert_eq!(before.len(), after.len(), "{topic}/{partition}");
            for (old, new) in before.iter().zip(&after) {
                assert_eq!((&old.key, &old.value), (&new.key, &new.value));
                assert_eq!(old.timestamp, new.timestamp);
                let offset = (
                    "x-original-offset".to_owned(),
                    Some(old.offset.to_string().into_bytes()),
                );
                assert!(new.headers.contains(&offset), "{new:?}");
            }
        }
    }

    /// Records that a consumer of the source could see.
    pub(crate) async fn visible_records(&self) -> u64 {
        let source = JavaClient::of(source().await).await.unwrap();
        let mut sum = 0;
        for (topic, partition) in [("orders", 0), ("orders", 1), ("payments", 0)] {
            sum += source.consume_all(topic, partition).await.unwrap().len() as u64;
        }
        sum
    }
}

/// Group, topic and partition of [`COMMITS`].
fn positions() -> Vec<(String, String, i32)> {
    let position = |(group, topic, partition, _): &(&str, &str, i32, i64)| {
        ((*group).to_owned(), (*topic).to_owned(), *partition)
    };
    COMMITS.iter().map(position).collect()
}

/// The source, filled once. Its offsets are not those of the target: `orders/1` starts late, and `payments/0` has
/// transactions, some of them aborted.
async fn source() -> &'static Cluster {
    static FILLED: OnceCell<()> = OnceCell::const_new();
    let cluster = Cluster::shared().await.unwrap();
    FILLED.get_or_init(|| fill(cluster)).await;
    cluster
}

async fn fill(cluster: &Cluster) {
    let java = JavaClient::of(cluster).await.unwrap();
    java.create_topic("orders", 2, &[]).await.unwrap();
    java.create_topic("payments", 1, &[]).await.unwrap();
    for batch in 0..6i64 {
        let records: Vec<ProduceRecord> = (0..20).map(|n| order(batch * 20 + n)).collect();
        java.produce(&records).await.unwrap();
    }
    java.delete_records("orders", 1, ORDERS_1_START).await.unwrap();
    for (number, end) in [
        TransactionEnd::Commit,
        TransactionEnd::Abort,
        TransactionEnd::Commit,
    ]
    .into_iter()
    .enumerate()
    {
        let payment = |n: usize| ProduceRecord::new("payments", 0).value(format!("payment {number}.{n}"));
        let records: Vec<ProduceRecord> = (0..5).map(payment).collect();
        java.transaction("payments", &records, end).await.unwrap();
    }
    for (group, topic, partition, offset) in COMMITS {
        let commit = Commit::new(*topic, *partition, *offset).metadata(format!("at {offset}"));
        java.commit(group, &[commit]).await.unwrap();
    }
}

fn order(number: i64) -> ProduceRecord {
    ProduceRecord::new("orders", (number % 2) as i32)
        .key(format!("{number}"))
        .value(format!("order {number}"))
        .timestamp(1_700_000_000_000 + number)
}
