//! Events that the engine tells while it works. Rendering them (a progress bar, log lines, metrics) is for observers.

use std::fmt;

/// Receives events. Called from the engine's tasks: it must return quickly and may be called from several at once.
pub trait Observer: Send + Sync + fmt::Debug {
    /// Something happened.
    fn event(&self, event: &Event);
}

/// The phases of the guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Phase 1.
    Backup,
    /// Phase 2.
    Restore,
    /// None of the guide's three: a backup is checked.
    Verify,
}

/// What an observer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A phase begins its work on data; `total` is in the unit of [`Event::Progress`]`::done`.
    Started {
        /// Which one.
        phase: Phase,
        /// Topics in the plan.
        topics: usize,
        /// Partitions in the plan.
        partitions: usize,
        /// Offsets to read (backup: an upper bound, as offsets have gaps) or records to write (restore), or bytes to
        /// read (verify; 0 when that is not known).
        total: u64,
    },
    /// How far the phase is, since its start.
    Progress {
        /// Offsets read, records written, or bytes read.
        done: u64,
        /// Bytes of record batches moved.
        bytes: u64,
    },
    /// A commit of a backup: from now on this is part of the set, whatever becomes of the run.
    Committed {
        /// Its number.
        generation: u64,
        /// Whether everything is covered up to the ends that a cycle wanted, trouble aside. Otherwise the run is in the midst
        /// of it.
        complete: bool,
        /// Records that it added.
        records: u64,
        /// Segments that it added.
        segments: usize,
        /// Bytes of those segments.
        bytes: u64,
    },
    /// Something the operator should know; the work goes on.
    Warning(String),
    /// The work on data of a phase is over.
    Finished {
        /// Which one.
        phase: Phase,
    },
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn event(&self, _event: &Event) {}
}
