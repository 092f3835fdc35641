//! What leaders say of their logs and of their epochs, each time in a cluster of two brokers.

use std::cell::Cell;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::EpochEndOffset;
use kafka_protocol::messages::{BrokerId, FetchRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest};
use testkit::ClusterOptions;

use crate::endings::{VERSION, produce};
use crate::raw::{call_one, topic_name};
use crate::support::{Broker, KEEP, batch, eventually};

const FENCED_LEADER_EPOCH: i16 = 74;
const UNKNOWN_LEADER_EPOCH: i16 = 75;
/// Longer than a test takes.
const PATIENCE_MS: i64 = 600_000;

/// Asks a broker for the end of an epoch.
async fn epoch_end(broker: &Broker, index: usize, topic: &str, current: i32, epoch: i32) -> EpochEndOffset {
    let partition = OffsetForLeaderPartition::default()
        .with_partition(0)
        .with_current_leader_epoch(current)
        .with_leader_epoch(epoch);
    let asked = OffsetForLeaderTopic::default()
        .with_topic(topic_name(topic))
        .with_partitions(vec![partition]);
    let request = OffsetForLeaderEpochRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![asked]);
    let mut response = call_one(broker, index, 3, &request).await;
    response.topics.remove(0).partitions.remove(0)
}

/// What a broker answers to Fetch, `ListOffsets` and `OffsetForLeaderEpoch` when the asking one takes this epoch for the
/// current one.
async fn codes(broker: &Broker, index: usize, topic: &str, current: i32) -> [i16; 3] {
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_current_leader_epoch(current)
        .with_partition_max_bytes(1 << 20);
    let asked = FetchTopic::default()
        .with_topic(topic_name(topic))
        .with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![asked]);
    let fetched = call_one(broker, index, 11, &request).await;

    [
        fetched.responses[0].partitions[0].error_code,
        latest(broker, index, topic, current).await.error_code,
        epoch_end(broker, index, topic, current, 0).await.error_code,
    ]
}

/// Asks a broker for the offset up to which everybody may read.
async fn latest(broker: &Broker, index: usize, topic: &str, current: i32) -> ListOffsetsPartitionResponse {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(0)
        .with_current_leader_epoch(current)
        .with_timestamp(-1);
    let asked = ListOffsetsTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![asked]);
    let mut listed = call_one(broker, index, 5, &request).await;
    listed.topics.remove(0).partitions.remove(0)
}

/// Only the current epoch is taken; a newer one is unknown, an older one fenced.
async fn other_epochs_are_refused(broker: &Broker) {
    let topic = "facts-epochs";
    broker
        .java
        .create_replicated_topic(topic, 1, 2, KEEP)
        .await
        .unwrap();
    let first = epoch_of(broker, topic).await;
    for leader in [1, 0, 1] {
        broker
            .java
            .reassign_partition(topic, 0, &[leader, 1 - leader])
            .await
            .unwrap();
    }
    let current = epoch_of(broker, topic).await;
    assert!(current > first, "it has moved");
    assert_eq!(codes(broker, 1, topic, current).await, [0; 3]);
    assert_eq!(codes(broker, 1, topic, -1).await, [0; 3], "nothing is checked");
    assert_eq!(
        codes(broker, 1, topic, current + 1).await,
        [UNKNOWN_LEADER_EPOCH; 3]
    );
    assert_eq!(
        codes(broker, 1, topic, current - 1).await,
        [FENCED_LEADER_EPOCH; 3]
    );
}

/// Writes a batch, and gives the epoch that the leader puts into it. The brokers may not agree on the leader yet.
async fn epoch_of(broker: &Broker, topic: &str) -> i32 {
    let offset = Cell::new(-1);
    eventually("the leader takes a batch", || async {
        let written = broker.send(topic, &batch(&[1]).bytes).await;
        offset.set(written.base_offset);
        written.error_code == 0
    })
    .await;
    let stored = broker.fetch(topic, offset.get()).await.remove(0);
    stored.header.partition_leader_epoch
}

/// The end of the leader's log is told above the high watermark too, which nobody can read up to yet.
async fn the_end_of_an_epoch_is_above_the_high_watermark(broker: &Broker) {
    let topic = "facts-epoch-end";
    broker
        .java
        .create_replicated_topic(topic, 1, 2, KEEP)
        .await
        .unwrap();
    broker.java.reassign_partition(topic, 0, &[0, 1]).await.unwrap();
    epoch_of(broker, topic).await;
    let epoch = epoch_of(broker, topic).await;
    let ends = async || {
        let latest = latest(broker, 0, topic, epoch).await;
        let end = epoch_end(broker, 0, topic, epoch, epoch).await;
        assert_eq!(
            (latest.error_code, end.error_code, end.leader_epoch),
            (0, 0, epoch)
        );
        (latest.offset, end.end_offset)
    };
    eventually("both replicas have both batches", || async {
        ends().await == (2, 2)
    })
    .await;

    broker.kafka.pause_broker(1).await.unwrap();
    // Nothing that is asked here may go to the frozen one, as the Java client's questions would.
    let written = call_one(broker, 0, VERSION, &produce(topic, 1)).await;
    let while_frozen = ends().await;
    broker.kafka.resume_broker(1).await.unwrap();
    let written = &written.responses[0].partition_responses[0];
    assert_eq!((written.error_code, written.base_offset), (0, 2));
    assert_eq!(while_frozen, (2, 3), "high watermark and end of the log");
    eventually("the follower has it", || async { ends().await == (3, 3) }).await;
}

async fn facts_of_leaders(version: &str) {
    // A follower that is frozen stays in the in-sync set, so that the high watermark waits for it.
    let options = ClusterOptions::new()
        .version(version)
        .brokers(2)
        .property("replica.lag.time.max.ms", PATIENCE_MS)
        .property("broker.session.timeout.ms", PATIENCE_MS)
        .property("zookeeper.session.timeout.ms", PATIENCE_MS);
    let broker = Broker::start(options).await;
    other_epochs_are_refused(&broker).await;
    the_end_of_an_epoch_is_above_the_high_watermark(&broker).await;
}

#[tokio::test]
async fn leaders_fence_by_epochs_and_tell_their_ends_above_the_high_watermark() {
    facts_of_leaders(testkit::DEFAULT_KAFKA_VERSION).await;
}

#[tokio::test]
async fn leaders_of_kafka_3_9_do_too() {
    facts_of_leaders("3.9.2").await;
}

#[tokio::test]
async fn leaders_of_kafka_2_8_do_too() {
    facts_of_leaders("2.8.2").await;
}
