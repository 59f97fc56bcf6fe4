//! Every door of AWS's, tried by everybody: port × ALPN × server name × what the client protocol × what it shows.

use std::sync::Arc;

use gateway::door::route::{ApplicationProtocol, AuthenticationType, Port};
use integration::{
    device_certificate::{DeviceCertificate, Knock},
    devices,
    http_client::{BINARY, HttpClient, basic, frame, upgrade},
    mqtt_client::{MqttClient, connect},
    test_gateway::{Start, TestGateway},
};
use mqtt::{ConnectReasonCode, Packet, Version};
use tokio::task::JoinSet;

/// What a client protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Mqtt,
    WebSocket,
    Https,
}

/// What a client shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    Password,
    Certificate,
    Both,
}

/// Whom a door lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// A client with the password; no certificate is requested.
    Password,
    /// A client with the certificate.
    Certificate,
    /// A client with both.
    Both,
}

const SPEAKS: [Protocol; 3] = [Protocol::Mqtt, Protocol::WebSocket, Protocol::Https];
const SHOWS: [Shows; 3] = [Shows::Password, Shows::Certificate, Shows::Both];
const ALPN: [&str; 6] = ["", "mqtt", "x-amzn-mqtt-ca", "http/1.1", "x-amzn-http-ca", "h2"];
/// No server name, the gateway's own, and one for each pair that a domain configuration may have.
const SERVER_NAMES: [&str; 9] = [
    "127.0.0.1",
    "localhost",
    "custom-mqtt.test",
    "custom-wss.test",
    "custom-https.test",
    "x509-mqtt.test",
    "x509-https.test",
    "both-mqtt.test",
    "both-https.test",
];
/// How many try at a time.
const AT_A_TIME: usize = 16;

/// What a port serves, as in the developer guide's page `protocols`; `None` where it serves nothing.
fn served(port: Port, alpn: &str, server_name: &str) -> Option<(&'static [Protocol], Takes)> {
    const MQTT: &[Protocol] = &[Protocol::Mqtt];
    const WEBSOCKET: &[Protocol] = &[Protocol::WebSocket];
    const HTTPS: &[Protocol] = &[Protocol::Https];
    const HTTP: &[Protocol] = &[Protocol::WebSocket, Protocol::Https];
    let by_table = match (port.number(), alpn) {
        (443, "mqtt") => Some((MQTT, Takes::Password)),
        (443, "x-amzn-mqtt-ca") | (8883, "" | "x-amzn-mqtt-ca") => Some((MQTT, Takes::Certificate)),
        (443, "" | "http/1.1") => Some((HTTP, Takes::Password)),
        (443, "x-amzn-http-ca") | (8443, "" | "http/1.1") => Some((HTTPS, Takes::Certificate)),
        _ => None,
    };
    match (server_name, port.number(), alpn) {
        ("127.0.0.1" | "localhost", ..) => by_table,
        ("custom-mqtt.test", 443 | 8883, "" | "mqtt") => Some((MQTT, Takes::Password)),
        ("custom-wss.test", 443, "" | "http/1.1") => Some((WEBSOCKET, Takes::Password)),
        ("custom-https.test", 443 | 8443, "" | "http/1.1") => Some((HTTPS, Takes::Password)),
        ("x509-mqtt.test", 443 | 8883, "" | "x-amzn-mqtt-ca") => Some((MQTT, Takes::Certificate)),
        ("x509-https.test", 443 | 8443, "" | "http/1.1" | "x-amzn-http-ca") => {
            Some((HTTPS, Takes::Certificate))
        }
        ("both-mqtt.test", 443 | 8883, "" | "mqtt" | "x-amzn-mqtt-ca") => Some((MQTT, Takes::Both)),
        ("both-https.test", 443 | 8443, "" | "http/1.1" | "x-amzn-http-ca") => Some((HTTPS, Takes::Both)),
        _ => None,
    }
}

fn comes_in(port: Port, alpn: &str, server_name: &str, protocol: Protocol, shows: Shows) -> bool {
    let Some((spoken, takes)) = served(port, alpn, server_name) else { return false };
    let enough = match takes {
        Takes::Password => shows != Shows::Certificate,
        Takes::Certificate => shows != Shows::Password,
        Takes::Both => shows == Shows::Both,
    };
    spoken.contains(&protocol) && enough
}

async fn gateway(certificate: &DeviceCertificate) -> TestGateway {
    use ApplicationProtocol::{Https, MqttWss, SecureMqtt};
    use AuthenticationType::{AwsX509, CustomAuth, CustomAuthX509};
    let start = Start::with_authorizer()
        .registered(vec![certificate.registered()], Vec::new())
        .domain("custom-mqtt.test", CustomAuth, SecureMqtt)
        .domain("custom-wss.test", CustomAuth, MqttWss)
        .domain("custom-https.test", CustomAuth, Https)
        .domain("x509-mqtt.test", AwsX509, SecureMqtt)
        .domain("x509-https.test", AwsX509, Https)
        .domain("both-mqtt.test", CustomAuthX509, SecureMqtt)
        .domain("both-https.test", CustomAuthX509, Https);
    devices::add(start.folder(), "plain", "own-topics", b"secret");
    devices::add_guarded(start.folder(), "guarded", b"secret", certificate);
    start.run().await
}

