//! The AWS IoT Device SDK for Python: MQTT 3 and 5, over TLS and WebSocket, with a password, a signed token or a
//! certificate.

use gateway::{door::route::Port, gateway::StartError};
use integration::{
    connect_proxy::ConnectProxy,
    foreign::{
        CertificateFiles,
        script::{Events, attempts, in_python},
    },
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
    token_signer::{TokenSigner, signed_by},
};
use serde_json::{Value, json};

use super::{CertificateDoors, gateway, logged};

const DIRECT: &str = "direct_with_custom_authorizer";
const WEBSOCKET: &str = "websockets_with_custom_authorizer";
const CERTIFICATE: &str = "mtls_from_path";

/// How the SDK reaches a gateway whose port is not AWS's own.
#[derive(Clone, Copy)]
enum Way {
    /// It is told the port.
    Port(u16),
    /// It dials 443, as it does with MQTT 3 and a password whatever it is told, and with ALPN and a certificate. The
    /// proxy at this port leads it to the gateway.
    Proxy(u16),
    /// It dials 443, and the gateway is there.
    Port443,
}

/// One connection, with the arguments that every builder takes and some more.
fn attempt(gateway: &TestGateway, mqtt: u8, builder: &str, way: Way, more: &Value) -> Value {
    let mut arguments = json!({"endpoint": "localhost", "client_id": "hall-1", "ca_filepath": gateway.ca()});
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let proxy = match way {
        Way::Port(port) => {
            arguments["port"] = json!(port);
            None
        }
        Way::Proxy(port) => Some(port),
        Way::Port443 => None,
    };
    let actions =
        [json!(["subscribe", "hall-1/#"]), json!(["publish", "hall-1/a", "21.5"]), json!(["receive"])];
    json!({"mqtt": mqtt, "builder": builder, "arguments": arguments, "proxy": proxy, "actions": actions})
}

async fn run(list: &[Value]) -> Vec<Events> {
    attempts(in_python("aws_iot_sdk.py"), list).await
}

/// What a device sees that comes in and publishes to itself.
fn served() -> Events {
    vec![
        json!({"event": "connected"}),
        json!({"event": "subscribed", "code": 1}),
        json!({"event": "published", "code": 0}),
        json!({"event": "message", "topic": "hall-1/a", "payload": "21.5"}),
        json!({"event": "disconnected"}),
    ]
}

fn refused(reason: &str) -> Events {
    vec![json!({"event": "refused", "reason": reason})]
}

/// What the SDK makes of a refusal: with MQTT 3 the server closes the connection without a CONNACK.
fn not_authorized(mqtt: u8) -> Events {
    refused(if mqtt == 3 { "AWS_ERROR_MQTT_UNEXPECTED_HANGUP" } else { "NOT_AUTHORIZED" })
}

/// With TLS 1.3 a client's own handshake is done before the server says no, so that its CONNECT may cross the alert.
fn ended_by_tls(events: &Events) -> bool {
    let reason = events[0]["reason"].as_str().unwrap_or_default();
    events.len() == 1 && (reason.starts_with("AWS_IO_") || reason == "AWS_ERROR_MQTT_UNEXPECTED_HANGUP")
}

fn password(password: &str) -> Value {
    json!({"auth_username": "hall-1", "auth_authorizer_name": "latchkey", "auth_password": password})
}

fn certificate(paths: &CertificateFiles) -> Value {
    json!({"cert_filepath": paths.certificate, "pri_key_filepath": paths.key})
}

#[tokio::test]
async fn it_comes_in_with_a_password_over_tls_and_websocket() {
    let gateway = gateway().await;
    let right = password(&gateway.add("hall-1", "own-topics"));
    let proxy = ConnectProxy::to(gateway.address).await;
    let port = Way::Port(gateway.address.port());
    let ways =
        [(3, DIRECT, Way::Proxy(proxy.port)), (3, WEBSOCKET, port), (5, DIRECT, port), (5, WEBSOCKET, port)];
    let list = ways.map(|(mqtt, builder, way)| attempt(&gateway, mqtt, builder, way, &right));
    for ((mqtt, builder, _), events) in ways.iter().zip(run(&list).await) {
        assert_eq!(events, served(), "MQTT {mqtt} {builder}: {}", gateway.log.text());
    }
    assert_eq!(proxy.asked(), ["localhost:443"]);
    let line =
        gateway.logged_with(&[("eventType", "Connect"), ("status", "Success"), ("clientId", "hall-1")]).await;
    let same = |of: &Value| of["event"] == "decision" && of["connection_id"] == line["connectionId"];
    assert_eq!(gateway.logged("the authorizer's decision", same).await["outcome"], "allow");
}

