//! One request in flight at one broker, again and again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::account::account;
use super::answer::Room;
use super::cursor::Cursor;
use super::exchange;
use super::pool::{Pool, Share, Turn};
use super::request::{FetchRequest, PartitionRequest};
use super::response::{FetchResponse, PartitionResponse, TopicKey};
use super::shared::Shared;
use crate::connection::{Link, Role};
use crate::error::{Error, ErrorCode};
use crate::hint::{LeaderHint, NodeEndpoint};
use crate::offsets::IsolationLevel;

/// Room in a response for what is not records.
pub(super) const ENVELOPE: usize = 64 << 10;
/// How long a broker may wait for data while something else wants the connection.
const SHORT_WAIT: Duration = Duration::from_millis(20);

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
    async fn serve(&self, mut share: Share, limit: usize) {
        if share.alone {
            let only = share.cursors.iter_mut();
            only.for_each(|cursor| cursor.max_bytes = cursor.max_bytes.max(limit));
        }
        let asked: usize = share.cursors.iter().map(|cursor| cursor.max_bytes).sum();
        let first = share.cursors.first().map_or(0, |cursor| cursor.max_bytes);
        let limit = limit.min(asked).max(first);
        let permit = self.shared.options.budget.acquire(limit + ENVELOPE).await;
        let cluster = &self.shared.cluster;
        let link = match cluster.link(self.node, Role::Fetch, self.shard).await {
            Ok(link) => link,
            Err(error) => {
                drop(permit);
                return self.failed(share.cursors, &error).await;
            }
        };
        share.cursors = self.confirmed(&link, share.cursors).await;
        if share.cursors.is_empty() {
            return;
        }
        match self.exchange(&link, &share, limit).await {
            Ok((response, body)) => {
                let response = account(response, &body, permit);
                drop(body);
                self.deliver(&link, share.cursors, response, limit).await;
            }
            Err(error) => {
                drop(permit);
                self.failed(share.cursors, &error).await;
            }
        }
    }

    async fn failed(&self, cursors: Vec<Cursor>, error: &Error) {
        for cursor in cursors {
            self.shared.retry_or_fail(cursor, error.clone()).await;
        }
    }

    async fn exchange(
        &self,
        link: &Link,
        share: &Share,
        limit: usize,
    ) -> Result<(FetchResponse, Bytes), Error> {
        let options = &self.shared.options;
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
            rack: self.rack(share),
            partitions: &partitions,
        };
        let (body, version) = exchange::send(link, &request, self.shared.patience()).await?;
        let response = exchange::read(link, body.clone(), version, partitions.len())?;
        self.shared.throttled.add(response.throttle_time_ms);
        Ok((response, body))
    }

    /// The rack to tell. It holds for the whole request: a partition that stays with this broker makes the others stay for
    /// this time.
    fn rack(&self, share: &Share) -> &str {
        let stays = share.cursors.iter().any(Cursor::stays_with_leader);
        let rack = self.shared.options.rack.as_deref();
        rack.filter(|_| !stays).unwrap_or_default()
    }

    /// Hands each partition its answer; `limit` is what all of them might have had.
    async fn deliver(&self, link: &Link, cursors: Vec<Cursor>, response: FetchResponse, limit: usize) {
        if response.is_withheld() {
            for mut cursor in cursors {
                cursor.streak.end();
                self.put_back(cursor, Turn::Next);
            }
            return;
        }
        let mut waiting: Vec<Option<Cursor>> = cursors.into_iter().map(Some).collect();
        let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
        let bytes: usize = answers.map(|answer| answer.records.len()).sum();
        let unused = limit.saturating_sub(bytes);
        let mut expected = 0;
        let mut has_data = false;
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
                let room = Room {
                    first: !has_data,
                    unused,
                };
                has_data |= !answer.records.is_empty();
                if let Some(cursor) = waiting[found].take() {
                    let hint = hint(&answer, &topic.topic, &response.endpoints);
                    self.answered(link, cursor, answer, room, hint).await;
                }
            }
        }
        for cursor in waiting.into_iter().flatten() {
            let missing = link.left_out(&cursor.name());
            self.shared.retry_or_fail(cursor, missing).await;
        }
    }
}

/// What an answer says about the leader of its partition.
fn hint(answer: &PartitionResponse, topic: &TopicKey, endpoints: &[NodeEndpoint]) -> Option<LeaderHint> {
    let code = ErrorCode::new(answer.error_code)?;
    LeaderHint::of(code, topic.id(), answer.current_leader, endpoints)
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
