//! Points in time as AWS writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `20260131T235959Z`, in UTC. A clock that is set to before 1970, or to a year of five digits, shows 1970.
pub(super) fn compact(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let at = i64::try_from(seconds)
        .ok()
        .map(OffsetDateTime::from_unix_timestamp);
    let at = at.and_then(Result::ok).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// `2026-01-31T23:59:59Z`, also with parts of a second or another offset (RFC 3339), from 1970 on. Whole seconds of it; a leap
/// second counts as the one before.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    // Anything would do there.
    if !matches!(text.as_bytes().get(10)?, b'T' | b't' | b' ') {
        return None;
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let seconds = u64::try_from(at.unix_timestamp()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// The seconds are those of `date -u -d ... +%s`.
    #[test]
    fn known_times_are_written_and_read() {
        for (seconds, compacted, long) in [
            (0, "19700101T000000Z", "1970-01-01T00:00:00Z"),
            (951_782_400, "20000229T000000Z", "2000-02-29T00:00:00Z"),
            (951_868_799, "20000229T235959Z", "2000-02-29T23:59:59Z"),
            (1_709_251_199, "20240229T235959Z", "2024-02-29T23:59:59Z"),
            (1_798_761_599, "20261231T235959Z", "2026-12-31T23:59:59Z"),
            (4_107_542_400, "21000301T000000Z", "2100-03-01T00:00:00Z"),
            (13_574_563_200, "24000229T000000Z", "2400-02-29T00:00:00Z"),
            (253_402_300_799, "99991231T235959Z", "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(compact(at(seconds)), compacted);
            assert_eq!(parse(long), Some(at(seconds)), "{long}");
        }
        for strange in [
            UNIX_EPOCH - Duration::from_secs(1),
            at(253_402_300_800),
            at(i64::MAX as u64),
        ] {
            assert_eq!(compact(strange), "19700101T000000Z");
        }
    }

    #[test]
    fn other_forms_of_the_standard_are_read() {
        let noon = Some(at(1_767_268_800));
        for text in [
            "2026-01-01T12:00:00Z",
            "2026-01-01t12:00:00.999z",
            "2026-01-01 12:00:00+00:00",
            "2026-01-01T14:30:00+02:30",
            "2026-01-01T07:00:00-05:00",
        ] {
            assert_eq!(parse(text), noon, "{text}");
        }
        assert_eq!(parse("2016-12-31T23:59:60Z"), Some(at(1_483_228_799)));
        assert_eq!(
            parse("9999-12-31T23:59:59-23:59"),
            Some(at(253_402_300_799 + 86_340))
        );
    }

    #[test]
    fn what_is_no_time_is_not_taken_for_one() {
        for text in [
            "",
            "never",
            "2026-01-01",
            "2026-01-01T12:00:00",
            "2026-13-01T12:00:00Z",
            "2026-00-01T12:00:00Z",
            "2026-02-29T12:00:00Z",
            "2100-02-29T12:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T12:00:61Z",
            "2026-01-01T12:00:60Z",
            "2026-01-01x12:00:00Z",
            "2026-01-01T12:00:00.Z",
            "1969-12-31T23:59:59Z",
            "2026-01-01T12:00Z",
            "2026-01-01T12:00:00+2",
            "2026-01-01T12:00:00Zulu",
            "1767268800",
            "1970-01-01T00:00:00+01:00",
            "26-01-01T12:00:00Z",
            "2026-+1-01T12:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
