//! Clients that were not written here, without TLS or without ALPN, through the bridge.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use integration::{
    bridge_process::{BridgeProcess, settings},
    eventually::eventually,
    foreign::{mosquitto::Broker, script},
    running::{Finished, Running},
    test_gateway::Start,
};
use serde_json::{Value, json};
use tokio::process::Command;

use super::Site;

fn mosquitto(program: &str, port: u16, name: &str, password: &str, more: &[&str]) -> Command {
    let mut command = Command::new(program);
    let port = port.to_string();
    command.args(["-h", "localhost", "-p", &port, "-i", name, "-u", name, "-P", password]).args(more);
    command
}

#[tokio::test]
async fn mosquitto_publishes_without_tls_in_each_version_and_qos() {
    let site = Site::new().await;
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let name = format!("hall-{version}");
        let password = site.gateway.add(&name, "own-topics");
        let (filter, topic) = (format!("{name}/#"), format!("{name}/temperature"));
        let port = site.bridge.mqtt().port();
        // A client id of its own for the subscriber, which the record does not allow, would be refused.
        for qos in ["0", "1", "2"] {
            let more = ["-V", version, "-t", &topic, "-m", "21.5", "-q", qos];
            let sent =
                Running::start(mosquitto("mosquitto_pub", port, &name, &password, &more)).finish().await;
            assert_eq!((sent.code, &*sent.err()), (Some(0), ""), "{version} {qos}");
        }
        let published = || {
            let lines = site.gateway.log.lines();
            let of_device = lines.iter().filter(|line| {
                line["eventType"] == "Publish-In" && line["clientId"] == *name && line["status"] == "Success"
            });
            (of_device.count() == 3).then_some(())
        };
        eventually("three messages at the gateway", published).await;
        let more = ["-V", version, "-t", "other/temperature", "-m", "1", "-q", "1"];
        let denied = Running::start(mosquitto("mosquitto_pub", port, &name, &password, &more)).finish().await;
        assert_ne!((denied.code, &*denied.err()), (Some(0), ""), "{version}: {filter}");
    }
}

#[tokio::test]
async fn paho_with_mqtt_3_1_and_qos_2_without_tls() {
    let site = Site::new().await;
    for version in [3, 4, 5] {
        let name = format!("paho-{version}");
        let password = site.gateway.add(&name, "own-topics");
        let (filter, topic) = (format!("{name}/#"), format!("{name}/a"));
        let task = json!({
            "host": "localhost", "port": site.bridge.mqtt().port(), "ca": null, "alpn": null,
            "client_id": name, "user_name": name, "password": STANDARD.encode(&password), "version": version,
            "transport": "tcp",
            "actions": [
                ["subscribe", filter, 2], ["publish", topic, "first", 2], ["receive"],
                ["publish", topic, "second", 1], ["receive"], ["disconnect"],
            ],
        });
        let mut running = Running::start(script::in_python("paho_client.py"));
        running.input(task.to_string().as_bytes()).await;
        let finished = running.finish().await;
        assert_eq!(finished.code, Some(0), "{}{}", finished.out(), finished.err());
        let log = events(&finished);
        assert_eq!(log[0]["event"], "connected", "{log:?}");
        assert_eq!(log[1]["codes"], json!([1]), "QoS 1 was granted: {log:?}");
        let messages = log.iter().filter(|line| line["event"] == "message").collect::<Vec<_>>();
        for (message, payload) in messages.iter().zip(["first", "second"]) {
            assert_eq!(**message, json!({"event": "message", "topic": topic, "payload": payload, "qos": 1}));
        }
        assert_eq!((messages.len(), &log.last().unwrap()["event"]), (2, &json!("disconnected")), "{log:?}");
    }
    for reason in ["MQTT_3_1", "PUBLISH_QOS_2", "SUBSCRIBE_QOS_2"] {
        site.bridge.logged(&[("eventType", "Translation"), ("reason", reason)]).await;
    }
}

