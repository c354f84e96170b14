//! Times as ISO 8601 writes them.

/// Seconds since 1970 of a time as `2021-08-05T02:43:20.119Z`, or with an offset as `+02:00`, `+0200` or `+02`; none is UTC.
///
/// # Errors
/// The reason, in words.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    parse(text).ok_or_else(|| "not a time as in 2021-08-05T02:43:20.119Z".into())
}

fn parse(text: &str) -> Option<f64> {
    let (date, time) = text.trim().split_once(['T', ' '])?;
    let [year, month, day] = parts(date, '-')?;
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let (clock, offset) = offset(time)?;
    let [hour, minute, second] = parts(clock, ':')?;
    let (hour, minute) = (digits(hour, 2)?, digits(minute, 2)?);
    let whole = second.split('.').next()?;
    let valid = (1..=12).contains(&month)
        && (1..=last_day(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        // A minute may have a leap second.
        && digits(whole, 2)? <= 60
        && second.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let second: f64 = second.parse().ok()?;
    let minutes = (days(year, month, day) * 24 + hour) * 60 + minute - offset;
    valid.then_some(minutes as f64 * 60.0 + second)
}

/// The clock, and the minutes that it is ahead of UTC.
fn offset(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else {
        return Some((time, 0));
    };
    let (clock, offset) = time.split_at(at);
    let (hours, minutes) = match &offset[1..] {
        hours if hours.len() <= 2 => (hours, "00"),
        text => text.split_once(':').or_else(|| text.split_at_checked(2))?,
    };
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    let ahead = hours * 60 + minutes;
    let possible = hours < 24 && minutes < 60;
    possible.then_some((clock, if offset.starts_with('-') { -ahead } else { ahead }))
}

/// Exactly so many parts.
fn parts<const N: usize>(text: &str, separator: char) -> Option<[&str; N]> {
    text.split(separator).collect::<Vec<_>>().try_into().ok()
}

fn last_day(year: i64, month: i64) -> i64 {
    let leaps = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leaps => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn digits(text: &str, n: usize) -> Option<i64> {
    (text.len() == n && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: years that begin in March have their leap day last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let months = (month + 9) % 12;
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    // Five months from March on, and from August on, have 153 days.
    before + (153 * months + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_since_1970() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0.0),
            ("2000-03-01T00:00:00Z", 951_868_800.0),
            ("2024-02-29T12:30:15.5Z", 1_709_209_815.5),
            ("2021-08-05T02:43:20.125+02:00", 1_628_124_200.125),
            ("2021-08-05T02:43:20+0200", 1_628_124_200.0),
            ("2021-08-05T02:43:20+02", 1_628_124_200.0),
            ("2021-08-04T21:13:20-03:30", 1_628_124_200.0),
            ("2021-08-05 00:43:20", 1_628_124_200.0),
            ("2016-12-31T23:59:60Z", 1_483_228_800.0),
            ("1969-12-31T23:59:59Z", -1.0),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "T",
            "2021-08-05",
            "2021-13-05T00:00:00Z",
            "2021-02-29T00:00:00Z",
            "2024-02-30T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2021-04-31T00:00:00Z",
            "2021-08-05-01T00:00:00Z",
            "2021-08-05T24:00:00Z",
            "2021-08-05T25:00:00Z",
            "2021-08-05T00:00:00:00Z",
            "2021-08-05T00:00:61Z",
            "2021-08-05T00:00:00+25:00",
            "2021-08-05T00:00:00+02:60",
            "2021-08-05T00:00:00+2",
            "2021-08-05T00:00:00+02:",
            "2021-08-05T00:00:00+02:0",
            "2021-08-05T00:00:1e3Z",
            "2021-08-05T00:00:00+é",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
