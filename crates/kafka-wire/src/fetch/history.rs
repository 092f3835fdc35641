//! Whether the log of a leader still holds what was read of it before.
//!
//! From version 12 on each fetch carries the question. Brokers before 2.7 do not speak it, so they are asked apart, before
//! the first fetch after a change of leader: a log is cut only when another replica takes over.

use std::collections::BTreeMap;

use kafka_protocol::messages::OffsetForLeaderEpochRequest;

use super::cursor::Cursor;
use super::exchange::{self, API};
use super::lane::Lane;
use super::request::FIRST_WITH_LAST_EPOCH;
use crate::cluster::{Asked, TopicPartition, all_failed, answers_for};
use crate::connection::{Api, Link};
use crate::error::{Error, ErrorCode};
use crate::offsets::EpochEnd;
use crate::problem::PartitionProblem;

/// The first version that needs no right on the whole cluster (brokers from 2.3 on).
const FIRST_FOR_READERS: i16 = 3;

impl Lane {
    /// Keeps the partitions whose log continues what was read, in their order. The others are dealt with.
    pub(super) async fn confirmed(&self, link: &Link, mut cursors: Vec<Cursor>) -> Vec<Cursor> {
        if !is_to_be_asked(link) {
            return cursors;
        }
        let questions: Vec<Asked<i32>> = cursors.iter().filter_map(question).collect();
        // Whatever is read from now on is this leader's.
        cursors.iter_mut().for_each(|cursor| cursor.confirmed = true);
        if questions.is_empty() {
            return cursors;
        }
        let mut answers = self.ask(link, questions).await;
        let mut confirmed = Vec::with_capacity(cursors.len());
        for cursor in cursors {
            match answers.remove(&cursor.name()) {
                None => confirmed.push(cursor),
                Some(answer) => confirmed.extend(self.compared(link, cursor, answer).await),
            }
        }
        confirmed
    }

    async fn ask(
        &self,
        link: &Link,
        questions: Vec<Asked<i32>>,
    ) -> BTreeMap<TopicPartition, Result<Option<EpochEnd>, Error>> {
        let names: Vec<TopicPartition> = questions.iter().map(|(name, ..)| name.clone()).collect();
        let answered = self.shared.cluster.send_leader_epochs(link.clone(), questions);
        let answers = match answered.await {
            Ok(answers) => answers_for(&names, answers, |name| link.left_out(name)),
            Err(error) => all_failed(&names, &error),
        };
        answers.into_iter().collect()
    }

    /// The comparison that newer brokers make (AK `Partition.readRecords`), with the same outcomes.
    async fn compared(
        &self,
        link: &Link,
        mut cursor: Cursor,
        answer: Result<Option<EpochEnd>, Error>,
    ) -> Option<Cursor> {
        match answer {
            Ok(Some(end)) if end.leader_epoch >= cursor.last_epoch && end.end_offset >= cursor.offset => {
                return Some(cursor);
            }
            Ok(Some(end)) => {
                let problem = cursor.truncated(end.leader_epoch, end.end_offset);
                self.shared.failed(cursor, problem).await;
            }
            Ok(None) => {
                cursor.confirmed = false;
                let name = cursor.name().to_string();
                let unknown = Error::kafka(ErrorCode::OFFSET_OUT_OF_RANGE, API, link.broker(), name);
                self.shared.out_of_range(link, cursor, unknown).await;
            }
            Err(error) => {
                cursor.confirmed = false;
                self.shared.retry_or_fail(cursor, error).await;
            }
        }
        None
    }
}

/// Whether fetches from this broker do not compare histories, but another request does.
fn is_to_be_asked(link: &Link) -> bool {
    let (_, ours) = OffsetForLeaderEpochRequest::RANGE;
    exchange::version(link).is_ok_and(|version| version < FIRST_WITH_LAST_EPOCH)
        && link
            .version(OffsetForLeaderEpochRequest::KEY, FIRST_FOR_READERS..=ours)
            .is_ok()
}

/// What to ask the leader. A replica is read from only after its leader was asked.
fn question(cursor: &Cursor) -> Option<Asked<i32>> {
    let is_open = !cursor.confirmed && cursor.reads_leader() && cursor.last_epoch >= 0;
    is_open.then(|| (cursor.name(), cursor.asked(), cursor.last_epoch))
}

impl Cursor {
    /// The problem that the newest epoch not after that of the last batch is `epoch`, and ends at `end_offset`.
    pub(super) fn truncated(&self, epoch: i32, end_offset: i64) -> PartitionProblem {
        PartitionProblem::Truncated {
            offset: self.offset,
            last_epoch: self.last_epoch,
            epoch,
            end_offset,
        }
    }
}
