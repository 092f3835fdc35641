//! Counts what all partitions of a restore have handed over, for the observer.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::context::Context;
use crate::observe::Event;

/// Records and bytes so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Called once per block, not per batch or record.
    pub(super) fn add(&self, context: &Context, records: u64, bytes: u64) {
        let done = self.records.fetch_add(records, Ordering::Relaxed) + records;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        context.observer.event(&Event::Progress { done, bytes });
    }
}
