//! One client id, one connection; and the end of all of them.

use integration::{
    eventually::eventually,
    mqtt_client::{MqttClient, connect},
    refusal::refused,
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, ConnectReasonCode, LastWill, QoS, Version};

const BOTH: [Version; 2] = [Version::V311, Version::V5];

#[tokio::test]
async fn a_second_connection_with_a_client_id_ends_the_first() {
    let gateway = TestGateway::open_to_all().await;
    for (version, code) in [(Version::V311, None), (Version::V5, Some(0x8e))] {
        for second in BOTH {
            let id = format!("{version:?}-{second:?}");
            let mut first = MqttClient::anybody(&gateway, version, &id).await;
            let mut second = MqttClient::anybody(&gateway, second, &id).await;
            assert_eq!(first.ended().await, code, "{id}");
            let line = gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", &id)]).await;
            assert_eq!(
                (&line["status"], &line["disconnectReason"]),
                (&"Failure".into(), &"DUPLICATE_CLIENTID".into())
            );
            second.ping().await;
        }
    }
}

#[tokio::test]
async fn the_end_of_the_first_connection_leaves_the_seconds_subscriptions_alone() {
    let gateway = TestGateway::open_to_all().await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    for version in BOTH {
        let mut first = MqttClient::anybody(&gateway, version, "c").await;
        first.subscribe(&["old", "both"], QoS::AtLeastOnce).await.unwrap();
        let mut second = MqttClient::anybody(&gateway, version, "c").await;
        second.subscribe(&["new", "both"], QoS::AtLeastOnce).await.unwrap();
        first.closed().await;
        drop(first);
        for topic in ["old", "both", "new"] {
            sender.publish(topic, topic, QoS::AtLeastOnce).await.unwrap();
        }
        for topic in ["both", "new"] {
            let message = second.message().await;
            assert_eq!(message.payload, topic);
            second.acknowledge(&message).await;
        }
        second.ping().await;
    }
}

#[tokio::test]
async fn client_ids_that_differ_in_case_do_not_take_over_each_other() {
    let gateway = TestGateway::open_to_all().await;
    let mut others = Vec::new();
    for id in ["c", "C", "c1", " c", "c "] {
        others.push(MqttClient::anybody(&gateway, Version::V5, id).await);
    }
    for other in &mut others {
        other.ping().await;
    }
    assert_eq!(gateway.log.lines().iter().filter(|line| line["eventType"] == "Disconnect").count(), 0);
}

#[tokio::test]
async fn the_will_of_the_first_is_published_and_the_second_keeps_its_own() {
    let gateway = TestGateway::open_to_all().await;
    let mut watcher = MqttClient::anybody(&gateway, Version::V5, "watcher").await;
    watcher.subscribe(&["will"], QoS::AtMostOnce).await.unwrap();
    let with_will = |payload: &str| {
        let will = LastWill::new("will".parse().unwrap(), payload.to_owned().into());
        Connect { last_will: Some(will), ..connect(Version::V5, "c", "u", "p") }
    };
    let mut first = MqttClient::connected(&gateway, with_will("first")).await;
    let second = MqttClient::connected(&gateway, with_will("second")).await;
    assert_eq!(watcher.message().await.payload, "first");
    assert_eq!(first.ended().await, Some(0x8e));
    watcher.ping().await;
    drop(second);
    assert_eq!(watcher.message().await.payload, "second");
}

#[tokio::test]
async fn a_refused_connect_takes_over_nothing() {
    let gateway = Start::with_authorizer().run().await;
    let (password, other) = (gateway.add("dev", "own-topics"), gateway.add("other", "own-topics"));
    let mut first = MqttClient::connected(&gateway, connect(Version::V5, "dev", "dev", &password)).await;
    first.subscribe(&["dev/t"], QoS::AtLeastOnce).await.unwrap();
    for version in BOTH {
        for (user_name, password) in [
            ("dev", "wrong"),
            ("other", &*other),
            ("nobody", &*password),
            ("dev?x-amz-customauthorizer-name=unknown", &*password),
        ] {
            let connect = connect(version, "dev", user_name, password);
            refused(&gateway, connect, ConnectReasonCode::NotAuthorized).await;
        }
    }
    first.publish("dev/t", "still here", QoS::AtMostOnce).await;
    assert_eq!(first.message().await.payload, "still here");
    let disconnects = gateway.log.lines().into_iter().filter(|line| line["eventType"] == "Disconnect");
    assert_eq!(disconnects.count(), 0);
}

#[tokio::test]
async fn the_shutdown_sends_mqtt_5_a_disconnect_and_closes_every_connection() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.on_manual_clock().run().await;
    let mut new = MqttClient::anybody(&gateway, Version::V5, "new").await;
    let mut old = MqttClient::anybody(&gateway, Version::V311, "old").await;
    let mut silent = MqttClient::open(&gateway, Version::V5).await;
    script.set(&Step::Hang);
    let mut undecided = MqttClient::open(&gateway, Version::V5).await;
    undecided.send(mqtt::Packet::Connect(Box::new(connect(Version::V5, "undecided", "u", "p")))).await;
    eventually("the call", || (script.calls() == 3).then_some(())).await;
    let log = gateway.log.clone();
    gateway.stop().await;
    assert_eq!(new.ended().await, Some(0x8b));
    assert_eq!(old.ended().await, None);
    assert_eq!(silent.ended().await, None);
    assert_eq!(undecided.ended().await, None, "nobody comes in any more");
    let ends = log.lines().into_iter().filter(|line| line["reason"] == "SERVER_INITIATED_DISCONNECT");
    assert_eq!(ends.count(), 2);
}
