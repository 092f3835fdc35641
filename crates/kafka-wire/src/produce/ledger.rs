//! The batches of one partition between being appended and being known to be in the log. No input or output here.
//!
//! ```text
//! append -> queue -> (sent) in flight -> acknowledged
//!             ^                |
//!             +--- settled ----+   after a failure: what the log does not hold is sent again, the same bytes
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use super::fill::{Gap, MarkerIdentity};
use crate::batch::{BatchHeader, HEADER_LEN, ProducePatch, RawBatch};
use crate::error::Error;
use crate::problem::PartitionProblem;

/// Batches that may be in flight for one partition. A broker remembers the last five of a producer, so that it can tell
/// that one was sent twice.
const MOST_IN_FLIGHT: usize = 5;

/// A batch on its way.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    batch: RawBatch,
    /// The batch's header as it is sent.
    pub(super) header: [u8; HEADER_LEN],
    /// The offset that its first record has to get.
    pub(super) base_offset: i64,
    /// The identity under which it is sent.
    pub(super) stamp: ProducePatch,
}

impl Parcel {
    fn records(&self) -> i64 {
        i64::from(self.batch.header.record_count)
    }

    /// What follows the header.
    pub(super) fn body(&self) -> bytes::Bytes {
        self.batch.stored_records_bytes()
    }

    /// Bytes of the whole batch.
    pub(super) fn len(&self) -> usize {
        self.batch.bytes.len()
    }

    pub(super) fn header(&self) -> &BatchHeader {
        &self.batch.header
    }

    /// Whether a batch of the log is this one. A producer id is unique in a cluster, so the first four fields decide.
    /// The checksum differs only where the broker has written the batch anew: with another codec, or its own time.
    fn is_stored_as(&self, stored: &BatchHeader) -> bool {
        let same_stamp = stored.producer_id == self.stamp.producer_id
            && stored.producer_epoch == self.stamp.producer_epoch
            && stored.base_sequence == self.stamp.base_sequence
            && stored.record_count == self.batch.header.record_count;
        let sent = BatchHeader::parse(&self.header);
        let same_bytes = sent.is_ok_and(|sent| {
            sent.crc == stored.crc
                || sent.attributes != stored.attributes
                || sent.max_timestamp != stored.max_timestamp
        });
        same_stamp && same_bytes && stored.base_offset == self.base_offset
    }
}

/// What an answer to a batch leads to.
#[derive(Debug)]
pub(super) enum Answered {
    /// Go on.
    Acknowledged,
    /// There was a failure, and other answers are still due.
    Draining,
    /// There was a failure, this one first, and nothing is in flight any more.
    Drained(Error),
    /// It is known already that nothing can go on.
    Broken(PartitionProblem),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ledger {
    producer_id: i64,
    producer_epoch: i16,
    /// Where to say that there is a new epoch.
    newest_epoch: Arc<AtomicI32>,
    next_sequence: i32,
    queue: VecDeque<Parcel>,
    /// Sent and not known to be in the log, in order.
    in_flight: VecDeque<Parcel>,
    /// How many of those the broker has not answered.
    unanswered: usize,
    /// Bytes of all batches that are kept.
    bytes: usize,
    /// Everything below is in the log, on every in-sync replica.
    acknowledged: i64,
    /// The offset that the next appended batch has to get.
    next_offset: i64,
    /// Whether this leader has acknowledged a batch. Until then only one is in flight: a broker that does not know the
    /// producer takes any sequence number, so the second of two could be taken without the first.
    confirmed: bool,
    /// What has to be filled before anything that is kept may be sent.
    gap: Option<Gap>,
    /// The first failure since the log was looked at last.
    failure: Option<Error>,
}

impl Ledger {
    pub(super) fn new(producer_id: i64, producer_epoch: i16, next_offset: i64) -> Self {
        Self {
            producer_id,
            producer_epoch,
            newest_epoch: Arc::default(),
            next_sequence: 0,
            queue: VecDeque::new(),
            in_flight: VecDeque::new(),
            unanswered: 0,
            bytes: 0,
            acknowledged: next_offset,
            next_offset,
            confirmed: false,
            gap: None,
            failure: None,
        }
    }

    /// Says in `newest_epoch`, which has the epoch that it begins with, when there is a new one.
    pub(super) fn telling(self, newest_epoch: Arc<AtomicI32>) -> Self {
        Self { newest_epoch, ..self }
    }

    /// Begins with this sequence number, as if records had been written before.
    #[cfg(test)]
    pub(super) fn with_sequence(self, next_sequence: i32) -> Self {
        Self {
            next_sequence,
            ..self
        }
    }

    pub(super) fn acknowledged(&self) -> i64 {
        self.acknowledged
    }

    pub(super) fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a batch; returns the offset that its first record has to get.
    pub(super) fn append(&mut self, batch: RawBatch) -> Result<i64, PartitionProblem> {
        let stamp = self.stamp();
        let header = stamp.patched_header(&batch)?;
        let base_offset = self.next_offset;
        let parcel = Parcel {
            batch,
            header,
            base_offset,
            stamp,
        };
        let records = parcel.records();
        self.next_offset = base_offset
            .checked_add(records)
            .ok_or(PartitionProblem::OffsetsExhausted { offset: base_offset })?;
        self.next_sequence = sequence_after(self.next_sequence, parcel.batch.header.record_count);
        self.bytes += parcel.len();
        self.queue.push_back(parcel);
        Ok(base_offset)
    }

