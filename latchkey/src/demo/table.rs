//! The records in a DynamoDB table, as those of a real fleet. `latchkey-dynamodb` stands in for DynamoDB.

use std::{path::Path, process::Stdio};

use anyhow::Context as _;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PutRequest, ScalarAttributeType,
        WriteRequest,
    },
};
use device_auth::store::item::{KEY, item};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use super::provision::Records;
use crate::programs;

const TABLE: &str = "latchkey-devices";
const REGION: &str = "us-east-1";
/// The database accepts any key.
const ACCESS_KEY: &str = "demo";
/// The most items of one call (API reference, `BatchWriteItem`).
const BATCH: usize = 25;

/// A table in memory, on a free port of this machine. Dropping this ends it.
pub(super) struct Table {
    endpoint: String,
    /// The database ends when its standard input does. This holds the other end.
    _database: Child,
}

impl Table {
    /// Makes the table and writes the records to it.
    pub(super) async fn with(records: &Records) -> anyhow::Result<Self> {
        let mut command = Command::new(programs::find(programs::DYNAMODB).await?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut database = command.spawn().context("can't start `latchkey-dynamodb`")?;
        let output = database.stdout.take().context("`latchkey-dynamodb` has no output")?;
        let endpoint = BufReader::new(output).lines().next_line().await?;
        let endpoint =
            endpoint.context("`latchkey-dynamodb` ended before it was ready; its own lines above say why")?;
        let table = Self { endpoint, _database: database };
        let client = table.client();
        create(&client).await.context("the demo's DynamoDB can't make the table")?;
        fill(&client, records).await.context("the demo's DynamoDB does not accept the records")?;
        Ok(table)
    }

    /// The authorizer's variables for the table. You set the same for a DynamoDB of your own.
    pub(super) fn variables(&self, grants: &Path) -> Vec<String> {
        let Self { endpoint, .. } = self;
        vec![
            format!("LATCHKEY_STORE=dynamodb:{TABLE}"),
            format!("LATCHKEY_GRANTS=file:{}", grants.display()),
            format!("AWS_ENDPOINT_URL_DYNAMODB={endpoint}"),
            format!("AWS_ACCESS_KEY_ID={ACCESS_KEY}"),
            format!("AWS_SECRET_ACCESS_KEY={ACCESS_KEY}"),
        ]
    }

    fn client(&self) -> Client {
        let configuration = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new(ACCESS_KEY, ACCESS_KEY, None, None, "demo"))
            .endpoint_url(&self.endpoint);
        Client::from_conf(configuration.build())
    }
}

async fn create(client: &Client) -> anyhow::Result<()> {
    let kind = ScalarAttributeType::S;
    let key = AttributeDefinition::builder().attribute_name(KEY).attribute_type(kind).build()?;
    let schema = KeySchemaElement::builder().attribute_name(KEY).key_type(KeyType::Hash).build()?;
    let table = client.create_table().table_name(TABLE).billing_mode(BillingMode::PayPerRequest);
    table.attribute_definitions(key).key_schema(schema).send().await?;
    Ok(())
}

async fn fill(client: &Client, records: &Records) -> anyhow::Result<()> {
    let mut writes = Vec::new();
    for (name, record) in records {
        let put = PutRequest::builder().set_item(Some(item(name, record)?)).build()?;
        writes.push(WriteRequest::builder().put_request(put).build());
    }
    for batch in writes.chunks(BATCH) {
        let answer = client.batch_write_item().request_items(TABLE, batch.to_vec()).send().await?;
        let left = answer.unprocessed_items.unwrap_or_default();
        anyhow::ensure!(left.is_empty(), "it did not accept all of them");
    }
    Ok(())
}
