//! Records in a DynamoDB table with one item for each device. A look-up is one `GetItem`.

use std::{collections::HashMap, sync::Arc};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{Client, config::Builder, types::AttributeValue};
use device_auth::{
    device_name::DeviceName,
    location::TableName,
    store::{
        Lookup,
        decoys::DefaultVerifier,
        item::{self, KEY},
        loader::RecordLoader,
    },
    verifier::LiveVerifier,
};

use super::{
    Store, StoreAnswer,
    aws::{self, Call},
};
use crate::{
    config::store::Deadline,
    fault::{FaultKind, StoreFault},
};

/// A table of records. It caches nothing: [`super::cached::Cached`] in front of it does.
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
        let bad_record = |why: &dyn std::fmt::Display| {
            StoreFault::new(FaultKind::BadRecord, format!("{}: {why}", self.call.subject))
        };
        let document = item::document(name, item)
            .map_err(|error| bad_record(&format_args!("device `{name}`: {error}")))?;
        let record = self.loader.load(name, document).map_err(|error| bad_record(&error))?;
        Ok(Lookup::Found(Arc::new(record)))
    }
}

impl Store for DynamoDbStore {
    /// No token stands in for a missing item: the name can't be compared with the client ids and products of all items.
    async fn look_up(&self, name: &DeviceName, _: Option<&str>) -> Result<StoreAnswer, StoreFault> {
        let lookup = match self.item(name).await? {
            Some(item) => self.record(name, item)?,
            None => Lookup::Unknown { decoy: Arc::clone(&self.decoy) },
        };
        Ok(StoreAnswer::from_store(lookup))
    }
}
