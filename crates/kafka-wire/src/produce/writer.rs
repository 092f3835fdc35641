//! The handles: a producer, and a writer for each partition.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::InitProducerIdRequest;
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ProducerOptions;
use super::claims::{Claim, Claims};
use super::ledger::Ledger;
use super::partition::{Partition, Progress};
use super::shared::Shared;
use crate::batch::RawBatch;
use crate::cluster::{Cluster, TopicPartition};
use crate::connection::Api;
use crate::error::{Error, ErrorCode};
use crate::problem::PartitionProblem;
use crate::retry::{Effect, Limits};

/// An idempotent producer of whole batches. Clones share it; it ends when the last clone and the last writer are dropped.
#[derive(Debug, Clone)]
pub struct Producer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    producer_id: i64,
    producer_epoch: i16,
    claims: Claims,
    /// The producer id of markers, got when the first gap is to be filled.
    marker_id: OnceCell<i64>,
    /// Ends the tasks.
    _close: DropGuard,
}

impl Producer {
    /// Gets a producer id from the cluster.
    ///
    /// # Errors
    /// When no broker gives one in the time allowed by `retry_timeout`.
    pub async fn start(cluster: &Cluster, options: ProducerOptions) -> Result<Self, Error> {
        let (producer_id, producer_epoch) = init_producer_id(cluster).await?;
        let closed = CancellationToken::new();
        let shared = Arc::new(Shared::new(cluster.clone(), options, closed.clone()));
        let inner = Inner {
            shared,
            producer_id,
            producer_epoch,
            claims: Claims::default(),
            marker_id: OnceCell::new(),
            _close: closed.drop_guard(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The id that batches of this producer carry in the log. It is new for every producer.
    pub fn producer_id(&self) -> i64 {
        self.inner.producer_id
    }

    /// How long brokers have made the producer wait because of quotas: the throttle times of all answers together. Several
    /// connections may wait at the same time, so it can be more than has passed.
    pub fn throttled(&self) -> Duration {
        self.inner.shared.throttled.total()
    }

    /// A writer for a partition whose log ends at `next_offset`. Nobody else may write to the partition meanwhile.
    ///
    /// A partition can be written again after its writer was dropped. What that one had not [flushed](PartitionWriter::flush)
    /// may still arrive, and is then what somebody else has written.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when the partition has another writer of this producer;
    /// [`PartitionProblem::ForeignWrite`] or [`PartitionProblem::LogShrunk`] when the log ends elsewhere, everything
    /// included that the leader holds and has not replicated yet; what keeps the leader from being asked.
    pub async fn partition(
        &self,
        topic: impl Into<Arc<str>>,
        partition: i32,
        next_offset: i64,
    ) -> Result<PartitionWriter, Error> {
        let name = TopicPartition::new(topic, partition);
        let claim = self.inner.claims.take(&name, self.inner.producer_epoch)?;
        let ledger = Ledger::new(self.inner.producer_id, claim.epoch, next_offset)
            .telling(Arc::clone(&claim.newest_epoch));
        self.open(name, ledger, claim).await
    }

    #[cfg(test)]
    pub(super) fn turns(&self) -> &super::fill::Turns {
        &self.inner.shared.turns
    }

    /// A writer that begins with this ledger.
    async fn open(
        &self,
        name: TopicPartition,
        ledger: Ledger,
        claim: Claim,
    ) -> Result<PartitionWriter, Error> {
        let shared = &self.inner.shared;
        let topic_id = topic_id(&shared.cluster, &name).await?;
        let partition = Arc::new(Partition::new(
            name,
            topic_id,
            ledger,
            shared.options.partition_queue_bytes,
            Limits::new(shared.cluster.config(), shared.options.give_up_after),
        ));
        shared.settle(&partition).await?;
        let progress = partition.progress();
        Ok(PartitionWriter {
            partition,
            progress,
            claim,
            producer: self.clone(),
        })
    }
}

/// Writes one partition, in order. Dropping it without [`flush`](Self::flush) leaves open how much was written.
#[derive(Debug)]
pub struct PartitionWriter {
    partition: Arc<Partition>,
    progress: watch::Receiver<Progress>,
    /// Ends with the writer.
    claim: Claim,
    /// The tasks that do the work end with the producer.
    producer: Producer,
}

impl PartitionWriter {
    /// Takes a batch to be written after all earlier ones; returns the offset that its first record gets. Waits while as
    /// much is on its way as the queue may hold.
    ///
    /// The record bytes go out as they are; the header gets the producer's identity, and loses what belongs to the log
    /// that the batch was read from. Nothing was taken when the future is dropped before it ends.
    ///
    /// # Errors
    /// A batch that cannot be sent without changing its records (see [`Passthrough`](crate::batch::Passthrough)) is
    /// refused, and the writer may go on with another one. Other errors are what ended the writing: every later call
    /// returns the same.
    pub async fn append(&mut self, batch: RawBatch) -> Result<i64, Error> {
        self.partition.append(batch).await
    }

    /// Takes a gap: the next batch gets `offset`, and each offset in between a transaction marker, which consumers skip. So a
    /// log can be given the offsets of another one, from which records are missing. For what comes before the first record
    /// see [`begin_at`](Self::begin_at).
    ///
    /// Waits until all that was appended before is in the log, markers of an earlier gap included, and not for the markers of
    /// this one: [`flush`](Self::flush) does, and what is appended now comes behind them. Brokers write thousands to tens of
    /// thousands of them in a second; each takes about 80 bytes of the log, until compaction removes it. A look-up by time may
    /// find a marker, whose time is the broker's, so it lands too early rather than too late. Nothing was taken when the future
    /// is dropped before it ends.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when `offset` is taken already. What keeps the first gap of a producer from getting a producer
    /// id in the time allowed by `retry_timeout`. What ended the writing: among others that the user may not write markers,
    /// which [`Cluster::check_marker_rights`] tells beforehand.
    pub async fn fill_to(&mut self, offset: i64) -> Result<(), Error> {
        let next = self.next_offset();
        if offset < next {
            let reason = format!("cannot be filled to offset {offset}: the next batch gets {next} already");
            return Err(self.refused(reason));
        }
        if offset == next {
            return Ok(());
        }
        let Inner {
            shared, marker_id, ..
        } = &*self.producer.inner;
        let new_id = async || Ok::<_, Error>(init_producer_id(&shared.cluster).await?.0);
        let identity = (*marker_id.get_or_try_init(new_id).await?, self.claim.epoch);
        self.flush().await?;
        if self.partition.open_gap(offset, identity)? {
            let shared = &self.producer.inner.shared;
            shared.settle_later(Arc::clone(&self.partition));
        }
        Ok(())
    }

    /// Waits until everything appended is in the log, on all in-sync replicas; returns the offset after it.
    ///
    /// # Errors
    /// What ended the writing. Everything below [`acknowledged`](Self::acknowledged) is in the log, what follows may be.
    pub async fn flush(&mut self) -> Result<i64, Error> {
        let wanted = self.partition.next_offset();
        let reached = self
            .progress
            .wait_for(|progress| progress.failed || progress.acknowledged >= wanted)
            .await
            .map(|progress| *progress);
        match reached {
            Ok(Progress {
                failed: false,
                acknowledged,
            }) => Ok(acknowledged),
            Ok(Progress { failed: true, .. }) | Err(_) => Err(self.partition.failure()),
        }
    }

    /// The offset after everything that is known to be in the log, on all in-sync replicas.
    pub fn acknowledged(&self) -> i64 {
        self.progress.borrow().acknowledged
    }

    /// Waits until [`acknowledged`](Self::acknowledged) has passed `offset`; returns it.
    ///
    /// # Errors
    /// What ended the writing.
    pub async fn acknowledged_beyond(&mut self, offset: i64) -> Result<i64, Error> {
        let reached = self
            .progress
            .wait_for(|progress| progress.failed || progress.acknowledged > offset)
            .await
            .map(|progress| *progress);
        match reached {
            Ok(Progress {
                failed: false,
                acknowledged,
            }) => Ok(acknowledged),
            Ok(Progress { failed: true, .. }) | Err(_) => Err(self.partition.failure()),
        }
    }

    /// The offset that the next batch gets.
    pub fn next_offset(&self) -> i64 {
        self.partition.next_offset()
    }

    /// Which partition it writes.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition.name
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.producer.inner.shared.cluster
    }

    /// The error for a call that cannot be meant.
    pub(super) fn refused(&self, reason: String) -> Error {
        Error::InvalidRequest {
            subject: self.partition.name.to_string(),
            reason,
        }
    }

    pub(super) fn error(&self, problem: impl Into<PartitionProblem>) -> Error {
        self.partition.error(problem.into())
    }
}

impl Drop for PartitionWriter {
    fn drop(&mut self) {
        let closed = self.partition.error(PartitionProblem::ProducerClosed);
        self.partition.fail(closed);
    }
}

async fn topic_id(cluster: &Cluster, name: &TopicPartition) -> Result<[u8; 16], Error> {
    let mut retry = cluster.retry(Effect::Repeatable);
    loop {
        match cluster.leader(name).await {
            Ok(leader) => return Ok(leader.topic_id.unwrap_or_default()),
            Err(error) => retry.pause(error).await?,
        }
    }
}

/// A fresh cluster answers with 14 until its coordinator is there.
async fn init_producer_id(cluster: &Cluster) -> Result<(i64, i16), Error> {
    let mut retry = cluster.retry(Effect::Repeatable);
    // No transactional id: any broker hands out an id that nobody has had.
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000);
    loop {
        let error = match ask_producer_id(cluster, &request).await {
            Ok(identity) => return Ok(identity),
            Err(error) => error,
        };
        retry.pause(error).await?;
    }
}

async fn ask_producer_id(cluster: &Cluster, request: &InitProducerIdRequest) -> Result<(i64, i16), Error> {
    let link = cluster.any_link().await?;
    let response = link.call(request, cluster.config().request_timeout).await?;
    match ErrorCode::new(response.error_code) {
        None => Ok((response.producer_id.0, response.producer_epoch)),
        Some(code) => Err(Error::kafka(code, InitProducerIdRequest::NAME, link.broker(), "")),
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
