//! Where records are kept, as a person names it.

use std::{env, fmt, path::PathBuf, str::FromStr};

use anyhow::{Context as _, bail};
use device_auth::location::{LocationError, SecretId, StoreLocation, TableName};
use device_sim::deployment::{Deployment, Records};

const DEFAULT_FILE: &str = ".latchkey/devices.json";

const VARIABLE: &str = "LATCHKEY_DEVICES";

/// A place, and who named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// `--store`: a person who means it now.
    Said(StorePlace),
    /// `LATCHKEY_DEVICES`: perhaps meant for something else.
    Inherited(StorePlace),
}

impl Named {
    /// What `--store` says, or else the environment.
    ///
    /// # Errors
    ///
    /// When the variable can be no place.
    pub fn find(said: Option<StorePlace>) -> anyhow::Result<Option<Self>> {
        if let Some(place) = said {
            return Ok(Some(Self::Said(place)));
        }
        let Some(text) = env::var(VARIABLE).ok().filter(|text| !text.is_empty()) else { return Ok(None) };
        let place = text.parse().with_context(|| format!("{VARIABLE} is `{text}`"))?;
        Ok(Some(Self::Inherited(place)))
    }

    /// The place, whoever named it.
    #[must_use]
    pub fn place(self) -> StorePlace {
        match self {
            Self::Said(place) | Self::Inherited(place) => place,
        }
    }
}

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

    /// As `--store` takes it.
    #[must_use]
    pub fn setting(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Table(table) => format!("dynamodb:{table}"),
            Self::Secret(secret) => format!("secretsmanager:{secret}"),
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
            let place = text.parse::<StorePlace>().unwrap();
            assert_eq!(place.to_string(), told);
            assert_eq!(place.setting().parse::<StorePlace>().unwrap(), place);
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
