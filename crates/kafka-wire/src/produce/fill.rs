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
//! a connection that was lost (`doubt.rs`).

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

/// Markers of one request. A broker appends them one by one, some thousands in a second.
const MOST_MARKERS: i64 = 2_000;
/// Requests for markers under way at the same time: each keeps a thread of a broker busy.
pub(super) const FILLING: usize = 4;
/// A name that no topic can have.
const NO_TOPIC: &str = "/";

/// The producer id and epoch that markers carry. It is not that of the batches, whose sequence numbers are not to depend on
/// what a broker makes of markers.
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
    /// producer id is unique in a cluster, and nobody else has this one.
    pub(super) fn filled_by(self, stored: &BatchHeader, offset: i64) -> Option<Self> {
        let ours = stored.is_control()
            && stored.producer_id == self.identity.0
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
        let Some(gap) = partition.gap() else {
            return Ok(());
        };
        let written = if told.take() == Some(gap) {
            let offset = partition.acknowledged_offset();
            Err(partition.error(PartitionProblem::MarkersMissing { offset }))
        } else {
            self.write_markers(partition, gap).await
        };
        *told = written.is_ok().then_some(gap);
        partition.marked(written)
    }

    async fn write_markers(&self, partition: &Partition, gap: Gap) -> Result<(), Error> {
        let _turn = self.filling.acquire().await;
        let leader = self.cluster.leader(&partition.name).await?;
        partition.is_of_topic(leader.topic_id)?;
        // Connections of their own: on others, batches of other partitions would have to wait for the markers.
        let shard = usize::MAX - partition.name.partition.unsigned_abs() as usize % FILLING;
        let link = self.cluster.link(leader.node, Role::Produce, shard).await?;
        let request = request(&partition.name, gap.identity, gap.missing.min(MOST_MARKERS));
        let answered = link.call(&request, self.options.answer_timeout()).await;
        if matches!(answered, Err(Error::InDoubt { .. })) {
            partition.doubts(Doubt {
                node: leader.node,
                link: link.clone(),
                patience: self.options.answer_timeout().saturating_mul(FILLING as u32),
            });
        }
        outcome(&answered?, &partition.name, &link)
    }
}

impl Cluster {
    /// Asks whether this user may fill gaps (see [`PartitionWriter::fill_to`](crate::PartitionWriter::fill_to)), without
    /// writing anything: by a marker for a topic that cannot be.
    ///
    /// # Errors
    /// [`Error::Kafka`] with `CLUSTER_AUTHORIZATION_FAILED` when it may not: it takes the right to `ClusterAction`, on newer
    /// brokers to that or to `Alter`, on the cluster. [`Error::UnsupportedApi`] when the broker does not offer it.
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
