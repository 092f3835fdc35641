//! Points in time, as an operator writes them: RFC 3339 (`2024-05-01T12:00:00Z`, `2024-05-01T14:00:00.5+02:00`), or
//! milliseconds since 1970 UTC.

const DAY_MS: i64 = 24 * 3600 * 1000;

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

fn rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone_at);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
    let days = days_since_epoch(year, month, day)?;
    // A leap second is the first moment of the next minute.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = hour * 3600 + minute * 60 + second - zone_seconds(zone)?;
    Some(days * DAY_MS + seconds * 1000 + milliseconds(fraction)?)
}

/// Three numbers of fixed widths.
fn fields(text: &str, separator: char, widths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, width) in numbers.iter_mut().zip(widths) {
        *number = digits(parts.next()?, width)?;
    }
    parts.next().is_none().then_some(numbers)
}

fn digits(text: &str, width: usize) -> Option<i64> {
    let valid = text.len() == width && text.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| text.parse().ok())?
}

/// The first three digits behind the point.
fn milliseconds(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let three: String = fraction.chars().chain("000".chars()).take(3).collect();
    three.parse().ok()
}

fn zone_seconds(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days from 1970-01-01 in the Gregorian calendar; `None` for a day that it does not have.
fn days_since_epoch(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [
        31,
        if leap { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let before = usize::try_from(month).ok()?.checked_sub(1)?;
    if !(1..=*lengths.get(before)?).contains(&day) {
        return None;
    }
    let leap_days = |years: i64| years / 4 - years / 100 + years / 400;
    let whole_years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    Some(whole_years + lengths[..before].iter().sum::<i64>() + day - 1)
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
        ] {
            assert_eq!(time(text), Some(seconds * 1000), "{text}");
        }
        assert_eq!(time("2024-05-01T12:00:00.5Z"), Some(1_714_564_800_500));
        assert_eq!(time("2024-05-01T12:00:00.123999Z"), Some(1_714_564_800_123));
        assert_eq!(time("1714564800123"), Some(1_714_564_800_123));
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
