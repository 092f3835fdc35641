//! Letting an empty log begin at another offset than it does.

use super::writer::PartitionWriter;
use crate::batch::{BatchBuilder, BatchError, Codec, NewRecord, RawBatch};
use crate::cluster::PartitionResults;
use crate::error::Error;
use crate::offsets::{IsolationLevel, OffsetSpec};
use crate::retry::{Limits, Streak};

/// Records of a filler batch. Compressed it has 16 KiB, so that topics that take only small batches take it, too.
const FILLERS: i32 = 20_000;
/// Offsets that are taken before they are deleted: 8 MB of a log, or 90 MB where the broker does not keep the compression.
const STEP: i64 = 10_000_000;

impl PartitionWriter {
    /// Lets an empty log begin at `offset`: the next batch gets it, and nothing is before it.
    ///
    /// Batches of empty records go first, and are deleted again: less than a byte for each offset is written, unless the
    /// topic's `compression.type` has the broker write them anew, and a broker takes some millions of offsets in a second. It
    /// has to know zstd (2.1). When this was interrupted, the log holds empty records from its start to its end. Whoever knows
    /// that there is nothing else deletes them by [`Cluster::delete_records`](crate::Cluster::delete_records), and calls again
    /// with a writer that begins at the end.
    ///
    /// A broker writes the starts of its logs to disk from time to time only (`log.flush.start.offset.checkpoint.interval.ms`,
    /// a minute). When all replicas are killed before, what was deleted is there again, and is to be deleted again.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when the log is not empty, or ends behind `offset`. What the broker says when records may not
    /// be deleted: the user has no right to, or the topic's `cleanup.policy` is only `compact`. All these are found out before
    /// anything is written. Else what ended the writing, or keeps records from being deleted.
    pub async fn begin_at(&mut self, offset: i64) -> Result<(), Error> {
        let end = self.flush().await?;
        if offset < end {
            return Err(self.refused(format!("cannot begin at offset {offset}: its log ends at {end}")));
        }
        let start = self.log_start().await?;
        if start != end {
            let reason = format!(
                "cannot begin at offset {offset}: its log has records at the offsets {start} to {}, and has to be empty",
                end - 1
            );
            return Err(self.refused(reason));
        }
        if offset == end {
            return Ok(());
        }
        // Deletes nothing, and shows whether it is allowed.
        self.delete_before(end).await?;
        let full = self.filler(FILLERS)?;
        while self.next_offset() < offset {
            let step = offset.min(self.next_offset().saturating_add(STEP));
            self.append_fillers(&full, step).await?;
            self.flush().await?;
            self.delete_before(step).await?;
        }
        Ok(())
    }

    /// Takes all offsets before `end`.
    async fn append_fillers(&mut self, full: &RawBatch, end: i64) -> Result<(), Error> {
        loop {
            let batch = match i32::try_from(end - self.next_offset()) {
                Ok(0) => return Ok(()),
                Ok(rest @ ..FILLERS) => self.filler(rest)?,
                _ => full.clone(),
            };
            self.append(batch).await?;
        }
    }

    async fn log_start(&self) -> Result<i64, Error> {
        let name = [self.partition().clone()];
        let isolation = IsolationLevel::ReadUncommitted;
        let listed = self
            .cluster()
            .list_offsets(&name, OffsetSpec::Earliest, isolation);
        Ok(self.only(listed.await)?.offset)
    }

    /// Deletes what lies before an acknowledged offset. A new leader learns only by and by that it is acknowledged, and says
    /// until then that it is out of range.
    async fn delete_before(&self, offset: i64) -> Result<(), Error> {
        let before = [(self.partition().clone(), offset)];
        let mut streak = Streak::new(Limits::new(self.cluster().config(), None));
        loop {
            match self.only(self.cluster().delete_records(&before).await) {
                Ok(_) => return Ok(()),
                Err(error) => tokio::time::sleep(streak.failed(error)?).await,
            }
        }
    }

    /// The answer for the one partition that was asked about.
    fn only<T>(&self, results: PartitionResults<T>) -> Result<T, Error> {
        let missing = || Error::LeftOut {
            broker: "the leader".into(),
            what: self.partition().to_string(),
        };
        results.into_iter().next().ok_or_else(missing)?.1
    }

    fn filler(&self, records: i32) -> Result<RawBatch, Error> {
        filler(records).map_err(|problem| self.error(problem))
    }
}

/// Records that are there for their offsets. Their keys are empty, as compacted topics take none without; they have no time,
/// so that none is too old to be accepted, and none is found by a look-up.
fn filler(records: i32) -> Result<RawBatch, BatchError> {
    let mut builder = BatchBuilder::new().compression(Codec::Zstd, None);
    for _ in 0..records {
        builder.push(&NewRecord {
            timestamp: -1,
            key: Some(b""),
            ..NewRecord::default()
        })?;
    }
    builder.build()
}
