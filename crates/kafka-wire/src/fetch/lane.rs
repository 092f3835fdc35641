//! One request in flight at one broker, again and again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::cursor::{Cursor, Outcome};
use super::exchange::{self, API};
use super::pool::{Pool, Share, Turn};
use super::request::{FetchRequest, PartitionRequest};
use super::response::{FetchResponse, PartitionResponse};
use super::router::Shared;
use super::{FetchEventKind, FetchedBatches};
use crate::budget::Permit;
use crate::connection::{Link, Role};
use crate::error::{Error, ErrorCode};
use crate::offsets::IsolationLevel;
use crate::problem::PartitionProblem;
use crate::verdict::MOST_ODD_FAILURES;

/// Room in a response for what is not records.
const ENVELOPE: usize = 64 << 10;
/// How long a broker may wait for data while something else wants the connection.
const SHORT_WAIT: Duration = Duration::from_millis(20);
/// How long a replica is read from before the leader is asked again which one is near (KIP-392).
const REPLICA_TERM: Duration = Duration::from_secs(5 * 60);
/// A partition's records are copied out of the frame when they are less than this part of it, so that who keeps them
/// does not keep the frame.
const SMALL_PART: usize = 16;

/// Asks one broker over one connection.
pub(super) struct Lane {
    pub(super) node: i32,
    /// Which of the connections to the broker.
    pub(super) shard: usize,
    pub(super) pool: Arc<Pool>,
    pub(super) shared: Arc<Shared>,
}

impl Lane {
    /// Runs until the stream is dropped.
    pub(super) async fn run(self) {
        let options = &self.shared.options;
        let lanes = options.connections_per_broker * options.requests_per_connection;
        while self.shared.is_wanted() {
            let limit = self.shared.response_limit();
            let most_hot = (2 * limit).div_ceil(options.partition_max_bytes.max(1));
            let share = self.pool.take(lanes, most_hot).await;
            let size = share.size();
            self.serve(share, limit).await;
            self.pool.settle(size);
        }
    }

    /// Fetches a share's partitions once; afterwards each is back in the pool, with the router, or at its end.
    async fn serve(&self, share: Share, limit: usize) {
        let asked: usize = share.cursors.iter().map(|cursor| cursor.max_bytes).sum();
        let first = share.cursors.first().map_or(0, |cursor| cursor.max_bytes);
        let limit = limit.min(asked).max(first);
        let permit = self.shared.options.budget.acquire(limit + ENVELOPE).await;
        match self.exchange(&share, limit).await {
            Ok((link, response, body)) => {
                let response = account(response, &body, permit);
                drop(body);
                self.deliver(&link, share.cursors, response, limit).await;
            }
            Err(error) => {
                drop(permit);
                for cursor in share.cursors {
                    self.shared.retry_or_fail(cursor, error.clone()).await;
                }
            }
        }
    }

    async fn exchange(&self, share: &Share, limit: usize) -> Result<(Link, FetchResponse, Bytes), Error> {
        let options = &self.shared.options;
        let link = self
            .shared
            .cluster
            .link(self.node, Role::Fetch, self.shard)
            .await?;
        let partitions: Vec<_> = share.cursors.iter().map(request).collect();
        let wait = if share.hurry {
            options.max_wait.min(SHORT_WAIT)
        } else {
            options.max_wait
        };
        let request = FetchRequest {
            max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: i32::try_from(limit).unwrap_or(i32::MAX),
            read_committed: options.isolation == IsolationLevel::ReadCommitted,
            rack: options.rack.as_deref().unwrap_or_default(),
            partitions: &partitions,
        };
        let (body, version) = exchange::send(&link, &request, self.shared.patience()).await?;
        let response = exchange::read(&link, body.clone(), version)?;
        Ok((link, response, body))
    }

