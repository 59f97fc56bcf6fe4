//! Records in a DynamoDB table with one item for each device. A look-up is one `GetItem`.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{Client, config::Builder, types::AttributeValue};
use device_auth::{
    device_name::DeviceName,
    grant::Grants,
    location::TableName,
    record::FunctionSettings,
    store::{
        Lookup,
        decoys::DefaultVerifier,
        document::{StoreDocument, VERSION},
        error::InvalidRecord,
        item::{self, KEY},
        loader::RecordLoader,
    },
    verifier::LiveVerifier,
};

use super::{
    Edition, Store, StoreAnswer,
    aws::{self, Call},
    followed::{Current, Followed, ReadFile},
};
use crate::{
    config::{GRANTS, store::Deadline},
    fault::{FaultKind, StoreFault},
    keyring_source::KeyringSource,
};

/// A table of records. It caches nothing: [`super::cached::Cached`] in front of it does.
pub struct DynamoDbStore {
    client: Client,
    table: TableName,
    consistent_read: bool,
    call: Call,
    loader: LoaderFiles,
    decoy: Arc<[LiveVerifier]>,
}

/// The grants and the keyring, which a table does not have. They are followed as [`super::file::FileStore`] follows its file.
pub struct LoaderFiles(Followed<RecordLoader>);

/// How a table is read.
#[derive(Clone, Debug)]
pub struct DynamoDbSettings {
    /// The table. Its partition key is `device`, a string, and it has no sort key.
    pub table: TableName,
    /// Whether a read sees every write that ended before it.
    pub consistent_read: bool,
    /// How long one look-up may take.
    pub deadline: Deadline,
    /// What an unknown device's password is checked against.
    pub default_verifier: DefaultVerifier,
}

impl LoaderFiles {
    /// Reads the grants in the file at `grants`, if there is one, for a function with these settings.
    ///
    /// # Errors
    ///
    /// The path, and what is wrong with the file.
    pub fn open(grants: Option<PathBuf>, function: FunctionSettings) -> Result<Self, StoreFault> {
        Followed::open(grants, function, loader).map(Self)
    }

    /// The same, which also follows changes of the keyring. `keyring` is the one that the function's settings have.
    #[must_use]
    pub fn following(self, keyring: KeyringSource) -> Self {
        Self(self.0.with_keyring(keyring))
    }
}

/// A loader with the built-in grants and those in the file.
fn loader(file: Option<&ReadFile>, function: FunctionSettings) -> Result<RecordLoader, StoreFault> {
    let own = match file {
        None => BTreeMap::new(),
        Some(ReadFile { path, text }) => {
            let fault = |kind, why: &dyn std::fmt::Display| {
                StoreFault::new(kind, format!("{GRANTS}: `{}`: {why}", path.display()))
            };
            let malformed = |why: &dyn std::fmt::Display| fault(FaultKind::BadRecord, why);
            let text = text.as_ref().map_err(|error| fault(FaultKind::Unavailable, error))?;
            let document = StoreDocument::parse(text).map_err(|error| malformed(&error))?;
            if document.version != VERSION {
                let version = document.version;
                return Err(malformed(&format_args!("the format's version is {version}, not {VERSION}")));
            }
            if !document.devices.is_empty() {
                return Err(malformed(&"it has devices, which belong in the table"));
            }
            document.grants
        }
    };
    let grants = Grants::new(own).map_err(|error| {
        let path = file.map(|file| file.path.display().to_string()).unwrap_or_default();
        StoreFault::new(FaultKind::BadRecord, format!("{GRANTS}: `{path}`: {error}"))
    })?;
    super::report_wildcards(&grants);
    Ok(RecordLoader::new(grants, function).alone())
}

