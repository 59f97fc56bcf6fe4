//! What a person reads about connections: the terminal, and the story that `latchkey why` tells from the log.

mod terminal;
mod why;

use integration::{
    gateway_process::GatewayProcess,
    mqtt_client::{MqttClient, connect},
};
use mqtt::{Connect, Version};

fn v5(client_id: &str, user_name: &str, password: &str) -> Connect {
    connect(Version::V5, client_id, user_name, password)
}

/// Connects, and waits until the server has ended the connection.
async fn refused(gateway: &GatewayProcess, connect: Connect) {
    let (mut client, ack) = MqttClient::connect(gateway, connect).await;
    assert!(ack.is_none_or(|ack| u8::from(ack.code) >= 0x80));
    client.closed().await;
}
