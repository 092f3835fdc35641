use std::time::Duration;

use kafka_wire::{Cluster, Error, ErrorCode, GroupKind, GroupState, OffsetCommit};
use testkit::{Commit, GroupProtocol, GroupRead, JavaClient, ProduceRecord, ProducerOptions};

use crate::support::{code, config, connected, only, tp};

/// A topic with `records` records in its only partition.
async fn topic(java: &JavaClient, name: &str, records: usize) {
    java.create_topic(name, 1, &[]).await.unwrap();
    let records: Vec<_> = (0..records)
        .map(|n| ProduceRecord::new(name, 0).value(format!("record {n}")))
        .collect();
    java.produce(&records).await.unwrap();
}

async fn commit_one(cluster: &Cluster, group: &str, topic: &str, offset: i64) -> Result<(), Error> {
    only(
        cluster
            .commit_offsets(group, &[OffsetCommit::new(tp(topic, 0), offset)])
            .await,
    )
}

#[tokio::test]
async fn groups_of_all_brokers_and_of_both_protocols_are_listed() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    topic(java, "groups-listed", 1).await;
    for number in 0..20 {
        java.commit(
            &format!("groups-listed-{number:02}"),
            &[Commit::new("groups-listed", 0, 1)],
        )
        .await
        .unwrap();
    }
    let member = java
        .join_group("groups-listed-new", GroupProtocol::Consumer, &["groups-listed"])
        .await
        .unwrap();
    let ours: Vec<_> = (cluster.list_groups().await.unwrap().into_iter())
        .filter(|group| group.group_id.starts_with("groups-listed-"))
        .collect();
    assert_eq!(ours.len(), 21);
    assert!(ours.is_sorted_by(|a, b| a.group_id < b.group_id));
    assert!(
        ours[..20]
            .iter()
            .all(|group| group.kind == GroupKind::Classic && group.state == GroupState::Empty)
    );
    assert_eq!(
        (&ours[20].kind, &ours[20].state),
        (&GroupKind::Consumer, &GroupState::Stable)
    );
    assert_eq!(ours[20].protocol_type, "consumer");
    member.leave().await.unwrap();
}

#[tokio::test]
async fn groups_of_both_protocols_are_described_with_their_members() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    java.create_topic("groups-described", 3, &[]).await.unwrap();
    let mut members = Vec::new();
    for (group, protocol) in [
        ("groups-described-c", GroupProtocol::Classic),
        ("groups-described-n", GroupProtocol::Consumer),
    ] {
        members.push(
            java.join_group(group, protocol, &["groups-described"])
                .await
                .unwrap(),
        );
    }
    java.commit("groups-described-empty", &[Commit::new("groups-described", 0, 1)])
        .await
        .unwrap();
    let names = [
        "groups-described-c",
        "groups-described-n",
        "groups-described-empty",
        "groups-described-none",
    ];
    let described: Vec<_> = cluster
        .describe_groups(&names)
        .await
        .into_iter()
        .map(|(_, outcome)| outcome.unwrap())
        .collect();
    let kinds: Vec<_> = described.iter().map(|group| group.kind.clone()).collect();
    let (classic, consumer) = (Some(GroupKind::Classic), Some(GroupKind::Consumer));
    assert_eq!(kinds, [classic.clone(), consumer, classic, None]);
    for (group, member) in described.iter().zip(&members) {
        assert_eq!(group.state, GroupState::Stable);
        assert!(!group.is_idle());
        assert_eq!(group.members.len(), 1);
        assert_eq!(group.members[0].member_id, member.member_id());
        assert!(
            group.members[0].client_host.contains("127.0.0.1"),
            "{:?}",
            group.members[0]
        );
        let all = [0, 1, 2].map(|index| tp("groups-described", index));
        assert_eq!(group.members[0].assignment.as_deref(), Some(all.as_slice()));
        let seen = java.describe_group(&group.group_id).await.unwrap();
        let mut seen: Vec<_> = (seen.members[0].assigned.iter())
            .map(|assigned| tp(&assigned.topic, assigned.partition))
            .collect();
        // The Java client has them in a set.
        seen.sort();
        assert_eq!(seen, all);
    }
    assert_eq!(
        (&described[2].state, described[2].is_idle()),
        (&GroupState::Empty, true)
    );
    assert_eq!(
        (&described[3].state, described[3].is_idle()),
        (&GroupState::Dead, true)
    );
    for member in members {
        member.leave().await.unwrap();
    }
}

