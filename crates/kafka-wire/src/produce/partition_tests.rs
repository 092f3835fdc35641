use std::time::Duration;

use super::super::ledger::tests::{batch, marker};
use super::*;
use crate::config::ClusterConfig;
use crate::error::ConnectionError;

fn partition(capacity: usize) -> Arc<Partition> {
    let ledger = Ledger::new(7, 0, 0);
    Arc::new(Partition::new(
        TopicPartition::new("t", 0),
        [0; 16],
        ledger,
        capacity,
        Limits::new(&ClusterConfig::new(["a:1"]), None),
    ))
}

fn lost() -> Error {
    Error::InDoubt {
        broker: "b".into(),
        api: "Produce",
        source: ConnectionError::ClosedByBroker,
    }
}

fn coded(code: ErrorCode) -> Error {
    Error::kafka(code, "Produce", &"b".into(), "t")
}

fn sends(lane: &Arc<LaneQueue>) -> usize {
    lane.gather(usize::MAX).entries.len()
}

#[tokio::test]
async fn a_lane_takes_one_batch_of_each_partition_per_request() {
    let lane = Arc::new(LaneQueue::new(1, 0));
    let partitions: Vec<_> = (0..3).map(|_| partition(1 << 20)).collect();
    for partition in &partitions {
        partition.resume(&lane).unwrap();
        for _ in 0..3 {
            partition.append(batch(1)).await.unwrap();
        }
    }
    assert_eq!(lane.load(), 3);
    assert_eq!(sends(&lane), 3);
    assert_eq!(sends(&lane), 0);
    // The first acknowledgement opens the way for more.
    assert_eq!(partitions[0].answered(Ok(0)), Next::List);
    lane.push(Arc::clone(&partitions[0]));
    assert_eq!(sends(&lane), 1);
    assert_eq!(sends(&lane), 1);
    assert_eq!(sends(&lane), 0);
}

#[tokio::test]
async fn a_request_is_filled_up_to_its_limit_and_what_did_not_fit_comes_first_in_the_next() {
    let lane = Arc::new(LaneQueue::new(1, 0));
    let partitions: Vec<_> = (0..3).map(|_| partition(1 << 20)).collect();
    let size = batch(100).bytes.len();
    for partition in &partitions {
        partition.resume(&lane).unwrap();
        partition.append(batch(100)).await.unwrap();
    }
    // Each takes some bytes more than it has.
    let first = lane.gather(2 * size + 100);
    assert!(Arc::ptr_eq(&first.sent[0].partition, &partitions[0]));
    assert_eq!(first.entries.len(), 2);
    let second = lane.gather(1);
    assert!(Arc::ptr_eq(&second.sent[0].partition, &partitions[2]));
}

#[tokio::test]
async fn a_partition_that_came_back_to_its_lane_is_not_twice_in_a_request() {
    let lane = Arc::new(LaneQueue::new(1, 0));
    let partition = partition(1 << 20);
    partition.resume(&lane).unwrap();
    for _ in 0..3 {
        partition.append(batch(1)).await.unwrap();
    }
    assert_eq!(sends(&lane), 1);
    assert_eq!(partition.answered(Ok(0)), Next::List);
    lane.push(Arc::clone(&partition));
    assert_eq!(sends(&lane), 1);
    assert_eq!(partition.answered(Err(lost())), Next::Settle);
    // Its place in the list of the lane is still there when it comes back.
    partition.resume(&lane).unwrap();
    assert_eq!(sends(&lane), 1);
    assert_eq!(sends(&lane), 0);
}

#[tokio::test]
async fn what_is_appended_while_a_request_is_gathered_goes_into_the_next_one() {
    const REQUEST: u64 = u64::MAX;
    let lane = Arc::new(LaneQueue::new(1, 0));
    let partition = partition(1 << 20);
    partition.resume(&lane).unwrap();
    partition.append(batch(1)).await.unwrap();
    assert_eq!(sends(&lane), 1);
    assert_eq!(partition.answered(Ok(0)), Next::Nothing);
    partition.append(batch(1)).await.unwrap();
    assert_eq!(lane.gather_for(REQUEST, usize::MAX).entries.len(), 1);
    // The request is not complete yet when another thread appends.
    partition.append(batch(1)).await.unwrap();
    assert_eq!(lane.gather_for(REQUEST, usize::MAX).entries.len(), 0);
    assert_eq!(sends(&lane), 1);
    // And nothing is left of it.
    partition.append(batch(1)).await.unwrap();
    assert_eq!((sends(&lane), sends(&lane)), (1, 0));
}

