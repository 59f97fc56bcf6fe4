//! What the environment may set for stores that are elsewhere. All mistakes are reported together.

use std::{num::NonZeroUsize, ops::RangeInclusive, str::FromStr, time::Duration};

use super::{
    cached::CacheSettings,
    deadline::Deadline,
    default_verifier::{self, DefaultVerifier},
    location::StoreLocation,
};
use crate::credential::budget::FunctionMemory;

/// Whether DynamoDB is read consistently: `true` or `false`. A consistent read sees every write that ended before
/// it, and costs twice as much.
pub const CONSISTENT_READ: &str = "LATCHKEY_STORE_CONSISTENT_READ";
/// Milliseconds that one look-up may take, repetitions included: 100 to 4,000.
pub const TIMEOUT: &str = "LATCHKEY_STORE_TIMEOUT_MS";
/// How many of DynamoDB's devices are kept: 1 to 1,000,000.
pub const CACHE_ENTRIES: &str = "LATCHKEY_CACHE_ENTRIES";
/// Seconds for which what was read is used: 0 to 3,600.
pub const CACHE_SECONDS: &str = "LATCHKEY_CACHE_SECONDS";
/// Seconds for which DynamoDB's not having a name is believed: 0 to 3,600.
pub const CACHE_UNKNOWN_SECONDS: &str = "LATCHKEY_CACHE_UNKNOWN_SECONDS";
/// Seconds that a record may get old while the store does not answer: 0, which lets none stand in, to 86,400.
pub const CACHE_STALE_SECONDS: &str = "LATCHKEY_CACHE_STALE_SECONDS";
/// What an unknown device's password is checked against: `sha256`, `argon2id`, or a verifier without salt and
/// digest.
pub const DEFAULT_VERIFIER: &str = "LATCHKEY_DEFAULT_VERIFIER";

/// Some 10 MB of records.
const DEFAULT_ENTRIES: usize = 10_000;
/// A device that reconnects at once is not looked up again, and a revoked one is out after a minute.
const DEFAULT_DYNAMODB_SECONDS: u64 = 60;
/// A read brings every record, so it is made less often.
const DEFAULT_SECRETS_MANAGER_SECONDS: u64 = 300;
/// A device that was just added does not wait long if it was too early.
const DEFAULT_UNKNOWN_SECONDS: u64 = 10;

const ENTRIES: RangeInclusive<usize> = 1..=1_000_000;
const SECONDS: RangeInclusive<u64> = 0..=3_600;
const STALE_SECONDS: RangeInclusive<u64> = 0..=86_400;

/// The settings of a store that is elsewhere. The file store needs none.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Whether DynamoDB is read consistently.
    pub consistent_read: bool,
    /// How long one look-up may take.
    pub deadline: Deadline,
    /// How much is kept, and for how long.
    pub cache: CacheSettings,
    /// What an unknown device's password is checked against, in DynamoDB.
    pub default_verifier: DefaultVerifier,
}

impl StoreSettings {
    /// Reads the settings of a store at `location` from `variable`, which gives an environment variable's value by
    /// name.
    ///
    /// # Errors
    ///
    /// All mistakes, each with its variable's name.
    pub fn from_variables(
        variable: impl FnMut(&str) -> Option<String>,
        location: &StoreLocation,
        memory: FunctionMemory,
    ) -> Result<Self, Vec<String>> {
        let mut variables = Variables { variable, mistakes: Vec::new() };
        let known = match location {
            StoreLocation::SecretsManager(_) => DEFAULT_SECRETS_MANAGER_SECONDS,
            StoreLocation::File(_) | StoreLocation::DynamoDb(_) => DEFAULT_DYNAMODB_SECONDS,
        };
        let consistent_read = variables.read(CONSISTENT_READ, false, |text| {
            text.parse().map_err(|_| format!("`{text}` is neither `true` nor `false`"))
        });
        let deadline = variables.read(TIMEOUT, Deadline::DEFAULT, |text| {
            let millis =
                text.parse::<u64>().map_err(|_| format!("`{text}` is not a number of milliseconds"))?;
            Deadline::try_from(millis)
        });
        let entries = variables.read(CACHE_ENTRIES, DEFAULT_ENTRIES, |text| number(text, &ENTRIES));
        let known = variables.read(CACHE_SECONDS, known, |text| number(text, &SECONDS));
        let unknown =
            variables.read(CACHE_UNKNOWN_SECONDS, DEFAULT_UNKNOWN_SECONDS, |text| number(text, &SECONDS));
        let stale = variables.read(CACHE_STALE_SECONDS, 0, |text| number(text, &STALE_SECONDS));
        let default_verifier = variables.default_verifier(memory);
        match (NonZeroUsize::new(entries), default_verifier, variables.mistakes) {
            (Some(entries), Some(default_verifier), mistakes) if mistakes.is_empty() => {
                let [known, unknown, stale] = [known, unknown, stale].map(Duration::from_secs);
                let cache = CacheSettings { entries, known, unknown, stale };
                Ok(Self { consistent_read, deadline, cache, default_verifier })
            }
            (_, _, mistakes) => Err(mistakes),
        }
    }
}

