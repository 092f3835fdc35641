//! Which source offsets a backup holds.

use std::ops::Range;

use crate::error::Error;

/// The source offsets of one partition that a backup answers for.
///
/// Every record that the source had at an offset inside is in the backup; an offset inside without a record
/// (a transaction marker, a compacted or deleted record) never had one for a consumer. Outside, and in the
/// gaps, the backup does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The first offset covered: the log start offset when the backup was made.
    pub start: i64,
    /// The first offset no longer covered: the last stable offset when the backup was made.
    pub end: i64,
    /// What is missing between: offsets that retention removed before they were read, or that a time window
    /// cut out of the restore.
    pub gaps: Vec<Range<i64>>,
}

impl Coverage {
    /// Coverage from `start` up to `end`, exclusive, without a gap.
    pub fn new(start: i64, end: i64) -> Self {
        Self {
            start,
            end,
            gaps: Vec::new(),
        }
    }

    /// Refuses offsets that are none, and brings the gaps into their one form: sorted, apart, inside.
    pub(crate) fn normalized(self) -> Result<Self, Error> {
        let Self { start, end, mut gaps } = self;
        if start < 0 || end < start {
            return Err(Error::InvalidCoverage { start, end });
        }
        gaps.sort_unstable_by_key(|gap| (gap.start, gap.end));
        let mut coverage = Self {
            start,
            end,
            gaps: Vec::with_capacity(gaps.len()),
        };
        for gap in gaps {
            coverage.add_gap(gap)?;
        }
        Ok(coverage)
    }

    /// Adds a gap, joined with those it touches and cut to the covered offsets.
    pub(crate) fn add_gap(&mut self, gap: Range<i64>) -> Result<(), Error> {
        if gap.start < 0 || gap.end < gap.start {
            return Err(Error::InvalidGap {
                from: gap.start,
                to: gap.end,
            });
        }
        let mut gap = gap.start.max(self.start)..gap.end.min(self.end);
        if gap.is_empty() {
            return Ok(());
        }
        let first = self.gaps.partition_point(|other| other.end < gap.start);
        let after = self.gaps.partition_point(|other| other.start <= gap.end);
        if let Some(joined) = self.gaps.get(first..after)
            && let [lowest, ..] = joined
            && let [.., highest] = joined
        {
            gap = gap.start.min(lowest.start)..gap.end.max(highest.end);
        }
        self.gaps.splice(first..after, [gap]);
        Ok(())
    }

    /// Takes in offsets that turn out to be held.
    pub(crate) fn widen(&mut self, held: Range<i64>) {
        self.start = self.start.min(held.start);
        self.end = self.end.max(held.end);
    }

    /// How many offsets of a range below the end the backup does not know.
    pub(crate) fn unknown_in(&self, range: Range<i64>) -> u64 {
        let Range { start: from, end: to } = range;
        let below = if from < self.start {
            from.abs_diff(self.start.min(to))
        } else {
            0
        };
        let first = self.gaps.partition_point(|gap| gap.end <= from);
        let gaps = self.gaps.iter().skip(first).take_while(|gap| gap.start < to);
        // Gaps are apart and inside the covered offsets, so that the sum is below 2^64.
        below
            + gaps
                .map(|gap| gap.start.max(from).abs_diff(gap.end.min(to)))
                .sum::<u64>()
    }
}

#[cfg(test)]
mod tests;