#[tokio::test]
async fn committed_positions_arrive_exactly_with_their_metadata() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    java.create_topic("groups-commit", 4, &[]).await.unwrap();
    let metadata = ["", "plain", "Überdruß \u{1F9EA} \0 \"'", &"x".repeat(4096)];
    let commits: Vec<_> = (0..4)
        .zip(metadata)
        .map(|(index, text)| {
            OffsetCommit::new(tp("groups-commit", index), 10 + i64::from(index)).with_metadata(text)
        })
        .collect();
    for (_, outcome) in cluster.commit_offsets("groups-commit", &commits).await {
        outcome.unwrap();
    }
    let seen = java.committed("groups-commit").await.unwrap();
    assert_eq!(seen.len(), 4);
    for (committed, text) in seen.iter().zip(metadata) {
        assert_eq!(committed.offset, 10 + i64::from(committed.partition));
        assert_eq!(committed.metadata, text);
        assert_eq!(
            committed.leader_epoch, None,
            "the epoch of another cluster must not get in"
        );
    }
    let ours = cluster.fetch_offsets("groups-commit").await.unwrap();
    assert!(ours.is_sorted_by(|a, b| a.0 < b.0));
    for ((at, outcome), commit) in ours.into_iter().zip(&commits) {
        let committed = outcome.unwrap();
        assert_eq!((&at, committed.offset), (&commit.partition, commit.offset));
        assert_eq!(committed.metadata, commit.metadata);
        assert_eq!(committed.leader_epoch, None);
    }
}

#[tokio::test]
async fn a_leader_epoch_that_a_consumer_committed_is_read() {
    let (shared, cluster) = connected().await;
    topic(&shared.java, "groups-epoch", 5).await;
    let commit = Commit {
        leader_epoch: Some(0),
        ..Commit::new("groups-epoch", 0, 3)
    };
    shared.java.commit("groups-epoch", &[commit]).await.unwrap();
    let committed = only(cluster.fetch_offsets("groups-epoch").await.unwrap()).unwrap();
    assert_eq!((committed.offset, committed.leader_epoch), (3, Some(0)));
}

#[tokio::test]
async fn a_group_with_a_live_member_refuses_the_commit_and_keeps_its_positions() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    topic(java, "groups-live", 5).await;
    for (group, protocol) in [
        ("groups-live-classic", GroupProtocol::Classic),
        ("groups-live-consumer", GroupProtocol::Consumer),
    ] {
        let read = GroupRead::new(group, protocol, "groups-live", 2);
        assert_eq!(java.group_read(&read).await.unwrap().len(), 2);
        let member = java.join_group(group, protocol, &["groups-live"]).await.unwrap();
        let outcome = commit_one(&cluster, group, "groups-live", 4).await;
        assert_eq!(code(&outcome), ErrorCode::UNKNOWN_MEMBER_ID, "{group}");
        let words = outcome.unwrap_err().to_string();
        assert!(
            words.contains(group) && words.contains("stop its consumers"),
            "{words}"
        );
        assert_eq!(java.committed(group).await.unwrap()[0].offset, 2);
        let outcome = cluster.delete_group(group).await;
        assert_eq!(code(&outcome), ErrorCode::NON_EMPTY_GROUP);
        let outcome = only(cluster.delete_offsets(group, &[tp("groups-live", 0)]).await);
        assert_eq!(code(&outcome), ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
        member.leave().await.unwrap();
        // Without members it is accepted, and a consumer goes on from there, whichever protocol it speaks.
        commit_one(&cluster, group, "groups-live", 4).await.unwrap();
        let next = java
            .group_read(&GroupRead::new(group, protocol, "groups-live", 1))
            .await
            .unwrap();
        assert_eq!(next[0].offset, 4, "{group}");
    }
}

