//! The function's settings: environment variables, and all mistakes in them reported together.
//!
//! Variables are named here, in [`jwt`], in [`store`] and, where messages of `device-auth` need the name, in
//! [`device_auth::location`].

pub mod jwt;
mod reader;
pub mod store;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use device_auth::{
    binding::AlibabaSessions,
    credential::FreshnessRules,
    location::{ALLOW_PLAIN_SECRETS, DATA_KEYS, KeyringLocation, StoreLocation},
    time::{TimerSeconds, Timers},
    verifier::budget::FunctionMemory,
};
use tracing::Level;

pub use self::reader::ConfigError;
use self::{
    jwt::JwtSettings,
    reader::{Reader, SettingError, number, switch},
    store::StoreSettings,
};
use crate::name_digest::NameDigest;

/// Where the records are: `file:PATH`, `indexed:PATH`, `dynamodb:TABLE` or `secretsmanager:NAME_OR_ARN`. A relative path starts
/// at the function's own folder. [`store`] has the settings of all but the first.
pub const STORE: &str = "LATCHKEY_STORE";
/// The grants for DynamoDB, whose table has none: `file:PATH`, a records file without devices.
pub const GRANTS: &str = "LATCHKEY_GRANTS";
/// The default for records: seconds until IoT Core calls the authorizer again, 300 to 86,400.
pub const REFRESH_AFTER: &str = "LATCHKEY_REFRESH_AFTER_SECONDS";
/// The default for records: seconds until IoT Core ends the connection, 300 to 86,400.
pub const DISCONNECT_AFTER: &str = "LATCHKEY_DISCONNECT_AFTER_SECONDS";
/// Whether a token's signature must have been checked by IoT Core, whatever a device presents: `true` or `false`.
pub const REQUIRE_SIGNATURE: &str = "LATCHKEY_REQUIRE_SIGNATURE";
/// How far a timestamp that an Alibaba device signs may be from now, in seconds. It is not checked by default.
pub const ALIBABA_FRESHNESS: &str = "LATCHKEY_ALIBABA_FRESHNESS_SECONDS";
/// Which Alibaba devices may have persistent sessions: `kept` for those whose client id has no parameters of their own
/// choice, or `any`.
pub const ALIBABA_SESSIONS: &str = "LATCHKEY_ALIBABA_SESSIONS";
/// Whether the expiry that a Tencent device signs is compared with the time: `true` or `false`.
pub const TENCENT_EXPIRY: &str = "LATCHKEY_TENCENT_EXPIRY";
/// The namespace of the metrics that go to CloudWatch with the log; `off` writes none.
pub const METRICS: &str = "LATCHKEY_METRICS";
/// The key of the digests of unknown names in the log. By default each process makes its own.
pub const DIGEST_KEY: &str = "LATCHKEY_DIGEST_KEY";
/// The function's memory in MB, which Lambda sets (developer guide, `configuration-envvars`). By default the function has a
/// whole CPU.
pub const MEMORY: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
/// The function's own folder, which Lambda sets.
pub const ROOT: &str = "LAMBDA_TASK_ROOT";
/// How much this function logs: `error`, `warn`, `info`, `debug` or `trace`.
pub const LOG: &str = "RUST_LOG";

/// The records bundled with the function.
const DEFAULT_STORE: &str = "file:devices.json";
/// One hour. A revoked device stays connected for up to this time, and each device costs one call in it.
const DEFAULT_REFRESH_AFTER: u32 = 3_600;
/// One day, AWS's maximum, so that devices do not reconnect more often than needed.
const DEFAULT_DISCONNECT_AFTER: u32 = 86_400;

/// The namespace that the deployment's dashboard reads.
const DEFAULT_METRICS: &str = "Latchkey";

/// The settings of one process.
#[derive(Debug)]
pub struct Config {
    /// Where the records are.
    pub store: StoreLocation,
    /// How the records are read.
    pub store_settings: StoreSettings,
    /// The file with the grants, for a store that has none.
    pub grants: Option<PathBuf>,
    /// Timers for records that don't have their own.
    pub timers: Timers,
    /// The function's memory, which decides on the verifiers that it can check.
    pub memory: FunctionMemory,
    /// Whether IoT Core must have checked a token's signature.
    pub require_signature: bool,
    /// How old signatures may be.
    pub freshness: FreshnessRules,
    /// Which Alibaba devices may have persistent sessions.
    pub alibaba_sessions: AlibabaSessions,
    /// How JSON Web Tokens are checked. With `None` none is accepted.
    pub jwt: Option<JwtSettings>,
    /// Where the keyring is.
    pub keyring: KeyringLocation,
    /// Whether records may have vendors' secrets in plain text.
    pub plain_secrets: bool,
    /// Makes the digests of unknown names, if their key is set.
    pub digest_key: Option<NameDigest>,
    /// The namespace of the metrics. With `None` none are written.
    pub metrics: Option<String>,
    /// The function's own folder.
    pub root: Option<PathBuf>,
    /// The log level of this crate. Libraries stay at `WARN`.
    pub level: Level,
}

