//! The store that the configuration names.

use device_auth::{
    device_name::DeviceName,
    grant::Grants,
    location::{SecretId, StoreLocation, TableName},
    record::FunctionSettings,
    store::loader::RecordLoader,
};

#[cfg(feature = "secrets-manager")]
use super::secrets_manager::{SecretsManagerSettings, SecretsManagerStore};
use super::{Store, StoreAnswer, file::FileStore};
#[cfg(feature = "dynamodb")]
use super::{
    cached::Cached,
    dynamodb::{DynamoDbSettings, DynamoDbStore},
};
use crate::{config::store::StoreSettings, fault::StoreFault};

/// One of the stores.
pub enum AnyStore {
    /// A JSON file, which follows its own changes and needs no cache.
    File(FileStore),
    /// A DynamoDB table with a cache in front of it.
    #[cfg(feature = "dynamodb")]
    DynamoDb(Box<Cached<DynamoDbStore>>),
    /// A secret, which is kept as a whole.
    #[cfg(feature = "secrets-manager")]
    SecretsManager(SecretsManagerStore),
}

impl AnyStore {
    /// The store at `location`; `grants` are for one that holds none. Only a store in AWS loads the AWS
    /// configuration, and only the file is read now.
    ///
    /// # Errors
    ///
    /// A file that can't be read or holds no records, no AWS region, or a store that this build does not have.
    pub async fn open(
        location: &StoreLocation,
        settings: StoreSettings,
        grants: Grants,
        function: FunctionSettings,
    ) -> Result<Self, StoreFault> {
        match location {
            StoreLocation::File(path) => FileStore::open(path, function).map(Self::File),
            StoreLocation::DynamoDb(table) => {
                dynamodb(table, settings, RecordLoader::new(grants, function).alone()).await
            }
            StoreLocation::SecretsManager(secret) => secrets_manager(secret, settings, function).await,
        }
    }
}

impl Store for AnyStore {
    async fn look_up(&self, name: &DeviceName, token_grant: Option<&str>) -> Result<StoreAnswer, StoreFault> {
        match self {
            Self::File(store) => store.look_up(name, token_grant).await,
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
    loader: RecordLoader,
) -> Result<AnyStore, StoreFault> {
    let StoreSettings { consistent_read, deadline, cache, default_verifier } = settings;
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
) -> Result<AnyStore, StoreFault> {
    let StoreSettings { deadline, cache, .. } = settings;
    let settings =
        SecretsManagerSettings { secret: secret.clone(), deadline, known: cache.known, stale: cache.stale };
    let aws = super::aws::configuration().await?;
    Ok(AnyStore::SecretsManager(SecretsManagerStore::new(&aws, settings, function)))
}

#[cfg(not(feature = "dynamodb"))]
#[expect(clippy::unused_async, reason = "the function of the same name with the feature awaits")]
async fn dynamodb(_: &TableName, _: StoreSettings, _: RecordLoader) -> Result<AnyStore, StoreFault> {
    Err(not_built("DynamoDB", "dynamodb"))
}

#[cfg(not(feature = "secrets-manager"))]
#[expect(clippy::unused_async, reason = "the function of the same name with the feature awaits")]
async fn secrets_manager(
    _: &SecretId,
    _: StoreSettings,
    _: FunctionSettings,
) -> Result<AnyStore, StoreFault> {
    Err(not_built("Secrets Manager", "secrets-manager"))
}

#[cfg(not(all(feature = "dynamodb", feature = "secrets-manager")))]
fn not_built(store: &str, feature: &str) -> StoreFault {
    let message = format!("this build has no {store} store; build with `--features {feature}`");
    StoreFault::new(crate::fault::FaultKind::Refused, message)
}
