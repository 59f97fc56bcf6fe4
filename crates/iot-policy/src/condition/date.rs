//! Times as conditions write them, in seconds since 1970 (IAM user guide,
//! `reference_policies_elements_condition_operators`: the W3C's forms of ISO 8601, or the seconds themselves).

use crate::error::ConditionError;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Reads `2024-05`, `2024-05-06`, `2024-05-06T07:08Z`, `2024-05-06T07:08:09+01:00`, or whole seconds since 1970.
///
/// A month or a day alone is its first second in UTC *(guess: a date without a time of day)*. Refused: four digits
/// alone, which are a year or a number of seconds; a fraction of a second that isn't zero, because time is compared by
/// the second; what lies before 1970.
pub(super) fn parse(text: &str) -> Result<u64, ConditionError> {
    if text.len() == 4 {
        return Err(ConditionError::NotDate(text.to_owned()));
    }
    digits(text).or_else(|| iso_8601(text)).ok_or_else(|| ConditionError::NotDate(text.to_owned()))
}

/// A number without a sign.
pub(super) fn digits(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

fn iso_8601(text: &str) -> Option<u64> {
    let Some((date, time)) = text.split_once('T') else { return day(text) };
    if date.len() != "2024-05-06".len() {
        return None;
    }
    let midnight = day(date)?;
    if let Some(time) = time.strip_suffix('Z') {
        return Some(midnight + second_of_day(time)?);
    }
    let at = time.rfind(['+', '-'])?;
    let (time, offset) = time.split_at_checked(at)?;
    let local = midnight + second_of_day(time)?;
    let (sign, offset) = offset.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':')?;
    let offset = number(hours, 2, 0..=23)? * HOUR + number(minutes, 2, 0..=59)? * MINUTE;
    if sign == "-" { Some(local + offset) } else { local.checked_sub(offset) }
}

fn day(text: &str) -> Option<u64> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-').unwrap_or((rest, "01"));
    let year = number(year, 4, 1970..=9999)?;
    let month = number(month, 2, 1..=12)?;
    let day = number(day, 2, 1..=days_in(year, month))?;
    let years = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum::<u64>();
    let months = (1..month).map(|month| days_in(year, month)).sum::<u64>();
    Some((years + months + day - 1) * DAY)
}

fn second_of_day(text: &str) -> Option<u64> {
    let (hours, rest) = text.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':').unwrap_or((rest, "00"));
    let seconds = match seconds.split_once('.') {
        Some((seconds, fraction)) => {
            let is_zero = !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0');
            is_zero.then_some(seconds)?
        }
        None => seconds,
    };
    let hours = number(hours, 2, 0..=23)?;
    Some(hours * HOUR + number(minutes, 2, 0..=59)? * MINUTE + number(seconds, 2, 0..=59)?)
}

fn number(text: &str, length: usize, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    digits(text).filter(|number| text.len() == length && range.contains(number))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_since_1970() {
        let table = [
            ("0", 0),
            ("1714979289", 1_714_979_289),
            ("1970-01", 0),
            ("1970-01-01T00:00Z", 0),
            ("1970-01-01T01:00+01:00", 0),
            ("1969-12-31T23:00:00-01:00", u64::MAX),
            ("1970-03-01", 59 * DAY),
            ("1972-03-01", (2 * 365 + 60) * DAY),
            ("2000-03-01", 951_868_800),
            ("2024-02-29", 1_709_164_800),
            ("2024-05-06T07:08:09Z", 1_714_979_289),
            ("2024-05-06T07:08:09.000Z", 1_714_979_289),
            ("2024-05-06T08:38:09+01:30", 1_714_979_289),
            ("2024-05-06T05:38:09-01:30", 1_714_979_289),
            ("2100-03-01", 4_107_542_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ];
        for (text, seconds) in table {
            assert_eq!(parse(text).unwrap_or(u64::MAX), seconds, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "2024",
            "-1",
            "+99999",
            "1e9",
            "1714979289.5",
            "99999999999999999999",
            "1969-12-31",
            "10000-01-01",
            "2024-13",
            "2024-00-01",
            "2024-5-6",
            "2023-02-29",
            "2100-02-29",
            "2024-04-31",
            "2024-05-06T",
            "2024-05-06T07Z",
            "2024-05-06T07:08",
            "2024-05-06T07:08:09",
            "2024-05-06T24:00Z",
            "2024-05-06T07:60Z",
            "2024-05-06T07:08:60Z",
            "2024-05-06T07:08:09.5Z",
            "2024-05-06T07:08:09.Z",
            "2024-05-06T07:08:09+0100",
            "2024-05-06T07:08:09+24:00",
            "2024-05-06t07:08:09Z",
            "2024-05-06 07:08:09Z",
            "2024-05T07:08:09Z",
            "1970-01-01T00:30+01:00",
            "2024-05-*",
            "é024-05",
        ] {
            assert_eq!(parse(text), Err(ConditionError::NotDate(text.to_owned())), "{text}");
        }
    }
}
