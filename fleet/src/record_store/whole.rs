//! Records in a file or in a secret, which are read and written as a whole.

use std::{fmt, path::PathBuf};

use anyhow::Context as _;
#[cfg(feature = "aws")]
use aws_config::SdkConfig;
#[cfg(feature = "aws")]
use aws_sdk_secretsmanager::{Client, config::Builder, error::ProvideErrorMetadata as _};
#[cfg(feature = "aws")]
use device_auth::location::SecretId;
use device_auth::{device_name::DeviceName, store::document::StoreDocument};

use super::no_such_device;
#[cfg(feature = "aws")]
use crate::aws::{call_error, has_code, patient};
use crate::store_file::{self, StoreFile};

/// Secrets Manager's limit (API reference, `PutSecretValue`).
#[cfg(feature = "aws")]
const MAX_SECRET_BYTES: usize = 65_536;
/// How often a change of a secret begins again because somebody else has changed it.
#[cfg(feature = "aws")]
const MOST_ATTEMPTS: u32 = 20;
/// The label of a version that is not the current one yet.
#[cfg(feature = "aws")]
const NEXT: &str = "LATCHKEYNEXT";

/// A file of either form, or a secret.
pub enum WholeStore {
    /// A JSON file.
    File(PathBuf),
    /// An indexed file, which is read only.
    Indexed(PathBuf),
    /// A secret, and the client that calls Secrets Manager.
    #[cfg(feature = "aws")]
    Secret(Client, SecretId),
}

/// What a file that does not exist means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is a store without devices, and will be made.
    IsEmpty,
    /// The operator meant another file.
    IsAnError,
}

impl WholeStore {
    #[cfg(feature = "aws")]
    pub(crate) fn secret(aws: &SdkConfig, secret: &SecretId) -> Self {
        let config = Builder::from(aws).retry_partition(patient()).build();
        Self::Secret(Client::from_conf(config), secret.clone())
    }

    /// Reads the records. A file must have such that the authorizer accepts.
    #[cfg_attr(not(feature = "aws"), expect(clippy::unused_async, reason = "only a secret is waited for"))]
    pub(crate) async fn read(&self, missing: Missing) -> anyhow::Result<StoreDocument> {
        match self {
            Self::File(path) if missing == Missing::IsAnError => StoreFile::read(path),
            Self::File(path) => store_file::read(path),
            Self::Indexed(path) => super::indexed::read(path),
            #[cfg(feature = "aws")]
            Self::Secret(client, secret) => Ok(read(client, secret).await?.0),
        }
    }

    /// Reads the records as they are, whether the authorizer accepts them or not.
    #[cfg_attr(not(feature = "aws"), expect(clippy::unused_async, reason = "only a secret is waited for"))]
    pub(crate) async fn read_unchecked(&self) -> anyhow::Result<StoreDocument> {
        match self {
            Self::File(path) => {
                store_file::check_exists(path)?;
                store_file::read(path)
            }
            Self::Indexed(path) => super::indexed::read(path),
            #[cfg(feature = "aws")]
            Self::Secret(client, secret) => Ok(read(client, secret).await?.0),
        }
    }

    /// The text of the records, as it is.
    #[cfg_attr(not(feature = "aws"), expect(clippy::unused_async, reason = "only a secret is waited for"))]
    pub(crate) async fn text(&self) -> anyhow::Result<String> {
        match self {
            Self::File(path) => {
                store_file::check_exists(path)?;
                std::fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display()))
            }
            Self::Indexed(path) => Ok(serde_json::to_string_pretty(&super::indexed::read(path)?)?),
            #[cfg(feature = "aws")]
            Self::Secret(client, secret) => Ok(read_text(client, secret).await?.0),
        }
    }

    /// Changes the records, and writes them if the authorizer accepts them. A file is locked meanwhile; a secret is written
    /// only if no other program has written it since it was read, and otherwise `change` is called again.
    #[cfg_attr(not(feature = "aws"), expect(clippy::unused_async, reason = "only a secret is waited for"))]
    pub(crate) async fn update<T>(
        &self,
        missing: Missing,
        mut change: impl FnMut(&mut StoreDocument) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        match self {
            Self::File(path) => {
                let mut file = match missing {
                    Missing::IsEmpty => StoreFile::open(path)?,
                    Missing::IsAnError => StoreFile::open_existing(path)?,
                };
                let changed = change(file.document_mut())?;
                file.save()?;
                Ok(changed)
            }
            Self::Indexed(path) => Err(super::indexed::read_only(path)),
            #[cfg(feature = "aws")]
            Self::Secret(client, secret) => {
                for _ in 0..MOST_ATTEMPTS {
                    let (mut document, version) = read(client, secret).await?;
                    let before = serde_json::to_value(&document)?;
                    let changed = change(&mut document)?;
                    if serde_json::to_value(&document)? == before
                        || write(client, secret, &document, &version).await?
                    {
                        return Ok(changed);
                    }
                }
                anyhow::bail!(
                    "others changed the secret `{secret}` at each of {MOST_ATTEMPTS} attempts: run this again"
                )
            }
        }
    }

    /// Checks that there is room for a store.
    #[cfg(feature = "aws")]
    pub(crate) fn check_room(&self, document: &StoreDocument) -> anyhow::Result<()> {
        match self {
            Self::File(_) => Ok(()),
            Self::Indexed(path) => Err(super::indexed::read_only(path)),
            Self::Secret(..) => secret_text(document).map(drop),
        }
    }

    /// Checks that a secret can have this number of new records at all: the shortest one has more than 64 bytes.
    #[cfg(feature = "aws")]
    pub(crate) fn check_count(&self, devices: u64) -> anyhow::Result<()> {
        let most = u64::try_from(MAX_SECRET_BYTES / 64)?;
        anyhow::ensure!(
            matches!(self, Self::File(_)) || devices <= most,
            "a secret has room for {MAX_SECRET_BYTES} bytes, and not for {devices} records: use a table for this number of \
             devices (`records` in the stage's settings)"
        );
        Ok(())
    }

    pub(crate) fn no_such_device(&self, name: &DeviceName) -> anyhow::Error {
        no_such_device(self, name)
    }
}

