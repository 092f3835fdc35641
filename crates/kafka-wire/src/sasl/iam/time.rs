//! Points in time as AWS writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 3600;

/// `20260131T235959Z`, in UTC. A clock that is set to before 1970 shows 1970.
pub(super) fn compact(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = date(seconds / DAY);
    let second = seconds % DAY;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// `2026-01-31T23:59:59Z`, also with parts of a second or another offset (RFC 3339). Whole seconds of it.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let at = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at(at);
    let [year, month, day] = numbers(date, '-')?;
    let (time, _) = time.split_once('.').unwrap_or((time, ""));
    let [hour, minute, second] = numbers(time, ':')?;
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    if !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    // A leap second is there, and counts as the next one.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let local = days_before(year, month) * DAY + (day - 1) * DAY + hour * 3600 + minute * 60 + second;
    let offset = match zone.split_at(1) {
        ("Z" | "z", "") => 0,
        (_, offset) => {
            let [hours, minutes] = numbers(offset, ':')?;
            hours * 3600 + minutes * 60
        }
    };
    let seconds = match zone.starts_with('-') {
        true => local.checked_add(offset)?,
        false => local.checked_sub(offset)?,
    };
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn numbers<const N: usize>(text: &str, separator: char) -> Option<[u64; N]> {
    let parts: Option<Vec<u64>> = text
        .split(separator)
        .map(|part| {
            let is_number = (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| part.parse().ok()).flatten()
        })
        .collect();
    parts?.try_into().ok()
}

/// Year, month and day of a day that is counted from 1970 on.
fn date(mut days: u64) -> (u64, u64, u64) {
    // Whole cycles of the calendar at once, so that a strange clock does not take long.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    while days >= days_in(year) {
        days -= days_in(year);
        year += 1;
    }
    let mut month = 1;
    while days >= days_in_month(year, month) {
        days -= days_in_month(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

/// Days from 1970 to the first of a month.
fn days_before(year: u64, month: u64) -> u64 {
    let years: u64 = (1970..year).map(days_in).sum();
    let months: u64 = (1..month).map(|month| days_in_month(year, month)).sum();
    years + months
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
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
        ] {
            assert_eq!(compact(at(seconds)), compacted);
            assert_eq!(parse(long), Some(at(seconds)), "{long}");
        }
        assert_eq!(compact(UNIX_EPOCH - Duration::from_secs(1)), "19700101T000000Z");
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
            "2026-01-01T24:00:00Z",
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
