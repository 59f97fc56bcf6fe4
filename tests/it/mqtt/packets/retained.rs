//! Retained messages.

use mqtt::{RetainHandling, Subscribe, SubscribeFilter};

use super::*;

async fn keep(gateway: &TestGateway, topic: &str, payload: &str) {
    let mut sender = MqttClient::anybody(gateway, Version::V311, "sender").await;
    sender.send(retained(topic, payload)).await;
    sender.ping().await;
}

#[tokio::test]
async fn a_new_subscriber_gets_the_last_retained_message_with_the_retain_flag() {
    let gateway = TestGateway::open_to_all().await;
    keep(&gateway, "t/1", "old").await;
    keep(&gateway, "t/1", "new").await;
    keep(&gateway, "other", "lost").await;
    for version in BOTH {
        let mut reader = subscriber(&gateway, version, "reader", "t/1").await;
        let message = reader.message().await;
        assert_eq!((&message.payload[..], message.retain, message.qos), (&b"new"[..], true, QoS::AtMostOnce));
        reader.ping().await;
    }
}

#[tokio::test]
async fn a_subscription_with_a_wildcard_gets_no_retained_message_and_every_later_one() {
    let gateway = TestGateway::open_to_all().await;
    keep(&gateway, "t/1", "kept").await;
    for version in BOTH {
        for filter in ["t/+", "+/1", "t/#", "#"] {
            let mut reader = subscriber(&gateway, version, "reader", filter).await;
            reader.ping().await;
            keep(&gateway, "t/1", filter).await;
            let message = reader.message().await;
            assert_eq!((&message.payload[..], message.retain), (filter.as_bytes(), false));
        }
    }
}

#[tokio::test]
async fn a_present_subscriber_gets_a_retained_message_without_the_retain_flag() {
    let gateway = TestGateway::open_to_all().await;
    let mut reader = subscriber(&gateway, Version::V5, "reader", "t").await;
    let mut as_published = MqttClient::anybody(&gateway, Version::V5, "as-published").await;
    let filter = SubscribeFilter {
        retain_as_published: true,
        ..SubscribeFilter::new("t".parse().unwrap(), QoS::AtMostOnce)
    };
    as_published.send(request(filter)).await;
    assert!(matches!(as_published.receive().await, Some(Packet::SubAck(_))));
    keep(&gateway, "t", "x").await;
    assert!(!reader.message().await.retain);
    assert!(as_published.message().await.retain);
}

#[tokio::test]
async fn an_empty_payload_removes_the_retained_message() {
    let gateway = TestGateway::open_to_all().await;
    keep(&gateway, "t", "x").await;
    let mut watcher = subscriber(&gateway, Version::V5, "watcher", "t").await;
    assert_eq!(watcher.message().await.payload, "x");
    keep(&gateway, "t", "").await;
    assert_eq!(watcher.message().await.payload, "", "who subscribes already is told");
    subscriber(&gateway, Version::V5, "reader", "t").await.ping().await;
}

#[tokio::test]
async fn a_message_without_retain_leaves_the_retained_one_alone() {
    let gateway = TestGateway::open_to_all().await;
    keep(&gateway, "t", "kept").await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    for payload in ["passing", ""] {
        sender.publish("t", payload, QoS::AtLeastOnce).await.unwrap();
    }
    let mut reader = subscriber(&gateway, Version::V5, "reader", "t").await;
    assert_eq!(reader.message().await.payload, "kept");
}

#[tokio::test]
async fn retain_handling_decides_when_mqtt_5_gets_retained_messages() {
    let gateway = TestGateway::open_to_all().await;
    keep(&gateway, "t", "x").await;
    let cases = [
        (RetainHandling::Send, [true, true]),
        (RetainHandling::SendIfNew, [true, false]),
        (RetainHandling::DoNotSend, [false, false]),
    ];
    for (retain_handling, sent) in cases {
        let mut reader = MqttClient::anybody(&gateway, Version::V5, "reader").await;
        for sent in sent {
            let filter = SubscribeFilter::new("t".parse().unwrap(), QoS::AtMostOnce);
            reader.send(request(SubscribeFilter { retain_handling, ..filter })).await;
            assert!(matches!(reader.receive().await, Some(Packet::SubAck(_))));
            if sent {
                assert_eq!(reader.message().await.payload, "x", "{retain_handling:?}");
            }
            reader.ping().await;
        }
    }
}

fn request(filter: SubscribeFilter) -> Packet {
    Packet::Subscribe(Subscribe::new(std::num::NonZeroU16::MIN, vec![filter]))
}
