//! CRC-32C of a batch, and the CRC of a batch whose header changed without reading the records again.
//!
//! A CRC is linear: when only the first bytes of a message change, the CRC changes by the CRC of the difference, moved
//! past the bytes that follow. Moving past `n` bytes is a multiplication by x^(8n) modulo the polynomial; with the
//! powers for every digit of `n` in base 256 in a table it takes at most four multiplications.

/// The Castagnoli polynomial, bits reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// The polynomial "1" in reflected notation.
const ONE: u32 = 1 << 31;
/// x^8 in reflected notation: one byte further.
const ONE_BYTE: u32 = 1 << 23;

static STEP: [u32; 256] = step_table();
static SHIFT: [[u32; 256]; 4] = shift_table();

/// CRC-32C (Castagnoli), as in the `crc` field of a batch.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// What a CRC difference becomes when `len` more bytes, equal on both sides, follow.
pub(crate) fn shift(difference: u32, len: u32) -> u32 {
    let mut crc = difference;
    for (row, digit) in SHIFT.iter().zip(len.to_le_bytes()) {
        if digit != 0 {
            crc = multiply(crc, row[usize::from(digit)]);
        }
    }
    crc
}

/// The CRC of one message followed by another, from the CRC of each and the length of the second.
pub(crate) fn combine(first: u32, second: u32, second_len: u32) -> u32 {
    shift(first, second_len) ^ second
}

/// The difference of the CRCs of two messages of equal length, from the bytewise difference of the messages.
pub(crate) fn difference(bytes: impl Iterator<Item = u8>) -> u32 {
    bytes.fold(0, |crc, byte| (crc >> 8) ^ STEP[usize::from(crc as u8 ^ byte)])
}

/// The product of two polynomials modulo [`POLYNOMIAL`].
const fn multiply(a: u32, b: u32) -> u32 {
    let mut term = a;
    let mut product = 0;
    let mut bit = 0;
    while bit < 32 {
        product ^= term & 0u32.wrapping_sub((b >> (31 - bit)) & 1);
        term = (term >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(term & 1));
        bit += 1;
    }
    product
}

const fn step_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(crc & 1));
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

const fn shift_table() -> [[u32; 256]; 4] {
    let mut table = [[ONE; 256]; 4];
    let mut base = ONE_BYTE;
    let mut row = 0;
    while row < 4 {
        let mut digit = 1;
        while digit < 256 {
            table[row][digit] = multiply(table[row][digit - 1], base);
            digit += 1;
        }
        base = multiply(table[row][255], base);
        row += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn check_value_of_the_catalogue() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    proptest! {
        #[test]
        fn a_changed_prefix_gives_the_full_crc(
            old in prop::collection::vec(any::<u8>(), 40..41),
            new in prop::collection::vec(any::<u8>(), 40..41),
            tail in prop::collection::vec(any::<u8>(), 0..70_000),
        ) {
            let before = crc32c(&[&old[..], &tail].concat());
            let change = difference(old.iter().zip(&new).map(|(a, b)| a ^ b));
            let after = before ^ shift(change, tail.len() as u32);
            prop_assert_eq!(after, crc32c(&[&new[..], &tail].concat()));
        }

        #[test]
        fn pieces_give_the_crc_of_the_whole(
            first in prop::collection::vec(any::<u8>(), 0..300),
            second in prop::collection::vec(any::<u8>(), 0..70_000),
        ) {
            let combined = combine(crc32c(&first), crc32c(&second), second.len() as u32);
            prop_assert_eq!(combined, crc32c(&[&first[..], &second].concat()));
        }

        #[test]
        fn shifts_add_up(crc: u32, a in 0..u32::MAX / 2, b in 0..u32::MAX / 2) {
            prop_assert_eq!(shift(shift(crc, a), b), shift(crc, a + b));
        }
    }
}
