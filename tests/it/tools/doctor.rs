//! `latchkey doctor`: each finding, made by a server that misbehaves in exactly that way or by the gateway, and none on a
//! healthy path.

mod cloudwatch;

use std::{path::Path, time::SystemTime};

use clap::Parser;
use device_sim::doctor::{
    CloudSteps, DoctorArgs, Knowledge, LogGroups,
    bridge::Side,
    cause::Cause,
    diagnosis::Finding,
    findings,
    observation::{LogStep, Observations},
};
use gateway::{
    custom_auth::authorizer::AuthorizerStatus,
    door::{DoorRequirements, route::Port},
    lambda::function::FunctionSource,
    quotas::Quotas,
};
use integration::{
    bridge_process::{BridgeProcess, settings, settings_to},
    connect_proxy::{self, ConnectProxy},
    device_certificate::DeviceCertificate,
    eventually::{eventually, within},
    fake_function::{Act, FakeFunction},
    foreign::mosquitto::Broker,
    misbehaving::{Manner, Misbehaving, Tls},
    mqtt_client::{MqttClient, connect},
    programs::program,
    running::{Finished, Running},
    script::{Step, allow, allow_all},
    test_gateway::{Start, TestGateway},
    token_signer::{TokenSigner, signed_by},
};
use mqtt::Version;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const PASSWORD: &str = "a password for hall-1";

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    doctor: DoctorArgs,
}

/// The log of a gateway in this process, and no kits.
struct GatewaysLog<'a>(Option<&'a TestGateway>);

impl Knowledge for GatewaysLog<'_> {
    fn log_steps(&self, _: &Path, client_id: &str, since: SystemTime) -> Option<Vec<LogStep>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.0?.log.text()).unwrap();
        let attempts = gateway::why::attempts(file.path(), client_id, 10.try_into().unwrap(), since).unwrap();
        Some(LogStep::of_attempts(&attempts))
    }

    async fn cloud_steps(&self, _: &LogGroups, _: &str, _: SystemTime) -> CloudSteps {
        CloudSteps::default()
    }

    fn kit_values(&self, _: &str) -> Option<Vec<(String, String)>> {
        None
    }
}

/// What the doctor sees and finds with these words, and the password in a file.
async fn examined(words: &[&str], log: GatewaysLog<'_>) -> (Observations, Vec<Finding>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, PASSWORD).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let file = file.display().to_string();
    let mut all = vec!["doctor", "--password-file", &file];
    all.extend(words);
    if !words.contains(&"--hold") {
        all.extend(["--hold", "0"]);
    }
    if !words.contains(&"-u") {
        all.extend(["-u", "hall-1"]);
    }
    let args = Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{error}")).doctor;
    let examined = within("the doctor", findings(&args, &log)).await;
    examined.unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

#[track_caller]
fn assert_found((seen, found): &(Observations, Vec<Finding>), cause: Cause) {
    let causes = found.iter().map(|finding| finding.cause).collect::<Vec<_>>();
    assert_eq!(causes, [cause], "{found:?}\n{seen:?}");
    let text = format!("{}", serde_json::json!({"seen": seen, "found": found}));
    assert!(!text.contains(PASSWORD), "{text}");
}

/// What is found at a server that misbehaves.
async fn of(server: &Misbehaving, more: &[&str]) -> (Observations, Vec<Finding>) {
    let (endpoint, ca) = (server.endpoint(), server.ca().display().to_string());
    examined(&[&[endpoint.as_str(), "--ca", &ca][..], more].concat(), GatewaysLog(None)).await
}

/// What is found at a gateway, with its log.
async fn at(gateway: &TestGateway, port: Port, more: &[&str]) -> (Observations, Vec<Finding>) {
    let endpoint = format!("localhost:{}", gateway.addresses.doors[&port].port());
    let ca = gateway.ca().display().to_string();
    let words = [&[endpoint.as_str(), "--ca", &ca, "--log", "events.jsonl"][..], more].concat();
    examined(&words, GatewaysLog(Some(gateway))).await
}

async fn with_device() -> TestGateway {
    let gateway = Start::with_authorizer().run().await;
    integration::devices::add(gateway.folder.path(), "hall-1", "own-topics", PASSWORD.as_bytes());
    gateway
}

async fn with_answer(answer: Value) -> TestGateway {
    Start::with_script(&Step::Answer(answer)).0.run().await
}

#[tokio::test]
async fn faults_of_the_network_are_told_apart() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Misbehaving::start(Manner::Raw(b"")).await;
    let ca = server.ca().display().to_string();
    let closed = format!("localhost:{port}");
    let cases = [
        (["nowhere.invalid:443", "--ca", &ca].to_vec(), Cause::NameNotFound),
        ([closed.as_str(), "--ca", &ca].to_vec(), Cause::PortClosed),
    ];
    for (words, cause) in cases {
        assert_found(&examined(&words, GatewaysLog(None)).await, cause);
    }
    let refusing = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
    let proxy =
        ConnectProxy::with("127.0.0.1:1".parse().unwrap(), connect_proxy::Manner::Answer(refusing)).await;
    let proxy = format!("http://127.0.0.1:{}", proxy.port);
    let by_proxy = of(&server, &["--proxy", &proxy]).await;
    assert_found(&by_proxy, Cause::Proxy);
}

