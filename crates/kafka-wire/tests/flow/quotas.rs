//! Clients that do more than they may: brokers answer with nothing, and with how long to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kafka_wire::{
    Cluster, ClusterConfig, FetchPartition, FetchStream, Producer, ProducerOptions, TopicPartition,
};
use testkit::{ClusterOptions, Quota, RequestFault, Rule, api_key};

use crate::support::{Bench, batches, holds_exactly_once, options, read_all, write, write_all};

/// Bytes per second.
const QUOTA: u64 = 400_000;
const PARTITIONS: i32 = 4;

async fn bench() -> Bench {
    // What counts is the last second only, so that the quota is met soon.
    let options = ClusterOptions::new().proxied().property("quota.window.num", 2);
    Bench::start(options).await
}

async fn connect(bench: &Bench, client_id: &str) -> Cluster {
    let mut config = ClusterConfig::new(bench.kafka.bootstrap_servers());
    client_id.clone_into(&mut config.client_id);
    config.request_timeout = Duration::from_secs(2);
    Cluster::connect(config).await.unwrap()
}

/// Counts the answers that fulfil a condition, and passes them on as they are.
fn counting(condition: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> (Arc<AtomicUsize>, RequestFault) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let fault = RequestFault::alter_response(move |answer| {
        counter.fetch_add(usize::from(condition(answer)), Ordering::Relaxed);
    });
    (count, fault)
}

fn is_throttled(throttle_time_ms: &[u8]) -> bool {
    throttle_time_ms.iter().any(|&byte| byte != 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_over_its_quota_gets_answers_without_any_partition_and_reads_everything() {
    let bench = bench().await;
    bench.create("metered", PARTITIONS).await;
    let producer = Producer::start(&bench.connect().await, ProducerOptions::default())
        .await
        .unwrap();
    for partition in 0..PARTITIONS {
        let batches = batches(partition, 150, 40, kafka_wire::batch::Codec::None);
        assert_eq!(
            write(&producer, "metered", partition, batches).await.unwrap(),
            6000
        );
    }
    bench
        .java
        .limit_client("metered-reader", Quota::ConsumerBytes, Some(QUOTA))
        .await
        .unwrap();
    // Correlation id, no tagged fields, throttle time, error code, session id, number of topics (as one more).
    let (withheld, fault) = counting(|answer| is_throttled(&answer[5..9]) && answer[15..] == [1, 0]);
    let rule = Rule::request(api_key::FETCH, fault).always();
    let proxy = bench.kafka.proxy(0).unwrap();
    proxy.add(rule);
    let cluster = connect(&bench, "metered-reader").await;
    let before = proxy.requests(api_key::METADATA);
    let asked = (0..PARTITIONS).map(|partition| FetchPartition::new("metered", partition, 0).until(6000));
    let mut small = options();
    small.partition_max_bytes = 50_000;
    let mut stream = FetchStream::start(&cluster, asked, small);
    let read = read_all(&mut stream).await;
    assert!(stream.throttled() > Duration::ZERO);
    assert!(withheld.load(Ordering::Relaxed) > 9, "{withheld:?}");
    // Who leads is asked once, to begin with, and would be again after a failure.
    assert_eq!(proxy.requests(api_key::METADATA), before + 1);
    for partition in 0..PARTITIONS {
        let records = &read[&TopicPartition::new("metered", partition)].records;
        assert!(
            records.iter().map(|record| record.offset).eq(0..6000),
            "{partition}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_over_its_quota_waits() {
    let bench = bench().await;
    bench.create("metered-writes", PARTITIONS).await;
    bench
        .java
        .limit_client("metered-writer", Quota::ProducerBytes, Some(QUOTA))
        .await
        .unwrap();
    // The throttle time is the last field, and no tagged fields follow.
    let (throttled, fault) = counting(|answer| is_throttled(&answer[answer.len() - 5..answer.len() - 1]));
    let rule = Rule::request(api_key::PRODUCE, fault).always();
    bench.kafka.proxy(0).unwrap().add(rule);
    let cluster = connect(&bench, "metered-writer").await;
    let mut impatient = ProducerOptions::default();
    impatient.request_timeout = Duration::from_secs(1);
    let producer = Producer::start(&cluster, impatient).await.unwrap();
    for (partition, result) in write_all(&producer, "metered-writes", PARTITIONS, 120, 40)
        .await
        .into_iter()
        .enumerate()
    {
        assert_eq!(result.unwrap(), 4800);
        holds_exactly_once(&bench, "metered-writes", partition as i32, 4800).await;
    }
    assert!(throttled.load(Ordering::Relaxed) > 0);
    assert!(producer.throttled() > Duration::ZERO);
}
