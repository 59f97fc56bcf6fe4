//! Clients with a certificate: who gets in, what its policies and its Thing let it do, and what the others are told.

use std::time::Duration;

use gateway::{
    door::route::{ApplicationProtocol, AuthenticationType, Port},
    registry::{Certificate, CertificateStatus, Thing},
};
use integration::{
    captured_log::words,
    device_certificate::{DeviceCertificate, Knock, allow, with_wrong_key},
    eventually::eventually,
    http_client::HttpClient,
    mqtt_client::MqttClient,
    script::{Script, Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use iot_policy::PolicyDocument;
use mqtt::{Connect, ConnectReasonCode, Packet, PubAckCode, QoS, SubAckCode, Version};
use rustls::version::{TLS12, TLS13};

const TOPIC: &str = "arn:aws:iot:us-east-1:123456789012:topic/";
const FILTER: &str = "arn:aws:iot:us-east-1:123456789012:topicfilter/";
const CLIENT: &str = "arn:aws:iot:us-east-1:123456789012:client/";

async fn gateway(certificates: Vec<Certificate>, things: Vec<Thing>) -> TestGateway {
    Start::with_script(&Step::Answer(allow_all())).0.registered(certificates, things).run().await
}

fn at_8883(certificate: &DeviceCertificate) -> Knock<'_> {
    let (versions, certificate) = (rustls::DEFAULT_VERSIONS, Some(certificate));
    Knock { port: Port::P8883, server_name: "localhost", alpn: &[], certificate, versions }
}

/// A client that shows nothing but its certificate, and what its CONNECT was answered with.
async fn mqtt(gateway: &TestGateway, knock: Knock<'_>, client_id: &str) -> (MqttClient, ConnectReasonCode) {
    let mut client = MqttClient::over(knock.tls(gateway).await.unwrap(), Version::V5);
    client.send(Packet::Connect(Box::new(Connect::new(Version::V5, client_id)))).await;
    match client.receive().await {
        Some(Packet::ConnAck(ack)) => (client, ack.code),
        other => panic!("{other:?} instead of CONNACK: {}", gateway.log.text()),
    }
}

async fn connected(gateway: &TestGateway, knock: Knock<'_>, client_id: &str) -> MqttClient {
    let (client, code) = mqtt(gateway, knock, client_id).await;
    assert_eq!(code, ConnectReasonCode::Success, "{}", gateway.log.text());
    client
}

#[tokio::test]
async fn a_registered_certificate_is_accepted_at_all_its_doors_without_calling_a_function() {
    let device = DeviceCertificate::new("device");
    let id = device.registered().id().as_str().to_string();
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.registered(vec![device.registered()], Vec::new()).run().await;
    let by_alpn = Knock { port: Port::P443, alpn: &["x-amzn-mqtt-ca"], ..at_8883(&device) };
    let mut subscriber = connected(&gateway, at_8883(&device), "a").await;
    subscriber.subscribe(&["t/#"], QoS::AtMostOnce).await.unwrap();
    let mut publisher = connected(&gateway, by_alpn, "b").await;
    publisher.publish("t/1", "by 443", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(subscriber.message().await.payload, "by 443");
    let tls_1_2 = Knock { versions: &[&TLS12], ..at_8883(&device) };
    connected(&gateway, tls_1_2, "c").await;
    for (port, alpn) in [(Port::P8443, &[][..]), (Port::P443, &["x-amzn-http-ca"])] {
        let knock = Knock { port, alpn, ..at_8883(&device) };
        let mut client = HttpClient::over(knock.tls(&gateway).await.unwrap());
        let answer = client.request("POST", "/topics/t/2?qos=1", &[], "by https").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(subscriber.message().await.payload, "by https");
    }
    let line = gateway.logged_with(&[("eventType", "Connect"), ("clientId", "b")]).await;
    assert_eq!((&line["status"], &line["principalId"]), (&"Success".into(), &id.as_str().into()));
    let line = gateway.logged_with(&[("eventType", "Publish-In"), ("protocol", "HTTP")]).await;
    assert_eq!(line["principalId"], id.as_str());
    assert_eq!(script.calls(), 0);
}

/// What the log says of somebody who was kept out.
async fn kept_out(gateway: &TestGateway, knock: Knock<'_>, details: &str) {
    if let Ok(stream) = knock.tls(gateway).await {
        let mut client = MqttClient::over(stream, Version::V5);
        client.send(Packet::Connect(Box::new(Connect::new(Version::V5, "x")))).await;
        assert_eq!(client.receive().await, None, "{details}");
    }
    let line = gateway.logged(details, |line| words(line).contains(details)).await;
    let (expected, message) = match details {
        "is INACTIVE" => ("DEVICE_CERTIFICATE_INACTIVE", "Device certificate is not active"),
        "is REVOKED" => ("DEVICE_CERTIFICATE_REVOKED", "Device certificate is revoked"),
        "has expired" | "is not valid yet" | "the client has no certificate" => {
            ("NOT_AUTHENTICATED", "The credentials provided could not be authenticated")
        }
        _ => ("DEVICE_CERTIFICATE_NOT_REGISTERED", "Device certificate is not registered"),
    };
    assert_eq!(
        (&line["eventType"], &line["status"], &line["reason"], &line["details"]),
        (&"Connection.AuthNError".into(), &"Failure".into(), &expected.into(), &message.into())
    );
    assert_eq!(
        (&line["authenticationType"], &line["targetIp"], &line["serverNameIndication"]),
        (&"AWS_X509".into(), &"127.0.0.1".into(), &"localhost".into())
    );
    assert!(gateway.addresses.doors.values().any(|door| line["targetPort"] == door.port()), "{line}");
}

#[tokio::test]
async fn an_expired_unknown_or_inactive_certificate_is_refused_and_the_log_says_why() {
    let hour = time::Duration::HOUR;
    let good = DeviceCertificate::new("device");
    let expired = DeviceCertificate::valid("expired", -hour, -time::Duration::MINUTE);
    let early = DeviceCertificate::valid("early", hour, hour * 2);
    let (inactive, revoked) = (DeviceCertificate::new("inactive"), DeviceCertificate::new("revoked"));
    let mut registered =
        [&good, &expired, &early, &inactive, &revoked].map(DeviceCertificate::registered).to_vec();
    registered[3].status = CertificateStatus::Inactive;
    registered[4].status = CertificateStatus::Revoked;
    let gateway = gateway(registered, Vec::new()).await;
    let mut other = connected(&gateway, at_8883(&good), "other").await;
    let (unknown, other_ca) =
        (DeviceCertificate::new("device"), DeviceCertificate::of_another_authority("device"));
    let id = other_ca.registered().id().as_str().to_string();
    for (certificate, details) in [
        (&expired, "has expired"),
        (&early, "is not valid yet"),
        (&inactive, "is INACTIVE"),
        (&revoked, "is REVOKED"),
        (&unknown, "is not registered"),
        (&other_ca, id.as_str()),
    ] {
        for (port, alpn) in [(Port::P8883, &[][..]), (Port::P443, &["x-amzn-mqtt-ca"])] {
            for versions in [&[&TLS12][..], &[&TLS13]] {
                kept_out(&gateway, Knock { port, alpn, versions, ..at_8883(certificate) }, details).await;
            }
        }
        other.ping().await;
    }
    let nothing = Knock { certificate: None, ..at_8883(&good) };
    kept_out(&gateway, nothing, "the client has no certificate").await;
    other.ping().await;
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused() {
    let (good, other) = (DeviceCertificate::new("device"), DeviceCertificate::new("device"));
    let gateway = gateway(vec![good.registered()], Vec::new()).await;
    let stolen = DeviceCertificate { pem: good.pem.clone(), key: other.key };
    for version in [&TLS12, &TLS13] {
        assert!(with_wrong_key(&gateway, &stolen, version).await, "it is let in");
    }
    let refusals = || {
        let lines = gateway.log.lines();
        let found = lines.iter().filter(|line| {
            words(line).starts_with("the client presents a certificate without having its key: ")
        });
        let found = found.filter(|line| {
            line["eventType"] == "Connection.AuthNError" && line["reason"] == "NOT_AUTHENTICATED"
        });
        (found.count() == 2).then_some(())
    };
    eventually("a line for each", refusals).await;
}

#[tokio::test]
async fn the_policies_of_a_certificate_are_enforced() {
    let device = DeviceCertificate::new("device");
    let mut registered = device.registered();
    let own = [
        allow(&["iot:Connect"], &[&format!("{CLIENT}a")]),
        allow(&["iot:Publish"], &[&format!("{TOPIC}a/*")]),
    ];
    registered.policies = own.into();
    let gateway = gateway(vec![registered], Vec::new()).await;
    let (_, code) = mqtt(&gateway, at_8883(&device), "b").await;
    assert_eq!(code, ConnectReasonCode::NotAuthorized);
    let mut client = connected(&gateway, at_8883(&device), "a").await;
    assert_eq!(client.publish("a/t", "x", QoS::AtLeastOnce).await.unwrap().code, PubAckCode::Success);
    assert_eq!(client.publish("b/t", "x", QoS::AtLeastOnce).await.unwrap().code, PubAckCode::NotAuthorized);
    let mut https =
        HttpClient::over(Knock { port: Port::P8443, ..at_8883(&device) }.tls(&gateway).await.unwrap());
    assert_eq!(https.request("POST", "/topics/a/t", &[], "x").await.status, 200);
    assert_eq!(https.request("POST", "/topics/b/t", &[], "x").await.status, 403);
    assert_eq!(https.request("POST", "/topics/a/t?retain=true", &[], "x").await.status, 403);
}

#[tokio::test]
async fn a_certificate_without_a_policy_may_do_nothing() {
    let device = DeviceCertificate::new("device");
    let mut registered = device.registered();
    registered.policies = [].into();
    let gateway = gateway(vec![registered], Vec::new()).await;
    assert_eq!(mqtt(&gateway, at_8883(&device), "a").await.1, ConnectReasonCode::NotAuthorized);
}

fn thing(name: &str) -> Thing {
    let attributes = [("site".to_owned(), "lab".to_owned())].into();
    Thing { name: name.to_owned(), type_name: Some("sensor".to_owned()), attributes }
}

#[tokio::test]
async fn thing_policy_variables_have_the_values_of_the_thing_that_the_certificate_is_attached_to() {
    let device = DeviceCertificate::new("device");
    let mut registered = device.registered();
    registered.things = ["sht20".to_owned()].into();
    let connect = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:Connect",
        "Resource": "*", "Condition": {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}}}"#;
    let scope = [
        "${iot:Connection.Thing.ThingName}/*",
        "type/${iot:Connection.Thing.ThingTypeName}",
        "site/${iot:Connection.Thing.Attributes[site]}",
        "id/${iot:CertificateId}",
        "cn/${iot:Certificate.Subject.CommonName}",
    ];
    let resources = scope.iter().flat_map(|name| [format!("{TOPIC}{name}"), format!("{FILTER}{name}")]);
    let resources = resources.collect::<Vec<_>>();
    let resources = resources.iter().map(String::as_str).collect::<Vec<_>>();
    registered.policies =
        [connect.parse().unwrap(), allow(&["iot:Publish", "iot:Subscribe", "iot:Receive"], &resources)]
            .into();
    let id = registered.id().as_str().to_string();
    let gateway = gateway(vec![registered], vec![thing("sht20"), thing("sht21")]).await;
    for other in ["sht21", "sht22"] {
        let (_, code) = mqtt(&gateway, at_8883(&device), other).await;
        assert_eq!(code, ConnectReasonCode::NotAuthorized, "{other} is not attached");
    }
    let mut client = connected(&gateway, at_8883(&device), "sht20").await;
    let line = gateway.logged_with(&[("eventType", "Connect"), ("clientId", "sht20")]).await;
    assert_eq!(line["thingName"], "sht20");
    let id_topic = format!("id/{id}");
    for (topic, allowed) in [
        ("sht20/t", true),
        ("sht21/t", false),
        ("type/sensor", true),
        ("type/other", false),
        ("site/lab", true),
        ("site/x", false),
        (&id_topic, true),
        ("cn/device", true),
        ("cn/other", false),
    ] {
        let code = client.publish(topic, "x", QoS::AtLeastOnce).await.unwrap().code;
        let published = code != PubAckCode::NotAuthorized;
        assert_eq!(published, allowed, "{topic}");
        let codes = client.subscribe(&[topic], QoS::AtMostOnce).await.unwrap().codes;
        assert_eq!(codes == [SubAckCode::Granted(QoS::AtMostOnce)], allowed, "{topic}");
        if allowed {
            client.publish(topic, "back", QoS::AtMostOnce).await;
            assert_eq!(client.message().await.payload, "back");
        }
    }
}

/// A gateway with a domain of `CUSTOM_AUTH_X509`, and a function whose answers name the certificate's principal.
async fn with_authorizer_besides(device: &DeviceCertificate, own: PolicyDocument) -> (TestGateway, Script) {
    let mut registered = device.registered();
    registered.policies = [own].into();
    registered.things = ["sht20".to_owned()].into();
    let (start, script) = Start::with_script(&answer_of(device, None));
    let (both, mqtt) = (AuthenticationType::CustomAuthX509, ApplicationProtocol::SecureMqtt);
    let start = start.registered(vec![registered], vec![thing("sht20")]).domain("both.test", both, mqtt);
    (start.run().await, script)
}

/// An answer with these documents, or without the key.
fn answer_of(device: &DeviceCertificate, documents: Option<serde_json::Value>) -> Step {
    let mut answer = allow_all();
    answer["principalId"] = device.registered().id().as_str().to_string().into();
    match documents {
        Some(documents) => answer["policyDocuments"] = documents,
        None => _ = answer.as_object_mut().unwrap().remove("policyDocuments"),
    }
    Step::Answer(answer)
}

#[tokio::test]
async fn with_custom_auth_x509_the_certificates_policies_and_the_functions_hold_together() {
    let device = DeviceCertificate::new("device");
    let own = allow(&["iot:Connect", "iot:Publish"], &[&format!("{CLIENT}sht20"), &format!("{TOPIC}own")]);
    let (gateway, script) = with_authorizer_besides(&device, own).await;
    let knock = Knock { port: Port::P443, server_name: "both.test", ..at_8883(&device) };
    let mut client = connected(&gateway, knock, "sht20").await;
    assert_eq!(client.publish("own", "x", QoS::AtLeastOnce).await.unwrap().code, PubAckCode::Success);
    assert_eq!(client.publish("more", "x", QoS::AtLeastOnce).await.unwrap().code, PubAckCode::NotAuthorized);
    let more = serde_json::json!([{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:Publish", "Resource": format!("{TOPIC}more")},
        {"Effect": "Deny", "Action": "iot:Publish", "Resource": format!("{TOPIC}own")}]}]);
    script.set(&answer_of(&device, Some(more)));
    let mut client = connected(&gateway, knock, "sht20").await;
    assert_eq!(client.publish("more", "x", QoS::AtLeastOnce).await.unwrap().code, PubAckCode::Success);
    let denied = client.publish("own", "x", QoS::AtLeastOnce).await.unwrap().code;
    assert_eq!(denied, PubAckCode::NotAuthorized, "a Deny of the function wins over the certificate's Allow");
}

