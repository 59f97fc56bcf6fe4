//! The gateway's own AWS APIs, as boto3 and the AWS SDK for Rust call them.

use std::path::Path;

use aws_config::SdkConfig;
use gateway::api::key::ApiFile;
use serde_json::{Value, json};

use crate::{
    aws,
    foreign::script::{Events, attempts, in_python},
};

/// A call of boto3's client for AWS IoT.
pub fn call(operation: &str, input: Value) -> Value {
    let mut call = json!({"client": "iot", "operation": operation});
    call["input"] = input;
    call
}

/// What a gateway with this data folder answers to calls and requests, each as `tests/clients/aws_apis.py` explains.
pub async fn run(folder: &Path, list: &[Value]) -> Vec<Events> {
    let ApiFile { endpoint, region, key } = ApiFile::read(folder).unwrap();
    let mut script = in_python("aws_apis.py");
    for name in ["IOT", "IOT_DATA_PLANE", "DYNAMODB"] {
        script.env(format!("AWS_ENDPOINT_URL_{name}"), &endpoint);
    }
    script
        .env("AWS_ACCESS_KEY_ID", &key.id)
        .env("AWS_SECRET_ACCESS_KEY", key.secret.as_str())
        .env("AWS_REGION", &region)
        .env("AWS_DEFAULT_REGION", &region)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    attempts(script, list).await
}

/// The answers to calls of boto3, one each, after a check that they are as botocore's model of the API has them.
pub async fn answers(folder: &Path, calls: &[Value]) -> Vec<Value> {
    let events = run(folder, calls).await;
    let events = events.into_iter().zip(calls).map(|(mut events, call)| {
        assert_eq!(events.len(), 1, "{call}: {events:?}");
        let event = events.remove(0);
        assert_eq!(event["problems"], json!([]), "{call}: {event}");
        event
    });
    events.collect()
}

/// The AWS SDK's configuration for a gateway with this data folder.
pub fn configuration(folder: &Path) -> SdkConfig {
    let ApiFile { endpoint, key, .. } = ApiFile::read(folder).unwrap();
    aws::configuration_with_key(&endpoint, &key.id, key.secret.as_str())
}
