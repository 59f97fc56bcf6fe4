//! Whatever a client sends, its own connection ends and no other.

use std::time::Duration;

use integration::eventually::eventually;
use mqtt::LastWill;

use super::*;

/// The flags that a packet should have, and its body in 3.1.1 and in MQTT 5.
type Right = (u8, &'static [u8], &'static [u8]);

/// A packet of each type as a client may send it after its CONNECT; none where no client sends it.
const RIGHT: [Option<Right>; 16] = [
    None,
    None,
    None,
    Some((0, b"\x00\x01t", b"\x00\x01t\x00")),
    Some((0, b"\x00\x01", b"\x00\x01")),
    None,
    None,
    None,
    Some((2, b"\x00\x01\x00\x01t\x00", b"\x00\x01\x00\x00\x01t\x00")),
    None,
    Some((2, b"\x00\x01\x00\x01t", b"\x00\x01\x00\x00\x01t")),
    None,
    Some((0, b"", b"")),
    None,
    Some((0, b"", b"")),
    None,
];

/// 3.1.1: 2.2.2-1, 2.2.2-2, 3.6.1-1, 3.14.1-1, 4.8.0-1. 5: 2.1.3-1, 3.6.1-1, 3.14.1-1, 3.15.1-1, 4.13.1-1.
#[tokio::test]
async fn every_first_byte_is_a_packet_type_or_ends_the_connection() {
    let gateway = TestGateway::open_to_all().await;
    let mut other = MqttClient::anybody(&gateway, Version::V5, "other").await;
    for kind in 0..16_u8 {
        for flags in 0..16 {
            // The flags of PUBLISH mean something, and are tested where they do.
            if kind == 3 {
                continue;
            }
            let case = RIGHT[usize::from(kind)];
            let (right, old, new) = case.unwrap_or((0, b"\x00\x01", b"\x00\x01\x00"));
            let fine = case.is_some() && flags == right;
            for (version, body) in [(Version::V311, old), (Version::V5, new)] {
                let bytes = [&packet(kind << 4 | flags, body)[..], PINGREQ].concat();
                let answer = answers(&gateway, version, &bytes).await;
                let goes_on = answer.ends_with(PINGRESP) || fine && kind == 14 && answer.is_empty();
                assert_eq!(goes_on, fine, "{kind} {flags:#06b} in {version:?}");
                if !fine {
                    let has_reason = version == Version::V5;
                    let code = answer.get(2).copied();
                    assert_eq!(
                        answer.len(),
                        if has_reason { 4 } else { 0 },
                        "{kind} {flags:#06b} {version:?}"
                    );
                    assert!(!has_reason || matches!(code, Some(0x81 | 0x82)), "{kind} {flags:#06b}");
                }
            }
        }
        other.ping().await;
    }
}

/// 3.1.1: 3.1.0-1. 5: 3.1.0-1, 3.14.0-1, 4.13.2-1.
#[tokio::test]
async fn a_packet_before_the_connect_gets_no_answer() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.run().await;
    for first in 0..=u8::MAX {
        if first != 0x10 {
            let answer = first_answers(&gateway, &packet(first, b"\x00\x01t\x00")).await;
            assert_eq!(answer, b"", "{first:#04x}");
        }
    }
    assert_eq!(script.calls(), 0);
}

/// 3.1.1: 3.3.1-2, 3.3.1-4, 2.3.1-1, 2.3.1-5. 5: 2.2.1-2, 2.2.1-3, 3.3.1-2, 3.3.1-4.
#[tokio::test]
async fn every_combination_of_publish_flags_and_ids_is_accepted_or_ends_the_connection() {
    let gateway = TestGateway::open_to_all().await;
    for flags in 0..16_u8 {
        let (qos, dup) = (flags >> 1 & 0b11, flags & 0b1000 != 0);
        for id in [0_u8, 1] {
            let old = packet(0x30 | flags, &[0, 1, b't', 0, id]);
            let new = packet(0x30 | flags, &[0, 1, b't', 0, id, 0]);
            // Without a packet id the bytes are payload, or properties of length 0 and payload.
            let (expected, code): (&[u8], Option<u8>) = match (qos, dup, id) {
                (0, false, _) => (b"", None),
                (1, _, 1) => (b"\x40\x02\x00\x01", None),
                (2, _, 1) => (b"", Some(0x9b)),
                (1 | 2, _, _) => (b"", Some(0x82)),
                _ => (b"", Some(0x81)),
            };
            assert_eq!(answers(&gateway, Version::V311, &old).await, expected, "{flags:#06b} {id}");
            let answer = code.map_or_else(|| expected.to_vec(), |code| vec![0xe0, 2, code, 0]);
            assert_eq!(answers(&gateway, Version::V5, &new).await, answer, "{flags:#06b} {id}");
        }
    }
}

