//! Lifecycle events: who has come and gone, for those whose policies let them know.

use integration::{
    mqtt_client::{MqttClient, connect},
    script::{Step, allow, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Disconnect, DisconnectReasonCode, Packet, QoS, Version};
use serde_json::{Value, json};

const TOPICS: &str = "$aws/events/presence/#";

async fn watched() -> (TestGateway, MqttClient) {
    let gateway = TestGateway::open_to_all().await;
    let mut watcher = MqttClient::anybody(&gateway, Version::V5, "watcher").await;
    watcher.subscribe(&[TOPICS], QoS::AtMostOnce).await.unwrap();
    (gateway, watcher)
}

/// The next event, and the topic on which it came.
async fn event(watcher: &mut MqttClient) -> (String, Value) {
    let message = watcher.message().await;
    let topic = message.topic.as_ref().unwrap().as_str().to_owned();
    (topic, serde_json::from_slice(&message.payload).unwrap())
}

#[tokio::test]
async fn connects_and_disconnects_are_published_with_awss_fields() {
    let (gateway, mut watcher) = watched().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    let (topic, came) = event(&mut watcher).await;
    assert_eq!(topic, "$aws/events/presence/connected/c");
    let line = gateway.logged_with(&[("eventType", "Connect"), ("clientId", "c")]).await;
    let version = came["versionNumber"].as_u64().unwrap();
    let expected = json!({"clientId": "c", "eventType": "connected", "ipAddress": "127.0.0.1",
        "principalIdentifier": line["principalId"], "sessionIdentifier": line["connectionId"],
        "timestamp": came["timestamp"], "versionNumber": version});
    assert_eq!(came, expected);
    assert!(came["timestamp"].as_u64().unwrap() > 1_700_000_000_000, "milliseconds since 1970");
    client.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
    let (topic, went) = event(&mut watcher).await;
    assert_eq!(topic, "$aws/events/presence/disconnected/c");
    assert_eq!(
        (&went["clientInitiatedDisconnect"], &went["disconnectReason"], &went["versionNumber"]),
        (&true.into(), &"CLIENT_INITIATED_DISCONNECT".into(), &version.into())
    );
    assert_eq!(went["sessionIdentifier"], came["sessionIdentifier"]);
}

#[tokio::test]
async fn the_disconnect_reason_is_awss_and_a_later_connection_has_a_greater_version() {
    let (gateway, mut watcher) = watched().await;
    let mut first = MqttClient::anybody(&gateway, Version::V5, "c").await;
    let version = event(&mut watcher).await.1["versionNumber"].as_u64().unwrap();
    let second = MqttClient::anybody(&gateway, Version::V5, "c").await;
    first.closed().await;
    let events = [event(&mut watcher).await.1, event(&mut watcher).await.1];
    let of = |kind: &str| events.iter().find(|event| event["eventType"] == kind).unwrap();
    let (came, went) = (of("connected"), of("disconnected"));
    assert!(came["versionNumber"].as_u64().unwrap() > version);
    assert_eq!(
        (&went["disconnectReason"], &went["versionNumber"]),
        (&"DUPLICATE_CLIENTID".into(), &version.into())
    );
    assert_eq!(went["clientInitiatedDisconnect"], false);
    drop(second);
    assert_eq!(event(&mut watcher).await.1["disconnectReason"], "CONNECTION_LOST");
}

#[tokio::test]
async fn client_ids_with_wildcards_and_refused_ones_have_no_events() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.run().await;
    let mut watcher = MqttClient::anybody(&gateway, Version::V5, "watcher").await;
    watcher.subscribe(&[TOPICS], QoS::AtMostOnce).await.unwrap();
    for id in ["a+b", "#", "a#"] {
        MqttClient::anybody(&gateway, Version::V5, id).await;
    }
    script.set(&Step::Answer(json!({"isAuthenticated": false})));
    MqttClient::connect(&gateway, connect(Version::V5, "refused", "u", "p")).await;
    script.set(&Step::Answer(allow_all()));
    let _seen = MqttClient::anybody(&gateway, Version::V5, "seen").await;
    assert_eq!(event(&mut watcher).await.1["clientId"], "seen");
}

#[tokio::test]
async fn clients_cannot_publish_presence_events_and_need_a_policy_to_subscribe() {
    let (gateway, mut watcher) = watched().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    event(&mut watcher).await;
    client.publish("$aws/events/presence/connected/x", "{}", QoS::AtMostOnce).await;
    client.closed().await;
    assert_eq!(event(&mut watcher).await.1["eventType"], "disconnected");
    let answer = allow(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Subscribe", "*/own/*"),
        ("Allow", "iot:Receive", "*/own/*"),
    ]);
    let gateway = Start::with_script(&Step::Answer(answer)).0.run().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    let ack = client.subscribe(&[TOPICS], QoS::AtMostOnce).await.unwrap();
    assert_eq!(ack.codes, [mqtt::SubAckCode::Failed(mqtt::SubscribeFailure::NotAuthorized)]);
}