impl fmt::Display for WholeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Indexed(path) => write!(f, "`{}`", path.display()),
            #[cfg(feature = "aws")]
            Self::Secret(_, secret) => write!(f, "the secret `{secret}`"),
        }
    }
}

/// The text of a secret, if it is not too long.
#[cfg(feature = "aws")]
fn secret_text(document: &StoreDocument) -> anyhow::Result<String> {
    let text = serde_json::to_string(document)?;
    anyhow::ensure!(
        text.len() <= MAX_SECRET_BYTES,
        "the records have {} bytes, and a secret has room for {MAX_SECRET_BYTES}: use a table for this number of devices \
         (`records` in the stage's settings)",
        text.len()
    );
    Ok(text)
}

/// The records of a secret, and the version that has them.
#[cfg(feature = "aws")]
async fn read(client: &Client, secret: &SecretId) -> anyhow::Result<(StoreDocument, String)> {
    let (text, version) = read_text(client, secret).await?;
    let document = StoreDocument::parse(&text)
        .with_context(|| format!("the secret `{secret}` is not a records file; docs/stores.md shows one"))?;
    Ok((document, version))
}

/// The text of a secret, and the version that has it.
#[cfg(feature = "aws")]
async fn read_text(client: &Client, secret: &SecretId) -> anyhow::Result<(String, String)> {
    let call = client.get_secret_value().secret_id(secret.as_str());
    let found = call.version_stage("AWSCURRENT").send().await;
    let found = found.map_err(|error| {
        if has_code(&error, "ResourceNotFoundException") {
            anyhow::anyhow!(
                "there is no secret `{secret}` with a value: `make deploy` makes it, or name another with `--store`"
            )
        } else {
            call_error(&error, "secretsmanager:GetSecretValue")
        }
    })?;
    let text = found.secret_string().with_context(|| format!("the secret `{secret}` is binary"))?;
    let version = found.version_id().context("Secrets Manager named no version of the secret")?;
    Ok((text.to_owned(), version.to_owned()))
}

/// Writes a secret if `version` is still its current one, and returns whether it was.
///
/// Secrets Manager has no conditional write, but a label moves only from the version that the call names (API reference,
/// `UpdateSecretVersionStage`): the new version becomes the current one in this way.
#[cfg(feature = "aws")]
async fn write(
    client: &Client,
    secret: &SecretId,
    document: &StoreDocument,
    version: &str,
) -> anyhow::Result<bool> {
    store_file::check(document)?;
    let text = secret_text(document)?;
    let put = client.put_secret_value().secret_id(secret.as_str()).secret_string(text);
    let put = put.version_stages(NEXT).send().await;
    let put = put.map_err(|error| call_error(&error, "secretsmanager:PutSecretValue"))?;
    let new = put.version_id().context("Secrets Manager named no version of what was written")?;
    let moved = client.update_secret_version_stage().secret_id(secret.as_str());
    let moved = moved.version_stage("AWSCURRENT").move_to_version_id(new).remove_from_version_id(version);
    match moved.send().await {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(error.code(), Some("InvalidParameterException" | "InvalidRequestException")) =>
        {
            Ok(false)
        }
        Err(error) => Err(call_error(&error, "secretsmanager:UpdateSecretVersionStage")),
    }
}
