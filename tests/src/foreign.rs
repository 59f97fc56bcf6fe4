//! Clients that were not written here: mosquitto's programs, and libraries by scripts of ours.

pub mod mosquitto;
pub mod script;

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{device_certificate::DeviceCertificate, running::Running, test_gateway::TestGateway};

/// A device's connection as a foreign client makes it.
#[derive(Clone)]
pub struct Device {
    /// Where the gateway listens, on `localhost`.
    pub port: u16,
    /// The only CA to trust.
    pub ca: PathBuf,
    /// The ALPN protocol to offer, if any.
    pub alpn: Option<&'static str>,
    /// Whether paho-mqtt speaks MQTT over WebSocket.
    pub websocket: bool,
    /// The client id.
    pub client_id: String,
    /// The user name.
    pub user_name: String,
    /// The password, any bytes.
    pub password: Vec<u8>,
}

/// A certificate and its key as foreign clients take them: two PEM files.
#[derive(Clone)]
pub struct CertificateFiles {
    /// The certificate's.
    pub certificate: PathBuf,
    /// The key's.
    pub key: PathBuf,
}

/// A version of MQTT, as foreign clients call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.
    V5,
}

/// Both versions.
pub const BOTH: [Version; 2] = [Version::V311, Version::V5];

impl Device {
    /// A device that comes in by the right door, with the user name that SDKs make of its own.
    pub fn new(gateway: &TestGateway, name: &str, password: impl Into<Vec<u8>>) -> Self {
        Self {
            port: gateway.address.port(),
            ca: gateway.ca(),
            alpn: Some("mqtt"),
            websocket: false,
            client_id: name.to_owned(),
            user_name: format!("{name}?x-amz-customauthorizer-name=latchkey&SDK=Test&Platform=(none)"),
            password: password.into(),
        }
    }

    /// The same device over WebSocket, as clients do that: without ALPN.
    #[must_use]
    pub fn over_websocket(self) -> Self {
        Self { alpn: None, websocket: true, ..self }
    }

    /// `mosquitto_pub`, about to publish one message.
    pub fn mosquitto_pub(&self, version: Version, topic: &str, message: &str, qos: u8) -> Running {
        let mut command = self.mosquitto("mosquitto_pub", version);
        command.args(["-t", topic, "-m", message, "-q", &qos.to_string()]);
        Running::start(command)
    }

    /// `mosquitto_sub`, which shows each message as its topic and payload.
    pub fn mosquitto_sub(&self, version: Version, filter: &str, more: &[&str]) -> Running {
        let mut command = self.mosquitto("mosquitto_sub", version);
        command.args(["-t", filter, "-q", "1", "-F", "%t %p"]).args(more);
        Running::start(command)
    }

    /// paho-mqtt, and what happened to it: one JSON value for each event.
    pub async fn paho(&self, version: Version, actions: &[Value]) -> Vec<Value> {
        let task = json!({
            "host": "localhost",
            "port": self.port,
            "ca": self.ca,
            "alpn": self.alpn,
            "client_id": self.client_id,
            "user_name": self.user_name,
            "password": STANDARD.encode(&self.password),
            "version": version.paho(),
            "transport": if self.websocket { "websockets" } else { "tcp" },
            "actions": actions,
        });
        let mut running = Running::start(script::in_python("paho_client.py"));
        running.input(task.to_string().as_bytes()).await;
        let finished = running.finish().await;
        assert_eq!(finished.code, Some(0), "{}{}", finished.out(), finished.err());
        finished.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn mosquitto(&self, program: &str, version: Version) -> Command {
        let password = std::str::from_utf8(&self.password).expect("mosquitto takes passwords that are text");
        let mut command = mosquitto::command(program, version, self.port, &self.ca);
        command.args(["-i", &self.client_id, "-u", &self.user_name, "-P", password]);
        if let Some(alpn) = self.alpn {
            command.args(["--tls-alpn", alpn]);
        }
        command
    }
}

impl CertificateFiles {
    /// Writes them, under this name.
    pub fn write(certificate: &DeviceCertificate, folder: &Path, name: &str) -> Self {
        certificate.write(folder, name);
        Self { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) }
    }
}

impl Version {
    fn paho(self) -> u8 {
        match self {
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }
}
