//! Python's `requests` and `http.client`: HTTPS publish with a client certificate.

use gateway::door::route::Port;
use integration::foreign::{
    CertificateFiles,
    script::{Events, attempts, in_python},
};
use serde_json::{Value, json};

use super::{CertificateDoors, logged};

struct Request<'a> {
    library: &'a str,
    port: Port,
    alpn: Option<&'a str>,
    certificate: Option<&'a CertificateFiles>,
    topic: &'a str,
}

impl Request<'_> {
    fn attempt(&self, doors: &CertificateDoors) -> Value {
        json!({
            "library": self.library,
            "port": doors.gateway.addresses.doors[&self.port].port(),
            "ca": doors.gateway.ca(),
            "alpn": self.alpn,
            "certificate": self.certificate.map(|paths| [&paths.certificate, &paths.key]),
            "topic": self.topic,
            "payload": "21.5",
        })
    }
}

async fn run(list: &[Value]) -> Vec<Events> {
    attempts(in_python("https_client.py"), list).await
}

fn ended() -> Events {
    vec![json!({"event": "failed", "reason": "ended_by_server"})]
}

/// The publish that is let in is seen and logged, the one outside the policy and those without the certificate are
/// not let in.
async fn comes_in_with_its_certificate_alone(library: &str, port: Port, alpn: Option<&str>) {
    let mut doors = CertificateDoors::open().await;
    let known = Request { library, port, alpn, certificate: Some(&doors.known), topic: "hall-1/a" };
    let list = [
        known.attempt(&doors),
        Request { topic: "hall-2/a", ..known }.attempt(&doors),
        Request { certificate: Some(&doors.unknown), ..known }.attempt(&doors),
        Request { certificate: None, ..known }.attempt(&doors),
    ];
    let seen = run(&list).await;
    let log = doors.gateway.log.text();
    let answer = |events: &Events| (events[0]["status"].clone(), events[0]["message"].clone());
    assert_eq!(answer(&seen[0]), (json!(200), json!("OK")), "{seen:?} {log}");
    assert_eq!(answer(&seen[1]), (json!(403), json!(null)), "{seen:?} {log}");
    for events in &seen[2..] {
        assert_eq!(*events, ended(), "{log}");
    }
    doors.seen("hall-1/a", "21.5").await;
    let id = seen[0][0]["trace_id"].as_str().unwrap();
    let line = doors.gateway.logged_with(&[("eventType", "Publish-In"), ("connectionId", id)]).await;
    assert_eq!((&line["status"], &line["protocol"]), (&json!("Success"), &json!("HTTP")), "{line}");
    let denied = [("topicName", "hall-2/a"), ("status", "Failure"), ("reason", "AUTHORIZATION_FAILURE")];
    doors.gateway.logged_with(&denied).await;
    logged(&doors.gateway, "the client's certificate is not registered").await;
    logged(&doors.gateway, "the client has no certificate").await;
}

#[tokio::test]
async fn requests_publishes_on_8443() {
    comes_in_with_its_certificate_alone("requests", Port::P8443, None).await;
}

#[tokio::test]
async fn http_client_publishes_on_443_by_its_alpn() {
    comes_in_with_its_certificate_alone("http.client", Port::P443, Some("x-amzn-http-ca")).await;
}

#[tokio::test]
async fn a_certificate_counts_for_nothing_at_another_door() {
    let doors = CertificateDoors::open().await;
    let of = |port, alpn| {
        let certificate = Some(&doors.known);
        Request { library: "http.client", port, alpn, certificate, topic: "hall-1/a" }.attempt(&doors)
    };
    let list = [
        of(Port::P443, None),
        of(Port::P443, Some("x-amzn-mqtt-ca")),
        of(Port::P8443, Some("x-amzn-http-ca")),
    ];
    let seen = run(&list).await;
    assert_eq!(seen[0][0]["status"], 401, "the authorizer was asked, and refuses: {seen:?}");
    assert_eq!(seen[1..], [ended(), ended()]);
    logged(&doors.gateway, "the client speaks HTTP").await;
    logged(&doors.gateway, "AWS's port 8443 accepts").await;
}
