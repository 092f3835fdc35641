//! Finding out what the log of a partition holds, when answers were lost.
//!
//! A broker that did not answer may have appended the batch, or may do so later; a batch may be in the leader's log and
//! not on its replicas yet, where no consumer sees it. Idempotence does not help for certain: brokers forget a producer by
//! the time stamps of its *records*, and restored records are old. So the log is asked (KIP-101 `OffsetForLeaderEpoch`
//! tells the end of the leader's log, above the high watermark): everything up to that end has to become readable, and to
//! be what was sent.
//!
//! A request that is still in the broker's socket must not be appended after that, so the broker has to be done with the
//! connection first (`doubt.rs`). What is missing is sent again with the same bytes and sequence numbers all the same:
//! where something between has cut the connection, the broker may not know yet, and whichever copy comes second is
//! recognised as a duplicate, if the producer is not forgotten by then; the answer to it names the offset of the first.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{BrokerId, OffsetForLeaderEpochRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::partition::Partition;
use crate::batch::{BatchIter, LogEntry};
use crate::cluster::{Cluster, Leader};
use crate::connection::{Api, Link, Role};
use crate::error::{Error, ErrorCode};
use crate::fetch::fetch_one;
use crate::fetch::request::PartitionRequest;
use crate::problem::PartitionProblem;

/// A connection of its own: on others, requests may wait for data for long.
const SHARD: usize = usize::MAX;
/// How long the broker waits for the high watermark to move, per request.
const WAIT_MS: i32 = 100;
const MAX_BYTES: i32 = 4 << 20;

/// Looks at the log from the first unacknowledged offset to its end, and acknowledges what is found of what was sent.
/// Returns the node id of the leader.
///
/// # Errors
/// [`Error::Partition`] when the log holds something else or too little; what keeps it from being read.
pub(super) async fn settle(cluster: &Cluster, partition: &Arc<Partition>) -> Result<i32, Error> {
    let leader = find_leader(cluster, partition).await?;
    let link = cluster.link(leader.node, Role::Fetch, SHARD).await?;
    let patience = cluster.config().request_timeout;
    let end = log_end(&link, partition, leader, patience).await?;
    let mut last_progress = Instant::now();
    loop {
        let offset = partition.acknowledged_offset();
        if offset == end {
            return Ok(leader.node);
        }
        if offset > end {
            return Err(partition.error(PartitionProblem::LogShrunk {
                expected: offset,
                log_end: end,
            }));
        }
        recognise(&link, partition, leader, offset, patience).await?;
        if partition.acknowledged_offset() > offset {
            last_progress = Instant::now();
        } else if last_progress.elapsed() > patience {
            let code = ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND;
            return Err(
                Error::kafka(code, "Fetch", link.broker(), partition.name.to_string())
                    .with_message(Some("the end of the leader's log does not become readable")),
            );
        }
    }
}

async fn find_leader(cluster: &Cluster, partition: &Partition) -> Result<Leader, Error> {
    let failed = partition.failures() > 0;
    if failed {
        cluster.doubt_hint(&partition.name);
    }
    if failed || cluster.cached_leader(&partition.name).is_none() {
        cluster.refresh_leaders([&partition.name.topic]).await?;
    }
    let leader = cluster.known_leader(&partition.name)?;
    partition.is_of_topic(leader.topic_id)?;
    Ok(leader)
}

/// The end of the leader's log, whether or not its replicas have all of it.
async fn log_end(
    link: &Link,
    partition: &Partition,
    leader: Leader,
    patience: Duration,
) -> Result<i64, Error> {
    let epoch = leader.epoch.unwrap_or(-1);
    let asked = OffsetForLeaderPartition::default()
        .with_partition(partition.name.partition)
        .with_current_leader_epoch(epoch)
        .with_leader_epoch(epoch);
    let topic = OffsetForLeaderTopic::default()
        .with_topic(TopicName(StrBytes::from_string(partition.name.topic.to_string())))
        .with_partitions(vec![asked]);
    let request = OffsetForLeaderEpochRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topic]);
    let response = link.call(&request, patience).await?;
    let api = OffsetForLeaderEpochRequest::NAME;
    let answer = response
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .find(|answer| answer.partition == partition.name.partition)
        .ok_or_else(|| link.left_out(&partition.name))?;
    if let Some(code) = ErrorCode::new(answer.error_code) {
        return Err(Error::kafka(code, api, link.broker(), partition.name.to_string()));
    }
    if answer.end_offset < 0 {
        let code = ErrorCode::UNKNOWN_LEADER_EPOCH;
        return Err(Error::kafka(code, api, link.broker(), partition.name.to_string()));
    }
    Ok(answer.end_offset)
}

/// Reads once from `offset` on, and compares what comes with what was sent.
async fn recognise(
    link: &Link,
    partition: &Partition,
    leader: Leader,
    offset: i64,
    patience: Duration,
) -> Result<(), Error> {
    let request = PartitionRequest {
        topic: &partition.name.topic,
        topic_id: partition.topic_id,
        partition: partition.name.partition,
        leader_epoch: leader.epoch.unwrap_or(-1),
        offset,
        last_epoch: -1,
        max_bytes: MAX_BYTES,
    };
    let answer = fetch_one(link, request, WAIT_MS, patience).await?;
    for entry in BatchIter::new(answer.records) {
        let found = match entry.map_err(PartitionProblem::from) {
            Ok(LogEntry::Batch(batch)) => partition.found(&batch.header),
            Ok(LogEntry::Legacy(entry)) => Err(PartitionProblem::ForeignWrite {
                offset: entry.offset,
                found: "a message of an old format".to_owned(),
            }),
            Err(problem) => Err(problem),
        };
        found.map_err(|problem| partition.error(problem))?;
    }
    Ok(())
}