impl DynamoDbStore {
    /// A store on the table in the account and region of `aws`. It makes no call yet.
    #[must_use]
    pub fn new(aws: &SdkConfig, settings: DynamoDbSettings, loader: LoaderFiles) -> Self {
        let DynamoDbSettings { table, consistent_read, deadline, default_verifier } = settings;
        let client =
            Builder::from(aws).timeout_config(aws::timeouts(deadline)).retry_config(aws::retries()).build();
        let call = Call {
            service: "DynamoDB",
            subject: format!("the table `{table}`"),
            permission: "`dynamodb:GetItem` on it",
            more_capacity: "raise its read capacity, or let it read on demand",
            deadline,
        };
        let decoy = default_verifier.decoy();
        Self { client: Client::from_conf(client), table, consistent_read, call, loader, decoy }
    }

    async fn item(&self, name: &DeviceName) -> Result<Option<HashMap<String, AttributeValue>>, StoreFault> {
        let get = self.client.get_item().table_name(self.table.as_str());
        let get = get.key(KEY, AttributeValue::S(name.as_str().to_owned()));
        let get = get.consistent_read(self.consistent_read);
        let answer =
            self.call.deadline.hold(Box::pin(get.send())).await.ok_or_else(|| self.call.timeout())?;
        answer.map(|answer| answer.item).map_err(|error| self.call.fault(&error))
    }

    fn lookup(&self, name: &DeviceName, item: Option<HashMap<String, AttributeValue>>) -> Lookup {
        let decoy = Arc::clone(&self.decoy);
        let Some(item) = item.filter(|item| !item::is_owner(item)) else { return Lookup::Unknown { decoy } };
        let loaded = match item::document(name, item) {
            Ok(document) => self.loader.0.last().load(name, document),
            Err(error) => Err(InvalidRecord { device: name.clone(), error: error.into() }),
        };
        match loaded {
            Ok(record) => Lookup::Found(Arc::new(record)),
            Err(error) => {
                super::report_unusable_record(name, &format_args!("{}: {error}", self.call.subject));
                Lookup::Unusable { error: Arc::new(error), decoy }
            }
        }
    }
}

impl Store for DynamoDbStore {
    /// No token stands in for a missing item: the name can't be compared with the client ids and products of all items.
    async fn look_up(&self, name: &DeviceName, _: Option<&str>) -> Result<StoreAnswer, StoreFault> {
        Ok(StoreAnswer::from_store(self.lookup(name, self.item(name).await?)))
    }

    async fn refresh(&self) -> Edition {
        let Current { version, is_stale, .. } = self.loader.0.current().await;
        Edition { version, is_stale }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use device_auth::{record::Unsealing, time::Timers, verifier::budget::FunctionMemory};

    use super::*;

    fn opened(text: &str) -> Result<LoaderFiles, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("grants.json");
        fs::write(&file, text).unwrap();
        let timers =
            Timers { refresh_after: 300.try_into().unwrap(), disconnect_after: 300.try_into().unwrap() };
        let function =
            FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing: Unsealing::LeftSealed };
        LoaderFiles::open(Some(file), function).map_err(|error| error.to_string())
    }

    #[test]
    fn file_of_grants_has_no_devices() {
        assert!(opened(r#"{"version":1,"grants":{"line":{"publish":["line/{client_id}"]}}}"#).is_ok());
        let wildcard = r#"{"version":1,"grants":{"line":{"publish":["line/#"],"receive":["+/x"]}}}"#;
        assert!(opened(wildcard).is_ok(), "a topic that allows nothing must not refuse a fleet");
        let cases = [
            ("{", "EOF while parsing"),
            (r#"{"version":1,"device":{}}"#, "unknown field `device`"),
            (r#"{"grants":{}}"#, "missing field `version`"),
            (r#"{"version":2,"grants":{}}"#, "version is 2"),
            (r#"{"version":1,"devices":{"a":{"scheme":"jwt","grant":"sht20"}}}"#, "belong in the table"),
            (r#"{"version":1,"grants":{"sht20":{}}}"#, "grant `sht20` is built in"),
        ];
        for (text, part) in cases {
            let error = opened(text).map(|_| ()).unwrap_err();
            assert!(error.contains(part) && error.starts_with("LATCHKEY_GRANTS: `/"), "{text}: {error}");
            assert!(error.contains("grants.json"), "{error}");
        }
    }
}
