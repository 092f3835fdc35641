//! Finding the broker for each partition, and waiting with those that failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::cursor::Cursor;
use super::lane::Lane;
use super::pool::Pool;
use super::{FetchEvent, FetchEventKind, FetchOptions};
use crate::cluster::{Cluster, TopicPartition};
use crate::connection::{Api, Link};
use crate::error::{Error, ErrorCode};
use crate::problem::PartitionProblem;
use crate::verdict::MOST_ODD_FAILURES;

/// Smallest response that is asked for when the budget is too small for all lanes.
const LEAST_BYTES: usize = 64 << 10;

/// What router and lanes have in common.
pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) options: FetchOptions,
    lanes: AtomicUsize,
    events: mpsc::Sender<FetchEvent>,
    commands: mpsc::UnboundedSender<Command>,
}

/// A partition that has no broker, and when to look for one.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) cursor: Cursor,
    pub(super) due: Instant,
    pub(super) error: Option<Error>,
}

impl Shared {
    pub(super) fn new(
        cluster: Cluster,
        options: FetchOptions,
        events: mpsc::Sender<FetchEvent>,
        commands: mpsc::UnboundedSender<Command>,
    ) -> Self {
        Self {
            cluster,
            options,
            lanes: AtomicUsize::new(0),
            events,
            commands,
        }
    }

    /// Whether somebody still reads the events.
    pub(super) fn is_wanted(&self) -> bool {
        !self.events.is_closed()
    }

    /// How long a broker may take to answer.
    pub(super) fn patience(&self) -> Duration {
        self.cluster.config().request_timeout
    }

    /// Bytes to ask for in one request, so that every lane can have one in flight and half of the budget is left for
    /// what was read.
    pub(super) fn response_limit(&self) -> usize {
        let lanes = self.lanes.load(Ordering::Relaxed).max(1);
        let part = self.options.budget.total() / 2 / lanes;
        self.options.max_bytes.min(part.max(LEAST_BYTES))
    }

    /// Reports an event. `false` when nobody listens any more.
    pub(super) async fn emit(&self, cursor: &Cursor, kind: FetchEventKind) -> bool {
        let topic = Arc::clone(&cursor.topic);
        self.events
            .send(FetchEvent {
                topic,
                partition: cursor.partition,
                kind,
            })
            .await
            .is_ok()
    }

    /// Reports that a partition cannot be read on.
    pub(super) async fn failed(&self, cursor: &Cursor, problem: PartitionProblem) {
        self.emit(cursor, FetchEventKind::Failed(cursor.error(problem)))
            .await;
    }

    /// Tries again what may pass, and reports what does not.
    pub(super) async fn retry_or_fail(&self, cursor: Cursor, error: Error) {
        if error.is_final(cursor.failures) {
            self.emit(&cursor, FetchEventKind::Failed(error)).await;
        } else {
            self.retry_later(cursor, error);
        }
    }

    /// Gives a partition to the router, to be tried again after a pause that grows with every failure in a row.
    pub(super) fn retry_later(&self, mut cursor: Cursor, error: Error) {
        let config = self.cluster.config();
        let factor = 1u32.checked_shl(cursor.failures).unwrap_or(u32::MAX);
        let pause = config
            .retry_backoff
            .saturating_mul(factor)
            .min(config.retry_backoff_max);
        let pause = pause.mul_f64(rand::random_range(0.5..=1.0));
        cursor.failures = cursor.failures.saturating_add(1);
        cursor.failing_since.get_or_insert_with(Instant::now);
        tracing::debug!(topic = %cursor.topic, partition = cursor.partition, %error, ?pause, "fetch failed");
        self.command(Command {
            cursor,
            due: Instant::now() + pause,
            error: Some(error),
        });
    }

    /// Gives a partition to the router because another broker is to be asked.
    pub(super) fn reassign(&self, cursor: Cursor) {
        self.command(Command {
            cursor,
            due: Instant::now(),
            error: None,
        });
    }

