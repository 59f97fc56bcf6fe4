//! POST /topics/TOPIC: who publishes over HTTPS, what the others read, and what the HTTP door does not let itself in for.

use std::time::Duration;

use gateway::door::route::{ApplicationProtocol, AuthenticationType};
use integration::{
    captured_log::words,
    eventually::eventually,
    http_client::{HttpClient, basic, head},
    mqtt_client::{MqttClient, connect, tls},
    running::Running,
    script::{Script, Step, allow, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, QoS, Version};
use serde_json::{Value, json};
use tokio::process::Command;

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn scripted() -> (TestGateway, Script) {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    (start.run().await, script)
}

/// A client that may be silent for half an hour.
async fn bystander(gateway: &TestGateway) -> MqttClient {
    let connect = Connect { keep_alive: 1_200, ..connect(Version::V5, "bystander", "u", "p") };
    MqttClient::connected(gateway, connect).await
}

async fn logged(gateway: &TestGateway, details: &str) -> Value {
    gateway.logged(details, |line| words(line).contains(details)).await
}

#[tokio::test]
async fn a_device_publishes_with_its_own_password_and_mqtt_subscribers_see_it() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("dev", "own-topics");
    let mut subscriber = MqttClient::connected(&gateway, connect(Version::V5, "dev", "dev", &password)).await;
    subscriber.subscribe(&["dev/#"], QoS::AtLeastOnce).await.unwrap();
    let authorization = basic("dev", &password);
    let headers: &[(&str, &str)] = &[("Authorization", &authorization)];
    let query = format!("/topics/dev/q?username=dev&password={password}");
    let cases = [
        ("/topics/dev/t", headers, "dev/t", QoS::AtMostOnce),
        ("/topics/dev%2Ft?qos=1", headers, "dev/t", QoS::AtLeastOnce),
        ("/topics/dev/gr%C3%BC%C3%9Fe?qos=0&retain=false", headers, "dev/grüße", QoS::AtMostOnce),
        ("/topics/dev/t?x-amz-customauthorizer-name=latchkey", headers, "dev/t", QoS::AtMostOnce),
        (query.as_str(), &[], "dev/q", QoS::AtMostOnce),
    ];
    // One connection for all of them.
    let mut client = HttpClient::open(&gateway).await;
    for (target, headers, topic, qos) in cases {
        let answer = client.request("POST", target, headers, "21.5").await;
        assert_eq!((answer.status, answer.message()), (200, "OK"), "{topic}: {}", gateway.log.text());
        assert_eq!(answer.header("x-amzn-requestid"), Some(answer.trace_id()));
        assert_eq!(answer.header("x-amzn-errortype"), None);
        let message = subscriber.message().await;
        assert_eq!(message.topic.as_ref().map(mqtt::TopicName::as_str), Some(topic));
        assert_eq!((message.qos, &message.payload[..]), (qos, &b"21.5"[..]));
        let line =
            gateway.logged_with(&[("eventType", "Publish-In"), ("connectionId", answer.trace_id())]).await;
        assert_eq!((&line["protocol"], &line["status"]), (&json!("HTTP"), &json!("Success")), "{line}");
        assert_eq!((&line["topicName"], line["clientId"].is_null()), (&json!(topic), true), "{line}");
        let decision =
            gateway.logged_with(&[("event", "decision"), ("connection_id", answer.trace_id())]).await;
        assert_eq!((&decision["outcome"], &decision["device"]), (&json!("allow"), &json!("dev")));
    }
    assert!(!gateway.log.text().contains(&password));
}

