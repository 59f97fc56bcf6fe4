//! The configurations of `latchkey fleet kit`, run as they are printed.

use std::{fs, path::PathBuf};

use integration::{
    devices,
    foreign::{Device, Version, mosquitto::Broker, script},
    programs::program,
    running::{Finished, Running},
    test_gateway::TestGateway,
};
use serde_json::json;
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
    devices::add(folder, "hall-2", "sht20", b"plain");
    devices::add_viewer(folder, "viewer", b"a password for the viewer");
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
    let viewer = Device::new(&kits.gateway, "viewer", "a password for the viewer");
    let subscriber = viewer.mosquitto_sub(Version::V311, "sensor/+/temperature", &["-C", "1"]);
    // Nothing tells from outside when it has subscribed, so it gets messages until it has one.
    let publishing = async {
        loop {
            let sent = broker.publish("sensor/hall-2/temperature", "21.5").finish().await;
            assert_eq!((sent.code, &*sent.err()), (Some(0), ""));
        }
    };
    let received = tokio::select! {
        received = subscriber.finish() => received,
        () = publishing => unreachable!("it never ends"),
    };
    let expected = (Some(0), "sensor/hall-2/temperature 21.5\n");
    assert_eq!((received.code, &*received.out()), expected, "{}", received.err());
}

#[tokio::test]
async fn kit_for_esphome_is_a_valid_configuration_and_retains_nothing() {
    const NODE: &str = "esphome:\n  name: hall-1\nesp32:\n  board: esp32-c3-devkitm-1\n  framework:\n    \
        type: esp-idf\nwifi:\n  ssid: x\n  password: abcdefgh\n";
    let kits = Kits::new().await;
    let folder = kits.gateway.folder.path();
    let esphome = async |kit: &str| {
        let text = format!("{NODE}{kit}");
        fs::write(folder.join("node.yaml"), text).unwrap();
        let mut command = Command::new(script::environment("esphome"));
        command.args(["-m", "esphome", "config", "node.yaml"]).current_dir(folder);
        Running::start(command).finish().await
    };
    fs::write(folder.join("secrets.yaml"), json!({"mqtt_password": PASSWORD}).to_string()).unwrap();
    let kit = kits.kit("esphome", &[]).await.out();
    let checked = esphome(&kit).await;
    assert_eq!(checked.code, Some(0), "{}{}", checked.out(), checked.err());
    assert!(checked.err().contains("Configuration is valid!"), "{}", checked.err());
    // ESPHome's defaults for what the kit does not say are in its output. Discovery is off.
    let retains = |line: &&str| line.trim_start().starts_with("retain:") || line.contains("_retain: true");
    let retained =
        checked.out().lines().filter(retains).map(str::trim).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(retained, ["discovery_retain: true"], "{}", checked.out());
    for part in ["discovery: false", "discover_ip: false", "log_topic: null", "topic_prefix: hall-1"] {
        assert!(checked.out().contains(part), "{part}: {}", checked.out());
    }
    // With the password in it too, which is full of quotes; and it does see mistakes.
    let row = json!(["hall-1", "hall-1", "hall-1", PASSWORD]);
    let row =
        row.as_array().unwrap().iter().map(|it| format!("\"{}\"", it.as_str().unwrap().replace('"', "\"\"")));
    let row = row.collect::<Vec<_>>().join(",");
    fs::write(folder.join("passwords.csv"), format!("device,client_id,user_name,password\n{row}\n")).unwrap();
    let with_secret = ["--credentials", "passwords.csv", "--with-secret", "kit.yaml"];
    assert_eq!(kits.kit("esphome", &with_secret).await.out(), "");
    let checked = esphome(&fs::read_to_string(folder.join("kit.yaml")).unwrap()).await;
    assert_eq!(checked.code, Some(0), "{}{}", checked.out(), checked.err());
    let checked = esphome(&kit.replace("keepalive: 60s", "keepalive: often")).await;
    assert_ne!(checked.code, Some(0), "{}", checked.out());
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
