//! Who may call the APIs, and requests that are not what they should be.

use integration::{
    aws_api::{answers, call, run, with},
    test_gateway::TestGateway,
};
use serde_json::{Value, json};

fn get(path: &str, more: &Value) -> Value {
    with(json!({"method": "GET", "path": path}), more)
}

#[tokio::test]
async fn a_request_that_is_not_signed_for_this_gateway_is_refused() {
    let gateway = TestGateway::open_to_all().await;
    let header = |name: &str, value: Value| json!({"headers": {name: value}});
    let cases = [
        (json!({}), 200, None, ""),
        (json!({"secret": "another"}), 403, Some("InvalidSignatureException"), "does not match"),
        (json!({"seconds": 3_600}), 403, Some("InvalidSignatureException"), "Signature not yet current"),
        (json!({"seconds": -3_600}), 403, Some("InvalidSignatureException"), "Signature expired"),
        (json!({"seconds": -240}), 200, None, ""),
        (header("Authorization", Value::Null), 403, Some("MissingAuthenticationTokenException"), "Missing"),
        (
            header("Authorization", json!("Basic eDp5")),
            403,
            Some("IncompleteSignatureException"),
            "algorithm",
        ),
        (
            header("Authorization", json!("AWS4-HMAC-SHA256 Credential=x")),
            403,
            Some("IncompleteSignatureException"),
            "SignedHeaders",
        ),
        (header("X-Amz-Date", json!("yesterday")), 403, Some("IncompleteSignatureException"), "Date"),
        (header("X-Amz-Date", Value::Null), 403, Some("IncompleteSignatureException"), "X-Amz-Date"),
        (json!({"service": "s3"}), 403, Some("InvalidSignatureException"), "correct service"),
        (header("Host", json!("evil.example")), 403, Some("ForbiddenException"), "Host"),
        (header("Origin", json!("http://localhost:8000")), 403, Some("ForbiddenException"), "web pages"),
        (header("Origin", json!("null")), 403, Some("ForbiddenException"), "web pages"),
    ];
    let requests = cases.iter().map(|(more, ..)| get("/things", more)).collect::<Vec<_>>();
    let answered = run(gateway.folder.path(), &requests).await;
    for ((case, status, name, words), events) in cases.iter().zip(answered) {
        let event = &events[0];
        assert_eq!((&event["status"], &event["type"]), (&json!(status), &json!(name)), "{case}: {event}");
        let message = event["body"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(words), "{case}: {event}");
        assert!(event["id"].as_str().is_some_and(|id| id.len() == 36), "{event}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_the_operation_has_changes_nothing() {
    let gateway = TestGateway::open_to_all().await;
    let post = |body: &Value| json!({"method": "POST", "path": "/things/a", "body": body.to_string()});
    let text = |body: &str| json!({"method": "POST", "path": "/things/a", "body": body});
    let cases = [
        (text("{"), 400, "SerializationException"),
        (text("[]"), 400, "SerializationException"),
        (text("\u{0}"), 400, "SerializationException"),
        (
            json!({"method": "POST", "path": "/things/a", "body_bytes": 10_000_000}),
            413,
            "RequestEntityTooLargeException",
        ),
        (post(&json!({"thingTypeName": 1})), 400, "SerializationException"),
        (post(&json!({"attributePayload": []})), 400, "SerializationException"),
        (post(&json!({"attributePayload": {"attributes": {"a": 1}}})), 400, "SerializationException"),
        (post(&json!({"attributePayload": {"attributes": {"a b": "c"}}})), 400, "InvalidRequestException"),
        (post(&json!({"attributePayload": {"attributes": {"a": "c d"}}})), 400, "InvalidRequestException"),
        (post(&json!({"thingTypeName": "a".repeat(129)})), 400, "InvalidRequestException"),
        (json!({"method": "POST", "path": "/things/%FF", "body": "{}"}), 400, "SerializationException"),
        (json!({"method": "POST", "path": "/things/a/b/c", "body": "{}"}), 404, "UnknownOperationException"),
        (json!({"method": "PUT", "path": "/jobs/j", "body": "{}"}), 501, "NotImplementedException"),
    ];
    let mut requests = cases.iter().map(|(request, ..)| request.clone()).collect::<Vec<_>>();
    requests.push(get("/things", &json!({})));
    let answered = run(gateway.folder.path(), &requests).await;
    for ((case, status, name), events) in cases.iter().zip(&answered) {
        let event = &events[0];
        assert_eq!((&event["status"], &event["type"]), (&json!(status), &json!(name)), "{case}: {event}");
    }
    assert_eq!(answered.last().unwrap()[0]["body"], json!({"things": []}));
}

#[tokio::test]
async fn members_that_the_operation_does_not_have_are_ignored() {
    let gateway = TestGateway::open_to_all().await;
    let body = json!({"noSuchMember": {"a": [1]}, "thingTypeName": null}).to_string();
    let request = json!({"method": "POST", "path": "/things/a?noSuchParameter=1", "body": body});
    let answered = run(gateway.folder.path(), &[request]).await;
    assert_eq!(answered[0][0]["body"]["thingName"], "a", "{answered:?}");
}

/// AWS accepts a request again for as long as its date is recent; the registry's calls can be repeated.
#[tokio::test]
async fn a_replayed_request_has_the_same_answer_and_makes_nothing_twice() {
    let gateway = TestGateway::open_to_all().await;
    let list = [
        json!({"method": "POST", "path": "/things/a", "body": "{}", "times": 3}),
        json!({"method": "DELETE", "path": "/things/a", "times": 2}),
        get("/things", &json!({})),
    ];
    let answered = run(gateway.folder.path(), &list).await;
    let bodies = answered[0].iter().map(|event| &event["body"]).collect::<Vec<_>>();
    assert!(bodies.len() == 3 && bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!(bodies[0]["thingName"], "a");
    assert!(answered[1].iter().all(|event| event["status"] == 200), "{answered:?}");
    assert_eq!(answered[2][0]["body"], json!({"things": []}));
}

#[tokio::test]
async fn an_operation_that_the_gateway_does_not_have_is_named() {
    let gateway = TestGateway::open_to_all().await;
    let calls = [
        call("ListJobs", json!({})),
        call("CreateRoleAlias", json!({"roleAlias": "a", "roleArn": "arn:aws:iam::123456789012:role/r"})),
        call("DescribeEndpoint", json!({"endpointType": "iot:CredentialProvider"})),
    ];
    for (answer, name) in answers(gateway.folder.path(), &calls).await.iter().zip([
        "ListJobs",
        "CreateRoleAlias",
        "DescribeEndpoint",
    ]) {
        assert_eq!((&answer["error"], &answer["status"]), (&json!("NotImplementedException"), &json!(501)));
        assert!(answer["message"].as_str().unwrap().starts_with(name), "{answer}");
    }
}

#[tokio::test]
async fn devices_are_sent_to_the_port_of_awss_443() {
    let gateway = TestGateway::open_to_all().await;
    let kind = |kind: &str| call("DescribeEndpoint", json!({"endpointType": kind}));
    let calls = [
        call("DescribeEndpoint", json!({})),
        kind("iot:Data-ATS"),
        kind("iot:Data"),
        kind("iot:Jobs"),
        kind("x"),
    ];
    let answered = answers(gateway.folder.path(), &calls).await;
    let address = format!("localhost:{}", gateway.address.port());
    for answer in &answered[..2] {
        assert_eq!(answer["output"], json!({"endpointAddress": address}));
    }
    for answer in &answered[2..] {
        assert_eq!(answer["error"], "InvalidRequestException");
    }
}
