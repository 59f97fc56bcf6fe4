//! Whichever store the configuration names.

#[cfg(feature = "dynamodb")]
use std::collections::BTreeMap;

#[cfg(feature = "secrets-manager")]
use super::secrets_manager::{SecretsManagerSettings, SecretsManagerStore};
#[cfg(feature = "dynamodb")]
use super::{
    FaultKind,
    cached::Cached,
    dynamodb::{DynamoDbSettings, DynamoDbStore},
    loader::RecordLoader,
};
use super::{
    Lookup, Store, StoreFault,
    cached::{Found, Source},
    file::FileStore,
    location::{SecretId, StoreLocation, TableName},
    settings::StoreSettings,
};
#[cfg(feature = "dynamodb")]
use crate::grant::Grants;
use crate::{device_name::DeviceName, record::FunctionSettings};

/// One of the stores.
pub enum AnyStore {
    /// A JSON file, which follows its own changes and needs no cache.
    File(FileStore),
    /// A DynamoDB table behind a cache.
    #[cfg(feature = "dynamodb")]
    DynamoDb(Box<Cached<DynamoDbStore>>),
    /// A secret, which is kept as a whole.
    #[cfg(feature = "secrets-manager")]
    SecretsManager(SecretsManagerStore),
}

impl AnyStore {
    /// The store at `location`. Only one in AWS loads the AWS configuration, and only the file is read now.
    ///
    /// # Errors
    ///
    /// A file that can't be read or holds no records, no AWS region, or a store that this build does not have.
    pub async fn open(
        location: &StoreLocation,
        settings: StoreSettings,
        function: FunctionSettings,
    ) -> Result<Self, StoreFault> {
        match location {
            StoreLocation::File(path) => FileStore::open(path, function).map(Self::File),
            StoreLocation::DynamoDb(table) => dynamodb(table, settings, function).await,
            StoreLocation::SecretsManager(secret) => secrets_manager(secret, settings, function).await,
        }
    }

    /// What is known of the device called `name`, and where that came from.
    ///
    /// # Errors
    ///
    /// When the store can't tell.
    pub async fn find_with_source(&self, name: &DeviceName) -> Result<Found, StoreFault> {
        match self {
            Self::File(store) => store.find(name).await.map(|lookup| Found { lookup, from: Source::Store }),
            #[cfg(feature = "dynamodb")]
            Self::DynamoDb(store) => store.find_with_source(name).await,
            #[cfg(feature = "secrets-manager")]
            Self::SecretsManager(store) => store.find_with_source(name).await,
        }
    }
}

impl Store for AnyStore {
    async fn find(&self, name: &DeviceName) -> Result<Lookup, StoreFault> {
        self.find_with_source(name).await.map(|found| found.lookup)
    }
}

#[cfg(feature = "dynamodb")]
async fn dynamodb(
    table: &TableName,
    settings: StoreSettings,
    function: FunctionSettings,
) -> Result<AnyStore, StoreFault> {
    let StoreSettings { consistent_read, deadline, cache, default_verifier } = settings;
    let settings = DynamoDbSettings { table: table.clone(), consistent_read, deadline, default_verifier };
    let grants = Grants::new(BTreeMap::new()).map_err(|why| StoreFault::new(FaultKind::BadRecord, why))?;
    let aws = super::aws::configuration().await?;
    let store = DynamoDbStore::new(&aws, settings, RecordLoader::new(grants, function));
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
#[expect(clippy::unused_async, reason = "it stands in for one that waits")]
async fn dynamodb(_: &TableName, _: StoreSettings, _: FunctionSettings) -> Result<AnyStore, StoreFault> {
    Err(not_built("DynamoDB", "dynamodb"))
}

#[cfg(not(feature = "secrets-manager"))]
#[expect(clippy::unused_async, reason = "it stands in for one that waits")]
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
    StoreFault::new(super::FaultKind::Refused, message)
}
