//! Three brokers that come and go while partitions are read and written.

use std::ops::Range;
use std::time::Duration;

use kafka_wire::batch::Codec;
use kafka_wire::{FetchEventKind, FetchPartition, FetchStream, Producer, ProducerOptions};
use testkit::{ClusterOptions, DEFAULT_KAFKA_VERSION, api_key};
use tokio::sync::{Mutex, MutexGuard, OnceCell, oneshot};
use tokio::task::JoinHandle;

use crate::support::{
    Bench, batch, batches, holds_exactly_once, in_order, next_batches, options, read, write,
};
use crate::writing::{PARTITIONS, PATIENCE, Writing};

/// Three brokers, for one test at a time.
pub(crate) async fn three() -> MutexGuard<'static, Bench> {
    static BENCH: OnceCell<Mutex<Bench>> = OnceCell::const_new();
    let start = || async { Mutex::new(start(DEFAULT_KAFKA_VERSION).await) };
    BENCH.get_or_init(start).await.lock().await
}

/// Starts three brokers of a release, each behind a proxy and in a rack of its own.
pub(crate) async fn start(release: &str) -> Bench {
    let near = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
    let options = ClusterOptions::new()
        .version(release)
        .brokers(3)
        .proxied()
        .property("min.insync.replicas", 2)
        .property("replica.selector.class", near);
    let options = (0..3).fold(options, |options, broker| {
        options.broker_property(broker, "broker.rack", format!("rack-{broker}"))
    });
    Bench::start(options).await
}

/// Reads all partitions of a topic while they are written; every batch has to come once, in order.
struct Reading {
    ends: oneshot::Sender<Vec<i64>>,
    task: JoinHandle<()>,
}

impl Reading {
    async fn start(bench: &Bench, topic: &'static str) -> Self {
        let cluster = bench.connect().await;
        let asked = (0..PARTITIONS).map(|partition| FetchPartition::new(topic, partition, 0));
        let mut stream = FetchStream::start(&cluster, asked, options());
        let (ends, mut told) = oneshot::channel::<Vec<i64>>();
        let task = tokio::spawn(async move {
            let mut next = vec![0; PARTITIONS as usize];
            let mut wanted = vec![i64::MAX; PARTITIONS as usize];
            while next != wanted {
                tokio::select! {
                    event = stream.next() => {
                        let event = event.unwrap();
                        let FetchEventKind::Batches(fetched) = event.kind else { panic!("{event:?}") };
                        in_order(&fetched, &mut next[event.partition as usize]);
                    }
                    Ok(ends) = &mut told => wanted = ends,
                }
            }
        });
        Self { ends, task }
    }

