//! `mosquitto_pub` and `mosquitto_sub`, and devices that present a certificate with them.

use std::path::Path;

use tokio::process::Command;

use super::{CertificateFiles, Version};
use crate::{running::Running, test_gateway::TestGateway};

/// A device's connection with a client certificate, or without any.
#[derive(Clone, Copy)]
pub struct CertificateDevice<'a> {
    /// Where the gateway listens, on `localhost`.
    pub port: u16,
    /// The ALPN protocol to offer, if any.
    pub alpn: Option<&'static str>,
    /// The client id.
    pub client_id: &'a str,
    /// What it shows.
    pub certificate: Option<&'a CertificateFiles>,
}

impl CertificateDevice<'_> {
    /// `mosquitto_pub`, about to publish one message at QoS 1.
    pub fn mosquitto_pub(
        &self,
        gateway: &TestGateway,
        version: Version,
        topic: &str,
        message: &str,
    ) -> Running {
        let mut command = command("mosquitto_pub", version, self.port, &gateway.ca());
        command.args(["-i", self.client_id, "-t", topic, "-m", message, "-q", "1"]);
        if let Some(paths) = self.certificate {
            command.arg("--cert").arg(&paths.certificate).arg("--key").arg(&paths.key);
        }
        if let Some(alpn) = self.alpn {
            command.args(["--tls-alpn", alpn]);
        }
        Running::start(command)
    }
}

/// One of mosquitto's programs, with what every connection needs.
pub(super) fn command(program: &str, version: Version, port: u16, ca: &Path) -> Command {
    let version = match version {
        Version::V311 => "mqttv311",
        Version::V5 => "mqttv5",
    };
    let mut command = Command::new(program);
    command.args(["-h", "localhost", "-p", &port.to_string(), "-V", version, "--cafile"]).arg(ca);
    command
}
