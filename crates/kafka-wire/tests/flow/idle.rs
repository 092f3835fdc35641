//! A broker that closes connections as soon as they are idle.

use std::time::Duration;

use kafka_wire::batch::Codec;
use kafka_wire::{IsolationLevel, NewTopic, OffsetSpec, Producer, ProducerOptions, TopicPartition};
use testkit::ClusterOptions;

use crate::support::{Bench, batch, holds_exactly_once, read_one};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_closed_while_it_was_idle_fails_no_request() {
    let options = ClusterOptions::new().property("connections.max.idle.ms", 1000);
    let bench = Bench::start(options).await;
    bench.create("idle", 1).await;
    let cluster = bench.connect().await;
    let producer = Producer::start(&cluster, ProducerOptions::default())
        .await
        .unwrap();
    let mut writer = producer.partition("idle", 0, 0).await.unwrap();
    // Around the moment at which connections are closed, and well after it.
    for (round, pause) in [950, 1000, 1020, 1050, 1100, 1500, 2500, 2500]
        .into_iter()
        .enumerate()
    {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        writer.append(batch(0, round, 10, Codec::None)).await.unwrap();
        let end = writer.flush().await.unwrap();
        assert_eq!(end, round as i64 * 10 + 10);
        let asked = [TopicPartition::new("idle", 0)];
        let listed = cluster
            .list_offsets(&asked, OffsetSpec::Latest, IsolationLevel::ReadUncommitted)
            .await;
        assert_eq!(listed[0].1.as_ref().unwrap().offset, end);
        cluster.list_groups().await.unwrap();
        assert_eq!(read_one(&cluster, "idle", 0, 0).await.next_offset, end);
        if pause >= 2500 {
            // Never repeated once it may have happened: it must not meet a connection that is closed already.
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let topic = NewTopic::new(format!("idle-{round}"), 1);
            let created = cluster.create_topics(&[topic]).await;
            assert!(created[0].1.is_ok(), "{created:?}");
        }
    }
    holds_exactly_once(&bench, "idle", 0, 80).await;
}
