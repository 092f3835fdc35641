//! Transaction markers of transactions that never were: what fills gaps of offsets.

use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{TopicName, WriteTxnMarkersRequest};
use kafka_protocol::protocol::StrBytes;
use kafka_wire::IsolationLevel;

use crate::raw::{call, producer_id};
use crate::support::{Broker, KEEP, batch, now, shared, tp};

/// The version that all supported releases have.
const VERSION: i16 = 1;

/// Writes so many markers into partition 0 with one request.
async fn write(broker: &Broker, topic: &str, count: usize) {
    let producer = producer_id(broker).await;
    let topic = WritableTxnMarkerTopic::default()
        .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partition_indexes(vec![0]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(producer.producer_id.into())
        .with_producer_epoch(producer.producer_epoch)
        .with_transaction_result(false)
        .with_topics(vec![topic])
        .with_coordinator_epoch(0);
    let request = WriteTxnMarkersRequest::default().with_markers(vec![marker; count]);
    let response = call(broker, VERSION, &request).await;
    let codes: Vec<_> = (response.markers.iter())
        .flat_map(|marker| &marker.topics)
        .flat_map(|topic| &topic.partitions)
        .map(|partition| partition.error_code)
        .collect();
    assert!(
        !codes.is_empty() && codes.iter().all(|code| *code == 0),
        "{codes:?}"
    );
}

pub(crate) async fn markers_fill_offsets(broker: &Broker) {
    const MARKERS: i64 = 300;
    let topic = "facts-markers";
    broker.create(topic, KEEP).await;
    broker.append(topic, &batch(&[1_000])).await;
    write(broker, topic, usize::try_from(MARKERS).unwrap()).await;
    assert_eq!(broker.java.end_offset(topic, 0).await.unwrap(), 1 + MARKERS);
    assert_eq!(
        broker.java.last_stable_offset(topic, 0).await.unwrap(),
        1 + MARKERS,
        "it is not held back"
    );
    assert_eq!(broker.append(topic, &batch(&[2_000])).await, 1 + MARKERS);

    let stored = broker.fetch(topic, 1).await;
    let markers = stored.iter().filter(|batch| batch.header.is_control());
    let offsets: Vec<_> = markers
        .map(|batch| {
            assert_eq!(
                (batch.header.record_count, batch.header.last_offset_delta),
                (1, 0)
            );
            batch.header.base_offset
        })
        .collect();
    assert!(offsets.iter().copied().eq(1..=MARKERS), "one offset each");

    let read = broker.java.consume_all(topic, 0).await.unwrap();
    let offsets: Vec<_> = read.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [0, 1 + MARKERS], "a consumer jumps over them");
}

#[tokio::test]
async fn each_marker_takes_one_offset_and_holds_nothing_back() {
    markers_fill_offsets(shared().await).await;
}

pub(crate) async fn look_ups_by_time_land_early(broker: &Broker) {
    let topic = "facts-marker-times";
    broker.create(topic, KEEP).await;
    let before = now();
    broker.append(topic, &batch(&[1_000])).await;
    write(broker, topic, 3).await;
    broker.append(topic, &batch(&[5_000])).await;
    let find = async |time| {
        let asked = [(tp(topic), time)];
        let found = broker
            .cluster
            .offsets_for_times(&asked, IsolationLevel::ReadCommitted)
            .await;
        found.into_iter().next().unwrap().1.unwrap()
    };
    assert_eq!(find(1_000).await.unwrap().offset, 0);
    let found = find(3_000).await.unwrap();
    assert_eq!(found.offset, 1, "the first marker, not the record behind them");
    assert!(found.timestamp.unwrap() >= before, "it carries the broker's time");
}

#[tokio::test]
async fn a_look_up_by_time_finds_markers_by_the_time_they_were_written() {
    look_ups_by_time_land_early(shared().await).await;
}
