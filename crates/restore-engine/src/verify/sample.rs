//! Which segments a run looks at, when it does not look at all of them.

use std::fmt;
use std::str::FromStr;

/// The part `n` of `m`: every `m`-th segment in the order of names, beginning with the `n`-th. The parts 1 to `m` together
/// are all segments, so that a check each night with the next `n` has read everything after `m` nights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    part: u64,
    of: u64,
}

/// A text that names no part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a part like 1/7: the first number is from 1 to the second")]
pub struct InvalidSample(String);

impl Sample {
    /// Part `part` of `of`; `part` counts from 1.
    ///
    /// # Errors
    ///
    /// When there is no such part.
    pub fn new(part: u64, of: u64) -> Result<Self, InvalidSample> {
        if (1..=of).contains(&part) {
            Ok(Self { part, of })
        } else {
            Err(InvalidSample(format!("{part}/{of}")))
        }
    }

    /// Whether the segment at this place (from 0) belongs to it.
    pub(super) fn has(self, place: u64) -> bool {
        place % self.of == self.part - 1
    }
}

impl FromStr for Sample {
    type Err = InvalidSample;

    fn from_str(text: &str) -> Result<Self, InvalidSample> {
        let numbers = text.split_once('/');
        let numbers = numbers.and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        let (part, of) = numbers.ok_or_else(|| InvalidSample(text.to_owned()))?;
        Self::new(part, of)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_once() {
        for of in 1..8 {
            for place in 0..50 {
                let parts = (1..=of).filter(|&part| Sample::new(part, of).unwrap().has(place));
                assert_eq!(parts.count(), 1, "{place} of {of} parts");
            }
        }
        assert!(Sample::new(1, 7).unwrap().has(0));
    }

    #[test]
    fn text_is_a_part_or_an_error() {
        assert_eq!("2/7".parse(), Sample::new(2, 7));
        assert_eq!(Sample::new(2, 7).unwrap().to_string(), "2/7");
        for wrong in ["0/7", "8/7", "1/0", "7", "1/", "/7", "a/b", "-1/7", "1/7/9"] {
            assert!(wrong.parse::<Sample>().is_err(), "{wrong}");
        }
    }
}