#[tokio::test]
async fn what_is_not_tls_is_told_from_what_is_broken() {
    let portal = b"HTTP/1.1 302 Found\r\nlocation: http://portal.example/\r\ncontent-length: 0\r\n\r\n";
    let cases = [
        (Manner::Raw(portal), Cause::CaptivePortal),
        (Manner::Raw(b"SSH-2.0-OpenSSH_9.2\r\n"), Cause::NoTls),
        (Manner::Raw(b"\x20\x02\x00\x05"), Cause::NoTls),
        (Manner::Raw(b""), Cause::TlsBroken),
        // Alerts, fatal: protocol_version, internal_error, unrecognized_name.
        (Manner::Raw(b"\x15\x03\x03\x00\x02\x02\x46"), Cause::TlsVersion),
        (Manner::Raw(b"\x15\x03\x03\x00\x02\x02\x50"), Cause::TlsBroken),
        (Manner::Raw(b"\x15\x03\x03\x00\x02\x02\x70"), Cause::UnknownSni),
        // unknown_ca
        (Manner::Raw(b"\x15\x03\x03\x00\x02\x02\x30"), Cause::ClientCertificate),
    ];
    for (manner, cause) in cases {
        let server = Misbehaving::start(manner).await;
        assert_found(&of(&server, &[]).await, cause);
    }
    // Records of TLS that are wrong: an empty ServerHello, a ServerHelloDone at the beginning, and TLS 1.1.
    let tls_1_1: &'static [u8] =
        &[&b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02"[..], &[7; 32], b"\x00\xc0\x2f\x00"]
            .concat()
            .leak()[..];
    for (bytes, cause, words) in [
        (&b"\x16\x03\x03\x00\x04\x02\x00\x00\x00"[..], Cause::TlsBroken, "does not speak TLS as it should"),
        (b"\x16\x03\x03\x00\x04\x0e\x00\x00\x00", Cause::TlsBroken, "does not speak TLS as it should"),
        (tls_1_1, Cause::TlsVersion, "offers only TLS 1.1 or older"),
    ] {
        let server = Misbehaving::start(Manner::Raw(bytes)).await;
        let found = of(&server, &[]).await;
        assert_found(&found, cause);
        assert!(found.1[0].evidence.contains(words), "{found:?}");
    }
}

#[tokio::test]
async fn certificates_are_judged_by_the_devices_clock_and_no_password_is_sent() {
    let hour = time::Duration::HOUR;
    let year = time::Duration::days(365);
    let good = Tls::default();
    let cases = [
        (Tls { known: false, ..good.clone() }, &[][..], Cause::WrongCa),
        (Tls { name: "other.example.com", ..good.clone() }, &[], Cause::WrongName),
        (Tls { from: -year, until: -hour, ..good.clone() }, &[], Cause::CertificateDates),
        (Tls { from: hour * 48, until: year, ..good.clone() }, &[], Cause::CertificateDates),
        (good.clone(), &["--clock", "1970-01-01T00:00:10Z"], Cause::ClockWrong),
        (good.clone(), &["--clock", "2000-01-01T00:00:00Z"], Cause::ClockWrong),
        (good.clone(), &["--clock", "2099-01-01T00:00:00Z"], Cause::ClockWrong),
        (
            Tls { date: Some("Sun, 01 Jan 2040 00:00:00 GMT"), until: -hour, ..good.clone() },
            &[],
            Cause::ClockWrong,
        ),
    ];
    for (tls, more, cause) in cases {
        let server = Misbehaving::start(Manner::Tls(tls, &[])).await;
        assert_found(&of(&server, more).await, cause);
        assert_eq!(server.connects(), 0, "{cause:?}");
    }
}

#[tokio::test]
async fn alpn_and_a_client_certificate_are_named() {
    let mqtt = Tls { alpn: &["mqtt"], ..Tls::default() };
    let server = Misbehaving::start(Manner::Tls(mqtt, &[])).await;
    assert_found(&of(&server, &["--alpn", "x-amzn-mqtt-ca"]).await, Cause::WrongAlpn);
    assert_found(&of(&server, &["--alpn", "x,y"]).await, Cause::SeveralAlpn);
    let certificate = Tls { client_certificate: true, ..Tls::default() };
    let server = Misbehaving::start(Manner::Tls(certificate, &[])).await;
    assert_found(&of(&server, &[]).await, Cause::ClientCertificate);
    let gateway = with_device().await;
    for (alpn, cause) in [
        ("none", Cause::NoAlpn),
        ("http/1.1", Cause::WrongAlpn),
        ("x-amzn-mqtt-ca", Cause::WrongAlpn),
        ("other", Cause::WrongAlpn),
        ("http/1.1,other", Cause::SeveralAlpn),
        ("other,another", Cause::SeveralAlpn),
    ] {
        let found = at(&gateway, Port::P443, &["--alpn", alpn]).await;
        assert_found(&found, cause);
    }
    assert_found(&at(&gateway, Port::P8883, &["--alpn", "none"]).await, Cause::ClientCertificate);
    assert_found(&at(&gateway, Port::P443, &["--sni", "elsewhere.example.com"]).await, Cause::UnknownSni);
    let required = DoorRequirements { require_server_name: true, require_alpn: false };
    let strict = Start::with_authorizer().with(|settings| settings.doors = required).run().await;
    assert_found(&at(&strict, Port::P443, &["--no-sni"]).await, Cause::NoSni);
}

#[tokio::test]
async fn answers_to_a_connect_are_read_by_their_codes() {
    let cases = [
        (0x85, Cause::ClientIdNotAllowed),
        (0x86, Cause::WrongPassword),
        (0x87, Cause::Refused),
        (0x84, Cause::ProtocolVersion),
        (0x88, Cause::OtherServerRefusal),
        (0x95, Cause::MessageTooLarge),
        (0x97, Cause::Throttled),
        (0x9a, Cause::RetainNotAllowed),
        (0x9b, Cause::Qos2),
    ];
    for (code, cause) in cases {
        let answer: &'static [u8] = Box::leak(vec![0x20, 3, 0, code, 0].into_boxed_slice());
        let server = Misbehaving::start(Manner::Tls(Tls::default(), answer)).await;
        assert_found(&of(&server, &[]).await, cause);
    }
    let garbage = Misbehaving::start(Manner::Tls(Tls::default(), b"hello, who is there?")).await;
    assert_found(&of(&garbage, &[]).await, Cause::NotMqtt);
    let closing = Misbehaving::start(Manner::Tls(Tls::default(), b"")).await;
    let (seen, found) = of(&closing, &["-V", "3.1.1"]).await;
    assert!(seen.connect_v5.is_some(), "{seen:?}");
    assert_eq!((found[0].cause, found[0].alike.is_empty()), (Cause::Refused, false), "{found:?}");
    // CONNACK, then DISCONNECT with a take-over.
    let taken = Misbehaving::start(Manner::Tls(Tls::default(), b"\x20\x03\x00\x00\x00\xe0\x01\x8e")).await;
    assert_found(&of(&taken, &["--hold", "5"]).await, Cause::TakenOver);
    let lost = Misbehaving::start(Manner::Tls(Tls::default(), b"\x20\x03\x00\x00\x00")).await;
    assert_found(&of(&lost, &["--hold", "5"]).await, Cause::ConnectionLost);
}

#[tokio::test]
async fn refusals_of_the_authorizer_are_told_apart_by_the_log() {
    let gateway = with_device().await;
    let folder = gateway.folder.path();
    integration::devices::add(folder, "off", "own-topics", PASSWORD.as_bytes());
    integration::devices::disable(folder, "off");
    integration::devices::add(folder, "other", "own-topics", b"another password");
    let cases = [
        (&["-u", "other"][..], Cause::WrongPassword),
        (&["-u", "nobody"], Cause::UnknownDevice),
        (&["-u", "off"], Cause::DeviceDisabled),
        (&["-i", "off"], Cause::ClientIdNotAllowed),
        (&["--authorizer", "Latchkey"], Cause::AuthorizerMisspelt),
        (
            &["-u", "hall-1?x-amz-customauthorizer-name=latchkey?SDK=x", "-i", "hall-1", "--no-authorizer"],
            Cause::AuthorizerSecondMark,
        ),
        (&["--will-topic", "another/topic"], Cause::WillNotAllowed),
    ];
    for version in ["5", "3.1.1"] {
        for (more, cause) in cases {
            assert_found(&at(&gateway, Port::P443, &[more, &["-V", version]].concat()).await, cause);
        }
    }
    let inactive = Start::with_authorizer().with(|settings| {
        settings.authorizers[0].status = AuthorizerStatus::Inactive;
        settings.default_authorizer = None;
    });
    let inactive = inactive.run().await;
    assert_found(&at(&inactive, Port::P443, &[]).await, Cause::AuthorizerInactive);
    let no_name = ["--no-authorizer"];
    assert_found(&at(&inactive, Port::P443, &no_name).await, Cause::AuthorizerMissing);
    let signing =
        Start::with_authorizer().signing(signed_by("token", &[&TokenSigner::generate()])).run().await;
    assert_found(&at(&signing, Port::P443, &[]).await, Cause::TokenSignature);
}

#[tokio::test]
async fn faults_of_the_function_and_of_its_documents_are_told_apart() {
    let (start, script) = Start::with_script(&Step::Error);
    let gateway = start.run().await;
    assert_found(&at(&gateway, Port::P443, &[]).await, Cause::FunctionFailing);
    script.set(&Step::Answer(json!({"isAuthenticated": "yes"})));
    assert_found(&at(&gateway, Port::P443, &[]).await, Cause::FunctionFailing);
    script.set(&Step::Answer(allow(&[("Allow", "iot:Connect", "client/other")])));
    assert_found(&at(&gateway, Port::P443, &[]).await, Cause::ConnectDenied);
    let elsewhere = allow_all().to_string().replace("us-east-1", "eu-west-1");
    script.set(&Step::Answer(serde_json::from_str(&elsewhere).unwrap()));
    assert_found(&at(&gateway, Port::P443, &[]).await, Cause::DocumentsRegion);
    script.set(&Step::Hang);
    assert_found(&at(&gateway, Port::P443, &[]).await, Cause::FunctionTimeout);
    // AWS's answer to an Invoke without the permission.
    let denied = FakeFunction::start(Act::aws_error(403, "AccessDeniedException")).await;
    let source = FunctionSource::InvokeUrl(denied.url().parse().unwrap());
    let gateway = Start::with_source(source).run().await;
    assert_found(&at(&gateway, Port::P443, &[]).await, Cause::FunctionPermission);
    let quiet = Start::with_script(&Step::Error).0.with(|settings| {
        settings.logging =
            serde_json::from_value(json!({"event_log_levels": {"Connection.AuthNError": "DISABLED"}}))
                .unwrap();
    });
    assert_found(&at(&quiet.run().await, Port::P443, &[]).await, Cause::LoggingOff);
}

#[tokio::test]
async fn what_a_device_may_not_do_is_named() {
    let gateway = with_answer(allow(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Publish", "topic/mine"),
        ("Allow", "iot:Publish", "topic/unheard"),
        ("Allow", "iot:Subscribe", "topicfilter/*"),
        ("Allow", "iot:Receive", "topic/mine"),
    ]))
    .await;
    let large = ["-t", "mine", "--payload-bytes", "140000"];
    for version in ["5", "3.1.1"] {
        for (more, cause) in [
            (&["-t", "another"][..], Cause::TopicNotAllowed),
            (&["-t", "mine", "--retain"], Cause::RetainNotAllowed),
            (&["-t", "unheard"], Cause::ReceiveNotAllowed),
            (&large, Cause::MessageTooLarge),
            (&["-q", "2"], Cause::Qos2),
            (&["-k", "10"], Cause::KeepAlive),
        ] {
            assert_found(&at(&gateway, Port::P443, &[more, &["-V", version]].concat()).await, cause);
        }
    }
    let denied = with_answer(allow(&[("Allow", "iot:Connect", "client/*")])).await;
    assert_found(&at(&denied, Port::P443, &["-t", "t"]).await, Cause::TopicNotAllowed);
}

