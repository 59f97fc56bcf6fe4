//! `mosquitto_pub` and `mosquitto_sub`.

use gateway::door::route::Port;
use integration::{
    captured_log::words,
    devices,
    foreign::{BOTH, Device, Version, mosquitto::CertificateDevice},
    running::Finished,
};
use serde_json::Value;

use super::{CertificateDoors, gateway, logged, own_device};

/// What mosquitto's programs end with: their own code for TLS, or the server's for a refusal.
const MOSQUITTO_TLS: [i32; 2] = [1, 8];

/// What a client reads whose certificate is refused: with TLS 1.3 its own handshake is done before the server says no, so
/// that its CONNECT may cross the alert.
const IS_CUT_OFF: &[&str] = &["The connection was lost", "TLS error", "alert"];

async fn publish(device: &Device, version: Version, topic: &str, qos: u8) -> Finished {
    device.mosquitto_pub(version, topic, "21.5", qos).finish().await
}

#[tokio::test]
async fn mosquitto_pub_publishes() {
    let gateway = gateway().await;
    let device = own_device(&gateway);
    for version in BOTH {
        for qos in [0, 1] {
            let finished = publish(&device, version, "hall-1/temperature", qos).await;
            assert_eq!((finished.code, &*finished.err()), (Some(0), ""), "{version:?} QoS {qos}");
        }
    }
    gateway.logged_with(&[("eventType", "Connect"), ("status", "Success"), ("clientId", "hall-1")]).await;
}

#[tokio::test]
async fn mosquitto_sub_receives_what_mosquitto_pub_publishes() {
    let gateway = gateway().await;
    let sensor = Device::new(&gateway, "sht20", gateway.add("sht20", "sht20"));
    devices::add_viewer(gateway.folder.path(), "viewer", b"a password for the viewer");
    let viewer = Device::new(&gateway, "viewer", "a password for the viewer");
    for version in BOTH {
        let subscriber = viewer.mosquitto_sub(version, "sensor/+/temperature", &["-C", "1"]);
        // Nothing tells from outside when it has subscribed, so it gets messages until it has one.
        let publishing = async {
            loop {
                let finished = publish(&sensor, version, "sensor/sht20/temperature", 1).await;
                assert_eq!(finished.code, Some(0), "{}", finished.err());
            }
        };
        let received = tokio::select! {
            received = subscriber.finish() => received,
            () = publishing => unreachable!("it never ends"),
        };
        assert_eq!((received.code, &*received.out()), (Some(0), "sensor/sht20/temperature 21.5\n"));
    }
}

#[tokio::test]
async fn mosquitto_is_told_that_its_password_is_wrong() {
    let gateway = gateway().await;
    let wrong = Device { password: b"wrong".to_vec(), ..own_device(&gateway) };
    for (version, code, message) in
        [(Version::V311, 7, "Error: The connection was lost."), (Version::V5, 0x87, "Not authorized")]
    {
        let finished = publish(&wrong, version, "hall-1/temperature", 1).await;
        assert_eq!(finished.code, Some(code), "{version:?} {}", finished.err());
        assert!(finished.err().contains(message), "{}", finished.err());
    }
    let line = gateway.logged_with(&[("outcome", "deny"), ("device", "hall-1")]).await;
    assert_eq!(line["reason"], "wrong_password");
}

#[tokio::test]
async fn mosquitto_pub_gets_nothing_through_outside_its_scope() {
    let gateway = gateway().await;
    let device = own_device(&gateway);
    for version in BOTH {
        for qos in [0, 1] {
            let topic = format!("hall-2/{version:?}/{qos}");
            let finished = publish(&device, version, &topic, qos).await;
            match (version, qos) {
                (Version::V311, 1) => {
                    assert!(finished.err().contains("connection was lost"), "{}", finished.err());
                }
                (Version::V5, 1) => assert!(finished.err().contains("Not authorized"), "{}", finished.err()),
                // A QoS 0 message is out before the answer comes.
                _ => {}
            }
            let denied = [("eventType", "Publish-In"), ("status", "Failure"), ("topicName", &*topic)];
            assert_eq!(gateway.logged_with(&denied).await["reason"], "AUTHORIZATION_FAILURE");
        }
    }
}

#[tokio::test]
async fn mosquitto_sub_gets_no_subscription_outside_its_scope() {
    let gateway = gateway().await;
    let device = own_device(&gateway);
    let refused = device.mosquitto_sub(Version::V5, "hall-2/#", &[]).finish().await;
    assert!(refused.err().contains("All subscription requests were denied"), "{}", refused.err());
    // With 3.1.1 it is cut off and comes back, again and again; so the log is what shows the refusal.
    let _cut_off = device.mosquitto_sub(Version::V311, "hall-3/#", &[]);
    for filter in ["hall-2/#", "hall-3/#"] {
        let denied = [("eventType", "Subscribe"), ("status", "Failure"), ("topicName", filter)];
        assert_eq!(gateway.logged_with(&denied).await["reason"], "AUTHORIZATION_FAILURE");
    }
}

