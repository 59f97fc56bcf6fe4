//! An AWS account that moto plays, with the resources of `make deploy`: a table, a thing type and a thing group.

use std::{collections::HashMap, fs, path::PathBuf};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{aws, emulator::Emulator, programs::program, running::Running};

/// The account, and a folder that commands run in.
pub struct Cloud {
    /// The folder in which commands run.
    pub folder: TempDir,
    /// The configuration of the services' clients.
    pub aws: SdkConfig,
    endpoint: String,
    _moto: Emulator,
}

/// The table of `make deploy`.
pub const TABLE: &str = "latchkey-dev-devices";
/// The thing type of `make deploy`.
pub const THING_TYPE: &str = "latchkey-dev-sht20";
/// The thing group of `make deploy`.
pub const THING_GROUP: &str = "latchkey-dev";

impl Cloud {
    /// An account with a deployed stage `dev`, and `cdk-outputs.json` in the folder.
    pub async fn start() -> Self {
        let moto = Emulator::moto().await;
        let aws = aws::configuration(moto.endpoint());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cdk-outputs.json"), outputs("dev").to_string()).unwrap();
        fs::create_dir(folder.path().join(".latchkey")).unwrap();
        create_table(&aws).await;
        let iot = aws_sdk_iot::Client::new(&aws);
        iot.create_thing_type().thing_type_name(THING_TYPE).send().await.unwrap();
        iot.create_thing_group().thing_group_name(THING_GROUP).send().await.unwrap();
        Self { folder, aws, endpoint: moto.endpoint().to_owned(), _moto: moto }
    }

    /// The address of the services.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `latchkey` with these words, in the folder, with credentials for the account.
    pub fn latchkey(&self, words: &[&str]) -> Running {
        self.latchkey_at(&self.endpoint, words)
    }

    /// The same with its calls to AWS sent elsewhere.
    pub fn latchkey_at(&self, endpoint: &str, words: &[&str]) -> Running {
        Running::start(self.command(endpoint, words))
    }

    /// The same, before it is started.
    pub fn command(&self, endpoint: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program("latchkey"));
        command.args(words).current_dir(&self.folder).env("AWS_ENDPOINT_URL", endpoint);
        command.envs([("AWS_ACCESS_KEY_ID", "AKIDTEST"), ("AWS_SECRET_ACCESS_KEY", "secret")]);
        // Nothing of the machine that the test runs on.
        for name in ["AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "LATCHKEY_STORE"]
        {
            command.env_remove(name);
        }
        let nothing = self.file("no-such-file");
        command.env("AWS_CONFIG_FILE", &nothing).env("AWS_SHARED_CREDENTIALS_FILE", &nothing);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    /// A client of the registry.
    pub fn iot(&self) -> aws_sdk_iot::Client {
        aws_sdk_iot::Client::new(&self.aws)
    }

    /// All records, by device.
    pub async fn records(&self) -> HashMap<String, HashMap<String, AttributeValue>> {
        let client = aws_sdk_dynamodb::Client::new(&self.aws);
        let items = client.scan().table_name(TABLE).send().await.unwrap().items.unwrap_or_default();
        // Without the items that say who owns a client id.
        let records = items.into_iter().filter(|item| item.contains_key("scheme"));
        records.map(|item| (item["device"].as_s().unwrap().clone(), item)).collect()
    }

    /// The names of all Things.
    pub async fn things(&self) -> Vec<String> {
        let things =
            self.iot().list_things().max_results(250).send().await.unwrap().things.unwrap_or_default();
        let mut names = things.into_iter().filter_map(|thing| thing.thing_name).collect::<Vec<_>>();
        names.sort();
        names
    }
}

/// The outputs that `cdk deploy` writes for a stage.
pub fn outputs(stage: &str) -> serde_json::Value {
    let name = format!("latchkey-{stage}");
    json!({
        format!("{name}-fleet"): {"ExportsOutputRefStorageKey": "x"},
        name.clone(): {
            "Stage": stage, "Region": "us-east-1", "Account": "123456789012", "FunctionName": name,
            "Endpoint": "device.example.com", "AuthorizerName": name, "StorageKeyArn": "arn:aws:kms:::key/x",
            "LogGroupName": format!("/aws/lambda/{name}"), "TableName": format!("{name}-devices"),
            "ThingTypeName": format!("{name}-sht20"), "ThingGroupName": name,
            "Sht20PolicyName": format!("{name}-sht20"),
        },
    })
}

async fn create_table(aws: &SdkConfig) {
    let key = AttributeDefinition::builder().attribute_name("device").attribute_type(ScalarAttributeType::S);
    let schema = KeySchemaElement::builder().attribute_name("device").key_type(KeyType::Hash);
    let client = aws_sdk_dynamodb::Client::new(aws);
    let table = client.create_table().table_name(TABLE).billing_mode(BillingMode::PayPerRequest);
    let table = table.attribute_definitions(key.build().unwrap()).key_schema(schema.build().unwrap());
    table.send().await.unwrap();
}
