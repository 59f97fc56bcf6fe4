//! `mosquitto_pub` and `mosquitto_sub`, devices that present a certificate with them, and the broker `mosquitto`.

use std::path::{Path, PathBuf};

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

/// A local broker, which its clients reach by a socket in the file system. Dropping it kills it.
pub struct Broker {
    _running: Running,
    socket: PathBuf,
}

impl Broker {
    /// Starts it with this configuration, which has a listener on the socket.
    pub fn start(folder: &Path, configuration: &str, socket: PathBuf) -> Self {
        let file = folder.join("mosquitto.conf");
        // Started by root it would change its user, and could not read the test's files.
        std::fs::write(&file, format!("{configuration}user root\n")).unwrap();
        // Debian has it where a user's PATH may not lead.
        let installed = Path::new("/usr/sbin/mosquitto");
        let mut command = Command::new(if installed.exists() { installed } else { Path::new("mosquitto") });
        command.arg("-c").arg(file);
        Self { _running: Running::start(command), socket }
    }

    /// `mosquitto_pub`, about to publish one message at QoS 1.
    pub fn publish(&self, topic: &str, message: &str) -> Running {
        self.client("mosquitto_pub", &["-t", topic, "-m", message, "-q", "1"])
    }

    /// `mosquitto_sub`, which ends after the first message, whose topic and payload it shows.
    pub fn subscribe(&self, filter: &str) -> Running {
        self.client("mosquitto_sub", &["-t", filter, "-C", "1", "-F", "%t %p"])
    }

    fn client(&self, program: &str, arguments: &[&str]) -> Running {
        let mut command = Command::new(program);
        command.arg("--unix").arg(&self.socket).args(arguments);
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
