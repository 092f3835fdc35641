//! Gaps of offsets, filled with transaction markers.
//!
//! A log that is to have the offsets of another one lacks what that one no longer has: compacted records, its own markers,
//! data of aborted transactions. A marker takes one offset, and consumers skip it, whether or not there ever was a
//! transaction; so as many markers as offsets are missing stand in for them (KIP-98; AK `KafkaApis`, `WriteTxnMarkers`).
//!
//! ```text
//! everything before is acknowledged -> look at the log (`settle.rs`) -> enough? what is kept goes on
//!                                        ^            |
//!                                        |         too few
//!                                        |            v
//!                                        +------ write markers
//! ```
//!
//! So a gap is filled by the task that looks at the log, and there is one of them for a partition at a time.
//!
//! What the broker answers is not believed, for better or worse: it tells one outcome for all markers of a producer id, that
//! of the last one, and no offsets. A marker has no sequence number either, so nothing keeps a repeated request from being
//! appended again. Therefore each of them is found in the log before the next is written, and the broker has to be done with
//! a connection that was lost (`doubt.rs`). What it appends nevertheless, as something between has cut the connection, shows:
//! by the next look, or by the offset of the next batch. A dropped writer's markers that come late are refused as soon as
//! there is one of a later writer, which has a higher epoch.
//!
//! The request names the topic, and no topic id. A topic that was made anew may get some markers before that is noticed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{ProducerId, WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use super::doubt::Doubt;
use super::partition::Partition;
use super::shared::Shared;
use crate::batch::BatchHeader;
use crate::cluster::{Cluster, TopicPartition};
use crate::connection::{Api, Link, Role, topic_name};
use crate::error::{Error, ErrorCode};
use crate::problem::PartitionProblem;
use crate::retry::Effect;

/// Markers of one request. A broker appends them one by one, thousands to tens of thousands in a second.
const MOST_MARKERS: i64 = 2_000;
/// Connections to a broker for markers, with one request at a time: each keeps a thread of the broker busy. On the connections
/// of batches, those of other partitions would have to wait.
const CONNECTIONS: usize = 4;
/// A name that no topic can have.
const NO_TOPIC: &str = "/";

/// The producer id and epoch that markers carry. The id is not that of the batches, whose sequence numbers are not to depend
/// on what a broker makes of markers; the epoch is that with which the writer began.
pub(super) type MarkerIdentity = (i64, i16);

/// Offsets to be filled, from what is acknowledged on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) identity: MarkerIdentity,
    /// How many.
    pub(super) missing: i64,
}

impl Gap {
    /// What is left of it when a batch of the log, the first that was not acknowledged, at `offset`, is one of its markers: a
    /// producer id is unique in a cluster, and of this producer's writers for a partition each has another epoch.
    pub(super) fn filled_by(self, stored: &BatchHeader, offset: i64) -> Option<Self> {
        let ours = stored.is_control()
            && (stored.producer_id, stored.producer_epoch) == self.identity
            && (stored.base_offset, stored.next_offset()) == (offset, offset + 1);
        ours.then_some(Self {
            missing: self.missing - 1,
            ..self
        })
    }
}

impl Shared {
    /// Writes markers into the partition's gap, as many as one request may have. Only the log tells how many it took.
    /// `told` is what was left when the broker last said that it had written some.
    ///
    /// # Errors
    /// What does not pass, or has not passed in the time that is allowed.
    pub(super) async fn fill(&self, partition: &Partition, told: &mut Option<Gap>) -> Result<(), Error> {
        let gap = partition.gap();
        let written = if gap.is_some() && told.take() == gap {
            let offset = partition.acknowledged_offset();
            Err(partition.error(PartitionProblem::MarkersMissing { offset }))
        } else {
            self.write_markers(partition).await
        };
        *told = gap.filter(|_| written.is_ok());
        partition.marked(written)
    }

