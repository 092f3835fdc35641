use kafka_wire::{
    ConfigChange, ConfigSource, Error, ErrorCode, IsolationLevel, NewTopic, OffsetSpec, TopicPartition,
};
use testkit::ProduceRecord;

use crate::support::{code, connected, eventually, only, tp};

#[tokio::test]
async fn a_topic_is_created_with_its_configuration() {
    let (shared, cluster) = connected().await;
    let new = NewTopic::new("topics-created", 3)
        .with_replication_factor(2)
        .with_config("retention.ms", "-1")
        .with_config("compression.type", "producer");
    let created = only(cluster.create_topics(&[new]).await).unwrap();
    assert_eq!(
        (created.partitions, created.replication_factor),
        (Some(3), Some(2))
    );
    assert!(created.topic_id.is_some());
    let seen = shared.java.describe_topic("topics-created").await.unwrap();
    assert_eq!(seen.partitions.len(), 3);
    assert_eq!(seen.partitions[0].replicas.len(), 2);
    let configs = shared.java.topic_configs("topics-created").await.unwrap();
    assert_eq!(configs["retention.ms"], "-1");

    let entries = only(cluster.describe_topic_configs(&["topics-created"]).await).unwrap();
    let of_topic: Vec<_> = (entries.iter())
        .filter(|entry| entry.source == ConfigSource::DynamicTopic)
        .map(|entry| (entry.name.as_str(), entry.value.as_deref().unwrap()))
        .collect();
    assert!(of_topic.contains(&("retention.ms", "-1")), "{of_topic:?}");
    assert!(
        of_topic.contains(&("compression.type", "producer")),
        "{of_topic:?}"
    );
    let default = entries
        .iter()
        .find(|entry| entry.name == "delete.retention.ms")
        .unwrap();
    assert_eq!(default.source, ConfigSource::Default);
    assert!(entries.is_sorted_by(|a, b| a.name < b.name));
}

#[tokio::test]
async fn partitions_of_new_topics_can_be_used_at_once() {
    let (_, cluster) = connected().await;
    let topics: Vec<_> = (0..10)
        .map(|n| NewTopic::new(format!("topics-at-once-{n}"), 10))
        .collect();
    for (_, outcome) in cluster.create_topics(&topics).await {
        outcome.unwrap();
    }
    let all: Vec<TopicPartition> = (0..10)
        .flat_map(|n| (0..10).map(move |index| TopicPartition::new(format!("topics-at-once-{n}"), index)))
        .collect();
    let offsets = cluster
        .list_offsets(&all, OffsetSpec::Latest, IsolationLevel::ReadUncommitted)
        .await;
    assert_eq!(offsets.len(), 100);
    for (partition, outcome) in offsets {
        assert_eq!(outcome.unwrap().offset, 0, "{partition}");
    }
}

#[tokio::test]
async fn each_topic_has_its_own_outcome() {
    let (shared, cluster) = connected().await;
    shared.java.create_topic("topics-exists", 1, &[]).await.unwrap();
    let topics = [
        NewTopic::new("topics-exists", 1),
        NewTopic::new("topics-too-many-replicas", 1).with_replication_factor(7),
        NewTopic::new("topics-bad-config", 1).with_config("retention.ms", "long"),
        NewTopic::new("topics-fine", 1),
        NewTopic::new("not a topic name", 1),
    ];
    let mut results = cluster.create_topics(&topics).await;
    assert!(results.is_sorted_by(|a, b| a.0 < b.0));
    let mut take = |name: &str| {
        let at = results.iter().position(|(topic, _)| topic == name).unwrap();
        results.remove(at).1
    };
    assert_eq!(code(&take("topics-exists")), ErrorCode::TOPIC_ALREADY_EXISTS);
    let replicas = take("topics-too-many-replicas");
    assert_eq!(code(&replicas), ErrorCode::INVALID_REPLICATION_FACTOR);
    let words = replicas.unwrap_err().to_string();
    assert!(
        words.starts_with("topic topics-too-many-replicas: broker "),
        "{words}"
    );
    assert_eq!(code(&take("topics-bad-config")), ErrorCode::INVALID_CONFIG);
    assert_eq!(
        code(&take("not a topic name")),
        ErrorCode::INVALID_TOPIC_EXCEPTION
    );
    take("topics-fine").unwrap();
}

#[tokio::test]
async fn a_validated_topic_is_not_created() {
    let (shared, cluster) = connected().await;
    only(
        cluster
            .validate_new_topics(&[NewTopic::new("topics-validated", 4)])
            .await,
    )
    .unwrap();
    assert!(
        !shared
            .java
            .list_topics(false)
            .await
            .unwrap()
            .contains(&"topics-validated".to_owned())
    );
    let bad = NewTopic::new("topics-validated", 4).with_config("no.such.config", "1");
    assert_eq!(
        code(&only(cluster.validate_new_topics(&[bad]).await)),
        ErrorCode::INVALID_CONFIG
    );
}

