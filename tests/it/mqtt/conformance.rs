//! The statements of MQTT 3.1.1 and MQTT 5, byte by byte; docs/conformance.md says which test shows which.
//!
//! A test is named after the statement, or has its number before it; `5:` and `3.1.1:` say of which version it is.

mod bad_input;
mod connect;
mod delivery;
mod index;
mod publish;
mod session;
mod subscribe;

use integration::{
    mqtt_client::{self, MqttClient, connect},
    refusal::without_reason_strings,
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, Packet, PubAck, PubAckCode, Publish, QoS, Version};

const BOTH: [Version; 2] = [Version::V311, Version::V5];
const DISCONNECT: &[u8] = b"\xe0\x00";
const PINGREQ: &[u8] = b"\xc0\x00";
const PINGRESP: &[u8] = b"\xd0\x00";

async fn gateway() -> TestGateway {
    Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock().run().await
}

/// Everything that the gateway answers to these bytes from a connected client, and to the DISCONNECT after them, without
/// reason strings.
async fn answers(gateway: &TestGateway, version: Version, bytes: &[u8]) -> Vec<u8> {
    let mut client = MqttClient::anybody(gateway, version, "answers").await;
    client.send_bytes(&[bytes, DISCONNECT].concat()).await;
    without_reason_strings(&client.rest().await)
}

/// All that the gateway answers to these bytes from a client that was not heard before, without reason strings.
async fn first_answers(gateway: &TestGateway, bytes: &[u8]) -> Vec<u8> {
    let mut client = MqttClient::open(gateway, Version::V5).await;
    client.send_bytes(bytes).await;
    without_reason_strings(&client.rest().await)
}

/// A packet with this first byte.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128, "one byte of length");
    [&[first, u8::try_from(body.len()).unwrap()], body].concat()
}

/// A CONNECT that goes on with its session, and wants it kept for five minutes where it can say so.
fn persistent(version: Version, id: &str) -> Connect {
    mqtt_client::persistent(version, id, 300)
}

async fn subscriber(gateway: &TestGateway, version: Version, id: &str, filter: &str) -> MqttClient {
    let mut client = MqttClient::anybody(gateway, version, id).await;
    client.subscribe(&[filter], QoS::AtLeastOnce).await.unwrap();
    client
}

/// Publishes with QoS 1 from a client of its own.
async fn publish(gateway: &TestGateway, topic: &str, payload: &str) {
    let mut sender = MqttClient::anybody(gateway, Version::V5, "sender").await;
    sender.publish(topic, payload, QoS::AtLeastOnce).await.unwrap();
}

async fn keep(gateway: &TestGateway, topic: &str, payload: &str) {
    let message = Publish { retain: true, ..Publish::new(topic.parse().unwrap(), payload.to_owned()) };
    let mut sender = MqttClient::anybody(gateway, Version::V5, "keeper").await;
    sender.send(Packet::Publish(message)).await;
    sender.ping().await;
}

/// The payload of the next message, which is acknowledged if it asks for that.
async fn take(client: &mut MqttClient) -> String {
    let message = client.message().await;
    if message.qos == QoS::AtLeastOnce {
        client.acknowledge(&message).await;
    }
    String::from_utf8(message.payload.to_vec()).unwrap()
}

/// Waits for the line about the end of this client's connection.
async fn ended(gateway: &TestGateway, id: &str) -> String {
    let line = gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", id)]).await;
    line["reason"].as_str().unwrap().to_owned()
}

async fn refuse(client: &mut MqttClient, message: &Publish) {
    let ack = PubAck::new(message.packet_id.unwrap(), PubAckCode::UnspecifiedError);
    client.send(Packet::PubAck(ack)).await;
}
