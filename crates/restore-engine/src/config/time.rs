//! Points in time, as an operator writes them: RFC 3339 (`2024-05-01T12:00:00Z`, `2024-05-01T14:00:00.5+02:00`), or
//! milliseconds since 1970 UTC.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970 UTC; `key` is only named in the error.
pub(super) fn parse_time(key: &str, text: &str) -> Result<i64, String> {
    let number = (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok());
    number.unwrap_or_else(|| rfc3339(text)).ok_or_else(|| {
        format!(
            "{key}: `{text}` is not a time: write 2024-05-01T12:00:00Z (with `Z` or an offset such as +02:00), or \
             milliseconds since 1970"
        )
    })
}

/// A leap second is the last moment of the second before.
fn rfc3339(text: &str) -> Option<i64> {
    // Anything would do there.
    if !matches!(text.as_bytes().get(10)?, b'T' | b't' | b' ') {
        return None;
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::parse_time;

    fn time(text: &str) -> Option<i64> {
        parse_time("key", text).ok()
    }

    #[test]
    fn times_are_what_date_says() {
        // date -u -d TIME +%s
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2024-03-01T00:00:00Z", 1_709_251_200),
            ("2024-05-01T14:30:00+02:30", 1_714_564_800),
            ("2024-05-01t07:00:00-05:00", 1_714_564_800),
            ("2100-03-01 00:00:00z", 4_107_542_400),
            ("1969-12-31T23:59:59Z", -1),
            ("1900-03-01T00:00:00Z", -2_203_891_200),
            ("2023-12-31T23:59:59Z", 1_704_067_199),
            ("2024-01-01T00:59:59+01:00", 1_704_067_199),
            ("2024-01-01T00:00:00-00:00", 1_704_067_200),
            ("0000-01-01T00:00:00Z", -62_167_219_200),
            ("0000-01-01T00:00:00+23:59", -62_167_219_200 - 86_340),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("9999-12-31T23:59:59-23:59", 253_402_300_799 + 86_340),
        ] {
            assert_eq!(time(text), Some(seconds * 1000), "{text}");
        }
        assert_eq!(time("2024-05-01T12:00:00.5Z"), Some(1_714_564_800_500));
        assert_eq!(time("2024-05-01T12:00:00.123999Z"), Some(1_714_564_800_123));
        assert_eq!(time("1969-12-31T23:59:59.9999Z"), Some(-1));
        assert_eq!(time("1714564800123"), Some(1_714_564_800_123));
        assert_eq!(time("2016-12-31T23:59:60Z"), Some(1_483_228_799_999));
        assert_eq!(time("2017-01-01T00:59:60+01:00"), Some(1_483_228_799_999));
    }

    #[test]
    fn what_is_no_time_is_refused_with_its_key() {
        for text in [
            "",
            "yesterday",
            "2024-05-01",
            "2024-05-01T12:00:00",
            "2024-02-30T12:00:00Z",
            "2023-02-29T12:00:00Z",
            "2024-13-01T12:00:00Z",
            "2024-00-01T12:00:00Z",
            "2024-05-01T24:00:00Z",
            "2024-05-01T12:00Z",
            "2024-05-01T12:00:00.Z",
            "2024-05-01T12:00:00.5xZ",
            "2024-05-01x12:00:00Z",
            "2024-05-01T12:60:00Z",
            "2024-05-01T12:00:61Z",
            // Leap seconds are at the end of a day.
            "2024-05-01T12:00:60Z",
            "2024-04-31T12:00:00Z",
            "2024-05-00T12:00:00Z",
            "1900-02-29T12:00:00Z",
            "2024-05-01T12:00:00+24:00",
            "2024-05-01T12:00:00+02:60",
            "2024-05-01T12:00:00Zulu",
            "2024-05-01T12:00:00+02:00:00",
            " 2024-05-01T12:00:00Z",
            "10000-01-01T00:00:00Z",
            "2024-05-01\u{fc}12:00:00Z",
            "2024-05-01T12:00:00+2",
            "24-05-01T12:00:00Z",
            "+024-05-01T12:00:00Z",
            "99999999999999999999",
        ] {
            let message = parse_time("restore.x", text).unwrap_err();
            assert!(
                message.contains("restore.x") && message.contains("2024-05-01T12:00:00Z"),
                "{message}"
            );
        }
    }
}
