//! From a committed offset to the target offset with the same meaning, and how well it is known.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::PositionProblem;
use crate::partition::PartitionMap;

/// Where a group goes on reading, and why there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Translation {
    /// The offset to commit in the target.
    pub target_offset: i64,
    /// What the group will and will not see from there.
    pub resolution: Resolution,
}

/// How the position of a group in the target came about.
///
/// In JSON it is three keys of the object that has it: `resolution` with the kebab-case word, and `skipped`
/// or `lost` where there is such a number. Embed it with `#[serde(flatten)]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resolution {
    /// The next record that the group reads is the one that it would have read in the source.
    Exact,
    /// The group had read every record that was restored; it goes on with the first one written after the
    /// restore.
    ExactEnd,
    /// The backup does not hold the offsets at which the group stood; it goes on with the first record after
    /// them.
    ClampedToStart {
        /// Offsets, from the committed one on, that the backup does not hold. Not each need have had a
        /// record.
        skipped: u64,
    },
    /// The group had read further than the backup goes; it goes on with the first record written after the
    /// restore.
    BeyondBackup {
        /// Offsets between the end of the backup and the committed one.
        lost: u64,
    },
    /// The group has no committed offset for the partition: there is nothing to reset.
    NoCommit,
    /// The partition was not restored, or has no mapping: there is a position that is not known in the
    /// target.
    Unmapped,
    /// Found by timestamp or by scan, and not proven.
    Approximate,
}

impl PartitionMap {
    /// Translates a committed offset, which means: *the next record to read is the first one at or after it*.
    ///
    /// That record decides. It is exact when the backup holds every offset from the committed one up to it,
    /// so that no record can have been between; gaps further on do not concern the position. Takes the
    /// logarithm of the number of runs.
    pub fn translate(&self, committed: i64) -> Translation {
        let coverage = &self.coverage;
        let next = self.runs.at_or_after(committed);
        let (target_offset, unknown, otherwise) = match next {
            Some(run) => {
                let source = run.source_first.max(committed);
                let target = run
                    .target_first
                    .saturating_add_unsigned(source.abs_diff(run.source_first));
                (target, coverage.unknown_in(committed..source), Resolution::Exact)
            }
            None if committed > coverage.end => {
                let resolution = Resolution::BeyondBackup {
                    lost: committed.abs_diff(coverage.end),
                };
                (self.target_next, 0, resolution)
            }
            None => (
                self.target_next,
                coverage.unknown_in(committed..coverage.end),
                Resolution::ExactEnd,
            ),
        };
        let resolution = match unknown {
            0 => otherwise,
            skipped => Resolution::ClampedToStart { skipped },
        };
        Translation {
            target_offset,
            resolution,
        }
    }
}

impl Resolution {
    /// The word for it in reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::ExactEnd => "exact-end",
            Self::ClampedToStart { .. } => "clamped-to-start",
            Self::BeyondBackup { .. } => "beyond-backup",
            Self::NoCommit => "no-commit",
            Self::Unmapped => "unmapped",
            Self::Approximate => "approximate",
        }
    }

    /// Whether the group will read every record that it had not read, and none twice.
    pub fn is_exact(&self) -> bool {
        matches!(self, Self::Exact | Self::ExactEnd)
    }

    /// Whether there is a target offset to commit.
    pub fn has_target(&self) -> bool {
        !matches!(self, Self::NoCommit | Self::Unmapped)
    }

    /// Offsets that the group did not get to read because the backup does not hold them.
    pub fn skipped(&self) -> Option<u64> {
        match self {
            Self::ClampedToStart { skipped } => Some(*skipped),
            _ => None,
        }
    }

    /// Offsets that the group had read and that were lost with the source.
    pub fn lost(&self) -> Option<u64> {
        match self {
            Self::BeyondBackup { lost } => Some(*lost),
            _ => None,
        }
    }

    pub(crate) fn from_parts(
        word: &str,
        skipped: Option<u64>,
        lost: Option<u64>,
    ) -> Result<Self, PositionProblem> {
        Ok(match word {
            "exact" => Self::Exact,
            "exact-end" => Self::ExactEnd,
            "clamped-to-start" => Self::ClampedToStart {
                skipped: skipped.unwrap_or(0),
            },
            "beyond-backup" => Self::BeyondBackup {
                lost: lost.unwrap_or(0),
            },
            "no-commit" => Self::NoCommit,
            "unmapped" => Self::Unmapped,
            "approximate" => Self::Approximate,
            _ => return Err(PositionProblem::UnknownResolution(word.to_owned())),
        })
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        match self {
            Self::ClampedToStart { skipped } => write!(f, ", {skipped} offsets skipped"),
            Self::BeyondBackup { lost } => write!(f, ", {lost} offsets lost"),
            _ => Ok(()),
        }
    }
}

/// [`Resolution`] as it stands in JSON.
#[derive(Serialize, Deserialize)]
struct ResolutionKeys<W> {
    resolution: W,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    skipped: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
}

impl Serialize for Resolution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let keys = ResolutionKeys {
            resolution: self.as_str(),
            skipped: self.skipped(),
            lost: self.lost(),
        };
        keys.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Resolution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let keys = ResolutionKeys::<String>::deserialize(deserializer)?;
        Self::from_parts(&keys.resolution, keys.skipped, keys.lost).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
