//! Device shadows through boto3, with the messages that follow for MQTT clients.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use integration::{
    aws_api::{answers, call_of, with},
    mqtt_client::MqttClient,
    test_gateway::TestGateway,
};
use mqtt::{QoS, Version};
use serde_json::{Value, json};

fn call(operation: &str, input: &Value) -> Value {
    call_of("iot-data", operation, input.clone())
}

/// The document in an answer, which boto3 gives as bytes.
fn document(answer: &Value) -> Value {
    let payload = answer["output"]["payload"].as_str().unwrap_or_else(|| panic!("no payload: {answer}"));
    serde_json::from_slice(&BASE64_STANDARD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn shadows_are_read_changed_listed_and_deleted_and_their_subscribers_hear_of_it() {
    let gateway = TestGateway::open_to_all().await;
    let mut watcher = MqttClient::anybody(&gateway, Version::V5, "watcher").await;
    watcher.subscribe(&["$aws/things/lamp/shadow/#"], QoS::AtMostOnce).await.unwrap();
    let update = |name: Option<&str>, payload: &Value| {
        let mut input = json!({"thingName": "lamp", "payload": payload.to_string()});
        if let Some(name) = name {
            input["shadowName"] = name.into();
        }
        call("UpdateThingShadow", &input)
    };
    let desired = json!({"state": {"desired": {"on": true}}, "clientToken": "c"});
    let list = |more: &Value| call("ListNamedShadowsForThing", &with(json!({"thingName": "lamp"}), more));
    let classic = json!({"thingName": "lamp"});
    let calls = [
        call("GetThingShadow", &classic),
        update(None, &desired),
        call("GetThingShadow", &classic),
        update(None, &json!({"state": {}, "version": 7})),
        update(None, &json!({"state": {"delta": {}}})),
        update(None, &json!({"state": {"desired": {"a": "x".repeat(8_192)}}})),
        update(Some("b"), &json!({"state": {}})),
        update(Some("a"), &json!({"state": {}})),
        list(&json!({})),
        list(&json!({"pageSize": 1})),
        list(&json!({"pageSize": 0})),
        list(&json!({"nextToken": "x"})),
        call("DeleteThingShadow", &classic),
        call("DeleteThingShadow", &classic),
        call("GetThingShadow", &json!({"thingName": "lamp", "shadowName": "a.b"})),
    ];
    let answered = answers(gateway.folder.path(), &calls).await;
    let error = |n: usize| (answered[n]["error"].as_str().unwrap_or("none"), answered[n]["status"].as_u64());
    assert_eq!(error(0), ("ResourceNotFoundException", Some(404)));
    assert_eq!(answered[0]["message"], "No shadow exists with name: 'lamp'");
    let accepted = document(&answered[1]);
    assert_eq!((&accepted["version"], &accepted["clientToken"]), (&json!(1), &json!("c")));
    assert_eq!(document(&answered[2])["state"], json!({"desired": {"on": true}, "delta": {"on": true}}));
    assert_eq!(error(3), ("ConflictException", Some(409)));
    assert_eq!(answered[4]["message"], "State contains an invalid node: 'delta'");
    assert_eq!(error(5), ("RequestEntityTooLargeException", Some(413)));
    assert_eq!(answered[8]["output"]["results"], json!(["a", "b"]));
    assert_eq!(answered[9]["output"]["results"], json!(["a"]));
    assert!(answered[9]["output"]["nextToken"].is_string());
    for n in [10, 11, 14] {
        assert_eq!(error(n), ("InvalidRequestException", Some(400)), "{n}");
    }
    assert_eq!(document(&answered[12])["version"], 1);
    assert_eq!(error(13), ("ResourceNotFoundException", Some(404)));
    let mut topics = Vec::new();
    for _ in 0..8 {
        let message = watcher.message().await;
        let topic = message.topic.unwrap();
        topics.push(topic.as_str().strip_prefix("$aws/things/lamp/shadow/").unwrap().to_owned());
    }
    let of_named =
        ["b", "a"].map(|name| ["accepted", "documents"].map(|it| format!("name/{name}/update/{it}")));
    let expected = ["update/accepted", "update/delta", "update/documents"].map(str::to_owned);
    let expected = [&expected[..], of_named.as_flattened(), &["delete/accepted".to_owned()]].concat();
    assert_eq!(topics, expected);
}
