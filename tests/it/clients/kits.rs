//! The configurations of `latchkey fleet kit`, run as they are printed.

use std::{fs, path::PathBuf};

use integration::{
    devices,
    foreign::{mosquitto::Broker, script},
    programs::program,
    running::{Finished, Running},
    test_gateway::TestGateway,
};
use tokio::process::Command;

use super::gateway;

const PASSWORD: &str = "it's a \"pass\\word\"";

struct Kits {
    gateway: TestGateway,
}

impl Kits {
    async fn new() -> Self {
        let gateway = gateway().await;
        devices::add(gateway.folder.path(), "hall-1", "own-topics", PASSWORD.as_bytes());
        Self { gateway }
    }

    async fn kit(&self, platform: &str, more: &[&str]) -> Finished {
        let mut command = Command::new(program("latchkey"));
        command.args(["fleet", "--store", "devices.json", "kit", "hall-1", "--for", platform]);
        command.args(["--endpoint", &format!("localhost:{}", self.gateway.address.port())]);
        command.arg("--ca").arg(self.gateway.ca()).args(more).current_dir(self.gateway.folder.path());
        let finished = Running::start(command).finish().await;
        assert_eq!(finished.code, Some(0), "{}", finished.err());
        finished
    }

    /// Writes a printed kit to a file.
    async fn written(&self, platform: &str, name: &str) -> PathBuf {
        let path = self.gateway.folder.path().join(name);
        let text = self.kit(platform, &[]).await.out();
        assert!(!text.contains("pass\\"), "{text}");
        fs::write(&path, text).unwrap();
        path
    }

    async fn connects(&self, mut command: Command) {
        let finished = Running::start({
            command.env("LATCHKEY_PASSWORD", PASSWORD);
            command
        });
        let finished = finished.finish().await;
        assert_eq!(finished.code, Some(0), "{}{}", finished.out(), finished.err());
        let connected = [("eventType", "Connect"), ("status", "Success"), ("clientId", "hall-1")];
        self.gateway.logged_with(&connected).await;
    }
}

#[tokio::test]
async fn kits_for_python_connect_as_they_are_printed() {
    for platform in ["paho", "awsiotsdk"] {
        let kits = Kits::new().await;
        let mut command = Command::new(script::python());
        command.arg(kits.written(platform, "kit.py").await);
        kits.connects(command).await;
    }
}

#[tokio::test]
async fn kit_for_mqtt_js_connects_as_it_is_printed() {
    let kits = Kits::new().await;
    let mut command = script::in_node("mqtt_js.js");
    // The packages of that script, and this one in its place.
    let path = kits.written("mqttjs", "kit.js").await;
    let modules =
        command.as_std().get_envs().find(|(name, _)| *name == "NODE_PATH").unwrap().1.unwrap().to_owned();
    command = Command::new("node");
    command.arg(path).env("NODE_PATH", modules);
    kits.connects(command).await;
}

#[tokio::test]
async fn kit_for_a_mosquitto_bridge_passes_messages() {
    let kits = Kits::new().await;
    let folder = kits.gateway.folder.path();
    // A bridge's password can't have a blank or a quote.
    devices::add(folder, "hall-2", "own-topics", b"plain");
    let row = "device,client_id,user_name,password\nhall-2,hall-2,hall-2,plain\n";
    fs::write(folder.join("passwords.csv"), row).unwrap();
    let mut command = Command::new(program("latchkey"));
    command.args(["fleet", "--store", "devices.json", "kit", "hall-2", "--for", "mosquitto-bridge"]);
    command.args(["--endpoint", &format!("localhost:{}", kits.gateway.address.port()), "--credentials"]);
    command.args(["passwords.csv", "--with-secret", "bridge.conf", "--ca"]).arg(kits.gateway.ca());
    let written = Running::start({
        command.current_dir(folder);
        command
    });
    let written = written.finish().await;
    assert_eq!((written.code, written.out().as_str()), (Some(0), ""), "{}", written.err());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder.join("bridge.conf")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let socket = folder.join("local.sock");
    let kit = fs::read_to_string(folder.join("bridge.conf")).unwrap();
    let text = format!("{kit}listener 0 {}\nallow_anonymous true\n", socket.display());
    let broker = Broker::start(folder, &text, socket);
    kits.gateway
        .logged_with(&[("eventType", "Connect"), ("status", "Success"), ("clientId", "hall-2")])
        .await;
    let sent = broker.publish("hall-2/hello", "21.5").finish().await;
    assert_eq!((sent.code, &*sent.err()), (Some(0), ""));
}

#[tokio::test]
async fn kit_for_c_compiles() {
    let kits = Kits::new().await;
    let header = kits.written("c-header", "kit.h").await;
    let main = header.with_file_name("main.c");
    let code = "#include <string.h>\n#define DEVICE_PASSWORD \"p\"\n#include \"kit.h\"\nint main(void) {\n\
        return strlen(LATCHKEY_CA_PEM) < 1 || strcmp(LATCHKEY_CLIENT_ID, \"hall-1\") || LATCHKEY_PORT < 1 ||\n\
        strlen(LATCHKEY_PASSWORD) != 1;\n}\n";
    fs::write(&main, code).unwrap();
    let program = header.with_file_name("kit");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program).arg(&main);
    let finished = Running::start(compiler).finish().await;
    assert_eq!(finished.code, Some(0), "{}", finished.err());
    assert_eq!(Running::start(Command::new(program)).finish().await.code, Some(0));
}

#[tokio::test]
async fn what_a_platform_cannot_do_is_said() {
    let kits = Kits::new().await;
    for (platform, has_alpn) in [
        ("esp-idf", true),
        ("arduino", true),
        ("micropython", false),
        ("tasmota", true),
        ("esphome", false),
        ("zigbee2mqtt", false),
        ("mqttx", true),
        ("sim7600", false),
        ("bg96", false),
    ] {
        let finished = kits.kit(platform, &[]).await;
        let text = finished.out();
        assert_ne!(
            finished.err().contains("can't offer an ALPN protocol"),
            has_alpn,
            "{platform}: {}",
            finished.err()
        );
        assert!(!finished.err().contains("\\u000a"), "{platform}: {}", finished.err());
        for part in ["localhost", "hall-1?x-amz-customauthorizer-name=latchkey"] {
            assert!(text.contains(part), "{platform} lacks {part}: {text}");
        }
        let is_filled = !text.contains("@\"") && !text.contains("@'");
        assert!(is_filled && !text.contains("pass\\"), "{platform}: {text}");
        let without = kits.kit(platform, &["--alpn", "none"]).await;
        assert!(!without.err().contains("can't offer"), "{platform}: {}", without.err());
        assert!(!without.out().to_lowercase().contains("alpn"), "{platform}: {}", without.out());
    }
}