    async fn write_markers(&self, partition: &Partition) -> Result<(), Error> {
        let leader = self.cluster.leader(&partition.name).await?;
        partition.is_of_topic(leader.topic_id)?;
        let shard = shard(&partition.name);
        let _turn = self.turns.take(leader.node, shard).await;
        let link = self.cluster.link(leader.node, Role::Produce, shard).await?;
        // The writer may have been dropped meanwhile.
        let Some(gap) = partition.gap() else {
            return Ok(());
        };
        let request = request(&partition.name, gap.identity, gap.missing.min(MOST_MARKERS));
        let patience = self.options.answer_timeout();
        let answered = link.call(&request, patience).await;
        if matches!(answered, Err(Error::InDoubt { .. })) {
            partition.doubts(Doubt {
                node: leader.node,
                link: link.clone(),
                patience,
            });
        }
        outcome(&answered?, &partition.name, &link)
    }
}

/// The connection for a partition's markers. Those for batches are counted from 0 on.
pub(super) fn shard(name: &TopicPartition) -> usize {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    usize::MAX - hasher.finish() as usize % CONNECTIONS
}

/// Who has it may have markers written.
type Turn = Arc<tokio::sync::Mutex<()>>;

/// Whose turn it is on each connection for markers, by node id and shard.
#[derive(Debug, Default)]
pub(super) struct Turns {
    connections: Mutex<BTreeMap<(i32, usize), Turn>>,
}

impl Turns {
    pub(super) async fn take(&self, node: i32, shard: usize) -> OwnedMutexGuard<()> {
        let turn = {
            let mut all = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry((node, shard)).or_default())
        };
        turn.lock_owned().await
    }
}

impl Cluster {
    /// Asks whether this user may fill gaps (see [`PartitionWriter::fill_to`](crate::PartitionWriter::fill_to)), without
    /// writing anything: by a marker for a topic that cannot be.
    ///
    /// # Errors
    /// [`Error::Kafka`] with `CLUSTER_AUTHORIZATION_FAILED` when it may not: it takes the right to `ClusterAction`, on newer
    /// brokers to that or to `Alter`, on the cluster. [`Error::UnsupportedApi`] when the broker does not offer it. What keeps
    /// the brokers from answering in the time allowed by `retry_timeout`.
    pub async fn check_marker_rights(&self) -> Result<(), Error> {
        let nowhere = TopicPartition::new(NO_TOPIC, 0);
        let request = request(&nowhere, (0, 0), 1);
        let mut retry = self.retry(Effect::Repeatable);
        loop {
            let asked = async {
                let link = self.any_link().await?;
                let response = link.call(&request, self.config().request_timeout).await?;
                outcome(&response, &nowhere, &link)
            };
            match asked.await {
                Err(error) if error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => return Ok(()),
                Ok(()) => return Ok(()),
                Err(error) => retry.pause(error).await?,
            }
        }
    }
}

/// Markers of transactions that were aborted. Consumers make no difference, as there was none.
fn request(
    name: &TopicPartition,
    (producer_id, epoch): MarkerIdentity,
    count: i64,
) -> WriteTxnMarkersRequest {
    let topic = WritableTxnMarkerTopic::default()
        .with_name(topic_name(&name.topic))
        .with_partition_indexes(vec![name.partition]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(ProducerId(producer_id))
        .with_producer_epoch(epoch)
        .with_transaction_result(false)
        .with_topics(vec![topic])
        .with_coordinator_epoch(0);
    let count = usize::try_from(count).unwrap_or_default();
    WriteTxnMarkersRequest::default().with_markers(vec![marker; count])
}

/// The first error that the broker tells.
fn outcome(response: &WriteTxnMarkersResponse, name: &TopicPartition, link: &Link) -> Result<(), Error> {
    let mut answers = (response.markers.iter())
        .flat_map(|marker| &marker.topics)
        .filter(|topic| *topic.name.0 == *name.topic)
        .flat_map(|topic| &topic.partitions)
        .filter(|answer| answer.partition_index == name.partition)
        .map(|answer| ErrorCode::new(answer.error_code))
        .peekable();
    answers.peek().ok_or_else(|| link.left_out(name))?;
    match answers.flatten().next() {
        None => Ok(()),
        Some(code) => {
            let api = WriteTxnMarkersRequest::NAME;
            Err(Error::kafka(code, api, link.broker(), name.to_string()))
        }
    }
}
