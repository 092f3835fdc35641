use kafka_wire::{ActiveProducer, ErrorCode};
use testkit::{ProduceRecord, ProducerOptions};

use crate::support::{code, connected, only, tp};

#[tokio::test]
async fn an_open_transaction_is_told_with_who_wrote_it_and_since_when() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    java.create_topic("producers", 3, &[]).await.unwrap();
    let before = [
        ProduceRecord::new("producers", 0).value("before"),
        ProduceRecord::new("producers", 1).value("before"),
    ];
    java.produce(&before).await.unwrap();
    let producer = java
        .producer(&ProducerOptions::new().transactional_id("producers"))
        .await
        .unwrap();
    producer.begin().await.unwrap();
    let open: Vec<_> = (0..3)
        .map(|record| {
            ProduceRecord::new("producers", 0)
                .value("open")
                .timestamp(1_700_000_000_000 + record)
        })
        .collect();
    producer.send(&open).await.unwrap();
    producer.flush().await.unwrap();

    let all = [tp("producers", 0), tp("producers", 1), tp("producers", 2)];
    let told = cluster.describe_producers(&all).await;
    let names: Vec<_> = told.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, all);
    let of = |partition: usize| told[partition].1.as_ref().unwrap();
    let with_open = |producers: &[ActiveProducer]| {
        let open = producers
            .iter()
            .filter(|producer| producer.transaction_start_offset.is_some());
        open.copied().collect::<Vec<_>>()
    };
    let open = with_open(of(0));
    let [transaction] = open[..] else {
        panic!("{open:?}")
    };
    assert_eq!(transaction.transaction_start_offset, Some(1));
    assert_eq!(transaction.last_timestamp, Some(1_700_000_000_002));
    assert_eq!(
        (transaction.producer_epoch, transaction.last_sequence),
        (0, Some(2))
    );
    assert!(transaction.producer_id >= 0);
    // No transaction of it has ended.
    assert_eq!(transaction.coordinator_epoch, None);
    assert_eq!(with_open(of(1)), []);
    assert_eq!(of(2), &[]);

    producer.commit().await.unwrap();
    // The marker is written right after the commit was answered.
    for _ in 0..200 {
        let producers = only(cluster.describe_producers(&all[..1]).await).unwrap();
        if with_open(&producers).is_empty() {
            let ended = producers
                .iter()
                .find(|producer| producer.producer_id == transaction.producer_id);
            assert!(ended.unwrap().coordinator_epoch.is_some());
            producer.close().await.unwrap();
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the transaction stays open");
}

#[tokio::test]
async fn each_partition_has_its_own_outcome() {
    let (shared, cluster) = connected().await;
    shared.java.create_topic("producers-known", 1, &[]).await.unwrap();
    let asked = [
        tp("producers-known", 0),
        tp("producers-known", 7),
        tp("producers-unknown", 0),
    ];
    let told = cluster.describe_producers(&asked).await;
    assert_eq!(told[0].1.as_ref().unwrap(), &[]);
    assert_eq!(code(&told[1].1), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(code(&told[2].1), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}
