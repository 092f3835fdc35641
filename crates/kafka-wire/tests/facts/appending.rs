//! What of a batch the broker looks at when it appends it.

use kafka_wire::batch::{BatchBuilder, BatchHeader, NewRecord};
use testkit::{Codec, ProduceRecord, ProducerOptions};

use crate::support::{Broker, KEEP, batch, covered, now, records, shared, with_header};

const INVALID_TIMESTAMP: i16 = 32;
const POLICY_VIOLATION: i16 = 44;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
const INVALID_RECORD: i16 = 87;

const HOUR: i64 = 3_600_000;

pub(crate) async fn passed_through_batches_stay_byte_for_byte(broker: &Broker) {
    for codec in [Codec::None, Codec::Zstd] {
        let (source, target) = (
            format!("facts-source-{}", codec.name()),
            format!("facts-target-{}", codec.name()),
        );
        broker.create(&source, KEEP).await;
        broker.create(&target, KEEP).await;
        let record = |n: i64| {
            ProduceRecord::new(&source, 0)
                .key(format!("key {n}"))
                .value("value".repeat(20))
                .header("name", "value")
                .timestamp(1_500_000_000_000 + n)
        };
        let groups: Vec<Vec<_>> = (0..2)
            .map(|g| (g * 10..g * 10 + 10).map(record).collect())
            .collect();
        let options = ProducerOptions::new().codec(codec);
        broker.java.produce_with(&options, &groups).await.unwrap();
        let fetched = broker.fetch(&source, 0).await;
        assert_eq!(fetched.len(), 2);
        assert_eq!(fetched[1].header.base_offset, 10);
        for original in &fetched {
            let mut patched = original.bytes.to_vec();
            patched[..8].copy_from_slice(&0_i64.to_be_bytes());
            let produced = broker.send(&target, &patched).await;
            assert_eq!(
                (produced.error_code, produced.base_offset),
                (0, original.header.base_offset)
            );
        }
        let stored = broker.fetch(&target, 0).await;
        assert_eq!(stored.len(), 2);
        for (stored, original) in stored.iter().zip(&fetched) {
            stored.verify_crc().unwrap();
            assert_eq!(covered(stored), covered(original));
            assert_eq!(stored.header.crc, original.header.crc);
            assert_eq!(stored.header.base_offset, original.header.base_offset);
        }
        let (theirs, ours) = (
            broker.java.consume_all(&source, 0).await.unwrap(),
            broker.java.consume_all(&target, 0).await.unwrap(),
        );
        assert!(
            theirs
                .iter()
                .map(testkit::Record::content)
                .eq(ours.iter().map(testkit::Record::content))
        );
    }
}

#[tokio::test]
async fn a_batch_produced_as_it_was_fetched_is_stored_with_identical_bytes() {
    passed_through_batches_stay_byte_for_byte(shared().await).await;
}

pub(crate) async fn other_base_offsets_are_refused(broker: &Broker) {
    broker.create("facts-base-offset", KEEP).await;
    let builder = || records(BatchBuilder::new().base_offset(5), &[1]);
    let bytes = builder().build().unwrap().bytes;
    assert_eq!(broker.refusal("facts-base-offset", &bytes).await, INVALID_RECORD);
}

#[tokio::test]
async fn a_base_offset_other_than_0_is_refused() {
    other_base_offsets_are_refused(shared().await).await;
}

pub(crate) async fn batches_with_holes_are_refused(broker: &Broker) {
    broker.create("facts-holes", KEEP).await;
    let compacted = records(BatchBuilder::new().last_offset_delta(9), &[1, 2])
        .build()
        .unwrap();
    let empty = BatchBuilder::new().last_offset_delta(3).build().unwrap();
    let mut marker = BatchBuilder::new().control();
    let record = NewRecord {
        timestamp: 1,
        key: Some(&[0, 0, 0, 1]),
        value: Some(&[0, 0, 0, 0, 0, 0]),
        ..NewRecord::default()
    };
    marker.push(&record).unwrap();
    let marker = marker.build().unwrap();
    for (what, batch) in [("compacted", compacted), ("empty", empty), ("control", marker)] {
        assert_eq!(
            broker.refusal("facts-holes", &batch.bytes).await,
            INVALID_RECORD,
            "{what}"
        );
    }
}

#[tokio::test]
async fn compacted_empty_and_control_batches_are_refused() {
    batches_with_holes_are_refused(shared().await).await;
}

/// Whether the bit is refused; else it is cleared, so that the records get their own times.
pub(crate) async fn log_append_time_bit(broker: &Broker) -> bool {
    broker.create("facts-append-time", KEEP).await;
    let (created, appended) = (now() - HOUR, now());
    let batch = records(
        BatchBuilder::new().log_append_time(appended),
        &[created, created + 1],
    )
    .build()
    .unwrap();
    let produced = broker.send("facts-append-time", &batch.bytes).await;
    if produced.error_code != 0 {
        assert_eq!(produced.error_code, INVALID_TIMESTAMP);
        return true;
    }
    assert!(
        !broker
            .first("facts-append-time")
            .await
            .header
            .is_log_append_time()
    );
    let read = broker.java.consume_all("facts-append-time", 0).await.unwrap();
    let times: Vec<_> = read.iter().map(|record| record.timestamp).collect();
    assert_eq!(times, [created, created + 1]);
    false
}

#[tokio::test]
async fn the_append_time_bit_is_silently_cleared() {
    assert!(!log_append_time_bit(shared().await).await);
}

pub(crate) async fn delete_horizons_are_stored(broker: &Broker) {
    broker.create("facts-horizon", KEEP).await;
    let horizon = records(BatchBuilder::new().delete_horizon(5_000), &[7_000])
        .build()
        .unwrap();
    broker.append("facts-horizon", &horizon).await;
    let stored = broker.first("facts-horizon").await;
    assert!(stored.header.has_delete_horizon());
    assert_eq!(covered(&stored), covered(&horizon));
}

