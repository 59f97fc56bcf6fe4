//! MQTT 3.1 and the protocol levels of brokers that bridge, which a server accepts only where it asks for that.

use bytes::BytesMut;
use mqtt::{Codec, DecodeError, Packet, Version};
use tokio_util::codec::Decoder;

fn connect(name: &str, level: u8) -> Vec<u8> {
    let mut body = vec![0, u8::try_from(name.len()).unwrap_or_default()];
    body.extend(name.as_bytes());
    body.extend([level, 0b10, 0, 60]);
    if level & 0x7f == 5 {
        body.push(0);
    }
    body.extend(*b"\x00\x01a");
    let mut packet = vec![0x10, u8::try_from(body.len()).unwrap_or_default()];
    packet.append(&mut body);
    packet
}

fn decoded(codec: &mut Codec, bytes: &[u8]) -> Result<Option<Packet>, DecodeError> {
    codec.decode(&mut BytesMut::from(bytes))
}

#[test]
fn older_protocols_are_refused_unless_they_are_asked_for() {
    let cases = [
        ("MQIsdp", 3, Some(Version::V311)),
        ("MQIsdp", 0x83, Some(Version::V311)),
        ("MQTT", 0x84, Some(Version::V311)),
        ("MQTT", 0x85, Some(Version::V5)),
        ("MQIsdp", 4, None),
        ("MQTT", 3, None),
        ("MQTT", 0x86, None),
    ];
    for (name, level, version) in cases {
        let refused = Err(DecodeError::UnsupportedProtocolVersion(level));
        assert_eq!(decoded(&mut Codec::server(100), &connect(name, level)), refused, "{name} {level}");
        let mut codec = Codec::server(100).with_older_protocols();
        match (decoded(&mut codec, &connect(name, level)), version) {
            (Ok(Some(Packet::Connect(packet))), Some(version)) => {
                assert_eq!((packet.version, &*packet.client_id, packet.keep_alive), (version, "a", 60));
                assert_eq!((codec.version(), codec.protocol_level()), (Some(version), Some(level)));
            }
            (answer, None) => assert_eq!(answer, refused),
            (answer, Some(_)) => panic!("{name} {level}: {answer:?}"),
        }
    }
    let mut codec = Codec::server(100).with_older_protocols();
    assert_eq!(decoded(&mut codec, &connect("MQXXXX", 3)), Err(DecodeError::ProtocolName));
}

#[test]
fn requests_of_mqtt_3_1_may_be_duplicates() {
    let requests: [&[u8]; 3] =
        [b"\x8a\x06\x00\x01\x00\x01a\x01", b"\xaa\x05\x00\x01\x00\x01a", b"\x6a\x02\x00\x01"];
    for bytes in requests {
        for (name, level, accepted) in [("MQIsdp", 3, true), ("MQTT", 4, false)] {
            let mut codec = Codec::server(100).with_older_protocols();
            decoded(&mut codec, &connect(name, level)).unwrap();
            let answer = decoded(&mut codec, bytes);
            let refused = Err(DecodeError::FixedHeaderFlags(bytes[0] >> 4));
            assert!(if accepted { matches!(answer, Ok(Some(_))) } else { answer == refused }, "{answer:?}");
        }
    }
}
