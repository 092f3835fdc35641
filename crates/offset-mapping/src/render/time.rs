//! Timestamps for people.

use time::OffsetDateTime;

/// A timestamp in milliseconds since the epoch as a date and time of day in UTC, to the second. Those of years with more than
/// four digits, which nobody means, are shown as what they are.
pub fn utc(milliseconds: i64) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(milliseconds.div_euclid(1000)) else {
        return format!("{milliseconds} ms since 1970 UTC");
    };
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::utc;

    /// As `date -u -d @SECONDS` shows them.
    #[test]
    fn known_times() {
        for (milliseconds, shown) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (1_700_002_000_000, "2023-11-14 22:46:40 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199_999, "2024-02-29 23:59:59 UTC"),
            (1_709_251_200_000, "2024-03-01 00:00:00 UTC"),
            (4_107_542_399_999, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00 UTC"),
            (1_798_761_599_999, "2026-12-31 23:59:59 UTC"),
            (1_798_761_600_000, "2027-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (-1000, "1969-12-31 23:59:59 UTC"),
            (-1001, "1969-12-31 23:59:58 UTC"),
            (-2_203_891_200_000, "1900-03-01 00:00:00 UTC"),
            (-62_135_596_800_000, "0001-01-01 00:00:00 UTC"),
            (253_402_300_799_999, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(utc(milliseconds), shown);
        }
    }

    #[test]
    fn no_timestamp_is_too_far() {
        assert_eq!(utc(253_402_300_800_000), "253402300800000 ms since 1970 UTC");
        assert_eq!(utc(i64::MIN), "-9223372036854775808 ms since 1970 UTC");
        assert_eq!(utc(i64::MAX), "9223372036854775807 ms since 1970 UTC");
    }
}
