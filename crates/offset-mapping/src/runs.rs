//! Runs of records whose source and target offsets both increase by one, packed.
//!
//! A log without holes is one run however long it is. A compacted one may have a run for every second record,
//! and then the size of a run matters: runs are stored as differences in variable-length integers, four to
//! six bytes each, in blocks that can be searched.

use std::fmt;

use crate::error::Error;
use crate::varint;

/// Runs per block; a lookup decodes half a block on average.
const BLOCK: usize = 64;

/// `length` consecutive records: source offset `source_first + i` is target offset `target_first + i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Run {
    /// Source offset of the first record.
    pub source_first: i64,
    /// Target offset of the first record.
    pub target_first: i64,
    /// Number of records, at least one.
    pub length: u64,
    /// Timestamp of the first record in milliseconds, when known.
    pub first_timestamp: Option<i64>,
}

impl Run {
    /// Source offset of the last record.
    pub fn source_last(&self) -> i64 {
        self.source_first
            .saturating_add_unsigned(self.length.saturating_sub(1))
    }

    /// Target offset of the last record.
    pub fn target_last(&self) -> i64 {
        self.target_first
            .saturating_add_unsigned(self.length.saturating_sub(1))
    }

    /// Refuses a run whose offsets, or the offset after its last one, are not offsets.
    fn check(&self) -> Result<(), Error> {
        let fits = |first: i64| first >= 0 && first.checked_add_unsigned(self.length).is_some();
        if self.length > 0 && fits(self.source_first) && fits(self.target_first) {
            return Ok(());
        }
        let Self {
            source_first,
            target_first,
            length,
            ..
        } = *self;
        Err(Error::InvalidRun {
            source_first,
            target_first,
            length,
        })
    }

    /// Whether `next` is where this run goes on, on both sides.
    fn continues_in(&self, next: &Self) -> bool {
        // The sums cannot overflow: both runs were checked.
        self.source_last() + 1 == next.source_first && self.target_last() + 1 == next.target_first
    }
}

/// Runs in source order, which is target order too. Neighbours that touch are merged, so that equal mappings
/// are equal values, however they were pushed.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Runs {
    blocks: Vec<Block>,
    packed: Vec<u8>,
    /// The last run that was packed; the next one is written as the difference from it.
    previous: Option<Run>,
    /// The last run of all is kept open, because the next one may lengthen it.
    open: Option<Run>,
    count: usize,
    records: u64,
}

/// The first run of a block in full; its other runs are packed from `at` on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    first: Run,
    at: usize,
}

impl Runs {
    /// Appends a run; it must come after every other one on both sides.
    pub(crate) fn push(&mut self, run: Run) -> Result<(), Error> {
        run.check()?;
        if let Some(open) = &mut self.open {
            if run.source_first <= open.source_last() {
                return Err(Error::SourceNotIncreasing {
                    mapped: open.source_last(),
                    found: run.source_first,
                });
            }
            if run.target_first <= open.target_last() {
                return Err(Error::TargetNotIncreasing {
                    next: open.target_last() + 1,
                    found: run.target_first,
                });
            }
            if open.continues_in(&run) {
                open.length += run.length;
                self.records += run.length;
                return Ok(());
            }
        }
        if let Some(closed) = self.open.replace(run) {
            self.pack(closed);
        }
        self.count += 1;
        // Source offsets are distinct and below 2^63, so their number is too.
        self.records += run.length;
        Ok(())
    }

    fn pack(&mut self, run: Run) {
        // The count includes this run and no later one.
        let starts_block = (self.count - 1).is_multiple_of(BLOCK);
        match self.previous.replace(run) {
            Some(previous) if !starts_block => put_run(&mut self.packed, &previous, &run),
            _ => self.blocks.push(Block {
                first: run,
                at: self.packed.len(),
            }),
        }
    }

    /// Number of runs.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Number of records in all runs.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    pub(crate) fn first(&self) -> Option<Run> {
        self.blocks.first().map(|block| block.first).or(self.open)
    }

    pub(crate) fn last(&self) -> Option<Run> {
        self.open
    }

    pub(crate) fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// The first run that has a record at or after a source offset.
    pub(crate) fn at_or_after(&self, source: i64) -> Option<Run> {
        let after = self
            .blocks
            .partition_point(|block| block.first.source_first <= source);
        self.iter_from(after.saturating_sub(1))
            .find(|run| run.source_last() >= source)
    }

    fn iter_from(&self, block: usize) -> Iter<'_> {
        Iter {
            runs: self,
            block,
            rest: &[],
            previous: None,
            open: self.open,
        }
    }
}

/// Writes `run` as its difference from `previous`.
fn put_run(out: &mut Vec<u8>, previous: &Run, run: &Run) {
    let source_gap = run.source_first.abs_diff(previous.source_last() + 1);
    let target_gap = run.target_first.abs_diff(previous.target_last() + 1);
    // Lengths and gaps are below 2^63, which leaves a bit in each for what follows.
    varint::put(out, run.length << 1 | u64::from(run.first_timestamp.is_some()));
    varint::put(out, source_gap << 1 | u64::from(target_gap > 0));
    if target_gap > 0 {
        varint::put(out, target_gap);
    }
    if let Some(timestamp) = run.first_timestamp {
        varint::put(
            out,
            varint::zigzag(timestamp.wrapping_sub(previous.first_timestamp.unwrap_or(0))),
        );
    }
}

/// The reverse of [`put_run`].
fn take_run(bytes: &mut &[u8], previous: &Run) -> Option<Run> {
    let length = varint::take(bytes)?;
    let source_gap = varint::take(bytes)?;
    let target_gap = if source_gap & 1 == 1 {
        varint::take(bytes)?
    } else {
        0
    };
    let first_timestamp = if length & 1 == 1 {
        let difference = varint::unzigzag(varint::take(bytes)?);
        Some(previous.first_timestamp.unwrap_or(0).wrapping_add(difference))
    } else {
        None
    };
    Some(Run {
        source_first: previous
            .source_last()
            .checked_add_unsigned((source_gap >> 1) + 1)?,
        target_first: previous.target_last().checked_add_unsigned(target_gap + 1)?,
        length: length >> 1,
        first_timestamp,
    })
}

/// Runs in order, unpacked one at a time.
pub(crate) struct Iter<'a> {
    runs: &'a Runs,
    /// The next block to enter.
    block: usize,
    /// What is left of the block being read.
    rest: &'a [u8],
    previous: Option<Run>,
    open: Option<Run>,
}

impl Iterator for Iter<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        if let Some(previous) = &self.previous
            && let Some(run) = take_run(&mut self.rest, previous)
        {
            self.previous = Some(run);
            return Some(run);
        }
        let Some(block) = self.runs.blocks.get(self.block) else {
            self.previous = None;
            return self.open.take();
        };
        self.block += 1;
        let end = self
            .runs
            .blocks
            .get(self.block)
            .map_or(self.runs.packed.len(), |next| next.at);
        self.rest = self.runs.packed.get(block.at..end).unwrap_or_default();
        self.previous = Some(block.first);
        Some(block.first)
    }
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