#[tokio::test]
async fn a_topic_that_a_policy_of_the_brokers_forbids_is_refused_with_its_reason() {
    let (shared, cluster) = connected().await;
    let topics = ["forbidden-topic", "topics-allowed"].map(|name| NewTopic::new(name, 1));
    for results in [
        cluster.validate_new_topics(&topics).await,
        cluster.create_topics(&topics).await,
    ] {
        let [(_, forbidden), (_, allowed)] = results.as_slice() else {
            panic!("{results:?}")
        };
        assert_eq!(code(forbidden), ErrorCode::POLICY_VIOLATION);
        let words = forbidden.as_ref().unwrap_err().to_string();
        assert!(
            words.contains("topic forbidden-topic")
                && words.contains("names like forbidden-topic are not for you"),
            "{words}"
        );
        allowed.as_ref().unwrap();
    }
    let listed = shared.java.list_topics(false).await.unwrap();
    assert!(listed.contains(&"topics-allowed".to_owned()));
    assert!(!listed.contains(&"forbidden-topic".to_owned()));
}

#[tokio::test]
async fn a_change_of_configuration_leaves_the_rest_alone() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    let configs = [
        ("retention.ms", "1000"),
        ("segment.bytes", "2097152"),
        ("max.message.bytes", "7000"),
    ];
    java.create_topic("topics-altered", 1, &configs).await.unwrap();
    let change = ConfigChange::new()
        .set("retention.ms", "-1")
        .reset("max.message.bytes");
    only(
        cluster
            .alter_topic_configs(&[("topics-altered".to_owned(), change)])
            .await,
    )
    .unwrap();
    eventually("one value changed, one reset, one as it was", || async {
        let now = java.topic_configs("topics-altered").await.unwrap();
        let value = |name| now.get(name).map(String::as_str);
        let values = ["retention.ms", "segment.bytes", "max.message.bytes"].map(value);
        (values == [Some("-1"), Some("2097152"), None]).then_some(())
    })
    .await;

    let bad = ConfigChange::new().set("retention.ms", "never");
    let outcome = only(
        cluster
            .alter_topic_configs(&[("topics-altered".to_owned(), bad)])
            .await,
    );
    assert_eq!(code(&outcome), ErrorCode::INVALID_CONFIG);
}

#[tokio::test]
async fn an_unknown_topic_fails_by_name() {
    let (_, cluster) = connected().await;
    let outcome = only(cluster.describe_topic_configs(&["topics-missing"]).await);
    assert_eq!(code(&outcome), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert!(outcome.unwrap_err().to_string().contains("topics-missing"));
    let change = ConfigChange::new().set("retention.ms", "1");
    let outcome = only(
        cluster
            .alter_topic_configs(&[("topics-missing".to_owned(), change)])
            .await,
    );
    assert_eq!(code(&outcome), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let outcome = only(cluster.delete_topics(&["topics-missing"]).await);
    assert_eq!(code(&outcome), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[tokio::test]
async fn a_deleted_topic_is_gone() {
    let (shared, cluster) = connected().await;
    shared.java.create_topic("topics-deleted", 1, &[]).await.unwrap();
    only(cluster.delete_topics(&["topics-deleted"]).await).unwrap();
    let latest = OffsetSpec::Latest;
    let partitions = [tp("topics-deleted", 0)];
    let outcome = only(
        cluster
            .list_offsets(&partitions, latest, IsolationLevel::ReadUncommitted)
            .await,
    );
    assert_eq!(code(&outcome), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[tokio::test]
async fn old_records_are_deleted_up_to_an_offset() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    java.create_topic("topics-records", 2, &[]).await.unwrap();
    java.create_topic("topics-compacted", 1, &[("cleanup.policy", "compact")])
        .await
        .unwrap();
    let records: Vec<_> = (0..10)
        .map(|_| ProduceRecord::new("topics-records", 1).value("v"))
        .collect();
    java.produce(&records).await.unwrap();
    let asked = [
        (tp("topics-records", 1), 6),
        (tp("topics-records", 0), 1),
        (tp("topics-compacted", 0), 0),
        (tp("topics-records", 7), -1),
    ];
    let results = cluster.delete_records(&asked).await;
    assert!(results.is_sorted_by(|a, b| a.0 < b.0));
    let outcome = |topic: &str, index| &results.iter().find(|(at, _)| *at == tp(topic, index)).unwrap().1;
    assert_eq!(*outcome("topics-records", 1).as_ref().unwrap(), 6);
    assert_eq!(code(outcome("topics-records", 0)), ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(code(outcome("topics-compacted", 0)), ErrorCode::POLICY_VIOLATION);
    assert!(matches!(
        outcome("topics-records", 7),
        Err(Error::InvalidRequest { .. })
    ));
    assert_eq!(java.beginning_offset("topics-records", 1).await.unwrap(), 6);
}

#[tokio::test]
async fn a_broker_tells_its_own_configuration() {
    let (_, cluster) = connected().await;
    for node in [0, 1] {
        let entries = cluster.describe_broker_configs(node).await.unwrap();
        let value = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
        assert_eq!(value("node.id").value.as_deref(), Some(node.to_string().as_str()));
        assert_eq!(
            value("auto.create.topics.enable").source,
            ConfigSource::StaticBroker
        );
    }
}
