//! The option `--store`, and the variable that stands in for it.

use std::{env, path::PathBuf};

use device_auth::location::{LocationError, SecretId, StoreLocation, TableName};
use device_sim::deployment::{Deployment, Records};

const DEFAULT_FILE: &str = ".latchkey/devices.json";

/// The variable that the function reads too.
pub const VARIABLE: &str = "LATCHKEY_STORE";
/// What the variable was called before the function's name for it became everybody's.
const OLD_VARIABLE: &str = "LATCHKEY_DEVICES";

/// A store, and where it was configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredStore {
    /// The store.
    pub location: StoreLocation,
    /// Where it was configured.
    pub source: Source,
}

/// Where a store was configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// With `--store`: it is meant for this command.
    CommandLine,
    /// With [`VARIABLE`]: it may be meant for another command.
    Environment,
}

/// Why a store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreOptionError {
    /// The variable with the old name is set.
    #[error(
        "{OLD_VARIABLE} is now {VARIABLE}, and names the store as the function does: set {VARIABLE}=file:{0}"
    )]
    OldVariable(String),
    /// The variable names no store.
    #[error("{VARIABLE}: {0}")]
    Variable(LocationError),
    /// The command changes a file, and the store is not one.
    #[error(
        "this command keeps records in a file, and `--store` names {0}; `latchkey fleet provision` writes there, and \
         docs/operations.md says how to change one record there"
    )]
    NotAFile(String),
}

impl ConfiguredStore {
    /// The store of `--store`, or else the store of the environment.
    ///
    /// # Errors
    ///
    /// When the variable names no store, or the variable with the old name is set.
    pub fn find(option: Option<StoreLocation>) -> Result<Option<Self>, StoreOptionError> {
        if let Some(path) = variable(OLD_VARIABLE) {
            return Err(StoreOptionError::OldVariable(path));
        }
        if let Some(location) = option {
            return Ok(Some(Self { location, source: Source::CommandLine }));
        }
        let Some(text) = variable(VARIABLE) else { return Ok(None) };
        let location = text.parse().map_err(StoreOptionError::Variable)?;
        Ok(Some(Self { location, source: Source::Environment }))
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|text| !text.is_empty())
}

/// Reads the value of `--store`: a path, or a store as the function's setting names it.
///
/// # Errors
///
/// When it begins like the function's setting and is not one.
pub fn parse(text: &str) -> Result<StoreLocation, LocationError> {
    if ["file:", "dynamodb:", "secretsmanager:"].iter().any(|kind| text.starts_with(kind)) {
        text.parse()
    } else {
        Ok(StoreLocation::File(PathBuf::from(text)))
    }
}

/// Writes a store as `--store` accepts it.
#[must_use]
pub fn value(store: &StoreLocation) -> String {
    match store {
        StoreLocation::File(path) => path.display().to_string(),
        StoreLocation::DynamoDb(table) => format!("dynamodb:{table}"),
        StoreLocation::SecretsManager(secret) => format!("secretsmanager:{secret}"),
    }
}

/// Names a store in a sentence: the table `devices`.
#[must_use]
pub fn description(store: &StoreLocation) -> String {
    match store {
        StoreLocation::File(path) => format!("the file `{}`", path.display()),
        StoreLocation::DynamoDb(table) => format!("the table `{table}`"),
        StoreLocation::SecretsManager(secret) => format!("the secret `{secret}`"),
    }
}

/// The path of a file of records, for the commands that change one.
///
/// # Errors
///
/// When the store is a table or a secret.
pub fn file(store: Option<StoreLocation>) -> Result<PathBuf, StoreOptionError> {
    match store {
        None => Ok(PathBuf::from(DEFAULT_FILE)),
        Some(StoreLocation::File(path)) => Ok(path),
        Some(other) => Err(StoreOptionError::NotAFile(description(&other))),
    }
}

/// The store of a deployment.
///
/// # Errors
///
/// When its name is not a table's or a secret's.
pub fn of_deployment(deployment: &Deployment) -> Result<StoreLocation, LocationError> {
    match &deployment.records {
        Records::Table(table) => TableName::try_from(table.as_str()).map(StoreLocation::DynamoDb),
        Records::Secret(secret) => SecretId::try_from(secret.as_str()).map(StoreLocation::SecretsManager),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_path_or_names_its_kind() {
        for (text, described) in [
            ("a/devices.json", "the file `a/devices.json`"),
            ("file:devices.json", "the file `devices.json`"),
            ("dynamodb:latchkey-dev-devices", "the table `latchkey-dev-devices`"),
            ("secretsmanager:latchkey-dev/devices", "the secret `latchkey-dev/devices`"),
        ] {
            let store = parse(text).unwrap();
            assert_eq!(description(&store), described);
            assert_eq!(parse(&value(&store)).unwrap(), store);
        }
        assert!(parse("dynamodb:x").unwrap_err().to_string().contains("is not a table's name"));
        let error = file(Some(parse("dynamodb:devices").unwrap())).unwrap_err().to_string();
        assert!(error.contains("`--store` names the table `devices`; `latchkey fleet provision`"), "{error}");
        assert_eq!(file(None).unwrap(), PathBuf::from(".latchkey/devices.json"));
    }
}
