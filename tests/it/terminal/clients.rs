//! Texts that clients and functions send to a gateway: its terminal, its log, its answers and its metrics.

use std::path::Path;

use integration::{
    canary::Writings,
    devices,
    gateway_process::{AT_ANY_RATE, GatewayProcess},
    http_client::{HttpClient, TEXT, basic, frame, head, plain_get, upgrade},
    mqtt_client::{MqttClient, client_config, tls},
    programs::program,
    running::Running,
    script::{self, Script, Step, allow_all},
    token_signer::url_encoded,
};
use mqtt::{Packet, Version};
use rustls::pki_types::ServerName;
use serde_json::json;
use tempfile::tempdir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};

use super::{HOSTILE, assert_escaped, packet, string, text};

/// A CONNECT with an empty last will if `will` is its topic.
fn connect(client_id: &str, user_name: &str, will: Option<&str>) -> Vec<u8> {
    let flags = if will.is_some() { 0xc6 } else { 0xc2 };
    let will = will.map(|topic| [&[0], &*string(topic), &string("")].concat()).unwrap_or_default();
    let start = [&string("MQTT"), &[5, flags, 0, 60, 0][..]].concat();
    packet(0x10, &[&start, &string(client_id), &will, &string(user_name), &string("password")])
}

/// Sends packets, and adds the reason strings of the answers.
async fn send(gateway: &GatewayProcess, packets: &[Vec<u8>], writings: &mut Writings) {
    let mut client = MqttClient::open(gateway, Version::V5).await;
    client.send_bytes(&packets.concat()).await;
    while let Some(packet) = client.receive().await {
        let reason = match packet {
            Packet::ConnAck(ack) => ack.properties.reason_string,
            Packet::PubAck(ack) => ack.reason_string,
            Packet::SubAck(ack) => ack.reason_string,
            Packet::UnsubAck(ack) => ack.reason_string,
            Packet::Disconnect(disconnect) => disconnect.reason_string,
            _ => None,
        };
        writings.add("a reason string", reason.unwrap_or_default().as_bytes());
    }
}

/// Sends each kind of text in each field of a client.
async fn send_everything(gateway: &GatewayProcess, writings: &mut Writings) {
    for kind in 0..HOSTILE.len() {
        let of = |place| text(place, kind);
        let end = packet(0xe0, &[&[0, 0]]);
        let plain = connect("hall-1", "hall-1", None);
        let id = [0, 1];
        for packets in [
            [connect(&of("clientid"), "hall-1", None), end.clone()],
            [connect("hall-1", &of("username"), None), end.clone()],
            [
                connect("hall-1", &format!("hall-1?x-amz-customauthorizer-name={}", of("authorizer")), None),
                end.clone(),
            ],
            [connect("hall-1", "hall-1", Some(&of("will"))), end.clone()],
            [plain.clone(), packet(0x32, &[&string(&of("topic")), &id, &[0]])],
            [plain.clone(), packet(0x82, &[&id, &[0], &string(&of("filter")), &[0]])],
            [plain.clone(), packet(0x82, &[&id, &[0], &string(&format!("#{}", of("badfilter"))), &[0]])],
            [plain.clone(), packet(0xa2, &[&id, &[0], &string(&of("unsubscribed"))])],
            [
                plain.clone(),
                packet(
                    0xe0,
                    &[&[0], &[u8::try_from(of("reason").len() + 3).unwrap(), 0x1f], &string(&of("reason"))],
                ),
            ],
        ] {
            // The last packet ends the connection, or the answer to it is a refusal; the end of the input does so in any case.
            send(gateway, &[&packets[..], std::slice::from_ref(&end)].concat(), writings).await;
        }
        _ = tls(gateway, "localhost", &[&of("alpn")]).await;
        client_hello(gateway, &of("sni")).await;
        let encoded = |place| url_encoded(&of(place));
        let password = basic("hall-1", "password");
        let authorizer = ("x-amz-customauthorizer-name", of("header"));
        for request in [
            head("POST", &format!("/topics/{}?qos=1", encoded("path")), &[("Authorization", &password)]),
            head(
                "POST",
                &format!("/topics/t?qos=1&{}=1", encoded("parameter")),
                &[("Authorization", &password)],
            ),
            head("POST", &format!("/topics/t?x-amz-customauthorizer-name={}", encoded("query")), &[]),
            head("POST", "/topics/t", &[(authorizer.0, &authorizer.1)]),
            head(&of("method").replace(['\r', '\n', ' '], ""), "/topics/t", &[]),
            upgrade(&format!("/mqtt?x-amz-customauthorizer-name={}", encoded("upgrade")), &[]),
            upgrade("/mqtt", &[("Sec-WebSocket-Protocol", &of("subprotocol"))]),
        ] {
            let mut client = HttpClient::over(tls(gateway, "localhost", &[]).await.unwrap());
            let request = request.replacen("\r\n", "\r\nContent-Length: 0\r\n", 1);
            // After an upgrade this text frame ends the connection, after an answer this request does.
            let end =
                [frame(true, TEXT, b"x"), head("GET", "/", &[("Connection", "close")]).into_bytes()].concat();
            client.send(&[request.into_bytes(), end].concat()).await;
            let answers = client.rest().await;
            let text = answers.split(|byte| *byte == 0x88).next().unwrap();
            writings.add("an answer", String::from_utf8_lossy(text).replace("\r\n", "\n"));
        }
    }
}

