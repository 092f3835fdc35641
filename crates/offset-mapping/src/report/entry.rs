//! Reading one entry of the report, with its pairs.

use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use crate::coverage::Coverage;
use crate::error::Error;
use crate::partition::PartitionMap;
use crate::runs::{Run, Runs};

#[derive(serde::Deserialize)]
pub(super) struct Entry {
    pub(super) topic: String,
    pub(super) partition: i32,
    source_first_offset: Option<i64>,
    source_last_offset: Option<i64>,
    target_first_offset: Option<i64>,
    target_last_offset: Option<i64>,
    first_timestamp: Option<i64>,
    last_timestamp: Option<i64>,
    backup_start_offset: Option<i64>,
    backup_end_offset: Option<i64>,
    #[serde(default)]
    gaps: Vec<Gap>,
    target_next_offset: Option<i64>,
    records: Option<u64>,
}

#[derive(serde::Deserialize)]
struct Gap {
    from: i64,
    to: i64,
}

/// First and last offsets of an entry that has records.
struct Span {
    source_first: i64,
    source_last: i64,
    target_first: i64,
    target_last: i64,
}

impl Entry {
    /// The mapping that an entry and its pairs describe.
    pub(super) fn into_map(self, pairs: Runs) -> Result<PartitionMap, Error> {
        let span = self.span()?;
        let coverage = self.coverage(span.as_ref())?;
        let target_next = match &span {
            Some(span) => span.target_first,
            None => self
                .target_next_offset
                .ok_or(Error::MissingField("target_next_offset"))?,
        };
        let mut map = PartitionMap::new(coverage.clone(), target_next)?;
        match span {
            Some(span) => {
                for run in self.runs(&span, pairs)?.iter() {
                    map.push(run)?;
                }
                agree("backup_start_offset", map.coverage().start, coverage.start)?;
                agree("backup_end_offset", map.coverage().end, coverage.end)?;
            }
            None => agree("records", 0, i64::try_from(pairs.records()).unwrap_or(i64::MAX))?,
        }
        let records = i64::try_from(map.records()).unwrap_or(i64::MAX);
        agree(
            "records",
            records,
            self.records
                .map_or(records, |found| i64::try_from(found).unwrap_or(-1)),
        )?;
        agree(
            "target_next_offset",
            map.target_next(),
            self.target_next_offset.unwrap_or(map.target_next()),
        )?;
        map.set_last_timestamp(self.last_timestamp);
        Ok(map)
    }

    /// The four offsets: all, or none for a partition without records.
    fn span(&self) -> Result<Option<Span>, Error> {
        let offsets = [
            ("source_first_offset", self.source_first_offset),
            ("source_last_offset", self.source_last_offset),
            ("target_first_offset", self.target_first_offset),
            ("target_last_offset", self.target_last_offset),
        ];
        if offsets.iter().all(|(_, offset)| offset.is_none()) {
            return Ok(None);
        }
        let [source_first, source_last, target_first, target_last] =
            offsets.map(|(field, offset)| offset.ok_or(Error::MissingField(field)));
        Ok(Some(Span {
            source_first: source_first?,
            source_last: source_last?,
            target_first: target_first?,
            target_last: target_last?,
        }))
    }

    fn coverage(&self, span: Option<&Span>) -> Result<Coverage, Error> {
        let first = span.map(|span| span.source_first);
        let after_last = span.map(|span| span.source_last.saturating_add(1));
        Ok(Coverage {
            start: self
                .backup_start_offset
                .or(first)
                .ok_or(Error::MissingField("backup_start_offset"))?,
            end: self
                .backup_end_offset
                .or(after_last)
                .ok_or(Error::MissingField("backup_end_offset"))?,
            gaps: self.gaps.iter().map(|gap| gap.from..gap.to).collect(),
        })
    }

    /// The runs of an entry: its pairs, when they are all of its records. Otherwise they are examples, and
    /// then the entry itself must leave no choice: as many offsets in the source as in the target are one
    /// run.
    fn runs(&self, span: &Span, pairs: Runs) -> Result<Runs, Error> {
        if span.covered_by(&pairs, self.records) {
            return Ok(pairs);
        }
        let run = Run {
            source_first: span.source_first,
            target_first: span.target_first,
            length: span.source_last.abs_diff(span.source_first).saturating_add(1),
            first_timestamp: self.first_timestamp,
        };
        let ordered = span.source_first <= span.source_last && span.target_first <= span.target_last;
        let same_length =
            span.target_first.abs_diff(span.target_last) == span.source_first.abs_diff(span.source_last);
        if !(ordered && same_length && pairs.iter().all(|pair| lies_in(&pair, &run))) {
            let Span {
                source_first,
                source_last,
                target_first,
                target_last,
            } = *span;
            let mapped = pairs.records();
            return Err(Error::PairsDoNotCover {
                mapped,
                source_first,
                source_last,
                target_first,
                target_last,
            });
        }
        let mut runs = Runs::default();
        runs.push(run)?;
        Ok(runs)
    }
}

impl Span {
    /// Whether pairs are all records of the entry. When the entry does not say how many it has, it has as
    /// many as target offsets, because a restore leaves no holes.
    fn covered_by(&self, pairs: &Runs, records: Option<u64>) -> bool {
        let (Some(first), Some(last)) = (pairs.first(), pairs.last()) else {
            return false;
        };
        let dense = self.target_last.abs_diff(self.target_first).saturating_add(1);
        first.source_first == self.source_first
            && first.target_first == self.target_first
            && last.source_last() == self.source_last
            && last.target_last() == self.target_last
            && records.unwrap_or(dense) == pairs.records()
    }
}

fn lies_in(pair: &Run, run: &Run) -> bool {
    pair.source_first >= run.source_first
        && pair.source_last() <= run.source_last()
        && pair.source_first.abs_diff(run.source_first) == pair.target_first.abs_diff(run.target_first)
        && pair.target_first >= run.target_first
}

fn agree(field: &'static str, expected: i64, found: i64) -> Result<(), Error> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::Contradiction {
            field,
            expected,
            found,
        })
    }
}

/// The pairs of one partition. What is wrong with them is kept until the partition's name is at hand.
pub(super) struct Pairs(pub(super) Result<Runs, Error>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Packing;

        impl<'de> Visitor<'de> for Packing {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of offset pairs")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Pairs, A::Error> {
                let mut runs = Ok(Runs::default());
                while let Some(run) = access.next_element::<Run>()? {
                    runs = runs.and_then(|mut runs: Runs| runs.push(run).map(|()| runs));
                }
                Ok(Pairs(runs))
            }
        }

        deserializer.deserialize_seq(Packing)
    }
}

impl<'de> Deserialize<'de> for Run {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Pair {
            source_offset: i64,
            target_offset: i64,
            timestamp: Option<i64>,
            length: Option<u64>,
        }

        let pair = Pair::deserialize(deserializer)?;
        Ok(Self {
            source_first: pair.source_offset,
            target_first: pair.target_offset,
            length: pair.length.unwrap_or(1),
            first_timestamp: pair.timestamp,
        })
    }
}
