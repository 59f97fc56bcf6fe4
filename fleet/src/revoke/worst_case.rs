//! How long a revoked device can stay, at the worst.
//!
//! docs/stores.md, "How long a revoked device stays", has the same sum.

use std::time::Duration;

use cli::console::wrapped;
use device_auth::location::StoreLocation;
use serde_json::{Value, json};

/// How late IoT Core may ask again *(guess: a refresh that is due)*.
const LATE: Duration = Duration::from_mins(5);
/// The function's default of `LATCHKEY_DISCONNECT_AFTER_SECONDS`.
const DISCONNECT_AFTER: Duration = Duration::from_hours(24);
/// The function's default of `LATCHKEY_CACHE_SECONDS` for a table, and for a secret.
const TABLE_CACHE: Duration = Duration::from_mins(1);
const SECRET_CACHE: Duration = Duration::from_mins(5);

/// The times of a function and a record, on which the worst case depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// For how long the function uses a record that it has read.
    pub(super) cache: Duration,
    /// The refresh of a connection.
    pub(super) refresh_after: Duration,
    /// The end of a connection.
    pub(super) disconnect_after: Duration,
}

/// The longest times of several devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WorstCase {
    /// After this time no connect is accepted.
    pub(super) connects: Duration,
    /// After this time no connection is open that nobody ended.
    pub(super) connections: Duration,
    /// What decides that.
    times: Times,
}

/// The function's default for the cache.
pub(super) fn default_cache(store: &StoreLocation) -> Duration {
    match store {
        // The function looks at each attempt whether the file has changed.
        StoreLocation::File(_) | StoreLocation::Indexed(_) => Duration::ZERO,
        StoreLocation::DynamoDb(_) => TABLE_CACHE,
        StoreLocation::SecretsManager(_) => SECRET_CACHE,
    }
}

impl Times {
    /// The times of a record that may have timers of its own, in seconds.
    pub(super) fn of(cache: Duration, refresh: Duration, record: [Option<u32>; 2]) -> Self {
        let [own_refresh, own_disconnect] = record.map(|it| it.map(|it| Duration::from_secs(it.into())));
        Self {
            cache,
            refresh_after: own_refresh.unwrap_or(refresh),
            disconnect_after: own_disconnect.unwrap_or(DISCONNECT_AFTER),
        }
    }

    /// A connection that is accepted from the cache at the last moment stays until its first refresh, or until IoT Core
    /// ends it.
    fn connections(self) -> Duration {
        self.refresh_after.saturating_add(LATE).min(self.disconnect_after).saturating_add(self.cache)
    }
}

impl WorstCase {
    /// The worst case of several devices, `None` of none.
    pub(super) fn of(times: impl IntoIterator<Item = Times>) -> Option<Self> {
        let worst = times.into_iter().max_by_key(|it| it.connections())?;
        Some(Self { connects: worst.cache, connections: worst.connections(), times: worst })
    }

    pub(super) fn json(&self) -> Value {
        let Self { connects, connections, times } = self;
        json!({
            "connects_seconds": connects.as_secs(), "connections_seconds": connections.as_secs(),
            "cache_seconds": times.cache.as_secs(), "refresh_after_seconds": times.refresh_after.as_secs(),
            "refresh_late_seconds": LATE.as_secs(), "disconnect_after_seconds": times.disconnect_after.as_secs(),
        })
    }

    /// Lines for a person, of which the first begins with its label.
    pub(super) fn text(&self, indent: usize) -> String {
        let Self { connects, connections, times } = self;
        let [connects, connections, cache, refresh, disconnect, late] =
            [*connects, *connections, times.cache, times.refresh_after, times.disconnect_after, LATE]
                .map(|it| humantime::format_duration(it).to_string());
        let label = format!("{:<indent$}", "worst case");
        let text = format!(
            "{label}no connect is accepted after {connects}, and a connection that this command does not see ends after \
             {connections}: refresh after {refresh}, up to {late} late, or the end after {disconnect}; cache {cache} \
             (`--cache`, `--refresh`). While the store does not answer, LATCHKEY_CACHE_STALE_SECONDS counts instead of \
             the cache's time"
        );
        wrapped(indent, &text) + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_case_is_the_cache_and_the_first_of_refresh_and_end() {
        let seconds = Duration::from_secs;
        for (cache, refresh, own, connections) in [
            // docs/stores.md has these two.
            (60, 3_600, [None, None], 3_960),
            (60, 3_600, [Some(300), None], 660),
            (0, 3_600, [None, Some(300)], 300),
            (300, 600, [None, Some(900)], 1_200),
            (300, 600, [None, Some(901)], 1_200),
            (3_600, 86_400, [None, None], 90_000),
        ] {
            let times = Times::of(seconds(cache), seconds(refresh), own);
            let worst = WorstCase::of([times]).unwrap();
            assert_eq!(
                (worst.connects, worst.connections),
                (seconds(cache), seconds(connections)),
                "{times:?}"
            );
        }
    }

    #[test]
    fn the_worst_device_decides() {
        let own = [Some(300), Some(7_200), None];
        let times = own.map(|refresh| Times::of(TABLE_CACHE, Duration::from_hours(1), [refresh, None]));
        let worst = WorstCase::of(times).unwrap();
        assert_eq!(worst.connections, Duration::from_mins(126));
        assert_eq!(WorstCase::of([]), None);
        let text = worst.text(13);
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(text.contains("2h 6m") && text.starts_with("worst case   no connect"), "{text}");
    }
}
