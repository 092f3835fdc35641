//! The record headers that carry a record's origin through a restore.
//!
//! A restore appends them when it is asked to. They are read back only where a record's origin is not known
//! otherwise, and then what they say is a claim to be checked against the backup: a user's record may carry
//! headers of the same names, with anything in them.

use std::fmt;

/// Name of the header with the record's offset in the source partition.
pub const ORIGINAL_OFFSET: &str = "x-original-offset";
/// Name of the header with the record's timestamp in the source cluster, in milliseconds since the epoch.
pub const ORIGINAL_TIMESTAMP: &str = "x-original-timestamp";
/// Name of the header with the name of the source cluster, in UTF-8.
pub const SOURCE_CLUSTER: &str = "x-source-cluster";

/// What the headers of one record say about its origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OriginHeaders<'a> {
    /// Offset in the source partition; `None` when absent, or when its last value is not an offset.
    pub offset: Option<i64>,
    /// Timestamp in milliseconds; `None` when absent, or when its last value is not a number.
    pub timestamp: Option<i64>,
    /// Name of the source cluster; `None` when absent, or when its last value is not UTF-8.
    pub source_cluster: Option<&'a str>,
}

impl<'a> OriginHeaders<'a> {
    /// Reads the headers of a record, given in their order as names and values.
    ///
    /// The last header of a name decides, because a restore appends after whatever the record had. A last
    /// value that cannot be read hides an earlier one that can: the earlier one is somebody else's.
    pub fn read(headers: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            if name == ORIGINAL_OFFSET.as_bytes() {
                found.offset = value.and_then(parse_offset);
            } else if name == ORIGINAL_TIMESTAMP.as_bytes() {
                found.timestamp = value.and_then(parse_timestamp);
            } else if name == SOURCE_CLUSTER.as_bytes() {
                found.source_cluster = value.and_then(|bytes| std::str::from_utf8(bytes).ok());
            }
        }
        found
    }
}

/// An offset from a header value: ASCII decimal, or the 8-byte little-endian integer of older tools.
///
/// Eight ASCII digits are read as digits. As a little-endian integer they would be an offset beyond 3.4 *
/// 10^18.
pub fn parse_offset(value: &[u8]) -> Option<i64> {
    parse_integer(value).filter(|offset| *offset >= 0)
}

/// A timestamp in milliseconds from a header value, in the same encodings; it may be negative.
pub fn parse_timestamp(value: &[u8]) -> Option<i64> {
    parse_integer(value)
}

fn parse_integer(value: &[u8]) -> Option<i64> {
    parse_decimal(value).or_else(|| <[u8; 8]>::try_from(value).ok().map(i64::from_le_bytes))
}

fn parse_decimal(value: &[u8]) -> Option<i64> {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    if !digits.iter().all(u8::is_ascii_digit) {
        return None; // `parse` would take a plus sign.
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// The value of an `x-original-offset` or `x-original-timestamp` header: ASCII decimal, made without
/// allocating.
#[derive(Clone, Copy)]
pub struct Decimal {
    // The longest value is `i64::MIN`, with a sign and nineteen digits. The text stands at the end.
    text: [u8; 20],
    start: u8,
}

impl Decimal {
    /// Encodes an offset, or a timestamp in milliseconds.
    pub fn new(value: i64) -> Self {
        let mut text = [0; 20];
        let mut start = text.len();
        let mut rest = value.unsigned_abs();
        for byte in text.iter_mut().rev() {
            *byte = b'0' + (rest % 10) as u8;
            rest /= 10;
            start -= 1;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            start -= 1;
            text[start] = b'-';
        }
        Self {
            text,
            start: start as u8,
        }
    }

    /// The ASCII bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[usize::from(self.start)..]
    }
}

impl AsRef<[u8]> for Decimal {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decimal({})", String::from_utf8_lossy(self.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OFFSET: &[u8] = ORIGINAL_OFFSET.as_bytes();

    proptest! {
        #[test]
        fn both_encodings_are_read_back(value: i64) {
            let decimal = Decimal::new(value);
            let text = value.to_string();
            prop_assert_eq!(decimal.as_bytes(), text.as_bytes());
            prop_assert_eq!(parse_timestamp(decimal.as_bytes()), Some(value));
            prop_assert_eq!(parse_offset(decimal.as_bytes()), (value >= 0).then_some(value));
        }

        #[test]
        fn little_endian_integers_are_read_unless_they_are_digits(value: i64) {
            let bytes = value.to_le_bytes();
            let is_decimal = bytes.strip_prefix(b"-").unwrap_or(&bytes).iter().all(u8::is_ascii_digit);
            if !is_decimal {
                prop_assert_eq!(parse_timestamp(&bytes), Some(value));
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = OriginHeaders::read([(OFFSET, Some(bytes.as_slice()))]);
        }
    }

    #[test]
    fn the_extremes_are_encoded() {
        for value in [0, -1, 9, 10, i64::MAX, i64::MIN] {
            assert_eq!(Decimal::new(value).as_bytes(), value.to_string().as_bytes());
        }
        assert_eq!(format!("{:?}", Decimal::new(-42)), "Decimal(-42)");
    }

    #[test]
    fn eight_digits_are_decimal() {
        assert_eq!(parse_offset(b"12345678"), Some(12_345_678));
        assert_eq!(parse_offset(&750i64.to_le_bytes()), Some(750));
    }

    #[test]
    fn what_is_not_a_number_is_not_read() {
        for value in [
            &b""[..],
            b"-",
            b"+5",
            b" 5",
            b"5 ",
            b"0x10",
            b"1e3",
            b"9223372036854775808",
            b"1234567\0\0",
        ] {
            assert_eq!(parse_offset(value), None, "{value:?}");
        }
        assert_eq!(parse_offset(b"-1"), None);
        assert_eq!(parse_offset(&(-1i64).to_le_bytes()), None);
    }

    #[test]
    fn the_last_header_of_a_name_wins() {
        let headers = OriginHeaders::read([
            (OFFSET, Some(&b"7"[..])),
            (b"trace", Some(b"x")),
            (SOURCE_CLUSTER.as_bytes(), Some("köln".as_bytes())),
            (ORIGINAL_TIMESTAMP.as_bytes(), Some(b"-1")),
            (OFFSET, Some(b"8")),
        ]);
        let expected = OriginHeaders {
            offset: Some(8),
            timestamp: Some(-1),
            source_cluster: Some("köln"),
        };
        assert_eq!(headers, expected);
    }

    #[test]
    fn an_unreadable_last_header_hides_an_earlier_one() {
        for last in [None, Some(&b"soon"[..])] {
            let headers = OriginHeaders::read([(OFFSET, Some(&b"7"[..])), (OFFSET, last)]);
            assert_eq!(headers.offset, None);
        }
        let headers = OriginHeaders::read([(SOURCE_CLUSTER.as_bytes(), Some(&b"\xff"[..]))]);
        assert_eq!(headers.source_cluster, None);
    }
}
