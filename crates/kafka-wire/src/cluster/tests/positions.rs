//! Committing and deleting positions: each partition has its own outcome, and only what failed in passing is asked again.

use std::collections::BTreeMap;

use kafka_protocol::messages::DescribeGroupsResponse;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
};

use super::*;
use crate::groups::OffsetCommit;

/// Error codes of a partition for the requests that name it, one after the other; 0 behind their end.
type Script = BTreeMap<i32, Vec<i16>>;

/// Coordinators that answer as scripted, and keep which partitions each request named. Requests to delete are refused as
/// a whole as long as there are codes for it.
struct Positions {
    pair: Pair,
    asked: Arc<Mutex<Vec<Vec<i32>>>>,
}

impl Positions {
    async fn start(script: &[(i32, &[i16])], whole: &[i16]) -> Self {
        let asked = Arc::<Mutex<Vec<Vec<i32>>>>::default();
        let script: Mutex<Script> = Mutex::new(
            script
                .iter()
                .map(|&(index, codes)| (index, codes.to_vec()))
                .collect(),
        );
        let whole = Mutex::new(whole.to_vec());
        let log = Arc::clone(&asked);
        let pair = Pair::start(move |_, _, seen| {
            let next = |index: i32| -> i16 {
                let mut script = script.lock().unwrap();
                let codes = script.entry(index).or_default();
                if codes.is_empty() { 0 } else { codes.remove(0) }
            };
            if seen.is::<OffsetCommitRequest>() {
                let request: OffsetCommitRequest = seen.read();
                let named: Vec<i32> = (request.topics[0].partitions.iter())
                    .map(|partition| partition.partition_index)
                    .collect();
                let partitions = named.iter().map(|&index| {
                    OffsetCommitResponsePartition::default()
                        .with_partition_index(index)
                        .with_error_code(next(index))
                });
                let topic = OffsetCommitResponseTopic::default()
                    .with_name(topic_name("t"))
                    .with_partitions(partitions.collect());
                log.lock().unwrap().push(named);
                Some(seen.answer(&OffsetCommitResponse::default().with_topics(vec![topic])))
            } else if seen.is::<OffsetDeleteRequest>() {
                let request: OffsetDeleteRequest = seen.read();
                let named: Vec<i32> = (request.topics[0].partitions.iter())
                    .map(|partition| partition.partition_index)
                    .collect();
                let mut whole = whole.lock().unwrap();
                if !whole.is_empty() {
                    let refused = OffsetDeleteResponse::default().with_error_code(whole.remove(0));
                    log.lock().unwrap().push(named);
                    return Some(seen.answer(&refused));
                }
                let partitions = named.iter().map(|&index| {
                    OffsetDeleteResponsePartition::default()
                        .with_partition_index(index)
                        .with_error_code(next(index))
                });
                let topic = OffsetDeleteResponseTopic::default()
                    .with_name(topic_name("t"))
                    .with_partitions(partitions.collect());
                log.lock().unwrap().push(named);
                Some(seen.answer(&OffsetDeleteResponse::default().with_topics(vec![topic])))
            } else {
                None
            }
        })
        .await;
        Self { pair, asked }
    }

    async fn commit(&self) -> Vec<Option<i16>> {
        let commits: Vec<_> = three()
            .into_iter()
            .map(|partition| OffsetCommit::new(partition, 1))
            .collect();
        codes(self.pair.cluster().await.commit_offsets("g", &commits).await)
    }

    async fn delete(&self) -> Vec<Option<i16>> {
        codes(self.pair.cluster().await.delete_offsets("g", &three()).await)
    }

    fn asked(&self) -> Vec<Vec<i32>> {
        self.asked.lock().unwrap().clone()
    }
}

fn three() -> Vec<TopicPartition> {
    (0..3).map(|index| TopicPartition::new("t", index)).collect()
}

fn codes(results: PartitionResults<()>) -> Vec<Option<i16>> {
    let partitions: Vec<_> = results.iter().map(|(partition, _)| partition.clone()).collect();
    assert_eq!(partitions, three());
    let code = |outcome: Result<(), Error>| outcome.err().map(|error| error.code().expect("a code").code());
    results.into_iter().map(|(_, outcome)| code(outcome)).collect()
}

#[tokio::test]
async fn only_the_partitions_that_failed_in_passing_are_asked_again() {
    // Fine; refused for good; fine at the third time.
    let script: &[(i32, &[i16])] = &[(1, &[86]), (2, &[7, 16])];
    let expected = [vec![0, 1, 2], vec![2], vec![2]];
    let positions = Positions::start(script, &[]).await;
    assert_eq!(positions.delete().await, [None, Some(86), None]);
    assert_eq!(positions.asked(), expected);
    // Who says that it is no coordinator is not asked again without looking for one.
    assert_eq!(positions.pair.count::<FindCoordinatorRequest>(), 2);

    let positions = Positions::start(script, &[]).await;
    assert_eq!(positions.commit().await, [None, Some(86), None]);
    assert_eq!(positions.asked(), expected);
    assert_eq!(positions.pair.count::<FindCoordinatorRequest>(), 2);
}

#[tokio::test]
async fn a_group_that_is_refused_as_a_whole_is_asked_again_as_a_whole_or_fails_everywhere() {
    let positions = Positions::start(&[], &[16, 14, 15]).await;
    assert_eq!(positions.delete().await, [None, None, None]);
    assert_eq!(positions.asked(), vec![vec![0, 1, 2]; 4]);

    let positions = Positions::start(&[], &[69]).await;
    assert_eq!(positions.delete().await, [Some(69); 3]);
    assert_eq!(positions.asked().len(), 1);
}

#[tokio::test]
async fn nothing_to_delete_asks_nobody() {
    let positions = Positions::start(&[], &[]).await;
    let cluster = positions.pair.cluster().await;
    assert!(cluster.delete_offsets("g", &[]).await.is_empty());
    assert!(positions.asked().is_empty());
}

#[tokio::test]
async fn a_group_that_moved_is_described_by_its_new_coordinator() {
    let pair = Pair::start(|world, node, seen| {
        if !seen.is::<DescribeGroupsRequest>() {
            return None;
        }
        let is_mine = node == world.coordinator.load(SeqCst);
        let group = DescribedGroup::default()
            .with_group_id(group_id("g"))
            .with_group_state(text("Empty"))
            .with_error_code(if is_mine { 0 } else { 16 });
        Some(seen.answer(&DescribeGroupsResponse::default().with_groups(vec![group])))
    })
    .await;
    let cluster = pair.cluster().await;
    for coordinator in [1, 2] {
        pair.world.coordinator.store(coordinator, SeqCst);
        let described = cluster.describe_groups(&["g"]).await;
        assert!(described[0].1.is_ok(), "{described:?}");
    }
    assert_eq!(pair.count::<FindCoordinatorRequest>(), 2);
    assert_eq!(pair.brokers[1].count::<DescribeGroupsRequest>(), 1);
}
