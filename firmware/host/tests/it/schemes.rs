//! Devices with a vendor's credentials, and with a client certificate.

use app::configuration::partition::Key;

use crate::device::Device;
use crate::gateway_process::Gateway;
use crate::tls_server::Signer;
use crate::{reading, time_server};

#[tokio::test]
async fn alibaba_device_connects_with_its_short_client_id() {
    let gateway = Gateway::start();
    gateway.add_vendor_device("hall&a1ExampleKey", "alibaba", "an-alibaba-secret");
    let mut viewer = gateway.viewer().await;
    let mut entries = gateway.entries(time_server::correct());
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
    reading::wait_for(&mut viewer, topic, 0).await;
    assert!(!device.printed().contains("an-alibaba-secret"));
}

#[tokio::test]
async fn tencent_device_connects() {
    let gateway = Gateway::start();
    gateway.add_vendor_device("AB12CD34EFhall", "tencent", "c2VjcmV0IG9mIGEgdGVuY2VudCBkZXZpY2U=");
    let mut viewer = gateway.viewer().await;
    let mut entries = gateway.entries(time_server::correct());
    for (key, value) in [
        (Key::Scheme, "tencent"),
        (Key::ProductId, "AB12CD34EF"),
        (Key::DeviceName, "hall"),
        (Key::Secret, "c2VjcmV0IG9mIGEgdGVuY2VudCBkZXZpY2U="),
    ] {
        entries.set(key, value);
    }
    let mut device = Device::start(gateway.folder(), &entries);
    reading::wait_for(&mut viewer, "sensor/AB12CD34EFhall/humidity", 0).await;
    assert!(!device.printed().contains("c2VjcmV0IG9mIGEgdGVuY2VudCBkZXZpY2U="));
}

#[tokio::test]
async fn registered_client_certificate_connects_and_another_is_refused() {
    let (registered, unknown) = (Signer::root().leaf(|_| {}), Signer::root().leaf(|_| {}));
    let gateway = Gateway::start_with_certificate(&registered.pem());
    let mut viewer = gateway.viewer().await;
    let mut entries = gateway.entries(time_server::correct());
    entries.set(Key::Scheme, "certificate");
    for (device, connects) in [(&registered, true), (&unknown, false)] {
        entries.set(Key::Certificate, device.pem());
        let key = device.key_pem();
        let line_of_the_key = key.lines().nth(1).unwrap().to_owned();
        entries.set(Key::PrivateKey, key);
        let mut device = Device::start(gateway.folder(), &entries);
        if connects {
            reading::wait_for(&mut viewer, "sensor/sht20/temperature", 0).await;
        } else {
            device.wait_for_line("ERROR");
            assert!(!device.printed().contains("mqtt: connected"), "{}", device.printed());
        }
        assert!(!device.printed().contains(&line_of_the_key), "{}", device.printed());
    }
}
