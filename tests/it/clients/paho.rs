//! paho-mqtt, over TLS.

use integration::{
    devices,
    eventually::within,
    foreign::{BOTH, Device, Version},
};
use serde_json::{Value, json};

use super::{gateway, own_device};

fn events(log: &[Value]) -> Vec<&str> {
    log.iter().map(|line| line["event"].as_str().unwrap()).collect()
}

/// What paho says when its CONNECT is refused. With 3.1.1 it only sees that the connection is closed.
fn is_refused(version: Version) -> Value {
    match version {
        Version::V311 => {
            json!({"event": "disconnected", "by_server": false, "code": 0x80, "reason": "Unspecified error"})
        }
        Version::V5 => json!({"event": "connected", "codes": [0x87], "reason": "Not authorized"}),
    }
}

#[tokio::test]
async fn paho_publishes_and_receives_its_own_topics() {
    let gateway = gateway().await;
    let device = own_device(&gateway);
    let actions = [
        json!(["subscribe", "hall-1/#", 1]),
        json!(["publish", "hall-1/a", "first", 0]),
        json!(["receive"]),
        json!(["publish", "hall-1/b/c", "second", 1]),
        json!(["receive"]),
        json!(["disconnect"]),
    ];
    for version in BOTH {
        let log = device.paho(version, &actions).await;
        assert_eq!(log[0], json!({"event": "connected", "codes": [0], "reason": "Success"}));
        assert_eq!(log[1]["codes"], json!([1]), "QoS 1 was granted: {log:?}");
        let messages = log.iter().filter(|line| line["event"] == "message").collect::<Vec<_>>();
        assert_eq!(
            *messages[0],
            json!({"event": "message", "topic": "hall-1/a", "payload": "first", "qos": 0})
        );
        assert_eq!(
            *messages[1],
            json!({"event": "message", "topic": "hall-1/b/c", "payload": "second", "qos": 1})
        );
        assert_eq!(log.last().unwrap()["by_server"], false, "{log:?}");
    }
}

#[tokio::test]
async fn paho_does_not_trust_another_ca() {
    let (gateway, other) = (gateway().await, gateway().await);
    let device = Device { ca: other.ca(), ..own_device(&gateway) };
    for version in BOTH {
        let log = device.paho(version, &[]).await;
        assert_eq!(log, [json!({"event": "tls_failed", "reason": "CERTIFICATE_VERIFY_FAILED"})]);
    }
    assert!(gateway.log.lines().iter().all(|line| line["event"] != "decision"), "no password was sent");
}

#[tokio::test]
async fn paho_is_told_that_its_password_is_wrong() {
    let gateway = gateway().await;
    let right = own_device(&gateway);
    let mut longer = right.password.clone();
    longer.push(0);
    for password in [b"wrong".to_vec(), longer, Vec::new()] {
        let wrong = Device { password, ..right.clone() };
        for version in BOTH {
            let log = wrong.paho(version, &[json!(["publish", "hall-1/a", "x", 1])]).await;
            assert_eq!(log[0], is_refused(version), "{log:?}");
            assert!(!events(&log).contains(&"published"), "{log:?}");
        }
    }
}

#[tokio::test]
async fn paho_publishes_nothing_outside_its_scope() {
    let gateway = gateway().await;
    let device = own_device(&gateway);
    for qos in [0, 1] {
        let outside = json!(["publish", "hall-2/a", "x", qos]);
        let log = device.paho(Version::V311, &[outside.clone(), json!(["closed"])]).await;
        assert_eq!(events(&log).last(), Some(&"disconnected"), "3.1.1 knows no refusal: {log:?}");
        let log = device.paho(Version::V5, &[outside, json!(["closed"])]).await;
        let last = log.last().unwrap();
        assert_eq!(last["reason"], "Not authorized", "{log:?}");
        assert_eq!(last["event"], if qos == 0 { "disconnected" } else { "published" }, "{log:?}");
    }
}

#[tokio::test]
async fn paho_gets_no_subscription_outside_its_scope() {
    let gateway = gateway().await;
    let device = own_device(&gateway);
    for filter in ["#", "+/a", "hall-2/a", "hall-1", "$SYS/#"] {
        let subscribe = [json!(["subscribe", filter, 1])];
        let log = device.paho(Version::V311, &subscribe).await;
        assert_eq!(events(&log), ["connected", "disconnected"], "{filter}: {log:?}");
        let log = device.paho(Version::V5, &subscribe).await;
        assert_eq!((events(&log)[1], &log[1]["codes"]), ("subscribed", &json!([0x87])), "{filter}: {log:?}");
    }
}

#[tokio::test]
async fn paho_does_not_get_in_by_another_door() {
    let gateway = gateway().await;
    let device = own_device(&gateway);
    // With TLS 1.3 a client's own handshake is done before it is told that it needs a certificate.
    for (alpn, seen) in [("x-amzn-mqtt-ca", "disconnected"), ("h2", "tls_failed"), ("MQTT", "tls_failed")] {
        let log = Device { alpn: Some(alpn), ..device.clone() }.paho(Version::V5, &[]).await;
        assert_eq!(events(&log), [seen], "{alpn}: {log:?}");
    }
    gateway.logged_with(&[("eventType", "Connect"), ("reason", "ALPN_NOT_SUPPORTED")]).await;
    gateway.logged_with(&[("eventType", "Connection.AuthNError"), ("reason", "NOT_AUTHENTICATED")]).await;
    assert!(gateway.log.lines().iter().all(|line| line["event"] != "decision"), "nobody was asked");
}

#[tokio::test]
async fn paho_presents_a_password_that_is_not_text() {
    let gateway = gateway().await;
    let password = [0xff, 0x00, 0xc3, 0x28, 0x80, b'p'];
    devices::add(gateway.folder.path(), "raw", "own-topics", &password);
    let right = Device::new(&gateway, "raw", password);
    // What a lossy conversion would make of it.
    let replaced = String::from_utf8_lossy(&password).into_owned();
    let wrong = Device { password: replaced.into_bytes(), ..right.clone() };
    for version in BOTH {
        let log = right.paho(version, &[json!(["publish", "raw/a", "x", 1])]).await;
        assert_eq!(events(&log), ["connected", "published"], "{log:?}");
        assert_eq!(wrong.paho(version, &[]).await[0], is_refused(version));
    }
}

#[tokio::test]
async fn a_query_string_of_another_authorizer_or_a_spoilt_one_is_refused() {
    let gateway = gateway().await;
    let device = own_device(&gateway);
    let cases = [
        ("hall-1", 0),
        ("hall-1?", 0),
        ("hall-1?SDK=PythonV2&x-amz-customauthorizer-name=latchkey", 0),
        ("hall-1?x-amz-customauthorizer-name=latchkey&SDK=a&Platform=b&Metadata=(c=d;e=f)", 0),
        ("hall-1?x-amz-customauthorizer-name=other", 0x87),
        ("hall-1?x-amz-customauthorizer-name=latchkey?SDK=Java&Version=1.0", 0x87),
        ("hall-1?SDK=a?x-amz-customauthorizer-name=latchkey", 0x87),
        ("hall-2?x-amz-customauthorizer-name=latchkey", 0x87),
        ("?x-amz-customauthorizer-name=latchkey", 0x87),
    ];
    for (user_name, code) in cases {
        let device = Device { user_name: user_name.to_owned(), ..device.clone() };
        let log = within(user_name, device.paho(Version::V5, &[])).await;
        assert_eq!(log[0]["codes"], json!([code]), "{user_name}: {log:?}");
    }
}