    fn command(&self, command: Command) {
        // The router lives as long as the lanes; at the end there is nobody to care.
        let _ = self.commands.send(command);
    }

    /// Tells the caller what the log holds now; unless the offset is in it, and only the broker that was asked did not
    /// know yet.
    pub(super) async fn out_of_range(&self, link: &Link, cursor: Cursor, error: Error) {
        let log_start_offset = log_edge(link, &cursor, EARLIEST, self.patience()).await;
        let log_end_offset = log_edge(link, &cursor, LATEST, self.patience()).await;
        let (log_start_offset, log_end_offset) = match (log_start_offset, log_end_offset) {
            (Ok(start), Ok(end)) if !(start..=end).contains(&cursor.offset) => (start, end),
            (Err(error), _) | (_, Err(error)) => return self.retry_or_fail(cursor, error).await,
            _ => return self.in_range_after_all(cursor, error).await,
        };
        let requested = cursor.offset;
        let kind = FetchEventKind::OutOfRange {
            requested,
            log_start_offset,
            log_end_offset,
        };
        self.emit(&cursor, kind).await;
    }

    /// The broker did not know the offset yet; or it does not know the leader epoch that was read last, which gets the same
    /// error code (AK `Partition.readRecords`).
    async fn in_range_after_all(&self, cursor: Cursor, error: Error) {
        if cursor.failures < MOST_ODD_FAILURES {
            self.retry_later(cursor, error);
        } else if cursor.last_epoch >= 0 {
            let Cursor {
                offset, last_epoch, ..
            } = cursor;
            self.failed(&cursor, PartitionProblem::UnknownEpoch { offset, last_epoch })
                .await;
        } else {
            self.emit(&cursor, FetchEventKind::Failed(error)).await;
        }
    }

    /// Whether a partition that failed has used up its time.
    fn gives_up(&self, cursor: &Cursor, error: &Error) -> Option<Error> {
        let after = cursor.failing_since?.elapsed();
        let unknown = error.code().is_some_and(ErrorCode::is_unknown_topic);
        let grace = unknown.then_some(self.cluster.config().unknown_topic_grace);
        let limit = [grace, self.options.give_up_after].into_iter().flatten().min()?;
        if after < limit {
            None
        } else if unknown {
            Some(error.clone())
        } else {
            Some(Error::Deadline {
                after,
                last: Box::new(error.clone()),
            })
        }
    }
}

/// Owns the pools and lanes, and the partitions that wait.
pub(super) struct Router {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedReceiver<Command>,
    waiting: Vec<Command>,
    pools: BTreeMap<i32, Arc<Pool>>,
    lanes: JoinSet<()>,
}

impl Router {
    pub(super) fn new(shared: Arc<Shared>, commands: mpsc::UnboundedReceiver<Command>) -> Self {
        Self {
            shared,
            commands,
            waiting: Vec::new(),
            pools: BTreeMap::new(),
            lanes: JoinSet::new(),
        }
    }

