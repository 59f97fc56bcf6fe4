//! Each device has its own identity, credentials and scope, as without the bridge.

use integration::{
    devices,
    mqtt_client::{MqttClient, connect},
};
use mqtt::{ConnectReasonCode, QoS, Version};
use serde_json::json;

use super::{Site, plain};

const BOTH: [Version; 2] = [Version::V311, Version::V5];

#[tokio::test]
async fn two_devices_on_one_bridge_have_two_identities_and_scopes() {
    let site = Site::new().await;
    for (version, names) in BOTH.into_iter().zip([["a-1", "a-2"], ["b-1", "b-2"]]) {
        let mut devices = Vec::new();
        for name in names {
            devices.push(site.device(version, name).await);
            let connected = [("eventType", "Connect"), ("status", "Success"), ("clientId", name)];
            let line = site.gateway.logged_with(&connected).await;
            assert_eq!(line["door"]["alpn"], "mqtt");
        }
        let [first, second] = devices.as_mut_slice() else { panic!("two") };
        for (device, own, other) in [(first, names[0], names[1]), (second, names[1], names[0])] {
            let filter = format!("{own}/#");
            device.subscribe(&[&filter], QoS::AtLeastOnce).await.unwrap();
            let topic = format!("{own}/temperature");
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
                if qos == QoS::AtLeastOnce {
                    // The acknowledgement and the message may come in any order, so the answer is not waited for.
                    let mut message = mqtt::Publish::new(topic.parse().unwrap(), "21.5");
                    (message.qos, message.packet_id) = (qos, std::num::NonZeroU16::new(9));
                    device.send(mqtt::Packet::Publish(message)).await;
                    let got = [device.receive().await, device.receive().await];
                    let acknowledged =
                        got.iter().flatten().any(|packet| matches!(packet, mqtt::Packet::PubAck(_)));
                    let delivered =
                        got.iter().flatten().any(|packet| matches!(packet, mqtt::Packet::Publish(_)));
                    assert!(acknowledged && delivered, "{got:?}");
                } else {
                    device.publish(&topic, "21.5", qos).await;
                    assert_eq!(device.message().await.payload, "21.5");
                }
            }
            let answer = device.publish(&format!("{other}/temperature"), "1", QoS::AtLeastOnce).await;
            match version {
                Version::V311 => assert_eq!(answer, None, "AWS ends the connection"),
                Version::V5 => assert_eq!(answer.unwrap().code, mqtt::PubAckCode::NotAuthorized),
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_tried_again_and_again() {
    let site = Site::new().await;
    let right = site.gateway.add("hall-1", "own-topics");
    for (version, code) in BOTH.into_iter().zip([ConnectReasonCode::NotAuthorized; 2]) {
        for _ in 0..5 {
            let wrong = connect(version, "hall-1", "hall-1", "wrong");
            let (_, ack) = MqttClient::plain(site.bridge.mqtt(), wrong).await;
            assert_eq!(ack.unwrap().code, code, "{version:?}");
        }
    }
    let decisions = site.gateway.log.lines().into_iter().filter(|line| line["event"] == "decision").count();
    assert_eq!(decisions, 1, "the same credentials are asked once");
    let line = site.bridge.logged(&[("eventType", "Connect"), ("reason", "REFUSED")]).await;
    assert!(line["explanation"].as_str().unwrap().contains("a wrong password"), "{line}");
    plain(site.bridge.mqtt(), Version::V311, "hall-1", &right).await;
    let written = site.bridge.written();
    assert!(!written.contains(&right) && !written.contains("\"wrong\""), "{written}");
}

#[tokio::test]
async fn a_disabled_device_and_another_ones_client_id_are_refused() {
    let site = Site::new().await;
    let (one, other) = (site.gateway.add("one", "own-topics"), site.gateway.add("other", "own-topics"));
    devices::disable(site.gateway.folder.path(), "one");
    let refused =
        |client_id: &str, name: &str, password: &str| connect(Version::V5, client_id, name, password);
    for attempt in [refused("one", "one", &one), refused("one", "other", &other)] {
        let (_, ack) = MqttClient::plain(site.bridge.mqtt(), attempt).await;
        let ack = ack.unwrap();
        assert_eq!(ack.code, ConnectReasonCode::NotAuthorized);
        assert!(ack.properties.reason_string.unwrap().contains("not authenticated"), "AWS's own words");
    }
    plain(site.bridge.mqtt(), Version::V5, "other", &other).await;
}

#[tokio::test]
async fn a_second_connection_with_a_client_id_takes_it_over() {
    let site = Site::new().await;
    let password = site.gateway.add("hall-1", "own-topics");
    for version in BOTH {
        let mut first = plain(site.bridge.mqtt(), version, "hall-1", &password).await;
        let _second = plain(site.bridge.mqtt(), version, "hall-1", &password).await;
        match version {
            Version::V311 => first.closed().await,
            Version::V5 => assert_eq!(first.ended().await, Some(0x8e)),
        }
    }
}

#[tokio::test]
async fn a_client_id_that_aws_refuses_is_another_one_there_and_is_listed() {
    let site = Site::with("[client_ids]\n\"sensor 1\" = \"hall-1\"").await;
    let password = site.gateway.add("hall-1", "own-topics");
    let connect = connect(Version::V311, "sensor 1", "hall-1", &password);
    let (mut device, ack) = MqttClient::plain(site.bridge.mqtt(), connect).await;
    assert_eq!(ack.unwrap().code, ConnectReasonCode::Success);
    assert!(device.publish("hall-1/a", "x", QoS::AtLeastOnce).await.is_some());
    let values = [("eventType", "Connect"), ("clientId", "sensor 1"), ("upstreamClientId", "hall-1")];
    site.bridge.logged(&values).await;
    site.bridge.logged(&[("eventType", "Translation"), ("reason", "CLIENT_ID")]).await;
    let stream = tokio::net::TcpStream::connect(site.bridge.address("status")).await.unwrap();
    let answer = super::http_get(stream, "/client-ids").await;
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let body = serde_json::from_str::<serde_json::Value>(body).unwrap();
    assert_eq!(body, json!({"sensor 1": "hall-1"}));
}
