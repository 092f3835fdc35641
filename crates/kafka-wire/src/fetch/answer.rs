//! What an answer means for a partition, and where the partition goes with it.

use super::cursor::{Cursor, Outcome};
use super::exchange::API;
use super::lane::{ENVELOPE, Lane};
use super::pool::Turn;
use super::replica::Replica;
use super::response::PartitionResponse;
use super::{FetchEventKind, FetchedBatches};
use crate::batch::{BatchError, LENGTH_OVERHEAD};
use crate::connection::Link;
use crate::error::{Error, ErrorCode};
use crate::hint::LeaderHint;
use crate::offsets::IsolationLevel;
use crate::problem::PartitionProblem;

/// What room a partition had in a response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Nothing stood before it, so that a batch of it would have fitted, whatever its size.
    pub(super) first: bool,
    /// Bytes that nobody used.
    pub(super) unused: usize,
}

impl Lane {
    /// `hint`: what the answer says about the leader.
    pub(super) async fn answered(
        &self,
        link: &Link,
        mut cursor: Cursor,
        answer: PartitionResponse,
        room: Room,
        hint: Option<LeaderHint>,
    ) {
        if let Some(code) = ErrorCode::new(answer.error_code) {
            return self.refused(link, cursor, code, hint).await;
        }
        if let Some(diverging) = answer.diverging_epoch {
            let problem = cursor.truncated(diverging.epoch, diverging.end_offset);
            return self.shared.failed(cursor, problem).await;
        }
        if let Some(replica) = answer
            .preferred_read_replica
            .filter(|&replica| replica != self.node)
        {
            cursor.replica = Some(Replica::new(replica));
            return self.shared.reassign(cursor);
        }
        let read_committed = self.shared.options.isolation == IsolationLevel::ReadCommitted;
        let readable = if read_committed {
            answer.last_stable_offset
        } else {
            answer.high_watermark
        };
        let asked = cursor.max_bytes;
        let outcome = cursor.advance(answer, read_committed);
        cursor.max_bytes = cursor.max_bytes.min(self.most_bytes());
        match outcome {
            Ok(Outcome::Progress(fetched)) => self.progressed(cursor, fetched, readable).await,
            Ok(Outcome::Empty) => self.empty(cursor, readable, room).await,
            Ok(Outcome::Cut) => match self.wrong_length(&cursor, asked, room.first) {
                Some(problem) => {
                    cursor.asks_as_usual();
                    self.shared.failed(cursor, problem).await;
                }
                None => self.again(cursor),
            },
            Ok(Outcome::Doubtful) => self.again(cursor),
            Ok(Outcome::Stuck) => self.no_progress(cursor).await,
            Err(problem) => self.shared.failed(cursor, problem).await,
        }
    }

    /// Asks again at once.
    fn again(&self, mut cursor: Cursor) {
        cursor.hot = true;
        self.put_back(cursor, Turn::Next);
    }

    async fn progressed(&self, mut cursor: Cursor, fetched: FetchedBatches, readable: i64) {
        cursor.hot = cursor.offset < readable;
        cursor.streak.end();
        if !self.shared.emit(&cursor, FetchEventKind::Batches(fetched)).await {
            return;
        }
        if cursor.is_finished() {
            let finished = FetchEventKind::Finished {
                next_offset: cursor.offset,
            };
            self.shared.emit(&cursor, finished).await;
        } else {
            self.put_back(cursor, Turn::Last);
        }
    }

    /// There is nothing to read; or there is, and it had no room in the response.
    async fn empty(&self, mut cursor: Cursor, readable: i64, room: Room) {
        let has_more = cursor.offset < readable;
        match cursor.end_offset {
            // The broker keeps it back for a reason of its own.
            _ if has_more && room.first => {
                let offset = cursor.offset;
                let problem = PartitionProblem::Withheld { offset, readable };
                self.shared.failed(cursor, problem).await;
            }
            Some(end) if !has_more && (0..end).contains(&readable) => {
                self.shared
                    .failed(cursor, PartitionProblem::EndMissing { readable, end })
                    .await;
            }
            _ => {
                cursor.hot = has_more;
                cursor.streak.end();
                let turn = Turn::after_nothing(room.unused, cursor.max_bytes);
                self.put_back(cursor, turn);
            }
        }
    }

    async fn no_progress(&self, cursor: Cursor) {
        let problem = PartitionProblem::NoProgress {
            offset: cursor.offset,
            answers: cursor.stuck_answers,
        };
        self.shared.failed(cursor, problem).await;
    }

    async fn refused(&self, link: &Link, mut cursor: Cursor, code: ErrorCode, hint: Option<LeaderHint>) {
        if let Some(hint) = hint
            && cursor.streak.may_follow()
            && self
                .shared
                .cluster
                .take_hint(&cursor.name(), cursor.asked(), &hint)
        {
            return self.shared.reassign(cursor);
        }
        let error = Error::kafka(
            code,
            API,
            link.broker(),
            format!("{}-{}", cursor.topic, cursor.partition),
        );
        // A replica may be behind or have another log start: what the leader says counts.
        if code == ErrorCode::OFFSET_OUT_OF_RANGE && cursor.reads_leader() {
            return self.shared.out_of_range(link, cursor, error).await;
        }
        self.shared.retry_or_fail(cursor, error).await;
    }

    /// What is wrong with the length of a batch that was cut: a response with all of it would not be accepted, or there was
    /// room for all of it.
    fn wrong_length(&self, cursor: &Cursor, asked: usize, room: bool) -> Option<PartitionProblem> {
        let (offset, needs, most) = (cursor.offset, cursor.needs, self.most_bytes());
        if needs > most {
            let (bytes, limit) = (needs as u64, most as u64);
            return Some(PartitionProblem::BatchTooLarge { offset, bytes, limit });
        }
        let had_room = room && (1..=asked).contains(&needs);
        had_room.then_some(PartitionProblem::Batch(BatchError::Length {
            position: 0,
            base_offset: offset,
            length: i32::try_from(needs.saturating_sub(LENGTH_OVERHEAD)).unwrap_or(i32::MAX),
        }))
    }

    /// Bytes of records in the largest response that is accepted.
    fn most_bytes(&self) -> usize {
        let config = self.shared.cluster.config();
        config.max_response_bytes.saturating_sub(ENVELOPE)
    }

    /// Puts a partition back into the pool, or takes it to another broker when its term with a replica is over.
    pub(super) fn put_back(&self, mut cursor: Cursor, turn: Turn) {
        if cursor.replica.is_some_and(|replica| replica.is_over()) {
            cursor.replica = None;
            self.shared.reassign(cursor);
        } else {
            self.pool.put_back(cursor, turn);
        }
    }
}
