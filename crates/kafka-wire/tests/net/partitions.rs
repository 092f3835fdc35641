use kafka_wire::{ConfigChange, ErrorCode, NewPartitions, NewTopic};

use crate::support::{code, connected, only};

#[tokio::test]
async fn replicas_of_a_new_topic_can_be_chosen() {
    let (shared, cluster) = connected().await;
    let new = NewTopic::new("partitions-chosen", 7).with_replicas([vec![1, 0], vec![0, 1], vec![1, 0]]);
    let created = only(cluster.create_topics(&[new]).await).unwrap();
    assert_eq!(
        (created.partitions, created.replication_factor),
        (Some(3), Some(2))
    );
    let seen = shared.java.describe_topic("partitions-chosen").await.unwrap();
    let replicas: Vec<_> = seen
        .partitions
        .iter()
        .map(|partition| partition.replicas.clone())
        .collect();
    assert_eq!(replicas, [[1, 0], [0, 1], [1, 0]]);

    let nowhere = NewTopic::new("partitions-nowhere", 1).with_replicas([vec![5]]);
    let outcome = only(cluster.create_topics(&[nowhere]).await);
    assert_eq!(code(&outcome), ErrorCode::INVALID_REPLICA_ASSIGNMENT);
}

#[tokio::test]
async fn partitions_are_added_each_topic_with_its_own_outcome() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    for topic in ["partitions-added", "partitions-placed", "partitions-fewer"] {
        java.create_topic(topic, 2, &[]).await.unwrap();
    }
    let wanted = [
        NewPartitions::new("partitions-added", 5),
        NewPartitions::new("partitions-placed", 4).with_replicas([vec![1], vec![0]]),
        NewPartitions::new("partitions-fewer", 1),
        NewPartitions::new("partitions-missing", 3),
    ];
    let check = |mut results: Vec<(String, Result<(), kafka_wire::Error>)>| {
        assert!(results.is_sorted_by(|a, b| a.0 < b.0));
        let mut take = |name: &str| {
            let at = results.iter().position(|(topic, _)| topic == name).unwrap();
            results.remove(at).1
        };
        take("partitions-added").unwrap();
        take("partitions-placed").unwrap();
        assert_eq!(code(&take("partitions-fewer")), ErrorCode::INVALID_PARTITIONS);
        assert_eq!(
            code(&take("partitions-missing")),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        );
    };
    check(cluster.validate_new_partitions(&wanted).await);
    let unchanged = java.describe_topic("partitions-added").await.unwrap();
    assert_eq!(unchanged.partitions.len(), 2, "it was only validated");

    check(cluster.create_partitions(&wanted).await);
    let added = java.describe_topic("partitions-added").await.unwrap();
    assert_eq!(added.partitions.len(), 5);
    let placed = java.describe_topic("partitions-placed").await.unwrap();
    let replicas = |index: usize| placed.partitions[index].replicas.clone();
    assert_eq!((replicas(2), replicas(3)), (vec![1], vec![0]));
}

#[tokio::test]
async fn a_validated_change_of_configuration_is_not_made() {
    let (shared, cluster) = connected().await;
    let configs = [("retention.ms", "1000")];
    shared
        .java
        .create_topic("partitions-configs", 1, &configs)
        .await
        .unwrap();
    let change = |value: &str| {
        let change = ConfigChange::new().set("retention.ms", value);
        [("partitions-configs".to_owned(), change)]
    };
    only(cluster.validate_topic_configs(&change("2000")).await).unwrap();
    let now = shared.java.topic_configs("partitions-configs").await.unwrap();
    assert_eq!(now["retention.ms"], "1000");
    let outcome = only(cluster.validate_topic_configs(&change("soon")).await);
    assert_eq!(code(&outcome), ErrorCode::INVALID_CONFIG);
}
