//! Segments, retention and the start of the log.

use kafka_wire::batch::{BatchBuilder, Codec, NewRecord};
use kafka_wire::{IsolationLevel, OffsetSpec};

use crate::support::{Broker, KEEP, batch, eventually, now, shared, tp};

pub(crate) async fn fetches_end_with_the_segment(broker: &Broker) {
    broker.create("facts-one-segment", KEEP).await;
    // A segment ends when a record comes that is so much younger than its first one.
    let configs = [("retention.ms", "-1"), ("segment.ms", "60000")];
    broker.create("facts-segments", &configs).await;
    for topic in ["facts-one-segment", "facts-segments"] {
        for timestamp in [1_000, 2_000, 100_000, 101_000] {
            broker.append(topic, &batch(&[timestamp])).await;
        }
    }
    let offsets = async |topic, from| -> Vec<i64> {
        let batches = broker.fetch(topic, from).await;
        batches.iter().map(|batch| batch.header.base_offset).collect()
    };
    assert_eq!(offsets("facts-one-segment", 0).await, [0, 1, 2, 3]);
    assert_eq!(offsets("facts-segments", 0).await, [0, 1]);
    assert_eq!(offsets("facts-segments", 2).await, [2, 3]);
}

#[tokio::test]
async fn one_fetch_returns_data_of_one_segment_at_most() {
    fetches_end_with_the_segment(shared().await).await;
}

pub(crate) async fn retention_goes_by_record_time(broker: &Broker) {
    let configs = [("retention.ms", "3600000")];
    broker.create("facts-retention", &configs).await;
    broker
        .append("facts-retention", &batch(&[now() - 7_200_000]))
        .await;
    eventually("the old record is deleted", || async {
        broker.java.beginning_offset("facts-retention", 0).await.unwrap() == 1
    })
    .await;
    let recent = batch(&[now()]);
    assert_eq!(broker.append("facts-retention", &recent).await, 1);
}

#[tokio::test]
async fn retention_deletes_old_records_soon_after_they_are_written() {
    retention_goes_by_record_time(shared().await).await;
}

pub(crate) async fn fillers_move_the_log_start(broker: &Broker) {
    const RECORDS: i64 = 50_000;
    broker.create("facts-filler", KEEP).await;
    let mut builder = BatchBuilder::new().compression(Codec::Zstd, None);
    for _ in 0..RECORDS {
        let nothing = NewRecord {
            timestamp: 1_000,
            ..NewRecord::default()
        };
        builder.push(&nothing).unwrap();
    }
    let filler = builder.build().unwrap();
    for number in 0..4 {
        assert_eq!(broker.append("facts-filler", &filler).await, number * RECORDS);
    }
    let asked = [(tp("facts-filler"), 4 * RECORDS)];
    let (_, start) = broker.cluster.delete_records(&asked).await.remove(0);
    assert_eq!(start.unwrap(), 4 * RECORDS);
    assert_eq!(broker.append("facts-filler", &batch(&[2_000])).await, 4 * RECORDS);
    let earliest = broker
        .cluster
        .list_offsets(
            &[tp("facts-filler")],
            OffsetSpec::Earliest,
            IsolationLevel::ReadCommitted,
        )
        .await
        .remove(0);
    assert_eq!(earliest.1.unwrap().offset, 4 * RECORDS);
    let read = broker.java.consume_all("facts-filler", 0).await.unwrap();
    assert_eq!((read.len(), read[0].offset), (1, 4 * RECORDS));
}

#[tokio::test]
async fn filler_batches_and_a_deletion_of_records_move_the_log_start() {
    fillers_move_the_log_start(shared().await).await;
}
