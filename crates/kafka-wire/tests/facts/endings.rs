//! What a broker does with requests whose sender has said that no more will come.

use std::time::Duration;

use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::raw::{answer, connect, frame, topic_name};
use crate::support::{Broker, KEEP, batch, now};

/// The last one without tagged fields.
pub(crate) const VERSION: i16 = 8;
const REQUESTS: i32 = 50;

/// One record for partition 0 of a topic.
pub(crate) fn produce(topic: &str, acks: i16) -> ProduceRequest {
    let partition = PartitionProduceData::default().with_records(Some(batch(&[now()]).bytes));
    let topic = TopicProduceData::default()
        .with_name(topic_name(topic))
        .with_partition_data(vec![partition]);
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic])
}

/// It hangs while they come, and finds them all, and the end behind them, when it goes on.
pub(crate) async fn an_end_is_seen_behind_all_requests(broker: &Broker) {
    let topic = "facts-ending";
    broker.create(topic, KEEP).await;
    let mut socket = connect(broker).await;
    let first = frame(VERSION, 0, &produce(topic, -1));
    socket.write_all(&first).await.unwrap();
    answer(&mut socket).await;

    broker.kafka.pause_broker(0).await.unwrap();
    for correlation_id in 1..=REQUESTS {
        let request = frame(VERSION, correlation_id, &produce(topic, -1));
        socket.write_all(&request).await.unwrap();
    }
    socket.shutdown().await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(500), socket.read_u8()).await;
    broker.kafka.resume_broker(0).await.unwrap();
    assert!(early.is_err(), "nobody was there to end the connection");

    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    let end = broker.java.end_offset(topic, 0).await.unwrap();
    assert_eq!(end, 1 + i64::from(REQUESTS), "all was done when the end came");
    let mut answered = Vec::new();
    let mut rest = &rest[..];
    while let Some((length, frame)) = rest.split_first_chunk() {
        let (answer, behind) = frame.split_at(u32::from_be_bytes(*length) as usize);
        answered.push(i32::from_be_bytes(answer[..4].try_into().unwrap()));
        rest = behind;
    }
    assert!(answered.into_iter().eq(1..=REQUESTS), "and answered");
}

#[tokio::test]
async fn the_end_of_a_connection_is_seen_behind_all_requests_on_it() {
    let broker = Broker::start(testkit::ClusterOptions::new()).await;
    an_end_is_seen_behind_all_requests(&broker).await;
}
