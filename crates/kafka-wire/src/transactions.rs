//! Reading only what was committed: which batches of a fetched range belong to aborted transactions.
//!
//! A broker that is asked with the isolation level `read_committed` returns everything below the last stable offset,
//! aborted data and transaction markers included, together with a list of the aborted transactions that touch the range.
//! The reader drops what belongs to them (KIP-98; the Java client's `CompletedFetch` does the same).

use std::collections::HashSet;

use crate::batch::{RawBatch, RecordIter};

/// An aborted transaction, as a Fetch response names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AbortedTransaction {
    /// The producer whose transaction it was.
    pub producer_id: i64,
    /// The offset of the transaction's first record in this partition.
    pub first_offset: i64,
}

/// What a batch is to somebody who reads only committed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Its records are visible.
    Visible,
    /// Its records belong to an aborted transaction.
    Aborted,
    /// It is a control batch: it holds a marker and no record.
    Control,
}

/// What the filter needs to know of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchFacts {
    /// The offset of the batch's last record, from its header.
    pub last_offset: i64,
    /// The batch's producer; negative when it has none.
    pub producer_id: i64,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
    /// What the batch's marker says, when it is a control batch.
    pub control: Option<ControlMarker>,
}

/// The content of a control batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlMarker {
    /// The producer's transaction ended and its data does not count.
    Abort,
    /// The producer's transaction ended and its data counts.
    Commit,
    /// Something else: a quorum's record, or a batch whose marker compaction has removed.
    Other,
}

impl ControlMarker {
    /// Reads the type out of a control record's key: a version (`i16`) and a type (`i16`; 0 aborts, 1 commits).
    pub fn from_key(key: &[u8]) -> Self {
        match key {
            [_, _, 0, 0, ..] => Self::Abort,
            [_, _, 0, 1, ..] => Self::Commit,
            _ => Self::Other,
        }
    }
}

impl BatchFacts {
    /// The facts of a batch. Of a control batch, its record is looked at.
    pub fn of(batch: &RawBatch) -> Self {
        let header = &batch.header;
        Self {
            last_offset: header.last_offset(),
            producer_id: header.producer_id,
            transactional: header.is_transactional(),
            control: header.is_control().then(|| marker(batch)),
        }
    }
}

/// What a control batch says. It holds one record, never compressed, or none after compaction.
fn marker(batch: &RawBatch) -> ControlMarker {
    let mut records = RecordIter::new(&batch.header, batch.stored_records());
    match records.next() {
        Some(Ok(record)) => record.key.map_or(ControlMarker::Other, ControlMarker::from_key),
        _ => ControlMarker::Other,
    }
}

/// Sorts the batches of one fetched range, given in offset order, into visible and aborted ones.
///
/// One filter serves one response for one partition: the list of each response covers the whole range of that response.
#[derive(Debug, Clone)]
pub struct AbortedFilter {
    /// Ordered by descending first offset: the next one to come into effect is the last.
    upcoming: Vec<AbortedTransaction>,
    /// Producers whose current transaction is an aborted one.
    aborting: HashSet<i64>,
}

impl AbortedFilter {
    /// A filter for a range with these aborted transactions, in any order.
    pub fn new(mut aborted: Vec<AbortedTransaction>) -> Self {
        aborted.sort_unstable_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Self {
            upcoming: aborted,
            aborting: HashSet::new(),
        }
    }

    /// Tells what the next batch is.
    pub fn classify(&mut self, batch: BatchFacts) -> Visibility {
        while let Some(next) = self
            .upcoming
            .pop_if(|next| next.first_offset <= batch.last_offset)
        {
            self.aborting.insert(next.producer_id);
        }
        if let Some(marker) = batch.control {
            if marker == ControlMarker::Abort {
                self.aborting.remove(&batch.producer_id);
            }
            return Visibility::Control;
        }
        if batch.transactional && self.aborting.contains(&batch.producer_id) {
            return Visibility::Aborted;
        }
        Visibility::Visible
    }
}

#[cfg(test)]
#[path = "transactions_tests.rs"]
mod tests;
