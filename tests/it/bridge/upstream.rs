//! The way to AWS: proxies, servers that are reached and do not answer, certificates and clocks that don't fit, and the site's own
//! certificate.

use std::path::Path;

use integration::{
    bridge_process::{BridgeProcess, settings, settings_to},
    connect_proxy::{self, ConnectProxy},
    misbehaving::{Manner, Misbehaving, Tls},
    mqtt_client::{MqttClient, connect},
    programs::program,
    proxy::Proxy,
    running::Running,
    socks_proxy::{self, SocksProxy},
    test_gateway::{Start, TestGateway},
};
use mqtt::{ConnAck, ConnectReasonCode, QoS, Version};
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use tokio::{net::TcpStream, process::Command};

use super::{http_get, plain};

/// A gateway with a device `hall-1`, whose password is the second value.
async fn gateway() -> (TestGateway, String) {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("hall-1", "own-topics");
    (gateway, password)
}

/// What `hall-1` reads from a bridge that does not let it in.
async fn refused(bridge: &BridgeProcess, version: Version, password: &str) -> ConnAck {
    let (_, ack) = MqttClient::plain(bridge.mqtt(), connect(version, "hall-1", "hall-1", password)).await;
    let ack = ack.unwrap();
    assert_ne!(ack.code, ConnectReasonCode::Success);
    ack
}