#[tokio::test]
async fn each_position_has_its_own_outcome() {
    let (shared, cluster) = connected().await;
    topic(&shared.java, "groups-mixed", 1).await;
    let commits = [
        OffsetCommit::new(tp("groups-mixed", 0), 1),
        OffsetCommit::new(tp("groups-mixed", 9), 1),
        OffsetCommit::new(tp("groups-not-there", 0), 1),
        OffsetCommit::new(tp("groups-negative", 0), -1),
    ];
    let results = cluster.commit_offsets("groups-mixed", &commits).await;
    assert_eq!(results.len(), 4);
    let outcome = |topic: &str, index| &results.iter().find(|(at, _)| *at == tp(topic, index)).unwrap().1;
    assert!(outcome("groups-mixed", 0).is_ok());
    assert_eq!(
        code(outcome("groups-mixed", 9)),
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    );
    assert_eq!(
        code(outcome("groups-not-there", 0)),
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    );
    assert!(matches!(
        outcome("groups-negative", 0),
        Err(Error::InvalidRequest { .. })
    ));
    assert_eq!(shared.java.committed("groups-mixed").await.unwrap().len(), 1);

    let long = OffsetCommit::new(tp("groups-mixed", 0), 1).with_metadata("x".repeat(4097));
    let outcome = only(cluster.commit_offsets("groups-mixed", &[long]).await);
    assert_eq!(code(&outcome), ErrorCode::OFFSET_METADATA_TOO_LARGE);
    // The group without a name is one like others, to those who commit from outside.
    commit_one(&cluster, "", "groups-mixed", 1).await.unwrap();
    let committed = only(cluster.fetch_offsets("").await.unwrap()).unwrap();
    assert_eq!(committed.offset, 1);
}

#[tokio::test]
async fn positions_that_are_not_there_are_none() {
    let (shared, cluster) = connected().await;
    topic(&shared.java, "groups-none", 1).await;
    commit_one(&cluster, "groups-none", "groups-none", 1)
        .await
        .unwrap();
    let asked = [
        tp("groups-none", 0),
        tp("groups-none", 1),
        tp("groups-no-topic", 0),
    ];
    let results = cluster.fetch_offsets_of("groups-none", &asked).await.unwrap();
    assert_eq!(results[0].1.as_ref().unwrap().as_ref().unwrap().offset, 1);
    assert_eq!(results[1].1.as_ref().unwrap(), &None);
    assert_eq!(results[2].1.as_ref().unwrap(), &None);
    assert!(
        cluster
            .fetch_offsets("groups-never-seen")
            .await
            .unwrap()
            .is_empty()
    );
    let nothing = cluster
        .fetch_offsets_of("groups-never-seen", &asked[..1])
        .await
        .unwrap();
    assert_eq!(only(nothing).unwrap(), None);
}

#[tokio::test]
async fn deleted_positions_are_gone_and_the_others_stay() {
    let (shared, cluster) = connected().await;
    shared.java.create_topic("groups-delete", 2, &[]).await.unwrap();
    let commits = [0, 1].map(|index| OffsetCommit::new(tp("groups-delete", index), 7));
    cluster.commit_offsets("groups-delete", &commits).await;
    only(
        cluster
            .delete_offsets("groups-delete", &[tp("groups-delete", 0)])
            .await,
    )
    .unwrap();
    let left = shared.java.committed("groups-delete").await.unwrap();
    assert_eq!((left.len(), left[0].partition), (1, 1));
    cluster.delete_group("groups-delete").await.unwrap();
    assert!(shared.java.committed("groups-delete").await.unwrap().is_empty());
    assert_eq!(
        code(&cluster.delete_group("groups-delete").await),
        ErrorCode::GROUP_ID_NOT_FOUND
    );
    let outcome = cluster
        .delete_offsets("groups-never", &[tp("groups-delete", 0)])
        .await;
    assert_eq!(code(&only(outcome)), ErrorCode::GROUP_ID_NOT_FOUND);
}

