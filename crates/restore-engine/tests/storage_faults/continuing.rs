//! Continuous runs whose storage is away for a while, loses replies, is written to by somebody else, or hangs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use restore_engine::config::{S3Config, S3Credentials, Secret};
use restore_engine::orphans;
use restore_engine::storage::{MemoryStorage, S3Storage, Storage};
use restore_engine::verify::{self, Verdict, VerifyOptions};
use restore_engine::{Catalog, Context, Error, Event, Observer, Result, backup};
use testkit::{Cluster, FaultProxy, JavaClient, ProduceRecord, Rule, S3Server};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::faulty::{Fault, Faulty, When};

/// A topic that grows, and a continuous run that follows it.
struct Running {
    topic: &'static str,
    java: JavaClient,
    written: usize,
    /// Where the run writes to, without faults.
    inner: Arc<dyn Storage>,
    heard: Arc<Heard>,
    cancel: CancellationToken,
    task: JoinHandle<Result<backup::BackupReport>>,
}

#[derive(Debug, Default)]
struct Heard {
    warnings: Mutex<Vec<String>>,
}

impl Observer for Heard {
    fn event(&self, event: &Event) {
        if let Event::Warning(text) = event {
            self.warnings.lock().unwrap().push(text.clone());
        }
    }
}

impl Heard {
    fn warnings(&self, part: &str) -> usize {
        let warnings = self.warnings.lock().unwrap();
        warnings.iter().filter(|text| text.contains(part)).count()
    }
}

impl Running {
    /// Starts a run on a new topic, and waits until it has come around once.
    async fn start(topic: &'static str, inner: Arc<dyn Storage>, storage: Arc<dyn Storage>) -> Self {
        let cluster = Cluster::shared().await.unwrap();
        let java = JavaClient::of(cluster).await.unwrap();
        java.create_topic(topic, 2, &[]).await.unwrap();
        let (heard, cancel) = (Arc::new(Heard::default()), CancellationToken::new());
        let context = Context::new(storage, 1_700_000_000_000)
            .with_observer(Arc::clone(&heard) as Arc<dyn Observer>)
            .with_cancel(cancel.clone());
        let config = config(cluster, topic);
        let mut running = Self {
            topic,
            java,
            written: 0,
            inner,
            heard,
            cancel,
            task: tokio::spawn(async move { backup::run(&context, "b", &config).await }),
        };
        running.write(100).await;
        running.is_followed().await;
        running
    }

    async fn write(&mut self, count: usize) {
        let values = self.written..self.written + count;
        let records: Vec<ProduceRecord> = values
            .map(|n| ProduceRecord::new(self.topic, (n % 2) as i32).value(format!("record {n}")))
            .collect();
        self.java.produce(&records).await.unwrap();
        self.written += count;
    }

    /// Waits until everything that was written is in a complete backup.
    async fn is_followed(&self) {
        let context = Context::new(Arc::clone(&self.inner), 0);
        self.wait("the backup does not follow", async || {
            let Ok(set) = Catalog::new(&context).open("b").await else {
                return false;
            };
            let topic = set.topic(self.topic);
            let records: u64 = topic.map_or(0, |topic| topic.partitions.iter().map(|p| p.records).sum());
            set.facts().complete && records == self.written as u64
        })
        .await;
    }

