//! Settings of the stores in AWS, and of an indexed file.

use std::{num::NonZeroUsize, ops::RangeInclusive, time::Duration};

use device_auth::{
    location::StoreLocation,
    store::decoys::{self, DefaultVerifier},
    verifier::budget::FunctionMemory,
};

use indexed_file::Digest;

use super::reader::{ConfigError, Reader, SettingError, number, number_in, switch};
use crate::store::cached::CacheSettings;

/// Whether DynamoDB is read consistently: `true` or `false`. A consistent read sees every earlier write, and costs double.
pub const CONSISTENT_READ: &str = "LATCHKEY_STORE_CONSISTENT_READ";
/// The time limit of one look-up with its retries, in milliseconds: 100 to 4,000.
pub const TIMEOUT: &str = "LATCHKEY_STORE_TIMEOUT_MS";
/// The most devices in the cache for DynamoDB: 1 to 1,000,000.
pub const CACHE_ENTRIES: &str = "LATCHKEY_CACHE_ENTRIES";
/// For how many seconds a cached record is used: 0 to 3,600.
pub const CACHE_SECONDS: &str = "LATCHKEY_CACHE_SECONDS";
/// For how many seconds a name without an item in DynamoDB counts as unknown: 0 to 3,600.
pub const CACHE_UNKNOWN_SECONDS: &str = "LATCHKEY_CACHE_UNKNOWN_SECONDS";
/// The greatest age, in seconds, of a record that is used while the store does not answer: 0 to 86,400. With 0 none is used.
pub const CACHE_STALE_SECONDS: &str = "LATCHKEY_CACHE_STALE_SECONDS";
/// The verifier for passwords of unknown devices: `sha256`, `argon2id`, or a verifier without salt and digest.
pub const DEFAULT_VERIFIER: &str = "LATCHKEY_DEFAULT_VERIFIER";

/// The digest of the indexed file, 64 hex digits as `latchkey fleet build` prints it. The function uses no other file.
pub const DIGEST: &str = "LATCHKEY_STORE_DIGEST";

/// About 10 MB of records.
const DEFAULT_ENTRIES: usize = 10_000;
/// A device that reconnects soon is not looked up again, and a revoked one is refused after a minute.
const DEFAULT_DYNAMODB_SECONDS: u64 = 60;
/// One read returns all records, so reads are less frequent.
const DEFAULT_SECRETS_MANAGER_SECONDS: u64 = 300;
/// A device that connected too early can connect soon after it is added.
const DEFAULT_UNKNOWN_SECONDS: u64 = 10;

const ENTRIES: RangeInclusive<usize> = 1..=1_000_000;
const SECONDS: RangeInclusive<u64> = 0..=3_600;
const STALE_SECONDS: RangeInclusive<u64> = 0..=86_400;

/// The settings of a store in AWS or of an indexed file. A JSON file needs none.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Whether DynamoDB is read consistently.
    pub consistent_read: bool,
    /// The time limit of one look-up.
    pub deadline: Deadline,
    /// The settings of the cache.
    pub cache: CacheSettings,
    /// The verifier for passwords of unknown devices, for DynamoDB.
    pub default_verifier: DefaultVerifier,
    /// The digest that the indexed file must have.
    pub digest: Option<Digest>,
}

/// Much less than the 5 s that IoT Core waits (developer guide, `custom-auth-lambda`), because the password must be checked
/// too. A look-up normally needs about ten milliseconds.
const DEFAULT_MILLIS: u64 = 1_500;
const MILLIS: std::ops::RangeInclusive<u64> = 100..=4_000;
/// Additional time for the AWS client, after its own deadline, to report the error.
#[cfg(any(feature = "dynamodb", feature = "secrets-manager"))]
const GRACE: Duration = Duration::from_millis(100);

/// The time limit of one look-up with its retries: 100 to 4,000 ms, by default 1,500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Duration);

/// Milliseconds that are not a [`Deadline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} ms: the limit of a look-up is {min} to {max}, less than the 5 s that IoT Core waits", min = MILLIS.start(), max = MILLIS.end())]
pub struct DeadlineError(u64);

impl Deadline {
    /// 1,500 ms.
    pub const DEFAULT: Self = Self(Duration::from_millis(DEFAULT_MILLIS));

    /// The whole time.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }

    /// The time limit of one attempt: two thirds, so that a second one has time.
    #[cfg(any(feature = "dynamodb", feature = "secrets-manager"))]
    pub(crate) fn attempt(self) -> Duration {
        self.0.mul_f32(2.0 / 3.0)
    }

    /// Waits for `work`, which has this deadline itself. `None` if it exceeds the deadline all the same.
    #[cfg(any(feature = "dynamodb", feature = "secrets-manager"))]
    pub(crate) async fn hold<T>(self, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.0.saturating_add(GRACE), work).await.ok()
    }
}

impl TryFrom<u64> for Deadline {
    type Error = DeadlineError;

    /// Accepts milliseconds.
    fn try_from(millis: u64) -> Result<Self, DeadlineError> {
        if MILLIS.contains(&millis) {
            Ok(Self(Duration::from_millis(millis)))
        } else {
            Err(DeadlineError(millis))
        }
    }
}

impl StoreSettings {
    /// The settings of a store at `location` when the environment sets nothing.
    ///
    /// # Errors
    ///
    /// When a function with this memory can't check the default verifier in time.
    pub fn defaults(location: &StoreLocation, memory: FunctionMemory) -> Result<Self, ConfigError> {
        let mut reader = Reader::new([]);
        let settings = Self::read(&mut reader, location, memory);
        reader.finish()?;
        settings.ok_or_else(ConfigError::default)
    }