impl Config {
    /// Reads the settings from environment variables, given as names and values.
    ///
    /// # Errors
    ///
    /// All mistakes together, each with its variable's name. An unknown variable that begins with `LATCHKEY_` is one, because
    /// it may be a misspelt setting.
    pub fn from_variables(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(variables);
        let function_folder = reader.text(ROOT).map(PathBuf::from);
        let root = function_folder.clone().unwrap_or_default();
        let store = reader.parsed(STORE, |text| store(text.unwrap_or(DEFAULT_STORE), &root));
        let refresh_after = reader.parsed(REFRESH_AFTER, |text| timer(text, DEFAULT_REFRESH_AFTER));
        let disconnect_after = reader.parsed(DISCONNECT_AFTER, |text| timer(text, DEFAULT_DISCONNECT_AFTER));
        let memory = reader.parsed_or(MEMORY, FunctionMemory::WHOLE_CPU, memory);
        let store_settings = store.as_ref().and_then(|location| {
            StoreSettings::read(&mut reader, location, memory.unwrap_or(FunctionMemory::WHOLE_CPU))
        });
        let grants = reader.parsed(GRANTS, |text| grants(text, store.as_ref(), &root));
        let require_signature = reader.parsed_or(REQUIRE_SIGNATURE, false, switch);
        let alibaba_window =
            reader.parsed(ALIBABA_FRESHNESS, |text| text.map(|text| number(text, "seconds")).transpose());
        let alibaba_sessions =
            reader.parsed_or(ALIBABA_SESSIONS, AlibabaSessions::KeptClientIds, alibaba_sessions);
        let tencent_expiry = reader.parsed_or(TENCENT_EXPIRY, true, switch);
        let jwt = jwt::read(&mut reader, &root);
        if matches!(store, Some(StoreLocation::DynamoDb(_))) {
            let mistake =
                "can't be used with DynamoDB, where a token's device name can't be compared with all records";
            if jwt.as_ref().is_some_and(|jwt| jwt.rules.grant_claim.is_some()) {
                reader.mistake::<()>(jwt::JWT_GRANT_CLAIM, mistake);
            }
        }
        let keyring = reader
            .parsed_or(DATA_KEYS, KeyringLocation::None, |text| Ok(KeyringLocation::parse(text, &root)?));
        let plain_secrets = reader.parsed_or(ALLOW_PLAIN_SECRETS, false, switch);
        let metrics = reader.parsed_or(METRICS, Some(DEFAULT_METRICS.to_owned()), namespace);
        let digest_key = reader.parsed(DIGEST_KEY, |text| Ok(text.map(NameDigest::try_from).transpose()?));
        let level = reader.text(LOG).map_or(Level::INFO, |text| level(&text));
        let config = || {
            Some(Self {
                store: store?,
                store_settings: store_settings?,
                grants: grants?,
                timers: Timers { refresh_after: refresh_after?, disconnect_after: disconnect_after? },
                memory: memory?,
                require_signature: require_signature?,
                freshness: FreshnessRules {
                    alibaba_window: alibaba_window?,
                    tencent_expiry: tencent_expiry?,
                },
                alibaba_sessions: alibaba_sessions?,
                jwt,
                keyring: keyring?,
                plain_secrets: plain_secrets?,
                digest_key: digest_key?,
                metrics: metrics?,
                root: function_folder,
                level,
            })
        };
        let config = config();
        reader.finish().and_then(|()| config.ok_or_else(ConfigError::default))
    }
}

fn store(text: &str, root: &Path) -> Result<StoreLocation, SettingError> {
    Ok(match text.parse()? {
        StoreLocation::File(path) => StoreLocation::File(root.join(path)),
        StoreLocation::Indexed(path) => StoreLocation::Indexed(root.join(path)),
        in_aws => in_aws,
    })
}