#[tokio::test]
async fn the_delete_horizon_bit_is_accepted_and_stored() {
    delete_horizons_are_stored(shared().await).await;
}

pub(crate) async fn wrong_maxima_are_corrected(broker: &Broker) {
    broker.create("facts-maximum", KEEP).await;
    let right = batch(&[1_000, 3_000, 2_000]);
    let wrong = with_header(&right, |header| header.max_timestamp = 9_000);
    broker.append("facts-maximum", &wrong).await;
    let stored = broker.first("facts-maximum").await;
    assert_eq!(stored.header.max_timestamp, 3_000);
    assert_eq!(stored.header.crc, right.header.crc);
}

#[tokio::test]
async fn a_wrong_maximum_of_the_timestamps_is_corrected() {
    wrong_maxima_are_corrected(shared().await).await;
}

/// Whether a time more than an hour ahead is refused, as it is since 4.0 (KIP-1030).
pub(crate) async fn times_ahead(broker: &Broker) -> bool {
    broker.create("facts-times", KEEP).await;
    let accepted = [now() + HOUR - 600_000, -1, now() + HOUR + 600_000];
    for time in &accepted[..2] {
        broker.append("facts-times", &batch(&[*time])).await;
    }
    let future = batch(&accepted[2..]);
    let produced = broker.send("facts-times", &future.bytes).await;
    let refused = produced.error_code != 0;
    if refused {
        assert_eq!(produced.error_code, INVALID_TIMESTAMP);
    }
    let read = broker.java.consume_all("facts-times", 0).await.unwrap();
    let times: Vec<_> = read.iter().map(|record| record.timestamp).collect();
    assert_eq!(times, accepted[..if refused { 2 } else { 3 }]);
    refused
}

#[tokio::test]
async fn a_time_far_in_the_future_is_refused_and_no_time_is_accepted() {
    assert!(times_ahead(shared().await).await);
}

pub(crate) async fn wrong_deltas_are_not_noticed(broker: &Broker) {
    broker.create("facts-deltas", KEEP).await;
    let mut builder = BatchBuilder::new().last_offset_delta(1);
    for delta in [7, 3] {
        let record = NewRecord {
            timestamp: 1,
            value: Some(b"v"),
            ..NewRecord::default()
        };
        builder.push_at(delta, &record).unwrap();
    }
    let wrong = builder.build().unwrap();
    broker.append("facts-deltas", &wrong).await;
    assert_eq!(covered(&broker.first("facts-deltas").await), covered(&wrong));
    assert_eq!(broker.java.end_offset("facts-deltas", 0).await.unwrap(), 2);
}

#[tokio::test]
async fn wrong_offset_deltas_in_an_uncompressed_batch_are_accepted_as_they_are() {
    wrong_deltas_are_not_noticed(shared().await).await;
}

pub(crate) async fn two_batches_are_refused(broker: &Broker) {
    broker.create("facts-two", KEEP).await;
    let two = [batch(&[1]).bytes, batch(&[2]).bytes].concat();
    assert_eq!(broker.refusal("facts-two", &two).await, INVALID_RECORD);
}

#[tokio::test]
async fn two_batches_for_one_partition_in_one_request_are_refused() {
    two_batches_are_refused(shared().await).await;
}

pub(crate) async fn transactional_bits_are_refused(broker: &Broker) {
    broker.create("facts-transactional", KEEP).await;
    let producer = crate::raw::producer_id(broker).await;
    let batch = records(BatchBuilder::new().producer(producer).transactional(), &[1])
        .build()
        .unwrap();
    assert_eq!(
        broker.refusal("facts-transactional", &batch.bytes).await,
        TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    );
}

#[tokio::test]
async fn the_transactional_bit_outside_of_a_transaction_is_refused() {
    transactional_bits_are_refused(shared().await).await;
}

pub(crate) async fn compacted_topics_refuse(broker: &Broker) {
    let configs = [("cleanup.policy", "compact"), ("retention.ms", "-1")];
    broker.create("facts-compacted", &configs).await;
    let mut builder = BatchBuilder::new();
    let keyless = NewRecord {
        timestamp: 1,
        value: Some(b"v"),
        ..NewRecord::default()
    };
    builder.push(&keyless).unwrap();
    let bytes = builder.build().unwrap().bytes;
    assert_eq!(broker.refusal("facts-compacted", &bytes).await, INVALID_RECORD);
    broker.append("facts-compacted", &batch(&[1])).await;
    let asked = [(crate::support::tp("facts-compacted"), 1)];
    let (_, outcome) = broker.cluster.delete_records(&asked).await.remove(0);
    assert_eq!(outcome.unwrap_err().code().unwrap().code(), POLICY_VIOLATION);
}

#[tokio::test]
async fn a_compacted_topic_takes_no_null_keys_and_no_deletion_of_records() {
    compacted_topics_refuse(shared().await).await;
}

pub(crate) async fn wrong_checksums_are_refused(broker: &Broker) {
    broker.create("facts-crc", KEEP).await;
    let good = batch(&[1]);
    let header = BatchHeader {
        crc: good.header.crc ^ 1,
        ..good.header
    };
    let mut bad = good.bytes.to_vec();
    bad[..header.encode().len()].copy_from_slice(&header.encode());
    // CORRUPT_MESSAGE
    assert_eq!(broker.refusal("facts-crc", &bad).await, 2);
}

#[tokio::test]
async fn a_batch_whose_crc_is_wrong_is_refused() {
    wrong_checksums_are_refused(shared().await).await;
}