#[tokio::test]
async fn a_throttled_client_id_and_a_twin_are_named() {
    let start = Start::with_script(&Step::Answer(allow_all())).0;
    // The clock stands still, so the doctor's CONNECT comes within the same second.
    let strict = start.on_manual_clock().with(|settings| settings.quotas = Quotas::AWS).run().await;
    MqttClient::connected(&strict, connect(Version::V5, "hall-1", "u", "p")).await;
    assert_found(&at(&strict, Port::P443, &[]).await, Cause::Throttled);
    let gateway = with_answer(allow_all()).await;
    for version in ["5", "3.1.1"] {
        let twin = async {
            let before = gateway.log.lines().len();
            let connected = || {
                let lines = gateway.log.lines();
                let connected = |line: &Value| line["eventType"] == "Connect" && line["clientId"] == "hall-1";
                lines.iter().skip(before).any(connected).then_some(())
            };
            eventually("the doctor's connection", connected).await;
            let twin = MqttClient::connect(&gateway, connect(Version::V5, "hall-1", "u", "p")).await;
            std::future::pending::<()>().await;
            drop(twin);
        };
        let words = ["--hold", "20", "-V", version];
        let found = tokio::select! {
            found = at(&gateway, Port::P443, &words) => found,
            () = twin => unreachable!(),
        };
        assert_found(&found, Cause::TakenOver);
    }
}

