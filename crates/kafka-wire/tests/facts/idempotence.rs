//! What brokers remember of idempotent producers, and for how long.

use std::cell::Cell;

use kafka_wire::batch::ProducePatch;
use kafka_wire::{Producer, ProducerOptions};
use testkit::{RequestFault, Rule, api_key};

use crate::raw::producer_id;
use crate::support::{Broker, KEEP, PRODUCER_EXPIRY_MS, eventually, now, sequenced, shared};

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;

pub(crate) async fn duplicates_are_recognised(broker: &Broker) {
    broker.create("facts-duplicates", KEEP).await;
    let (producer, time) = (producer_id(broker).await, now());
    let batches: Vec<_> = (0..7)
        .map(|sequence| sequenced(producer, sequence, time))
        .collect();
    for (expected, batch) in (0..).zip(&batches) {
        assert_eq!(broker.append("facts-duplicates", batch).await, expected);
    }
    for (original, batch) in (2..7).zip(&batches[2..]) {
        assert_eq!(broker.append("facts-duplicates", batch).await, original);
    }
    assert_eq!(broker.java.end_offset("facts-duplicates", 0).await.unwrap(), 7);
    let old = &batches[1].bytes;
    assert_eq!(
        broker.refusal("facts-duplicates", old).await,
        OUT_OF_ORDER_SEQUENCE_NUMBER
    );
    let gap = sequenced(producer, 9, time).bytes;
    assert_eq!(
        broker.refusal("facts-duplicates", &gap).await,
        OUT_OF_ORDER_SEQUENCE_NUMBER
    );
}

#[tokio::test]
async fn a_duplicate_of_the_last_five_batches_gets_its_first_offset_and_an_older_one_or_a_gap_is_refused() {
    duplicates_are_recognised(shared().await).await;
}

/// A producer without transactions may go on with the next epoch without asking anybody (KIP-360).
pub(crate) async fn epochs_are_bumped_by_the_client(broker: &Broker) {
    let topic = "facts-epoch-bump";
    broker.create(topic, KEEP).await;
    let (old, time) = (producer_id(broker).await, now());
    let new = ProducePatch {
        producer_epoch: old.producer_epoch + 1,
        ..old
    };
    for sequence in 0..2 {
        let batch = sequenced(old, sequence, time);
        assert_eq!(broker.append(topic, &batch).await, i64::from(sequence));
    }
    for sequence in [1, 2, 9] {
        let ahead = sequenced(new, sequence, time).bytes;
        assert_eq!(
            broker.refusal(topic, &ahead).await,
            OUT_OF_ORDER_SEQUENCE_NUMBER,
            "sequence {sequence}"
        );
    }
    assert_eq!(broker.append(topic, &sequenced(new, 0, time)).await, 2);
    // What the old epoch had on its way: the next batch, and one that was appended before.
    for sequence in [2, 1] {
        let late = sequenced(old, sequence, time).bytes;
        assert_eq!(
            broker.refusal(topic, &late).await,
            INVALID_PRODUCER_EPOCH,
            "sequence {sequence}"
        );
    }
    assert_eq!(broker.append(topic, &sequenced(new, 1, time)).await, 3);
}

#[tokio::test]
async fn an_epoch_that_the_client_bumped_begins_at_sequence_0_and_fences_the_one_before() {
    epochs_are_bumped_by_the_client(shared().await).await;
}

pub(crate) async fn strangers_start_anywhere(broker: &Broker) {
    broker.create("facts-stranger", KEEP).await;
    let producer = producer_id(broker).await;
    let batch = sequenced(producer, 4_711, now());
    assert_eq!(broker.append("facts-stranger", &batch).await, 0);
}

#[tokio::test]
async fn a_producer_that_the_partition_does_not_know_may_start_at_any_sequence() {
    strangers_start_anywhere(shared().await).await;
}

pub(crate) async fn producers_are_forgotten_by_record_time(broker: &Broker) {
    broker.create("facts-forgotten", KEEP).await;
    broker.create("facts-remembered", KEEP).await;
    let producer = producer_id(broker).await;
    let recent = sequenced(producer, 0, now());
    assert_eq!(broker.append("facts-remembered", &recent).await, 0);
    let old = sequenced(producer, 0, now() - 2 * PRODUCER_EXPIRY_MS);
    assert_eq!(broker.append("facts-forgotten", &old).await, 0);
    let again = Cell::new(0);
    eventually("the producer is forgotten", || async {
        again.set(broker.append("facts-forgotten", &old).await);
        again.get() != 0
    })
    .await;
    assert_eq!(again.get(), 1, "it was appended a second time");
    eventually("any sequence is accepted", || async {
        let jump = sequenced(producer, 900, now()).bytes;
        broker.send("facts-forgotten", &jump).await.error_code == 0
    })
    .await;
    assert_eq!(
        broker.append("facts-remembered", &recent).await,
        0,
        "the expiry goes by the time of the records"
    );
}

#[tokio::test]
async fn a_producer_of_old_records_is_forgotten_and_its_batch_is_appended_again() {
    producers_are_forgotten_by_record_time(shared().await).await;
}

/// Where the memory is only looked through every ten minutes: a restart forgets as well.
pub(crate) async fn a_restart_forgets_by_record_time(broker: &Broker) {
    broker.create("facts-restart-old", KEEP).await;
    broker.create("facts-restart-recent", KEEP).await;
    let producer = producer_id(broker).await;
    let recent = sequenced(producer, 0, now());
    let old = sequenced(producer, 0, now() - 2 * PRODUCER_EXPIRY_MS);
    for (topic, batch) in [("facts-restart-recent", &recent), ("facts-restart-old", &old)] {
        assert_eq!(broker.append(topic, batch).await, 0);
        assert_eq!(broker.append(topic, batch).await, 0, "remembered");
    }
    broker.kafka.restart_broker(0).await.unwrap();
    for topic in ["facts-restart-recent", "facts-restart-old"] {
        eventually("the partition has a leader again", || async {
            broker.java.end_offset(topic, 0).await.is_ok()
        })
        .await;
    }
    assert_eq!(broker.append("facts-restart-recent", &recent).await, 0);
    assert_eq!(
        broker.append("facts-restart-old", &old).await,
        1,
        "it was appended a second time"
    );
}

pub(crate) async fn our_producer_gets_an_id(broker: &Broker) {
    Producer::start(&broker.cluster, ProducerOptions::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_broker_that_was_just_started_gives_a_producer_id_and_is_asked_again_while_it_loads() {
    let broker = Broker::start(testkit::ClusterOptions::new().proxied()).await;
    let proxy = broker.kafka.proxy(0).unwrap();
    // Correlation id, tags and throttle time come before the error code.
    let loading = proxy.add(Rule::request(
        api_key::INIT_PRODUCER_ID,
        RequestFault::alter_response(|payload| {
            payload[9..11].copy_from_slice(&COORDINATOR_LOAD_IN_PROGRESS.to_be_bytes());
        }),
    ));
    our_producer_gets_an_id(&broker).await;
    assert_eq!(loading.hits(), 1);
    assert!(proxy.requests(api_key::INIT_PRODUCER_ID) > 1);
}
