//! MQTT.js: over TLS and WebSocket with a password, and with a certificate.

use gateway::door::route::Port;
use integration::{
    foreign::{
        CertificateFiles,
        script::{Events, attempts, in_node},
    },
    test_gateway::TestGateway,
};
use serde_json::{Value, json};

use super::{CertificateDoors, gateway, logged};

/// MQTT.js's names of the versions.
const BOTH: [u8; 2] = [4, 5];

async fn run(list: &[Value]) -> Vec<Events> {
    attempts(in_node("mqtt_js.js"), list).await
}

/// A connection that publishes to itself.
fn attempt(
    gateway: &TestGateway,
    url: &str,
    options: &Value,
    certificate: Option<&CertificateFiles>,
) -> Value {
    let mut files = json!({"ca": gateway.ca()});
    if let Some(paths) = certificate {
        files["cert"] = json!(paths.certificate);
        files["key"] = json!(paths.key);
    }
    let actions =
        [json!(["subscribe", "hall-1/#"]), json!(["publish", "hall-1/a", "21.5"]), json!(["receive"])];
    json!({"url": url, "options": options, "files": files, "actions": actions})
}

fn mqtts(gateway: &TestGateway, port: Port) -> String {
    format!("mqtts://localhost:{}", gateway.addresses.doors[&port].port())
}

fn wss(gateway: &TestGateway) -> String {
    format!("wss://localhost:{}/mqtt", gateway.address.port())
}

fn password(version: u8, user_name: &str, password: &str) -> Value {
    json!({
        "protocolVersion": version, "clientId": "hall-1", "username": user_name, "password": password,
        "ALPNProtocols": ["mqtt"],
    })
}

/// As SDKs of AWS write it.
const USER_NAME: &str = "hall-1?x-amz-customauthorizer-name=latchkey&SDK=Test";

fn without_alpn(mut options: Value) -> Value {
    options.as_object_mut().unwrap().remove("ALPNProtocols");
    options
}

fn served() -> Events {
    vec![
        json!({"event": "connected"}),
        json!({"event": "subscribed", "code": 1}),
        json!({"event": "published"}),
        json!({"event": "message", "topic": "hall-1/a", "payload": "21.5"}),
        json!({"event": "disconnected"}),
    ]
}

fn refused(reason: &str) -> Events {
    vec![json!({"event": "refused", "reason": reason})]
}

/// With TLS 1.3 a client's own handshake is done before the server says no, so that its CONNECT may cross the alert.
fn ended_by_tls(events: &Events) -> bool {
    let reason = events[0]["reason"].as_str().unwrap_or_default();
    events.len() == 1
        && (reason.starts_with("ERR_SSL_") || ["closed", "ECONNRESET", "EPIPE"].contains(&reason))
}

#[tokio::test]
async fn it_comes_in_with_a_password_and_is_refused_with_a_wrong_one() {
    let gateway = gateway().await;
    let right = gateway.add("hall-1", "own-topics");
    let (tls, websocket) = (mqtts(&gateway, Port::P443), wss(&gateway));
    let mut list = Vec::new();
    let mut expected = Vec::new();
    for (version, no) in [(4, "closed"), (5, "135")] {
        let cases = [
            (USER_NAME, &*right, served()),
            (USER_NAME, "wrong", refused(no)),
            ("hall-1?x-amz-customauthorizer-name=none", &*right, refused(no)),
        ];
        for (user_name, password, events) in cases {
            let options = self::password(version, user_name, password);
            list.push(attempt(&gateway, &tls, &options, None));
            list.push(attempt(&gateway, &websocket, &without_alpn(options), None));
            expected.extend([events.clone(), events]);
        }
    }
    assert_eq!(run(&list).await, expected, "{}", gateway.log.text());
    gateway.logged_with(&[("event", "decision"), ("outcome", "allow"), ("device", "hall-1")]).await;
    gateway.logged_with(&[("event", "decision"), ("reason", "wrong_password")]).await;
    gateway.logged_with(&[("reason", "CUSTOM_AUTHORIZER_NOT_FOUND")]).await;
}

