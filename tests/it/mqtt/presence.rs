//! Lifecycle events: who has come and gone, was not let in, and subscribes to what, for those whose policies let them know.

use std::time::Duration;

use integration::{
    http_client::HttpClient,
    mqtt_client::{MqttClient, connect},
    script::{Script, Step, allow, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, Disconnect, DisconnectReasonCode, LastWill, Packet, QoS, Version};
use serde_json::{Value, json};

const TOPICS: &str = "$aws/events/#";

async fn watched() -> (TestGateway, MqttClient, Script) {
    let mut answer = allow_all();
    answer["refreshAfterInSeconds"] = json!(86_400);
    let (start, script) = Start::with_script(&Step::Answer(answer));
    let gateway = start.on_manual_clock().run().await;
    let patient = Connect { keep_alive: 1_200, ..connect(Version::V5, "watcher", "u", "p") };
    let mut watcher = MqttClient::connected(&gateway, patient).await;
    watcher.subscribe(&[TOPICS], QoS::AtMostOnce).await.unwrap();
    assert_eq!(event(&mut watcher).await.1["eventType"], "subscribed", "its own");
    (gateway, watcher, script)
}

/// The next event, and the topic on which it came.
async fn event(watcher: &mut MqttClient) -> (String, Value) {
    let message = watcher.message().await;
    let topic = message.topic.as_ref().unwrap().as_str().to_owned();
    (topic, serde_json::from_slice(&message.payload).unwrap())
}

async fn say_goodbye(client: &mut MqttClient) {
    client.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
}

#[tokio::test]
async fn connects_and_disconnects_are_published_with_awss_fields() {
    let (gateway, mut watcher, _script) = watched().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    let message = watcher.message().await;
    assert_eq!(message.topic.unwrap().as_str(), "$aws/events/presence/connected/c");
    let came: Value = serde_json::from_slice(&message.payload).unwrap();
    let line = gateway.logged_with(&[("eventType", "Connect"), ("clientId", "c")]).await;
    let expected = json!({"clientId": "c", "eventType": "connected", "ipAddress": "127.0.0.1",
        "principalIdentifier": line["principalId"], "sessionIdentifier": line["connectionId"],
        "timestamp": came["timestamp"], "versionNumber": 0});
    assert_eq!(came, expected);
    let text = String::from_utf8(message.payload.to_vec()).unwrap();
    let order =
        ["clientId", "timestamp", "eventType", "sessionIdentifier", "principalIdentifier", "ipAddress"];
    assert!(order.map(|field| text.find(field).unwrap()).is_sorted(), "{text}");
    assert!(came["timestamp"].as_u64().unwrap() > 1_700_000_000_000, "milliseconds since 1970");
    say_goodbye(&mut client).await;
    let (topic, went) = event(&mut watcher).await;
    assert_eq!(topic, "$aws/events/presence/disconnected/c");
    let expected = json!({"clientId": "c", "eventType": "disconnected", "clientInitiatedDisconnect": true,
        "disconnectReason": "CLIENT_INITIATED_DISCONNECT", "principalIdentifier": line["principalId"],
        "sessionIdentifier": line["connectionId"], "timestamp": went["timestamp"], "versionNumber": 0});
    assert_eq!(went, expected);
}

#[tokio::test]
async fn the_disconnect_reason_is_awss_and_a_later_connection_has_the_next_version() {
    let (gateway, mut watcher, _script) = watched().await;
    let mut first = MqttClient::anybody(&gateway, Version::V5, "c").await;
    assert_eq!(event(&mut watcher).await.1["versionNumber"], 0);
    let _other = MqttClient::anybody(&gateway, Version::V5, "other").await;
    assert_eq!(event(&mut watcher).await.1["versionNumber"], 0, "each client id has its own");
    let second = MqttClient::anybody(&gateway, Version::V5, "c").await;
    first.closed().await;
    let events = [event(&mut watcher).await.1, event(&mut watcher).await.1];
    let of = |kind: &str| events.iter().find(|event| event["eventType"] == kind).unwrap();
    let (came, went) = (of("connected"), of("disconnected"));
    assert_eq!(came["versionNumber"], 1);
    assert_eq!(
        (&went["disconnectReason"], &went["versionNumber"]),
        (&"DUPLICATE_CLIENTID".into(), &0.into())
    );
    assert_eq!(went["clientInitiatedDisconnect"], false);
    drop(second);
    let (_, went) = event(&mut watcher).await;
    assert_eq!((&went["disconnectReason"], &went["versionNumber"]), (&"CONNECTION_LOST".into(), &1.into()));
}

#[tokio::test]
async fn the_version_of_a_client_that_stays_away_for_an_hour_is_forgotten() {
    let (gateway, mut watcher, _script) = watched().await;
    for (away_minutes, version) in [(0, 0), (59, 1), (60, 0)] {
        for _ in 0..away_minutes {
            gateway.advance(Duration::from_mins(1));
            watcher.ping().await;
        }
        let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
        assert_eq!(event(&mut watcher).await.1["versionNumber"], version, "after {away_minutes} minutes");
        say_goodbye(&mut client).await;
        assert_eq!(event(&mut watcher).await.1["versionNumber"], version);
    }
}

#[tokio::test]
async fn a_connect_that_the_policies_deny_is_published_and_other_refusals_are_not() {
    let (gateway, mut watcher, script) = watched().await;
    script.set(&Step::Answer(json!({"isAuthenticated": false})));
    MqttClient::connect(&gateway, connect(Version::V5, "wrong", "u", "p")).await;
    script.set(&Step::Answer(allow(&[("Allow", "iot:Connect", "client/with-will")])));
    let will = LastWill::new("t".parse().unwrap(), "gone".into());
    let with_will = Connect { last_will: Some(will), ..connect(Version::V5, "with-will", "u", "p") };
    for connect in [connect(Version::V5, "denied", "u", "p"), with_will] {
        let id = connect.client_id.to_string();
        MqttClient::connect(&gateway, connect).await;
        let (topic, failed) = event(&mut watcher).await;
        assert_eq!(topic, format!("$aws/events/presence/connect_failed/{id}"));
        let line = gateway.logged_with(&[("eventType", "Connect"), ("clientId", &id)]).await;
        let expected = json!({"clientId": id, "eventType": "connect_failed", "ipAddress": "127.0.0.1",
            "connectFailureReason": "AUTHORIZATION_FAILED", "principalIdentifier": "scripted",
            "sessionIdentifier": line["connectionId"], "timestamp": failed["timestamp"]});
        assert_eq!(failed, expected);
    }
}

#[tokio::test]
async fn subscriptions_are_published_with_their_topics() {
    let (gateway, mut watcher, script) = watched().await;
    script.set(&Step::Answer(allow(&[
        ("Allow", "iot:*", "*"),
        ("Deny", "iot:Subscribe", "topicfilter/denied"),
    ])));
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    let came = event(&mut watcher).await.1;
    client.subscribe(&["a", "denied", "b/#"], QoS::AtMostOnce).await.unwrap();
    client.subscribe(&["denied"], QoS::AtMostOnce).await.unwrap();
    client.unsubscribe(&["b/#", "never"]).await.unwrap();
    client.unsubscribe(&["never"]).await.unwrap();
    for (event_type, topics) in [("subscribed", json!(["a", "b/#"])), ("unsubscribed", json!(["b/#"]))] {
        let (topic, event) = event(&mut watcher).await;
        assert_eq!(topic, format!("$aws/events/subscriptions/{event_type}/c"));
        let expected = json!({"clientId": "c", "eventType": event_type, "topics": topics,
            "principalIdentifier": came["principalIdentifier"], "sessionIdentifier": came["sessionIdentifier"],
            "timestamp": event["timestamp"]});
        assert_eq!(event, expected);
    }
    say_goodbye(&mut client).await;
    assert_eq!(event(&mut watcher).await.1["eventType"], "disconnected", "and nothing before it");
}

#[tokio::test]
async fn client_ids_with_wildcards_and_https_publishes_have_no_events() {
    let (gateway, mut watcher, script) = watched().await;
    for id in ["a+b", "#", "a#"] {
        let mut client = MqttClient::anybody(&gateway, Version::V5, id).await;
        client.subscribe(&["t"], QoS::AtMostOnce).await.unwrap();
    }
    script.set(&Step::Answer(allow(&[("Allow", "iot:Publish", "topic/t")])));
    MqttClient::connect(&gateway, connect(Version::V5, "denied+", "u", "p")).await;
    script.set(&Step::Answer(allow_all()));
    let answer = HttpClient::open(&gateway).await.request("POST", "/topics/t", &[], "x").await;
    assert_eq!(answer.status, 200);
    let _seen = MqttClient::anybody(&gateway, Version::V5, "seen").await;
    assert_eq!(event(&mut watcher).await.1["clientId"], "seen");
}

#[tokio::test]
async fn clients_cannot_publish_presence_events_and_need_a_policy_to_subscribe() {
    let (gateway, mut watcher, _script) = watched().await;
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
