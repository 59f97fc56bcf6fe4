//! Text and numbers in HTML.

use std::fmt::{Display, Write as _};

/// A text from anywhere, as text of HTML or as the value of an attribute in double quotes. Characters that do not show are
/// escaped as on a terminal.
pub(super) fn text(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in cli::output::escaped(text).chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

/// A number with separators, as `12,345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count as a coordinate.
pub(super) fn float(number: u64) -> f64 {
    let high = u32::try_from(number >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

/// A latency with its unit, as `0.42 ms`, `5.4 ms`, `120 ms` or `1.25 s`.
pub(super) fn latency(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{ms:.2} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1_000.0),
    }
}

/// A rate, as `0.4` or `1,250`.
pub(super) fn rate(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.1}") } else { grouped_float(per_second) }
}

/// A number of the result, with the place where its JSON has it.
pub(super) fn field(pointer: &str, value: impl Display, shown: &str) -> String {
    format!("<data data-field=\"{}\" value=\"{value}\">{}</data>", text(pointer), text(shown))
}

/// A time of a run, as `4 s`, `1 min 30 s` or `2 h 5 min`.
pub(super) fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut parts = Vec::new();
    if hours > 0 {
        parts.push(format!("{hours} h"));
    }
    if minutes > 0 {
        parts.push(format!("{minutes} min"));
    }
    if ms < 1_000 {
        return format!("{ms} ms");
    }
    if hours == 0 && (rest > 0 || minutes == 0) {
        let tenths = ms % 1_000 / 100;
        let has_tenths = minutes == 0 && tenths > 0;
        parts.push(if has_tenths { format!("{rest}.{tenths} s") } else { format!("{rest} s") });
    }
    parts.join(" ")
}

/// A time since the start for an axis, as `1:30` or `2:05:00`.
pub(super) fn clock(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut text =
        if hours > 0 { format!("{hours}:{minutes:02}:{rest:02}") } else { format!("{minutes}:{rest:02}") };
    if !ms.is_multiple_of(1_000) {
        // Writing to a string never fails.
        _ = write!(text, ".{}", ms % 1_000 / 100);
    }
    text
}

fn grouped_float(number: f64) -> String {
    format!("{number:.0}").parse().map_or_else(|_| format!("{number:.0}"), grouped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(text("<a b=\"c\" d='e'>&"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;");
        assert_eq!(text("a\u{202e}\u{7}\n"), "a\\u202e\\u0007\\u000a");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!([0, 12, 999, 1_000, 1_234_567].map(grouped), ["0", "12", "999", "1,000", "1,234,567"]);
        assert_eq!([0.416, 5.44, 120.4, 60_000.0].map(latency), ["0.42 ms", "5.4 ms", "120 ms", "60.00 s"]);
        assert_eq!([0.0, 9.94, 1_250.4].map(rate), ["0.0", "9.9", "1,250"]);
        assert_eq!(
            [250, 1_000, 4_250, 60_000, 90_000, 7_500_000].map(duration),
            ["250 ms", "1 s", "4.2 s", "1 min", "1 min 30 s", "2 h 5 min"]
        );
        assert_eq!([0, 500, 90_000, 7_500_000].map(clock), ["0:00", "0:00.5", "1:30", "2:05:00"]);
        assert!((float(u64::MAX) - 18_446_744_073_709_551_615.0).abs() < 1.0);
    }
}
