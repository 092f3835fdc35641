//! Commits from outside of a group, as the coordinator takes or refuses them.

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetFetchRequest};
use kafka_protocol::protocol::StrBytes;
use testkit::{GroupProtocol, GroupRead};

use crate::raw::{call, topic_name};
use crate::support::{Broker, KEEP, batch, shared};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const OFFSET_METADATA_TOO_LARGE: i16 = 12;
const UNKNOWN_MEMBER_ID: i16 = 25;

/// Commits as somebody who is not in the group; gives the error code.
async fn commit(
    broker: &Broker,
    group: &str,
    topic: &str,
    partition: i32,
    offset: i64,
    metadata: &str,
) -> i16 {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset)
        .with_committed_leader_epoch(-1)
        .with_committed_metadata(Some(StrBytes::from_string(metadata.to_owned())));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    loop {
        let response = call(broker, 8, &request).await;
        match response.topics[0].partitions[0].error_code {
            // The coordinator's topic is being made or loaded.
            14..=16 => {
                broker.cluster.fetch_offsets(group).await.unwrap();
            }
            code => return code,
        }
    }
}

/// The offset and the metadata of a group's position in partition 0, which clients hide when it is negative.
async fn stored(broker: &Broker, group: &str, topic: &str) -> (i64, String) {
    let topic = OffsetFetchRequestTopic::default()
        .with_name(topic_name(topic))
        .with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
        .with_topics(Some(vec![topic]));
    let response = call(broker, 7, &request).await;
    let position = &response.topics[0].partitions[0];
    assert_eq!((response.error_code, position.error_code), (0, 0));
    (
        position.committed_offset,
        position.metadata.as_ref().unwrap().to_string(),
    )
}

async fn topic(broker: &Broker, name: &str) {
    broker.create(name, KEEP).await;
    for time in 1..=5 {
        broker.append(name, &batch(&[time])).await;
    }
}

pub(crate) async fn commits_of_non_members(broker: &Broker, protocols: &[GroupProtocol]) {
    topic(broker, "facts-commits").await;
    assert_eq!(
        commit(broker, "facts-new", "facts-commits", 0, 2, "text").await,
        0
    );
    let committed = broker.java.committed("facts-new").await.unwrap().remove(0);
    assert_eq!((committed.offset, committed.metadata.as_str()), (2, "text"));
    assert_eq!(committed.leader_epoch, None);
    for protocol in protocols {
        let group = format!("facts-left-{protocol:?}");
        let read = GroupRead::new(&group, *protocol, "facts-commits", 2);
        assert_eq!(broker.java.group_read(&read).await.unwrap().len(), 2);
        assert_eq!(
            commit(broker, &group, "facts-commits", 0, 4, "").await,
            0,
            "{group}"
        );
        assert_eq!(broker.java.committed(&group).await.unwrap()[0].offset, 4);

        let group = format!("facts-live-{protocol:?}");
        assert_eq!(commit(broker, &group, "facts-commits", 0, 1, "").await, 0);
        let member = broker
            .java
            .join_group(&group, *protocol, &["facts-commits"])
            .await
            .unwrap();
        let refused = commit(broker, &group, "facts-commits", 0, 3, "").await;
        assert_eq!(refused, UNKNOWN_MEMBER_ID, "{group}");
        assert_eq!(broker.java.committed(&group).await.unwrap()[0].offset, 1);
        member.leave().await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_of_a_non_member_is_taken_by_a_group_without_members_only() {
    let protocols = [GroupProtocol::Classic, GroupProtocol::Consumer];
    commits_of_non_members(shared().await, &protocols).await;
}

pub(crate) async fn what_is_checked(broker: &Broker) {
    topic(broker, "facts-checked").await;
    let commit = async |topic, partition, offset, metadata: &str| {
        commit(broker, "facts-checked", topic, partition, offset, metadata).await
    };
    assert_eq!(
        commit("facts-checked", 0, 1_000_000, "").await,
        0,
        "beyond the end"
    );
    assert_eq!(
        broker.java.committed("facts-checked").await.unwrap()[0].offset,
        1_000_000
    );
    assert_eq!(commit("facts-checked", 0, -5, "bad").await, 0, "negative");
    assert_eq!(
        stored(broker, "facts-checked", "facts-checked").await,
        (-5, "bad".to_owned()),
        "it replaces the position before"
    );
    assert_eq!(
        commit("facts-nowhere", 0, 1, "").await,
        UNKNOWN_TOPIC_OR_PARTITION
    );
    assert_eq!(
        commit("facts-checked", 9, 1, "").await,
        UNKNOWN_TOPIC_OR_PARTITION
    );
    assert_eq!(commit("facts-checked", 0, 1, &"x".repeat(4_096)).await, 0);
    let long = "x".repeat(4_097);
    assert_eq!(
        commit("facts-checked", 0, 2, &long).await,
        OFFSET_METADATA_TOO_LARGE
    );
    assert_eq!(broker.java.committed("facts-checked").await.unwrap()[0].offset, 1);
}

#[tokio::test]
async fn offsets_are_not_checked_but_topics_partitions_and_the_length_of_metadata_are() {
    what_is_checked(shared().await).await;
}
