//! Topics that go away, and others that come under the same name.

use std::time::Duration;

use kafka_wire::batch::Codec;
use kafka_wire::{
    Cluster, ClusterConfig, Error, ErrorCode, FetchEvent, FetchEventKind, FetchPartition, FetchStream,
    PartitionProblem, Producer, ProducerOptions,
};

use crate::support::{Bench, batches, options, shared, write};

async fn connect(bench: &Bench, grace: Duration) -> Cluster {
    let mut config = ClusterConfig::new(bench.kafka.bootstrap_servers());
    config.unknown_topic_grace = grace;
    Cluster::connect(config).await.unwrap()
}

async fn fill(bench: &Bench, topic: &str, records: usize) {
    bench.create(topic, 1).await;
    let producer = Producer::start(&bench.connect().await, ProducerOptions::default())
        .await
        .unwrap();
    let batches = batches(0, records / 10, 10, Codec::None);
    write(&producer, topic, 0, batches).await.unwrap();
}

async fn next(stream: &mut FetchStream) -> FetchEvent {
    tokio::time::timeout(Duration::from_secs(40), stream.next())
        .await
        .expect("an event")
        .expect("an open partition")
}

/// Reads what is there, and goes on waiting for more.
async fn read_up_to(stream: &mut FetchStream, end: i64) {
    loop {
        let event = next(stream).await;
        let FetchEventKind::Batches(fetched) = event.kind else {
            panic!("{event:?}")
        };
        if fetched.next_offset == end {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_while_it_is_read_is_reported_as_unknown() {
    let bench = shared().await;
    fill(bench, "short-lived", 200).await;
    let cluster = connect(bench, Duration::from_secs(2)).await;
    let mut stream = FetchStream::start(&cluster, [FetchPartition::new("short-lived", 0, 0)], options());
    read_up_to(&mut stream, 200).await;
    bench.java.delete_topic("short-lived").await.unwrap();
    let event = next(&mut stream).await;
    let FetchEventKind::Failed(error) = &event.kind else {
        panic!("{event:?}")
    };
    assert!(error.code().is_some_and(ErrorCode::is_unknown_topic), "{error}");
    assert!(stream.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_created_again_while_it_is_read_is_another_one() {
    let bench = shared().await;
    fill(bench, "twice-born", 200).await;
    let cluster = connect(bench, Duration::from_secs(30)).await;
    let mut stream = FetchStream::start(&cluster, [FetchPartition::new("twice-born", 0, 0)], options());
    read_up_to(&mut stream, 200).await;
    bench.java.delete_topic("twice-born").await.unwrap();
    // It holds the offset that comes next, so that nothing but the id can tell.
    fill(bench, "twice-born", 400).await;
    let event = next(&mut stream).await;
    let FetchEventKind::Failed(Error::Partition { problem, .. }) = &event.kind else {
        panic!("{event:?}")
    };
    assert!(
        matches!(**problem, PartitionProblem::TopicReplaced { .. }),
        "{problem}"
    );
}

/// The topic is not known for a moment to the brokers that are asked first.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_about_to_be_created_is_waited_for() {
    let bench = shared().await;
    let cluster = connect(bench, Duration::from_secs(30)).await;
    let asked = FetchPartition::new("unborn", 0, 0).until(100);
    let mut stream = FetchStream::start(&cluster, [asked], options());
    tokio::time::sleep(Duration::from_millis(500)).await;
    fill(bench, "unborn", 100).await;
    read_up_to(&mut stream, 100).await;
}
