//! Share groups.

use kafka_wire::{Error, ErrorCode, GroupKind, GroupState, TopicPartition};
use testkit::{Commit, ProduceRecord};

use crate::support::{code, connected, only, tp};

#[tokio::test]
async fn the_positions_of_a_share_group_are_read_set_and_deleted() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    let (group, topic) = ("share-positions", "share-positions-topic");
    java.create_topic(topic, 1, &[]).await.unwrap();
    let records: Vec<_> = (0..10).map(|_| ProduceRecord::new(topic, 0).value("v")).collect();
    java.produce(&records).await.unwrap();

    let member = java.join_share_group(group, topic, 10).await.unwrap();
    let described = only(cluster.describe_groups(&[group]).await).unwrap();
    assert_eq!(
        (&described.kind, &described.state),
        (&Some(GroupKind::Share), &GroupState::Stable)
    );
    assert_eq!(described.members.len(), 1);
    assert!(described.members[0].client_host.contains("127.0.0.1"));
    assert_eq!(described.members[0].assignment, Some(vec![tp(topic, 0)]));
    let listed = cluster.list_groups().await.unwrap();
    let listed = listed.iter().find(|listed| listed.group_id == group).unwrap();
    assert_eq!(listed.kind, GroupKind::Share);

    let start = [(tp(topic, 0), 4)];
    let outcome = cluster.alter_share_offsets(group, &start).await;
    assert_eq!(code(&outcome), ErrorCode::NON_EMPTY_GROUP);
    let outcome = cluster.delete_share_offsets(group, &[topic]).await;
    assert_eq!(code(&outcome), ErrorCode::NON_EMPTY_GROUP);
    assert_eq!(
        code(&cluster.delete_group(group).await),
        ErrorCode::NON_EMPTY_GROUP
    );
    member.leave().await.unwrap();

    let read = only(cluster.fetch_share_offsets(group).await.unwrap()).unwrap();
    let theirs = java.share_offsets(group).await.unwrap();
    assert_eq!(theirs, [(topic.to_owned(), 0, read.start_offset)]);

    let wanted = [
        (tp(topic, 0), 4),
        (tp(topic, 7), 1),
        (tp("share-missing", 0), 1),
        (tp("share-negative", 0), -1),
    ];
    let results = cluster.alter_share_offsets(group, &wanted).await.unwrap();
    assert!(results.is_sorted_by(|a, b| a.0 < b.0));
    let outcome = |at: TopicPartition| &results.iter().find(|(partition, _)| *partition == at).unwrap().1;
    outcome(tp(topic, 0)).as_ref().unwrap();
    for missing in [tp(topic, 7), tp("share-missing", 0)] {
        assert_eq!(code(outcome(missing)), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    assert!(matches!(
        outcome(tp("share-negative", 0)),
        Err(Error::InvalidRequest { .. })
    ));
    assert_eq!(
        java.share_offsets(group).await.unwrap(),
        [(topic.to_owned(), 0, 4)]
    );
    let again = java.join_share_group(group, topic, 6).await.unwrap();
    assert_eq!(again.offsets, [4, 5, 6, 7, 8, 9]);
    again.leave().await.unwrap();

    let mut deleted = cluster
        .delete_share_offsets(group, &[topic, "share-missing"])
        .await
        .unwrap();
    deleted.pop().unwrap().1.unwrap();
    assert_eq!(code(&only(deleted)), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let asked = [tp(topic, 0)];
    let gone = cluster.fetch_share_offsets_of(group, &asked).await.unwrap();
    assert_eq!(only(gone).unwrap(), None);
    assert!(java.share_offsets(group).await.unwrap().is_empty());
    cluster.delete_group(group).await.unwrap();
    let described = only(cluster.describe_groups(&[group]).await).unwrap();
    assert_eq!(described.state, GroupState::Dead);
}

#[tokio::test]
async fn the_start_of_a_share_group_that_is_not_there_yet_can_be_set() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    java.create_topic("share-new", 1, &[]).await.unwrap();
    let records: Vec<_> = (0..5)
        .map(|_| ProduceRecord::new("share-new", 0).value("v"))
        .collect();
    java.produce(&records).await.unwrap();
    let start = [(tp("share-new", 0), 3)];
    only(cluster.alter_share_offsets("share-new", &start).await.unwrap()).unwrap();
    let read = only(cluster.fetch_share_offsets("share-new").await.unwrap()).unwrap();
    assert_eq!(read.start_offset, 3);
    let member = java.join_share_group("share-new", "share-new", 2).await.unwrap();
    assert_eq!(member.offsets, [3, 4]);
    member.leave().await.unwrap();
}

#[tokio::test]
async fn a_group_of_another_kind_has_no_share_positions() {
    let (shared, cluster) = connected().await;
    shared.java.create_topic("share-classic", 1, &[]).await.unwrap();
    shared
        .java
        .commit("share-classic", &[Commit::new("share-classic", 0, 0)])
        .await
        .unwrap();
    for group in ["share-classic", "share-nowhere"] {
        let found = cluster.fetch_share_offsets(group).await.unwrap();
        assert!(found.is_empty(), "{group}: {found:?}");
    }
}
