//! Three brokers that come and go while partitions are read and written.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_wire::batch::Codec;
use kafka_wire::{Error, FetchPartition, Producer, ProducerOptions, TopicPartition};
use testkit::ClusterOptions;
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio::task::JoinHandle;

use crate::support::{Bench, KEEP, Read, batches, holds_exactly_once, options, read, write, write_all};

const PARTITIONS: i32 = 6;

/// Three brokers, for one test at a time.
async fn three() -> MutexGuard<'static, Bench> {
    static BENCH: OnceCell<Mutex<Bench>> = OnceCell::const_new();
    let start = || async {
        let options = ClusterOptions::new()
            .brokers(3)
            .property("min.insync.replicas", 2);
        Mutex::new(Bench::start(options).await)
    };
    BENCH.get_or_init(start).await.lock().await
}

async fn create(bench: &Bench, topic: &str, partitions: i32) {
    bench
        .java
        .create_replicated_topic(topic, partitions, 3, KEEP)
        .await
        .unwrap();
    for partition in 0..partitions {
        bench.java.end_offset(topic, partition).await.unwrap();
    }
}

/// Writes in the background.
async fn start_writing(
    bench: &Bench,
    topic: &'static str,
    count: usize,
) -> JoinHandle<Vec<Result<i64, Error>>> {
    let cluster = bench.connect().await;
    let mut options = ProducerOptions::default();
    options.request_timeout = Duration::from_secs(3);
    // Small steps, so that the writing outlasts what happens meanwhile.
    options.partition_queue_bytes = 4000;
    let producer = Producer::start(&cluster, options).await.unwrap();
    tokio::spawn(async move { write_all(&producer, topic, PARTITIONS, count, 10).await })
}

async fn all_there(bench: &Bench, topic: &str, results: Vec<Result<i64, Error>>, records: usize) {
    for (partition, result) in results.into_iter().enumerate() {
        assert_eq!(result.unwrap(), records as i64);
        holds_exactly_once(bench, topic, partition as i32, records).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_while_partitions_are_written_and_read() {
    let bench = three().await;
    create(&bench, "rolling", PARTITIONS).await;
    let writing = start_writing(&bench, "rolling", 2500).await;
    let cluster = bench.connect().await;
    let asked = (0..PARTITIONS).map(|partition| FetchPartition::new("rolling", partition, 0).until(25_000));
    let asked: Vec<_> = asked.collect();
    let reading = tokio::spawn(async move { read(&cluster, asked, options()).await });
    for broker in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!writing.is_finished());
        bench.kafka.restart_broker(broker).await.unwrap();
    }
    all_there(&bench, "rolling", writing.await.unwrap(), 25_000).await;
    let read: BTreeMap<TopicPartition, Read> = reading.await.unwrap();
    for partition in 0..PARTITIONS {
        let records = &read[&TopicPartition::new("rolling", partition)].records;
        assert!(records.iter().map(|record| record.offset).eq(0..25_000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_killed_one_after_the_other() {
    let bench = three().await;
    create(&bench, "murder", PARTITIONS).await;
    let writing = start_writing(&bench, "murder", 2500).await;
    for broker in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!writing.is_finished());
        bench.kafka.kill_broker(broker).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        bench.kafka.start_broker(broker).await.unwrap();
    }
    all_there(&bench, "murder", writing.await.unwrap(), 25_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_hangs_is_replaced() {
    let bench = three().await;
    create(&bench, "frozen", PARTITIONS).await;
    let writing = start_writing(&bench, "frozen", 2500).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for broker in 0..2 {
        assert!(!writing.is_finished());
        bench.kafka.pause_broker(broker).await.unwrap();
        // Longer than the session: another broker leads, and this one does not know.
        tokio::time::sleep(Duration::from_secs(9)).await;
        bench.kafka.resume_broker(broker).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    all_there(&bench, "frozen", writing.await.unwrap(), 25_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_replicas_are_waited_for() {
    let bench = three().await;
    create(&bench, "lonely", 1).await;
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