    /// Reads the settings of a store at `location`; `None` after a mistake, which the reader collects.
    pub(super) fn read(
        reader: &mut Reader,
        location: &StoreLocation,
        memory: FunctionMemory,
    ) -> Option<Self> {
        let known = match location {
            StoreLocation::SecretsManager(_) => DEFAULT_SECRETS_MANAGER_SECONDS,
            StoreLocation::File(_) | StoreLocation::Indexed(_) | StoreLocation::DynamoDb(_) => {
                DEFAULT_DYNAMODB_SECONDS
            }
        };
        let consistent_read = reader.parsed_or(CONSISTENT_READ, false, switch);
        let deadline = reader.parsed_or(TIMEOUT, Deadline::DEFAULT, |text| {
            Ok(Deadline::try_from(number::<u64>(text, "milliseconds")?)?)
        });
        let entries = reader.parsed_or(CACHE_ENTRIES, DEFAULT_ENTRIES, |text| number_in(text, &ENTRIES));
        let known = reader.parsed_or(CACHE_SECONDS, known, |text| number_in(text, &SECONDS));
        let unknown = reader
            .parsed_or(CACHE_UNKNOWN_SECONDS, DEFAULT_UNKNOWN_SECONDS, |text| number_in(text, &SECONDS));
        let stale = reader.parsed_or(CACHE_STALE_SECONDS, 0, |text| number_in(text, &STALE_SECONDS));
        let default_verifier = reader.parsed(DEFAULT_VERIFIER, |text| {
            Ok(DefaultVerifier::parse(text.unwrap_or(decoys::DEFAULT), memory)?)
        });
        let digest = reader.parsed(DIGEST, |text| match (text, location) {
            (None, _) => Ok(None),
            (Some(text), StoreLocation::Indexed(_)) => Ok(Some(text.parse::<Digest>()?)),
            (Some(_), _) => Err(SettingError::new("is for an indexed file, `indexed:PATH`")),
        });
        let cache = CacheSettings {
            entries: NonZeroUsize::new(entries?)?,
            known: Duration::from_secs(known?),
            unknown: Duration::from_secs(unknown?),
            stale: Duration::from_secs(stale?),
        };
        Some(Self {
            consistent_read: consistent_read?,
            deadline: deadline?,
            cache,
            default_verifier: default_verifier?,
            digest: digest?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(location: &str, variables: &[(&str, &str)]) -> Result<StoreSettings, Vec<String>> {
        let mut reader = Reader::new(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let location = location.parse().unwrap();
        let settings = StoreSettings::read(&mut reader, &location, FunctionMemory::WHOLE_CPU);
        match reader.finish() {
            Ok(()) => Ok(settings.unwrap()),
            Err(error) => Err(error.to_string().lines().map(str::to_owned).collect()),
        }
    }

    #[test]
    fn empty_environment_has_defaults() {
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
    fn every_variable_is_read() {
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
    fn all_mistakes_are_reported_together() {
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
                "LATCHKEY_STORE_TIMEOUT_MS: 5000 ms: the limit of a look-up is 100 to 4000, less than the 5 s that IoT Core waits",
                "LATCHKEY_CACHE_ENTRIES: `0` is not a number from 1 to 1000000",
                "LATCHKEY_CACHE_SECONDS: `-1` is not a number from 0 to 3600",
                "LATCHKEY_CACHE_UNKNOWN_SECONDS: `3601` is not a number from 0 to 3600",
                "LATCHKEY_CACHE_STALE_SECONDS: `1h` is not a number from 0 to 86400",
                "LATCHKEY_DEFAULT_VERIFIER: `bcrypt` is not a kind of verifier",
            ]
        );
    }

    #[test]
    fn a_digest_is_for_an_indexed_file() {
        let digest = "0123456789abcdef".repeat(4);
        let settings = read("indexed:records.indexed", &[(DIGEST, &digest)]).unwrap();
        assert_eq!(settings.digest.map(|digest| digest.to_string()), Some(digest.clone()));
        assert_eq!(read("indexed:records.indexed", &[]).unwrap().digest, None);
        for (store, value, part) in [
            ("indexed:records.indexed", "", "is not a digest, which has 64 hex digits"),
            ("indexed:records.indexed", &*"a".repeat(63), "is not a digest"),
            ("file:devices.json", &*digest, "is for an indexed file"),
            ("dynamodb:devices", &*digest, "is for an indexed file"),
        ] {
            let mistakes = read(store, &[(DIGEST, value)]).unwrap_err().join("\n");
            assert!(mistakes.starts_with("LATCHKEY_STORE_DIGEST: ") && mistakes.contains(part), "{mistakes}");
        }
    }

    #[test]
    fn deadline_is_100_to_4000_milliseconds() {
        assert_eq!(Deadline::try_from(1_500), Ok(Deadline::DEFAULT));
        for (millis, accepted) in [(99, false), (100, true), (4_000, true), (4_001, false), (u64::MAX, false)]
        {
            assert_eq!(Deadline::try_from(millis).is_ok(), accepted, "{millis}");
        }
    }
    #[cfg(any(feature = "dynamodb", feature = "secrets-manager"))]
    #[tokio::test(start_paused = true)]
    async fn hold_ends_after_the_deadline_and_its_grace() {
        let started = tokio::time::Instant::now();
        assert_eq!(Deadline::DEFAULT.hold(std::future::pending::<()>()).await, None);
        assert_eq!(started.elapsed(), Duration::from_millis(1_600));
        assert_eq!(Deadline::DEFAULT.hold(std::future::ready(7)).await, Some(7));
    }
}