fn grants(
    text: Option<&str>,
    store: Option<&StoreLocation>,
    root: &Path,
) -> Result<Option<PathBuf>, SettingError> {
    match (text.map(|text| text.split_once(':')), store) {
        (None, _) => Ok(None),
        (
            Some(_),
            Some(StoreLocation::File(_) | StoreLocation::Indexed(_) | StoreLocation::SecretsManager(_)),
        ) => Err(SettingError::new("is for DynamoDB; the other stores hold grants themselves")),
        (Some(Some(("file", path))), _) if !path.is_empty() => Ok(Some(root.join(path))),
        _ => Err(SettingError::new("should read `file:PATH`")),
    }
}

/// A namespace in the characters that CloudWatch accepts (API reference, `MetricDatum`).
fn namespace(text: &str) -> Result<Option<String>, SettingError> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/#:".contains(&byte));
    match text {
        "off" => Ok(None),
        _ if plain && (1..=255).contains(&text.len()) => Ok(Some(text.to_owned())),
        _ => Err(SettingError::new(format!(
            "`{text}` is neither `off` nor 1 to 255 characters of `A-Z a-z 0-9 . _ - / # :`"
        ))),
    }
}

fn alibaba_sessions(text: &str) -> Result<AlibabaSessions, SettingError> {
    match text {
        "kept" => Ok(AlibabaSessions::KeptClientIds),
        "any" => Ok(AlibabaSessions::AnyClientId),
        _ => Err(SettingError::new(format!("`{text}` is neither `kept` nor `any`"))),
    }
}

fn timer(text: Option<&str>, default: u32) -> Result<TimerSeconds, SettingError> {
    let seconds = text.map_or(Ok(default), |text| number(text, "seconds"))?;
    Ok(TimerSeconds::try_from(seconds)?)
}

fn memory(text: &str) -> Result<FunctionMemory, SettingError> {
    let mb = text.parse::<u32>().ok().and_then(|mb| FunctionMemory::try_from(mb).ok());
    mb.ok_or_else(|| SettingError::new(format!("`{text}` is not a number of MB")))
}

