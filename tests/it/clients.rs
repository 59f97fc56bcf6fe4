//! Clients that were not written here come in, are served and are refused as ours are.

mod aws_iot_sdk;
mod curl;
mod kits;
mod mosquitto;
mod mosquitto_bridge;
mod mosquitto_import;
mod mqtt_js;
mod paho;
mod pytest;
mod python_https;

use std::sync::Arc;

use gateway::{door::route::Port, registry::FixedRegistry};
use integration::{
    captured_log::words,
    device_certificate::{DeviceCertificate, allow},
    foreign::{CertificateFiles, Device, mosquitto::CertificateDevice},
    mqtt_client::MqttClient,
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use iot_policy::PolicyDocument;
use mqtt::{QoS, Version};
use serde_json::{Value, json};

async fn gateway() -> TestGateway {
    Start::with_authorizer().run().await
}

fn own_device(gateway: &TestGateway) -> Device {
    Device::new(gateway, "hall-1", gateway.add("hall-1", "own-topics"))
}

/// A gateway that knows the certificate of one device, `hall-1`, and a subscriber to all that this device publishes. The
/// subscriber came in by the authorizer, which lets in nobody else.
struct CertificateDoors {
    gateway: TestGateway,
    known: CertificateFiles,
    /// Of the same name, but nobody registered it.
    unknown: CertificateFiles,
    viewer: MqttClient,
}

impl CertificateDoors {
    async fn open() -> Self {
        let (start, script) = Start::with_script(&Step::Answer(allow_all()));
        let (known, unknown) = (DeviceCertificate::new("hall-1"), DeviceCertificate::new("hall-1"));
        let mut entry = known.registered();
        entry.policies = own_topics("hall-1");
        let registry = FixedRegistry::new(Vec::new(), vec![entry]).unwrap();
        let known = CertificateFiles::write(&known, start.folder(), "known");
        let unknown = CertificateFiles::write(&unknown, start.folder(), "unknown");
        let gateway = start.with(|settings| settings.registry = registry).run().await;
        let mut viewer = MqttClient::anybody(&gateway, Version::V5, "viewer").await;
        viewer.subscribe(&["hall-1/#"], QoS::AtLeastOnce).await.unwrap();
        script.set(&Step::Answer(json!({"isAuthenticated": false})));
        Self { gateway, known, unknown, viewer }
    }

    /// The device that is known, about to knock there with mosquitto's programs.
    fn device(&self, door: Port, alpn: Option<&'static str>) -> CertificateDevice<'_> {
        let port = self.gateway.addresses.doors[&door].port();
        CertificateDevice { port, alpn, client_id: "hall-1", certificate: Some(&self.known) }
    }

    /// The next message came from the device, and says this.
    async fn seen(&mut self, topic: &str, payload: &str) {
        let message = self.viewer.message().await;
        assert_eq!(message.topic.as_ref().map(mqtt::TopicName::as_str), Some(topic));
        assert_eq!(message.payload, payload);
        self.viewer.acknowledge(&message).await;
    }
}

/// This client id, and the topics below it.
fn own_topics(name: &str) -> Arc<[PolicyDocument]> {
    let resource = |of: &str| format!("arn:aws:iot:us-east-1:123456789012:{of}");
    let allowed = [
        ("iot:Connect", resource(&format!("client/{name}"))),
        ("iot:Publish", resource(&format!("topic/{name}/*"))),
        ("iot:Subscribe", resource(&format!("topicfilter/{name}/*"))),
        ("iot:Receive", resource(&format!("topic/{name}/*"))),
    ];
    allowed.map(|(action, resource)| allow(&[action], &[&resource])).into()
}

async fn logged(gateway: &TestGateway, details: &str) -> Value {
    gateway.logged(details, |line| words(line).contains(details)).await
}
