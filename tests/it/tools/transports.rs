//! Every way in of our own clients, with every scheme, through the real authorizer.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use device_auth::{
    scheme::Scheme as RecordScheme,
    store::document::{RecordDocument, SecretDocument},
};
use device_sim::{
    Address, Authorizer, Endpoint, Password, Scheme, Target, Transport, Version,
    client::{Options, RequestError},
    credentials_file::Row,
    device::Connection,
    endpoint::{CertificateFiles, ParameterPlace},
    login::SchemeSettings,
};
use fleet::store_file::StoreFile;
use gateway::door::route::Port;
use integration::{
    connect_proxy::ConnectProxy,
    device_certificate::DeviceCertificate,
    devices,
    eventually::within,
    socks_proxy::{self, SocksProxy},
    test_gateway::{Start, TestGateway},
    token_signer::{TokenSigner, signed_by},
};
use mqtt::{Publish, QoS};
use serde_json::json;

const TOKEN_KEY_NAME: &str = "TokenKeyName";
const SECRET: &str = "the secret of a vendor's device";
const PSK: &str = "AQIDBAUGBwgJCgsMDQ4PEA==";

/// A gateway with a device of each scheme: the authorizer `latchkey`, and `signed`, whose tokens must be signed.
struct Doors {
    gateway: TestGateway,
    rows: Vec<(Scheme, Row, &'static str)>,
}

fn row(client_id: &str, user_name: &str, password: &str) -> Row {
    Row {
        device: client_id.to_owned(),
        client_id: client_id.to_owned(),
        user_name: user_name.to_owned(),
        password: Password::from(password),
    }
}

fn jwt(signer: &TokenSigner, device: &str) -> String {
    let expiry = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3_600;
    let claims = json!({"sub": device, "exp": expiry}).to_string();
    let text =
        [r#"{"alg":"RS256","typ":"JWT"}"#, &claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = STANDARD.decode(signer.sign(&text)).unwrap();
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

impl Doors {
    async fn new() -> Self {
        let signer = TokenSigner::generate();
        let start = Start::with_authorizer();
        let folder = start.folder().to_owned();
        let public = folder.join("public.pem");
        std::fs::write(&public, signer.public_pem()).unwrap();
        let start = start.with_program(|program| {
            program.variables.extend([
                ("LATCHKEY_ALLOW_PLAIN_SECRETS".to_owned(), "true".to_owned()),
                ("LATCHKEY_JWT_KEYS".to_owned(), format!("pem:{}", public.display())),
            ]);
        });
        let start = start.with(|settings| {
            let mut second = settings.authorizers[0].clone();
            second.name = "signed".try_into().unwrap();
            second.signing = signed_by(TOKEN_KEY_NAME, &[&signer]);
            settings.authorizers.push(second);
        });
        let password = start.add("hall-1", "own-topics");
        let secret =
            SecretDocument { device_secret: Some(devices::plain(SECRET)), ..SecretDocument::default() };
        devices::add_vendors(&folder, "lamp&pk", RecordScheme::Alibaba, secret, "lamp");
        let secret = SecretDocument { psk: Some(devices::plain(PSK)), ..SecretDocument::default() };
        devices::add_vendors(&folder, "AB12CD34EFlamp", RecordScheme::Tencent, secret, "AB12CD34EFlamp");
        devices::add_token(&folder, "tokened");
        let mut store = StoreFile::open(&folder.join("devices.json")).unwrap();
        let record = RecordDocument::new(RecordScheme::Jwt, "own-topics".to_owned());
        store.document_mut().devices.insert("webbed".try_into().unwrap(), record);
        store.save().unwrap();
        let rows = vec![
            (Scheme::Password, row("hall-1", "hall-1", &password), "hall-1/t"),
            (Scheme::Alibaba, row("lamp", "lamp&pk", SECRET), "/sys/pk/lamp/thing/event/property/post"),
            (Scheme::Tencent, row("AB12CD34EFlamp", "-", PSK), "AB12CD34EF/lamp/event"),
            (Scheme::Jwt, row("webbed", "webbed", &jwt(&signer, "webbed")), "webbed/t"),
            (Scheme::Token, row("tokened", "tokened", &signer.sign("tokened")), "tokened/t"),
        ];
        Self { gateway: start.run().await, rows }
    }

    fn target(&self) -> Target {
        target(&self.gateway, Port::P443)
    }
}

fn target(gateway: &TestGateway, port: Port) -> Target {
    let address = format!("localhost:{}", gateway.addresses.doors[&port].port()).parse::<Address>().unwrap();
    Target { ca: Some(gateway.ca()), ..Target::new(address) }
}

/// Connects as the row says, and publishes one message.
async fn publishes(
    target: Target,
    scheme: Scheme,
    row: &Row,
    topic: &str,
    version: Version,
) -> Result<(), RequestError> {
    let settings = SchemeSettings { scheme, token_key_name: Some(TOKEN_KEY_NAME.to_owned()) };
    let authorizer = if scheme == Scheme::Token { "signed" } else { "latchkey" };
    let authorizer = authorizer.parse::<Authorizer>().unwrap();
    let login = settings.login(row, Some(&authorizer), SystemTime::now()).ok().unwrap();
    let authorization = settings.authorization().unwrap_or_default();
    let what = format!("{scheme:?} by {:?} with the parameters in {:?}", target.transport, target.parameters);
    let options = Options { version, ..Options::default() };
    let endpoint = Endpoint::new(target).ok().unwrap();
    let connection = within(&what, Connection::open(&endpoint, &login, &options, authorization)).await;
    let mut connection = connection.unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut message = Publish::new(topic.parse().unwrap(), "21.5");
    message.qos = QoS::AtLeastOnce;
    let published = within(&what, connection.publish(message)).await;
    connection.disconnect().await;
    published
}

#[tokio::test]
async fn every_scheme_gets_in_by_mqtt_and_by_websocket_wherever_its_parameters_are() {
    let doors = Doors::new().await;
    let ways = [
        (Transport::Mqtt, ParameterPlace::UserName),
        (Transport::WebSocket, ParameterPlace::UserName),
        (Transport::WebSocket, ParameterPlace::Query),
        (Transport::WebSocket, ParameterPlace::Headers),
    ];
    for (scheme, row, topic) in &doors.rows {
        for version in [Version::V311, Version::V5] {
            for (transport, parameters) in ways {
                let target = doors.target();
                let alpn = transport.alpn(false, &target.address);
                let target = Target { transport, parameters, alpn, ..target };
                let published = publishes(target, *scheme, row, topic, version).await;
                published.unwrap_or_else(|error| {
                    panic!("{scheme:?} {transport:?} {parameters:?}: {error}\n{}", doors.gateway.log.text())
                });
            }
        }
        let scheme = format!("{scheme:?}").to_lowercase();
        doors.gateway.logged_with(&[("outcome", "allow"), ("scheme", &scheme)]).await;
    }
}

#[tokio::test]
async fn schemes_without_a_signature_publish_over_https_and_a_refusal_names_its_status() {
    let doors = Doors::new().await;
    let mut published = 0;
    for (scheme, row, topic) in &doors.rows {
        if matches!(scheme, Scheme::Alibaba | Scheme::Tencent) {
            let settings = SchemeSettings { scheme: *scheme, token_key_name: None };
            assert!(settings.authorization().is_err());
            continue;
        }
        for parameters in [ParameterPlace::UserName, ParameterPlace::Query, ParameterPlace::Headers] {
            let target = doors.target();
            let alpn = Transport::Https.alpn(false, &target.address);
            let target = Target { transport: Transport::Https, parameters, alpn, ..target };
            let sent = publishes(target.clone(), *scheme, row, topic, Version::V5).await;
            sent.unwrap_or_else(|error| {
                panic!("{scheme:?} {parameters:?}: {error}\n{}", doors.gateway.log.text())
            });
            published += 1;
            let denied = publishes(target, *scheme, row, "another/topic", Version::V5).await.unwrap_err();
            assert!(matches!(denied, RequestError::HttpRefused { status: 403, .. }), "{denied}");
        }
    }
    assert_eq!(published, 9);
    let wrong = row("hall-1", "hall-1", "wrong");
    let target = doors.target();
    let alpn = Transport::Https.alpn(false, &target.address);
    let target = Target { transport: Transport::Https, alpn, ..target };
    let refused = publishes(target, Scheme::Password, &wrong, "hall-1/t", Version::V5).await.unwrap_err();
    assert!(matches!(refused, RequestError::HttpRefused { status: 401, .. }), "{refused}");
    assert_eq!(refused.reason(), "http_401");
}

#[tokio::test]
async fn a_certificate_gets_in_at_each_of_its_doors() {
    let device = DeviceCertificate::new("device");
    let start = Start::with_authorizer().registered(vec![device.registered()], Vec::new());
    device.write(start.folder(), "device");
    let files = CertificateFiles {
        certificate: start.folder().join("device.pem"),
        key: start.folder().join("device.key"),
    };
    let gateway = start.run().await;
    let doors = [
        (Transport::Mqtt, Port::P8883, None),
        (Transport::Mqtt, Port::P443, None),
        // The door is known by its port, too.
        (Transport::Mqtt, Port::P8883, Some("none")),
        (Transport::Https, Port::P8443, Some("http/1.1")),
        (Transport::Https, Port::P443, None),
    ];
    for (transport, port, alpn) in doors {
        let target = target(&gateway, port);
        let alpn = alpn.map_or_else(|| transport.alpn(true, &target.address), |alpn| alpn.parse().unwrap());
        let target = Target { transport, alpn, certificate: Some(files.clone()), ..target };
        let row = row("device", "-", "-");
        let sent = publishes(target, Scheme::Certificate, &row, "any/topic", Version::V5).await;
        sent.unwrap_or_else(|error| panic!("{transport:?} {port:?}: {error}\n{}", gateway.log.text()));
    }
}

#[tokio::test]
async fn a_proxy_leads_to_a_server_whose_name_only_the_client_knows() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("hall-1", "own-topics");
    let http = ConnectProxy::to(gateway.address).await;
    let socks = SocksProxy::to(gateway.address, socks_proxy::Manner::Open).await;
    for proxy in [format!("http://127.0.0.1:{}", http.port), format!("socks5://127.0.0.1:{}", socks.port)] {
        for transport in [Transport::Mqtt, Transport::WebSocket, Transport::Https] {
            let address = "iot.example.invalid:443".parse::<Address>().unwrap();
            let target = Target {
                ca: Some(gateway.ca()),
                sni: Some("localhost".to_owned()),
                alpn: transport.alpn(false, &address),
                transport,
                proxy: Some(proxy.parse().unwrap()),
                ..Target::new(address)
            };
            let row = row("hall-1", "hall-1", &password);
            let sent = publishes(target, Scheme::Password, &row, "hall-1/t", Version::V5).await;
            sent.unwrap_or_else(|error| panic!("{proxy} {transport:?}: {error}\n{}", gateway.log.text()));
        }
    }
    assert_eq!(http.asked(), ["iot.example.invalid:443"; 3]);
    assert_eq!(socks.asked(), ["iot.example.invalid:443"; 3]);
}