#[tokio::test]
async fn a_client_that_is_not_authenticated_or_not_allowed_publishes_nothing() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("dev", "own-topics");
    gateway.add("other", "own-topics");
    let mut subscriber = MqttClient::connected(&gateway, connect(Version::V5, "dev", "dev", &password)).await;
    subscriber.subscribe(&["dev/#"], QoS::AtMostOnce).await.unwrap();
    let (right, wrong) = (basic("dev", &password), basic("dev", "wrong"));
    let other = basic("other", &password);
    let cases: [(&str, Headers<'_>, u16, &str); 9] = [
        ("/topics/dev/t", &[("Authorization", &wrong)], 401, "NOT_AUTHENTICATED"),
        ("/topics/dev/t", &[("Authorization", &other)], 401, "NOT_AUTHENTICATED"),
        ("/topics/dev/t", &[("Authorization", &right), ("Authorization", &right)], 401, "NOT_AUTHENTICATED"),
        ("/topics/dev/t?username=dev&password=wrong", &[], 401, "NOT_AUTHENTICATED"),
        ("/topics/dev/t", &[], 401, "NOT_AUTHENTICATED"),
        (
            "/topics/dev/t?x-amz-customauthorizer-name=none",
            &[("Authorization", &right)],
            401,
            "CUSTOM_AUTHORIZER_NOT_FOUND",
        ),
        (
            "/topics/dev/t",
            &[("Authorization", &right), ("x-amz-customauthorizer-name", "none")],
            401,
            "CUSTOM_AUTHORIZER_NOT_FOUND",
        ),
        ("/topics/other/t", &[("Authorization", &right)], 403, "AUTHORIZATION_FAILURE"),
        ("/topics/dev%2F..%2F..%2Fother", &[("Authorization", &wrong)], 401, "NOT_AUTHENTICATED"),
    ];
    for (target, headers, status, reason) in cases {
        let answer = HttpClient::open(&gateway).await.request("POST", target, headers, "x").await;
        let (message, error_type) = match status {
            401 => (json!("Unauthorized"), "UnauthorizedException:"),
            _ => (Value::Null, "ForbiddenException:"),
        };
        assert_eq!((answer.status, &answer.body["message"]), (status, &message), "{target} {headers:?}");
        assert_eq!(answer.header("x-amzn-errortype"), Some(error_type));
        assert_eq!(answer.header("x-amzn-requestid"), Some(answer.trace_id()));
        let line = gateway.logged_with(&[("connectionId", answer.trace_id())]).await;
        assert_eq!((&line["reason"], &line["protocol"]), (&json!(reason), &json!("HTTP")), "{line}");
    }
    let answer = HttpClient::open(&gateway)
        .await
        .request("POST", "/topics/dev/t", &[("Authorization", &right)], "last")
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(subscriber.message().await.payload, "last", "and nothing before it");
}

#[tokio::test]
async fn the_function_receives_every_request_as_it_was_sent() {
    let (gateway, script) = scripted().await;
    let mut client = HttpClient::over(tls(&gateway, "localhost", &["http/1.1"]).await.unwrap());
    let headers = [("Authorization", "Basic YTpi"), ("X-Key", "a"), ("X-Key", "b")];
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = client.request("POST", "/topics/t?qos=1&a=%41", &headers, "x").await;
        assert_eq!(answer.status, 200);
        ids.push(answer.trace_id().to_owned());
    }
    let events = script.events();
    for (event, id) in events.iter().zip(&ids) {
        let expected = json!({
            "signatureVerified": false,
            "protocols": ["tls", "http"],
            "protocolData": {
                "tls": {"serverName": "localhost"},
                "http": {
                    "headers": {
                        "host": "localhost", "authorization": "Basic YTpi", "x-key": "a, b", "content-length": "1",
                    },
                    "queryString": "qos=1&a=%41",
                },
            },
            "connectionMetadata": {"id": id},
        });
        assert_eq!(*event, expected);
    }
    assert_eq!(events.len(), 2);
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_retained_message_needs_retain_publish_too() {
    let (gateway, script) = scripted().await;
    script.set(&Step::Answer(allow(&[("Allow", "iot:Publish", "topic/t")])));
    let mut client = HttpClient::open(&gateway).await;
    assert_eq!(client.request("POST", "/topics/t?retain=true", &[], "no").await.status, 403);
    assert_eq!(client.request("POST", "/topics/u", &[], "no").await.status, 403);
    script.set(&Step::Answer(allow_all()));
    assert_eq!(client.request("POST", "/topics/t?retain=true", &[], "kept").await.status, 200);
    let mut subscriber = MqttClient::anybody(&gateway, Version::V5, "late").await;
    subscriber.subscribe(&["t"], QoS::AtMostOnce).await.unwrap();
    let message = subscriber.message().await;
    assert_eq!((message.retain, &message.payload[..]), (true, &b"kept"[..]));
}