/// The most detailed level in a filter such as `info` or `warn,authorizer=debug`. Other programs read `RUST_LOG` too, so a
/// part that can't be read is skipped.
fn level(text: &str) -> Level {
    let parts = text.split(',').map(|part| part.rsplit('=').next().unwrap_or(part).trim());
    parts.filter_map(|part| part.parse::<Level>().ok()).max().unwrap_or(Level::INFO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Config::from_variables(variables).map_err(|error| error.to_string())
    }

    #[test]
    fn empty_environment_has_defaults() {
        let config = config(&[]).unwrap();
        assert_eq!(config.store, StoreLocation::File(PathBuf::from("devices.json")));
        assert_eq!(
            (config.timers.refresh_after.get(), config.timers.disconnect_after.get()),
            (3_600, 86_400)
        );
        assert_eq!(config.memory, FunctionMemory::WHOLE_CPU);
        assert_eq!(config.level, Level::INFO);
    }

    #[test]
    fn relative_store_path_starts_at_the_functions_folder() {
        let store = |path| config(&[("LAMBDA_TASK_ROOT", "/var/task"), (STORE, path)]).unwrap().store;
        assert_eq!(store("file:d.json"), StoreLocation::File(PathBuf::from("/var/task/d.json")));
        assert_eq!(store("indexed:d.indexed"), StoreLocation::Indexed(PathBuf::from("/var/task/d.indexed")));
        assert_eq!(store("file:/d.json"), StoreLocation::File(PathBuf::from("/d.json")));
    }

    #[test]
    fn all_mistakes_are_reported_together() {
        let error = config(&[
            (STORE, "devices.json"),
            (REFRESH_AFTER, "299"),
            (DISCONNECT_AFTER, "1d"),
            (MEMORY, "0"),
            (REQUIRE_SIGNATURE, "yes"),
            ("LATCHKEY_STROE", "file:x"),
            ("PATH", "/bin"),
            (DATA_KEYS, "keys.json"),
            (jwt::JWT_LEEWAY, "30"),
            (jwt::JWKS_TIMEOUT, "1"),
        ])
        .unwrap_err();
        assert_eq!(
            error.lines().collect::<Vec<_>>(),
            [
                "LATCHKEY_STORE: `devices.json` is not a store; it should read `file:PATH`, `indexed:PATH`, `dynamodb:TABLE` or `secretsmanager:NAME_OR_ARN`",
                "LATCHKEY_REFRESH_AFTER_SECONDS: a timer of 299 s: AWS accepts 300 to 86400",
                "LATCHKEY_DISCONNECT_AFTER_SECONDS: `1d` is not a number of seconds",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE: `0` is not a number of MB",
                "LATCHKEY_REQUIRE_SIGNATURE: `yes` is neither `true` nor `false`",
                "LATCHKEY_JWT_LEEWAY_SECONDS: has no effect without LATCHKEY_JWT_KEYS",
                "LATCHKEY_JWKS_TIMEOUT_MS: has no effect without LATCHKEY_JWT_KEYS",
                "LATCHKEY_DATA_KEYS: not a keyring's location; it should read `kms:PATH`, or `file:PATH` for development",
                "LATCHKEY_STROE: unknown setting; docs/authorizer.md lists all of them",
            ]
        );
    }

    #[test]
    fn dynamodb_allows_no_token_in_place_of_a_record() {
        let variables =
            |store| [(STORE, store), (jwt::JWT_KEYS, "jwks:keys.json"), (jwt::JWT_GRANT_CLAIM, "grant")];
        assert!(config(&variables("file:devices.json")).is_ok());
        let error = config(&variables("dynamodb:devices")).unwrap_err();
        assert!(error.starts_with("LATCHKEY_JWT_GRANT_CLAIM: can't be used with DynamoDB"), "{error}");
    }

    #[test]
    fn no_grant_is_for_tokens_unless_it_is_listed() {
        let grants = |list: &[(&str, &str)]| {
            let common = [(jwt::JWT_KEYS, "jwks:keys.json"), (jwt::JWT_GRANT_CLAIM, "grant")];
            config(&[&common, list].concat()).map(|config| config.jwt.unwrap().rules.grants)
        };
        assert_eq!(grants(&[]).unwrap().len(), 0);
        let listed = grants(&[(jwt::JWT_GRANTS, "sht20, own-topics")]).unwrap();
        assert_eq!(Vec::from_iter(listed), ["own-topics", "sht20"]);
        for list in ["", "sht20,", ",", "a,,b"] {
            let error = grants(&[(jwt::JWT_GRANTS, list)]).unwrap_err();
            assert!(error.starts_with("LATCHKEY_JWT_GRANTS: is not a list of grants"), "{error}");
        }
        let error = config(&[(jwt::JWT_KEYS, "jwks:keys.json"), (jwt::JWT_GRANTS, "sht20")]).unwrap_err();
        assert_eq!(error, "LATCHKEY_JWT_GRANTS: has no effect without LATCHKEY_JWT_GRANT_CLAIM");
    }

    #[test]
    fn alibaba_sessions_are_for_kept_client_ids_unless_set() {
        let sessions = |set: &[(&str, &str)]| config(set).map(|config| config.alibaba_sessions);
        assert_eq!(sessions(&[]), Ok(AlibabaSessions::KeptClientIds));
        assert_eq!(sessions(&[(ALIBABA_SESSIONS, "any")]), Ok(AlibabaSessions::AnyClientId));
        let error = sessions(&[(ALIBABA_SESSIONS, "all")]).unwrap_err();
        assert_eq!(error, "LATCHKEY_ALIBABA_SESSIONS: `all` is neither `kept` nor `any`");
    }

    #[test]
    fn a_short_key_of_digests_is_refused_without_its_text() {
        let error = config(&[(DIGEST_KEY, "hunter2")]).unwrap_err();
        assert_eq!(error, "LATCHKEY_DIGEST_KEY: a key has at least 32 characters, and this one has 7");
        assert!(config(&[(DIGEST_KEY, &"k".repeat(32))]).unwrap().digest_key.is_some());
        assert!(config(&[]).unwrap().digest_key.is_none());
    }

    #[cfg(unix)]
    #[test]
    fn setting_that_is_not_utf8_is_a_mistake() {
        use std::os::unix::ffi::OsStringExt as _;
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        for (name, value) in
            [(&b"LATCHKEY_REQUIRE_SIGNATURE"[..], &b"true\xff"[..]), (b"LATCHKEY_\xff", b"x")]
        {
            let error = Config::from_variables([(text(name), text(value))]).unwrap_err().to_string();
            assert!(error.ends_with("is not UTF-8"), "{error}");
        }
        assert!(Config::from_variables([(text(b"OTHER"), text(b"\xff"))]).is_ok());
    }

    #[test]
    fn log_level_is_the_most_detailed_one() {
        for (text, level) in [
            ("trace", Level::TRACE),
            ("warn,authorizer=debug", Level::DEBUG),
            ("error", Level::ERROR),
            ("?", Level::INFO),
        ] {
            assert_eq!(config(&[(LOG, text)]).unwrap().level, level, "{text}");
        }
    }
}
