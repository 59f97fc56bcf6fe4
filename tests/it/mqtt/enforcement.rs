//! The authorizer's policies are enforced: without any one of these checks a test here fails.

use integration::{
    mqtt_client::{MqttClient, connect},
    refusal::refused,
    script::{Step, allow},
    test_gateway::{Start, TestGateway},
};
use mqtt::{ConnectReasonCode, Packet, PubAckCode, Publish, QoS, SubAckCode, SubscribeFailure, Version};

const BOTH: [Version; 2] = [Version::V311, Version::V5];

async fn gateway(statements: &[(&str, &str, &str)]) -> TestGateway {
    Start::with_script(&Step::Answer(allow(statements))).0.run().await
}

async fn denied(gateway: &TestGateway, event_type: &str, topic: &str) -> String {
    let line =
        gateway.logged_with(&[("eventType", event_type), ("status", "Failure"), ("topicName", topic)]).await;
    assert_eq!(line["reason"], "AUTHORIZATION_FAILURE");
    assert_eq!(line["details"], "Authorization Failure");
    line["explanation"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn connect_needs_iot_connect_on_the_client_id() {
    let gateway = gateway(&[("Allow", "iot:Connect", "client/mine")]).await;
    for version in BOTH {
        MqttClient::anybody(&gateway, version, "mine").await;
        refused(&gateway, connect(version, "other", "u", "p"), ConnectReasonCode::NotAuthorized).await;
    }
    let line = gateway.logged_with(&[("eventType", "Connect"), ("clientId", "other")]).await;
    assert_eq!(
        (&line["status"], &line["explanation"]),
        (
            &"Failure".into(),
            &"iot:Connect denied: no statement allows: it is allowed on `client/mine`".into()
        )
    );
    assert_eq!(
        (&line["logLevel"], &line["reason"], &line["details"], &line["principalId"]),
        (
            &"ERROR".into(),
            &"AUTHORIZATION_FAILURE".into(),
            &"Authorization Failure".into(),
            &"scripted".into()
        )
    );
}

#[tokio::test]
async fn publish_needs_iot_publish_on_the_topic() {
    let gateway =
        gateway(&[("Allow", "iot:Connect", "client/*"), ("Allow", "iot:Publish", "topic/mine")]).await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let mut client = MqttClient::anybody(&gateway, Version::V311, "c").await;
        client.publish("mine", "x", QoS::AtLeastOnce).await.unwrap();
        assert!(
            client.publish("other", "x", qos).await.is_none(),
            "3.1.1 knows no refusal: the connection ends"
        );
        client.closed().await;
    }
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    assert_eq!(client.publish("other", "x", QoS::AtLeastOnce).await.unwrap().code, PubAckCode::NotAuthorized);
    client.ping().await;
    client.publish("other", "x", QoS::AtMostOnce).await;
    assert!(matches!(client.receive().await, Some(Packet::Disconnect(end)) if u8::from(end.code) == 0x87));
    let details = "iot:Publish denied: no statement allows: it is allowed on `topic/mine`";
    assert_eq!(denied(&gateway, "Publish-In", "other").await, details);
}

#[tokio::test]
async fn a_denied_publish_reaches_nobody() {
    let gateway = gateway(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Subscribe", "topicfilter/#"),
        ("Allow", "iot:Receive", "topic/*"),
        ("Allow", "iot:Publish", "topic/mine"),
    ])
    .await;
    let mut watcher = MqttClient::anybody(&gateway, Version::V5, "watcher").await;
    watcher.subscribe(&["#"], QoS::AtLeastOnce).await.unwrap();
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    sender.publish("other", "denied", QoS::AtLeastOnce).await.unwrap();
    sender.publish("mine", "allowed", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(watcher.message().await.payload, "allowed");
}

#[tokio::test]
async fn a_retained_message_needs_iot_retain_publish_too() {
    let gateway = gateway(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Publish", "topic/*"),
        ("Allow", "iot:RetainPublish", "topic/kept"),
        ("Allow", "iot:Subscribe", "topicfilter/*"),
        ("Allow", "iot:Receive", "topic/*"),
    ])
    .await;
    let retained = |topic: &str| {
        let mut publish = Publish::new(topic.parse().unwrap(), "x");
        publish.retain = true;
        Packet::Publish(publish)
    };
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    sender.send(retained("kept")).await;
    sender.ping().await;
    sender.send(retained("other")).await;
    sender.closed().await;
    assert_eq!(
        denied(&gateway, "Publish-In", "other").await,
        "iot:RetainPublish denied: no statement allows: document 0 statement 1 allows `iot:Publish` on it, and not \
         `iot:RetainPublish`"
    );
    let mut reader = MqttClient::anybody(&gateway, Version::V5, "reader").await;
    reader.subscribe(&["other"], QoS::AtMostOnce).await.unwrap();
    reader.send(Packet::PingReq).await;
    assert!(matches!(reader.receive().await, Some(Packet::PingResp)), "nothing was kept of the denied one");
}

#[tokio::test]
async fn subscribe_needs_iot_subscribe_on_the_filter() {
    let gateway =
        gateway(&[("Allow", "iot:Connect", "client/*"), ("Allow", "iot:Subscribe", "topicfilter/mine/+")])
            .await;
    let mut old = MqttClient::anybody(&gateway, Version::V311, "old").await;
    old.subscribe(&["mine/+"], QoS::AtLeastOnce).await.unwrap();
    assert!(old.subscribe(&["mine/#"], QoS::AtLeastOnce).await.is_none(), "the connection ends");
    let mut new = MqttClient::anybody(&gateway, Version::V5, "new").await;
    let ack = new.subscribe(&["mine/#", "mine/+", "#"], QoS::AtLeastOnce).await.unwrap();
    let refused = SubAckCode::Failed(SubscribeFailure::NotAuthorized);
    assert_eq!(ack.codes, [refused, SubAckCode::Granted(QoS::AtLeastOnce), refused]);
    new.ping().await;
    let details = "iot:Subscribe denied: no statement allows: it is allowed on `topicfilter/mine/+`";
    assert_eq!(denied(&gateway, "Subscribe", "mine/#").await, details);
}

#[tokio::test]
async fn receive_needs_iot_receive_on_the_topic() {
    let gateway = gateway(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Publish", "topic/*"),
        ("Allow", "iot:Subscribe", "topicfilter/*"),
        ("Allow", "iot:Receive", "topic/*"),
        ("Deny", "iot:Receive", "topic/secret"),
    ])
    .await;
    let mut reader = MqttClient::anybody(&gateway, Version::V311, "reader").await;
    reader.subscribe(&["#"], QoS::AtLeastOnce).await.unwrap();
    let mut sender = MqttClient::anybody(&gateway, Version::V311, "sender").await;
    sender.publish("secret", "hidden", QoS::AtLeastOnce).await.unwrap();
    sender.publish("open", "shown", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(reader.message().await.payload, "shown");
    assert_eq!(
        denied(&gateway, "Publish-Out", "secret").await,
        "iot:Receive denied by document 0 statement 4"
    );
}

#[tokio::test]
async fn a_policy_with_an_unknown_action_is_reported_at_the_connect() {
    let gateway = gateway(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Publish", "topic/*"),
        ("Allow", "iot:PublishRetain", "topic/*"),
    ])
    .await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    let line = gateway.logged_with(&[("eventType", "Connect"), ("status", "Success")]).await;
    let details = line["details"].as_str().unwrap();
    assert!(details.contains("iot:PublishRetain") && details.contains("iot:RetainPublish"), "{details}");
    let publish = Publish { retain: true, ..Publish::new("t".parse().unwrap(), "x") };
    sender.send(Packet::Publish(publish)).await;
    sender.closed().await;
    let denial = denied(&gateway, "Publish-In", "t").await;
    assert!(denial.ends_with("allows `iot:Publish` on it, and not `iot:RetainPublish`"), "{denial}");
}

#[tokio::test]
async fn a_policy_of_another_region_or_account_is_named_in_the_denial() {
    let mut policy = allow(&[("Allow", "iot:Connect", "client/*"), ("Allow", "iot:Publish", "topic/*")]);
    let text = policy.to_string().replace("us-east-1:123456789012:client", "eu-west-1:000000000000:client");
    let connect_elsewhere = serde_json::from_str(&text).unwrap();
    let text = policy.to_string().replace("us-east-1:123456789012:topic", "eu-west-1:123456789012:topic");
    policy = serde_json::from_str(&text).unwrap();
    let gateway = Start::with_script(&Step::Answer(connect_elsewhere)).0.run().await;
    let (_, ack) = MqttClient::connect(&gateway, connect(Version::V5, "c", "u", "p")).await;
    assert_eq!(ack.unwrap().code, ConnectReasonCode::NotAuthorized);
    let line = gateway.logged_with(&[("eventType", "Connect"), ("clientId", "c")]).await;
    assert_eq!(
        line["explanation"],
        "iot:Connect denied: no statement allows: document 0 statement 0 would, but in region `eu-west-1` instead of \
         `us-east-1` and account `000000000000` instead of `123456789012`"
    );
    let gateway = Start::with_script(&Step::Answer(policy)).0.run().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    client.publish("t", "x", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(
        denied(&gateway, "Publish-In", "t").await,
        "iot:Publish denied: no statement allows: document 0 statement 1 would, but in region `eu-west-1` instead of \
         `us-east-1`"
    );
}
