//! How old a signature is.

/// Where a presented timestamp lies in a window around now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Freshness {
    /// Within the window.
    Fresh,
    /// Older than the window.
    Stale,
    /// Newer than the window. Most SDKs hard-code 2524608000000, the year 2050, so they are always here.
    Future,
    /// No timestamp was sent, which the scheme allows.
    Absent,
}

/// `timestamp` is in milliseconds since 1970, in decimal digits of any number.
pub(super) fn freshness(timestamp: Option<&str>, now_seconds: u64, window_seconds: u64) -> Freshness {
    let Some(timestamp) = timestamp else { return Freshness::Absent };
    // Digits too many for the type are a time beyond any window.
    let sent = timestamp.parse().unwrap_or(u128::MAX);
    let (now, window) = (u128::from(now_seconds) * 1000, u128::from(window_seconds) * 1000);
    if sent < now.saturating_sub(window) {
        Freshness::Stale
    } else if sent > now + window {
        Freshness::Future
    } else {
        Freshness::Fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_has_two_sides_and_includes_its_ends() {
        let now = 1_700_000_000;
        let huge = "9".repeat(100);
        let cases = [
            (None, Freshness::Absent),
            (Some("1700000000000"), Freshness::Fresh),
            (Some("1699999700000"), Freshness::Fresh),
            (Some("1699999699999"), Freshness::Stale),
            (Some("1700000300000"), Freshness::Fresh),
            (Some("1700000300001"), Freshness::Future),
            (Some("789"), Freshness::Stale),
            // Seconds, as some firmware sends them, are read as the milliseconds that the vendor asks for.
            (Some("1700000000"), Freshness::Stale),
            (Some("2524608000000"), Freshness::Future),
            (Some(huge.as_str()), Freshness::Future),
        ];
        for (timestamp, expected) in cases {
            assert_eq!(freshness(timestamp, now, 300), expected, "{timestamp:?}");
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        assert_eq!(freshness(Some("0"), 0, 300), Freshness::Fresh);
        assert_eq!(freshness(Some("0"), 0, u64::MAX), Freshness::Fresh);
        assert_eq!(freshness(Some("0"), u64::MAX, 0), Freshness::Stale);
        assert_eq!(freshness(Some("18446744073709551615000"), u64::MAX, u64::MAX), Freshness::Fresh);
    }
}
