//! Whether an entry stands where it says it stands.
//!
//! The checksum of a batch covers neither its base offset nor its length: brokers set the offset when they append it. One
//! bit that was damaged there on the way would take records to other offsets, or let the reader skip what it has not read.
//! What can be known of a log tells most of that: offsets rise strictly, the answer begins with the entry that holds the
//! wanted offset or the first one behind it (AK `FileRecords.searchForOffsetFromPosition`), and nothing is sent from the
//! high watermark on.
//!
//! Offsets may be missing, as compaction removes whole batches. So an entry that does not begin where the one before it
//! ends has to be confirmed: by the one that follows it, or by another answer that has it at the same place. What is not
//! noticed is an entry with a gap beside it that was moved within the gap, in the middle of an answer: to be sure of those,
//! all of a compacted log would have to be read twice.

use crate::batch::{Codec, LogEntry};

/// The offsets of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// The first one. A compressed wrapper of an old format names only its last one.
    pub(super) first: Option<i64>,
    /// The one after the last.
    pub(super) next: i64,
}

impl Span {
    pub(super) fn of(entry: &LogEntry) -> Self {
        let first = match entry {
            LogEntry::Batch(batch) => Some(batch.header.base_offset),
            LogEntry::Legacy(entry) if entry.compression() != Ok(Codec::None) => None,
            LogEntry::Legacy(entry) => Some(entry.offset),
        };
        Self {
            first,
            next: entry.next_offset(),
        }
    }

    /// An offset that it holds, for messages and to know it again.
    pub(super) fn known(self) -> i64 {
        self.first.unwrap_or(self.next - 1)
    }
}

/// What to do with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It lies wholly before what is wanted: skip it.
    Before,
    /// It is what comes next.
    Due,
    /// It may be what comes next: see whether another answer says so too.
    Doubtful,
    /// It cannot be there.
    Wrong,
}

/// The order of the entries of one answer.
#[derive(Debug)]
pub(super) struct Order {
    /// The offset that is wanted next.
    wanted: i64,
    /// Whether an entry that was read ends there, so that none can begin before it and go beyond it.
    at_edge: bool,
    /// The end of the entry before, if that was skipped.
    skipped: Option<i64>,
    /// Whether this answer had something that was due.
    begun: bool,
    /// Nothing from here on can be in the answer.
    limit: i64,
    /// What was doubtful in the answer before this one.
    doubted: Option<i64>,
}

impl Order {
    /// `high_watermark`: as the answer tells it, negative when it does not. It bounds what a broker sends whatever the
    /// isolation level, and on followers too; it is read before the log is (AK `Partition.readRecords`), so a log that is
    /// written meanwhile may give a little more, which then is there in the next answer.
    pub(super) fn new(wanted: i64, at_edge: bool, high_watermark: i64, doubted: Option<i64>) -> Self {
        Self {
            wanted,
            at_edge,
            skipped: None,
            begun: false,
            limit: if high_watermark < 0 {
                i64::MAX
            } else {
                high_watermark
            },
            doubted,
        }
    }

    /// Looks at an entry, and at the one that follows it in the answer if there is one.
    pub(super) fn place(&mut self, entry: Span, follower: Option<Span>) -> Place {
        if entry.next > self.limit || self.skipped.is_some_and(|skipped| entry.known() < skipped) {
            return Place::Wrong;
        }
        if entry.next <= self.wanted {
            if self.begun {
                return Place::Wrong;
            }
            self.skipped = Some(entry.next);
            return Place::Before;
        }
        let place = self.judge(entry, follower);
        if place == Place::Due {
            self.begun = true;
            self.at_edge = true;
            self.wanted = entry.next;
            self.skipped = None;
        }
        place
    }

    /// `entry` ends after the wanted offset.
    fn judge(&self, entry: Span, follower: Option<Span>) -> Place {
        let (overlaps, leaves_out) = match entry.first {
            Some(first) => (first < self.wanted, first > self.wanted),
            None => (false, false),
        };
        // Brokers do not begin with what lies before, to go on with what lies behind.
        if (overlaps && self.at_edge) || (leaves_out && self.skipped.is_some()) {
            return Place::Wrong;
        }
        let joins = entry
            .first
            .is_some_and(|first| first == self.wanted || self.skipped == Some(first));
        if joins {
            return Place::Due;
        }
        match follower {
            Some(follower) if follower.known() < entry.next => Place::Wrong,
            Some(follower) if follower.first == Some(entry.next) || !overlaps => Place::Due,
            _ if self.doubted == Some(entry.known()) => Place::Due,
            _ => Place::Doubtful,
        }
    }
}