struct Variables<V> {
    variable: V,
    mistakes: Vec<String>,
}

impl<V: FnMut(&str) -> Option<String>> Variables<V> {
    /// The value of a variable, or `default` if it is not set, or a mistake, which is kept.
    fn read<T>(&mut self, name: &str, default: T, parse: impl FnOnce(&str) -> Result<T, String>) -> T {
        let Some(text) = (self.variable)(name) else { return default };
        parse(&text).unwrap_or_else(|mistake| {
            self.mistakes.push(format!("{name}: {mistake}"));
            default
        })
    }

    fn default_verifier(&mut self, memory: FunctionMemory) -> Option<DefaultVerifier> {
        let text = (self.variable)(DEFAULT_VERIFIER);
        let text = text.as_deref().unwrap_or(default_verifier::DEFAULT);
        let parsed = DefaultVerifier::parse(text, memory);
        parsed.map_err(|mistake| self.mistakes.push(format!("{DEFAULT_VERIFIER}: {mistake}"))).ok()
    }
}

fn number<T>(text: &str, range: &RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("`{text}` is not a number from {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(location: &str, variables: &[(&str, &str)]) -> Result<StoreSettings, Vec<String>> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        let variable = |name: &str| find(name).map(|(_, value)| (*value).to_owned());
        let location = location.parse().unwrap();
        StoreSettings::from_variables(variable, &location, FunctionMemory::WHOLE_CPU)
    }

    #[test]
    fn an_empty_environment_is_enough() {
        for (location, known) in [("dynamodb:devices", 60), ("secretsmanager:devices", 300)] {
            let settings = read(location, &[]).unwrap();
            assert!(!settings.consistent_read);
            assert_eq!(settings.deadline, Deadline::DEFAULT);
            let cache = settings.cache;
            assert_eq!((cache.entries.get(), cache.known.as_secs()), (10_000, known));
            assert_eq!((cache.unknown.as_secs(), cache.stale.as_secs()), (10, 0));
            assert_eq!(format!("{:?}", settings.default_verifier.decoy()[0].verifier), "SaltedSha2(…)");
        }
    }

    #[test]
    fn everything_can_be_set() {
        let settings = read(
            "secretsmanager:devices",
            &[
                (CONSISTENT_READ, "true"),
                (TIMEOUT, "900"),
                (CACHE_ENTRIES, "5"),
                (CACHE_SECONDS, "0"),
                (CACHE_UNKNOWN_SECONDS, "3600"),
                (CACHE_STALE_SECONDS, "86400"),
                (DEFAULT_VERIFIER, "$2b$10"),
            ],
        )
        .unwrap();
        assert!(settings.consistent_read);
        assert_eq!(settings.deadline.get(), Duration::from_millis(900));
        let cache = settings.cache;
        assert_eq!((cache.entries.get(), cache.known.as_secs()), (5, 0));
        assert_eq!((cache.unknown.as_secs(), cache.stale.as_secs()), (3_600, 86_400));
        assert_eq!(format!("{:?}", settings.default_verifier.decoy()[0].verifier), "Bcrypt(…)");
    }

    #[test]
    fn all_mistakes_are_told_together() {
        let mistakes = read(
            "dynamodb:devices",
            &[
                (CONSISTENT_READ, "yes"),
                (TIMEOUT, "5000"),
                (CACHE_ENTRIES, "0"),
                (CACHE_SECONDS, "-1"),
                (CACHE_UNKNOWN_SECONDS, "3601"),
                (CACHE_STALE_SECONDS, "1h"),
                (DEFAULT_VERIFIER, "bcrypt"),
            ],
        )
        .unwrap_err();
        assert_eq!(
            mistakes.iter().map(|mistake| mistake.split("; ").next().unwrap()).collect::<Vec<_>>(),
            [
                "LATCHKEY_STORE_CONSISTENT_READ: `yes` is neither `true` nor `false`",
                "LATCHKEY_STORE_TIMEOUT_MS: 5000 ms: a look-up takes 100 to 4000, inside the 5 s that IoT Core waits",
                "LATCHKEY_CACHE_ENTRIES: `0` is not a number from 1 to 1000000",
                "LATCHKEY_CACHE_SECONDS: `-1` is not a number from 0 to 3600",
                "LATCHKEY_CACHE_UNKNOWN_SECONDS: `3601` is not a number from 0 to 3600",
                "LATCHKEY_CACHE_STALE_SECONDS: `1h` is not a number from 0 to 86400",
                "LATCHKEY_DEFAULT_VERIFIER: `bcrypt` is not a kind of verifier",
            ]
        );
    }
}