/// 3.1.1: 3.14.4-1, 3.14.4-2. 5: 3.14.4-1, 3.14.4-2.
#[tokio::test]
async fn packets_after_a_disconnect_are_ignored_and_the_gateway_closes() {
    let gateway = TestGateway::open_to_all().await;
    let mut watcher = subscriber(&gateway, Version::V5, "watcher", "#").await;
    let late = [DISCONNECT, b"\x30\x05\x00\x01t\x00x", PINGREQ].concat();
    for version in BOTH {
        assert_eq!(answers(&gateway, version, &late).await, b"");
    }
    watcher.publish("t", "end", QoS::AtMostOnce).await;
    assert_eq!(watcher.message().await.payload, "end");
}

/// 5: 3.14.2-1, 2.2.2-1.
#[tokio::test]
async fn a_disconnect_may_have_its_own_codes_and_properties_only() {
    let gateway = TestGateway::open_to_all().await;
    let cases: [(&[u8], &[u8]); 8] = [
        (b"\xe0\x01\x00", b""),
        (b"\xe0\x02\x04\x00", b""),
        (b"\xe0\x09\x00\x07\x26\x00\x01k\x00\x01v", b""),
        (b"\xe0\x01\x03", b"\xe0\x02\x81\x00"),
        (b"\xe0\x01\xff", b"\xe0\x02\x81\x00"),
        (b"\xe0\x06\x00\x04\x1c\x00\x01s", b"\xe0\x02\x81\x00"),
        (b"\xe0\x0c\x00\x0a\x11\x00\x00\x00\x00\x11\x00\x00\x00\x00", b"\xe0\x02\x82\x00"),
        (b"\xe0\x07\x00\x05\x11\x00\x00\x00\x01", b"\xe0\x02\x82\x00"),
    ];
    for (bytes, answer) in cases {
        assert_eq!(answers(&gateway, Version::V5, bytes).await, answer, "{}", bytes.escape_ascii());
    }
}

/// 3.1.1: 3.12.4-1. 5: 3.12.4-1.
#[tokio::test]
async fn each_pingreq_has_its_pingresp() {
    let gateway = TestGateway::open_to_all().await;
    for version in BOTH {
        for count in [1, 2, 100] {
            let answer = answers(&gateway, version, &PINGREQ.repeat(count)).await;
            assert_eq!(answer, PINGRESP.repeat(count), "{version:?}");
        }
    }
}

/// 3.1.1: 3.1.2-24. 5: 3.1.2-22.
#[tokio::test]
async fn incomplete_packets_do_not_keep_a_connection_alive() {
    let gateway = gateway().await;
    let packet = b"\x30\x7f\x00\x01t and then nothing more, or one byte now and then";
    for (version, code) in [(Version::V311, None), (Version::V5, Some(0x8d))] {
        for (n, part) in [&packet[..1], &packet[..2], &packet[..9]].into_iter().enumerate() {
            let id = format!("{version:?}-{n}");
            let mut client = MqttClient::anybody(&gateway, version, &id).await;
            client.send_bytes(part).await;
            for byte in &packet[part.len()..part.len() + 8] {
                gateway.advance(Duration::from_secs(10));
                client.send_bytes(&[*byte]).await;
            }
            gateway.advance(Duration::from_secs(10));
            assert_eq!(client.ended().await, code, "{id}");
            assert_eq!(ended(&gateway, &id).await, "MQTT_KEEP_ALIVE_TIMEOUT");
        }
    }
}