#[tokio::test]
async fn with_custom_auth_x509_an_answer_for_another_principal_is_refused() {
    let device = DeviceCertificate::new("device");
    let own = allow(&["iot:Connect"], &[&format!("{CLIENT}sht20")]);
    let (gateway, script) = with_authorizer_besides(&device, own).await;
    script.set(&answer_of(&DeviceCertificate::new("other"), None));
    let knock = Knock { port: Port::P443, server_name: "both.test", ..at_8883(&device) };
    let (_, code) = mqtt(&gateway, knock, "sht20").await;
    assert_eq!(code, ConnectReasonCode::NotAuthorized);
    let details =
        "is not the one of the client's certificate; answer with the event's `protocolData.tls.principalId`";
    gateway.logged(details, |line| words(line).contains(details)).await;
    // The same client with the right answer.
    script.set(&answer_of(&device, None));
    connected(&gateway, knock, "sht20").await;
}

#[tokio::test]
async fn with_custom_auth_x509_thing_and_certificate_variables_have_values() {
    let device = DeviceCertificate::new("device");
    let own = allow(&["iot:Connect"], &[&format!("{CLIENT}sht20")]);
    let (gateway, script) = with_authorizer_besides(&device, own).await;
    let topics = ["${iot:Connection.Thing.ThingName}/t", "cn/${iot:Certificate.Subject.CommonName}"];
    let documents = serde_json::json!([{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Action": "iot:Publish", "Resource": topics.map(|topic| format!("{TOPIC}{topic}"))}]}]);
    script.set(&answer_of(&device, Some(documents)));
    let knock = Knock { port: Port::P443, server_name: "both.test", ..at_8883(&device) };
    let mut client = connected(&gateway, knock, "sht20").await;
    for (topic, code) in [
        ("sht20/t", PubAckCode::Success),
        ("cn/device", PubAckCode::Success),
        ("other/t", PubAckCode::NotAuthorized),
    ] {
        assert_eq!(client.publish(topic, "x", QoS::AtLeastOnce).await.unwrap().code, code, "{topic}");
    }
}

#[tokio::test]
async fn a_client_with_a_certificate_gets_no_finding_that_its_variables_have_no_value() {
    let device = DeviceCertificate::new("device");
    let mut registered = device.registered();
    registered.things = ["sht20".to_owned()].into();
    let names = ["client", "topic", "topicfilter"];
    let resources = names
        .map(|kind| format!("arn:aws:iot:us-east-1:123456789012:{kind}/${{iot:Connection.Thing.ThingName}}"));
    let resources = resources.iter().map(String::as_str).collect::<Vec<_>>();
    registered.policies = [allow(&["iot:*"], &resources)].into();
    let gateway = gateway(vec![registered], vec![thing("sht20")]).await;
    connected(&gateway, at_8883(&device), "sht20").await;
    let line = gateway.logged_with(&[("eventType", "Connect"), ("status", "Success")]).await;
    assert_eq!(line["details"], serde_json::Value::Null, "{line}");
}

#[tokio::test]
async fn a_refused_connect_tells_the_findings_about_its_policies_once_each() {
    let resources =
        ["a", "b", "c"].map(|level| format!("{CLIENT}${{iot:Connection.Thing.ThingName}}{level}"));
    let documents = serde_json::json!([{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:*", "Resource": resources}]}]);
    let mut answer = allow_all();
    answer["policyDocuments"] = documents;
    let gateway = Start::with_script(&Step::Answer(answer)).0.run().await;
    let connect = integration::mqtt_client::connect(Version::V5, "c", "u", "p");
    MqttClient::connect(&gateway, connect).await;
    let line = gateway.logged_with(&[("eventType", "Connect"), ("reason", "AUTHORIZATION_FAILURE")]).await;
    let details = line["explanation"].as_str().unwrap();
    let finding = "; policy document 0: `Statement[0].Resource[0]`: `iot:Connection.Thing.ThingName` has no value under \
                   custom authentication, let the authorizer write out the value (and at 2 more places)";
    assert!(details.starts_with("iot:Connect denied: ") && details.ends_with(finding), "{details}");
}

#[tokio::test]
async fn thing_policy_variables_have_no_value_under_custom_authentication() {
    let policy = r#"{"Effect": "Allow", "Action": "iot:*", "Resource": ["*"],
        "Condition": {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}}"#;
    let mut answer = allow_all();
    answer["policyDocuments"] = serde_json::json!([{"Version": "2012-10-17", "Statement": [
        serde_json::from_str::<serde_json::Value>(policy).unwrap()]}]);
    let (start, _script) = Start::with_script(&Step::Answer(answer));
    let gateway = start.registered(Vec::new(), vec![thing("sht20")]).run().await;
    let connect = integration::mqtt_client::connect(Version::V5, "sht20", "u", "p");
    let (_, ack) = MqttClient::connect(&gateway, connect).await;
    assert_eq!(ack.unwrap().code, ConnectReasonCode::NotAuthorized);
}

#[tokio::test]
async fn a_connection_by_certificate_outlives_every_refresh() {
    let device = DeviceCertificate::new("device");
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.registered(vec![device.registered()], Vec::new()).on_manual_clock().run().await;
    let mut client = MqttClient::over(at_8883(&device).tls(&gateway).await.unwrap(), Version::V5);
    let connect = Connect { keep_alive: 1_200, ..Connect::new(Version::V5, "a") };
    client.send(Packet::Connect(Box::new(connect))).await;
    assert!(matches!(client.receive().await, Some(Packet::ConnAck(_))));
    // Two days, with a PINGREQ each quarter of an hour.
    for _ in 0..192 {
        gateway.advance(Duration::from_mins(15));
        client.ping().await;
    }
    assert_eq!(script.calls(), 0);
}
