use testkit::{Isolation, OffsetSpec};

use crate::{java, records};

#[tokio::test]
async fn configs_are_set_changed_and_put_back() {
    let java = java().await;
    java.create_topic(
        "topics-configs",
        2,
        &[("retention.ms", "1234567"), ("cleanup.policy", "compact,delete")],
    )
    .await
    .unwrap();
    java.alter_topic_configs(
        "topics-configs",
        &[("retention.ms", None), ("segment.bytes", Some("1048576"))],
    )
    .await
    .unwrap();
    let set = java.topic_configs("topics-configs").await.unwrap();
    let set: Vec<(&str, &str)> = set
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        set,
        [("cleanup.policy", "compact,delete"), ("segment.bytes", "1048576")]
    );
    let all = java.effective_topic_configs("topics-configs").await.unwrap();
    assert_eq!(all["retention.ms"], "-1");
}

#[tokio::test]
async fn topics_come_and_go() {
    let java = java().await;
    java.create_topic("topics-life", 1, &[]).await.unwrap();
    assert!(
        java.list_topics(false)
            .await
            .unwrap()
            .contains(&"topics-life".to_owned())
    );
    java.add_partitions("topics-life", 3).await.unwrap();
    let first = java.describe_topic("topics-life").await.unwrap();
    assert_eq!(first.partitions.len(), 3);
    assert!(
        first
            .partitions
            .iter()
            .all(|partition| partition.leader == Some(0) && partition.replicas == [0])
    );

    java.delete_topic("topics-life").await.unwrap();
    let gone = java.describe_topic("topics-life").await.unwrap_err();
    assert_eq!(gone.kafka_code(), Some(3), "{gone}");
    java.create_topic("topics-life", 1, &[]).await.unwrap();
    assert_ne!(
        java.describe_topic("topics-life").await.unwrap().topic_id,
        first.topic_id
    );
    let again = java.create_topic("topics-life", 1, &[]).await.unwrap_err();
    assert_eq!(again.kafka_code(), Some(36), "{again}");
}

#[tokio::test]
async fn offsets_are_found_by_place_and_by_time() {
    let java = java().await;
    java.create_topic("topics-offsets", 2, &[]).await.unwrap();
    java.produce(&records("topics-offsets", 0, 10)).await.unwrap();
    assert_eq!(java.delete_records("topics-offsets", 0, 4).await.unwrap(), 4);
    assert_eq!(java.beginning_offset("topics-offsets", 0).await.unwrap(), 4);
    assert_eq!(java.end_offset("topics-offsets", 0).await.unwrap(), 10);
    assert_eq!(java.consume_all("topics-offsets", 0).await.unwrap()[0].offset, 4);

    let partitions = [("topics-offsets", 0), ("topics-offsets", 1)];
    let spec = OffsetSpec::AtTime(1_700_000_000_006);
    let found = java
        .list_offsets(&partitions, spec, Isolation::ReadCommitted)
        .await
        .unwrap();
    assert_eq!((found[0].offset, found[0].timestamp), (6, 1_700_000_000_006));
    assert_eq!((found[1].offset, found[1].leader_epoch), (-1, None));
}
