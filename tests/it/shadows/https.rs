//! AWS's REST API of shadows, for clients with a certificate.

use gateway::door::route::Port;
use integration::{
    device_certificate::{DeviceCertificate, Knock, allow},
    http_client::{HttpAnswer, HttpClient},
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use serde_json::{Value, json};

use super::{CLASSIC, NAMED, Watcher};

const LIST: &str = "/api/things/shadow/ListNamedShadowsForThing/lamp";
const ACTIONS: [&str; 4] =
    ["iot:GetThingShadow", "iot:UpdateThingShadow", "iot:DeleteThingShadow", "iot:ListNamedShadowsForThing"];

/// A gateway that knows a certificate which may do this with the shadows of the Thing `lamp`.
async fn gateway(certificate: &DeviceCertificate, actions: &[&str]) -> TestGateway {
    let policy = allow(actions, &["arn:aws:iot:us-east-1:123456789012:thing/lamp"]);
    let mut registered = certificate.registered();
    registered.policies = [policy].into();
    Start::with_script(&Step::Answer(allow_all())).0.registered(vec![registered], Vec::new()).run().await
}

async fn call(
    gateway: &TestGateway,
    certificate: &DeviceCertificate,
    method: &str,
    target: &str,
    body: &str,
) -> HttpAnswer {
    let (certificate, versions) = (Some(certificate), rustls::DEFAULT_VERSIONS);
    let knock = Knock { port: Port::P8443, server_name: "localhost", alpn: &[], certificate, versions };
    HttpClient::over(knock.tls(gateway).await.unwrap()).request(method, target, &[], body).await
}

fn error(answer: &HttpAnswer) -> (u16, &str, &str) {
    (answer.status, answer.header("x-amzn-errortype").unwrap_or_default(), answer.message())
}

#[tokio::test]
async fn a_certificate_reads_changes_lists_and_deletes_shadows_over_https() {
    let certificate = DeviceCertificate::new("app");
    let gateway = gateway(&certificate, &ACTIONS).await;
    for (prefix, target) in [(CLASSIC, "/things/lamp/shadow"), (NAMED, "/things/lamp/shadow?name=color")] {
        let mut watcher = Watcher::new(&gateway, prefix).await;
        let update = r#"{"state":{"desired":{"on":true},"reported":{"deep":[1]}},"clientToken":"c"}"#;
        let updated = call(&gateway, &certificate, "POST", target, update).await;
        let (levels, accepted) = watcher.answer().await;
        assert_eq!((updated.status, &updated.body, levels.as_str()), (200, &accepted, "update/accepted"));
        assert_eq!(watcher.answer().await.1["state"], json!({"on": true}), "the delta");
        assert_eq!(watcher.answer().await.0, "update/documents");

        let got = call(&gateway, &certificate, "GET", target, "").await;
        assert_eq!((got.status, got.header("content-type")), (200, Some("application/json")));
        assert!(got.header("x-amzn-requestid").is_some());
        let state = json!({"desired": {"on": true}, "reported": {"deep": [1]}, "delta": {"on": true}});
        assert_eq!((&got.body["state"], &got.body["version"]), (&state, &json!(1)));
        assert_eq!(got.body["metadata"]["delta"], Value::Null);

        let listed = call(&gateway, &certificate, "GET", LIST, "").await;
        let names = if prefix == NAMED { json!(["color"]) } else { json!([]) };
        assert_eq!((listed.status, &listed.body["results"]), (200, &names));
        assert!(listed.body["timestamp"].is_i64() && listed.body["nextToken"].is_null());

        let deleted = call(&gateway, &certificate, "DELETE", target, "").await;
        assert_eq!((deleted.status, &deleted.body["version"]), (200, &json!(1)));
        // Nothing came of the `GET`.
        assert_eq!(watcher.answer().await, ("delete/accepted".to_owned(), deleted.body));
    }
    for name in ["c", "a", "b"] {
        let target = format!("/things/lamp/shadow?name={name}");
        assert_eq!(call(&gateway, &certificate, "POST", &target, r#"{"state":{}}"#).await.status, 200);
    }
    let first = call(&gateway, &certificate, "GET", &format!("{LIST}?pageSize=2"), "").await.body;
    assert_eq!(first["results"], json!(["a", "b"]));
    let token = first["nextToken"].as_str().unwrap();
    let second =
        call(&gateway, &certificate, "GET", &format!("{LIST}?pageSize=2&nextToken={token}"), "").await;
    assert_eq!((&second.body["results"], &second.body["nextToken"]), (&json!(["c"]), &Value::Null));
}

#[tokio::test]
async fn a_call_that_is_wrong_is_rejected_with_awss_error() {
    let certificate = DeviceCertificate::new("app");
    let gateway = gateway(&certificate, &ACTIONS).await;
    let (classic, named) = ("/things/lamp/shadow", "/things/lamp/shadow?name=n");
    assert_eq!(call(&gateway, &certificate, "POST", classic, r#"{"state":{}}"#).await.status, 200);
    let large = json!({"state": {"desired": {"a": "x".repeat(8_193)}}}).to_string();
    let (invalid, too_large) = ("InvalidRequestException:", "The payload exceeds the maximum size allowed");
    let cases = [
        ("GET", named, "", (404, "ResourceNotFoundException:", "No shadow exists with name: 'n'")),
        ("DELETE", named, "", (404, "ResourceNotFoundException:", "No shadow exists with name: 'n'")),
        ("POST", classic, "{", (400, invalid, "Invalid JSON")),
        ("POST", classic, r#"{"state":{},"version":7}"#, (409, "ConflictException:", "Version conflict")),
        ("POST", classic, &large, (413, "RequestEntityTooLargeException:", too_large)),
        ("GET", "/things/a.b/shadow", "", (400, invalid, "Invalid thing name: 1 to 128 of [a-zA-Z0-9:_-]")),
        (
            "PUT",
            classic,
            "",
            (405, "MethodNotAllowedException:", "this path needs the method GET, POST, DELETE"),
        ),
    ];
    let mut watcher = Watcher::new(&gateway, CLASSIC).await;
    for (method, target, body, expected) in cases {
        let answer = call(&gateway, &certificate, method, target, body).await;
        assert_eq!(error(&answer), expected, "{method} {target}");
    }
    assert_eq!(call(&gateway, &certificate, "POST", classic, r#"{"state":{}}"#).await.body["version"], 2);
    assert_eq!(watcher.answer().await.0, "update/accepted", "a rejection publishes nothing");
}

#[tokio::test]
async fn the_policies_decide_about_calls_by_the_thing() {
    let certificate = DeviceCertificate::new("app");
    let calls = [
        ("GET", "/things/lamp/shadow"),
        ("POST", "/things/lamp/shadow"),
        ("DELETE", "/things/lamp/shadow"),
        ("GET", LIST),
    ];
    for (n, action) in ACTIONS.into_iter().enumerate() {
        let gateway = gateway(&certificate, &[action, "iot:Publish"]).await;
        for (m, (method, target)) in calls.into_iter().enumerate() {
            let answer = call(&gateway, &certificate, method, target, r#"{"state":{}}"#).await;
            assert_eq!(answer.status == 403, n != m, "{action}: {method} {target}: {answer:?}");
        }
        let other = call(&gateway, &certificate, calls[n].0, &calls[n].1.replace("lamp", "fan"), "{}").await;
        assert_eq!(error(&other), (403, "ForbiddenException:", ""), "another Thing");
        let of_this = [("protocol", "HTTP"), ("status", "Failure"), ("reason", "AUTHORIZATION_FAILURE")];
        gateway.logged_with(&of_this).await;
    }
}

#[tokio::test]
async fn custom_authentication_does_not_reach_the_rest_api_of_shadows() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.run().await;
    let answer = HttpClient::open(&gateway).await.request("GET", "/things/lamp/shadow", &[], "").await;
    assert_eq!((answer.status, answer.header("x-amzn-errortype")), (403, Some("ForbiddenException:")));
    assert!(answer.message().contains("client certificate"), "{answer:?}");
    assert_eq!(script.calls(), 0);
}
