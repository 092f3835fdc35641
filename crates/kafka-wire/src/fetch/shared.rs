//! What the router and the lanes of a stream have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::cursor::Cursor;
use super::{FetchEvent, FetchEventKind, FetchOptions};
use crate::cluster::Cluster;
use crate::connection::{Api, Link};
use crate::error::{Error, ErrorCode};
use crate::problem::PartitionProblem;
use crate::throttled::Throttled;

/// Smallest response that is asked for when the budget is too small for all lanes.
const LEAST_BYTES: usize = 64 << 10;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// See the module.
pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) options: FetchOptions,
    pub(super) throttled: Arc<Throttled>,
    lanes: AtomicUsize,
    events: mpsc::Sender<FetchEvent>,
    commands: mpsc::UnboundedSender<Command>,
}

/// A partition that has no broker, and when to look for one.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) cursor: Cursor,
    pub(super) due: Instant,
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
            throttled: Arc::default(),
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

    /// One more lane shares the budget.
    pub(super) fn add_lane(&self) {
        self.lanes.fetch_add(1, Ordering::Relaxed);
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

    /// Something is wrong with the log of a partition: tries again what may pass, and reports what does not.
    pub(super) async fn failed(&self, cursor: Cursor, problem: PartitionProblem) {
        // A replica that only lags is waited for: the leader would name it again.
        let lags = matches!(problem, PartitionProblem::EndMissing { .. });
        let error = cursor.error(problem);
        if lags {
            self.try_later(cursor, error).await;
        } else {
            self.retry_or_fail(cursor, error).await;
        }
    }

    /// Tries again what may pass, and reports what does not.
    ///
    /// What may pass is for the router, after a pause: it asks the leader, even when the failure was a replica's.
    pub(super) async fn retry_or_fail(&self, mut cursor: Cursor, error: Error) {
        cursor.return_to_leader();
        self.try_later(cursor, error).await;
    }

    async fn try_later(&self, mut cursor: Cursor, error: Error) {
        match cursor.streak.failed(error) {
            Ok(pause) => self.command(cursor, pause),
            Err(error) => _ = self.emit(&cursor, FetchEventKind::Failed(error)).await,
        }
    }

    /// Gives a partition to the router because another broker is to be asked.
    pub(super) fn reassign(&self, cursor: Cursor) {
        self.command(cursor, Duration::ZERO);
    }

    fn command(&self, cursor: Cursor, pause: Duration) {
        let due = Instant::now() + pause;
        // The router lives as long as the lanes; at the end there is nobody to care.
        let _ = self.commands.send(Command { cursor, due });
    }

    /// Tells the caller what the log holds now; unless the offset is in it, and only the broker that was asked did not
    /// know yet, or it does not know the leader epoch that was read last, which gets the same error code (AK
    /// `Partition.readRecords`).
    pub(super) async fn out_of_range(&self, link: &Link, cursor: Cursor, error: Error) {
        let log_start_offset = log_edge(link, &cursor, EARLIEST, self.patience()).await;
        let log_end_offset = log_edge(link, &cursor, LATEST, self.patience()).await;
        let Cursor {
            offset, last_epoch, ..
        } = cursor;
        let (log_start_offset, log_end_offset) = match (log_start_offset, log_end_offset) {
            (Ok(start), Ok(end)) if !(start..=end).contains(&offset) => (start, end),
            (Err(error), _) | (_, Err(error)) => return self.retry_or_fail(cursor, error).await,
            _ if last_epoch >= 0 => {
                let problem = PartitionProblem::UnknownEpoch { offset, last_epoch };
                return self.failed(cursor, problem).await;
            }
            _ => return self.retry_or_fail(cursor, error).await,
        };
        let kind = FetchEventKind::OutOfRange {
            requested: offset,
            log_start_offset,
            log_end_offset,
        };
        self.emit(&cursor, kind).await;
    }
}

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