#[tokio::test]
async fn a_position_that_a_transaction_may_still_change_is_waited_for() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    topic(java, "groups-pending", 5).await;
    commit_one(&cluster, "groups-pending", "groups-pending", 1)
        .await
        .unwrap();
    let producer = java
        .producer(&ProducerOptions::new().transactional_id("groups-pending"))
        .await
        .unwrap();
    producer.begin().await.unwrap();
    producer
        .send_offsets("groups-pending", &[Commit::new("groups-pending", 0, 4)])
        .await
        .unwrap();

    let mut impatient = config(&shared.brokers);
    impatient.retry_timeout = Duration::from_secs(1);
    let impatient = Cluster::connect(impatient).await.unwrap();
    let outcome = impatient.fetch_offsets("groups-pending").await;
    assert_eq!(code(&outcome), ErrorCode::UNSTABLE_OFFSET_COMMIT);

    let waiting = tokio::spawn({
        let cluster = cluster.clone();
        async move { cluster.fetch_offsets("groups-pending").await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!waiting.is_finished());
    producer.commit().await.unwrap();
    let committed = only(waiting.await.unwrap().unwrap()).unwrap();
    assert_eq!(committed.offset, 4);
    producer.close().await.unwrap();
}

#[tokio::test]
async fn thousands_of_positions_are_committed_and_read_back() {
    let (shared, cluster) = connected().await;
    shared.java.create_topic("groups-many", 300, &[]).await.unwrap();
    let text = "m".repeat(4000);
    let commits: Vec<_> = (0..300)
        .map(|index| {
            OffsetCommit::new(tp("groups-many", index), i64::from(index)).with_metadata(text.as_str())
        })
        .collect();
    let results = cluster.commit_offsets("groups-many", &commits).await;
    assert!(results.iter().all(|(_, outcome)| outcome.is_ok()));
    let read = cluster.fetch_offsets("groups-many").await.unwrap();
    assert_eq!(read.len(), 300);
    for (at, outcome) in read {
        assert_eq!(outcome.unwrap().offset, i64::from(at.partition));
    }
}

#[tokio::test]
async fn positions_of_many_groups_are_read_and_the_groups_deleted_each_with_its_outcome() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    topic(java, "groups-batch", 1).await;
    let names: Vec<_> = (0..30)
        .map(|number| format!("groups-batch-{number:02}"))
        .collect();
    for (offset, name) in (1..).zip(&names) {
        commit_one(&cluster, name, "groups-batch", offset).await.unwrap();
    }
    let asked: Vec<_> = names
        .iter()
        .map(String::as_str)
        .chain(["groups-batch-none"])
        .collect();
    let mut results = cluster.fetch_offsets_of_groups(&asked).await;
    assert!(
        results
            .iter()
            .map(|(group, _)| group.as_str())
            .eq(asked.iter().copied())
    );
    assert!(results.pop().unwrap().1.unwrap().is_empty());
    for (offset, (group, positions)) in (1..).zip(results) {
        assert_eq!(only(positions.unwrap()).unwrap().offset, offset, "{group}");
    }

    let member = java
        .join_group(&names[7], GroupProtocol::Classic, &["groups-batch"])
        .await
        .unwrap();
    for (group, outcome) in cluster.delete_groups(&asked).await {
        match group.as_str() {
            "groups-batch-07" => assert_eq!(code(&outcome), ErrorCode::NON_EMPTY_GROUP),
            "groups-batch-none" => assert_eq!(code(&outcome), ErrorCode::GROUP_ID_NOT_FOUND),
            _ => outcome.unwrap(),
        }
    }
    let left = java.list_groups().await.unwrap();
    let left = left
        .iter()
        .filter(|group| group.group.starts_with("groups-batch-"));
    assert_eq!(
        left.map(|group| group.group.as_str()).collect::<Vec<_>>(),
        ["groups-batch-07"]
    );
    member.leave().await.unwrap();
}

#[tokio::test]
async fn a_streams_group_is_known_and_its_positions_are_set_once_its_members_have_left() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    topic(java, "groups-streams", 5).await;
    let (group, member) = ("groups-streams-app", "d3b07384-d113-4956-a5cc-0123456789ab");
    java.join_streams_group(group, member, "groups-streams")
        .await
        .unwrap();
    let listed = cluster.list_groups().await.unwrap();
    let listed = listed
        .into_iter()
        .find(|listed| listed.group_id == group)
        .unwrap();
    assert_eq!(listed.kind, GroupKind::Streams);
    let described = only(cluster.describe_groups(&[group]).await).unwrap();
    assert_eq!(described.kind, Some(GroupKind::Streams));
    assert!(!described.is_idle(), "{}", described.state);
    let outcome = commit_one(&cluster, group, "groups-streams", 3).await;
    assert_eq!(code(&outcome), ErrorCode::UNKNOWN_MEMBER_ID);

    java.leave_streams_group(group, member).await.unwrap();
    let described = only(cluster.describe_groups(&[group]).await).unwrap();
    assert_eq!(
        (described.kind, described.state),
        (Some(GroupKind::Streams), GroupState::Empty)
    );
    commit_one(&cluster, group, "groups-streams", 3).await.unwrap();
    let committed = only(cluster.fetch_offsets(group).await.unwrap()).unwrap();
    assert_eq!(committed.offset, 3);
    cluster.delete_group(group).await.unwrap();
}
