//! What the environment may set. Every variable is named here, once; all mistakes are reported together.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use tracing::Level;

use crate::{
    credential::budget::FunctionMemory,
    record::{FunctionSettings, TimerSeconds, Timers},
};

/// Where the records are: `file:PATH`. A relative path starts at the function's own folder.
pub const STORE: &str = "LATCHKEY_STORE";
/// The keyring that vendor secrets are sealed under: `file:PATH` or `kms:PATH`.
pub const DATA_KEYS: &str = "LATCHKEY_DATA_KEYS";
/// Whether vendor secrets may stand in records in plain text: `true` or `false`.
pub const ALLOW_PLAIN_SECRETS: &str = "LATCHKEY_ALLOW_PLAIN_SECRETS";
/// Seconds until IoT Core asks again, for records that don't say: 300 to 86,400.
pub const REFRESH_AFTER: &str = "LATCHKEY_REFRESH_AFTER_SECONDS";
/// Seconds until IoT Core ends a connection, for records that don't say: 300 to 86,400.
pub const DISCONNECT_AFTER: &str = "LATCHKEY_DISCONNECT_AFTER_SECONDS";
/// The function's memory in MB, which Lambda sets (developer guide, `configuration-envvars`). Where nothing does,
/// a whole CPU is taken for granted.
pub const MEMORY: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
/// How much this function logs: `error`, `warn`, `info`, `debug` or `trace`.
pub const LOG: &str = "RUST_LOG";

/// The records bundled with the function.
const DEFAULT_STORE: &str = "file:devices.json";
/// An hour: how long a revoked device may stay connected at the worst, against one call an hour and device.
const DEFAULT_REFRESH_AFTER: u32 = 3_600;
/// A day, AWS's maximum: a device that behaves is not made to reconnect more often than needed.
const DEFAULT_DISCONNECT_AFTER: u32 = 86_400;

/// The settings of one process.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the records are.
    pub store: StoreLocation,
    /// What records are loaded with.
    pub function: FunctionSettings,
    /// How much is logged. Libraries stay at `WARN` whatever it says.
    pub level: Level,
}

/// Where the records are.
#[derive(Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// In a JSON file.
    File(PathBuf),
}

/// Every mistake in the environment.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl Config {
    /// Reads the settings from `variable`, which gives an environment variable's value by name.
    ///
    /// # Errors
    ///
    /// All mistakes together, each with its variable's name.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut mistakes = Vec::new();
        let root = variable("LAMBDA_TASK_ROOT").map(PathBuf::from).unwrap_or_default();
        let store = store(&variable(STORE).unwrap_or_else(|| DEFAULT_STORE.to_owned()), &root);
        let refresh_after = timer(&variable, REFRESH_AFTER, DEFAULT_REFRESH_AFTER);
        let disconnect_after = timer(&variable, DISCONNECT_AFTER, DEFAULT_DISCONNECT_AFTER);
        let memory = memory(variable(MEMORY).as_deref());
        let level = Ok(variable(LOG).map_or(Level::INFO, |text| level(&text)));
        let settings = (
            keep(store, &mut mistakes),
            keep(refresh_after, &mut mistakes),
            keep(disconnect_after, &mut mistakes),
            keep(memory, &mut mistakes),
            keep(level, &mut mistakes),
        );
        match settings {
            (Some(store), Some(refresh_after), Some(disconnect_after), Some(memory), Some(level)) => {
                let timers = Timers { refresh_after, disconnect_after };
                Ok(Self { store, function: FunctionSettings { timers, memory }, level })
            }
            _ => Err(ConfigError(mistakes)),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

fn keep<T>(setting: Result<T, String>, mistakes: &mut Vec<String>) -> Option<T> {
    setting.map_err(|mistake| mistakes.push(mistake)).ok()
}

fn store(text: &str, root: &Path) -> Result<StoreLocation, String> {
    match text.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Ok(StoreLocation::File(root.join(path))),
        _ => Err(format!("{STORE}: `{text}` is not a store; it should read `file:PATH`")),
    }
}

fn timer(
    variable: impl Fn(&str) -> Option<String>,
    name: &str,
    default: u32,
) -> Result<TimerSeconds, String> {
    let seconds = match variable(name) {
        Some(text) => text.parse().map_err(|_| format!("{name}: `{text}` is not a number of seconds"))?,
        None => default,
    };
    TimerSeconds::try_from(seconds).map_err(|error| format!("{name}: {error}"))
}

fn memory(text: Option<&str>) -> Result<FunctionMemory, String> {
    let Some(text) = text else { return Ok(FunctionMemory::WHOLE_CPU) };
    let mb = text.parse::<u32>().ok().and_then(|mb| FunctionMemory::try_from(mb).ok());
    mb.ok_or_else(|| format!("{MEMORY}: `{text}` is not a number of MB"))
}

/// The most detailed level that a filter such as `info` or `warn,authorizer=debug` names. What `RUST_LOG`
/// says is meant for many programs, so a part that can't be read is passed over.
fn level(text: &str) -> Level {
    let parts = text.split(',').map(|part| part.rsplit('=').next().unwrap_or(part).trim());
    parts.filter_map(|part| part.parse::<Level>().ok()).max().unwrap_or(Level::INFO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<Config, String> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Config::from_variables(|name| find(name).map(|(_, value)| (*value).to_owned()))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn an_empty_environment_is_enough() {
        let config = config(&[]).unwrap();
        assert_eq!(config.store, StoreLocation::File(PathBuf::from("devices.json")));
        assert_eq!(
            (config.function.timers.refresh_after.get(), config.function.timers.disconnect_after.get()),
            (3_600, 86_400)
        );
        assert_eq!(config.function.memory, FunctionMemory::WHOLE_CPU);
        assert_eq!(config.level, Level::INFO);
    }

    #[test]
    fn a_relative_store_starts_at_the_function_and_an_absolute_one_does_not() {
        let store = |path| config(&[("LAMBDA_TASK_ROOT", "/var/task"), (STORE, path)]).unwrap().store;
        assert_eq!(store("file:d.json"), StoreLocation::File(PathBuf::from("/var/task/d.json")));
        assert_eq!(store("file:/d.json"), StoreLocation::File(PathBuf::from("/d.json")));
    }

    #[test]
    fn all_mistakes_are_told_together() {
        let error = config(&[
            (STORE, "devices.json"),
            (REFRESH_AFTER, "299"),
            (DISCONNECT_AFTER, "1d"),
            (MEMORY, "0"),
        ])
        .unwrap_err();
        assert_eq!(
            error.lines().collect::<Vec<_>>(),
            [
                "LATCHKEY_STORE: `devices.json` is not a store; it should read `file:PATH`",
                "LATCHKEY_REFRESH_AFTER_SECONDS: 299 seconds: AWS takes 300 to 86400 for a timer",
                "LATCHKEY_DISCONNECT_AFTER_SECONDS: `1d` is not a number of seconds",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE: `0` is not a number of MB",
            ]
        );
    }

    #[test]
    fn the_log_level_is_the_most_detailed_one_named() {
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
