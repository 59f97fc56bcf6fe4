//! Devices that carry what another cloud gave them.

use app::configuration::partition::Key;

use crate::device::Device;
use crate::gateway_process::Gateway;
use crate::tls_server::Signer;
use crate::{reading, time_server};

#[tokio::test]
async fn an_alibaba_device_connects_with_its_short_client_id() {
    let gateway = Gateway::start();
    gateway.vendors("hall&a1ExampleKey", "alibaba", "an-alibaba-secret");
    let mut viewer = gateway.viewer().await;
    let mut entries = gateway.entries(time_server::right());
    for (key, value) in [
        (Key::Scheme, "alibaba"),
        (Key::ClientId, "hall"),
        (Key::DeviceName, "hall"),
        (Key::ProductKey, "a1ExampleKey"),
        (Key::Secret, "an-alibaba-secret"),
    ] {
        entries.set(key, value);
    }
    let mut device = Device::start(gateway.folder(), &entries);
    let topic = "sensor/hall|securemode=2,signmethod=hmacsha256|/temperature";
    reading::arrives(&mut viewer, topic, 0).await;
    assert!(!device.printed().contains("an-alibaba-secret"));
}

#[tokio::test]
async fn a_tencent_device_connects() {
    let gateway = Gateway::start();
    gateway.vendors("AB12CD34EFhall", "tencent", "c2VjcmV0IG9mIGEgdGVuY2VudCBkZXZpY2U=");
    let mut viewer = gateway.viewer().await;
    let mut entries = gateway.entries(time_server::right());
    for (key, value) in [
        (Key::Scheme, "tencent"),
        (Key::ProductId, "AB12CD34EF"),
        (Key::DeviceName, "hall"),
        (Key::Secret, "c2VjcmV0IG9mIGEgdGVuY2VudCBkZXZpY2U="),
    ] {
        entries.set(key, value);
    }
    let _device = Device::start(gateway.folder(), &entries);
    reading::arrives(&mut viewer, "sensor/AB12CD34EFhall/humidity", 0).await;
}

#[tokio::test]
async fn a_device_with_a_client_certificate_connects_and_a_strangers_is_refused() {
    let (registered, stranger) = (Signer::root().leaf(|_| {}), Signer::root().leaf(|_| {}));
    let gateway = Gateway::start_with_certificate(&registered.pem());
    let mut viewer = gateway.viewer().await;
    let mut entries = gateway.entries(time_server::right());
    entries.set(Key::Scheme, "certificate");
    for (device, connects) in [(&registered, true), (&stranger, false)] {
        entries.set(Key::Certificate, device.pem());
        entries.set(Key::PrivateKey, device.key_pem());
        let mut device = Device::start(gateway.folder(), &entries);
        if connects {
            reading::arrives(&mut viewer, "sensor/sht20/temperature", 0).await;
        } else {
            device.prints("ERROR");
            assert!(!device.printed().contains("mqtt: connected"), "{}", device.printed());
        }
    }
}
