//! What the log says of a handshake that fails because of the client: the cause and the cure, for each alert that a client can
//! send and for each way in which its bytes can be wrong.

use integration::{
    eventually::within,
    mqtt_client::client_config,
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use rustls::{AlertDescription, ClientConnection, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::raw_hello::{ALPN, ClientHello, GROUPS, KEY_SHARES, POINT_FORMATS, SIGNATURE_SCHEMES, VERSIONS};

const NAME: &str = "add it with `--name`";
const BYTES: &str = "update its TLS library, and look for a proxy that changes the bytes";

/// What the terminal and the log say of each alert: a part of the cause, and a part of the cure.
const ALERTS: [(AlertDescription, &str, &str); 34] = [
    (AlertDescription::UnexpectedMessage, "can't read the gateway's part", BYTES),
    (AlertDescription::BadRecordMac, "can't read the gateway's part", BYTES),
    (AlertDescription::DecryptionFailed, "can't read the gateway's part", BYTES),
    (AlertDescription::RecordOverflow, "can't read the gateway's part", BYTES),
    (AlertDescription::DecompressionFailure, "can't read the gateway's part", BYTES),
    (AlertDescription::HandshakeFailure, "no TLS in common", "TLS 1.2 or 1.3 is needed"),
    (AlertDescription::NoCertificate, "a client certificate is missing", "give it one"),
    (AlertDescription::BadCertificate, "does not accept the server's certificate", NAME),
    (AlertDescription::UnsupportedCertificate, "does not accept the server's certificate", NAME),
    (AlertDescription::CertificateRevoked, "does not accept the server's certificate", NAME),
    (AlertDescription::CertificateExpired, "certificate has expired", "set its clock"),
    (AlertDescription::CertificateUnknown, "does not accept the server's certificate", NAME),
    (AlertDescription::IllegalParameter, "can't read the gateway's part", BYTES),
    (AlertDescription::UnknownCA, "does not trust the server's certificate", "give it this gateway's ca.pem"),
    (AlertDescription::AccessDenied, "does not accept the server's certificate", NAME),
    (AlertDescription::DecodeError, "can't read the gateway's part", BYTES),
    (AlertDescription::DecryptError, "can't read the gateway's part", BYTES),
    (AlertDescription::ExportRestriction, "no TLS in common", "TLS 1.2 or 1.3 is needed"),
    (AlertDescription::ProtocolVersion, "no TLS in common", "TLS 1.2 or 1.3 is needed"),
    (AlertDescription::InsufficientSecurity, "no TLS in common", "with a current cipher suite"),
    (AlertDescription::InternalError, "does not accept the server's certificate", NAME),
    (AlertDescription::InappropriateFallback, "no TLS in common", "TLS 1.2 or 1.3 is needed"),
    (AlertDescription::UserCanceled, "closed the connection in the handshake", NAME),
    (AlertDescription::NoRenegotiation, "closed the connection in the handshake", NAME),
    (AlertDescription::MissingExtension, "can't read the gateway's part", BYTES),
    (AlertDescription::UnsupportedExtension, "can't read the gateway's part", BYTES),
    (AlertDescription::CertificateUnobtainable, "a client certificate is missing", "give it one"),
    (AlertDescription::UnrecognisedName, "the server name that it asked for itself", "in its settings"),
    (AlertDescription::BadCertificateStatusResponse, "requires an OCSP response", "turn that off"),
    (AlertDescription::BadCertificateHashValue, "does not accept the server's certificate", NAME),
    (AlertDescription::UnknownPSKIdentity, "wants a pre-shared key", "configure it for certificates"),
    (AlertDescription::CertificateRequired, "a client certificate is missing", "give it one"),
    (AlertDescription::NoApplicationProtocol, "the ALPN protocol", "in its settings"),
    (AlertDescription::EncryptedClientHelloRequired, "an encrypted ClientHello", "turn that off"),
];

async fn gateway() -> TestGateway {
    Start::with_script(&Step::Answer(allow_all())).0.run().await
}

/// Sends bytes, waits for an answer if `after_answer` follows it, and waits for the end of the connection.
async fn send(gateway: &TestGateway, bytes: &[u8], after_answer: Option<&[u8]>) {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    if let Some(rest) = after_answer {
        within("the gateway's messages", stream.read(&mut [0; 1_024])).await.unwrap();
        stream.write_all(rest).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    _ = within("the end", stream.read_to_end(&mut Vec::new())).await;
}

/// Sends as [`send`] does, and returns the details of the line about it.
async fn details(gateway: &TestGateway, what: &str, bytes: &[u8], after_answer: Option<&[u8]>) -> String {
    let failed = |line: &serde_json::Value| line["reason"] == "TLS_HANDSHAKE_FAILED";
    let before = gateway.log.lines().into_iter().filter(failed).count();
    send(gateway, bytes, after_answer).await;
    let line = || gateway.log.lines().into_iter().filter(failed).nth(before);
    let line = integration::eventually::eventually(what, line).await;
    line["details"].as_str().unwrap().to_owned()
}

/// What a TLS client sends first.
fn hello(gateway: &TestGateway) -> Vec<u8> {
    let config = client_config(gateway, &["mqtt"], rustls::DEFAULT_VERSIONS);
    let mut bytes = Vec::new();
    let name = ServerName::try_from("localhost").unwrap();
    ClientConnection::new(config, name).unwrap().write_tls(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn each_alert_of_a_client_is_logged_with_its_cause_and_cure() {
    let gateway = gateway().await;
    let hello = hello(&gateway);
    let mut alerts = ALERTS.to_vec();
    alerts.push((AlertDescription::Unknown(200), "an alert that TLS does not define (200)", BYTES));
    for (alert, cause, cure) in alerts {
        let record = [21, 3, 3, 0, 2, 2, u8::from(alert)];
        let details = details(&gateway, &format!("{alert:?}"), &hello, Some(&record)).await;
        assert!(details.contains(cause) && details.contains(cure), "{alert:?}: {details}");
        let is_named = details.contains(&format!("{alert:?}")) || details.contains("unknown_ca");
        assert!(is_named || matches!(alert, AlertDescription::Unknown(_)), "{alert:?}: {details}");
    }
    // A close_notify is an end without a reason.
    let closed = details(&gateway, "the end", &hello, Some(&[21, 3, 3, 0, 2, 1, 0])).await;
    assert!(closed.contains("closed the connection in the handshake") && closed.contains(NAME), "{closed}");
    // No other alert has a name: the table is complete.
    let named = (u8::MIN..=u8::MAX).map(AlertDescription::from);
    let named =
        named.filter(|alert| !matches!(alert, AlertDescription::Unknown(_) | AlertDescription::CloseNotify));
    for alert in named {
        assert!(ALERTS.iter().any(|(listed, ..)| *listed == alert), "{alert:?} is not in the table");
    }
}

#[tokio::test]
async fn each_mistake_in_a_clients_bytes_is_logged_with_its_cause_and_cure() {
    let gateway = gateway().await;
    let base = ClientHello::of_tls_1_2;
    let tls_1_3 = || {
        let hello = ClientHello { suites: vec![0x1301], ..base() };
        let point = [&[0, 69, 0, 23, 0, 65, 4][..], &[7; 64]].concat();
        hello.with(VERSIONS, &[2, 3, 4]).with(KEY_SHARES, &point)
    };
    let other = |change: fn(&mut ClientHello)| {
        let mut hello = base();
        change(&mut hello);
        hello
    };
    let twice = {
        let mut hello = base();
        hello.extensions.push((ALPN, b"\x00\x05\x04mqtt".to_vec()));
        hello
    };
    let hellos = [
        ("an old version", ClientHello::of_tls_1_1(), "offers only TLS 1.1 or older", "TLS 1.2 or 1.3"),
        ("no suite", other(|hello| hello.suites = vec![0x002f]), "offers no cipher suite", "AES-GCM"),
        ("no group", base().with(GROUPS, &[0, 2, 0, 1]), "(No", "enable"),
        ("compressed points", base().with(POINT_FORMATS, &[1, 1]), "offers no group", "uncompressed points"),
        ("no signature scheme", base().with(SIGNATURE_SCHEMES, &[0, 2, 2, 1]), "(No", "enable"),
        ("compression", other(|hello| hello.compression = vec![1]), "(", "ompression"),
        ("a point off the curve", tls_1_3(), "does not speak TLS as it should", BYTES),
        ("no key share", tls_1_3().without(KEY_SHARES), "(", ":"),
        ("an extension twice", twice, "does not speak TLS as it should", BYTES),
        ("a broken extension", base().with(GROUPS, &[0, 9, 0]), "does not speak TLS as it should", BYTES),
        ("another message", other(|hello| hello.message_type = 20), "does not speak TLS as it should", BYTES),
        ("data first", other(|hello| hello.content_type = 23), "does not speak TLS as it should", BYTES),
    ];
    for (what, hello, cause, cure) in hellos {
        let details = details(&gateway, what, &hello.record(), None).await;
        println!("{what}: {details}");
        assert!(
            details.starts_with("the client ") && details.contains(cause) && details.contains(cure),
            "{what}: {details}"
        );
    }
    let hello = hello(&gateway);
    let garbage = [&[23, 3, 3, 0, 32][..], &[7; 32]].concat();
    let too_large = [&[22, 3, 3, 0xff, 0xff][..], &[7; 32]].concat();
    let rest = [
        (
            "plain MQTT",
            &b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"[..],
            None,
            "does not use TLS",
            "`mqtts://`",
        ),
        ("plain HTTP", b"GET / HTTP/1.1\r\n\r\n", None, "does not use TLS", "`mqtts://`"),
        ("a huge record", &too_large, None, "larger than TLS allows", "certificates"),
        ("half a hello", &hello[..hello.len() / 2], None, "closed the connection in the handshake", NAME),
        ("nothing", b"", None, "closed the connection in the handshake", NAME),
        (
            "a record that can't be decrypted",
            &hello,
            Some(&garbage[..]),
            "does not speak TLS as it should",
            BYTES,
        ),
    ];
    for (what, first, second, cause, cure) in rest {
        let details = details(&gateway, what, first, second).await;
        println!("{what}: {details}");
        assert!(details.contains(cause) && details.contains(cure), "{what}: {details}");
    }
}