    /// Hands each partition its answer.
    async fn deliver(&self, link: &Link, cursors: Vec<Cursor>, response: FetchResponse, limit: usize) {
        let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
        let full = answers.map(|answer| answer.records.len()).sum::<usize>() >= limit / 2;
        let mut waiting: Vec<Option<Cursor>> = cursors.into_iter().map(Some).collect();
        let mut expected = 0;
        for topic in response.topics {
            for answer in topic.partitions {
                let asked = |slot: &Option<Cursor>| {
                    slot.as_ref().is_some_and(|cursor| {
                        cursor.partition == answer.partition && topic.topic.is(&cursor.topic, cursor.topic_id)
                    })
                };
                // Brokers answer in the order of the request.
                let found = match waiting.get(expected).is_some_and(asked) {
                    true => Some(expected),
                    false => waiting.iter().position(asked),
                };
                let Some(found) = found else { continue };
                expected = found + 1;
                if let Some(cursor) = waiting[found].take() {
                    self.answered(link, cursor, answer, full).await;
                }
            }
        }
        for cursor in waiting.into_iter().flatten() {
            let missing = link.left_out(&cursor.name());
            self.shared.retry_or_fail(cursor, missing).await;
        }
    }

    async fn answered(&self, link: &Link, mut cursor: Cursor, answer: PartitionResponse, full: bool) {
        if let Some(code) = ErrorCode::new(answer.error_code) {
            return self.refused(link, cursor, code).await;
        }
        if let Some(diverging) = answer.diverging_epoch {
            let problem = PartitionProblem::Truncated {
                offset: cursor.offset,
                last_epoch: cursor.last_epoch,
                epoch: diverging.epoch,
                end_offset: diverging.end_offset,
            };
            return self.shared.failed(&cursor, problem).await;
        }
        if let Some(replica) = answer
            .preferred_read_replica
            .filter(|&replica| replica != self.node)
        {
            cursor.replica = Some((replica, Instant::now() + REPLICA_TERM));
            return self.shared.reassign(cursor);
        }
        let read_committed = self.shared.options.isolation == IsolationLevel::ReadCommitted;
        let readable = if read_committed {
            answer.last_stable_offset
        } else {
            answer.high_watermark
        };
        match cursor.advance(answer, read_committed) {
            Ok(Outcome::Progress(fetched)) => self.progressed(cursor, fetched, readable).await,
            Ok(Outcome::Empty) if cursor.end_offset.is_some_and(|end| (0..end).contains(&readable)) => {
                let end = cursor.end_offset.unwrap_or(readable);
                let error = cursor.error(PartitionProblem::EndMissing { readable, end });
                self.shared.retry_later(cursor, error);
            }
            Ok(Outcome::Empty) => {
                cursor.hot &= full;
                cursor.recovered();
                self.put_back(cursor, Turn::Next);
            }
            Ok(Outcome::Cut) => match self.too_large(&cursor) {
                Some(problem) => self.shared.failed(&cursor, problem).await,
                None => {
                    cursor.hot = true;
                    self.put_back(cursor, Turn::Next);
                }
            },
            Ok(Outcome::Stuck) => {
                let problem = PartitionProblem::NoProgress {
                    offset: cursor.offset,
                    answers: cursor.stuck_answers,
                };
                let error = cursor.error(problem);
                self.shared.retry_later(cursor, error);
            }
            // Damaged on the way, perhaps: TCP's checksum is weak.
            Err(problem @ PartitionProblem::Batch(_)) if cursor.failures < MOST_ODD_FAILURES => {
                let error = cursor.error(problem);
                self.shared.retry_later(cursor, error);
            }
            Err(problem) => self.shared.failed(&cursor, problem).await,
        }
    }

