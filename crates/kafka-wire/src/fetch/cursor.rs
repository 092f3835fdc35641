//! Where the reading of one partition stands, and what a response does to it. No input or output here.

use std::sync::Arc;

use tokio::time::Instant;

use super::response::PartitionResponse;
use super::{FetchPartition, FetchedBatches};
use crate::batch::{BatchError, BatchIter, Codec, LogEntry};
use crate::problem::PartitionProblem;
use crate::retry::{Limits, Streak};
use crate::transactions::{AbortedFilter, BatchFacts, Visibility};

/// The reading position of one partition. It is in exactly one place at a time: a queue, a lane or the router.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) topic: Arc<str>,
    pub(super) topic_id: [u8; 16],
    pub(super) partition: i32,
    /// The next offset to be read.
    pub(super) offset: i64,
    /// Reading ends before this offset; never when `None`.
    pub(super) end_offset: Option<i64>,
    /// Leader epoch of the last batch read, -1 when unknown.
    pub(super) last_epoch: i32,
    /// The leader, -1 before there is one.
    pub(super) leader: i32,
    /// Its epoch, -1 when unknown.
    pub(super) leader_epoch: i32,
    /// Whether this leader's log is known to hold what was read; of use where fetches do not tell.
    pub(super) confirmed: bool,
    /// Bytes to ask for; grows when a batch turns out to be larger.
    pub(super) max_bytes: usize,
    /// Bytes to ask for when nothing suggests otherwise.
    usual_max_bytes: usize,
    /// Bytes of the batch that was cut last.
    pub(super) needs: usize,
    /// Whether the last answer suggests that there is more to read now.
    pub(super) hot: bool,
    /// The broker to read from instead of the leader, and until when.
    pub(super) replica: Option<(i32, Instant)>,
    /// Answers in a row without progress.
    pub(super) stuck_answers: u32,
    /// The failures since the last good answer.
    pub(super) streak: Streak,
}

/// What a response means for a partition.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Offsets were passed.
    Progress(FetchedBatches),
    /// Nothing there, or nothing fitted into the response.
    Empty,
    /// The first batch was cut: the cursor now asks for enough bytes.
    Cut,
    /// Whole batches, all of them before the offset.
    Stuck,
}

impl Cursor {
    pub(super) fn new(partition: FetchPartition, max_bytes: usize, limits: Limits) -> Self {
        Self {
            topic: partition.topic,
            topic_id: partition.topic_id,
            partition: partition.partition,
            offset: partition.start_offset,
            end_offset: partition.end_offset,
            last_epoch: partition.last_epoch.unwrap_or(-1),
            leader: -1,
            leader_epoch: -1,
            confirmed: false,
            max_bytes,
            usual_max_bytes: max_bytes,
            needs: 0,
            hot: true,
            replica: None,
            stuck_answers: 0,
            streak: Streak::new(limits),
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.end_offset.is_some_and(|end| self.offset >= end)
    }

    /// Takes in an answer without an error code: moves the offset behind every whole batch, and keeps those that are
    /// visible.
    pub(super) fn advance(
        &mut self,
        response: PartitionResponse,
        read_committed: bool,
    ) -> Result<Outcome, PartitionProblem> {
        let aborted = if read_committed {
            response.aborted
        } else {
            Vec::new()
        };
        let mut filter = AbortedFilter::new(aborted);
        let mut fetched = FetchedBatches {
            batches: Vec::new(),
            slab: response.records.clone(),
            aborted_records: 0,
            aborted_batches: 0,
            control_batches: 0,
            next_offset: self.offset,
            last_epoch: None,
            log_start_offset: response.log_start_offset,
            high_watermark: response.high_watermark,
            last_stable_offset: Some(response.last_stable_offset).filter(|&offset| offset >= 0),
        };
        let start = self.offset;
        let records = response.records;
        let mut entries = BatchIter::new(records.clone());
        for entry in entries.by_ref() {
            match self.take(entry, &mut filter, &mut fetched) {
                Ok(()) if self.is_finished() => break,
                Ok(()) => {}
                // What came before is whole. The next answer starts with the culprit.
                Err(_) if self.offset > start => break,
                Err(problem) => return Err(problem),
            }
        }
        fetched.next_offset = self.offset;
        if self.offset > start {
            self.stuck_answers = 0;
            if records.len() <= self.usual_max_bytes {
                self.max_bytes = self.usual_max_bytes;
            }
            return Ok(Outcome::Progress(fetched));
        }
        if records.is_empty() {
            return Ok(Outcome::Empty);
        }
        if entries.position() == 0 {
            self.needs = whole_entry(&records);
            self.max_bytes = self.max_bytes.saturating_mul(2).max(self.needs);
            return Ok(Outcome::Cut);
        }
        self.stuck_answers += 1;
        // What lies before the offset may be all that fits.
        self.max_bytes = self.max_bytes.saturating_mul(2);
        Ok(Outcome::Stuck)
    }

    fn take(
        &mut self,
        entry: Result<LogEntry, BatchError>,
        filter: &mut AbortedFilter,
        fetched: &mut FetchedBatches,
    ) -> Result<(), PartitionProblem> {
        let entry = entry?;
        let next_offset = entry.next_offset();
        if next_offset <= self.offset {
            return Ok(());
        }
        if let Some(end) = self.end_offset.filter(|&end| first_offset(&entry) >= end) {
            if self.offset < end {
                self.offset = end;
                fetched.last_epoch = None;
            }
            return Ok(());
        }
        fetched.last_epoch = None;
        match &entry {
            LogEntry::Legacy(legacy) => {
                legacy.verify_crc()?;
                fetched.batches.push(entry);
            }
            LogEntry::Batch(batch) => {
                batch.verify_crc()?;
                self.last_epoch = batch.header.partition_leader_epoch;
                fetched.last_epoch = Some(self.last_epoch).filter(|&epoch| epoch >= 0);
                match filter.classify(BatchFacts::of(batch)) {
                    Visibility::Visible if batch.header.record_count == 0 => {}
                    Visibility::Visible => fetched.batches.push(entry),
                    Visibility::Control => fetched.control_batches += 1,
                    Visibility::Aborted => {
                        fetched.aborted_batches += 1;
                        fetched.aborted_records += u64::from(batch.header.record_count.unsigned_abs());
                    }
                }
            }
        }
        self.offset = next_offset;
        Ok(())
    }
}

/// The first offset that an entry can hold. A compressed wrapper of an old format names only its last one.
fn first_offset(entry: &LogEntry) -> i64 {
    match entry {
        LogEntry::Batch(batch) => batch.header.base_offset,
        LogEntry::Legacy(entry) if entry.compression() != Ok(Codec::None) => i64::MIN,
        LogEntry::Legacy(entry) => entry.offset,
    }
}

/// How many bytes the entry has that starts here, if that much of it is there.
fn whole_entry(records: &[u8]) -> usize {
    match records {
        [_, _, _, _, _, _, _, _, a, b, c, d, ..] => usize::try_from(i32::from_be_bytes([*a, *b, *c, *d]))
            .map_or(0, |length| length.saturating_add(12)),
        _ => 0,
    }
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
pub(super) mod tests;