#[tokio::test]
async fn it_is_refused_with_a_wrong_password_another_client_id_and_an_unknown_authorizer() {
    let gateway = gateway().await;
    let right = password(&gateway.add("hall-1", "own-topics"));
    let proxy = ConnectProxy::to(gateway.address).await;
    let port = Way::Port(gateway.address.port());
    let ways =
        [(3, DIRECT, Way::Proxy(proxy.port)), (3, WEBSOCKET, port), (5, DIRECT, port), (5, WEBSOCKET, port)];
    let wrong = |key: &str, value: &str| {
        let mut arguments = right.clone();
        arguments[key] = json!(value);
        arguments
    };
    let cases = [
        wrong("auth_password", "wrong"),
        wrong("client_id", "hall-2"),
        wrong("auth_authorizer_name", "none"),
        wrong("auth_username", "hall-2"),
    ];
    let all = ways.iter().flat_map(|way| cases.iter().map(move |arguments| (*way, arguments)));
    let all = all.collect::<Vec<_>>();
    let list = all.iter().map(|((mqtt, builder, way), more)| attempt(&gateway, *mqtt, builder, *way, more));
    let list = list.collect::<Vec<_>>();
    for (number, events) in run(&list).await.into_iter().enumerate() {
        let ((mqtt, builder, _), _) = all[number];
        assert_eq!(events, not_authorized(mqtt), "MQTT {mqtt} {builder}, attempt {number}");
    }
    for reason in ["wrong_password", "client_id_not_allowed", "unknown_device"] {
        gateway.logged_with(&[("event", "decision"), ("outcome", "deny"), ("reason", reason)]).await;
    }
    gateway
        .logged_with(&[("eventType", "Connection.AuthNError"), ("reason", "CUSTOM_AUTHORIZER_NOT_FOUND")])
        .await;
}

#[tokio::test]
async fn it_presents_a_token_whose_signature_is_checked() {
    let (signer, other) = (TokenSigner::generate(), TokenSigner::generate());
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.signing(signed_by("TokenKeyName", &[&signer])).run().await;
    let token = |value: &str, signature: String| {
        json!({
            "auth_username": "hall-1",
            "auth_authorizer_name": "latchkey",
            "auth_token_key_name": "TokenKeyName",
            "auth_token_value": value,
            "auth_authorizer_signature": signature,
        })
    };
    let proxy = ConnectProxy::to(gateway.address).await;
    let port = Way::Port(gateway.address.port());
    let ways = [(3, DIRECT, Way::Proxy(proxy.port)), (5, DIRECT, port), (5, WEBSOCKET, port)];
    let cases = [
        (token("hall", signer.sign("hall")), true),
        (token("hall", other.sign("hall")), false),
        (token("roof", signer.sign("hall")), false),
        (password("no token"), false),
    ];
    for (mqtt, builder, way) in ways {
        let calls = script.calls();
        let list =
            cases.iter().map(|(more, _)| attempt(&gateway, mqtt, builder, way, more)).collect::<Vec<_>>();
        let expected =
            cases.iter().map(|(_, comes_in)| if *comes_in { served() } else { not_authorized(mqtt) });
        assert_eq!(run(&list).await, expected.collect::<Vec<_>>(), "MQTT {mqtt} {builder}");
        assert_eq!(script.calls() - calls, 1, "for the right signature alone");
        let event = script.events().pop().unwrap();
        assert_eq!((&event["token"], &event["signatureVerified"]), (&json!("hall"), &json!(true)));
        let user_name = event["protocolData"]["mqtt"]["username"].as_str().unwrap();
        assert!(user_name.starts_with("hall-1?x-amz-customauthorizer-name=latchkey&"), "{user_name}");
        assert!(user_name.contains("&SDK=") && user_name.contains("&Platform="), "{user_name}");
    }
    for reason in ["NOT_AUTHENTICATED", "CUSTOM_AUTHORIZER_PARAMETER_INVALID"] {
        gateway.logged_with(&[("eventType", "Connection.AuthNError"), ("reason", reason)]).await;
    }
}

#[tokio::test]
async fn it_comes_in_with_a_certificate_and_not_with_another() {
    let mut doors = CertificateDoors::open().await;
    let proxy = ConnectProxy::to(doors.gateway.address).await;
    let mqtt_port = Way::Port(doors.gateway.addresses.doors[&Port::P8883].port());
    let (known, unknown) = (certificate(&doors.known), certificate(&doors.unknown));
    let mut other_client = known.clone();
    other_client["client_id"] = json!("hall-2");
    let ways = [3, 5].into_iter().flat_map(|mqtt| [(mqtt, Way::Proxy(proxy.port)), (mqtt, mqtt_port)]);
    let list = ways.flat_map(|(mqtt, way)| {
        let gateway = &doors.gateway;
        [&known, &unknown, &other_client].map(|more| attempt(gateway, mqtt, CERTIFICATE, way, more))
    });
    let seen = run(&list.collect::<Vec<_>>()).await;
    for (mqtt, attempts) in [3, 3, 5, 5].into_iter().zip(seen.chunks(3)) {
        let [known, unknown, other_client] = attempts else { panic!("{attempts:?}") };
        assert_eq!(*known, served(), "MQTT {mqtt}: {}", doors.gateway.log.text());
        assert!(ended_by_tls(unknown), "MQTT {mqtt}: {unknown:?}");
        assert_eq!(*other_client, not_authorized(mqtt));
    }
    for _ in 0..4 {
        doors.seen("hall-1/a", "21.5").await;
    }
    logged(&doors.gateway, "the client's certificate is not registered").await;
    let denied = [("eventType", "Connect"), ("status", "Failure"), ("clientId", "hall-2")];
    assert_eq!(doors.gateway.logged_with(&denied).await["reason"], "AUTHORIZATION_FAILURE");
}

