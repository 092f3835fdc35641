//! The usual record, read with few checks: nearly all are alike.
//!
//! What is read here is what the general way reads ([`super::records`]), only faster. For anything unusual there is no
//! answer, and whoever asks goes the general way, which also knows what is wrong with a record that is wrong.

use super::varint::unzigzag32;

/// Bytes that are looked at as one: most that the numbers before the key take, of four bytes each.
const FRONT: usize = 24;

/// The numbers of a record, and where its parts lie, counted from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsualRecord {
    pub(crate) attributes: u8,
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    /// Where its length ends.
    pub(crate) body_at: usize,
    /// Where the key's length is.
    pub(crate) tail_at: usize,
    pub(crate) key: UsualBytes,
    pub(crate) value: UsualBytes,
    /// Where the count of headers is, in one byte.
    pub(crate) count_at: usize,
    /// The count of headers, which is possible; whether they parse is not known.
    pub(crate) count: u8,
    /// Where the record ends.
    pub(crate) end: usize,
}

/// Where a key or a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsualBytes {
    at: usize,
    len: usize,
    none: bool,
}

impl UsualRecord {
    /// Reads the record at the front of `input`, when its numbers take four bytes at most and no more than they need, the
    /// count of headers takes one, and as many bytes as they could take are there.
    #[inline(always)]
    pub(crate) fn read(input: &[u8]) -> Option<Self> {
        let front = input.first_chunk::<FRONT>()?;
        let mut at = 0;
        let len = number(front, &mut at)?;
        let body_at = at;
        let attributes = *front.get(at)?;
        at += 1;
        let timestamp_delta = i64::from(unzigzag32(number(front, &mut at)?));
        let offset_delta = unzigzag32(number(front, &mut at)?);
        let tail_at = at;
        let key = UsualBytes::read(front, &mut at)?;
        let value = UsualBytes::read(input, &mut at)?;
        let count_at = at;
        let count = *input.get(at)?;
        let end = body_at + (len >> 1) as usize;
        if len & 1 != 0 || end > input.len() {
            return None;
        }
        // All that was read lies before the count: when that is inside of the record, all is.
        let without_headers = count_at + 1 == end && count == 0;
        if !without_headers && !may_have_headers(count, count_at, end) {
            return None;
        }
        Some(Self {
            attributes,
            timestamp_delta,
            offset_delta,
            body_at,
            tail_at,
            key,
            value,
            count_at,
            count: count >> 1,
            end,
        })
    }
}

/// Whether what follows the count may be as many headers; each takes two bytes at least.
#[inline(always)]
fn may_have_headers(count: u8, count_at: usize, end: usize) -> bool {
    count_at + 1 < end && count != 0 && count & 0x81 == 0 && usize::from(count) < end - count_at
}

impl UsualBytes {
    /// Reads the length at `at`, and passes by as many bytes; a negative length means none, as in the Java client.
    #[inline(always)]
    fn read(input: &[u8], at: &mut usize) -> Option<Self> {
        let len = number(input, at)?;
        let start = *at;
        if len & 1 != 0 {
            return Some(Self {
                at: start,
                len: 0,
                none: true,
            });
        }
        let len = (len >> 1) as usize;
        *at += len;
        Some(Self {
            at: start,
            len,
            none: false,
        })
    }

    /// The bytes, from the record that was read.
    #[inline(always)]
    pub(crate) fn of(self, record: &[u8]) -> Option<&[u8]> {
        record.get(self.at..self.at + self.len).filter(|_| !self.none)
    }
}

/// Reads a varint of at most four bytes, none more than it needs, as it is stored.
// Branches: neighbours have numbers of the same length, so they are foreseen, and what follows need not wait.
#[inline(always)]
fn number(input: &[u8], at: &mut usize) -> Option<u32> {
    let word = u32::from_le_bytes(*input.get(*at..)?.first_chunk::<4>()?);
    let low = word & 0x7f;
    if word & 0x80 == 0 {
        *at += 1;
        return Some(low);
    }
    let low = low | (word >> 1) & 0x3f80;
    if word & 0x8000 == 0 {
        if low < 1 << 7 {
            return None;
        }
        *at += 2;
        return Some(low);
    }
    let low = low | (word >> 2) & 0x1f_c000;
    if word & 0x80_0000 == 0 {
        if low < 1 << 14 {
            return None;
        }
        *at += 3;
        return Some(low);
    }
    let low = low | (word >> 3) & 0xfe0_0000;
    if word >> 31 != 0 || low < 1 << 21 {
        return None;
    }
    *at += 4;
    Some(low)
}
