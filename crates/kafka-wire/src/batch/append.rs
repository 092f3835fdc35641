//! Headers that are appended to every record, such as where it came from.

use std::ops::Range;

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

/// Zeros behind the rendered headers, so that copies of constant size may read on.
const PADDING: usize = 128;
/// Numbers of one group differ in their last four digits only.
const GROUP: u64 = 10_000;

/// The appended headers of one record after the other, in the same buffer: they differ in a few digits.
#[derive(Debug)]
pub(crate) struct SuffixWriter {
    count: u32,
    parts: Vec<Part>,
    /// The headers of some earlier record, and [`PADDING`]. The last digits of the numbers are written into the copy: a
    /// processor cannot read on at once what was written here in smaller pieces.
    buffer: Vec<u8>,
    /// Bytes of the headers.
    len: usize,
    slots: Vec<Slot>,
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

impl Number {
    #[inline(always)]
    fn of(self, offset: i64, timestamp: i64) -> i64 {
        match self {
            Self::Offset => offset,
            Self::Timestamp => timestamp,
        }
    }
}

/// A number in the buffer.
#[derive(Debug)]
pub(crate) struct Slot {
    number: Number,
    /// Where its text is.
    text: Range<usize>,
    /// The smallest number of its group,
    base: i64,
    /// and how many there are: none below [`GROUP`], where the number of digits changes.
    group: u64,
    /// Where the last four digits are, when they are not in the buffer,
    low_at: Option<usize>,
    /// and what they are.
    low: [u8; 4],
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
        let mut writer = Self {
            count,
            parts,
            buffer: Vec::new(),
            len: 0,
            slots: Vec::new(),
        };
        writer.render(0, 0);
        Ok(writer)
    }