/// A client whose session ends with its connection, and which takes nothing of what it subscribed to.
///
/// 3.1.1: 4.8.0-2.
#[tokio::test]
async fn a_slow_reader_is_disconnected_and_nobody_else_notices() {
    let gateway = gateway().await;
    let mut watcher = subscriber(&gateway, Version::V5, "watcher", "will").await;
    let patient = |version, id: &str| Connect { keep_alive: 1_200, ..connect(version, id, "u", "p") };
    for (version, code) in [(Version::V311, None), (Version::V5, Some(0x97))] {
        let id = format!("{version:?}");
        let will = LastWill::new("will".parse().unwrap(), id.clone().into());
        let mut slow = patient(version, &id);
        slow.last_will = Some(will);
        let mut slow = MqttClient::connected(&gateway, slow).await;
        slow.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
        let mut sender = MqttClient::connected(&gateway, patient(version, "sender")).await;
        let told_off = || {
            let lines = gateway.log.lines();
            lines.iter().any(|line| line["clientId"] == *id && line["reason"] == "THROTTLED").then_some(())
        };
        while told_off().is_none() {
            sender.publish("t", "x", QoS::AtLeastOnce).await.unwrap();
        }
        eventually("the end of the slow one", told_off).await;
        let mut messages = 0;
        let end = loop {
            match slow.receive().await {
                Some(Packet::Publish(_)) => messages += 1,
                Some(Packet::Disconnect(disconnect)) => break Some(u8::from(disconnect.code)),
                None => break None,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((messages, end), (100, code), "no more than may be in flight");
        assert_eq!(take(&mut watcher).await, id);
        watcher.ping().await;
    }
}

/// A client whose socket is full: its connection can't even be told while it waits, and is told before anything else then.
#[tokio::test]
async fn a_client_whose_queue_overflows_is_disconnected() {
    let gateway = TestGateway::open_to_all().await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    let large = "x".repeat(100 * 1_024);
    for (version, code) in [(Version::V311, None), (Version::V5, Some(0x97))] {
        let mut stuck = subscriber(&gateway, version, "stuck", "t").await;
        // A hundred may be in flight, which is more than the sockets take, and 4 MiB may wait.
        for _ in 0..200 {
            sender.publish("t", &large, QoS::AtLeastOnce).await.unwrap();
        }
        let end = loop {
            match stuck.receive().await {
                Some(Packet::Publish(_)) => {}
                Some(Packet::Disconnect(disconnect)) => break Some(u8::from(disconnect.code)),
                None => break None,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(end, code);
        assert_eq!(ended(&gateway, "stuck").await, "THROTTLED");
    }
}

/// 5: 3.2.2-15.
#[tokio::test]
async fn a_packet_that_is_too_large_is_answered_even_when_it_was_sent_whole() {
    let gateway = TestGateway::open_to_all().await;
    let mut other = MqttClient::anybody(&gateway, Version::V5, "other").await;
    for (version, code) in [(Version::V311, None), (Version::V5, Some(0x95))] {
        for length in [149_501, 300_000, 2_000_000] {
            let mut client = MqttClient::anybody(&gateway, version, "c").await;
            let length_field = [length & 127 | 128, length >> 7 & 127 | 128, length >> 14]
                .map(|byte| u8::try_from(byte).unwrap());
            client.send_bytes(&[&[0x30], &length_field[..], &vec![0; length]].concat()).await;
            assert_eq!(client.ended().await, code, "{length}");
            other.ping().await;
        }
    }
}

/// A hundred clients that announce the largest packet and send nothing of it.
#[tokio::test]
async fn an_announced_packet_takes_no_memory_before_it_arrives() {
    let gateway = gateway().await;
    let mut waiting = Vec::new();
    for n in 0..100 {
        let mut client = MqttClient::anybody(&gateway, Version::V311, &format!("c-{n}")).await;
        // 149,504 bytes in all.
        client.send_bytes(b"\x30\xfc\x8f\x09\x00\x01t").await;
        waiting.push(client);
    }
    let mut other = MqttClient::anybody(&gateway, Version::V5, "other").await;
    other.ping().await;
    let rest = vec![b'x'; 149_500 - 3];
    let first = waiting.first_mut().unwrap();
    first.send_bytes(&rest).await;
    first.closed().await;
    let line = gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "c-0")]).await;
    assert_eq!(
        line["details"], "the payload is larger than 131072 bytes",
        "the packet was taken, and is too large for AWS"
    );
}

/// Noise, some of it after the start of a valid packet.
#[tokio::test]
async fn random_bytes_end_their_own_connection_and_no_other() {
    let gateway = TestGateway::open_to_all().await;
    let mut other = subscriber(&gateway, Version::V5, "other", "not/noise").await;
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise.to_le_bytes()
    };
    let begins: [&[u8]; 8] =
        [b"", b"\x30", b"\x32\x20\x00", b"\x82\x18\x00\x01", b"\xa2\x18\x00\x01", b"\x40", b"\xe0", b"\xf0"];
    for begin in begins {
        for version in BOTH {
            for _ in 0..10 {
                let bytes = [begin, &next(), &next(), &next(), &next()].concat();
                let mut client = MqttClient::anybody(&gateway, version, "noisy").await;
                client.send_bytes(&bytes).await;
            }
        }
        for _ in 0..10 {
            let mut stranger = MqttClient::open(&gateway, Version::V5).await;
            stranger.send_bytes(&[begin, &next(), &next()].concat()).await;
        }
        other.ping().await;
    }
    other.publish("not/noise", "x", QoS::AtMostOnce).await;
    assert_eq!(take(&mut other).await, "x");
}
