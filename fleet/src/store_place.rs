//! Where records are kept, as a person names it.

use std::{fmt, path::PathBuf, str::FromStr};

use anyhow::bail;
use authorizer::store::location::{LocationError, SecretId, StoreLocation, TableName};
use device_sim::deployment::{Deployment, Records};

const DEFAULT_FILE: &str = ".latchkey/devices.json";

/// The place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorePlace {
    /// This JSON file.
    File(PathBuf),
    /// This table of DynamoDB.
    Table(TableName),
    /// This secret of Secrets Manager.
    Secret(SecretId),
}

impl StorePlace {
    /// The records of a deployment.
    ///
    /// # Errors
    ///
    /// When it names something that can be no table or secret.
    pub fn of(deployment: &Deployment) -> Result<Self, LocationError> {
        match &deployment.records {
            Records::Table(table) => TableName::try_from(table.as_str()).map(Self::Table),
            Records::Secret(secret) => SecretId::try_from(secret.as_str()).map(Self::Secret),
        }
    }

    /// The file, for the commands that know nothing else.
    ///
    /// # Errors
    ///
    /// When it is a table or a secret.
    pub fn file(place: Option<Self>) -> anyhow::Result<PathBuf> {
        match place {
            None => Ok(PathBuf::from(DEFAULT_FILE)),
            Some(Self::File(path)) => Ok(path),
            Some(other) => bail!(
                "this command keeps records in a file, and `--store` names {other}; `latchkey fleet provision` writes \
                 there, and docs/operations.md says how one record there is changed"
            ),
        }
    }
}

impl FromStr for StorePlace {
    type Err = LocationError;

    /// A path, or what the authorizer's setting says.
    fn from_str(text: &str) -> Result<Self, LocationError> {
        if !["file:", "dynamodb:", "secretsmanager:"].iter().any(|kind| text.starts_with(kind)) {
            return Ok(Self::File(PathBuf::from(text)));
        }
        Ok(match text.parse()? {
            StoreLocation::File(path) => Self::File(path),
            StoreLocation::DynamoDb(table) => Self::Table(table),
            StoreLocation::SecretsManager(secret) => Self::Secret(secret),
        })
    }
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file `{}`", path.display()),
            Self::Table(table) => write!(f, "the table `{table}`"),
            Self::Secret(secret) => write!(f, "the secret `{secret}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_or_says_what_it_is() {
        for (text, told) in [
            ("a/devices.json", "the file `a/devices.json`"),
            ("file:devices.json", "the file `devices.json`"),
            ("dynamodb:latchkey-dev-devices", "the table `latchkey-dev-devices`"),
            ("secretsmanager:latchkey-dev/devices", "the secret `latchkey-dev/devices`"),
        ] {
            assert_eq!(text.parse::<StorePlace>().unwrap().to_string(), told);
        }
        assert!(
            "dynamodb:x".parse::<StorePlace>().unwrap_err().to_string().contains("is not a table's name")
        );
        let table = "dynamodb:devices".parse().unwrap();
        let told = StorePlace::file(Some(table)).unwrap_err().to_string();
        assert!(told.contains("`--store` names the table `devices`; `latchkey fleet provision`"), "{told}");
        assert_eq!(StorePlace::file(None).unwrap(), PathBuf::from(".latchkey/devices.json"));
    }
}