    async fn progressed(&self, mut cursor: Cursor, fetched: FetchedBatches, readable: i64) {
        cursor.hot = cursor.offset < readable;
        cursor.recovered();
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

    async fn refused(&self, link: &Link, mut cursor: Cursor, code: ErrorCode) {
        let error = Error::kafka(
            code,
            API,
            link.broker(),
            format!("{}-{}", cursor.topic, cursor.partition),
        );
        if cursor.replica.take().is_some() {
            // A replica may be behind or have another log start: the leader decides.
            return self.shared.retry_later(cursor, error);
        }
        if code == ErrorCode::OFFSET_OUT_OF_RANGE {
            return self.shared.out_of_range(link, cursor, error).await;
        }
        self.shared.retry_or_fail(cursor, error).await;
    }

    /// A response with the whole batch would not be accepted.
    fn too_large(&self, cursor: &Cursor) -> Option<PartitionProblem> {
        let most = self
            .shared
            .cluster
            .config()
            .max_response_bytes
            .saturating_sub(ENVELOPE);
        (cursor.needs > most).then_some(PartitionProblem::BatchTooLarge {
            offset: cursor.offset,
            bytes: cursor.needs as u64,
            limit: most as u64,
        })
    }

    /// Puts a partition back into the pool, or takes it to another broker when its term with a replica is over.
    fn put_back(&self, mut cursor: Cursor, turn: Turn) {
        if cursor.replica.is_some_and(|(_, until)| until <= Instant::now()) {
            cursor.replica = None;
            self.shared.reassign(cursor);
        } else {
            self.pool.put_back(cursor, turn);
        }
    }
}

fn request(cursor: &Cursor) -> PartitionRequest<'_> {
    PartitionRequest {
        topic: &cursor.topic,
        topic_id: cursor.topic_id,
        partition: cursor.partition,
        leader_epoch: cursor.leader_epoch,
        offset: cursor.offset,
        last_epoch: cursor.last_epoch,
        max_bytes: i32::try_from(cursor.max_bytes).unwrap_or(i32::MAX),
    }
}

/// Ties the permit to the memory that the records of the response are in.
fn account(mut response: FetchResponse, body: &Bytes, mut permit: Permit) -> FetchResponse {
    let small = |records: &Bytes| records.len() < body.len() / SMALL_PART;
    let mut copied = 0;
    let mut framed = 0;
    for answer in response.topics.iter().flat_map(|topic| &topic.partitions) {
        if small(&answer.records) {
            copied += answer.records.len();
        } else {
            framed = body.len();
        }
    }
    permit.resize_to(framed + copied);
    let mut copies = permit.split(copied);
    let frame = permit.attach(body.clone());
    for answer in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if answer.records.is_empty() {
            answer.records = Bytes::new();
        } else if small(&answer.records) {
            let permit = copies.split(answer.records.len());
            answer.records = permit.attach(Bytes::copy_from_slice(&answer.records));
        } else {
            answer.records = frame.slice_ref(&answer.records);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::ByteBudget;
    use crate::fetch::response::{TopicKey, TopicResponse};

    fn response(body: &Bytes, sizes: &[usize]) -> FetchResponse {
        let mut from = 0;
        let partitions = sizes.iter().map(|&size| {
            from += size;
            PartitionResponse {
                partition: 0,
                error_code: 0,
                high_watermark: 0,
                last_stable_offset: 0,
                log_start_offset: None,
                aborted: Vec::new(),
                preferred_read_replica: None,
                records: body.slice(from - size..from),
                diverging_epoch: None,
            }
        });
        let topic = TopicResponse {
            topic: TopicKey::Name(Bytes::from_static(b"t")),
            partitions: partitions.collect(),
        };
        FetchResponse {
            throttle_time_ms: 0,
            error_code: 0,
            topics: vec![topic],
        }
    }

    #[test]
    fn a_small_part_does_not_keep_the_frame() {
        let budget = ByteBudget::new(10_000);
        let body = Bytes::from((0..1600).map(|i| i as u8).collect::<Vec<_>>());
        let answered = response(&body, &[1500, 10, 0]);
        let mut answered = account(answered, &body, budget.try_acquire(5000).unwrap());
        assert_eq!(budget.available(), 10_000 - 1610);
        let partitions = &mut answered.topics[0].partitions;
        assert_eq!(partitions[1].records, body.slice(1500..1510));
        let (large, small) = (partitions.remove(0).records, partitions.remove(0).records);
        drop(answered);
        assert_eq!(large.as_ptr(), body.as_ptr());
        drop(large);
        assert_eq!(budget.available(), 10_000 - 10);
        drop(small);
        assert_eq!(budget.available(), 10_000);
    }

    #[test]
    fn an_empty_response_keeps_nothing() {
        let budget = ByteBudget::new(10_000);
        let body = Bytes::from(vec![0; 100]);
        let answered = account(response(&body, &[0, 0]), &body, budget.try_acquire(5000).unwrap());
        assert_eq!(budget.available(), 10_000);
        drop(answered);
    }
}
