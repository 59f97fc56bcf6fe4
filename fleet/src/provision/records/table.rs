//! Records in a table of DynamoDB.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{Client, config::Builder, types::AttributeValue};
use device_auth::{
    device_name::DeviceName,
    location::TableName,
    store::{
        document::RecordDocument,
        item::{KEY, item},
    },
    verifier::Verifier,
};

use super::super::device::{ProvisionError, Stored};
use crate::aws::{call_error, has_code, patient};

/// A name that no device has. DynamoDB looks for the table before it looks for the item.
const NOBODY: &str = "latchkey-fleet-provision";

/// A table, and the client that calls it.
pub(crate) struct Table {
    client: Client,
    name: TableName,
}

impl Table {
    pub(super) async fn open(aws: &SdkConfig, name: &TableName) -> anyhow::Result<Self> {
        let config = Builder::from(aws).retry_partition(patient()).build();
        let table = Self { client: Client::from_conf(config), name: name.clone() };
        table.verifiers(NOBODY).await?;
        Ok(table)
    }

    pub(super) async fn find(&self, name: &DeviceName) -> anyhow::Result<Option<Vec<Verifier>>> {
        self.verifiers(name.as_str()).await
    }

    /// Reads the verifiers of an item, without those in an unknown form.
    async fn verifiers(&self, name: &str) -> anyhow::Result<Option<Vec<Verifier>>> {
        Ok(self.item(name).await?.map(|item| {
            let list = item.get("verifiers").and_then(|it| it.as_l().ok()).cloned().unwrap_or_default();
            let texts = list.iter().filter_map(|it| it.as_m().ok()?.get("verifier")?.as_s().ok().cloned());
            texts.filter_map(|text| Verifier::try_from(text).ok()).collect()
        }))
    }

    /// Compares a device's item with a record.
    pub(super) async fn compare(&self, name: &DeviceName, record: &RecordDocument) -> anyhow::Result<Stored> {
        Ok(match self.item(name.as_str()).await? {
            None => Stored::Absent,
            Some(found) if found == item(name, record)? => Stored::Equal,
            Some(_) => Stored::Different,
        })
    }

    async fn item(&self, name: &str) -> anyhow::Result<Option<HashMap<String, AttributeValue>>> {
        let key = AttributeValue::S(name.to_owned());
        // A run that was killed may have put the item a moment ago.
        let call = self.client.get_item().table_name(self.name.as_str()).key(KEY, key).consistent_read(true);
        let found = call.send().await.map_err(|error| {
            let missing = has_code(&error, "ResourceNotFoundException");
            if missing { self.missing() } else { call_error(&error, "dynamodb:GetItem") }
        })?;
        Ok(found.item)
    }

    /// Puts an item, if the device has none.
    pub(super) async fn put(&self, name: &DeviceName, record: &RecordDocument) -> Result<(), ProvisionError> {
        let item = item(name, record).map_err(anyhow::Error::new)?;
        let call = self.client.put_item().table_name(self.name.as_str()).set_item(Some(item));
        let put = call.condition_expression(format!("attribute_not_exists({KEY})")).send().await;
        match put {
            Ok(_) => Ok(()),
            Err(error) if has_code(&error, "ConditionalCheckFailedException") => {
                self.check_own(name, record).await
            }
            Err(error) => Err(ProvisionError::of(&error, "dynamodb:PutItem")),
        }
    }

    /// Checks that an item that exists is the one that was to be put. It is when the answer to the put was lost and it was
    /// sent again.
    async fn check_own(&self, name: &DeviceName, record: &RecordDocument) -> Result<(), ProvisionError> {
        if self.compare(name, record).await? == Stored::Equal {
            return Ok(());
        }
        let why = "somebody else wrote its record at the same time, with another password: remove its row from the file \
                   of passwords";
        Err(ProvisionError::Device(why.to_owned()))
    }

    fn missing(&self) -> anyhow::Error {
        anyhow::anyhow!(
            "there is no table `{}` in this account and region: `make deploy` makes it, or name another with `--store`",
            self.name
        )
    }
}
