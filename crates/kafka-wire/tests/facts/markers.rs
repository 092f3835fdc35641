//! Transaction markers of transactions that never were: what fills gaps of offsets.

use std::ops::RangeInclusive;

use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{ApiVersionsRequest, WriteTxnMarkersRequest};
use kafka_wire::IsolationLevel;
use testkit::api_key;
use tokio::io::AsyncWriteExt;

use crate::raw::{answer, call, connect, frame, producer_id, topic_name};
use crate::support::{Broker, KEEP, batch, now, shared, tp};

/// The version that all supported releases have.
const VERSION: i16 = 1;

/// A request to write so many markers into partition 0.
async fn request(broker: &Broker, topic: &str, count: usize) -> WriteTxnMarkersRequest {
    let producer = producer_id(broker).await;
    let topic = WritableTxnMarkerTopic::default()
        .with_name(topic_name(topic))
        .with_partition_indexes(vec![0]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(producer.producer_id.into())
        .with_producer_epoch(producer.producer_epoch)
        .with_transaction_result(false)
        .with_topics(vec![topic])
        .with_coordinator_epoch(0);
    WriteTxnMarkersRequest::default().with_markers(vec![marker; count])
}

/// The codes of the answer.
async fn codes(broker: &Broker, request: &WriteTxnMarkersRequest) -> Vec<i16> {
    let response = call(broker, VERSION, request).await;
    (response.markers.iter())
        .flat_map(|marker| &marker.topics)
        .flat_map(|topic| &topic.partitions)
        .map(|partition| partition.error_code)
        .collect()
}

/// Writes so many markers into partition 0 with one request.
async fn write(broker: &Broker, topic: &str, count: usize) {
    let request = request(broker, topic, count).await;
    let codes = codes(broker, &request).await;
    assert!(
        !codes.is_empty() && codes.iter().all(|code| *code == 0),
        "{codes:?}"
    );
}

/// A request of one marker in version 0, which has no compact lengths and no tags, and which nobody else here writes.
fn in_version_0(request: &WriteTxnMarkersRequest) -> Vec<u8> {
    let marker = &request.markers[0];
    let topic = marker.topics[0].name.as_bytes();
    let mut payload = api_key::WRITE_TXN_MARKERS.to_be_bytes().to_vec();
    payload.extend(b"\0\0\0\0\0\x07\0\x05facts");
    payload.extend(1_i32.to_be_bytes());
    payload.extend(marker.producer_id.0.to_be_bytes());
    payload.extend(marker.producer_epoch.to_be_bytes());
    payload.push(0);
    payload.extend(1_i32.to_be_bytes());
    payload.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
    payload.extend(topic);
    payload.extend(1_i32.to_be_bytes());
    payload.extend(0_i32.to_be_bytes());
    payload.extend(marker.coordinator_epoch.to_be_bytes());
    let length = u32::try_from(payload.len()).unwrap();
    [&length.to_be_bytes()[..], &payload].concat()
}

/// A request of one marker in version 2, which adds the version of transactions behind the coordinator's epoch.
fn in_version_2(request: &WriteTxnMarkersRequest) -> Vec<u8> {
    let mut frame = frame(VERSION, 7, request);
    frame[7] = 2;
    // The marker's tags and those of the request are last.
    frame.insert(frame.len() - 2, 0);
    frame[3] += 1;
    frame
}

/// A broker takes markers in all versions that it offers, which are these.
pub(crate) async fn markers_in_versions(broker: &Broker, offered: RangeInclusive<i16>) {
    let topic = "facts-marker-versions";
    broker.create(topic, KEEP).await;
    let apis = call(broker, 0, &ApiVersionsRequest::default()).await.api_keys;
    let own = apis.iter().find(|api| api.api_key == api_key::WRITE_TXN_MARKERS);
    let own = own.unwrap();
    assert_eq!(own.min_version..=own.max_version, offered);
    for version in offered {
        let before = broker.java.end_offset(topic, 0).await.unwrap();
        let request = request(broker, topic, 1).await;
        let sent = match version {
            0 => in_version_0(&request),
            VERSION => frame(VERSION, 7, &request),
            2 => in_version_2(&request),
            _ => panic!("version {version} is not known"),
        };
        let mut socket = connect(broker).await;
        socket.write_all(&sent).await.unwrap();
        let answer = answer(&mut socket).await;
        // The code is last, but for the tags of partition, topic, marker and response.
        let tags = if version == 0 { 0 } else { 4 };
        let code = &answer[answer.len() - tags - 2..answer.len() - tags];
        assert_eq!((&answer[..4], code), (&[0, 0, 0, 7][..], &[0, 0][..]));
        let end = broker.java.end_offset(topic, 0).await.unwrap();
        assert_eq!(end, before + 1, "version {version}");
    }
}

#[tokio::test]
async fn markers_are_taken_in_all_versions_that_are_offered() {
    markers_in_versions(shared().await, 1..=2).await;
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

pub(crate) async fn the_last_outcome_hides_the_others(broker: &Broker) {
    const INVALID_PRODUCER_EPOCH: i16 = 47;
    let topic = "facts-marker-outcomes";
    broker.create(topic, KEEP).await;
    let mut request = request(broker, topic, 2).await;
    request.markers[0].producer_epoch = 4;
    request.markers[1].producer_epoch = 5;
    assert_eq!(codes(broker, &request).await, [0]);
    assert_eq!(broker.java.end_offset(topic, 0).await.unwrap(), 2);
    // The first of the two is of a time that is over.
    assert_eq!(codes(broker, &request).await, [0], "of two that differ");
    assert_eq!(broker.java.end_offset(topic, 0).await.unwrap(), 3);
    request.markers.truncate(1);
    assert_eq!(codes(broker, &request).await, [INVALID_PRODUCER_EPOCH]);
    request.markers.clear();
    assert!(codes(broker, &request).await.is_empty(), "nothing is refused");
}

#[tokio::test]
async fn markers_of_a_producer_have_one_outcome_that_of_the_last() {
    the_last_outcome_hides_the_others(shared().await).await;
}

pub(crate) async fn markers_for_no_topic(broker: &Broker) {
    const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    let request = request(broker, "/", 1).await;
    assert_eq!(codes(broker, &request).await, [UNKNOWN_TOPIC_OR_PARTITION]);
}

#[tokio::test]
async fn a_marker_for_a_topic_that_cannot_be_is_refused_as_for_one_that_is_not() {
    markers_for_no_topic(shared().await).await;
}
