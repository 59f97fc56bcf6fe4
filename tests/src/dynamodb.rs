//! dynoxide, an embedded DynamoDB that was not written here.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    },
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::aws;

/// A DynamoDB in memory, on a free port, with an empty table. Dropping this ends it.
pub struct DynamoDb {
    /// The configuration of its clients.
    pub aws: SdkConfig,
    client: Client,
    endpoint: String,
    server: JoinHandle<()>,
}

/// The name of the table.
pub const TABLE: &str = "latchkey-devices";

impl DynamoDb {
    /// Starts it and makes the table: the partition key `device`, and no sort key.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let aws = aws::configuration(&endpoint);
        let database = dynoxide::Database::memory().unwrap();
        let server = tokio::spawn(dynoxide::server::serve_on(listener, database));
        let client = Client::new(&aws);
        let kind = ScalarAttributeType::S;
        let key = AttributeDefinition::builder().attribute_name("device").attribute_type(kind).build();
        let schema = KeySchemaElement::builder().attribute_name("device").key_type(KeyType::Hash).build();
        let table = client.create_table().table_name(TABLE).billing_mode(BillingMode::PayPerRequest);
        let table = table.attribute_definitions(key.unwrap()).key_schema(schema.unwrap());
        table.send().await.unwrap();
        Self { aws, client, endpoint, server }
    }

    /// The address of its HTTP port.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// All items of the table, by device.
    pub async fn items(&self) -> HashMap<String, HashMap<String, AttributeValue>> {
        let mut pages = self.client.scan().table_name(TABLE).into_paginator().items().send();
        let mut items = HashMap::new();
        while let Some(item) = pages.next().await {
            let item = item.unwrap();
            items.insert(item["device"].as_s().unwrap().clone(), item);
        }
        items
    }

    /// Puts an item, in the JSON that the AWS CLI takes for `--item`.
    pub async fn put(&self, item: &serde_json::Value) {
        let put = self.client.put_item().table_name(TABLE).set_item(Some(attributes(item)));
        put.send().await.unwrap();
    }
}

impl Drop for DynamoDb {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn attributes(object: &serde_json::Value) -> HashMap<String, AttributeValue> {
    let object = object.as_object().unwrap();
    object.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

fn attribute(typed: &serde_json::Value) -> AttributeValue {
    let (kind, value) = typed.as_object().unwrap().iter().next().unwrap();
    let text = || value.as_str().unwrap().to_owned();
    match kind.as_str() {
        "S" => AttributeValue::S(text()),
        "N" => AttributeValue::N(text()),
        "BOOL" => AttributeValue::Bool(value.as_bool().unwrap()),
        "SS" => AttributeValue::Ss(serde_json::from_value(value.clone()).unwrap()),
        "L" => AttributeValue::L(value.as_array().unwrap().iter().map(attribute).collect()),
        "M" => AttributeValue::M(attributes(value)),
        other => panic!("{other} is not a type of this test's"),
    }
}
