//! What a connected client may send, what it gets, and what ends its connection.

mod limits;
mod malformed;
mod messages;
mod retained;
mod will;

use integration::{
    mqtt_client::{MqttClient, connect},
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Packet, Publish, PublishProperties, QoS, Version};

const BOTH: [Version; 2] = [Version::V311, Version::V5];

/// A client that subscribes to `filter` with QoS 1.
async fn subscriber(gateway: &TestGateway, version: Version, id: &str, filter: &str) -> MqttClient {
    let mut client = MqttClient::anybody(gateway, version, id).await;
    client.subscribe(&[filter], QoS::AtLeastOnce).await.unwrap();
    client
}

/// A retained message; one without payload takes the retained message away.
fn retained(topic: &str, payload: &str) -> Packet {
    Packet::Publish(Publish { retain: true, ..message(topic, payload) })
}

fn message(topic: &str, payload: &str) -> Publish {
    Publish::new(topic.parse().unwrap(), payload.to_owned())
}

fn with_properties(publish: Publish, change: impl FnOnce(&mut PublishProperties)) -> Publish {
    let mut properties = PublishProperties::default();
    change(&mut properties);
    Publish { properties: Some(properties.into()), ..publish }
}
