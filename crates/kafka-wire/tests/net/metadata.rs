use kafka_wire::{ErrorCode, NewTopic, TopicFilter};

use crate::support::{connected, only};

#[tokio::test]
async fn topics_are_described_as_the_java_client_sees_them() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    let new = NewTopic::new("metadata-seen", 5).with_replication_factor(2);
    only(cluster.create_topics(&[new]).await).unwrap();
    let metadata = cluster
        .metadata(TopicFilter::Names(vec!["metadata-seen".into()]))
        .await
        .unwrap();
    assert_eq!(metadata.brokers.keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert!(metadata.cluster_id.is_some());
    assert_eq!(metadata.cluster_id, cluster.cluster_id());
    let topic = &metadata.topics["metadata-seen"];
    assert!(topic.topic_id.is_some() && !topic.internal && topic.error.is_none());
    let described = java.describe_topic("metadata-seen").await.unwrap();
    assert_eq!(topic.partitions.len(), described.partitions.len());
    for (ours, theirs) in topic.partitions.values().zip(&described.partitions) {
        assert_eq!(ours.leader, theirs.leader);
        assert_eq!(ours.replicas, theirs.replicas);
        assert!(ours.leader_epoch.is_some());
    }
}

#[tokio::test]
async fn all_topics_are_listed_with_the_clusters_own_marked() {
    let (shared, cluster) = connected().await;
    only(
        cluster
            .create_topics(&[NewTopic::new("metadata-listed", 1)])
            .await,
    )
    .unwrap();
    shared
        .java
        .commit("metadata-group", &[testkit::Commit::new("metadata-listed", 0, 0)])
        .await
        .unwrap();
    let topics = cluster.metadata(TopicFilter::All).await.unwrap().topics;
    assert!(!topics["metadata-listed"].internal);
    assert!(topics["__consumer_offsets"].internal);
}

#[tokio::test]
async fn asking_for_a_topic_does_not_create_it() {
    let (shared, cluster) = connected().await;
    let name = "metadata-does-not-exist".to_owned();
    for _ in 0..2 {
        let metadata = cluster
            .metadata(TopicFilter::Names(vec![name.clone()]))
            .await
            .unwrap();
        assert_eq!(
            metadata.topics[&name].error,
            Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
        );
    }
    assert!(!shared.java.list_topics(false).await.unwrap().contains(&name));
}

#[tokio::test]
async fn a_topic_created_again_has_another_id() {
    let (_, cluster) = connected().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let created = only(cluster.create_topics(&[NewTopic::new("metadata-again", 1)]).await).unwrap();
        let metadata = cluster
            .metadata(TopicFilter::Names(vec!["metadata-again".into()]))
            .await
            .unwrap();
        assert_eq!(metadata.topics["metadata-again"].topic_id, created.topic_id);
        ids.push(created.topic_id.unwrap());
        only(cluster.delete_topics(&["metadata-again"]).await).unwrap();
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn brokers_are_listed_with_their_racks_and_one_to_send_changes_to() {
    let (shared, cluster) = connected().await;
    let metadata = cluster.metadata(TopicFilter::Names(Vec::new())).await.unwrap();
    let brokers: Vec<_> = metadata.brokers.values().collect();
    let racks: Vec<_> = brokers
        .iter()
        .map(|broker| (broker.id, broker.rack.as_deref().unwrap()))
        .collect();
    assert_eq!(racks, [(0, "rack-a"), (1, "rack-b")]);
    let addresses: Vec<_> = brokers
        .iter()
        .map(|broker| format!("{}:{}", broker.host, broker.port))
        .collect();
    assert_eq!(addresses, shared.brokers.bootstrap_servers());
    assert!(metadata.brokers.contains_key(&metadata.controller.unwrap()));
    assert!(metadata.topics.is_empty());
}
