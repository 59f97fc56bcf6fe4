//! What the bridge changes in packets, seen from both ends.

use integration::{
    bridge_process::{BridgeProcess, settings},
    mqtt_client::{MqttClient, connect},
    script::{Step, allow_all},
    test_gateway::Start,
};
use mqtt::{ConnectReasonCode, Packet, Publish, QoS, Version};

use super::Site;

/// Rules for topics with more slashes than AWS has, and for retained messages.
const RULES: &str = "[rules]\ndrop_retain = [\"d/status\"]\n[[map]]\n\
    device = \"/sys/{pk}/{dn}/thing/event/property/history/post\"\ncloud = \"{dn}/history\"\n[[map]]\n\
    device = \"/sys/{pk}/{dn}/thing/service/#\"\ncloud = \"{dn}/service/#\"";

#[tokio::test]
async fn topics_are_mapped_both_ways_and_policies_see_awss_names() {
    let site = Site::with(RULES).await;
    let mut device = site.device(Version::V5, "d").await;
    let topic = "/sys/p/d/thing/event/property/history/post";
    assert_eq!(u8::from(device.publish(topic, "1", QoS::AtLeastOnce).await.unwrap().code) & 0x80, 0);
    let published = [("eventType", "Publish-In"), ("clientId", "d"), ("topicName", "d/history")];
    site.gateway.logged_with(&published).await;
    let filter = "/sys/p/d/thing/service/#";
    device.subscribe(&[filter], QoS::AtMostOnce).await.unwrap();
    let own = "/sys/p/d/thing/service/property/set";
    device.publish(own, "on", QoS::AtMostOnce).await;
    let message = device.message().await;
    assert_eq!((message.topic.unwrap().as_str(), &*message.payload), (own, &b"on"[..]));
    assert!(device.unsubscribe(&[filter]).await.is_some());
    let denied = device.publish("/sys/p/x/thing/event/property/history/post", "1", QoS::AtLeastOnce).await;
    assert_eq!(denied.unwrap().code, mqtt::PubAckCode::NotAuthorized, "the policy sees `x/history`");
    let line = site.bridge.logged(&[("eventType", "Publish-In"), ("reason", "MESSAGE_REJECTED")]).await;
    assert_eq!(line["topicName"], "x/history");
}

#[tokio::test]
async fn retain_is_dropped_where_the_rules_say_so() {
    let site = Site::with(RULES).await;
    let mut device = site.device(Version::V5, "d").await;
    let retained = |topic: &str| {
        let mut message = Publish::new(topic.parse().unwrap(), "x");
        (message.qos, message.packet_id, message.retain) =
            (QoS::AtLeastOnce, Some(std::num::NonZeroU16::MIN), true);
        Packet::Publish(message)
    };
    for (topic, refused) in [("d/status", false), ("d/other", true)] {
        device.send(retained(topic)).await;
        let Some(Packet::PubAck(answer)) = device.receive().await else { panic!("no PUBACK") };
        assert_eq!(u8::from(answer.code) >= 0x80, refused, "{topic}: `own-topics` has no retain");
    }
}

/// What Tasmota and `ESPHome` do with their default settings: a retained last will, and a retained message at the start.
#[tokio::test]
async fn a_retained_last_will_is_accepted_where_the_rules_drop_the_flag() {
    for (rules, accepted) in [("[rules]\ndrop_retain = [\"d/#\"]", true), ("", false)] {
        let site = Site::with(rules).await;
        let password = site.gateway.add("d", "own-topics");
        let mut connect = connect(Version::V311, "d", "d", &password);
        let topic = "d/tele/LWT".parse().unwrap();
        let mut will = mqtt::LastWill::new(topic, bytes::Bytes::from_static(b"Offline"));
        (will.retain, will.qos) = (true, QoS::AtLeastOnce);
        connect.last_will = Some(will);
        let (mut device, ack) = MqttClient::plain(site.bridge.mqtt(), connect).await;
        assert_eq!(ack.unwrap().code == ConnectReasonCode::Success, accepted, "{rules}");
        if accepted {
            let mut online = Publish::new("d/tele/LWT".parse().unwrap(), "Online");
            (online.qos, online.packet_id) = (QoS::AtLeastOnce, Some(std::num::NonZeroU16::MIN));
            online.retain = true;
            device.send(Packet::Publish(online)).await;
            assert!(matches!(device.receive().await, Some(Packet::PubAck(_))));
            site.bridge.logged(&[("eventType", "Translation"), ("reason", "RETAIN")]).await;
        }
    }
}