    /// Runs until it is aborted; the lanes end with it.
    pub(super) async fn run(mut self) {
        loop {
            let next_due = self.waiting.iter().map(|waiting| waiting.due).min();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.waiting.push(command),
                    None => return,
                },
                () = sleep_until(next_due) => {}
            }
            while let Ok(command) = self.commands.try_recv() {
                self.waiting.push(command);
            }
            let now = Instant::now();
            let due: Vec<Command> = self
                .waiting
                .extract_if(.., |waiting| waiting.due <= now)
                .collect();
            if !due.is_empty() {
                self.route(due).await;
            }
        }
    }

    /// Finds a broker for each of these. One question to the cluster serves all whose leader is not known.
    async fn route(&mut self, due: Vec<Command>) {
        let mut open = Vec::new();
        for Command { cursor, error, .. } in due {
            match error.and_then(|error| self.shared.gives_up(&cursor, &error)) {
                Some(error) => _ = self.shared.emit(&cursor, FetchEventKind::Failed(error)).await,
                None => open.push(cursor),
            }
        }
        let is_stale = |cursor: &&Cursor| {
            cursor.failures > 0 || self.shared.cluster.cached_leader(&cursor.name()).is_none()
        };
        let topics: BTreeSet<Arc<str>> = open
            .iter()
            .filter(is_stale)
            .map(|cursor| Arc::clone(&cursor.topic))
            .collect();
        let refreshed = match topics.is_empty() {
            true => Ok(()),
            false => self.shared.cluster.refresh_leaders(&topics).await,
        };
        for cursor in open {
            match &refreshed {
                Err(error) => self.shared.retry_or_fail(cursor, error.clone()).await,
                Ok(()) => self.assign(cursor).await,
            }
        }
    }

    async fn assign(&mut self, mut cursor: Cursor) {
        if cursor.is_finished() {
            let finished = FetchEventKind::Finished {
                next_offset: cursor.offset,
            };
            self.shared.emit(&cursor, finished).await;
            return;
        }
        let leader = match self.shared.cluster.known_leader(&cursor.name()) {
            Ok(leader) => leader,
            Err(error) => return self.shared.retry_or_fail(cursor, error).await,
        };
        let found = leader.topic_id.unwrap_or_default();
        if cursor.topic_id == [0; 16] {
            cursor.topic_id = found;
        } else if found != [0; 16] && found != cursor.topic_id {
            let problem = PartitionProblem::TopicReplaced {
                asked: cursor.topic_id,
                found,
            };
            return self.shared.failed(&cursor, problem).await;
        }
        cursor.leader_epoch = leader.epoch.unwrap_or(-1);
        let now = Instant::now();
        cursor.replica = cursor.replica.filter(|(_, until)| *until > now);
        let node = cursor.replica.map_or(leader.node, |(replica, _)| replica);
        self.pool(node).add(cursor);
    }

    /// The pool of a broker. Its lanes start with the first partition.
    fn pool(&mut self, node: i32) -> Arc<Pool> {
        if let Some(pool) = self.pools.get(&node) {
            return Arc::clone(pool);
        }
        let pool = Arc::new(Pool::new());
        self.pools.insert(node, Arc::clone(&pool));
        let options = &self.shared.options;
        for _ in 0..options.requests_per_connection.max(1) {
            for shard in 0..options.connections_per_broker.max(1) {
                self.shared.lanes.fetch_add(1, Ordering::Relaxed);
                let (pool, shared) = (Arc::clone(&pool), Arc::clone(&self.shared));
                self.lanes.spawn(
                    Lane {
                        node,
                        shard,
                        pool,
                        shared,
                    }
                    .run(),
                );
            }
        }
        pool
    }
}

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// Where the log of a partition starts or ends, as the broker that was asked for its data says.
async fn log_edge(link: &Link, cursor: &Cursor, edge: i64, patience: Duration) -> Result<i64, Error> {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(cursor.partition)
        .with_timestamp(edge);
    let name = TopicName(StrBytes::from_string(cursor.topic.to_string()));
    let topic = ListOffsetsTopic::default()
        .with_name(name)
        .with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic]);
    let response = link.call(&request, patience).await?;
    let mut answers = response.topics.iter().flat_map(|topic| &topic.partitions);
    let answer = answers.next().ok_or_else(|| link.left_out(&cursor.name()))?;
    match ErrorCode::new(answer.error_code) {
        None => Ok(answer.offset),
        Some(code) => Err(Error::kafka(
            code,
            ListOffsetsRequest::NAME,
            link.broker(),
            cursor.name().to_string(),
        )),
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Cursor {
    /// Which partition it is.
    pub(super) fn name(&self) -> TopicPartition {
        TopicPartition::new(Arc::clone(&self.topic), self.partition)
    }

    /// Puts a problem of this partition into the error of the crate.
    pub(super) fn error(&self, problem: PartitionProblem) -> Error {
        Error::Partition {
            partition: self.name(),
            problem: Box::new(problem),
        }
    }

    /// Notes a good answer.
    pub(super) fn recovered(&mut self) {
        self.failures = 0;
        self.failing_since = None;
    }
}
