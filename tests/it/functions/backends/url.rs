//! An Invoke URL.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use gateway::{
    clock::{Clock, ManualClock},
    lambda::{Call, InvokeError, function::FunctionSource, url::UrlFunction},
};
use integration::{
    canary::{Canary, Writings},
    eventually::{eventually, within},
    fake_function::{Act, FakeFunction},
    gateway_process::GatewayProcess,
    mqtt_client::{MqttClient, connect},
    script::allow_all,
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, ConnectReasonCode, QoS, Version};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{AT_FAULT, faults, slots};

async fn gateway(function: &FakeFunction) -> TestGateway {
    started(&function.url()).run().await
}

fn started(url: &str) -> Start {
    Start::with_source(FunctionSource::InvokeUrl(url.parse().unwrap()))
}

fn refuse() -> Act {
    Act::Answer(json!({"isAuthenticated": false}))
}

/// A CONNECT is refused, and the log says why.
async fn refused(gateway: &TestGateway, connect: Connect) -> Value {
    let id = connect.client_id.to_string();
    let (mut client, ack) = MqttClient::connect(gateway, connect).await;
    assert_eq!(ack.unwrap().code, ConnectReasonCode::NotAuthorized);
    assert_eq!(client.ended().await, None);
    gateway.logged_with(&[("eventType", "Connection.AuthNError"), ("clientId", &id)]).await
}

fn client(id: &str) -> Connect {
    connect(Version::V5, id, "u", "p")
}

#[tokio::test]
async fn the_function_receives_the_event_and_its_answer_counts() {
    let function = FakeFunction::start(Act::Answer(allow_all())).await;
    let gateway = gateway(&function).await;
    assert_eq!(function.connections(), 0, "nothing is called at the start");
    let mut dev = MqttClient::connected(&gateway, connect(Version::V311, "c", "dev?a=b", "word")).await;
    dev.publish("t", "x", QoS::AtLeastOnce).await.unwrap();
    let call = function.calls().pop().unwrap();
    assert!(call.head.starts_with("POST /2015-03-31/functions/f/invocations HTTP/1.1\r\n"), "{}", call.head);
    assert!(call.head.contains("content-type: application/json\r\n"), "{}", call.head);
    let sent = json!({"username": "dev?a=b", "password": STANDARD.encode("word"), "clientId": "c"});
    assert_eq!(call.event["protocolData"]["mqtt"], sent);
    function.set(refuse());
    assert_eq!(refused(&gateway, client("d")).await["reason"], "NOT_AUTHENTICATED");
    assert_eq!((function.calls().len(), function.connections()), (2, 1), "the connection is kept");
}

#[tokio::test]
async fn a_refresh_calls_the_function_again_and_a_refusal_ends_the_connection() {
    let function = FakeFunction::start(Act::Answer(allow_all())).await;
    let gateway = started(&function.url()).on_manual_clock().run().await;
    let mut dev = MqttClient::connected(&gateway, Connect { keep_alive: 1_200, ..client("c") }).await;
    gateway.advance(Duration::from_mins(5));
    eventually("the refresh", || (function.calls().len() == 2).then_some(())).await;
    dev.ping().await;
    let calls = function.calls();
    assert_eq!(calls[0].event, calls[1].event);
    function.set(refuse());
    gateway.advance(Duration::from_mins(5));
    dev.closed().await;
    assert_eq!(function.calls().len(), 3);
}

