//! A broker whose fetches do not compare histories is asked apart, once for each leader, and believed.

use std::sync::Mutex;

use kafka_protocol::messages::OffsetForLeaderEpochResponse;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};

use super::*;

/// What an old broker says about the epoch it is asked for: error code, epoch, end offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told(i16, i32, i64);

/// What an old broker knows of the two APIs, and says when asked for epochs: each answer once, then the last for ever.
#[derive(Debug)]
pub(super) struct OldBroker {
    fetch: i16,
    epochs: i16,
    told: Mutex<Vec<Told>>,
}

impl OldBroker {
    pub(super) fn cap(&self, key: i16, highest: i16) -> i16 {
        match key {
            FetchRequest::KEY => highest.min(self.fetch),
            OffsetForLeaderEpochRequest::KEY => highest.min(self.epochs),
            _ => highest,
        }
    }

    pub(super) fn answer(&self, request: &OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
        let mut told = self.told.lock().unwrap();
        let Told(code, epoch, end_offset) = if told.len() > 1 { told.remove(0) } else { told[0] };
        let answer = EpochEndOffset::default()
            .with_error_code(code)
            .with_partition(request.topics[0].partitions[0].partition)
            .with_leader_epoch(epoch)
            .with_end_offset(end_offset);
        let topic = OffsetForLeaderTopicResult::default()
            .with_topic(request.topics[0].topic.clone())
            .with_partitions(vec![answer]);
        OffsetForLeaderEpochResponse::default().with_topics(vec![topic])
    }
}

/// A broker with fetches of version 11, and an election after `good_answers` of them.
async fn old(good_answers: usize, told: &[Told]) -> FakeBroker {
    let old = OldBroker {
        fetch: 11,
        epochs: 3,
        told: Mutex::new(told.to_vec()),
    };
    Leader::start_as(Some(old), 0, 0, good_answers).await.1
}

/// Reads from offset 4 on, which was reached in epoch 5.
async fn go_on(broker: &FakeBroker) -> Result<Vec<i64>, Error> {
    read_from(broker, FetchPartition::new("t", 0, 4).until(END).after_epoch(5)).await
}

/// The leader epochs and epochs that were asked about.
fn asked(broker: &FakeBroker) -> Vec<(i32, i32)> {
    let seen = broker.seen();
    let asked = seen
        .iter()
        .filter(|seen| seen.is::<OffsetForLeaderEpochRequest>());
    asked
        .map(|seen| {
            let request: OffsetForLeaderEpochRequest = seen.read();
            let partition = &request.topics[0].partitions[0];
            (partition.current_leader_epoch, partition.leader_epoch)
        })
        .collect()
}

fn problem(outcome: Result<Vec<i64>, Error>) -> PartitionProblem {
    match outcome {
        Err(Error::Partition { problem, .. }) => *problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_leader_is_asked_once_about_what_was_read_before_it() {
    let broker = old(2, &[Told(0, 5, 4)]).await;
    assert_eq!(read(&broker).await.unwrap(), all());
    // Not the first leader, as nothing had been read; not again while the second leads.
    assert_eq!(asked(&broker), [(6, 5)]);

    let broker = old(99, &[Told(0, 5, 4)]).await;
    assert_eq!(go_on(&broker).await.unwrap(), all()[2..]);
    assert_eq!(asked(&broker), [(5, 5)]);
}

#[tokio::test]
async fn a_history_that_ends_before_the_position_is_a_truncated_log() {
    for (epoch, end_offset) in [(5, 3), (4, 4), (4, 100)] {
        let broker = old(2, &[Told(0, epoch, end_offset)]).await;
        let expected = PartitionProblem::Truncated {
            offset: 4,
            last_epoch: 5,
            epoch,
            end_offset,
        };
        assert_eq!(problem(read(&broker).await), expected);
        // What the new leader holds at the offset was not fetched.
        assert_eq!(broker.count::<FetchRequest>(), 3);
        assert_eq!(
            problem(go_on(&old(99, &[Told(0, epoch, end_offset)]).await).await),
            expected
        );
    }
}

#[tokio::test]
async fn a_question_that_fails_is_asked_again() {
    let broker = old(99, &[Told(6, -1, -1), Told(75, -1, -1), Told(0, 5, 4)]).await;
    assert_eq!(go_on(&broker).await.unwrap(), all()[2..]);
    assert_eq!(asked(&broker), [(5, 5), (5, 5), (5, 5)]);

    let broker = old(99, &[Told(29, -1, -1)]).await;
    assert_eq!(go_on(&broker).await.unwrap_err().code(), ErrorCode::new(29));
    assert_eq!(broker.count::<FetchRequest>(), 0);
}

#[tokio::test]
async fn an_epoch_that_the_log_does_not_know_is_no_reason_to_go_on() {
    // The offset is looked up before anything is said; the look-up is answered by hanging up, which passes.
    let broker = old(99, &[Told(0, -1, -1), Told(0, 5, 4)]).await;
    assert_eq!(go_on(&broker).await.unwrap(), all()[2..]);
    assert_eq!(broker.count::<ListOffsetsRequest>(), 1);
    assert_eq!(asked(&broker).len(), 2);
}

#[tokio::test]
async fn nothing_is_asked_where_fetches_compare_or_readers_may_not_ask() {
    for (fetch, epochs) in [(12, 4), (11, 2)] {
        let told = Mutex::new(vec![Told(0, 4, 0)]);
        let old = OldBroker { fetch, epochs, told };
        let (_, broker) = Leader::start_as(Some(old), 0, 0, 2).await;
        assert_eq!(read(&broker).await.unwrap(), all());
        assert_eq!(asked(&broker), []);
    }
}
