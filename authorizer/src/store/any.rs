//! The store that the configuration names.

use std::path::PathBuf;

use device_auth::{
    device_name::DeviceName,
    location::{SecretId, StoreLocation, TableName},
    record::FunctionSettings,
};

#[cfg(feature = "secrets-manager")]
use super::secrets_manager::{SecretsManagerSettings, SecretsManagerStore};
use super::{Store, StoreAnswer, file::FileStore, indexed::IndexedStore};
#[cfg(feature = "dynamodb")]
use super::{
    cached::Cached,
    dynamodb::{DynamoDbSettings, DynamoDbStore, LoaderFiles},
};
use crate::{config::store::StoreSettings, fault::StoreFault, keyring_source::KeyringSource};

/// One of the stores.
pub enum AnyStore {
    /// A JSON file, which follows its own changes and needs no cache.
    File(Box<FileStore>),
    /// An indexed file, which needs no cache either.
    Indexed(Box<IndexedStore>),
    /// A DynamoDB table with a cache in front of it.
    #[cfg(feature = "dynamodb")]
    DynamoDb(Box<Cached<DynamoDbStore>>),
    /// A secret, which is read and cached as a whole.
    #[cfg(feature = "secrets-manager")]
    SecretsManager(Box<SecretsManagerStore>),
}

impl AnyStore {
    /// The store at `location`. `grants` is the file with the grants of a store that has none. Every store follows changes of
    /// its files and of `keyring`, which is the one that the function's settings have. Only a store in AWS loads the AWS
    /// configuration, and only files are read now.
    ///
    /// # Errors
    ///
    /// A file that can't be read or used, no AWS region, or a store that this build does not have.
    pub async fn open(
        location: &StoreLocation,
        settings: StoreSettings,
        grants: Option<PathBuf>,
        function: FunctionSettings,
        keyring: KeyringSource,
    ) -> Result<Self, StoreFault> {
        match location {
            StoreLocation::File(path) => {
                Ok(Self::File(Box::new(FileStore::open(path, function)?.following(keyring))))
            }
            StoreLocation::Indexed(path) => {
                let store = IndexedStore::open(path, settings.digest, function)?;
                Ok(Self::Indexed(Box::new(store.following(keyring))))
            }
            StoreLocation::DynamoDb(table) => dynamodb(table, settings, grants, function, keyring).await,
            StoreLocation::SecretsManager(secret) => {
                secrets_manager(secret, settings, function, keyring).await
            }
        }
    }
}

impl Store for AnyStore {
    async fn look_up(&self, name: &DeviceName, token_grant: Option<&str>) -> Result<StoreAnswer, StoreFault> {
        match self {
            Self::File(store) => store.look_up(name, token_grant).await,
            Self::Indexed(store) => store.look_up(name, token_grant).await,
            #[cfg(feature = "dynamodb")]
            Self::DynamoDb(store) => store.look_up(name, token_grant).await,
            #[cfg(feature = "secrets-manager")]
            Self::SecretsManager(store) => store.look_up(name, token_grant).await,
        }
    }
}

#[cfg(feature = "dynamodb")]
async fn dynamodb(
    table: &TableName,
    settings: StoreSettings,
    grants: Option<PathBuf>,
    function: FunctionSettings,
    keyring: KeyringSource,
) -> Result<AnyStore, StoreFault> {
    let loader = LoaderFiles::open(grants, function)?.following(keyring);
    let StoreSettings { consistent_read, deadline, cache, default_verifier, digest: _ } = settings;
    let settings = DynamoDbSettings { table: table.clone(), consistent_read, deadline, default_verifier };
    let aws = super::aws::configuration().await?;
    let store = DynamoDbStore::new(&aws, settings, loader);
    Ok(AnyStore::DynamoDb(Box::new(Cached::new(store, cache))))
}

#[cfg(feature = "secrets-manager")]
async fn secrets_manager(
    secret: &SecretId,
    settings: StoreSettings,
    function: FunctionSettings,
    keyring: KeyringSource,
) -> Result<AnyStore, StoreFault> {
    let StoreSettings { deadline, cache, .. } = settings;
    let settings =
        SecretsManagerSettings { secret: secret.clone(), deadline, known: cache.known, stale: cache.stale };
    let aws = super::aws::configuration().await?;
    Ok(AnyStore::SecretsManager(Box::new(
        SecretsManagerStore::new(&aws, settings, function).following(keyring),
    )))
}

#[cfg(not(feature = "dynamodb"))]
#[expect(clippy::unused_async, reason = "the function of the same name with the feature awaits")]
async fn dynamodb(
    _: &TableName,
    _: StoreSettings,
    _: Option<PathBuf>,
    _: FunctionSettings,
    _: KeyringSource,
) -> Result<AnyStore, StoreFault> {
    Err(not_built("DynamoDB", "dynamodb"))
}

#[cfg(not(feature = "secrets-manager"))]
#[expect(clippy::unused_async, reason = "the function of the same name with the feature awaits")]
async fn secrets_manager(
    _: &SecretId,
    _: StoreSettings,
    _: FunctionSettings,
    _: KeyringSource,
) -> Result<AnyStore, StoreFault> {
    Err(not_built("Secrets Manager", "secrets-manager"))
}

#[cfg(not(all(feature = "dynamodb", feature = "secrets-manager")))]
fn not_built(store: &str, feature: &str) -> StoreFault {
    let message = format!("this build has no {store} store; build with `--features {feature}`");
    StoreFault::new(crate::fault::FaultKind::Refused, message)
}
