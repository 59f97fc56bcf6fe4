//! Records in a DynamoDB table, an item a device. One `GetItem` a look-up.

mod item;

use std::{collections::HashMap, sync::Arc};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{Client, config::Builder, types::AttributeValue};

use super::{
    FaultKind, Lookup, Store, StoreFault,
    aws::{self, Call},
    deadline::Deadline,
    default_verifier::DefaultVerifier,
    loader::RecordLoader,
    location::TableName,
};
use crate::{credential::verifier::LiveVerifier, device_name::DeviceName, record::Record};

pub use self::item::{KEY, SCHEMA_VERSION, TTL, item};

/// A table of records. It keeps nothing: [`super::cached::Cached`] in front of it does.
pub struct DynamoDbStore {
    client: Client,
    table: TableName,
    consistent_read: bool,
    call: Call,
    loader: RecordLoader,
    decoy: Arc<[LiveVerifier]>,
}

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

impl DynamoDbStore {
    /// A store on the table in the account and region of `aws`. It makes no call yet.
    #[must_use]
    pub fn new(aws: &SdkConfig, settings: DynamoDbSettings, loader: RecordLoader) -> Self {
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

    fn record(&self, name: &DeviceName, item: HashMap<String, AttributeValue>) -> Result<Lookup, StoreFault> {
        let document = item::document(name, item).map_err(|why| format!("device `{name}`: {why}"));
        let record = document.and_then(|document| self.loader.load(name, document));
        record
            .map(|record| Lookup::Found(Arc::new(record)))
            .map_err(|why| StoreFault::new(FaultKind::BadRecord, format!("{}: {why}", self.call.subject)))
    }
}

impl Store for DynamoDbStore {
    async fn find(&self, name: &DeviceName) -> Result<Lookup, StoreFault> {
        match self.item(name).await? {
            Some(item) => self.record(name, item),
            None => Ok(Lookup::Unknown { decoy: Arc::clone(&self.decoy) }),
        }
    }

    /// Nobody: a name without an item can't be held against all items' client ids and products.
    fn vouched(&self, _: &DeviceName, _: &str) -> Result<Arc<Record>, String> {
        Err(format!("a device in {} needs an item", self.call.subject))
    }
}
