use kafka_wire::{ErrorCode, IsolationLevel, OffsetSpec};
use testkit::{ProduceRecord, ProducerOptions};

use crate::support::{code, connected, only, tp};

use IsolationLevel::{ReadCommitted, ReadUncommitted};
use OffsetSpec::{Earliest, Latest};

#[tokio::test]
async fn both_ends_of_every_partition_are_found() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    java.create_topic("offsets-ends", 6, &[]).await.unwrap();
    let records: Vec<_> = (0..6)
        .flat_map(|index| (0..index * 3).map(move |_| ProduceRecord::new("offsets-ends", index).value("v")))
        .collect();
    java.produce(&records).await.unwrap();
    java.delete_records("offsets-ends", 5, 4).await.unwrap();
    let all: Vec<_> = (0..6).map(|index| tp("offsets-ends", index)).collect();
    let latest = cluster.list_offsets(&all, Latest, ReadUncommitted).await;
    let earliest = cluster.list_offsets(&all, Earliest, ReadUncommitted).await;
    for index in 0..6_i32 {
        let at = usize::try_from(index).unwrap();
        assert_eq!(latest[at].0, all[at]);
        let listed = *latest[at].1.as_ref().unwrap();
        assert_eq!(listed.offset, i64::from(index) * 3);
        assert_eq!(listed.timestamp, None);
        assert_eq!(
            earliest[at].1.as_ref().unwrap().offset,
            if index == 5 { 4 } else { 0 }
        );
    }
    assert_eq!(latest[3].1.as_ref().unwrap().leader_epoch, Some(0));
}

#[tokio::test]
async fn an_open_transaction_holds_the_last_stable_offset_back() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    java.create_topic("offsets-open", 1, &[]).await.unwrap();
    java.produce(&[ProduceRecord::new("offsets-open", 0).value("before")])
        .await
        .unwrap();
    let producer = java
        .producer(&ProducerOptions::new().transactional_id("offsets-open"))
        .await
        .unwrap();
    producer.begin().await.unwrap();
    producer
        .send(&[ProduceRecord::new("offsets-open", 0).value("open")])
        .await
        .unwrap();
    producer.flush().await.unwrap();
    let at = [tp("offsets-open", 0)];
    assert_eq!(
        only(cluster.list_offsets(&at, Latest, ReadUncommitted).await)
            .unwrap()
            .offset,
        2
    );
    assert_eq!(
        only(cluster.list_offsets(&at, Latest, ReadCommitted).await)
            .unwrap()
            .offset,
        1
    );
    producer.commit().await.unwrap();
    // The markers are written after the commit is answered.
    for _ in 0..100 {
        if only(cluster.list_offsets(&at, Latest, ReadCommitted).await)
            .unwrap()
            .offset
            == 3
        {
            return producer.close().await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the last stable offset stays behind");
}

#[tokio::test]
async fn a_time_finds_the_first_record_at_or_after_it() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    java.create_topic("offsets-times", 1, &[("retention.ms", "-1")])
        .await
        .unwrap();
    let records: Vec<_> = [1000, 3000, 2000]
        .map(|time| ProduceRecord::new("offsets-times", 0).value("v").timestamp(time))
        .into();
    java.produce(&records).await.unwrap();
    for (time, found) in [
        (-5, Some((0, 1000))),
        (1000, Some((0, 1000))),
        (1001, Some((1, 3000))),
        (3001, None),
    ] {
        let asked = [(tp("offsets-times", 0), time)];
        let listed = only(cluster.offsets_for_times(&asked, ReadUncommitted).await).unwrap();
        assert_eq!(
            listed.map(|listed| (listed.offset, listed.timestamp.unwrap())),
            found,
            "{time}"
        );
    }
}