/// The doctor at a bridge: which side refuses, with MQTT 5 and with 3.1.1, over TCP and over TLS without ALPN.
#[tokio::test]
async fn a_bridge_is_recognised_and_the_side_that_fails_is_named() {
    let gateway = with_device().await;
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("bridge.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("bridge.key"), made.signing_key.serialize_pem()).unwrap();
    let more = "[limits]\ndevices = 2\n[tls]\ncertificate = \"bridge.pem\"\nkey = \"bridge.key\"\n\
                [ports]\nmqtt = 0\nmqtts = 0\nstatus = \"off\"";
    let bridge = BridgeProcess::start(folder.path(), &settings(&gateway, more)).await;
    let ca = folder.path().join("bridge.pem").display().to_string();
    let tcp = format!("localhost:{}", bridge.mqtt().port());
    let tls = format!("localhost:{}", bridge.address("mqtts").port());
    let ways = [
        vec![tcp.as_str(), "--transport", "tcp"],
        vec![tls.as_str(), "--ca", &ca, "--alpn", "none"],
        vec![tls.as_str(), "--ca", &ca],
    ];
    for way in &ways {
        for version in ["5", "3.1.1"] {
            let at = async |more: &[&str]| {
                let words = [&way[..], &["--no-authorizer", "-V", version], more].concat();
                examined(&words, GatewaysLog(None)).await
            };
            let (seen, found) = at(&["-t", "hall-1/t", "-k", "5", "-q", "2"]).await;
            assert_eq!(found, [], "{way:?} {version}: {seen:?}");
            let refused = at(&["-u", "nobody"]).await;
            assert_found(&refused, Cause::Refused);
            assert_eq!(refused.0.bridge, Some(Side::Upstream), "{refused:?}");
            assert!(refused.1[0].alike.contains(&Cause::UnknownDevice), "{refused:?}");
        }
    }
    let mut places = Vec::new();
    for name in ["one", "other"] {
        let password = gateway.add(name, "own-topics");
        places.push(MqttClient::plain(bridge.mqtt(), connect(Version::V5, name, name, &password)).await);
    }
    for version in ["5", "3.1.1"] {
        let full = examined(&[&ways[0][..], &["-V", version]].concat(), GatewaysLog(None)).await;
        assert_found(&full, Cause::BridgeRefuses);
    }
    let nowhere = settings_to(([127, 0, 0, 1], 1).into(), &gateway.ca(), "");
    let folder = tempfile::tempdir().unwrap();
    let bridge = BridgeProcess::start(folder.path(), &nowhere).await;
    let tcp = format!("localhost:{}", bridge.mqtt().port());
    for version in ["5", "3.1.1"] {
        let found = examined(&[&tcp, "--transport", "tcp", "-V", version], GatewaysLog(None)).await;
        assert_found(&found, Cause::BridgeUpstream);
    }
}

#[tokio::test]
async fn a_healthy_path_has_no_finding() {
    let gateway = with_device().await;
    for more in [
        &["-t", "hall-1/t"][..],
        &["-t", "hall-1/t", "-V", "3.1.1"],
        &["-t", "hall-1/t", "--transport", "websocket"],
        &["-t", "hall-1/t", "--transport", "https"],
        &["--no-authorizer"],
        &["--alpn", "mqtt,http/1.1"],
        &[],
    ] {
        let (seen, found) = at(&gateway, Port::P443, more).await;
        assert_eq!(found, [], "{more:?}: {seen:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (broker, ports) = mosquitto(&folder).await;
    let ca = folder.path().join("ca.pem").display().to_string();
    let (plain, tls) = (format!("localhost:{}", ports[0]), format!("localhost:{}", ports[1]));
    for words in [
        &[plain.as_str(), "--transport", "tcp", "-t", "t", "--no-authorizer"][..],
        &[
            &plain,
            "--transport",
            "tcp",
            "-t",
            "t",
            "--no-authorizer",
            "-q",
            "2",
            "-k",
            "10",
            "-V",
            "3.1.1",
            "-r",
        ],
        &[&tls, "--ca", &ca, "-t", "t", "--no-authorizer"],
        &[&tls, "--ca", &ca, "-t", "t", "--no-authorizer", "--alpn", "none", "-V", "3.1.1"],
    ] {
        let (seen, found) = examined(words, GatewaysLog(None)).await;
        assert_eq!(found, [], "{words:?}: {seen:?}");
    }
    // The same broker, asked for TLS where it has none.
    assert_found(&examined(&[&plain, "--ca", &ca], GatewaysLog(None)).await, Cause::NoTls);
    drop(broker);
}

/// mosquitto without TLS, and with a certificate of the CA in `ca.pem`.
async fn mosquitto(folder: &TempDir) -> (Broker, [u16; 2]) {
    let path = folder.path();
    let ports =
        [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let (certificate, key) = integration::device_certificate::server_certificate(path, "localhost");
    std::fs::write(path.join("server.pem"), certificate).unwrap();
    std::fs::write(path.join("server.key"), key).unwrap();
    let socket = path.join("mosquitto.sock");
    let file = |name: &str| path.join(name).display().to_string();
    let configuration = format!(
        "allow_anonymous true\nlistener 0 {}\nlistener {} 127.0.0.1\nlistener {} 127.0.0.1\ncertfile {}\nkeyfile {}\n",
        socket.display(),
        ports[0],
        ports[1],
        file("server.pem"),
        file("server.key")
    );
    let broker = Broker::start(path, &configuration, socket);
    eventually("the broker", || std::net::TcpStream::connect(("127.0.0.1", ports[1])).ok()).await;
    (broker, ports)
}

async fn doctor(folder: &Path, words: &[&str]) -> Finished {
    let mut command = Command::new(program("latchkey"));
    command.arg("doctor").args(words).current_dir(folder).env("LATCHKEY_PASSWORD", PASSWORD);
    Running::start(command).finish().await
}

#[tokio::test]
async fn the_program_says_what_it_saw_and_ends_with_the_causes_code() {
    let folder = tempfile::tempdir().unwrap();
    let gateway =
        integration::gateway_process::GatewayProcess::start(folder.path(), "latchkey-authorizer", true, &[]);
    let gateway = gateway.await;
    integration::devices::add(folder.path(), "hall-1", "own-topics", PASSWORD.as_bytes());
    integration::devices::add(folder.path(), "hall-2", "own-topics", b"another password");
    let endpoint = format!("localhost:{}", gateway.address.port());
    let words = [endpoint.as_str(), "--ca", "ca.pem", "--log", "events.jsonl", "--hold", "0"];
    let good = doctor(folder.path(), &[&words[..], &["-u", "hall-1", "-t", "hall-1/t"]].concat()).await;
    assert_eq!(good.code, Some(0), "{}{}", good.out(), good.err());
    for part in
        ["nothing is wrong on this path", "offered mqtt, the server chose mqtt", "the message came back"]
    {
        assert!(good.out().contains(part), "{part}: {}", good.out());
    }
    let wrong = doctor(folder.path(), &[&words[..], &["-u", "hall-2"]].concat()).await;
    assert_eq!(wrong.code, Some(Cause::WrongPassword.exit_code().into()), "{}{}", wrong.out(), wrong.err());
    assert!(wrong.out().contains("cause         The password is wrong."), "{}", wrong.out());
    let overlong = wrong.out().lines().filter(|line| line.chars().count() > 80).count();
    assert_eq!(overlong, 0, "{}", wrong.out());
    let json = doctor(folder.path(), &[&words[..], &["-u", "nobody", "--json"]].concat()).await;
    let report = serde_json::from_slice::<Value>(&json.out).unwrap();
    assert_eq!(report["exit_code"], Cause::UnknownDevice.exit_code());
    assert_eq!((&report["findings"][0]["cause"], json.code), (&json!("unknown_device"), Some(36)));
    // Without the log the causes look alike.
    let alike = doctor(folder.path(), &[&words[..3], &["-u", "nobody", "--hold", "0"]].concat()).await;
    assert_eq!(alike.code, Some(Cause::Refused.exit_code().into()), "{}", alike.out());
    for part in ["look alike", "wrong_password", "unknown_device"] {
        assert!(alike.out().contains(part), "{part}: {}", alike.out());
    }
    // No credentials: everything up to TLS.
    let incomplete = doctor(folder.path(), &words).await;
    assert_eq!(incomplete.code, Some(2), "{}{}", incomplete.out(), incomplete.err());
    let usage = doctor(folder.path(), &["localhost:1", "--ca", "missing.pem", "-u", "x"]).await;
    assert_eq!(usage.code, Some(64));
    for finished in [&good, &wrong, &json, &alike] {
        assert!(!finished.out().contains(PASSWORD) && !finished.err().contains(PASSWORD));
    }
}

#[tokio::test]
async fn a_certificate_is_examined_as_the_device_shows_it() {
    let (known, unknown) = (DeviceCertificate::new("hall-1"), DeviceCertificate::new("hall-1"));
    let gateway = Start::with_authorizer().registered(vec![known.registered()], Vec::new()).run().await;
    let folder = gateway.folder.path();
    known.write(folder, "known");
    unknown.write(folder, "unknown");
    std::fs::write(folder.join("events.jsonl"), "").unwrap();
    let port = gateway.addresses.doors[&Port::P8883].port();
    let endpoint = format!("localhost:{port}");
    let words = [endpoint.as_str(), "--ca", "ca.pem", "--hold", "0", "-i", "hall-1", "-t", "hall-1/t"];
    for (name, code) in [("known", 0), ("unknown", Cause::ClientCertificate.exit_code())] {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let found = doctor(folder, &[&words[..], &["--cert", &certificate, "--key", &key]].concat()).await;
        assert_eq!(found.code, Some(code.into()), "{name}: {}{}", found.out(), found.err());
    }
    let without = doctor(folder, &[&words[..], &["--cert", "known.pem"]].concat()).await;
    assert!(without.code == Some(64) && without.err().contains("--key"), "{}", without.err());
}

#[tokio::test]
async fn a_kit_and_a_partition_are_read_as_the_device_would() {
    let gateway = with_device().await;
    let folder = gateway.folder.path();
    let endpoint = format!("localhost:{}", gateway.address.port());
    let mut command = Command::new(program("latchkey"));
    command.args([
        "fleet",
        "--store",
        "devices.json",
        "kit",
        "hall-1",
        "--for",
        "esp-idf",
        "--endpoint",
        &endpoint,
    ]);
    command.args(["--ca", "ca.pem"]).current_dir(folder);
    let kit = Running::start(command).finish().await;
    std::fs::write(folder.join("kit.c"), kit.out()).unwrap();
    let found = doctor(folder, &["--kit", "kit.c", "--hold", "0"]).await;
    assert_eq!(found.code, Some(0), "{}{}", found.out(), found.err());
    assert!(found.out().contains("the message came back"), "{}", found.out());
    let spoilt = kit.out().replace("{\"mqtt\", NULL}", "{\"mqtts\", NULL}");
    std::fs::write(folder.join("kit.c"), spoilt).unwrap();
    let found = doctor(folder, &["--kit", "kit.c", "--hold", "0"]).await;
    assert_eq!(found.code, Some(Cause::WrongAlpn.exit_code().into()), "{}{}", found.out(), found.err());
    let ca = std::fs::read_to_string(gateway.ca()).unwrap();
    let port = gateway.address.port().to_string();
    for (secret, code) in [(PASSWORD, 0), ("another", Cause::Refused.exit_code())] {
        use device_core::partition::Key;
        let mut bytes = Vec::new();
        let entries = [
            (Key::Host, "localhost"),
            (Key::Port, &port),
            (Key::Address, "127.0.0.1"),
            (Key::Ca, &ca),
            (Key::ClientId, "hall-1"),
            (Key::UserName, "hall-1"),
            (Key::Authorizer, "latchkey"),
            (Key::Secret, secret),
        ];
        device_core::partition::encode(entries.into_iter(), &mut bytes).unwrap();
        std::fs::write(folder.join("device.bin"), bytes).unwrap();
        let found = doctor(folder, &["--partition", "device.bin", "--hold", "0"]).await;
        assert_eq!(found.code, Some(code.into()), "{}{}", found.out(), found.err());
    }
    for (option, message) in
        [("--kit", "is not a configuration"), ("--partition", "there is no configuration")]
    {
        std::fs::write(folder.join("nothing"), "hello").unwrap();
        let found = doctor(folder, &[option, "nothing"]).await;
        assert_eq!(found.code, Some(64), "{}", found.err());
        assert!(found.err().contains(message), "{}", found.err());
    }
}