fn events(finished: &Finished) -> Vec<Value> {
    finished.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn mqtt_js_over_plain_websocket() {
    let site = Site::new().await;
    let password = site.gateway.add("hall-1", "own-topics");
    let port = site.bridge.address("websocket").port();
    let attempt = |version: u8| {
        let options = json!({
            "protocolVersion": version, "clientId": "hall-1", "username": "hall-1", "password": password,
        });
        let actions =
            [json!(["subscribe", "hall-1/#"]), json!(["publish", "hall-1/a", "21.5"]), json!(["receive"])];
        json!({"url": format!("ws://localhost:{port}/mqtt"), "options": options, "files": {}, "actions": actions})
    };
    for events in script::attempts(script::in_node("mqtt_js.js"), &[attempt(4), attempt(5)]).await {
        let expected = [
            json!({"event": "connected"}),
            json!({"event": "subscribed", "code": 1}),
            json!({"event": "published"}),
            json!({"event": "message", "topic": "hall-1/a", "payload": "21.5"}),
            json!({"event": "disconnected"}),
        ];
        assert_eq!(events, expected);
    }
}

/// With its default settings mosquitto sets the highest bit of the protocol level, and publishes retained notifications.
#[tokio::test]
async fn a_mosquitto_bridge_with_its_default_settings() {
    let site = Site::new().await;
    let password = site.gateway.add("hall-1", "own-topics");
    let socket = site.folder.path().join("local.sock");
    let configuration = format!(
        "connection site\naddress localhost:{}\ntopic hall-1/up out 1\ntopic hall-1/down in 1\n\
         remote_clientid hall-1\nremote_username hall-1\nremote_password {password}\nnotifications false\n\
         restart_timeout 1\nlistener 0 {}\nallow_anonymous true\n",
        site.bridge.mqtt().port(),
        socket.display(),
    );
    let broker = Broker::start(site.folder.path(), &configuration, socket);
    site.bridge.logged(&[("eventType", "Translation"), ("reason", "BRIDGE_LEVEL")]).await;
    let sent = broker.publish("hall-1/up", "21.5").finish().await;
    assert_eq!((sent.code, &*sent.err()), (Some(0), ""));
    let published = [("eventType", "Publish-In"), ("clientId", "hall-1"), ("topicName", "hall-1/up")];
    site.gateway.logged_with(&published).await;
}

#[tokio::test]
async fn mosquitto_over_tls_without_alpn_and_a_certificate_that_is_replaced() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("hall-1", "own-topics");
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("bridge.pem"), folder.path().join("bridge.key"));
    let write = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    };
    write();
    let more = "[tls]\ncertificate = \"bridge.pem\"\nkey = \"bridge.key\"\n\
                [ports]\nmqtt = \"off\"\nmqtts = 0\nstatus = \"off\"";
    let bridge = BridgeProcess::start(folder.path(), &settings(&gateway, more)).await;
    let port = bridge.address("mqtts").port();
    let publish = async || {
        let ca = certificate.display().to_string();
        let more = ["--cafile", &ca, "-t", "hall-1/a", "-m", "x", "-q", "1"];
        Running::start(mosquitto("mosquitto_pub", port, "hall-1", &password, &more)).finish().await
    };
    let sent = publish().await;
    assert_eq!((sent.code, &*sent.err()), (Some(0), ""));
    write();
    bridge.logged(&[("eventType", "Bridge"), ("reason", "RELOADED")]).await;
    let sent = publish().await;
    assert_eq!((sent.code, &*sent.err()), (Some(0), ""), "the new certificate is in use");
    std::fs::write(&key, "not a key").unwrap();
    bridge.logged(&[("eventType", "Bridge"), ("reason", "NOT_RELOADED")]).await;
    let sent = publish().await;
    assert_eq!((sent.code, &*sent.err()), (Some(0), ""), "the last usable one stays");
}
