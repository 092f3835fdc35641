//! Where the records of one partition went.

use std::ops::Range;

use crate::coverage::Coverage;
use crate::error::Error;
use crate::runs::{Run, Runs};

/// The restored records of one partition as runs, and the source offsets that they stand for.
///
/// It is built while a restore goes on, in offset order, and translates committed offsets when the restore is
/// over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMap {
    pub(crate) coverage: Coverage,
    pub(crate) runs: Runs,
    pub(crate) target_next: i64,
    last_timestamp: Option<i64>,
}

impl PartitionMap {
    /// A mapping without records yet, of a restore that writes its first record at `target_next` or later.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCoverage`], [`Error::InvalidGap`] or [`Error::InvalidTarget`] for what are not
    /// offsets.
    pub fn new(coverage: Coverage, target_next: i64) -> Result<Self, Error> {
        if target_next < 0 {
            return Err(Error::InvalidTarget(target_next));
        }
        let coverage = coverage.normalized()?;
        Ok(Self {
            coverage,
            runs: Runs::default(),
            target_next,
            last_timestamp: None,
        })
    }

    /// Adds restored records, after those added so far on both sides. Runs that touch become one.
    ///
    /// Offsets outside the coverage widen it: a record that is there proves that the backup holds it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRun`], [`Error::SourceNotIncreasing`] or [`Error::TargetNotIncreasing`]; the mapping
    /// is then what it was before.
    pub fn push(&mut self, run: Run) -> Result<(), Error> {
        if run.target_first >= 0 && run.target_first < self.target_next {
            return Err(Error::TargetNotIncreasing {
                next: self.target_next,
                found: run.target_first,
            });
        }
        self.runs.push(run)?;
        self.target_next = run.target_last() + 1;
        self.coverage.widen(run.source_first..run.source_last() + 1);
        Ok(())
    }

    /// Adds a gap to the coverage: source offsets that the restore turns out not to have, because retention
    /// removed them before the backup could read them or because a time window cut them out.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidGap`] for what is not a range of offsets. An empty range is none and no error.
    pub fn add_gap(&mut self, offsets: Range<i64>) -> Result<(), Error> {
        self.coverage.add_gap(offsets)
    }

    /// Remembers the timestamp of the last record, which only the report shows.
    pub fn set_last_timestamp(&mut self, timestamp: Option<i64>) {
        self.last_timestamp = timestamp;
    }

    /// The source offsets that the mapping answers for.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// The runs, in order, as few as possible.
    pub fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        self.runs.iter()
    }

    /// Number of runs.
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// Number of records restored.
    pub fn records(&self) -> u64 {
        self.runs.records()
    }

    /// Whether no record was restored.
    pub fn is_empty(&self) -> bool {
        self.runs.len() == 0
    }

    /// Source offset of the first record.
    pub fn source_first(&self) -> Option<i64> {
        self.runs.first().map(|run| run.source_first)
    }

    /// Source offset of the last record.
    pub fn source_last(&self) -> Option<i64> {
        self.runs.last().map(|run| run.source_last())
    }

    /// Target offset of the first record.
    pub fn target_first(&self) -> Option<i64> {
        self.runs.first().map(|run| run.target_first)
    }

    /// Target offset of the last record.
    pub fn target_last(&self) -> Option<i64> {
        self.runs.last().map(|run| run.target_last())
    }

    /// Where the restore writes next: after the last record, or where it would have written the first one.
    pub fn target_next(&self) -> i64 {
        self.target_next
    }

    /// Timestamp of the first record in milliseconds, when known.
    pub fn first_timestamp(&self) -> Option<i64> {
        self.runs.first().and_then(|run| run.first_timestamp)
    }

    /// Timestamp of the last record in milliseconds, when known.
    pub fn last_timestamp(&self) -> Option<i64> {
        self.last_timestamp
    }
}