#[tokio::test]
async fn each_fault_is_one_refused_connect_with_its_cause_in_the_log_and_no_password() {
    let password = Canary::new("the password");
    let function = FakeFunction::start(Act::Answer(allow_all())).await;
    let gateway = gateway(&function).await;
    let mut other = MqttClient::connected(&gateway, client("other")).await;
    let statuses = [
        (Act::Status(404, ""), "answered the call with status 404; is the path that of Lambda's Invoke call"),
        (Act::Status(500, ""), "answered the call with status 500; the log of what runs there may say why"),
        (Act::Status(302, "location: /2015-03-31/functions/f/invocations\r\n"), "redirects are not followed"),
        (Act::Status(201, ""), "answered the call with status 201"),
        (Act::Status(429, ""), "accepts no more calls at a time"),
        (Act::Status(200, ""), "the authorizer's answer can't be used"),
        (Act::Status(500, "x-amz-function-error: Handled\r\n"), "reported `an error without a type`"),
        (Act::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\ngarbage".to_vec()), "can't be used"),
    ];
    for (n, (act, details)) in faults().into_iter().chain(statuses).enumerate() {
        function.set(act);
        let calls = function.calls().len();
        let line = refused(&gateway, connect(Version::V5, &format!("c-{n}"), "u", password.secret())).await;
        assert_eq!(line["reason"], AT_FAULT, "{details}");
        assert!(line["explanation"].as_str().unwrap().contains(details), "{details}: {line}");
        assert_eq!(function.calls().len(), calls + 1, "{details}: no call is made twice");
        other.publish("t", "x", QoS::AtLeastOnce).await.unwrap();
        function.set(Act::Answer(allow_all()));
        MqttClient::connected(&gateway, connect(Version::V5, "next", "u", password.secret())).await;
    }
    let mut writings = Writings::default();
    writings.add("the log", gateway.log.text());
    writings.assert_free_of(&[&password, &Canary::of("base64", &STANDARD.encode(password.secret()))]);
}

#[tokio::test]
async fn a_function_that_hangs_is_abandoned_after_five_seconds() {
    for act in [Act::Hold, Act::slow_body()] {
        let function = FakeFunction::start(act).await;
        let gateway = started(&function.url()).on_manual_clock().run().await;
        let clock = async {
            eventually("the call", || (function.calls().len() == 1).then_some(())).await;
            gateway.advance(Duration::from_millis(4_999));
            assert!(!gateway.log.text().contains("Failure"), "4.999 s are not five");
            gateway.advance(Duration::from_millis(1));
        };
        let (line, ()) = tokio::join!(refused(&gateway, client("c")), clock);
        assert_eq!(line["reason"], AT_FAULT);
        assert_eq!(
            line["explanation"],
            "the authorizer did not answer within 5s, AWS's limit; its own log may say what it waits for"
        );
        function.set(Act::Answer(allow_all()));
        MqttClient::connected(&gateway, client("d")).await;
    }
}

#[tokio::test]
async fn an_unreachable_url_is_reported_at_the_first_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let gateway = started(&format!("http://{address}/2015-03-31/functions/f/invocations")).run().await;
    let line = refused(&gateway, client("c")).await;
    assert_eq!(line["reason"], AT_FAULT);
    let details = line["explanation"].as_str().unwrap();
    let place = format!("can't reach the authorizer at `http://{address}`: ");
    assert!(details.starts_with(&place), "{details}");
    let cure = "is the function running? start it, for example with `cargo lambda watch`";
    assert!(details.ends_with(cure), "{details}");
}