#[tokio::test]
async fn a_partition_that_moved_is_found_and_its_epochs_are_known() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    java.create_topic("offsets-moved", 1, &[]).await.unwrap();
    let at = tp("offsets-moved", 0);
    let old = java.describe_topic("offsets-moved").await.unwrap().partitions[0]
        .leader
        .unwrap();
    java.produce(&[ProduceRecord::new("offsets-moved", 0).value("a")])
        .await
        .unwrap();
    let before = only(
        cluster
            .list_offsets(std::slice::from_ref(&at), Latest, ReadUncommitted)
            .await,
    )
    .unwrap();
    java.reassign_partition("offsets-moved", 0, &[1 - old])
        .await
        .unwrap();
    java.produce(&[ProduceRecord::new("offsets-moved", 0).value("b")])
        .await
        .unwrap();
    // The cache still names the old leader, which says that it is none.
    let after = only(
        cluster
            .list_offsets(std::slice::from_ref(&at), Latest, ReadUncommitted)
            .await,
    )
    .unwrap();
    assert_eq!((before.offset, after.offset), (1, 2));
    let (first, last) = (before.leader_epoch.unwrap(), after.leader_epoch.unwrap());
    assert!(last > first);
    let ends = |epoch| {
        let (cluster, at) = (&cluster, &at);
        async move { only(cluster.leader_epoch_ends(&[(at.clone(), epoch)]).await).unwrap() }
    };
    let end = ends(first).await.unwrap();
    assert_eq!((end.leader_epoch, end.end_offset), (first, 1));
    let end = ends(last).await.unwrap();
    assert_eq!((end.leader_epoch, end.end_offset), (last, 2));
    assert_eq!(ends(last + 100).await, None);
}

#[tokio::test]
async fn a_partition_that_is_not_there_fails_alone() {
    let (shared, cluster) = connected().await;
    shared.java.create_topic("offsets-one", 1, &[]).await.unwrap();
    let asked = [tp("offsets-one", 0), tp("offsets-one", 1), tp("offsets-none", 0)];
    let results = cluster.list_offsets(&asked, Latest, ReadUncommitted).await;
    let outcome = |topic: &str, index| &results.iter().find(|(at, _)| *at == tp(topic, index)).unwrap().1;
    assert_eq!(outcome("offsets-one", 0).as_ref().unwrap().offset, 0);
    assert_eq!(
        code(outcome("offsets-one", 1)),
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    );
    assert_eq!(
        code(outcome("offsets-none", 0)),
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    );
    let words = outcome("offsets-none", 0).as_ref().unwrap_err().to_string();
    assert!(words.starts_with("topic offsets-none partition 0: "), "{words}");
}

#[tokio::test]
async fn nothing_asked_is_nothing_answered() {
    let (_, cluster) = connected().await;
    assert!(
        cluster
            .list_offsets(&[], Latest, ReadUncommitted)
            .await
            .is_empty()
    );
    assert!(cluster.delete_records(&[]).await.is_empty());
    assert!(cluster.describe_groups(&[] as &[&str]).await.is_empty());
}

#[tokio::test]
async fn the_record_with_the_highest_timestamp_is_found() {
    let (shared, cluster) = connected().await;
    let java = &shared.java;
    java.create_topic("offsets-maximum", 2, &[("retention.ms", "-1")])
        .await
        .unwrap();
    let records: Vec<_> = [1000, 3000, 2000, 3000]
        .map(|time| {
            ProduceRecord::new("offsets-maximum", 0)
                .value("v")
                .timestamp(time)
        })
        .into();
    java.produce(&records).await.unwrap();
    let asked = [tp("offsets-maximum", 0), tp("offsets-maximum", 1)];
    let mut found = cluster.offsets_of_max_timestamps(&asked).await;
    assert_eq!(found.pop().unwrap().1.unwrap(), None, "of an empty partition");
    let highest = found.pop().unwrap().1.unwrap().unwrap();
    assert_eq!((highest.offset, highest.timestamp), (1, Some(3000)));
}
