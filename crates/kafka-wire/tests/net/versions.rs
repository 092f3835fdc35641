//! Older brokers, each with a cluster of its own.

use kafka_wire::{
    AclFilter, Cluster, ConfigChange, ConfigSource, Error, ErrorCode, GroupState, IsolationLevel,
    NewPartitions, NewTopic, OffsetCommit, OffsetSpec, TopicFilter,
};
use testkit::ClusterOptions;

use crate::support::{code, config, eventually, only, tp};

async fn what_is_there_of_users(brokers: &testkit::Cluster, cluster: &Cluster) {
    let java = testkit::JavaClient::of(brokers).await.unwrap();
    let acls = cluster.describe_acls(&AclFilter::all()).await;
    assert_eq!(code(&acls), ErrorCode::SECURITY_DISABLED);
    java.set_quota(&[("user", None)], "producer_byte_rate", 1e9)
        .await
        .unwrap();
    java.set_scram("old-user", "SCRAM-SHA-512", "secret", 5000)
        .await
        .unwrap();
    eventually("the quota and the user", || async {
        let quotas = cluster.describe_client_quotas().await.unwrap();
        let users = cluster.describe_scram_users(None).await.unwrap();
        ((quotas.len(), users.len()) == (1, 1)).then_some(())
    })
    .await;
}

async fn everything_once(version: &str) {
    let brokers = testkit::Cluster::start(ClusterOptions::new().version(version))
        .await
        .unwrap();
    let cluster = Cluster::connect(config(&brokers)).await.unwrap();
    let new = NewTopic::new("old", 3).with_config("retention.ms", "-1");
    only(cluster.create_topics(&[new]).await).unwrap();
    let metadata = cluster
        .metadata(TopicFilter::Names(vec!["old".into()]))
        .await
        .unwrap();
    assert_eq!(metadata.topics["old"].partitions.len(), 3);
    assert!(metadata.topics["old"].topic_id.is_some());

    let at = [tp("old", 0)];
    for spec in [OffsetSpec::Earliest, OffsetSpec::Latest] {
        for isolation in [IsolationLevel::ReadCommitted, IsolationLevel::ReadUncommitted] {
            assert_eq!(
                only(cluster.list_offsets(&at, spec, isolation).await)
                    .unwrap()
                    .offset,
                0
            );
        }
    }
    let times = [(tp("old", 0), 5)];
    let found = only(
        cluster
            .offsets_for_times(&times, IsolationLevel::ReadUncommitted)
            .await,
    )
    .unwrap();
    assert_eq!(found, None);
    let highest = only(cluster.offsets_of_max_timestamps(&at).await);
    match version {
        // It would take the question for one about a time.
        "2.8.2" => assert!(
            matches!(highest, Err(Error::UnsupportedApi { .. })),
            "{highest:?}"
        ),
        _ => assert_eq!(highest.unwrap(), None),
    }
    only(cluster.leader_epoch_ends(&[(tp("old", 0), 0)]).await).unwrap();
    only(cluster.delete_records(&[(tp("old", 0), 0)]).await).unwrap();
    assert_eq!(only(cluster.describe_producers(&at).await).unwrap(), []);

    let change = ConfigChange::new()
        .set("segment.bytes", "1048576")
        .reset("retention.ms");
    only(cluster.alter_topic_configs(&[("old".to_owned(), change)]).await).unwrap();
    eventually("one value added, one reset", || async {
        let configs = only(cluster.describe_topic_configs(&["old"]).await).unwrap();
        let of_topic = configs
            .iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic);
        let names: Vec<_> = of_topic.map(|entry| entry.name.as_str()).collect();
        (names == ["segment.bytes"]).then_some(())
    })
    .await;
    assert!(!cluster.describe_broker_configs(0).await.unwrap().is_empty());

    what_is_there_of_users(&brokers, &cluster).await;
    only(cluster.create_partitions(&[NewPartitions::new("old", 4)]).await).unwrap();
    let change = ConfigChange::new().set("message.max.bytes", "2000000");
    cluster.alter_broker_configs(None, &change).await.unwrap();

    let commit = OffsetCommit::new(tp("old", 0), 7).with_metadata("text");
    only(cluster.commit_offsets("old-group", &[commit]).await).unwrap();
    let committed = only(cluster.fetch_offsets("old-group").await.unwrap()).unwrap();
    assert_eq!((committed.offset, committed.metadata.as_str()), (7, "text"));
    let asked = [tp("old", 0), tp("old", 1)];
    assert_eq!(
        cluster.fetch_offsets_of("old-group", &asked).await.unwrap().len(),
        2
    );
    let both = cluster.fetch_offsets_of_groups(&["old-group", "no-group"]).await;
    let positions: Vec<_> = both
        .into_iter()
        .map(|(group, positions)| (group, positions.unwrap().len()))
        .collect();
    assert_eq!(
        positions,
        [("no-group".to_owned(), 0), ("old-group".to_owned(), 1)]
    );
    let listed = cluster.list_groups().await.unwrap();
    assert_eq!((listed.len(), listed[0].group_id.as_str()), (1, "old-group"));
    let described = cluster.describe_groups(&["old-group", "no-group"]).await;
    let states: Vec<_> = described
        .into_iter()
        .map(|(_, group)| group.unwrap().state)
        .collect();
    assert_eq!(states, [GroupState::Empty, GroupState::Dead]);
    only(cluster.delete_offsets("old-group", &at).await).unwrap();
    // Without positions an empty group is gone by itself on some releases.
    let gone = cluster.delete_group("old-group").await;
    assert!(gone.is_ok() || code(&gone) == kafka_wire::ErrorCode::GROUP_ID_NOT_FOUND);
    only(cluster.delete_topics(&["old"]).await).unwrap();
    cluster.close().await;
}

#[tokio::test]
async fn kafka_3_9_is_spoken_to() {
    everything_once("3.9.2").await;
}

#[tokio::test]
async fn kafka_2_8_is_spoken_to() {
    everything_once("2.8.2").await;
}
