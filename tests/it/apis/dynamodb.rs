//! DynamoDB on the port of AWS's APIs.

use integration::{
    aws_api::{self, call_of, run},
    test_gateway::TestGateway,
};
use serde_json::{Value, json};

fn call(operation: &str, input: Value) -> Value {
    call_of("dynamodb", operation, input)
}

fn with(members: &Value) -> Value {
    aws_api::with(json!({"TableName": "devices"}), members)
}

#[tokio::test]
async fn tables_are_read_and_written_with_the_same_key_and_outlive_the_gateway() {
    let gateway = TestGateway::open_to_all().await;
    let create = with(&json!({
        "AttributeDefinitions": [{"AttributeName": "device", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "device", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }));
    let item = json!({"device": {"S": "sht20"}, "enabled": {"BOOL": true}});
    let key = with(&json!({"Key": {"device": {"S": "sht20"}}}));
    let condition = json!({"Item": item, "ConditionExpression": "attribute_not_exists(device)"});
    let calls = [
        call("CreateTable", create.clone()),
        call("CreateTable", create),
        call("PutItem", with(&condition)),
        call("PutItem", with(&condition)),
        call("GetItem", key.clone()),
        call("GetItem", json!({"TableName": "no-such", "Key": {"device": {"S": "a"}}})),
        call("ListTables", json!({})),
        call("CreateBackup", with(&json!({"BackupName": "b"}))),
        json!({"method": "POST", "path": "/", "body": "{}", "service": "dynamodb"}),
        json!({
            "method": "POST", "path": "/", "body": "{", "service": "dynamodb",
            "headers": {"X-Amz-Target": "DynamoDB_20120810.ListTables"},
        }),
        json!({
            "method": "POST", "path": "/", "body": "{}", "service": "dynamodb", "secret": "another",
            "headers": {"X-Amz-Target": "DynamoDB_20120810.ListTables"},
        }),
    ];
    let answered = run(gateway.folder.path(), &calls).await;
    let event = |n: usize| &answered[n][0];
    assert_eq!(event(0)["output"]["TableDescription"]["TableName"], "devices", "{answered:?}");
    for (n, error) in [
        (1, "ResourceInUseException"),
        (3, "ConditionalCheckFailedException"),
        (5, "ResourceNotFoundException"),
        (7, "NotImplementedException"),
    ] {
        assert_eq!(event(n)["error"], error, "{}", event(n));
    }
    assert_eq!(event(4)["output"]["Item"], item);
    assert_eq!(event(6)["output"]["TableNames"], json!(["devices"]));
    assert_eq!(event(8)["type"], "UnknownOperationException");
    assert_eq!(event(9)["body"]["__type"], "SerializationException");
    assert_eq!(event(10)["body"]["__type"], "InvalidSignatureException");

    let gateway = gateway.stop().await.run().await;
    let answered = run(gateway.folder.path(), &[call("GetItem", key)]).await;
    assert_eq!(answered[0][0]["output"]["Item"], item);
}