    /// Waits until everything is read.
    async fn finish(self, ends: Vec<i64>) {
        self.ends.send(ends).unwrap();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("read to the end")
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_while_partitions_are_written_and_read() {
    let bench = three().await;
    bench.create("rolling", PARTITIONS).await;
    let writing = Writing::start(&bench, "rolling").await;
    let reading = Reading::start(&bench, "rolling").await;
    for broker in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        bench.kafka.restart_broker(broker).await.unwrap();
    }
    let ends = writing.finish(&bench, "rolling").await;
    reading.finish(ends).await;
}

/// How many fetches a broker was sent by clients; brokers do not go through the proxies.
fn fetched_from(bench: &Bench, broker: usize) -> u64 {
    bench.kafka.proxy(broker).unwrap().requests(api_key::FETCH)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_in_the_same_rack_is_read_from() {
    let bench = three().await;
    bench.create("near", 1).await;
    bench
        .java
        .reassign_partition("near", 0, &[0, 1, 2])
        .await
        .unwrap();
    let cluster = bench.connect().await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    assert_eq!(
        write(&producer, "near", 0, batches(0, 200, 10, Codec::None))
            .await
            .unwrap(),
        2000
    );
    let served = |broker| fetched_from(&bench, broker);
    let before = [served(0), served(1), served(2)];
    let mut near = options();
    near.rack = Some("rack-2".to_owned());
    near.partition_max_bytes = 20_000;
    let asked = FetchPartition::new("near", 0, 0).until(2000);
    let all = read(&cluster, [asked], near).await;
    assert_eq!(all.values().map(|read| read.records.len()).sum::<usize>(), 2000);
    assert_eq!((served(0) - before[0], served(1) - before[1]), (1, 0));
    assert!(served(2) - before[2] > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_goes_away_is_left_for_the_leader() {
    let bench = three().await;
    bench.create("near-and-gone", 1).await;
    let replicas = [0, 1, 2];
    bench
        .java
        .reassign_partition("near-and-gone", 0, &replicas)
        .await
        .unwrap();
    let cluster = bench.connect().await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    write(&producer, "near-and-gone", 0, batches(0, 200, 10, Codec::None))
        .await
        .unwrap();
    let mut near = options();
    near.rack = Some("rack-2".to_owned());
    near.partition_max_bytes = 20_000;
    let asked = FetchPartition::new("near-and-gone", 0, 0).until(2000);
    let before = fetched_from(&bench, 2);
    let mut stream = FetchStream::start(&cluster, [asked], near);
    let mut next = 0;
    let mut killed = false;
    loop {
        // Much sooner than the term for which a replica is read from.
        let event = tokio::time::timeout(Duration::from_secs(30), stream.next()).await;
        match event.expect("an event").expect("not the end").kind {
            FetchEventKind::Batches(fetched) => {
                in_order(&fetched, &mut next);
                if !killed {
                    assert!(fetched_from(&bench, 2) > before, "it was not read from");
                    bench.kafka.kill_broker(2).await.unwrap();
                    killed = true;
                }
            }
            FetchEventKind::Finished { next_offset } => {
                assert_eq!((next, next_offset), (2000, 2000));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    bench.kafka.start_broker(2).await.unwrap();
}

/// The leader names it until it is out of sync.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_hangs_is_left_for_the_leader() {
    let bench = three().await;
    let topic = "near-and-hanging";
    bench.create(topic, 1).await;
    let replicas = [0, 1, 2];
    bench.java.reassign_partition(topic, 0, &replicas).await.unwrap();
    let cluster = bench.connect_with(Duration::from_secs(1)).await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    let mut writer = producer.partition(topic, 0, 0).await.unwrap();
    let mut near = options();
    near.rack = Some("rack-2".to_owned());
    let asked = FetchPartition::new(topic, 0, 0).until(2000);
    let before = fetched_from(&bench, 2);
    let mut stream = FetchStream::start(&cluster, [asked], near);
    let mut next = 0;
    for end in [1000, 2000] {
        for index in (end - 1000) / 10..end / 10 {
            let batch = batch(0, index, 10, Codec::None);
            writer.append(batch).await.unwrap();
        }
        assert_eq!(writer.flush().await.unwrap(), end as i64);
        while next < end as i64 {
            let fetched = next_batches(&mut stream, Duration::from_secs(30)).await;
            in_order(&fetched, &mut next);
        }
        if end == 1000 {
            assert!(fetched_from(&bench, 2) > before, "it was not read from");
            bench.kafka.pause_broker(2).await.unwrap();
        }
    }
    bench.kafka.resume_broker(2).await.unwrap();
}

/// The leader has the batch, and answers that its replicas have not: whether it stays is open.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_hangs_makes_requests_time_out_at_the_broker() {
    let bench = three().await;
    bench.create("half-replicated", 1).await;
    let replicas = [0, 1, 2];
    bench
        .java
        .reassign_partition("half-replicated", 0, &replicas)
        .await
        .unwrap();
    let cluster = bench.connect().await;
    let mut options = ProducerOptions::default();
    options.request_timeout = Duration::from_secs(1);
    let producer = Producer::start(&cluster, options).await.unwrap();
    let mut writer = producer.partition("half-replicated", 0, 0).await.unwrap();
    writer.append(batch(0, 0, 10, Codec::None)).await.unwrap();
    writer.flush().await.unwrap();
    bench.kafka.pause_broker(2).await.unwrap();
    let looked = bench
        .kafka
        .proxy(0)
        .unwrap()
        .requests(api_key::OFFSET_FOR_LEADER_EPOCH);
    for index in 1..40 {
        writer.append(batch(0, index, 10, Codec::None)).await.unwrap();
    }
    let flushed = tokio::time::timeout(Duration::from_secs(60), writer.flush()).await;
    bench.kafka.resume_broker(2).await.unwrap();
    assert_eq!(flushed.expect("written without the third replica").unwrap(), 400);
    let looked_again = bench
        .kafka
        .proxy(0)
        .unwrap()
        .requests(api_key::OFFSET_FOR_LEADER_EPOCH);
    assert!(looked_again > looked, "no answer was in doubt");
    holds_exactly_once(&bench, "half-replicated", 0, 400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_killed_one_after_the_other() {
    killed(&*three().await, 0..3).await;
}

/// Kills brokers one after the other, each of which leads partitions that are written and read.
pub(crate) async fn killed(bench: &Bench, brokers: Range<usize>) {
    bench.create("murder", PARTITIONS).await;
    let writing = Writing::start(bench, "murder").await;
    let reading = Reading::start(bench, "murder").await;
    for broker in brokers {
        tokio::time::sleep(Duration::from_millis(300)).await;
        bench.kafka.kill_broker(broker).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        bench.kafka.start_broker(broker).await.unwrap();
    }
    let ends = writing.finish(bench, "murder").await;
    reading.finish(ends).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_hangs_is_replaced() {
    let bench = three().await;
    bench.create("frozen", PARTITIONS).await;
    let writing = Writing::start(&bench, "frozen").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for broker in 0..2 {
        bench.kafka.pause_broker(broker).await.unwrap();
        // Longer than the session: another broker leads, and this one does not know.
        tokio::time::sleep(Duration::from_secs(9)).await;
        bench.kafka.resume_broker(broker).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    writing.finish(&bench, "frozen").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_replicas_are_waited_for() {
    let bench = three().await;
    bench.create("lonely", 1).await;
    let cluster = bench.connect().await;
    let mut options = ProducerOptions::default();
    options.request_timeout = Duration::from_secs(2);
    let producer = Producer::start(&cluster, options).await.unwrap();
    bench.kafka.stop_broker(1).await.unwrap();
    bench.kafka.kill_broker(2).await.unwrap();
    let writing =
        tokio::spawn(async move { write(&producer, "lonely", 0, batches(0, 200, 10, Codec::Lz4)).await });
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!writing.is_finished());
    bench.kafka.start_broker(1).await.unwrap();
    bench.kafka.start_broker(2).await.unwrap();
    assert_eq!(writing.await.unwrap().unwrap(), 2000);
    holds_exactly_once(&bench, "lonely", 0, 2000).await;
}
