//! The test kit for Rust, and the test API under it.

use std::time::Duration;

use integration::{
    devices,
    eventually::{eventually, until, within},
    files,
    http_client::plain_get,
    programs::program,
    test_gateway::TestGateway,
};
use latchkey_testkit::{Error, Faults, FunctionFailure, Gateway, QoS};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The example of the documentation.
#[path = "../../../testkit/examples/ten_devices.rs"]
mod example;

async fn start() -> Gateway {
    Gateway::builder().program(program("latchkey")).start().await.unwrap()
}

/// How many connections have ended for this reason.
fn disconnects(gateway: &Gateway, reason: &str) -> usize {
    gateway.log().unwrap().iter().filter(|event| event["disconnectReason"] == reason).count()
}

#[test]
fn example_of_the_documentation_runs() {
    // The kit finds this program next to the test.
    program("latchkey");
    example::main().unwrap();
    let [page, example] = ["docs/testing.md", "testkit/examples/ten_devices.rs"]
        .map(|path| std::fs::read_to_string(files::root().join(path)).unwrap());
    let example = example.split_once("\n\n").unwrap().1.replace("pub(crate) ", "");
    assert!(page.contains(example.trim()), "docs/testing.md shows another example");
}

#[tokio::test]
async fn clock_moves_refreshes_and_keep_alive() {
    let gateway = start().await;
    let (device, quiet) = (gateway.device("d").unwrap(), gateway.device("quiet").unwrap());
    let mut client = device.connect().await.unwrap();
    devices::disable(gateway.folder(), "d");
    // A connection goes on until its policies are refreshed.
    client.publish("d/x".parse().unwrap(), "still there", QoS::AtLeastOnce).await.unwrap();
    gateway.advance(Duration::from_mins(10)).await.unwrap();
    within("the end of a disabled device's connection", client.closed()).await;
    let mut client = quiet.connect().await.unwrap();
    gateway.advance(Duration::from_hours(1)).await.unwrap();
    within("the end of a silent connection", client.closed()).await;
    assert_eq!(disconnects(&gateway, "MQTT_KEEP_ALIVE_TIMEOUT"), 1);
}

#[tokio::test]
async fn refused_calls_and_slow_functions_are_as_aws_has_them() {
    let gateway = start().await;
    let device = gateway.device("d").unwrap();
    for failure in [FunctionFailure::Error, FunctionFailure::Timeout] {
        gateway.set_faults(Faults { function_failure: Some(failure), ..Faults::default() }).await.unwrap();
        let connect = tokio::spawn({
            let device = device.clone();
            async move { device.connect().await.map(drop) }
        });
        if failure == FunctionFailure::Timeout {
            // The call has begun once the gateway waits for it: the clock is moved until the limit is over.
            until("the end of the call", async || {
                gateway.advance(Duration::from_secs(5)).await.unwrap();
                connect.is_finished()
            })
            .await;
        }
        assert!(connect.await.unwrap().is_err(), "{failure:?}");
    }
    gateway.set_faults(Faults { throttled_connects: 1, ..Faults::default() }).await.unwrap();
    assert!(device.connect().await.is_err());
    device.connect().await.unwrap();
    // A client id may connect once a second.
    gateway.advance(Duration::from_secs(2)).await.unwrap();
    gateway.set_faults(Faults { function_delay_ms: 20, ..Faults::default() }).await.unwrap();
    device.connect().await.unwrap();
}

#[tokio::test]
async fn link_that_is_cut_is_lost_without_a_disconnect() {
    let gateway = start().await;
    let device = gateway.device("d").unwrap();
    assert!(matches!(gateway.cut("d").await, Err(Error::TestApi { .. })), "nobody is connected");
    let mut client = device.connect().await.unwrap();
    gateway.refresh("d").await.unwrap();
    client.publish("d/x".parse().unwrap(), "still there", QoS::AtLeastOnce).await.unwrap();
    gateway.cut("d").await.unwrap();
    within("the end of the connection", client.closed()).await;
    eventually("the end in the log", || (disconnects(&gateway, "CONNECTION_LOST") == 1).then_some(())).await;
}

#[tokio::test]
async fn test_api_is_absent_unless_it_is_asked_for_and_closed_to_web_pages() {
    let gateway = start().await;
    let status = gateway.status();
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let length = body.len().to_string();
        let mut all = vec![("Connection", "close"), ("Content-Length", &*length)];
        all.extend(headers);
        let mut stream = TcpStream::connect(status).await.unwrap();
        let lines = all.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>();
        let request = format!("{method} {path} HTTP/1.1\r\n{}\r\n\r\n{body}", lines.join("\r\n"));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let host = status.to_string();
    let (here, json) = (("Host", &*host), ("Content-Type", "application/json"));
    let step = r#"{"seconds":1}"#;
    for (headers, body, expected) in [
        (&[here, json][..], step, 200),
        (&[here, json, ("Origin", "http://evil.example")], step, 403),
        (&[here, json, ("Origin", "null")], step, 403),
        (&[("Host", "evil.example"), json], step, 421),
        // What a form of a web page could send.
        (&[here, ("Content-Type", "text/plain")], step, 415),
        (&[here, json], "{", 400),
        (&[here, json], r#"{"seconds":-1}"#, 422),
        (&[here, json], r#"{"minutes":1}"#, 422),
        (&[here, json], r#"{"seconds":99999999999}"#, 400),
    ] {
        assert_eq!(
            ask("POST", "/test/v1/clock/advance", headers, body).await,
            expected,
            "{headers:?} {body}"
        );
    }
    let without = TestGateway::open_to_all().await;
    let (code, _) = plain_get(without.addresses.status.unwrap(), "/test/v1/faults").await;
    assert_ne!(code, 200);
}