#[tokio::test]
async fn a_request_that_is_not_a_publish_is_refused_without_calling_the_function() {
    let (gateway, script) = scripted().await;
    let long = format!("/topics/{}", "a".repeat(257));
    let body = "x".repeat(128 * 1024 + 1);
    let cases: [(&str, &str, &str, u16, &str); 15] = [
        ("GET", "/topics/t", "", 405, "needs the method POST"),
        ("PUT", "/topics/t", "x", 405, "needs the method POST"),
        ("POST", "/mqtt", "x", 405, "needs the method GET"),
        ("GET", "/", "", 404, "nothing is at this path"),
        ("POST", "/topics", "x", 404, "nothing is at this path"),
        ("POST", "/Topics/t", "x", 404, "nothing is at this path"),
        ("POST", "/topics/", "x", 400, "topic"),
        ("POST", "/topics/a%2F%23", "x", 400, "topic"),
        ("POST", "/topics/%ff", "x", 400, "not UTF-8"),
        ("POST", "/topics/%24aws/t", "x", 400, "reserved"),
        ("POST", "/topics/a/b/c/d/e/f/g/h/i", "x", 400, "more than 7 slashes"),
        ("POST", &long, "x", 400, "longer than 256 bytes"),
        ("POST", "/topics/t?qos=2&password=s3cret", "x", 400, "`qos` should be `0` or `1`"),
        ("POST", "/topics/t?retain=yes", "x", 400, "`retain` should be `false` or `true`"),
        ("POST", "/topics/t", &body, 413, "larger than 131072 bytes"),
    ];
    for (method, target, body, status, message) in cases {
        let answer = HttpClient::open(&gateway).await.request(method, target, &[], body).await;
        assert_eq!(answer.status, status, "{method} {target}: {answer:?}");
        assert!(answer.message().contains(message), "{method} {target}: {answer:?}");
        let error_type = match status {
            400 => "InvalidRequestException:",
            404 => "ResourceNotFoundException:",
            405 => "MethodNotAllowedException:",
            _ => "RequestEntityTooLargeException:",
        };
        assert_eq!(answer.header("x-amzn-errortype"), Some(error_type), "{method} {target}");
        assert_eq!(answer.header("x-amzn-requestid"), Some(answer.trace_id()));
        assert_eq!(answer.header("allow"), (status == 405).then_some(message.rsplit(' ').next().unwrap()));
        let line = gateway.logged_with(&[("connectionId", answer.trace_id())]).await;
        assert_eq!((&line["reason"], &line["status"]), (&json!("CLIENT_ERROR"), &json!("Failure")), "{line}");
    }
    let mut chunked = HttpClient::open(&gateway).await;
    let request = head("POST", "/topics/t", &[("Transfer-Encoding", "chunked")]);
    chunked.send(format!("{request}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes()).await;
    assert_eq!(chunked.answer().await.unwrap().status, 413);
    assert_eq!(script.calls(), 0);
    assert!(!gateway.log.text().contains("s3cret"));
}

#[tokio::test]
async fn the_largest_body_is_published() {
    let (gateway, _script) = scripted().await;
    let body = "x".repeat(128 * 1024);
    let answer = HttpClient::open(&gateway).await.request("POST", "/topics/t", &[], &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_failing_function_and_a_refusal_have_different_statuses() {
    let (gateway, script) = scripted().await;
    let unavailable = Some("ServiceUnavailableException:");
    let cases = [
        (Step::Answer(json!({"isAuthenticated": false})), 401, Some("UnauthorizedException:")),
        (Step::Error, 503, unavailable),
        (Step::Crash, 503, unavailable),
        (Step::Answer(json!({"isAuthenticated": true})), 503, unavailable),
        (Step::Answer(allow_all()), 200, None),
    ];
    let mut client = HttpClient::open(&gateway).await;
    for (step, status, error_type) in cases {
        script.set(&step);
        let answer = client.request("POST", "/topics/t", &[], "x").await;
        assert_eq!((answer.status, answer.header("x-amzn-errortype")), (status, error_type), "{answer:?}");
    }
}

#[tokio::test]
async fn a_client_without_sni_has_to_name_a_domain_configuration_in_its_host_header() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let (start, own) = start.and_script("own", &Step::Answer(allow_all()));
    let gateway = start
        .domain("publish.example", AuthenticationType::CustomAuth, ApplicationProtocol::Https)
        .domain("websocket.example", AuthenticationType::CustomAuth, ApplicationProtocol::MqttWss)
        .domain("mqtt.example", AuthenticationType::CustomAuth, ApplicationProtocol::SecureMqtt)
        .with(|settings| settings.domains[0].default_authorizer = Some("own".try_into().unwrap()))
        .run()
        .await;
    let unknown = "its Host header names no domain configuration";
    let cases = [
        ("localhost", 200, "OK"),
        ("LOCALHOST:443", 200, "OK"),
        ("127.0.0.1:8443", 200, "OK"),
        ("publish.example", 200, "OK"),
        ("websocket.example", 404, "publish over WebSocket"),
        ("mqtt.example", 400, unknown),
        ("other.example", 400, unknown),
        ("a b", 400, unknown),
    ];
    for (host, status, message) in cases {
        let mut client = HttpClient::over(tls(&gateway, "127.0.0.1", &[]).await.unwrap());
        let request = format!("POST /topics/t HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\n\r\nx");
        client.send(request.as_bytes()).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, status, "{host}: {answer:?}");
        assert!(answer.message().contains(message), "{host}: {answer:?}");
    }
    assert_eq!((script.calls(), own.calls()), (3, 1), "the domain's own authorizer is asked");
    let mut named = HttpClient::open(&gateway).await;
    named.send(b"POST /topics/t HTTP/1.1\r\nHost: other.example\r\nContent-Length: 1\r\n\r\nx").await;
    assert_eq!(named.answer().await.unwrap().status, 200, "with SNI, no Host header is needed");
}

#[tokio::test]
async fn the_wrong_protocol_is_named_in_the_log_and_others_go_on() {
    let (gateway, script) = scripted().await;
    let mut other = bystander(&gateway).await;
    let calls = script.calls();
    let mut mqtt = HttpClient::open(&gateway).await;
    mqtt.send(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a").await;
    assert_eq!(mqtt.rest().await, b"");
    let line = logged(&gateway, "speaks MQTT, and this door accepts HTTP").await;
    assert_eq!((&line["eventType"], &line["reason"]), (&json!("Connect"), &json!("CLIENT_ERROR")));
    let mut http = HttpClient::over(tls(&gateway, "localhost", &["mqtt"]).await.unwrap());
    http.send(head("POST", "/topics/t", &[]).as_bytes()).await;
    http.rest().await;
    logged(&gateway, "speaks HTTP, and this door accepts MQTT").await;
    let mut garbage = HttpClient::open(&gateway).await;
    garbage.send(b"\x00\xff\r\n\r\n").await;
    garbage.rest().await;
    logged(&gateway, "did not send an HTTP/1.1 request").await;
    other.ping().await;
    assert_eq!(script.calls(), calls);
}

#[tokio::test]
async fn a_megabyte_of_headers_and_a_thousand_headers_are_refused_and_others_go_on() {
    let (gateway, _script) = scripted().await;
    let mut other = bystander(&gateway).await;
    let large = "a".repeat(1024 * 1024);
    let heads = [
        head("POST", "/topics/t", &[("X-Large", &large)]),
        format!("POST /topics/t?{large} HTTP/1.1\r\n\r\n"),
        head("POST", "/topics/t", &vec![("a", "b"); 1_000]),
    ];
    for (index, head) in heads.iter().enumerate() {
        let mut client = HttpClient::open(&gateway).await;
        client.send(head.as_bytes()).await;
        // What the server did not read any more may cut its answer off.
        let answer = String::from_utf8(client.rest().await).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
        let refused = || {
            let lines = gateway.log.lines();
            let large = |line: &&Value| line["details"].as_str().is_some_and(|text| text.contains("16 KiB"));
            (lines.iter().filter(large).count() == index + 1).then_some(())
        };
        eventually("a line for each of them", refused).await;
        other.ping().await;
    }
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_and_others_go_on() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.on_manual_clock().run().await;
    let mut other = bystander(&gateway).await;
    let calls = script.calls();
    let body = head("POST", "/topics/t", &[("Content-Length", "5")]);
    let cases = [
        ("", "no HTTP request within 10s"),
        ("POST /top", "no HTTP request within 30s"),
        ("POST /topics/t HTTP/1.1\r\nX: y\r\n", "no HTTP request within 30s"),
        (&body, "the body did not come within 30s"),
        (&format!("{body}half"), "the body did not come within 30s"),
    ];
    for (sent, details) in cases {
        // A cure may follow the cause.
        let is_case = |line: &&Value| line["details"].as_str().is_some_and(|text| text.starts_with(details));
        let count = || gateway.log.lines().iter().filter(is_case).count();
        let before = count();
        let mut silent = HttpClient::open(&gateway).await;
        silent.send(sent.as_bytes()).await;
        let logged = || {
            gateway.advance(Duration::from_secs(1));
            (count() > before).then_some(())
        };
        eventually(details, logged).await;
        let rest = String::from_utf8(silent.rest().await).unwrap();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408 "), "{rest}");
        other.ping().await;
    }
    assert_eq!(script.calls(), calls);
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_log_line() {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.on_manual_clock().run().await;
    let mut client = HttpClient::open(&gateway).await;
    assert_eq!(client.request("POST", "/topics/t", &[], "x").await.status, 200);
    let lines = gateway.log.lines().len();
    let moving = async {
        loop {
            gateway.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        rest = client.rest() => assert_eq!(rest, b""),
        () = moving => unreachable!("it never ends"),
    }
    assert_eq!(gateway.log.lines().len(), lines);
}

#[tokio::test]
async fn curl_publishes_and_is_refused() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("dev", "own-topics");
    let mut subscriber =
        MqttClient::connected(&gateway, connect(Version::V311, "dev", "dev", &password)).await;
    subscriber.subscribe(&["dev/t"], QoS::AtLeastOnce).await.unwrap();
    let cases = [("dev", &*password, "200"), ("dev", "wrong", "401"), ("other", &*password, "403")];
    for (topic, password, status) in cases {
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--show-error",
            "--write-out",
            "\n%{http_code}",
            "--data",
            "21.5",
            "--cacert",
        ]);
        command.arg(gateway.ca()).args(["--user", &format!("dev:{password}")]);
        command.arg(format!("https://localhost:{}/topics/{topic}/t?qos=1", gateway.address.port()));
        let finished = Running::start(command).finish().await;
        assert_eq!(finished.code, Some(0), "{}", finished.err());
        let (out, body) = (finished.out(), finished.out());
        assert_eq!(out.lines().last(), Some(status), "{out}");
        let body = serde_json::from_str::<Value>(body.lines().next().unwrap()).unwrap();
        assert!(body["traceId"].is_string(), "{body}");
    }
    assert_eq!(subscriber.message().await.payload, "21.5");
}