#[tokio::test]
async fn it_does_not_get_in_by_another_door() {
    let doors = CertificateDoors::open().await;
    let port = |door: Port| Way::Port(doors.gateway.addresses.doors[&door].port());
    let cases = [
        // The SDK offers this port no ALPN, and leaves because nobody asks for its certificate.
        (CERTIFICATE, port(Port::P443), certificate(&doors.known)),
        // HTTPS publish.
        (CERTIFICATE, port(Port::P8443), certificate(&doors.known)),
        // Certificates only.
        (DIRECT, port(Port::P8883), password("any")),
        (WEBSOCKET, port(Port::P8443), password("any")),
    ];
    let list = cases.map(|(builder, way, more)| attempt(&doors.gateway, 5, builder, way, &more));
    for (number, events) in run(&list).await.iter().enumerate() {
        assert_eq!(
            (events.len(), &events[0]["event"]),
            (1, &json!("refused")),
            "attempt {number}: {events:?}"
        );
    }
    let sees = |port: u16| format!("AWS's port {port} accepts");
    logged(&doors.gateway, &sees(8883)).await;
    logged(&doors.gateway, "the client has no certificate").await;
}

/// A fixed port is against this house's rules, and here alone: with MQTT 3 and a password the SDK dials 443, and a
/// device does so without a proxy. Where the port is taken, by another run of the tests for example, or this user may
/// not have it, a proxy takes its place, so that nothing goes untested.
#[tokio::test]
async fn it_dials_port_443_itself() {
    let at_443 = Start::with_authorizer().with(|settings| _ = settings.ports.doors.insert(Port::P443, 443));
    let (gateway, proxy) = match at_443.try_run().await {
        Ok(gateway) => (gateway, None),
        Err(error @ StartError::Listen { .. }) => {
            eprintln!("{error}: the SDK goes through a proxy in its place");
            let gateway = gateway().await;
            let proxy = ConnectProxy::to(gateway.address).await;
            (gateway, Some(proxy))
        }
        Err(error) => panic!("{error}"),
    };
    let way = proxy.as_ref().map_or(Way::Port443, |proxy| Way::Proxy(proxy.port));
    let right = gateway.add("hall-1", "own-topics");
    let list = [&*right, "wrong"].map(|of| attempt(&gateway, 3, DIRECT, way, &password(of)));
    assert_eq!(run(&list).await, [served(), not_authorized(3)], "{}", gateway.log.text());
    gateway.logged_with(&[("event", "decision"), ("reason", "wrong_password")]).await;
}

#[tokio::test]
async fn its_shadow_client_reads_changes_watches_and_deletes_shadows() {
    let gateway = gateway().await;
    let right = password(&gateway.add("hall-1", "shadow"));
    let port = Way::Port(gateway.address.port());
    let (red, blue) = (json!({"color": "red"}), json!({"color": "blue"}));
    let mut list = Vec::new();
    for (mqtt, builder) in [(3, WEBSOCKET), (5, DIRECT)] {
        for name in [json!(null), json!("lamp")] {
            let mut attempt = attempt(&gateway, mqtt, builder, port, &right);
            attempt["actions"] = json!([
                ["open"],
                ["get", "hall-1", name],
                ["update", "hall-1", name, red, red],
                ["watch", "hall-1", name],
                ["update", "hall-1", name, blue, null],
                ["delta"],
                ["get", "hall-1", name],
                ["delete", "hall-1", name],
                ["get", "hall-1", name],
            ]);
            list.push((attempt, name));
        }
    }
    let attempts_of_all = list.iter().map(|(attempt, _)| attempt.clone()).collect::<Vec<_>>();
    let all = attempts(in_python("aws_iot_shadow.py"), &attempts_of_all).await;
    for (number, ((_, name), events)) in list.iter().zip(all).enumerate() {
        // The second time, the version follows that of the deleted shadow.
        let first = if number < 2 { 1 } else { 3 };
        let message = format!("No shadow exists with name: '{}'", name.as_str().unwrap_or("hall-1"));
        let absent = json!({"event": "rejected", "code": 404, "message": message});
        let both = json!({"desired": red, "reported": red});
        let state = json!({"desired": blue, "reported": red, "delta": blue});
        let expected = [
            json!({"event": "connected"}),
            absent.clone(),
            json!({"event": "updated", "version": first, "state": both}),
            json!({"event": "watching", "status": "SUBSCRIPTION_ESTABLISHED"}),
            json!({"event": "updated", "version": first + 1, "state": {"desired": blue}}),
            json!({"event": "delta", "version": first + 1, "state": blue}),
            json!({"event": "got", "version": first + 1, "state": state}),
            json!({"event": "deleted", "version": first + 1, "state": {}}),
            absent,
            json!({"event": "disconnected"}),
        ];
        assert_eq!(events, expected, "attempt {number}: {}", gateway.log.text());
    }
}