#[tokio::test]
async fn a_failure_halts_the_partition_and_settling_lets_it_go_on_elsewhere() {
    let (lane, other) = (Arc::new(LaneQueue::new(1, 0)), Arc::new(LaneQueue::new(2, 0)));
    let partition = partition(1 << 20);
    partition.resume(&lane).unwrap();
    partition.append(batch(1)).await.unwrap();
    assert_eq!(sends(&lane), 1);
    assert_eq!(partition.answered(Err(lost())), Next::Settle);
    assert_eq!((lane.load(), partition.failures()), (0, 1));
    partition.append(batch(1)).await.unwrap();
    assert_eq!(sends(&lane), 0);
    partition.resume(&other).unwrap();
    assert_eq!((sends(&lane), sends(&other)), (0, 1));
    assert_eq!(partition.answered(Ok(0)), Next::List);
    assert_eq!((partition.failures(), partition.acknowledged_offset()), (0, 1));
}

/// A partition with three batches in flight on a lane.
async fn with_three_in_flight(lane: &Arc<LaneQueue>) -> Arc<Partition> {
    let partition = partition(1 << 20);
    partition.resume(lane).unwrap();
    for _ in 0..4 {
        partition.append(batch(1)).await.unwrap();
    }
    assert_eq!(sends(lane), 1);
    assert_eq!(partition.answered(Ok(0)), Next::List);
    lane.push(Arc::clone(&partition));
    assert_eq!((sends(lane), sends(lane), sends(lane)), (1, 1, 1));
    partition
}