    async fn wait(&self, why: &str, wanted: impl AsyncFn() -> bool) {
        for _ in 0..1200 {
            if wanted().await {
                return;
            }
            assert!(!self.task.is_finished(), "the run has ended: {why}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{why}: {:?}", self.heard);
    }

    /// Waits for faults.
    async fn hits(&self, faulty: &Faulty, hits: usize) {
        self.wait("too few faults", async || faulty.hits() >= hits).await;
    }

    /// Has the run end as by a signal; what it leaves is whole.
    async fn end(self) {
        self.cancel.cancel();
        let ended = self.task.await.unwrap();
        assert!(matches!(ended, Err(Error::Cancelled)), "{ended:?}");
        is_whole(&self.inner, self.written).await;
    }

    /// The run ends by itself.
    async fn error(self) -> Error {
        match tokio::time::timeout(Duration::from_secs(60), self.task).await {
            Ok(ended) => ended.unwrap().unwrap_err(),
            Err(_elapsed) => panic!("the run goes on: {:?}", self.heard),
        }
    }
}

fn config(cluster: &Cluster, topic: &str) -> restore_engine::config::BackupConfig {
    let config = super::config("backup", "source", topic, &cluster.bootstrap_servers()[0]);
    let mut config = config.backup().unwrap().clone();
    config.continuous = true;
    config.segment_max_interval = Duration::from_millis(100);
    config
}

/// Every record is there, and once; no object is there that no manifest names.
async fn is_whole(storage: &Arc<dyn Storage>, records: usize) {
    let context = Context::new(Arc::clone(storage), 0);
    let report = verify::run(&context, "b", &VerifyOptions::default())
        .await
        .unwrap();
    assert_eq!(report.verdict, Verdict::Good, "{report:#?}");
    assert_eq!(report.records, records as u64);
    let orphans = orphans::plan(&context, "b", 0).await.unwrap();
    assert_eq!(orphans.orphans, [], "{orphans:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_outlives_a_storage_that_is_away_or_full() {
    let inner: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let faulty = Faulty::counting(Arc::clone(&inner));
    let mut running = Running::start("outage", inner, Arc::new(faulty.clone())).await;
    for (round, fault) in [Fault::Fail, Fault::Full].into_iter().enumerate() {
        faulty.inject(fault, When::Always);
        running.write(50).await;
        // Several cycles.
        let warned = 3 * (round + 1);
        running
            .wait("too few warnings", async || {
                running.heard.warnings("a fault of the test; trying again") >= warned
                    || running
                        .heard
                        .warnings("a fault of the test; this may be temporary; trying again")
                        >= warned
            })
            .await;
        faulty.heal();
        running.is_followed().await;
    }
    running.end().await;
}

/// The manifest is stored or not, and the answer says that it is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_in_doubt_is_made_once() {
    let inner: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let faulty = Faulty::counting(Arc::clone(&inner));
    let mut running = Running::start("doubt", inner, Arc::new(faulty.clone())).await;
    for fault in [Fault::Fail, Fault::FailAfter] {
        faulty.inject(fault, When::Of("put", ".manifest"));
        running.write(50).await;
        running.hits(&faulty, 1).await;
        faulty.inject(Fault::Fail, When::Always);
        running.write(50).await;
        running.hits(&faulty, 3).await;
        faulty.heal();
        running.is_followed().await;
    }
    // The one that was stored was looked up.
    let looked = faulty
        .operations()
        .into_iter()
        .filter(|operation| operation.starts_with("get ") && operation.ends_with(".manifest"));
    assert_eq!(looked.count(), 1);
    running.end().await;
}

/// A cycle that fails leaves segments that no manifest names, under names that no other cycle uses.
#[tokio::test(flavor = "multi_thread")]
async fn segments_of_failed_cycles_are_removed_and_never_named() {
    let inner: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let faulty = Faulty::counting(Arc::clone(&inner));
    let mut running = Running::start("failed", Arc::clone(&inner), Arc::new(faulty.clone())).await;
    faulty.inject(Fault::FailAfter, When::Of("finish", ".segment"));
    running.write(50).await;
    running.hits(&faulty, 3).await;
    faulty.heal();
    running.is_followed().await;
    // Removed while the run goes on.
    let context = Context::new(inner, 0);
    running
        .wait("orphans stay", async || {
            orphans::plan(&context, "b", 0).await.unwrap().orphans.is_empty()
        })
        .await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_commit_during_an_outage_ends_the_run() {
    // With a commit in doubt that was not stored; and with segments only.
    let faults = [
        ("won", When::Of("put", ".manifest")),
        ("overtaken", When::Of("finish", ".segment")),
    ];
    for (topic, when) in faults {
        let inner: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let faulty = Faulty::counting(Arc::clone(&inner));
        let mut running = Running::start(topic, Arc::clone(&inner), Arc::new(faulty.clone())).await;
        faulty.inject(Fault::Fail, when);
        running.write(50).await;
        running.hits(&faulty, 2).await;
        let mut other = config(Cluster::shared().await.unwrap(), topic);
        other.continuous = false;
        let context = Context::new(Arc::clone(&inner), 1_700_000_000_000);
        let winner = backup::run(&context, "b", &other).await.unwrap();
        assert_eq!(winner.added.generations, 1);
        faulty.heal();
        let written = running.written;
        let error = running.error().await;
        assert!(
            matches!(error, Error::AnotherWriter { generation, .. } if generation == winner.generation),
            "{error:?}"
        );
        is_whole(&inner, written).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_pass_ends_the_run() {
    let inner: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let faulty = Faulty::counting(Arc::clone(&inner));
    let mut running = Running::start("refused", inner, Arc::new(faulty.clone())).await;
    faulty.inject(Fault::Refuse, When::Of("create", ".segment"));
    running.write(50).await;
    let error = running.error().await;
    assert!(matches!(&error, Error::Storage(e) if !e.may_pass()), "{error:?}");

    // And before it has come around once everything does: somebody stands by, and wants to know.
    let inner: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let faulty = Faulty::counting(inner);
    faulty.inject(Fault::Fail, When::Of("put", ".manifest"));
    let context = Context::new(Arc::new(faulty), 0);
    let config = config(Cluster::shared().await.unwrap(), "refused");
    let ended = tokio::time::timeout(Duration::from_secs(60), backup::run(&context, "b", &config));
    let ended = ended.await.unwrap();
    assert!(
        matches!(&ended, Err(Error::Storage(e)) if e.may_pass()),
        "{ended:?}"
    );
}

/// Real requests, and their repetitions: what the client makes of a server that is away must be known to pass.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_outlives_a_server_of_s3_that_is_away() {
    let server = S3Server::shared().await.unwrap();
    server.create_bucket("away").unwrap();
    let storage = |endpoint: String| -> Arc<dyn Storage> {
        let mut config = S3Config::new("away");
        config.endpoint = Some(endpoint);
        config.region = Some(server.region().to_owned());
        let secret = Secret::new(server.secret_access_key());
        config.credentials = Some(S3Credentials::new(server.access_key_id(), secret));
        Arc::new(S3Storage::new(config))
    };
    let proxy = FaultProxy::start(server.address()).unwrap();
    let through = storage(format!("http://{}", proxy.address()));
    let mut running = Running::start("s3-away", storage(server.endpoint()), through).await;
    let away = proxy.add(Rule::refuse());
    proxy.cut_all();
    running.write(50).await;
    running
        .wait("no warning", async || running.heard.warnings("trying again") >= 1)
        .await;
    away.remove();
    running.is_followed().await;
    running.end().await;
}

/// The end that is promised after a signal comes, though nothing of the storage does. On a clock that goes on when nobody works.
#[tokio::test]
async fn a_storage_that_hangs_does_not_keep_a_run_from_ending() {
    let inner: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let faulty = Faulty::counting(Arc::clone(&inner));
    let mut running = Running::start("hanging", inner, Arc::new(faulty.clone())).await;
    faulty.inject(Fault::Hang, When::Always);
    running.write(50).await;
    running.hits(&faulty, 1).await;
    tokio::time::pause();
    let signal = tokio::time::Instant::now();
    running.cancel.cancel();
    let ended = (&mut running.task).await.unwrap();
    assert!(matches!(ended, Err(Error::Cancelled)), "{ended:?}");
    // The process needs two seconds more.
    assert!(
        signal.elapsed() <= Duration::from_secs(23),
        "{:?}",
        signal.elapsed()
    );
    for told in ["could not be made durable in time", "the storage takes too long"] {
        assert_eq!(running.heard.warnings(told), 1, "{told}: {:?}", running.heard);
    }
}
