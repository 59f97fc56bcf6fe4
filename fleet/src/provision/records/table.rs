//! Records in a table of DynamoDB.

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

use super::super::trouble::Trouble;
use crate::aws::{has_code, patient, told};

/// A name that no device has: DynamoDB looks for the table before it looks for the item.
const NOBODY: &str = "latchkey-fleet-provision";

/// The table.
pub(in super::super) struct Table {
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

    /// What an item has of verifiers that can be read; what it has else is nobody's matter here.
    async fn verifiers(&self, name: &str) -> anyhow::Result<Option<Vec<Verifier>>> {
        let key = AttributeValue::S(name.to_owned());
        // An item that was put a moment ago, by a run that was killed, has to be seen.
        let call = self.client.get_item().table_name(self.name.as_str()).key(KEY, key).consistent_read(true);
        let found = call.send().await.map_err(|error| {
            let missing = has_code(&error, "ResourceNotFoundException");
            if missing { self.missing() } else { told(&error, "dynamodb:GetItem") }
        })?;
        let verifiers = |item: std::collections::HashMap<String, AttributeValue>| {
            let list = item.get("verifiers").and_then(|it| it.as_l().ok()).cloned().unwrap_or_default();
            let texts = list.iter().filter_map(|it| it.as_m().ok()?.get("verifier")?.as_s().ok().cloned());
            texts.filter_map(|text| Verifier::try_from(text).ok()).collect()
        };
        Ok(found.item.map(verifiers))
    }

    /// Puts an item where there is none.
    pub(super) async fn put(&self, name: &DeviceName, record: &RecordDocument) -> Result<(), Trouble> {
        let item = item(name, record).map_err(anyhow::Error::new)?;
        let call = self.client.put_item().table_name(self.name.as_str()).set_item(Some(item));
        let put = call.condition_expression(format!("attribute_not_exists({KEY})")).send().await;
        match put {
            Ok(_) => Ok(()),
            Err(error) if has_code(&error, "ConditionalCheckFailedException") => {
                self.taken(name, record).await
            }
            Err(error) => Err(Trouble::of(&error, "dynamodb:PutItem")),
        }
    }

    /// An item is there now. A put whose answer was lost and that was sent again finds its own.
    async fn taken(&self, name: &DeviceName, record: &RecordDocument) -> Result<(), Trouble> {
        let ours =
            record.verifiers.iter().map(|live| String::from(live.verifier.clone())).collect::<Vec<_>>();
        let found = self.find(name).await?.unwrap_or_default();
        if found.into_iter().map(String::from).eq(ours) {
            return Ok(());
        }
        let why = "somebody else wrote its record at this moment, and the password here is not that one's: take its row \
                   out of the file of passwords";
        Err(Trouble::Device(why.to_owned()))
    }

    fn missing(&self) -> anyhow::Error {
        anyhow::anyhow!(
            "there is no table `{}` in this account and region: `make deploy` makes it, or name another with `--store`",
            self.name
        )
    }
}