/// Settings to these endpoints, with a CA and one second for each step.
fn to_endpoints(endpoints: &[String], ca: &Path, more: &str) -> String {
    let text = settings_to(([127, 0, 0, 1], 1).into(), ca, &format!("upstream_timeout_seconds = 1\n{more}"));
    let ours = format!("endpoints = {endpoints:?}");
    let lines = text.lines().map(|line| if line.starts_with("endpoints") { &*ours } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_proxy_of_either_kind_is_used_on_the_way_to_aws() {
    let (gateway, password) = gateway().await;
    let basic = connect_proxy::Manner::Authorized("Basic YSB1c2VyOnBAc3M=");
    let user = socks_proxy::Manner::Authorized("a user", "p@ss");
    let cases = [
        (ConnectProxy::to(gateway.address).await, "http", ""),
        (ConnectProxy::with(gateway.address, basic).await, "http", "a%20user:p%40ss@"),
        (SocksProxy::to(gateway.address, socks_proxy::Manner::Open).await, "socks5", ""),
        (SocksProxy::to(gateway.address, user).await, "socks5", "a%20user:p%40ss@"),
    ];
    for (proxy, scheme, user) in cases {
        let folder = tempfile::tempdir().unwrap();
        let more = format!("proxy = \"{scheme}://{user}127.0.0.1:{}\"", proxy.port);
        let bridge = BridgeProcess::start(folder.path(), &settings(&gateway, &more)).await;
        let mut device = plain(bridge.mqtt(), Version::V311, "hall-1", &password).await;
        assert!(device.publish("hall-1/a", "1", QoS::AtLeastOnce).await.is_some());
        assert_eq!(
            proxy.asked(),
            [format!("localhost:{}", gateway.address.port())],
            "the proxy finds the name"
        );
    }
}

/// A proxy that refuses is named in the log, and its password is not.
#[tokio::test]
async fn a_proxy_that_refuses_is_named_and_its_password_is_not() {
    let (gateway, password) = gateway().await;
    let forbidden = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
    let nowhere = ([127, 0, 0, 1], 1).into();
    let cases: [(Proxy, &str, &str); 3] = [
        (ConnectProxy::with(nowhere, connect_proxy::Manner::Answer(forbidden)).await, "http", "403"),
        (
            ConnectProxy::with(nowhere, connect_proxy::Manner::Authorized("Basic other")).await,
            "http",
            "asks for a user name and a password",
        ),
        (SocksProxy::to(nowhere, socks_proxy::Manner::Reply(2)).await, "socks5", "not allowed by ruleset"),
    ];
    for (proxy, scheme, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        let more = format!("proxy = \"{scheme}://site:tangerine@127.0.0.1:{}\"", proxy.port);
        let bridge = BridgeProcess::start(folder.path(), &settings(&gateway, &more)).await;
        let ack = refused(&bridge, Version::V5, &password).await;
        assert_eq!(ack.code, ConnectReasonCode::ServerUnavailable);
        let line = bridge.logged(&[("eventType", "Connect"), ("reason", "UNREACHABLE")]).await;
        let details = line["details"].as_str().unwrap();
        assert!(details.contains("proxy") && details.contains(words), "{details}");
        assert!(!bridge.written().contains("tangerine"));
    }
}

#[tokio::test]
async fn a_server_that_lingers_is_given_up_and_the_next_endpoint_is_used() {
    let (gateway, password) = gateway().await;
    let tls = || Tls { alpn: &["mqtt"], ..Tls::default() };
    for (manner, words) in [
        (Manner::Silent, "does not answer within 1 s"),
        (Manner::Unanswering(tls()), "no answer to CONNECT within 1 s"),
        (Manner::Raw(b""), "`localhost:"),
        (Manner::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "`localhost:"),
    ] {
        let server = Misbehaving::start(manner).await;
        let folder = tempfile::tempdir().unwrap();
        let text = to_endpoints(&[server.endpoint()], &server.ca(), "");
        let bridge = BridgeProcess::start(folder.path(), &text).await;
        let ack = refused(&bridge, Version::V5, &password).await;
        assert_eq!(ack.code, ConnectReasonCode::ServerUnavailable, "{words}");
        let line = bridge.logged(&[("eventType", "Connect"), ("reason", "UNREACHABLE")]).await;
        assert!(line["details"].as_str().unwrap().contains(words), "{line}");
    }
    let silent = Misbehaving::start(Manner::Silent).await;
    let folder = tempfile::tempdir().unwrap();
    let endpoints = [silent.endpoint(), format!("localhost:{}", gateway.address.port())];
    let bridge = BridgeProcess::start(folder.path(), &to_endpoints(&endpoints, &gateway.ca(), "")).await;
    for name in ["hall-1", "hall-2"] {
        let password = if name == "hall-1" { password.clone() } else { gateway.add(name, "own-topics") };
        let mut device = plain(bridge.mqtt(), Version::V311, name, &password).await;
        assert!(device.publish(&format!("{name}/a"), "1", QoS::AtLeastOnce).await.is_some());
    }
}

/// The log names what is wrong with AWS's certificate, or with this machine's clock.
#[tokio::test]
async fn a_server_whose_certificate_does_not_fit_gets_no_password_and_is_named() {
    let (year, good) = (Duration::days(365), Tls { alpn: &["mqtt"], ..Tls::default() });
    let cases = [
        (Tls { from: -year, until: -Duration::HOUR, ..good.clone() }, "clock"),
        (Tls { from: Duration::DAY, until: year, ..good.clone() }, "clock"),
        (Tls { name: "other.example.com", ..good.clone() }, "name"),
        (Tls { known: false, ..good }, "CA"),
    ];
    for (tls, word) in cases {
        let server = Misbehaving::start(Manner::Tls(tls, b"\x20\x03\x00\x00\x00")).await;
        let folder = tempfile::tempdir().unwrap();
        let bridge =
            BridgeProcess::start(folder.path(), &to_endpoints(&[server.endpoint()], &server.ca(), "")).await;
        refused(&bridge, Version::V311, "a password").await;
        let line = bridge.logged(&[("eventType", "Connect"), ("reason", "UNREACHABLE")]).await;
        assert!(line["details"].as_str().unwrap().contains(word), "{word}: {line}");
        assert_eq!(server.connects(), 0, "{word}");
    }
}

/// Which side has decided, in a user property for `latchkey doctor`, and in words for a person; MQTT 3.1.1 has neither.
#[tokio::test]
async fn a_connack_says_that_there_is_a_bridge_and_which_side_has_decided() {
    let (gateway, password) = gateway().await;
    let folder = tempfile::tempdir().unwrap();
    let bridge = BridgeProcess::start(folder.path(), &settings(&gateway, "[limits]\ndevices = 1")).await;
    let side = |ack: &ConnAck| {
        let property = ack.properties.user_properties.iter().find(|(name, _)| &**name == "latchkey-bridge");
        property.map(|(_, side)| side.to_string())
    };
    let wrong = refused(&bridge, Version::V5, "wrong").await;
    assert_eq!(side(&wrong).as_deref(), Some("upstream"));
    assert!(wrong.properties.reason_string.unwrap().contains("not authenticated"), "AWS's own words");
    let (device, ack) =
        MqttClient::plain(bridge.mqtt(), connect(Version::V5, "hall-1", "hall-1", &password)).await;
    assert_eq!(side(&ack.unwrap()).as_deref(), Some("upstream"));
    let full = refused(&bridge, Version::V5, &password).await;
    assert_eq!((side(&full).as_deref(), full.code), (Some("bridge"), ConnectReasonCode::ServerBusy));
    // A device with little room gets the code alone.
    let mut small = connect(Version::V5, "hall-1", "hall-1", &password);
    small.properties.maximum_packet_size = std::num::NonZeroU32::new(20);
    let (_, ack) = MqttClient::plain(bridge.mqtt(), small).await;
    let ack = ack.unwrap();
    assert_eq!(
        (side(&ack), ack.properties.reason_string, ack.code),
        (None, None, ConnectReasonCode::ServerBusy)
    );
    drop(device);
}

/// A certificate and its key in the folder, valid from and until so long from now.
fn write_certificate(folder: &Path, from: Duration, until: Duration) {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) =
        (OffsetDateTime::now_utc() + from, OffsetDateTime::now_utc() + until);
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(folder.join("bridge.key"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("bridge.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
}

const WITH_TLS: &str = "[tls]\ncertificate = \"bridge.pem\"\nkey = \"bridge.key\"\n\
                        [ports]\nmqtt = 0\nmqtts = 0\nwebsocket = \"off\"\nstatus = 0";

/// What `latchkey bridge --check` says of the settings in a folder: its exit code, and all its text.
async fn checked(folder: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(program("latchkey-bridge"));
    command.arg("--check").current_dir(folder);
    let finished = Running::start(command).finish().await;
    (finished.code, finished.out() + &finished.err())
}

#[tokio::test]
async fn a_certificate_that_expires_is_reported_and_a_new_one_is_used() {
    let (gateway, password) = gateway().await;
    let (year, hour) = (Duration::days(365), Duration::HOUR);
    let cases = [
        (-year, -hour, "CERTIFICATE_EXPIRED", "ERROR", Some(64)),
        (-year, Duration::days(20), "CERTIFICATE_EXPIRES", "WARN", Some(0)),
        (Duration::days(2), year, "CERTIFICATE_NOT_YET_VALID", "ERROR", Some(64)),
    ];
    for (from, until, reason, level, code) in cases {
        let folder = tempfile::tempdir().unwrap();
        write_certificate(folder.path(), from, until);
        let bridge = BridgeProcess::start(folder.path(), &settings(&gateway, WITH_TLS)).await;
        let line = bridge.logged(&[("eventType", "Bridge"), ("reason", reason)]).await;
        assert_eq!(line["logLevel"], level, "{line}");
        // Others go on.
        plain(bridge.mqtt(), Version::V311, "hall-1", &password).await;
        let (checked_code, text) = checked(folder.path()).await;
        assert_eq!(checked_code, code, "{text}");
        assert!(text.contains("the certificate of `mqtts`"), "{text}");
        let status =
            async |path| http_get(TcpStream::connect(bridge.address("status")).await.unwrap(), path).await;
        let health = status("/healthz").await;
        assert!(
            health.starts_with("HTTP/1.1 200") && health.contains("the certificate of `mqtts`"),
            "{health}"
        );
        let metric = |text: String| {
            let name = "latchkey_bridge_certificate_expiry_timestamp_seconds{listener=\"mqtts\"} ";
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.parse::<i64>().ok());
            value.unwrap_or_else(|| panic!("{text}"))
        };
        let expected = (OffsetDateTime::now_utc() + until).unix_timestamp();
        assert!((metric(status("/metrics").await) - expected).abs() < 60);
        write_certificate(folder.path(), -hour, year);
        bridge.logged(&[("eventType", "Bridge"), ("reason", "RELOADED")]).await;
        assert!(!status("/healthz").await.contains("certificate"));
        let renewed = (OffsetDateTime::now_utc() + year).unix_timestamp();
        assert!((metric(status("/metrics").await) - renewed).abs() < 60);
        assert_eq!(checked(folder.path()).await.0, Some(0));
        let said = bridge.lines().iter().filter(|line| line["reason"] == reason).count();
        assert_eq!(said, 1, "once a day");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn too_few_open_files_are_said_at_the_start_and_devices_above_them_are_refused() {
    let (gateway, password) = gateway().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("latchkey-bridge.toml"),
        settings(&gateway, "[limits]\nhandshakes = 10"),
    )
    .unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 80; exec \"$@\"", "sh"]).arg(program("latchkey-bridge"));
    command.args(["--json", "--stop-with-stdin"]).current_dir(folder.path());
    let bridge = BridgeProcess::started(Running::start(command)).await;
    let line = bridge.logged(&[("eventType", "Bridge"), ("reason", "WARNING")]).await;
    let details = line["details"].as_str().unwrap();
    assert!(details.contains("80 files may be open") && details.contains("allow 20074"), "{details}");
    let mut devices = Vec::new();
    for number in 1..=3 {
        let name = format!("hall-{number}");
        let password = if number == 1 { password.clone() } else { gateway.add(&name, "own-topics") };
        devices.push(plain(bridge.mqtt(), Version::V311, &name, &password).await);
    }
    let password = gateway.add("hall-4", "own-topics");
    let (_, ack) =
        MqttClient::plain(bridge.mqtt(), connect(Version::V5, "hall-4", "hall-4", &password)).await;
    assert_eq!(ack.unwrap().code, ConnectReasonCode::ServerBusy);
    bridge.logged(&[("reason", "TOO_MANY_DEVICES"), ("clientId", "hall-4")]).await;
    assert!(!bridge.lines().iter().any(|line: &Value| line["reason"] == "NOT_ACCEPTED"));
}

/// The words after the program in the files of deploy/bridge, with `--check` and a settings file that can be used.
#[tokio::test]
async fn the_program_knows_the_options_of_the_service_and_of_the_container() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/bridge");
    let unit = std::fs::read_to_string(root.join("latchkey-bridge.service")).unwrap();
    let start =
        unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/latchkey ")).unwrap();
    let words = start.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words[0], "bridge");
    let container = std::fs::read_to_string(root.join("Dockerfile")).unwrap();
    let entry = container.lines().find_map(|line| line.strip_prefix("ENTRYPOINT ")).unwrap();
    let entry = serde_json::from_str::<Vec<String>>(entry).unwrap();
    assert_eq!(entry[0], "latchkey-bridge");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("latchkey-bridge.toml");
    std::fs::write(&file, "endpoints = [\"iot.example.com:443\"]\n").unwrap();
    for words in [&words[1..], &entry[1..]] {
        let mut command = Command::new(program("latchkey-bridge"));
        let replaced = words.iter().map(|word| {
            if word.ends_with("latchkey-bridge.toml") { file.display().to_string() } else { word.clone() }
        });
        command.args(replaced).arg("--check").current_dir(folder.path());
        let finished = Running::start(command).finish().await;
        assert_eq!(finished.code, Some(0), "{words:?}: {}", finished.err());
    }
}