/// Whether a client gets in: its CONNECT is accepted, or its publish is.
async fn tries(gateway: &TestGateway, knock: Knock<'_>, protocol: Protocol, shows: Shows) -> bool {
    // A record that names a certificate lets nobody in without, and one that names none nobody with.
    let asked_for_both = knock.server_name.starts_with("both");
    let name = if asked_for_both { "guarded" } else { "plain" };
    let password = if shows == Shows::Certificate { "" } else { "secret" };
    let Ok(stream) = knock.tls(gateway).await else { return false };
    match protocol {
        Protocol::Mqtt => {
            let mut client = MqttClient::over(stream, Version::V5);
            client.send_bytes(&connect_bytes(name, password)).await;
            let answer = client.receive().await;
            matches!(answer, Some(Packet::ConnAck(ack)) if ack.code == ConnectReasonCode::Success)
        }
        Protocol::WebSocket => {
            let mut client = HttpClient::over(stream);
            client.send(upgrade("/mqtt", &[]).as_bytes()).await;
            if client.answer().await.is_none_or(|answer| answer.status != 101) {
                return false;
            }
            client.send(&frame(true, BINARY, &connect_bytes(name, password))).await;
            client.frame().await.is_some_and(|frame| frame.payload.get(3) == Some(&0))
        }
        Protocol::Https => {
            let mut client = HttpClient::over(stream);
            let (user, target) = (basic(name, password), format!("/topics/{name}/t"));
            let headers = [("Authorization", user.as_str()), ("Content-Length", "1")];
            client
                .send(format!("{}1", integration::http_client::head("POST", &target, &headers)).as_bytes())
                .await;
            client.answer().await.is_some_and(|answer| answer.status == 200)
        }
    }
}

fn connect_bytes(name: &str, password: &str) -> Vec<u8> {
    use tokio_util::codec::Encoder;
    let mut bytes = bytes::BytesMut::new();
    let connect = connect(Version::V5, name, name, password);
    mqtt::Codec::client(Version::V5, 1 << 20).encode(Packet::Connect(Box::new(connect)), &mut bytes).unwrap();
    bytes.to_vec()
}

#[tokio::test]
async fn every_door_accepts_only_clients_that_match_it() {
    let certificate = Arc::new(DeviceCertificate::new("device"));
    let gateway = Arc::new(gateway(&certificate).await);
    let mut trying = JoinSet::new();
    let (mut wrong, mut came_in) = (Vec::new(), 0);
    for (port, alpn, server_name, protocol, shows) in everybody() {
        if trying.len() >= AT_A_TIME {
            came_in += usize::from(look(trying.join_next().await.unwrap().unwrap(), &mut wrong));
        }
        let (gateway, certificate) = (Arc::clone(&gateway), Arc::clone(&certificate));
        trying.spawn(async move {
            let offered = [alpn];
            let knock = Knock {
                port,
                server_name,
                alpn: if alpn.is_empty() { &[] } else { &offered },
                certificate: (shows != Shows::Password).then_some(&certificate),
                versions: rustls::DEFAULT_VERSIONS,
            };
            let is_in = tries(&gateway, knock, protocol, shows).await;
            (is_in, (port, alpn, server_name, protocol, shows))
        });
    }
    while let Some(tried) = trying.join_next().await {
        came_in += usize::from(look(tried.unwrap(), &mut wrong));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let expected = everybody()
        .filter(|(port, alpn, name, protocol, shows)| comes_in(*port, alpn, name, *protocol, *shows));
    assert_eq!(came_in, expected.count());
}

type Try = (Port, &'static str, &'static str, Protocol, Shows);

fn everybody() -> impl Iterator<Item = Try> {
    Port::ALL.into_iter().flat_map(|port| {
        ALPN.into_iter().flat_map(move |alpn| {
            SERVER_NAMES.into_iter().flat_map(move |name| {
                SPEAKS.into_iter().flat_map(move |protocol| {
                    SHOWS.into_iter().map(move |shows| (port, alpn, name, protocol, shows))
                })
            })
        })
    })
}

fn look((is_in, tried): (bool, Try), wrong: &mut Vec<String>) -> bool {
    let (port, alpn, name, protocol, shows) = tried;
    if is_in != comes_in(port, alpn, name, protocol, shows) {
        let what = if is_in { "is let in" } else { "is refused" };
        wrong.push(format!("{port} {alpn:?} {name} {protocol:?} {shows:?} {what}"));
    }
    is_in
}
