//! What is backed up, and where the groups stand on it.

use testkit::{Codec, Commit, JavaClient, NextRecord, ProduceRecord, ProducerOptions, TransactionEnd};

use crate::positions::Position;
use crate::source::EPOCH;

/// Where the groups stand on the source. The last one reads nothing that is backed up.
pub(super) const COMMITS: &[(&str, &str, i32, i64)] = &[
    ("order-processor", "orders-eu", 0, 31),
    ("order-processor", "orders-eu", 1, 60),
    ("order-processor", "orders-us", 0, 3),
    ("payment-processor", "orders-eu", 0, 45),
    ("payment-processor", "payments-card", 0, 11),
    ("notification-service", "payments-card", 0, 0),
    ("stock-keeper", "stock", 0, 1),
];

/// Topics whose offsets cannot stay what they are: transactions, aborted ones too, and a log that starts late.
pub(super) async fn fill(java: &JavaClient) {
    for (topic, partitions) in [
        ("orders-eu", 2),
        ("orders-us", 1),
        ("payments-card", 1),
        ("stock", 1),
    ] {
        java.create_topic(topic, partitions, &[]).await.unwrap();
    }
    let record = |topic: &str, partition: i32, n: i64| {
        ProduceRecord::new(topic, partition)
            .value(format!("{topic}/{partition} {n}"))
            .timestamp(EPOCH + n)
    };
    for (round, codec) in Codec::ALL.into_iter().cycle().take(6).enumerate() {
        let batch: Vec<ProduceRecord> = (0..20)
            .map(|n| record("orders-eu", n % 2, round as i64 * 20 + i64::from(n)))
            .collect();
        let options = ProducerOptions::new().codec(codec);
        java.produce_with(&options, &[batch]).await.unwrap();
    }
    java.delete_records("orders-eu", 0, 25).await.unwrap();
    let few: Vec<ProduceRecord> = (0..8)
        .flat_map(|n| [record("orders-us", 0, n), record("stock", 0, n)])
        .collect();
    java.produce(&few).await.unwrap();
    for round in 0..4 {
        let records: Vec<ProduceRecord> = (0..4)
            .map(|n| record("payments-card", 0, round * 4 + n))
            .collect();
        let end = if round == 2 {
            TransactionEnd::Abort
        } else {
            TransactionEnd::Commit
        };
        java.transaction("guide", &records, end).await.unwrap();
    }
    for (group, topic, partition, offset) in COMMITS {
        let commit = Commit::new(*topic, *partition, *offset);
        java.commit(group, &[commit]).await.unwrap();
    }
}

pub(super) fn positions() -> Vec<Position> {
    COMMITS
        .iter()
        .filter(|(_, topic, ..)| *topic != "stock")
        .map(|(group, topic, partition, _)| ((*group).to_owned(), (*topic).to_owned(), *partition))
        .collect()
}

/// What each position reads next; records are known by their values.
pub(super) async fn next(java: &JavaClient) -> Vec<(Position, NextRecord)> {
    let positions = positions();
    let next = java.next_records(&positions).await.unwrap();
    positions.into_iter().zip(next).collect()
}

/// The groups named read what they would have read on the source, the others have no position.
pub(super) async fn assert_reset(java: &JavaClient, before: &[(Position, NextRecord)], groups: &[&str]) {
    for ((position, before), (_, after)) in before.iter().zip(next(java).await) {
        if !groups.contains(&position.0.as_str()) {
            assert_eq!(after.committed, None, "{position:?} was not asked for");
            continue;
        }
        assert!(
            after.committed.is_some() && !after.out_of_range,
            "{position:?}: {after:?}"
        );
        let value = |next: &NextRecord| next.record.as_ref().map(|record| record.value.clone());
        assert_eq!(value(before), value(&after), "{position:?}: {before:?} {after:?}");
    }
}
