//! Where the reading of one partition stands, and what a response does to it. No input or output here.

use std::sync::Arc;

use super::place::{Order, Place, Span};
use super::replica::Replica;
use super::response::PartitionResponse;
use super::{FetchPartition, FetchedBatches};
use crate::batch::{BatchIter, LogEntry, RawBatch};
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
    /// Whether an entry that was read ends at `offset`.
    at_edge: bool,
    /// Where an entry was that is believed to be there when another answer says so too.
    doubted: Option<i64>,
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
    /// The broker to read from, whatever the leader would say. Without it, the leader is asked which one is near.
    pub(super) replica: Option<Replica>,
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
    /// A batch whose place another answer has to confirm.
    Doubtful,
}

impl Cursor {
    pub(super) fn new(partition: FetchPartition, max_bytes: usize, limits: Limits) -> Self {
        Self {
            topic: partition.topic,
            topic_id: partition.topic_id,
            partition: partition.partition,
            offset: partition.start_offset,
            end_offset: partition.end_offset,
            at_edge: false,
            doubted: None,
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
        let mut order = Order::new(start, self.at_edge, response.high_watermark, self.doubted);
        let mut entries = BatchIter::new(records.clone()).peekable();
        let (mut place, mut largest) = (None, 0);
        while let Some(entry) = entries.next() {
            let passed = entry.map_err(PartitionProblem::from).and_then(|entry| {
                let follower = entries.peek().and_then(|next| next.as_ref().ok()).map(Span::of);
                let passed = order.place(Span::of(&entry), follower);
                largest = largest.max(length(&entry));
                self.pass(entry, passed, &mut filter, &mut fetched)
            });
            match passed {
                Ok(passed) => place = Some(passed),
                // What came before is whole. The next answer starts with the culprit.
                Err(_) if self.offset > start => break,
                Err(problem) => return Err(problem),
            }
            if place == Some(Place::Doubtful) || self.is_finished() {
                break;
            }
        }
        fetched.next_offset = self.offset;
        if self.offset > start {
            self.stuck_answers = 0;
            self.max_bytes = self.usual_max_bytes.max(largest);
            return Ok(Outcome::Progress(fetched));
        }
        match place {
            None if records.is_empty() => Ok(Outcome::Empty),
            None => {
                self.needs = whole_entry(&records);
                self.max_bytes = self.max_bytes.saturating_mul(2).max(self.needs);
                Ok(Outcome::Cut)
            }
            Some(Place::Doubtful) => Ok(Outcome::Doubtful),
            Some(_) => {
                self.stuck_answers += 1;
                // What lies before the offset may be all that fits.
                self.max_bytes = self.max_bytes.saturating_mul(2);
                Ok(Outcome::Stuck)
            }
        }
    }

    /// Goes on behind an entry when it is what comes next.
    fn pass(
        &mut self,
        entry: LogEntry,
        place: Place,
        filter: &mut AbortedFilter,
        fetched: &mut FetchedBatches,
    ) -> Result<Place, PartitionProblem> {
        let at = Span::of(&entry);
        let out_of_place = PartitionProblem::OutOfPlace {
            offset: self.offset,
            found: at.known(),
            high_watermark: fetched.high_watermark,
        };
        match place {
            Place::Before => {}
            Place::Wrong => return Err(out_of_place),
            Place::Doubtful => {
                let others = self.doubted.replace(at.known());
                if others.is_some_and(|other| other != at.known()) {
                    return Err(out_of_place);
                }
            }
            Place::Due => {
                match self
                    .end_offset
                    .filter(|&end| at.first.is_some_and(|first| first >= end))
                {
                    // Only a gap lies between.
                    Some(end) => {
                        self.offset = self.offset.max(end);
                        fetched.last_epoch = None;
                    }
                    None => {
                        self.take(entry, filter, fetched)?;
                        self.offset = at.next;
                    }
                }
                self.at_edge = true;
                self.doubted = None;
            }
        }
        Ok(place)
    }

    /// Keeps an entry if it is visible.
    fn take(
        &mut self,
        entry: LogEntry,
        filter: &mut AbortedFilter,
        fetched: &mut FetchedBatches,
    ) -> Result<(), PartitionProblem> {
        fetched.last_epoch = None;
        match &entry {
            LogEntry::Legacy(legacy) => {
                legacy.verify_crc()?;
                fetched.batches.push(entry);
            }
            LogEntry::Batch(batch) => {
                batch.verify_crc()?;
                self.last_epoch = self.plausible_epoch(batch);
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
        Ok(())
    }

    /// The leader epoch of a batch, -1 when it can be none. The checksum does not cover it, and the broker would conclude
    /// from a wrong one that the log was truncated.
    fn plausible_epoch(&self, batch: &RawBatch) -> i32 {
        let epoch = batch.header.partition_leader_epoch;
        let newest = if self.leader_epoch < 0 {
            i32::MAX
        } else {
            self.leader_epoch
        };
        if (self.last_epoch..=newest).contains(&epoch) {
            epoch
        } else {
            -1
        }
    }

    /// Asks for the usual number of bytes again, as the number in the last answer cannot be right.
    pub(super) fn asks_as_usual(&mut self) {
        self.max_bytes = self.usual_max_bytes;
    }
}

fn length(entry: &LogEntry) -> usize {
    match entry {
        LogEntry::Batch(batch) => batch.bytes.len(),
        LogEntry::Legacy(entry) => entry.bytes.len(),
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

#[cfg(test)]
#[path = "flip_tests.rs"]
mod flips;
