//! `curl`: HTTPS publish with a client certificate, and with a signed token in headers.

use gateway::door::route::Port;
use integration::{
    foreign::CertificateFiles,
    mqtt_client::MqttClient,
    running::{Finished, Running},
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
    token_signer::{TokenSigner, signed_by},
};
use mqtt::{QoS, Version};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{CertificateDoors, logged};

/// curl's exit codes for a TLS handshake, a request and an answer that fail. With TLS 1.3 a client's own handshake is
/// done before the server says no, so that its request may cross the alert.
const CUT_OFF: [i32; 3] = [35, 55, 56];

/// A publish of `21.5`. Headers go in by standard input: no list of processes shows them.
async fn publish(
    gateway: &TestGateway,
    port: Port,
    topic: &str,
    certificate: Option<&CertificateFiles>,
    headers: &str,
) -> Finished {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--write-out",
        "\n%{http_code}",
        "--data",
        "21.5",
        "--header",
        "@-",
    ]);
    command.arg("--cacert").arg(gateway.ca());
    if let Some(paths) = certificate {
        command.arg("--cert").arg(&paths.certificate).arg("--key").arg(&paths.key);
    }
    let port = gateway.addresses.doors[&port].port();
    command.arg(format!("https://localhost:{port}/topics/{topic}?qos=1"));
    let mut running = Running::start(command);
    running.input(headers.as_bytes()).await;
    running.finish().await
}

/// The status and the body of an answer.
fn answer(finished: &Finished) -> (u16, Value) {
    let out = finished.out();
    let (body, status) = out.rsplit_once('\n').unwrap();
    let body = serde_json::from_str(body);
    (status.parse().unwrap(), body.unwrap_or_else(|error| panic!("{error}: {out}{}", finished.err())))
}

#[tokio::test]
async fn it_publishes_with_its_certificate_and_not_with_another_or_none() {
    let mut doors = CertificateDoors::open().await;
    let (gateway, known) = (&doors.gateway, Some(&doors.known));
    let (status, body) = answer(&publish(gateway, Port::P8443, "hall-1/a", known, "").await);
    assert_eq!((status, &body["message"]), (200, &json!("OK")));
    let id = body["traceId"].as_str().unwrap();
    let line = gateway.logged_with(&[("eventType", "Publish-In"), ("connectionId", id)]).await;
    assert_eq!((&line["status"], &line["topicName"]), (&json!("Success"), &json!("hall-1/a")));
    let (status, body) = answer(&publish(gateway, Port::P8443, "hall-2/a", known, "").await);
    assert_eq!((status, &body["message"]), (403, &Value::Null));
    let cases = [
        (Some(&doors.unknown), "the client's certificate is not registered"),
        (None, "the client has no certificate"),
    ];
    for (certificate, details) in cases {
        let refused = publish(gateway, Port::P8443, "hall-1/a", certificate, "").await;
        assert!(CUT_OFF.map(Some).contains(&refused.code), "{:?} {}", refused.code, refused.err());
        logged(gateway, details).await;
    }
    doors.seen("hall-1/a", "21.5").await;
}

#[tokio::test]
async fn a_certificate_is_no_password_on_443() {
    let doors = CertificateDoors::open().await;
    let refused = publish(&doors.gateway, Port::P443, "hall-1/a", Some(&doors.known), "").await;
    let (status, body) = answer(&refused);
    assert_eq!((status, &body["message"]), (401, &json!("Unauthorized")));
    let id = body["traceId"].as_str().unwrap();
    assert_eq!(doors.gateway.logged_with(&[("connectionId", id)]).await["reason"], "NOT_AUTHENTICATED");
}

#[tokio::test]
async fn it_presents_a_signed_token_in_headers() {
    let (signer, other) = (TokenSigner::generate(), TokenSigner::generate());
    let (open, _script) = Start::with_script(&Step::Answer(allow_all()));
    let (start, script) = open.and_script("signed", &Step::Answer(allow_all()));
    let signing = signed_by("X-Device-Token", &[&signer]);
    let gateway = start.with(|settings| settings.authorizers[1].signing = signing).run().await;
    let mut viewer = MqttClient::anybody(&gateway, Version::V5, "viewer").await;
    viewer.subscribe(&["hall-1/#"], QoS::AtMostOnce).await.unwrap();
    let headers = |token: &str, signature: &str| {
        format!(
            "x-amz-customauthorizer-name: signed\nX-Device-Token: {token}\nx-amz-customauthorizer-signature: {signature}\n"
        )
    };
    let refused = [
        (headers("hall", &other.sign("hall")), "NOT_AUTHENTICATED"),
        (headers("roof", &signer.sign("hall")), "NOT_AUTHENTICATED"),
        (headers("hall", "not base64!"), "CUSTOM_AUTHORIZER_PARAMETER_INVALID"),
        ("x-amz-customauthorizer-name: signed\n".to_owned(), "CUSTOM_AUTHORIZER_PARAMETER_INVALID"),
        ("x-amz-customauthorizer-name: none\n".to_owned(), "CUSTOM_AUTHORIZER_NOT_FOUND"),
    ];
    for (headers, reason) in refused {
        let (status, body) = answer(&publish(&gateway, Port::P443, "hall-1/no", None, &headers).await);
        assert_eq!((status, &body["message"]), (401, &json!("Unauthorized")), "{reason}");
        let id = body["traceId"].as_str().unwrap();
        assert_eq!(gateway.logged_with(&[("connectionId", id)]).await["reason"], reason);
    }
    assert_eq!(script.calls(), 0, "no wrong signature gets as far as the function");
    let right = headers("hall", &signer.sign("hall"));
    let (status, body) = answer(&publish(&gateway, Port::P443, "hall-1/a", None, &right).await);
    assert_eq!((status, &body["message"]), (200, &json!("OK")), "{}", gateway.log.text());
    let event = script.events().remove(0);
    assert_eq!((&event["token"], &event["signatureVerified"]), (&json!("hall"), &json!(true)));
    let message = viewer.message().await;
    assert_eq!((message.topic.unwrap().as_str(), &message.payload[..]), ("hall-1/a", &b"21.5"[..]));
}
