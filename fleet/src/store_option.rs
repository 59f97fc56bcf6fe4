//! The option `--store`, and the variable with its default.

use std::{
    env,
    path::{Path, PathBuf},
};

use device_auth::location::{LocationError, SecretId, StoreLocation, TableName};
use device_sim::deployment::{Deployment, Records};

use crate::{args::StoreArgs, record_store::Access};

const DEFAULT_FILE: &str = ".latchkey/devices.json";

/// The variable that the function reads too.
pub const VARIABLE: &str = "LATCHKEY_STORE";
/// The variable with which the function finds a table's grants.
const GRANTS_VARIABLE: &str = "LATCHKEY_GRANTS";
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
    /// The deployment names no store.
    #[error(transparent)]
    Deployment(#[from] LocationError),
    /// The deployment's records can't be changed where they are.
    #[error(
        "the records of the stage `{0}` are an indexed file in its function's package: name the JSON file that it was made \
         of with `--store FILE`, and after a change build and deploy it again"
    )]
    InPackage(String),
    /// The command reads a file, and the store is not one.
    #[error(
        "this command reads a file of records, and `--store` names {0}; `latchkey fleet check` reads that"
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
    if ["file:", "indexed:", "dynamodb:", "secretsmanager:"].iter().any(|kind| text.starts_with(kind)) {
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
        StoreLocation::Indexed(path) => format!("indexed:{}", path.display()),
        StoreLocation::DynamoDb(table) => format!("dynamodb:{table}"),
        StoreLocation::SecretsManager(secret) => format!("secretsmanager:{secret}"),
    }
}

/// Names a store in a sentence: the table `devices`.
#[must_use]
pub fn description(store: &StoreLocation) -> String {
    match store {
        StoreLocation::File(path) => format!("the file `{}`", path.display()),
        StoreLocation::Indexed(path) => format!("the indexed file `{}`", path.display()),
        StoreLocation::DynamoDb(table) => format!("the table `{table}`"),
        StoreLocation::SecretsManager(secret) => format!("the secret `{secret}`"),
    }
}

/// The path of a file of records, for the commands that read one.
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

/// The store of one command.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is.
    pub location: StoreLocation,
    /// How it is reached.
    pub access: Access,
    /// The deployment in this folder, or the one that the command line names.
    pub deployment: Option<Deployment>,
}

impl Target {
    /// The store that is configured, or else the deployment's, or else the file in this folder.
    ///
    /// # Errors
    ///
    /// When the deployment can't be read, or the environment names another store than the deployment's.
    pub fn find(store: Option<ConfiguredStore>, args: &StoreArgs) -> anyhow::Result<Self> {
        let deployment = args.deployment.find(Path::new("."))?;
        let location = choose(store, deployment.as_ref())?;
        let location = location.unwrap_or_else(|| StoreLocation::File(PathBuf::from(DEFAULT_FILE)));
        let region = args.region.clone().or_else(|| deployment.as_ref().map(|it| it.region.clone()));
        let grants = match (&args.grants, variable(GRANTS_VARIABLE), &location) {
            (None, Some(text), StoreLocation::DynamoDb(_)) => {
                Some(PathBuf::from(text.strip_prefix("file:").unwrap_or(&text)))
            }
            (grants, _, _) => grants.clone(),
        };
        Ok(Self { location, access: Access { region, grants }, deployment })
    }

    /// One line that says which store it is.
    #[must_use]
    pub fn description(&self) -> String {
        let store = description(&self.location);
        match &self.deployment {
            Some(deployment) if of_deployment(deployment).is_ok_and(|it| it == self.location) => {
                format!("using {store} of {deployment}")
            }
            _ => format!("using {store}"),
        }
    }
}

/// Chooses between the store that is configured and the deployment's. A variable that was set for another command must not
/// separate the records from their deployment.
///
/// # Errors
///
/// When the environment names another store than the deployment's.
pub fn choose(
    store: Option<ConfiguredStore>,
    deployment: Option<&Deployment>,
) -> anyhow::Result<Option<StoreLocation>> {
    match (store, deployment) {
        (Some(ConfiguredStore { location, source: Source::Environment }), Some(deployment)) => {
            let deployed = of_deployment(deployment)?;
            anyhow::ensure!(
                location == deployed,
                "{VARIABLE} names {}, and the records of the stage `{}` are in {}: unset it, or choose the store with \
                 `--store`",
                description(&location),
                deployment.stage,
                description(&deployed),
            );
            Ok(Some(deployed))
        }
        (Some(store), _) => Ok(Some(store.location)),
        (None, Some(deployment)) => Ok(Some(of_deployment(deployment)?)),
        (None, None) => Ok(None),
    }
}

/// The store of a deployment.
///
/// # Errors
///
/// When its name is not a table's or a secret's, or the records are in the function's package.
pub fn of_deployment(deployment: &Deployment) -> Result<StoreLocation, StoreOptionError> {
    Ok(match &deployment.records {
        Records::Table(table) => StoreLocation::DynamoDb(TableName::try_from(table.as_str())?),
        Records::Secret(secret) => StoreLocation::SecretsManager(SecretId::try_from(secret.as_str())?),
        Records::Indexed(_) => return Err(StoreOptionError::InPackage(deployment.stage.clone())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_path_or_names_its_kind() {
        for (text, described) in [
            ("a/devices.json", "the file `a/devices.json`"),
            ("file:devices.json", "the file `devices.json`"),
            ("indexed:a/devices.indexed", "the indexed file `a/devices.indexed`"),
            ("dynamodb:latchkey-dev-devices", "the table `latchkey-dev-devices`"),
            ("secretsmanager:latchkey-dev/devices", "the secret `latchkey-dev/devices`"),
        ] {
            let store = parse(text).unwrap();
            assert_eq!(description(&store), described);
            assert_eq!(parse(&value(&store)).unwrap(), store);
        }
        assert!(parse("dynamodb:x").unwrap_err().to_string().contains("is not a table's name"));
    }
}