    /// The headers of the record at this position of the source.
    #[inline(always)]
    pub(crate) fn write(&mut self, offset: i64, timestamp: i64) -> Suffix<'_> {
        let mut fits = true;
        for slot in &mut self.slots {
            let value = slot.number.of(offset, timestamp);
            let low = value.wrapping_sub(slot.base) as u64;
            if low < slot.group {
                slot.low = four_digits(low);
            } else {
                fits &= slot.put(&mut self.buffer, value);
            }
        }
        if !fits {
            self.render(offset, timestamp);
        }
        Suffix {
            count: self.count,
            len: self.len,
            padded: &self.buffer,
            slots: &self.slots,
        }
    }

    /// Writes everything anew.
    #[cold]
    #[inline(never)]
    fn render(&mut self, offset: i64, timestamp: i64) {
        self.buffer.clear();
        self.slots.clear();
        for part in &self.parts {
            self.buffer.extend_from_slice(&part.before);
            let Some(number) = part.number else { continue };
            let value = number.of(offset, timestamp);
            let mut digits = [0; LONGEST_DECIMAL];
            let text = decimal(value, &mut digits);
            push_i32(&mut self.buffer, text.len() as i32);
            let start = self.buffer.len();
            self.buffer.extend_from_slice(text);
            let (base, group) = group_of(value);
            let text = start..self.buffer.len();
            self.slots.push(Slot {
                number,
                low_at: low_at(&text, group),
                text,
                base,
                group,
                low: four_digits(value.wrapping_sub(base) as u64),
            });
        }
        self.len = self.buffer.len();
        self.buffer.resize(self.len + PADDING, 0);
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

impl Slot {
    /// Writes a number of another group; `false`, and nothing written, when it has not as many digits.
    fn put(&mut self, buffer: &mut [u8], value: i64) -> bool {
        let mut digits = [0; LONGEST_DECIMAL];
        let text = decimal(value, &mut digits);
        match buffer.get_mut(self.text.clone()) {
            Some(place) if place.len() == text.len() => place.copy_from_slice(text),
            _ => return false,
        }
        (self.base, self.group) = group_of(value);
        self.low_at = low_at(&self.text, self.group);
        self.low = four_digits(value.wrapping_sub(self.base) as u64);
        true
    }

    /// Puts the last digits into a copy of the headers.
    #[inline(always)]
    pub(crate) fn finish(&self, copy: &mut [u8]) {
        if let Some(place) = self
            .low_at
            .and_then(|at| copy.get_mut(at..)?.first_chunk_mut::<4>())
        {
            *place = self.low;
        }
    }
}

/// Where the last digits of `text` are, if it is a number of a group.
fn low_at(text: &Range<usize>, group: u64) -> Option<usize> {
    text.end.checked_sub(4).filter(|_| group > 0)
}

/// The smallest number of the group of `value`, and how many numbers there are in it.
fn group_of(value: i64) -> (i64, u64) {
    let group = GROUP as i64;
    if value < group {
        return (0, 0);
    }
    let base = value - value % group;
    (base, GROUP.min((i64::MAX - base) as u64))
}

/// `00` to `99`, and more up to a power of two, so that an index needs no check.
static PAIRS: [[u8; 2]; 128] = pairs();

const fn pairs() -> [[u8; 2]; 128] {
    let mut pairs = [[b'0'; 2]; 128];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
}

/// The digits of a number below [`GROUP`].
#[inline(always)]
fn four_digits(number: u64) -> [u8; 4] {
    // 32 bits: the division becomes one multiplication. The mask leaves numbers below 100 as they are.
    let number = number as u32;
    let (high, low) = (number / 100, number % 100);
    let pair = |index: u32| PAIRS[(index & 127) as usize];
    let ([a, b], [c, d]) = (pair(high), pair(low));
    [a, b, c, d]
}

/// Bytes of the decimal form of `i64::MIN`.
const LONGEST_DECIMAL: usize = 20;

/// The decimal form of `value`, at the end of `digits`.
fn decimal(value: i64, digits: &mut [u8; LONGEST_DECIMAL]) -> &[u8] {
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
    digits.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers around the places where digits or groups change, and any others.
    fn number() -> impl Strategy<Value = i64> {
        let around = |value: i64| (-3..=3i64).prop_map(move |by| value.saturating_add(by));
        let ten = (0..19u32).prop_flat_map(move |exponent| around(10i64.pow(exponent)));
        let group = (0..100_000i64).prop_flat_map(move |group| around(group * GROUP as i64));
        let edge = prop::sample::select(vec![i64::MIN, i64::MAX, 0]).prop_flat_map(around);
        prop_oneof![
            ten,
            group,
            edge,
            any::<i64>(),
            1_700_000_000_000..1_700_000_009_999i64
        ]
    }

    proptest! {
        #[test]
        fn whatever_was_written_before_the_numbers_are_right(
            positions in prop::collection::vec((number(), number(), 1..5usize), 1..20),
        ) {
            let mut writer = SuffixWriter::new(&AppendedHeader::original_position(Some("c"))).unwrap();
            for (offset, timestamp, times) in positions {
                for i in 0..times as i64 {
                    let (offset, timestamp) = (offset.wrapping_add(i), timestamp.wrapping_add(3 * i));
                    let mut expected = Vec::new();
                    for (name, value) in [
                        (ORIGINAL_OFFSET, offset.to_string()),
                        (ORIGINAL_TIMESTAMP, timestamp.to_string()),
                        (SOURCE_CLUSTER, "c".to_owned()),
                    ] {
                        push_bytes(&mut expected, 0, Some(name.as_bytes())).unwrap();
                        push_bytes(&mut expected, 0, Some(value.as_bytes())).unwrap();
                    }
                    let suffix = writer.write(offset, timestamp);
                    prop_assert_eq!(suffix.count, 3);
                    let mut copy = suffix.bytes().to_vec();
                    suffix.finish(&mut copy);
                    prop_assert_eq!(copy, expected);
                    prop_assert!(suffix.padded.starts_with(suffix.bytes()));
                }
            }
        }
    }
}
