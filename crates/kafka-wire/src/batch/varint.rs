//! Zig-zag variable-length integers, as Kafka writes them inside records.
//!
//! Reading follows `ByteUtils.readVarint` of the Java client: up to five bytes for 32 bits and ten for 64, non-minimal
//! forms are legal, bits beyond the width are dropped.

/// Reads an `i32`; returns it and the bytes behind it, or `None` when the bytes end early or it is too long.
#[inline(always)]
pub(crate) fn read_i32(input: &[u8]) -> Option<(i32, &[u8])> {
    let (&first, rest) = input.split_first()?;
    if first < 0x80 {
        return Some((unzigzag32(u32::from(first)), rest));
    }
    let (&second, rest) = rest.split_first()?;
    let low = u32::from(first & 0x7f) | (u32::from(second & 0x7f) << 7);
    if second < 0x80 {
        return Some((unzigzag32(low), rest));
    }
    let (value, read) = split_tail(read_i32_tail(low, rest));
    let rest = rest.get(read..).filter(|_| read > 0)?;
    Some((unzigzag32(value), rest))
}

/// Value and bytes read, in one number: two would come back through memory, and everybody would wait for that, those whose
/// varints are short included. No bytes are read when they end early or there are too many.
fn read_i32_tail(low: u32, input: &[u8]) -> u64 {
    let mut value = low;
    for (byte, read) in input.iter().zip(1..=3u32) {
        value |= u32::from(byte & 0x7f) << (7 + 7 * read);
        if *byte < 0x80 {
            return u64::from(value) | u64::from(read) << 32;
        }
    }
    0
}

#[inline(always)]
const fn split_tail(tail: u64) -> (u32, usize) {
    (tail as u32, (tail >> 32) as usize)
}

/// Reads an `i64`; returns it and the bytes behind it, or `None` when the bytes end early or it is too long.
#[inline(always)]
pub(crate) fn read_i64(input: &[u8]) -> Option<(i64, &[u8])> {
    let (&first, rest) = input.split_first()?;
    if first < 0x80 {
        return Some((unzigzag64(u64::from(first)), rest));
    }
    read_i64_tail(first, rest)
}

#[inline(always)]
fn read_i64_tail(first: u8, input: &[u8]) -> Option<(i64, &[u8])> {
    let mut value = u64::from(first & 0x7f);
    let mut rest = input;
    let mut shift = 7;
    while shift <= 63 {
        let (&byte, tail) = rest.split_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        rest = tail;
        if byte < 0x80 {
            return Some((unzigzag64(value), rest));
        }
        shift += 7;
    }
    None
}

pub(crate) const fn unzigzag32(value: u32) -> i32 {
    ((value >> 1) as i32) ^ -((value & 1) as i32)
}

const fn unzigzag64(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// The number that is written for `value`.
pub(crate) const fn zigzag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// The number that is written for `value`.
pub(crate) const fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Bytes that [`Small::put_i32`] writes for `value`.
pub(crate) const fn size_i32(value: i32) -> usize {
    let bits = 32 - (zigzag32(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// [`short_varint`] takes numbers of so many bits.
pub(crate) const SHORT_VARINT_BITS: u32 = 28;

/// The varint of a number below 2^[`SHORT_VARINT_BITS`]: its bytes, lowest first, and how many they are.
// Branches: neighbours in a batch have numbers of the same length, so they are foreseen, and what follows need not wait.
#[inline(always)]
pub(crate) const fn short_varint(value: u32) -> (u32, usize) {
    let first = value & 0x7f;
    if value < 1 << 7 {
        return (first, 1);
    }
    let second = (value & 0x3f80) << 1 | 0x80;
    if value < 1 << 14 {
        return (first | second, 2);
    }
    let third = (value & 0x1f_c000) << 2 | 0x8000;
    if value < 1 << 21 {
        return (first | second | third, 3);
    }
    let fourth = (value & 0xfe0_0000) << 3 | 0x80_0000;
    (first | second | third | fourth, 4)
}

/// A few varints on the stack, so that a record's fixed part is appended to the output in one piece.
#[derive(Debug)]
pub(crate) struct Small {
    bytes: [u8; 32],
    len: usize,
}

impl Small {
    /// Nothing yet. There is room for a record's length, attributes, timestamp and offset deltas (21 bytes at most),
    /// or for any two varints.
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; 32],
            len: 0,
        }
    }

    #[inline(always)]
    pub(crate) fn put_u8(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }

    #[inline(always)]
    pub(crate) fn put_i32(&mut self, value: i32) {
        self.put(u64::from(zigzag32(value)));
    }

    #[inline(always)]
    pub(crate) fn put_i64(&mut self, value: i64) {
        self.put(zigzag64(value));
    }

    #[inline(always)]
    fn put(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.put_u8(value as u8);
    }

    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }

    #[inline(always)]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }
}

/// Appends `value`.
pub(crate) fn push_i32(out: &mut Vec<u8>, value: i32) {
    let mut small = Small::new();
    small.put_i32(value);
    out.extend_from_slice(small.as_slice());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_widths_round_trip(a: i32, b: i64) {
            let mut small = Small::new();
            small.put_i32(a);
            prop_assert_eq!(small.len(), size_i32(a));
            small.put_i64(b);
            let (read_a, rest) = read_i32(small.as_slice()).unwrap();
            let (read_b, rest) = read_i64(rest).unwrap();
            prop_assert_eq!((read_a, read_b, rest.len()), (a, b, 0));
        }
    }

    #[test]
    fn short_varints_are_those_of_the_long_way() {
        let around = |bit: u32| [(1u32 << bit) - 1, 1 << bit, (1 << bit) + 1];
        for value in (0..27).flat_map(around).chain([(1 << SHORT_VARINT_BITS) - 1]) {
            let mut small = Small::new();
            small.put(u64::from(value));
            let (word, len) = short_varint(value);
            assert_eq!(&word.to_le_bytes()[..len], small.as_slice(), "{value}");
        }
    }

    #[test]
    fn edges_take_the_bytes_that_java_takes() {
        for (value, size) in [
            (0, 1),
            (-1, 1),
            (63, 1),
            (-64, 1),
            (64, 2),
            (8191, 2),
            (8192, 3),
            (i32::MIN, 5),
        ] {
            let mut out = Vec::new();
            push_i32(&mut out, value);
            assert_eq!(out.len(), size, "{value}");
            assert_eq!(read_i32(&out), Some((value, &[][..])));
        }
    }

    #[test]
    fn cut_and_overlong_varints_are_refused() {
        assert_eq!(read_i32(&[]), None);
        assert_eq!(read_i32(&[0x80]), None);
        assert_eq!(read_i32(&[0x80, 0x80, 0x80, 0x80]), None);
        assert_eq!(read_i32(&[0xff, 0xff, 0xff, 0xff, 0x80, 0]), None);
        assert_eq!(read_i64(&[0x80; 10]), None);
        assert_eq!(read_i64(&[0x80; 9]), None);
        // Non-minimal forms are legal.
        assert_eq!(read_i32(&[0x82, 0x80, 0x00]), Some((1, &[][..])));
    }
}
