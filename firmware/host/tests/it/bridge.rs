//! Through `latchkey bridge`, without ALPN, into the real gateway with the real authorizer.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use app::configuration::partition::Key;
use serde_json::Value;

use crate::device::Device;
use crate::gateway_process::{Gateway, program};
use crate::tls_server::Signer;
use crate::{reading, time_server};

/// A running bridge with this certificate. Dropping it kills the process.
struct Bridge {
    process: Child,
    /// Where it speaks MQTT over TLS.
    port: u64,
    _folder: tempfile::TempDir,
}

impl Bridge {
    fn start(gateway: &Gateway, certificate: &Signer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("bridge.pem"), certificate.pem()).unwrap();
        fs::write(folder.path().join("bridge.key"), certificate.key_pem()).unwrap();
        let settings = format!(
            "endpoints = [\"{}\"]\nca = '{}'\nauthorizer = \"latchkey\"\n[ports]\nmqtt = \"off\"\nmqtts = 0\n\
             status = \"off\"\n[tls]\ncertificate = \"bridge.pem\"\nkey = \"bridge.key\"\n",
            gateway.endpoint(),
            gateway.ca().display(),
        );
        fs::write(folder.path().join("latchkey-bridge.toml"), settings).unwrap();
        let mut process = Command::new(program("latchkey-bridge"))
            .args(["--json", "--stop-with-stdin"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let greeting: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let address = greeting["addresses"]["mqtts"].as_str().unwrap();
        let port = address.rsplit(':').next().unwrap().parse().unwrap();
        // Keep reading, so that the bridge never waits for a full pipe.
        thread::spawn(move || lines.for_each(drop));
        Self { process, port, _folder: folder }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

#[tokio::test]
async fn readings_arrive_without_alpn_and_a_wrong_password_is_refused() {
    let gateway = Gateway::start();
    let mut viewer = gateway.viewer().await;
    let root = Signer::root();
    let bridge = Bridge::start(&gateway, &root.leaf(|_| {}));
    let mut entries = gateway.add_device("sht20", "sht20", time_server::correct());
    for (key, value) in [
        (Key::Port, bridge.port.to_string()),
        (Key::Ca, root.pem()),
        (Key::Alpn, "off".to_owned()),
        // The bridge names it.
        (Key::Authorizer, String::new()),
    ] {
        entries.set(key, value);
    }
    let mut device = Device::start(gateway.folder(), &entries);
    for topic in ["sensor/sht20/temperature", "sensor/sht20/humidity"] {
        reading::wait_for(&mut viewer, topic, 0).await;
    }
    device.wait_for_line("mqtt: sent sensor/sht20/humidity");
    for stage in ["tls: verified localhost", "mqtt: connected as sht20"] {
        assert!(device.printed().contains(stage), "{stage} in {}", device.printed());
    }
    drop(device);
    entries.set(Key::Secret, "another password");
    let mut device = Device::start(gateway.folder(), &entries);
    let line = device.wait_for_line("ERROR");
    assert!(line.contains("mqtt: the server refused the connection: not authorized"), "{line}");
    // The certificate is checked as ever.
    entries.set(Key::Ca, Signer::root().pem());
    let mut device = Device::start(gateway.folder(), &entries);
    let line = device.wait_for_line("ERROR");
    assert!(line.contains("tls: the server's certificate does not chain to `ca`"), "{line}");
}