#[tokio::test]
async fn it_publishes_and_subscribes_nothing_outside_its_scope() {
    let gateway = gateway().await;
    let right = gateway.add("hall-1", "own-topics");
    let actions = [json!(["publish", "hall-2/a", "x"]), json!(["subscribe", "hall-2/#"])];
    let mut list = Vec::new();
    for version in BOTH {
        for action in &actions {
            let options = password(version, USER_NAME, &right);
            let mut attempt = attempt(&gateway, &mqtts(&gateway, Port::P443), &options, None);
            attempt["actions"] = json!([action]);
            list.push(attempt);
        }
    }
    for (events, reason) in
        run(&list).await.iter().zip(["closed", "closed", "135", "Subscribe error: Not authorized"])
    {
        assert_eq!(events[1..], [json!({"event": "failed", "reason": reason})], "{}", gateway.log.text());
    }
    for (event, topic) in [("Publish-In", "hall-2/a"), ("Subscribe", "hall-2/#")] {
        let denied = [("eventType", event), ("status", "Failure"), ("topicName", topic)];
        assert_eq!(gateway.logged_with(&denied).await["reason"], "AUTHORIZATION_FAILURE");
    }
}

#[tokio::test]
async fn it_comes_in_with_a_certificate_and_not_with_another_or_none() {
    let mut doors = CertificateDoors::open().await;
    let url = mqtts(&doors.gateway, Port::P8883);
    let mut list = Vec::new();
    for version in BOTH {
        let options = |client_id: &str| json!({"protocolVersion": version, "clientId": client_id});
        for (client_id, certificate) in [
            ("hall-1", Some(&doors.known)),
            ("hall-1", Some(&doors.unknown)),
            ("hall-1", None),
            ("hall-2", Some(&doors.known)),
        ] {
            list.push(attempt(&doors.gateway, &url, &options(client_id), certificate));
        }
    }
    let seen = run(&list).await;
    for (attempts, not_authorized) in seen.chunks(4).zip(["closed", "135"]) {
        let [known, unknown, none, other_client] = attempts else { panic!("{attempts:?}") };
        assert_eq!(*known, served(), "{}", doors.gateway.log.text());
        assert!(ended_by_tls(unknown) && ended_by_tls(none), "{unknown:?} {none:?}");
        assert_eq!(*other_client, refused(not_authorized));
        doors.seen("hall-1/a", "21.5").await;
    }
    logged(&doors.gateway, "the client's certificate is not registered").await;
    logged(&doors.gateway, "the client has no certificate").await;
    let denied = [("eventType", "Connect"), ("status", "Failure"), ("clientId", "hall-2")];
    assert_eq!(doors.gateway.logged_with(&denied).await["reason"], "AUTHORIZATION_FAILURE");
}

#[tokio::test]
async fn it_does_not_get_in_by_another_door() {
    let doors = CertificateDoors::open().await;
    let gateway = &doors.gateway;
    let anybody = password(5, USER_NAME, "any");
    let list = [
        attempt(gateway, &mqtts(gateway, Port::P443), &without_alpn(anybody.clone()), None),
        attempt(gateway, &mqtts(gateway, Port::P8883), &anybody, Some(&doors.known)),
        attempt(gateway, &mqtts(gateway, Port::P8443), &without_alpn(anybody), Some(&doors.known)),
    ];
    for (number, events) in run(&list).await.iter().enumerate() {
        assert_eq!(
            (events.len(), &events[0]["event"]),
            (1, &json!("refused")),
            "attempt {number}: {events:?}"
        );
    }
    for details in
        ["speaks MQTT, and this door accepts HTTP", "AWS's port 8883 accepts none or `x-amzn-mqtt-ca`"]
    {
        logged(gateway, details).await;
    }
}
