//! `/healthz` and `/metrics`.

use integration::{
    http_client::plain_get,
    mqtt_client::{MqttClient, connect},
    running::Running,
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{QoS, Version};
use serde_json::json;

async fn get(gateway: &TestGateway, path: &str) -> (u16, String) {
    plain_get(gateway.addresses.status.unwrap(), path).await
}

#[tokio::test]
async fn a_gateway_that_runs_is_healthy_and_the_port_is_this_machines_alone() {
    let gateway = TestGateway::open_to_all().await;
    assert_eq!(get(&gateway, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(get(&gateway, "/none").await.0, 403, "all else is the console's, which needs its token");
    assert!(gateway.addresses.status.unwrap().ip().is_loopback());
}

/// A web page could make its own name point to this machine.
#[tokio::test]
async fn a_request_with_a_foreign_host_header_is_refused() {
    let gateway = TestGateway::open_to_all().await;
    let address = gateway.addresses.status.unwrap();
    for (host, status) in [("127.0.0.1:19090", 200), ("[::1]", 200), ("evil.example", 421), ("", 421)] {
        let url = format!("http://{address}/metrics");
        let header = format!("Host: {host}");
        let mut command = tokio::process::Command::new("curl");
        command.args([
            "--silent",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
            "--header",
            &header,
            &url,
        ]);
        assert_eq!(Running::start(command).finish().await.out(), status.to_string(), "{host}");
    }
}

#[tokio::test]
async fn without_a_status_port_there_is_none() {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.with(|settings| settings.ports.status = None).run().await;
    assert_eq!(gateway.addresses.status, None);
}

#[tokio::test]
async fn what_happens_is_counted() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.run().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "a").await;
    client.subscribe(&["t"], QoS::AtMostOnce).await.unwrap();
    for _ in 0..3 {
        client.publish("t", "x", QoS::AtMostOnce).await;
        client.message().await;
    }
    script.set(&Step::Answer(json!({"isAuthenticated": false})));
    MqttClient::connect(&gateway, connect(Version::V5, "b", "u", "p")).await;
    let refused = [("eventType", "Connection.AuthNError"), ("clientId", "b")];
    gateway.logged_with(&refused).await;
    let (status, text) = get(&gateway, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        r#"latchkey_events_total{event_type="Connect",protocol="MQTT",status="Success",reason=""} 1"#,
        r#"latchkey_events_total{event_type="Connection.AuthNError",protocol="MQTT",status="Failure",reason="NOT_AUTHENTICATED"} 1"#,
        r#"latchkey_messages_total{direction="in"} 3"#,
        r#"latchkey_messages_total{direction="out"} 3"#,
        r#"latchkey_authorizer_calls_seconds_count{authorizer="latchkey",result="allow"} 1"#,
        r#"latchkey_authorizer_calls_seconds_count{authorizer="latchkey",result="deny"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}
