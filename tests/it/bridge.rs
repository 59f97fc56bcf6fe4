//! `latchkey bridge` between devices without TLS or ALPN and a gateway with the real authorizer.

mod bad_input;
mod clients;
mod identity;
mod outage;
mod translation;
mod upstream;

use std::net::SocketAddr;

use integration::{
    bridge_process::{BridgeProcess, settings},
    eventually::within,
    mqtt_client::{MqttClient, connect},
    test_gateway::{Start, TestGateway},
};
use mqtt::{ConnectReasonCode, Version};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A gateway with the real authorizer, and a bridge in front of it.
struct Site {
    gateway: TestGateway,
    bridge: BridgeProcess,
    folder: TempDir,
}

impl Site {
    async fn new() -> Self {
        Self::with("").await
    }

    /// With these settings besides.
    async fn with(more: &str) -> Self {
        let levels = serde_json::json!({"event_log_levels": {"Publish-In": "INFO"}});
        let start = Start::with_authorizer();
        let start = start.with(|settings| settings.logging = serde_json::from_value(levels).unwrap());
        let gateway = start.run().await;
        let folder = tempfile::tempdir().unwrap();
        let bridge = BridgeProcess::start(folder.path(), &settings(&gateway, more)).await;
        Self { gateway, bridge, folder }
    }

    /// A new device of the gateway that is connected over the bridge.
    async fn device(&self, version: Version, name: &str) -> MqttClient<TcpStream> {
        let password = self.gateway.add(name, "own-topics");
        plain(self.bridge.mqtt(), version, name, &password).await
    }
}

/// A device that is connected without TLS. Its name is its client id too.
async fn plain(address: SocketAddr, version: Version, name: &str, password: &str) -> MqttClient<TcpStream> {
    let (client, ack) = MqttClient::plain(address, connect(version, name, name, password)).await;
    assert_eq!(ack.map(|ack| ack.code), Some(ConnectReasonCode::Success), "{name}");
    client
}

/// The whole answer to a request of a script on this machine.
async fn http_get(mut stream: TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await.unwrap();
    answer
}