/// A PLC or a router: one topic that can't be changed.
#[tokio::test]
async fn a_fixed_topic_becomes_the_devices_own() {
    let site = Site::with("[[map]]\ndevice = \"data\"\ncloud = \"{client_id}/data\"").await;
    for name in ["plc-1", "plc-2"] {
        let mut device = site.device(Version::V311, name).await;
        assert!(device.publish("data", "1", QoS::AtLeastOnce).await.is_some());
        let topic = format!("{name}/data");
        let published = [("eventType", "Publish-In"), ("clientId", name), ("topicName", topic.as_str())];
        site.gateway.logged_with(&published).await;
    }
}

#[tokio::test]
async fn each_side_has_its_own_keep_alive() {
    let site = Site::new().await;
    let password = site.gateway.add("hall-1", "own-topics");
    let mut short = connect(Version::V311, "hall-1", "hall-1", &password);
    short.keep_alive = 1;
    let (mut device, ack) = MqttClient::plain(site.bridge.mqtt(), short).await;
    assert_eq!(ack.unwrap().code, ConnectReasonCode::Success);
    device.ping().await;
    let line = site.gateway.logged_with(&[("eventType", "Connect"), ("clientId", "hall-1")]).await;
    assert_eq!(line["keepAliveDuration"], 30, "AWS has none below 30 seconds");
    device.closed().await;
    let ended = [("eventType", "Disconnect"), ("reason", "MQTT_KEEP_ALIVE_TIMEOUT"), ("clientId", "hall-1")];
    site.bridge.logged(&ended).await;
    site.bridge.logged(&[("eventType", "Translation"), ("reason", "KEEP_ALIVE")]).await;
}

#[tokio::test]
async fn a_last_will_is_published_when_the_devices_connection_is_lost_and_not_after_a_disconnect() {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.run().await;
    let folder = tempfile::tempdir().unwrap();
    let bridge = BridgeProcess::start(folder.path(), &settings(&gateway, "")).await;
    let mut viewer = MqttClient::anybody(&gateway, Version::V5, "viewer").await;
    viewer.subscribe(&["will/#"], QoS::AtMostOnce).await.unwrap();
    for (name, disconnects) in [("polite", true), ("lost", false)] {
        let mut connect = connect(Version::V311, name, name, "p");
        let topic = format!("will/{name}").parse().unwrap();
        connect.last_will = Some(mqtt::LastWill::new(topic, bytes::Bytes::from_static(b"gone")));
        let (mut device, ack) = MqttClient::plain(bridge.mqtt(), connect).await;
        assert_eq!(ack.unwrap().code, ConnectReasonCode::Success);
        if disconnects {
            let normal = mqtt::DisconnectReasonCode::NormalDisconnection;
            device.send(Packet::Disconnect(mqtt::Disconnect::new(normal))).await;
            device.closed().await;
        }
        drop(device);
        bridge.logged(&[("eventType", "Disconnect"), ("clientId", name)]).await;
    }
    assert_eq!(viewer.message().await.topic.unwrap().as_str(), "will/lost", "and none of `polite` before it");
}

/// A translation is logged once a connection, however often it happens.
#[tokio::test]
async fn a_translation_is_logged_once_and_counted_each_time() {
    let site = Site::with("[rules]\nmax_payload_bytes = 3").await;
    let mut device = site.device(Version::V311, "hall-1").await;
    for _ in 0..5 {
        assert!(
            device.publish("hall-1/a", "four", QoS::AtLeastOnce).await.is_some(),
            "acknowledged and dropped"
        );
    }
    device.ping().await;
    drop(device);
    site.bridge.logged(&[("eventType", "Disconnect")]).await;
    let lines = site.bridge.lines();
    assert_eq!(lines.iter().filter(|line| line["reason"] == "OVERSIZE").count(), 1, "{lines:?}");
    let stream = tokio::net::TcpStream::connect(site.bridge.address("status")).await.unwrap();
    let text = super::http_get(stream, "/metrics").await;
    assert!(text.contains("latchkey_bridge_translations_total{kind=\"OVERSIZE\"} 5"), "{text}");
}
