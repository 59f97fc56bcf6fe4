//! Against the real gateway with the real authorizer.

use std::time::{SystemTime, UNIX_EPOCH};

use app::configuration::partition::Key;
use serde_json::Value;

use crate::device::{Device, LIMIT};
use crate::gateway_process::Gateway;
use crate::{reading, time_server};

#[tokio::test]
async fn subscriber_receives_readings() {
    let gateway = Gateway::start();
    let mut viewer = gateway.viewer().await;
    let entries = gateway.add_device("sht20", "sht20", time_server::correct());
    let mut device = Device::start(gateway.folder(), &entries);
    for topic in ["sensor/sht20/temperature", "sensor/sht20/humidity"] {
        reading::wait_for(&mut viewer, topic, 0).await;
    }
    device.wait_for_line("mqtt: sent sensor/sht20/humidity");
    for stage in
        ["time: 20", "network: connected to 127.0.0.1", "tls: verified localhost", "mqtt: connected as sht20"]
    {
        assert!(device.printed().contains(stage), "{stage} in {}", device.printed());
    }
}

#[tokio::test]
async fn readings_of_an_outage_are_delivered_after_it() {
    let mut gateway = Gateway::start();
    let entries = gateway.add_device("sht20", "sht20", time_server::correct());
    let mut device = Device::start(gateway.folder(), &entries);
    let last = reading::second_of(&device.wait_for_line("mqtt: sent sensor/sht20/temperature"));
    gateway.stop();
    // Four attempts take at least three seconds, in which readings are queued.
    for _ in 0..4 {
        device.wait_for_line("before the next attempt");
    }
    gateway.restart();
    let mut viewer = gateway.viewer().await;
    gateway.open();
    let connected = device.wait_for_line("mqtt: connected as sht20");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let queued: usize = connected.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert!(queued >= 2, "{connected}");
    // All of them arrive, and before any that was measured later.
    for count in 0..queued {
        let ts = reading::next(&mut viewer).await;
        assert!(
            (last..=now + 1).contains(&ts),
            "reading {count} of {queued} is of {ts}, after {last}, at {now}"
        );
    }
    assert!(!device.printed().contains("lost so far"), "{}", device.printed());
    device.wait_for_line("mqtt: sent sensor/sht20/humidity");
    assert!(reading::longest_gap(device.printed()) <= 2, "{}", device.printed());
}

#[tokio::test]
async fn device_with_a_wrong_password_is_refused_and_waits_before_each_attempt() {
    let gateway = Gateway::start();
    let mut entries = gateway.add_device("sht20", "sht20", time_server::correct());
    entries.set(Key::Secret, "another password");
    entries.set(Key::Ssid, "the network");
    entries.set(Key::WifiPassword, "the network's password");
    let mut device = Device::start(gateway.folder(), &entries);
    let line = device.wait_for_line("ERROR");
    assert!(line.contains("mqtt: the server refused the connection: not authorized"), "{line}");
    let mut waits = Vec::new();
    for _ in 0..3 {
        let line = device.wait_for_line("before the next attempt");
        let milliseconds = line.split_whitespace().find_map(|word| word.parse::<u64>().ok());
        waits.push(milliseconds.unwrap());
    }
    assert!(waits.iter().all(|wait| *wait >= 1_000), "{waits:?}");
    for secret in ["another password", "the network's password"] {
        assert!(!device.printed().contains(secret), "{}", device.printed());
    }
    assert!(!device.printed().contains("mqtt: connected"), "{}", device.printed());
}

#[tokio::test]
async fn refused_topic_does_not_block_the_other() {
    let gateway = Gateway::start();
    let entries = gateway.add_device("elsewhere", "own-topics", time_server::correct());
    let mut device = Device::start(gateway.folder(), &entries);
    for quantity in ["temperature", "humidity"] {
        let line = device.wait_for_line(&format!("the server refused sensor/elsewhere/{quantity}"));
        assert!(line.contains("0x87"), "{line}");
    }
}

#[tokio::test]
async fn last_will_is_published_when_the_device_is_gone() {
    let gateway = Gateway::start();
    let mut viewer = gateway.viewer().await;
    let mut entries = gateway.add_device("sht20", "witness", time_server::correct());
    entries.set(Key::WillTopic, "sensor/sht20/gone");
    let mut device = Device::start(gateway.folder(), &entries);
    device.wait_for_line("mqtt: sent");
    drop(device);
    let gone = async {
        loop {
            let message = viewer.next_message().await.unwrap();
            if message.topic.as_str() == "sensor/sht20/gone" {
                return serde_json::from_slice::<Value>(&message.payload).unwrap();
            }
        }
    };
    assert_eq!(tokio::time::timeout(LIMIT, gone).await.unwrap()["online"], false);
}