/// A function that runs is not told to be started.
#[tokio::test]
async fn a_url_that_fails_in_tls_or_has_an_unknown_host_has_that_cure() {
    let (function, other) =
        tokio::join!(FakeFunction::start(Act::Answer(allow_all())), TestGateway::open_to_all());
    let path = "2015-03-31/functions/f/invocations";
    let untrusted = format!("https://localhost:{}/{path}", other.address.port());
    let unknown = format!("https://{}.invalid/{path}", "x".repeat(64));
    for (url, cause, cure) in [
        (
            function.url().replace("http://", "https://"),
            "closed the connection in the handshake",
            "it has no TLS (write `http://`",
        ),
        (untrusted, "is not signed by a CA that is trusted here", "a file that SSL_CERT_FILE names"),
        (unknown, "invalid dns name", "correct the host in its URL"),
    ] {
        let gateway = started(&url).run().await;
        let line = refused(&gateway, client("c")).await;
        let text = line["explanation"].as_str().unwrap();
        assert!(
            text.contains(cause) && text.contains(cure) && !text.contains("is the function running"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_refresh_does_not_wait_for_connects_and_a_connect_not_for_ever() {
    let function = FakeFunction::start(Act::Hold).await;
    let manual = ManualClock::new();
    let url = function.url().parse().unwrap();
    let remote = UrlFunction::new(url, slots(Clock::Manual(manual.clone()))).unwrap();
    let event = || Bytes::from_static(b"{}");
    let mut first = Box::pin(remote.invoke(Call::Connect, event));
    let arrived = eventually("the connect's call", || (function.calls().len() == 1).then_some(()));
    tokio::select! {
        _ = &mut first => panic!("it is held"),
        () = arrived => {}
    }
    let mut waiting = Box::pin(remote.invoke(Call::Connect, || panic!("its turn has not come")));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let refresh = remote.invoke(Call::Refresh, event);
    let time_passes = async {
        eventually("the refresh's call", || (function.calls().len() == 2).then_some(())).await;
        manual.advance(Duration::from_secs(5));
    };
    let (waited, refreshed, ()) =
        within("all of them", async { tokio::join!(waiting, refresh, time_passes) }).await;
    assert_eq!(waited, Err(InvokeError::Throttled));
    assert_eq!(refreshed, Err(InvokeError::Timeout(Duration::from_secs(5))));
    assert_eq!(first.await, Err(InvokeError::Timeout(Duration::from_secs(5))));
}

#[tokio::test]
async fn a_settings_file_or_a_flag_sets_the_invoke_url() {
    let function = FakeFunction::start(Act::Answer(allow_all())).await;
    let folder = tempfile::tempdir().unwrap();
    let url = function.url();
    let file = format!("default_authorizer = 'a'\n[[authorizer]]\nname = 'a'\ninvoke_url = '{url}'\n");
    std::fs::write(folder.path().join("latchkey.toml"), file).unwrap();
    let gateway = GatewayProcess::start_with(folder.path(), &["--json"], &[]).await;
    gateway.connect(device_sim::Version::V5, "c", "u", b"p").await.unwrap();
    gateway.stop().await;
    let other = FakeFunction::start(Act::Answer(allow_all())).await;
    let flags = ["--json", "--invoke-url", &other.url()];
    let gateway = GatewayProcess::start_with(folder.path(), &flags, &[]).await;
    gateway.connect(device_sim::Version::V5, "c", "u", b"p").await.unwrap();
    assert_eq!((function.calls().len(), other.calls().len()), (1, 1));
}

#[tokio::test]
async fn https_needs_a_certificate_that_the_system_trusts() {
    let (function, certificate) = FakeFunction::start_with_tls(Act::Answer(allow_all())).await;
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, certificate).unwrap();
    let flags =
        |host: &str| ["--json".to_owned(), format!("--invoke-url=https://{host}:{}/f", function.port())];
    let connects = async |host: &str, roots: &std::path::Path| {
        let flags = flags(host);
        let variables = [("SSL_CERT_FILE", roots.to_str().unwrap()), ("SSL_CERT_DIR", "/no/such/folder")];
        let gateway =
            GatewayProcess::start_with(folder.path(), &flags.each_ref().map(String::as_str), &variables)
                .await;
        let connected = gateway.connect(device_sim::Version::V5, "c", "u", b"p").await.is_ok();
        // At a clean end every line is in the log.
        gateway.stop().await;
        connected
    };
    assert!(connects("localhost", &roots).await);
    assert_eq!(function.calls().len(), 1);
    assert!(!connects("127.0.0.1", &roots).await, "the certificate is for another name");
    assert!(!connects("localhost", &folder.path().join("ca.pem")).await, "another CA is trusted");
    assert_eq!(function.calls().len(), 1, "no event went to a stranger");
    let log = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    for part in [
        "is for another name",
        "is not signed by a CA that is trusted here",
        "a file that SSL_CERT_FILE names",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
}
