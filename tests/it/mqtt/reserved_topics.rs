//! Topics that begin with `$`: the policy is asked first, and then AWS's table of reserved topics.

use integration::{
    http_client::HttpClient,
    mqtt_client::{MqttClient, connect},
    script::{Step, allow, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, ConnectReasonCode, LastWill, Packet, PubAckCode, Publish, QoS, Version};

const BOTH: [Version; 2] = [Version::V311, Version::V5];
const SHADOW: &str = "$aws/things/t/shadow/update";
const UNSERVED: &str =
    "accepted, and nothing acts on it here: the gateway plays no rules, jobs and other services";

async fn subscriber(gateway: &TestGateway, filters: &[&str]) -> MqttClient {
    let mut client = MqttClient::anybody(gateway, Version::V5, "subscriber").await;
    client.subscribe(filters, QoS::AtMostOnce).await.unwrap();
    client
}

#[tokio::test]
async fn a_publish_to_a_service_of_aws_is_acknowledged_and_the_log_says_once_that_nothing_acts_on_it() {
    let gateway = TestGateway::open_to_all().await;
    let mut subscriber = subscriber(&gateway, &["$aws/things/#", "$aws/commands/#", "end"]).await;
    for version in BOTH {
        let id = format!("{version:?}");
        let mut client = MqttClient::anybody(&gateway, version, &id).await;
        for topic in [
            "$aws/rules/r",
            "$aws/rules/r/a/b/c/d/e/f/g/h",
            "$aws/things/t/jobs/get",
            "$aws/commands/things/t/executions/e/response/json",
        ] {
            let ack = client.publish(topic, "{}", QoS::AtLeastOnce).await.unwrap();
            assert_eq!(ack.code, PubAckCode::Success, "{topic}");
        }
        client.publish("end", "end", QoS::AtMostOnce).await;
        assert_eq!(subscriber.message().await.payload, "end", "a service's message reaches no client");
        let end = Packet::Disconnect(mqtt::Disconnect::new(mqtt::DisconnectReasonCode::NormalDisconnection));
        client.send(end).await;
        gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", &id)]).await;
        let lines = gateway.log.lines();
        let lines = lines.iter().filter(|line| line["clientId"] == *id && line["eventType"] == "Publish-In");
        let lines = lines.collect::<Vec<_>>();
        let [line] = lines[..] else { panic!("one line a connection: {lines:?}") };
        assert_eq!(
            (&line["status"], &line["topicName"], &line["details"]),
            (&"Success".into(), &"$aws/rules/r".into(), &UNSERVED.into())
        );
    }
}

#[tokio::test]
async fn a_request_to_a_shadow_reaches_its_subscribers_too() {
    let gateway = TestGateway::open_to_all().await;
    let mut subscriber = subscriber(&gateway, &[SHADOW]).await;
    for version in BOTH {
        let mut client = MqttClient::anybody(&gateway, version, "c").await;
        client.publish(SHADOW, "{}", QoS::AtLeastOnce).await.unwrap();
        assert_eq!(subscriber.message().await.payload, "{}");
    }
}

#[tokio::test]
async fn the_policy_is_asked_before_the_table_of_reserved_topics() {
    let answer =
        allow(&[("Allow", "iot:Connect", "client/*"), ("Allow", "iot:Publish", "topic/$aws/rules/own/*")]);
    let gateway = Start::with_script(&Step::Answer(answer)).0.run().await;
    let mut new = MqttClient::anybody(&gateway, Version::V5, "new").await;
    for topic in ["$aws/rules/other/t", SHADOW, "$SYS/x"] {
        let ack = new.publish(topic, "x", QoS::AtLeastOnce).await.unwrap();
        assert_eq!(ack.code, PubAckCode::NotAuthorized, "{topic}");
        let mut old = MqttClient::anybody(&gateway, Version::V311, topic).await;
        assert_eq!(old.publish(topic, "x", QoS::AtLeastOnce).await, None);
        let line = gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", topic)]).await;
        assert_eq!(line["reason"], "AUTH_ERROR");
    }
    new.publish("$aws/rules/own/t", "x", QoS::AtLeastOnce).await.unwrap();
}

#[tokio::test]
async fn a_retained_message_on_a_reserved_topic_ends_the_connection() {
    let gateway = TestGateway::open_to_all().await;
    for (version, code) in [(Version::V311, None), (Version::V5, Some(0x90))] {
        let mut client = MqttClient::anybody(&gateway, version, "c").await;
        let publish = Publish { retain: true, ..Publish::new(SHADOW.parse().unwrap(), "{}") };
        client.send(Packet::Publish(publish)).await;
        assert_eq!(client.ended().await, code);
    }
    let details = "a message on a reserved topic, which begins with `$`, can't be retained";
    gateway
        .logged_with(&[("eventType", "Disconnect"), ("reason", "CLIENT_ERROR"), ("details", details)])
        .await;
}

#[tokio::test]
async fn slashes_and_bytes_of_basic_ingest_count_after_the_rules_name() {
    let gateway = TestGateway::open_to_all().await;
    let prefix = format!("$aws/rules/{}/", "r".repeat(128));
    let cases = [
        ("t".repeat(256), true),
        ("t".repeat(257), false),
        ("a/b/c/d/e/f/g/h".to_owned(), true),
        ("a/b/c/d/e/f/g/h/i".to_owned(), false),
    ];
    for (topic, accepted) in cases {
        let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
        let ack = client.publish(&format!("{prefix}{topic}"), "x", QoS::AtLeastOnce).await;
        assert_eq!(ack.is_some(), accepted, "{topic}");
    }
}

#[tokio::test]
async fn a_last_will_on_a_shadow_is_accepted_and_one_on_an_event_is_not() {
    let gateway = TestGateway::open_to_all().await;
    let mut subscriber = subscriber(&gateway, &[SHADOW]).await;
    for version in BOTH {
        let with_will = |topic: &str| {
            let will = LastWill::new(topic.parse().unwrap(), "gone".into());
            Connect { last_will: Some(will), ..connect(version, "c", "u", "p") }
        };
        drop(MqttClient::connected(&gateway, with_will(SHADOW)).await);
        assert_eq!(subscriber.message().await.payload, "gone");
        let (_, ack) = MqttClient::connect(&gateway, with_will("$aws/events/presence/connected/c")).await;
        assert!(ack.is_none_or(|ack| ack.code != ConnectReasonCode::Success));
    }
}

#[tokio::test]
async fn a_subscription_to_a_topic_that_is_not_awss_ends_the_connection() {
    let gateway = TestGateway::open_to_all().await;
    for filter in ["$SYS/#", "$x", "$aws/rules/r/t", "$share/g/$SYS/#"] {
        for (version, code) in [(Version::V311, None), (Version::V5, Some(0x8f))] {
            let mut client = MqttClient::anybody(&gateway, version, "c").await;
            let filter = mqtt::SubscribeFilter::new(filter.parse().unwrap(), QoS::AtMostOnce);
            let subscribe = mqtt::Subscribe::new(std::num::NonZeroU16::MIN, vec![filter]);
            client.send(Packet::Subscribe(subscribe)).await;
            assert_eq!(client.ended().await, code);
        }
    }
    let details = "topics that begin with `$` are reserved, and clients can't subscribe to this filter";
    gateway
        .logged_with(&[("eventType", "Disconnect"), ("reason", "CLIENT_ERROR"), ("details", details)])
        .await;
}

#[tokio::test]
async fn an_https_publish_reaches_rules_and_shadows_and_no_other_reserved_topic() {
    let gateway = Start::with_script(&Step::Answer(allow_all())).0.run().await;
    let mut subscriber = subscriber(&gateway, &[SHADOW]).await;
    let cases = [
        ("/topics/%24aws/things/t/shadow/update?qos=1", 200),
        ("/topics/$aws/rules/r/t", 200),
        ("/topics/%24aws/rules/r?retain=true", 400),
        ("/topics/%24aws/events/presence/connected/c", 400),
        ("/topics/%24aws/things/t/defender/metrics/json", 400),
    ];
    for (target, status) in cases {
        let answer = HttpClient::open(&gateway).await.request("POST", target, &[], "{}").await;
        assert_eq!(answer.status, status, "{target}: {answer:?}");
    }
    assert_eq!(subscriber.message().await.payload, "{}");
    gateway
        .logged_with(&[("protocol", "HTTP"), ("topicName", "$aws/rules/r/t"), ("details", UNSERVED)])
        .await;
}
