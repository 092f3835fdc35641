//! Headers that are appended to every record, such as where it came from.

use bytes::Bytes;

use super::BatchError;
use super::varint::push_i32;
use super::write::{Suffix, push_bytes};

/// Header with a record's offset in the source partition, as ASCII decimal.
pub const ORIGINAL_OFFSET: &str = "x-original-offset";
/// Header with a record's timestamp in the source partition, as ASCII decimal.
pub const ORIGINAL_TIMESTAMP: &str = "x-original-timestamp";
/// Header with the name of the source cluster.
pub const SOURCE_CLUSTER: &str = "x-source-cluster";

/// A header to be appended to every record, behind its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendedHeader {
    /// The header's name.
    pub name: Bytes,
    /// Where its value comes from.
    pub value: AppendedValue,
}

/// The value of an [`AppendedHeader`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendedValue {
    /// The record's offset in the source, as ASCII decimal.
    SourceOffset,
    /// The record's timestamp as a consumer of the source sees it, as ASCII decimal.
    SourceTimestamp,
    /// The same bytes for every record.
    Fixed(Bytes),
}

impl AppendedHeader {
    /// [`ORIGINAL_OFFSET`], [`ORIGINAL_TIMESTAMP`] and, when the name is known, [`SOURCE_CLUSTER`].
    pub fn original_position(source_cluster: Option<&str>) -> Vec<Self> {
        let mut headers = vec![
            Self {
                name: Bytes::from_static(ORIGINAL_OFFSET.as_bytes()),
                value: AppendedValue::SourceOffset,
            },
            Self {
                name: Bytes::from_static(ORIGINAL_TIMESTAMP.as_bytes()),
                value: AppendedValue::SourceTimestamp,
            },
        ];
        if let Some(cluster) = source_cluster {
            headers.push(Self {
                name: Bytes::from_static(SOURCE_CLUSTER.as_bytes()),
                value: AppendedValue::Fixed(Bytes::copy_from_slice(cluster.as_bytes())),
            });
        }
        headers
    }
}

/// Writes the appended headers of one record after the other into the same buffer.
#[derive(Debug, Default)]
pub(crate) struct SuffixWriter {
    count: u32,
    parts: Vec<Part>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Part {
    /// Encoded bytes before the number: names, and values that never change.
    before: Vec<u8>,
    number: Option<Number>,
}

#[derive(Debug, Clone, Copy)]
enum Number {
    Offset,
    Timestamp,
}

impl SuffixWriter {
    pub(crate) fn new(headers: &[AppendedHeader]) -> Result<Self, BatchError> {
        let too_large = BatchError::TooLarge { base_offset: 0 };
        let count = u32::try_from(headers.len()).map_err(|_| too_large)?;
        let mut parts = Vec::new();
        let mut before = Vec::new();
        for header in headers {
            push_bytes(&mut before, 0, Some(&header.name))?;
            let number = match &header.value {
                AppendedValue::SourceOffset => Number::Offset,
                AppendedValue::SourceTimestamp => Number::Timestamp,
                AppendedValue::Fixed(value) => {
                    push_bytes(&mut before, 0, Some(value))?;
                    continue;
                }
            };
            parts.push(Part {
                before: std::mem::take(&mut before),
                number: Some(number),
            });
        }
        if !before.is_empty() {
            parts.push(Part { before, number: None });
        }
        Ok(Self {
            count,
            parts,
            buffer: Vec::new(),
        })
    }

    /// The headers of the record at this position of the source.
    #[inline]
    pub(crate) fn write(&mut self, offset: i64, timestamp: i64) -> Suffix<'_> {
        self.buffer.clear();
        for part in &self.parts {
            self.buffer.extend_from_slice(&part.before);
            match part.number {
                Some(Number::Offset) => push_decimal(&mut self.buffer, offset),
                Some(Number::Timestamp) => push_decimal(&mut self.buffer, timestamp),
                None => {}
            }
        }
        Suffix {
            count: self.count,
            bytes: &self.buffer,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// About as many bytes as [`SuffixWriter::write`] gives.
    pub(crate) fn typical_len(&self) -> usize {
        self.parts
            .iter()
            .map(|part| part.before.len() + if part.number.is_some() { 14 } else { 0 })
            .sum()
    }
}

/// Appends the length of the decimal form of `value`, and that form.
fn push_decimal(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    let mut rest = value.unsigned_abs();
    while let Some(slot) = start.checked_sub(1).and_then(|at| digits.get_mut(at)) {
        *slot = b'0' + (rest % 10) as u8;
        start -= 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if let Some(slot) = start
        .checked_sub(1)
        .filter(|_| value < 0)
        .and_then(|at| digits.get_mut(at))
    {
        *slot = b'-';
        start -= 1;
    }
    let text = digits.get(start..).unwrap_or_default();
    push_i32(out, text.len() as i32);
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ascii_decimal() {
        for value in [0, 7, -1, 10, 1_700_000_000_000, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            push_decimal(&mut out, value);
            let text = value.to_string();
            assert_eq!(out[0] as usize, text.len() * 2);
            assert_eq!(&out[1..], text.as_bytes());
        }
    }
}