/// A client hello with bytes in the place of a name, which a TLS library does not send.
async fn client_hello(gateway: &GatewayProcess, server_name: &str) {
    let name = "n".repeat(server_name.len());
    let config = client_config(gateway, &["mqtt"], rustls::DEFAULT_VERSIONS);
    let mut hello = Vec::new();
    let mut client =
        rustls::ClientConnection::new(config, ServerName::try_from(name.clone()).unwrap()).unwrap();
    client.write_tls(&mut hello).unwrap();
    let at = hello.windows(name.len()).position(|bytes| bytes == name.as_bytes()).unwrap();
    hello[at..at + name.len()].copy_from_slice(server_name.as_bytes());
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    _ = stream.read_to_end(&mut Vec::new()).await;
}

/// A gateway that writes for a person.
async fn start(folder: &Path, function: &str, variables: &[(&str, &str)]) -> GatewayProcess {
    std::fs::write(folder.join("latchkey.toml"), AT_ANY_RATE).unwrap();
    let function = program(function).display().to_string();
    GatewayProcess::start_with(folder, &["--authorizer", &function, "--port-status", "0"], variables).await
}

/// The metrics, and what the gateway has written when it has ended.
async fn add_output(gateway: GatewayProcess, folder: &Path, writings: &mut Writings) {
    writings.add("the metrics", plain_get(gateway.status().unwrap(), "/metrics").await.1);
    let finished = gateway.stop().await;
    writings.add("the gateway's standard output", finished.out);
    writings.add("the gateway's terminal", finished.err);
    writings.add("the log", std::fs::read(folder.join("events.jsonl")).unwrap());
}

#[tokio::test]
async fn text_of_a_client_is_escaped_with_the_real_authorizer() {
    let folder = tempdir().unwrap();
    devices::add(folder.path(), "hall-1", "own-topics", b"password");
    let gateway = start(folder.path(), "latchkey-authorizer", &[]).await;
    let mut writings = Writings::default();
    send_everything(&gateway, &mut writings).await;
    add_output(gateway, folder.path(), &mut writings).await;
    let places = ["clientid-0", "clientid-5", "alpn-5", "path-5"];
    assert_escaped(&writings, &places);
}

/// The function prints each event, which has all that a client chose.
#[tokio::test]
async fn text_of_a_client_is_escaped_with_a_function_that_prints_it() {
    let (folder, scripts) = (tempdir().unwrap(), tempdir().unwrap());
    let script = Script::new(scripts.path(), &Step::Print(allow_all()));
    let variables = [(script::VARIABLE, script.path().to_str().unwrap())];
    let gateway = start(folder.path(), "scripted-function", &variables).await;
    let mut writings = Writings::default();
    send_everything(&gateway, &mut writings).await;
    // Names of the function's own: a key of its answer, a document's text, an error's type.
    for kind in 0..HOSTILE.len() {
        let of = |place| text(place, kind);
        for answer in [
            json!({ of("key"): true, "is_authenticated": true }),
            json!({"isAuthenticated": true, of("principalid"): "p"}),
            script::allow(&[("Allow", &of("action"), "client/*")]),
            script::allow(&[("Allow", "iot:Connect", &of("client/resource"))]),
            script::allow(&[(&of("effect"), "iot:Connect", "client/*")]),
        ] {
            script.set(&Step::Answer(answer));
            send(&gateway, &[connect("hall-1", "hall-1", None), packet(0xe0, &[&[0, 0]])], &mut writings)
                .await;
        }
    }
    add_output(gateway, folder.path(), &mut writings).await;
    let printed = ["clientid-5\\u", "username-5\\u", "filter-5\\u", "badfilter-5\\u", "path-5\\u", "alpn-5"];
    let of_the_function = ["action-5", "effect-5", "resource-5"];
    assert_escaped(&writings, &[&printed[..], &of_the_function].concat());
}

/// A function that is not a Lambda function: it prints, and ends.
#[cfg(unix)]
#[tokio::test]
async fn last_words_of_a_function_are_escaped() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempdir().unwrap();
    let function = folder.path().join("function");
    let mut lines = (0..HOSTILE.len()).map(|kind| text("words", kind)).collect::<Vec<_>>();
    // Ten lines of standard error are kept.
    let (err, out) = (lines.split_off(HOSTILE.len() / 2).join("\n"), lines.join("\n"));
    let script = format!("#!/bin/sh\ncat <<'END'\n{out}\nEND\ncat >&2 <<'END'\n{err}\nEND\nexit 1\n");
    std::fs::write(&function, script).unwrap();
    std::fs::set_permissions(&function, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut writings = Writings::default();
    for json in [&["--json"][..], &[]] {
        let mut command = Command::new(program("latchkey-gateway"));
        command.args(["--port", "0", "--data", "."]).args(json).arg("--authorizer").arg(&function);
        command.current_dir(&folder);
        let finished = Running::start(command).finish().await;
        assert_ne!(finished.code, Some(0), "{}", finished.err());
        writings.add("standard error", finished.err);
        writings.add("standard output", finished.out);
    }
    writings.add("the log", std::fs::read(folder.path().join("events.jsonl")).unwrap());
    assert_escaped(&writings, &["words"]);
}
