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
    call_of("iot", operation, input)
}

/// A call of one of boto3's clients: `iot`, `iot-data` or `dynamodb`.
pub fn call_of(client: &str, operation: &str, input: Value) -> Value {
    let mut call = json!({"client": client, "operation": operation});
    call["input"] = input;
    call
}

/// Members with more members, which replace those of the same name.
pub fn with(mut members: Value, more: &Value) -> Value {
    members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    members
}

/// The error and the status of an answer; `none` and 200 of one without an error.
pub fn error(answer: &Value) -> (&str, u64) {
    (answer["error"].as_str().unwrap_or("none"), answer["status"].as_u64().unwrap_or(200))
}

/// What a gateway with this data folder answers to one call, which succeeds.
pub async fn output(folder: &Path, call: Value) -> Value {
    let mut answer = answers(folder, &[call]).await.remove(0);
    assert!(answer["error"].is_null(), "{answer}");
    answer["output"].take()
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
