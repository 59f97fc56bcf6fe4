//! Where the settings say that records and keys are: `LATCHKEY_STORE` and `LATCHKEY_DATA_KEYS`, parsed but not opened.
//!
//! It also names the environment variables that error messages of this crate tell people to set. The function's other
//! variables are in its `config`.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The variable that says which keys open sealed secrets: `kms:PATH`, or `file:PATH`.
pub const DATA_KEYS: &str = "LATCHKEY_DATA_KEYS";
/// The variable that says whether records may hold secrets of vendors in plain text: `true` or `false`.
pub const ALLOW_PLAIN_SECRETS: &str = "LATCHKEY_ALLOW_PLAIN_SECRETS";

/// DynamoDB's rule for a table's name (API reference, `CreateTable`): 3 to 255 bytes of `a-z A-Z 0-9 _ . -`.
const TABLE_BYTES: std::ops::RangeInclusive<usize> = 3..=255;
/// Secrets Manager's rule for what names a secret (API reference, `GetSecretValue`): 1 to 2,048 bytes.
const MAX_SECRET_ID_BYTES: usize = 2_048;

/// Where the records are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// In a JSON file: `file:PATH`.
    File(PathBuf),
    /// In an indexed file, which `latchkey fleet build` makes of a JSON file: `indexed:PATH`.
    Indexed(PathBuf),
    /// In a DynamoDB table, one item for each device: `dynamodb:TABLE`.
    DynamoDb(TableName),
    /// In one secret of Secrets Manager: `secretsmanager:NAME_OR_ARN`.
    SecretsManager(SecretId),
}

/// The name of a DynamoDB table: 3 to 255 bytes of `a-z A-Z 0-9 _ . -`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName(String);

/// The name or the ARN of a secret: 1 to 2,048 bytes of `a-z A-Z 0-9 / _ + = . @ - :`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretId(String);

/// Why a text is not a [`StoreLocation`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// None of the known forms.
    #[error(
        "`{0}` is not a store; it should read `file:PATH`, `indexed:PATH`, `dynamodb:TABLE` or `secretsmanager:NAME_OR_ARN`"
    )]
    Form(String),
    /// Not a table's name.
    #[error("`{0}` is not a table's name, which has 3 to 255 of the characters `a-z A-Z 0-9 _ . -`")]
    Table(String),
    /// Not a secret's name or ARN.
    #[error(
        "`{0}` is not a secret's name or ARN, which has 1 to 2048 of the characters `a-z A-Z 0-9 / _ + = . @ - :`"
    )]
    Secret(String),
}

/// Where the keyring is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyringLocation {
    /// There are no keys.
    None,
    /// `file:PATH`: the keyring itself, in a JSON file. For development.
    File(PathBuf),
    /// `kms:PATH`: the keyring as KMS has encrypted it, in a JSON file. For production.
    Kms(PathBuf),
}

/// A text that does not name a keyring. The message does not quote it, because it may be the keyring itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a keyring's location; it should read `kms:PATH`, or `file:PATH` for development")]
pub struct KeyringLocationError;

impl KeyringLocation {
    /// Reads `file:PATH` or `kms:PATH`. A relative path starts at `root`, the function's own folder.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub fn parse(text: &str, root: &Path) -> Result<Self, KeyringLocationError> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(root.join(path))),
            Some(("kms", path)) if !path.is_empty() => Ok(Self::Kms(root.join(path))),
            _ => Err(KeyringLocationError),
        }
    }
}

impl FromStr for StoreLocation {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("indexed", path)) if !path.is_empty() => Ok(Self::Indexed(PathBuf::from(path))),
            Some(("dynamodb", table)) => TableName::try_from(table).map(Self::DynamoDb),
            Some(("secretsmanager", secret)) => SecretId::try_from(secret).map(Self::SecretsManager),
            _ => Err(LocationError::Form(text.to_owned())),
        }
    }
}

impl TableName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for TableName {
    type Error = LocationError;

    fn try_from(text: &str) -> Result<Self, LocationError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if plain && TABLE_BYTES.contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(LocationError::Table(text.to_owned()))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SecretId {
    /// The name or ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for SecretId {
    type Error = LocationError;

    fn try_from(text: &str) -> Result<Self, LocationError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+=.@-:".contains(&byte));
        if plain && (1..=MAX_SECRET_ID_BYTES).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(LocationError::Secret(text.to_owned()))
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_location_is_a_kind_and_a_name() {
        let table = |name: &str| StoreLocation::DynamoDb(TableName(name.to_owned()));
        let secret = |name: &str| StoreLocation::SecretsManager(SecretId(name.to_owned()));
        let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:latchkey/devices-AbCdEf";
        for (text, location) in [
            ("file:devices.json", StoreLocation::File("devices.json".into())),
            ("file:/a:b", StoreLocation::File("/a:b".into())),
            ("indexed:devices.indexed", StoreLocation::Indexed("devices.indexed".into())),
            ("dynamodb:a.b", table("a.b")),
            ("dynamodb:Latchkey_devices-2", table("Latchkey_devices-2")),
            (&format!("dynamodb:{}", "t".repeat(255)), table(&"t".repeat(255))),
            ("secretsmanager:latchkey/devices", secret("latchkey/devices")),
            (&format!("secretsmanager:{arn}"), secret(arn)),
        ] {
            assert_eq!(text.parse::<StoreLocation>(), Ok(location), "{text}");
        }
    }

    #[test]
    fn malformed_store_location_is_refused_with_its_form() {
        let (long_table, long_secret) = ("t".repeat(256), "s".repeat(2_049));
        for (text, part) in [
            ("", "`` is not a store; it should read `file:PATH`, `indexed:PATH`, `dynamodb:TABLE` or"),
            ("indexed:", "`indexed:` is not a store"),
            ("devices.json", "`devices.json` is not a store"),
            ("file:", "`file:` is not a store"),
            ("s3:bucket", "`s3:bucket` is not a store"),
            ("DynamoDB:table", "is not a store"),
            ("dynamodb:", "`` is not a table's name, which has 3 to 255 of"),
            ("dynamodb:ab", "`ab` is not a table's name"),
            ("dynamodb:a/b", "`a/b` is not a table's name"),
            ("dynamodb: abc", "` abc` is not a table's name"),
            (&format!("dynamodb:{long_table}"), "is not a table's name"),
            ("secretsmanager:", "`` is not a secret's name or ARN"),
            ("secretsmanager:a b", "`a b` is not a secret's name or ARN"),
            (&format!("secretsmanager:{long_secret}"), "is not a secret's name or ARN"),
        ] {
            let error = text.parse::<StoreLocation>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn keyring_location_is_a_kind_and_a_path() {
        let parse = |text| KeyringLocation::parse(text, Path::new("/var/task"));
        assert_eq!(parse("file:k.json"), Ok(KeyringLocation::File("/var/task/k.json".into())));
        assert_eq!(parse("kms:/k.json"), Ok(KeyringLocation::Kms("/k.json".into())));
        for text in ["", "file:", "kms:", "keyring.json", "s3:k.json", "FILE:k.json"] {
            assert_eq!(parse(text), Err(KeyringLocationError));
        }
        assert_eq!(
            parse("k.json").unwrap_err().to_string(),
            "not a keyring's location; it should read `kms:PATH`, or `file:PATH` for development"
        );
    }
}