    /// Takes a gap that ends before `end`, to be filled with markers of this identity. What is appended from now on comes
    /// behind it. Nothing appended before may be left to be acknowledged.
    pub(super) fn open_gap(&mut self, end: i64, identity: MarkerIdentity) {
        debug_assert_eq!(
            self.acknowledged, self.next_offset,
            "a gap begins where the log ends"
        );
        let missing = end - self.acknowledged;
        self.gap = (missing > 0).then_some(Gap { identity, missing });
        self.next_offset = end;
    }

    /// What is left of the gap.
    pub(super) fn gap(&self) -> Option<Gap> {
        self.gap
    }

    fn stamp(&self) -> ProducePatch {
        ProducePatch {
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.next_sequence,
        }
    }

    /// The batch to be sent next, if one may be sent now.
    pub(super) fn sendable(&self) -> Option<&Parcel> {
        let most = if self.confirmed { MOST_IN_FLIGHT } else { 1 };
        if self.failure.is_some() || self.gap.is_some() || self.in_flight.len() >= most {
            return None;
        }
        self.queue.front()
    }

    /// Moves the batch to be sent next to those in flight.
    pub(super) fn send(&mut self) -> Option<&Parcel> {
        self.sendable()?;
        let parcel = self.queue.pop_front()?;
        self.in_flight.push_back(parcel);
        self.unanswered += 1;
        self.in_flight.back()
    }

    /// Takes the answer to the oldest unanswered batch: the offset it got.
    pub(super) fn answered(&mut self, answer: Result<i64, Error>) -> Answered {
        self.unanswered = self.unanswered.saturating_sub(1);
        match answer {
            Ok(acknowledged) if self.failure.is_none() => {
                if let Some(parcel) = self.in_flight.front() {
                    let expected = parcel.base_offset;
                    if acknowledged != expected {
                        return Answered::Broken(PartitionProblem::UnexpectedOffset {
                            expected,
                            acknowledged,
                        });
                    }
                    self.confirmed = true;
                    self.pop_acknowledged();
                }
                return Answered::Acknowledged;
            }
            // An earlier batch failed: where this one is, the log will tell.
            Ok(_) => {}
            Err(error) => _ = self.failure.get_or_insert(error),
        }
        match &self.failure {
            Some(failure) if self.unanswered == 0 => Answered::Drained(failure.clone()),
            _ => Answered::Draining,
        }
    }

    fn pop_acknowledged(&mut self) {
        if let Some(parcel) = self.in_flight.pop_front().or_else(|| self.queue.pop_front()) {
            self.bytes -= parcel.len();
            self.acknowledged = parcel.base_offset + parcel.records();
        }
    }

    /// Takes note of a batch that the log holds, replicated, at the first offset that was not acknowledged. It may be one
    /// that waits to be sent again: the broker has found the first copy in a socket after all.
    pub(super) fn found(&mut self, stored: &BatchHeader) -> Result<(), PartitionProblem> {
        let filled = self.gap.and_then(|gap| gap.filled_by(stored, self.acknowledged));
        if let Some(rest) = filled {
            self.acknowledged += 1;
            self.gap = (rest.missing > 0).then_some(rest);
            return Ok(());
        }
        match self.in_flight.front().or(self.queue.front()) {
            Some(parcel) if parcel.is_stored_as(stored) => {
                self.pop_acknowledged();
                Ok(())
            }
            _ => Err(PartitionProblem::ForeignWrite {
                offset: stored.base_offset,
                found: self.describe(stored),
            }),
        }
    }

    /// The log ends at what is acknowledged: what is left is to be sent again. Returns the failure that made it necessary
    /// to look.
    pub(super) fn settled(&mut self) -> Option<Error> {
        while let Some(parcel) = self.in_flight.pop_back() {
            self.queue.push_front(parcel);
        }
        self.unanswered = 0;
        self.confirmed = false;
        self.failure.take()
    }

    /// Starts a new producer epoch (KIP-360): for a broker that does not accept the sequence numbers although the log is
    /// as it should be. Nothing may be in flight. `None` when there is no further epoch.
    pub(super) fn renew_epoch(&mut self) -> Option<()> {
        self.producer_epoch = self.producer_epoch.checked_add(1)?;
        self.newest_epoch
            .store(i32::from(self.producer_epoch), Ordering::Relaxed);
        self.next_sequence = 0;
        for index in 0..self.queue.len() {
            let stamp = self.stamp();
            let parcel = self.queue.get_mut(index)?;
            parcel.header = stamp.patched_header(&parcel.batch).ok()?;
            parcel.stamp = stamp;
            self.next_sequence = sequence_after(self.next_sequence, parcel.batch.header.record_count);
        }
        Some(())
    }

    /// What was found in the log instead of what was sent.
    fn describe(&self, stored: &BatchHeader) -> String {
        let what = if stored.is_control() {
            "a transaction marker".to_owned()
        } else {
            format!("a batch of {} records", stored.record_count)
        };
        if stored.producer_id < 0 {
            return format!("{what} without a producer id");
        }
        // It can be its own: brokers that have forgotten the producer take a later batch though an earlier one failed.
        let whose = if stored.producer_id == self.producer_id {
            "this very producer"
        } else {
            "producer"
        };
        format!(
            "{what} by {whose} {} (epoch {}, sequence {})",
            stored.producer_id, stored.producer_epoch, stored.base_sequence
        )
    }

    /// Forgets the batches and the gap, so that their memory is free.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.in_flight.clear();
        self.gap = None;
        self.bytes = 0;
    }
}

/// The sequence number after a batch: they count records, and 0 follows the largest (AK `DefaultRecordBatch`).
fn sequence_after(first: i32, records: i32) -> i32 {
    ((i64::from(first) + i64::from(records)) & i64::from(i32::MAX)) as i32
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
pub(super) mod tests;