#[tokio::test]
async fn mosquitto_does_not_get_in_by_another_door() {
    let gateway = gateway().await;
    let device = own_device(&gateway);
    let no_alpn = Device { alpn: None, ..device.clone() };
    let other_alpn = Device { alpn: Some("x-amzn-mqtt-ca"), ..device };
    for version in BOTH {
        for device in [&no_alpn, &other_alpn] {
            let finished = publish(device, version, "hall-1/temperature", 1).await;
            assert_ne!(finished.code, Some(0), "{}", finished.err());
        }
    }
    gateway.logged("the missing ALPN", |line| says(line, "speaks MQTT, and this door accepts HTTP")).await;
    gateway.logged("the other ALPN", |line| says(line, "the client has no certificate")).await;
    assert!(gateway.log.lines().iter().all(|line| line["event"] != "decision"), "nobody was asked");
}

#[tokio::test]
async fn mosquitto_does_not_trust_another_ca() {
    let (gateway, other) = (gateway().await, gateway().await);
    let device = Device { ca: other.ca(), ..own_device(&gateway) };
    for version in BOTH {
        let finished = publish(&device, version, "hall-1/temperature", 1).await;
        assert!(MOSQUITTO_TLS.map(Some).contains(&finished.code), "{:?}", finished.code);
    }
    assert!(gateway.log.lines().iter().all(|line| line["event"] != "decision"), "no password was sent");
}

#[tokio::test]
async fn mosquitto_pub_comes_in_with_a_certificate_and_not_with_another_or_none() {
    let mut doors = CertificateDoors::open().await;
    let certificates = Some("x-amzn-mqtt-ca");
    for (door, alpn) in [(Port::P8883, None), (Port::P8883, certificates), (Port::P443, certificates)] {
        for version in BOTH {
            let known = doors.device(door, alpn);
            let finished = known.mosquitto_pub(&doors.gateway, version, "hall-1/a", "21.5").finish().await;
            assert_eq!((finished.code, &*finished.err()), (Some(0), ""), "{door} {version:?}");
            doors.seen("hall-1/a", "21.5").await;
        }
        let known = doors.device(door, alpn);
        let cases = [
            (CertificateDevice { certificate: Some(&doors.unknown), ..known }, IS_CUT_OFF),
            (CertificateDevice { certificate: None, ..known }, IS_CUT_OFF),
            (CertificateDevice { client_id: "hall-2", ..known }, &["Not authorized"]),
        ];
        for (device, seen) in cases {
            let running = device.mosquitto_pub(&doors.gateway, Version::V5, "hall-1/a", "21.5");
            let finished = running.finish().await;
            assert_ne!(finished.code, Some(0), "{door} {seen:?}");
            assert!(
                seen.iter().any(|text| finished.err().contains(text)),
                "{door} {:?}: {}",
                finished.code,
                finished.err()
            );
        }
    }
    logged(&doors.gateway, "the client's certificate is not registered").await;
    logged(&doors.gateway, "the client has no certificate").await;
    let denied = [("eventType", "Connect"), ("status", "Failure"), ("clientId", "hall-2")];
    assert_eq!(doors.gateway.logged_with(&denied).await["reason"], "AUTHORIZATION_FAILURE");
}

#[tokio::test]
async fn mosquitto_pub_with_a_certificate_does_not_get_in_by_another_door() {
    let cases = [
        (Port::P443, None, "speaks MQTT, and this door accepts HTTP"),
        (Port::P443, Some("mqtt"), "the function answered `isAuthenticated: false`"),
        (Port::P443, Some("x-amzn-http-ca"), "the client speaks MQTT"),
        (Port::P8883, Some("mqtt"), "AWS's port 8883 accepts none or `x-amzn-mqtt-ca`"),
        (Port::P8443, None, "the client speaks MQTT"),
    ];
    for (door, alpn, details) in cases {
        // Another gateway each time: its log has the line of this attempt alone.
        let doors = CertificateDoors::open().await;
        let device = doors.device(door, alpn);
        let finished = device.mosquitto_pub(&doors.gateway, Version::V5, "hall-1/a", "21.5").finish().await;
        assert_ne!(finished.code, Some(0), "{door} {alpn:?}: {}", finished.err());
        logged(&doors.gateway, details).await;
    }
}

fn says(line: &Value, text: &str) -> bool {
    words(line).contains(text)
}
