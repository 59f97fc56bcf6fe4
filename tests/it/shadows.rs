//! Device shadows: requests over MQTT and HTTPS, the answers, and what outlives the process. What follows from a request's
//! content is in `gateway/src/shadow/tests`.

mod durability;
mod https;
mod messages;

use integration::{
    mqtt_client::{MqttClient, Reachable},
    test_gateway::TestGateway,
};
use mqtt::{Packet, QoS, Version};
use serde_json::{Value, json};

const BOTH: [Version; 2] = [Version::V311, Version::V5];
const CLASSIC: &str = "$aws/things/lamp/shadow";
const NAMED: &str = "$aws/things/lamp/shadow/name/color";

/// A client that gets the answers to all requests for one shadow.
struct Watcher {
    client: MqttClient,
    prefix: String,
}

impl Watcher {
    async fn new(gateway: &TestGateway, prefix: &str) -> Self {
        let id = format!("watcher-{}", prefix.replace('/', "-"));
        let mut client = MqttClient::anybody(gateway, Version::V5, &id).await;
        client.subscribe(&[&format!("{prefix}/+/+")], QoS::AtMostOnce).await.unwrap();
        Self { client, prefix: prefix.to_owned() }
    }

    /// The next answer: the levels of its topic after the prefix, and its payload.
    async fn answer(&mut self) -> (String, Value) {
        let message = self.client.message().await;
        let topic = message.topic.as_ref().unwrap().as_str();
        let levels = topic.strip_prefix(&*self.prefix).unwrap().trim_start_matches('/').to_owned();
        (levels, serde_json::from_slice(&message.payload).unwrap())
    }

    /// The next answer, with the time in it replaced by 0 where it says when it was sent.
    async fn timeless(&mut self) -> (String, Value) {
        let (levels, mut body) = self.answer().await;
        if let Some(timestamp) = body.get_mut("timestamp") {
            *timestamp = json!(0);
        }
        (levels, body)
    }
}

/// Publishes a request, and waits for its PUBACK.
async fn request(client: &mut MqttClient, topic: &str, payload: &str) {
    client.publish(topic, payload, QoS::AtLeastOnce).await.unwrap();
}

/// The document and the version of a shadow, by a `get` of a client that gets the answer; nothing if there is none.
async fn document(gateway: &impl Reachable, prefix: &str) -> Option<(Value, u64)> {
    let connect = integration::mqtt_client::connect(Version::V5, "reader", "u", "p");
    let (mut client, ack) = MqttClient::connect(gateway, connect).await;
    assert!(ack.is_some());
    client.subscribe(&[&format!("{prefix}/get/+")], QoS::AtMostOnce).await.unwrap();
    client.publish(&format!("{prefix}/get"), "", QoS::AtMostOnce).await;
    let message = client.message().await;
    client
        .send(Packet::Disconnect(mqtt::Disconnect::new(mqtt::DisconnectReasonCode::NormalDisconnection)))
        .await;
    let body = serde_json::from_slice::<Value>(&message.payload).unwrap();
    if body["code"] == 404 {
        return None;
    }
    Some((body["state"].clone(), body["version"].as_u64().unwrap()))
}