#[tokio::test]
async fn a_move_to_a_leader_that_was_named_is_no_failure_and_waits_for_all_that_is_in_flight() {
    let (lane, other) = (Arc::new(LaneQueue::new(1, 0)), Arc::new(LaneQueue::new(2, 0)));
    let partition = with_three_in_flight(&lane).await;
    let moved = || coded(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert!(partition.may_follow());
    partition.knows_leader();
    assert_eq!(partition.answered(Err(moved())), Next::Nothing);
    assert_eq!(partition.answered(Err(moved())), Next::Nothing);
    assert_eq!((sends(&lane), sends(&other)), (0, 0));
    assert_eq!(partition.answered(Err(moved())), Next::Settle);
    assert_eq!((partition.failures(), partition.pause()), (0, Duration::ZERO));
    // The new leader refuses as well, and names another one: that is a failure as any other.
    partition.resume(&other).unwrap();
    assert_eq!(sends(&other), 1);
    assert!(!partition.may_follow());
    assert_eq!(partition.answered(Err(moved())), Next::Settle);
    assert_eq!(partition.failures(), 1);
    assert!(partition.pause() > Duration::ZERO);
}

#[tokio::test]
async fn a_batch_that_was_lost_before_a_leader_was_named_is_a_failure() {
    let lane = Arc::new(LaneQueue::new(1, 0));
    let partition = with_three_in_flight(&lane).await;
    assert_eq!(
        partition.answered(Err(coded(ErrorCode::REQUEST_TIMED_OUT))),
        Next::Nothing
    );
    assert!(partition.may_follow());
    partition.knows_leader();
    let moved = || coded(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(partition.answered(Err(moved())), Next::Nothing);
    assert_eq!(partition.answered(Err(moved())), Next::Settle);
    assert_eq!(partition.failures(), 1);
}

#[tokio::test]
async fn room_is_given_back_by_acknowledgements() {
    let lane = Arc::new(LaneQueue::new(1, 0));
    let size = batch(10).bytes.len();
    let partition = partition(2 * size);
    partition.resume(&lane).unwrap();
    partition.append(batch(10)).await.unwrap();
    partition.append(batch(10)).await.unwrap();
    let full = tokio::time::timeout(Duration::from_millis(20), partition.append(batch(10))).await;
    assert!(full.is_err());
    assert_eq!(sends(&lane), 1);
    partition.answered(Ok(0));
    assert_eq!(partition.append(batch(10)).await.unwrap(), 20);
}

#[tokio::test]
async fn an_error_that_stays_wakes_who_waits_and_is_the_answer_to_everything() {
    let lane = Arc::new(LaneQueue::new(1, 0));
    let partition = partition(1);
    partition.resume(&lane).unwrap();
    partition.append(batch(1)).await.unwrap();
    let waiting = tokio::spawn({
        let partition = Arc::clone(&partition);
        async move { partition.append(batch(1)).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(sends(&lane), 1);
    assert_eq!(
        partition.answered(Err(coded(ErrorCode::MESSAGE_TOO_LARGE))),
        Next::Nothing
    );
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
    assert_eq!(partition.append(batch(1)).await.unwrap_err().code(), error.code());
    assert!(partition.progress().borrow().failed);
    partition.fail(coded(ErrorCode::INVALID_RECORD));
    assert_eq!(partition.failure().code(), error.code());
}

#[tokio::test]
async fn sequence_numbers_that_are_refused_again_and_again_end_it() {
    let lane = Arc::new(LaneQueue::new(1, 0));
    let partition = partition(1 << 20);
    partition.resume(&lane).unwrap();
    partition.append(batch(1)).await.unwrap();
    for _ in 0..MOST_RENEWALS {
        assert_eq!(sends(&lane), 1);
        let refused = coded(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        assert_eq!(partition.answered(Err(refused)), Next::Settle);
        partition.resume(&lane).unwrap();
    }
    assert_eq!(sends(&lane), 1);
    let refused = coded(ErrorCode::UNKNOWN_PRODUCER_ID);
    assert_eq!(partition.answered(Err(refused)), Next::Settle);
    assert_eq!(
        partition.resume(&lane),
        Err(PartitionProblem::SequenceRefused { offset: 0 })
    );
}

/// The writer has taken its room, and the partition fails before the batch is in the ledger.
#[test]
fn a_batch_that_comes_while_the_partition_fails_is_not_taken() {
    let partition = partition(1 << 20);
    let mut state = partition.lock();
    let writer = Arc::clone(&partition);
    let appending = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(writer.append(batch(1)))
    });
    for _ in 0..60_000 {
        if partition.room.available_permits() < partition.capacity {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    partition.fail_locked(&mut state, coded(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    drop(state);
    let error = appending.join().unwrap().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    assert_eq!(partition.lock().ledger.bytes(), 0);
}

#[tokio::test]
async fn a_gap_has_one_task_that_fills_it() {
    let lane = Arc::new(LaneQueue::new(1, 0));
    let partition = partition(1 << 20);
    // The log is being looked at: whoever does that fills the gap, too.
    assert!(!partition.open_gap(1, (8, 0)).unwrap());
    assert!(!partition.resume(&lane).unwrap());
    assert_eq!(lane.load(), 0);
    partition.found(&marker(0, 8)).unwrap();
    assert!(partition.resume(&lane).unwrap());
    // Nobody looks at it.
    assert!(partition.open_gap(2, (8, 0)).unwrap());
    assert_eq!(lane.load(), 0);
    partition.append(batch(1)).await.unwrap();
    assert_eq!(sends(&lane), 0);
    partition.found(&marker(1, 8)).unwrap();
    assert!(partition.resume(&lane).unwrap());
    assert_eq!(sends(&lane), 1);
}

#[tokio::test]
async fn a_gap_ends_with_the_writing() {
    let partition = partition(1 << 20);
    partition.resume(&Arc::new(LaneQueue::new(1, 0))).unwrap();
    assert!(partition.open_gap(5, (8, 0)).unwrap());
    partition
        .marked(Err(coded(ErrorCode::NOT_LEADER_OR_FOLLOWER)))
        .unwrap();
    let denied = partition.marked(Err(coded(ErrorCode::CLUSTER_AUTHORIZATION_FAILED)));
    partition.fail(denied.unwrap_err());
    assert_eq!(partition.gap(), None, "nothing more is written");
    let error = partition.open_gap(9, (8, 0)).unwrap_err();
    let fenced = partition.marked(Err(coded(ErrorCode::INVALID_PRODUCER_EPOCH)));
    assert!(fenced.is_err(), "a later writer is there");
    assert_eq!(error.code(), Some(ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
}
