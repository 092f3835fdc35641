//! CRC-32C and hexadecimal digits.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest, crc32_iscsi};

/// CRC-32C (Castagnoli), the checksum that Kafka's record batches use too.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc32_iscsi(bytes)
}

/// CRC-32C of the concatenation of `slices`.
pub(crate) fn crc32c_of(slices: &[Bytes]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for slice in slices {
        digest.update(slice);
    }
    // A 32-bit checksum in a 64-bit integer: the upper half is zero.
    (digest.finalize() & u64::from(u32::MAX)) as u32
}

/// Lower-case hexadecimal digits, two for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| {
        char::from(if nibble < 10 {
            b'0' + nibble
        } else {
            b'a' + nibble - 10
        })
    };
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The `N` bytes that exactly `2 * N` lower-case digits stand for. Upper-case digits are refused, so that a value has
/// one spelling and a flipped bit cannot turn it into another spelling of itself.
pub(crate) fn unhex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        if let [high, low] = pair {
            *byte = value(*high)? << 4 | value(*low)?;
        }
    }
    Some(bytes)
}

/// A digest as 64 lower-case digits, for serde's `with`.
pub(crate) mod hex_digest {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(digest: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::hex(digest))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        super::unhex(&text).ok_or_else(|| D::Error::custom("a digest is not 64 lower-case digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_has_the_published_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let slices = [
            Bytes::from_static(b"1234"),
            Bytes::new(),
            Bytes::from_static(b"56789"),
        ];
        assert_eq!(crc32c_of(&slices), 0xe306_9283);
    }

    #[test]
    fn hex_has_one_spelling() {
        assert_eq!(hex(&[0x00, 0x9f, 0xa0]), "009fa0");
        assert_eq!(unhex("009fa0"), Some([0x00, 0x9f, 0xa0]));
        assert_eq!(unhex::<3>("009FA0"), None);
        assert_eq!(unhex::<3>("009fa"), None);
        assert_eq!(unhex::<3>("009fag"), None);
    }
}
