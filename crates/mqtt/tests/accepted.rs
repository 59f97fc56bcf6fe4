//! Packets that both ends accept, byte for byte: what was read is written as the same bytes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure here is the test's failure")]

use std::num::NonZeroU16;
use std::sync::Arc;

use bytes::BytesMut;
use mqtt::{
    Codec, ConnAck, Connect, ConnectReasonCode, Disconnect, DisconnectReasonCode, EncodeError, Packet,
    PubAck, PubAckCode, Publish, PublishProperties, QoS, SubAck, SubAckCode, SubscribeFailure, TopicName,
    UnsubAck, UnsubAckCode, Version,
};
use tokio_util::codec::{Decoder, Encoder};

const V311: Version = Version::V311;
const V5: Version = Version::V5;
const CONNECT_V311: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a";
const CONNECT_V5: &[u8] = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a";

fn connected_server(version: Version) -> Codec {
    let mut codec = Codec::server(1 << 20);
    let connect = if version == V311 { CONNECT_V311 } else { CONNECT_V5 };
    codec.decode(&mut BytesMut::from(connect)).unwrap().unwrap();
    codec
}

fn connected_client(version: Version) -> Codec {
    let mut codec = Codec::client(version, 1 << 20);
    let ack: &[u8] = if version == V311 { b"\x20\x02\0\0" } else { b"\x20\x03\0\0\0" };
    codec.decode(&mut BytesMut::from(ack)).unwrap().unwrap();
    codec
}

fn read(codec: &mut Codec, bytes: &[u8]) -> Packet {
    let mut buffer = BytesMut::from(bytes);
    let packet = codec.decode(&mut buffer).unwrap_or_else(|error| panic!("{bytes:02x?}: {error}"));
    assert!(buffer.is_empty());
    packet.unwrap()
}

fn written(codec: &mut Codec, packet: Packet) -> Result<Vec<u8>, EncodeError> {
    let mut buffer = BytesMut::new();
    codec.encode(packet, &mut buffer).map(|()| buffer.to_vec())
}

fn id(value: u16) -> NonZeroU16 {
    NonZeroU16::new(value).unwrap()
}

fn publish() -> Publish {
    Publish::new("a/b".parse::<TopicName>().unwrap(), "hi")
}

/// From a client: read by the server, written by the client.
#[test]
fn packets_from_clients() {
    let cases: &[(Version, &[u8])] = &[
        (V5, b"\x82\x0c\x00\x01\x00\x00\x02a#\x00\x00\x01a\x01"),
        (V5, b"\xa2\x0a\x00\x01\x00\x00\x01b\x00\x02+a"),
        (V311, b"\x30\x07\x00\x03a/bhi"),
        (V311, b"\x3b\x09\x00\x03a/b\x00\x01hi"),
        (V311, b"\x34\x05\x00\x01a\x00\x01"),
        (V311, b"\x40\x02\x00\x01"),
        (V311, b"\x50\x02\x00\x01"),
        (V311, b"\x62\x02\x00\x01"),
        (V311, b"\x70\x02\xff\xff"),
        (V311, b"\x82\x0c\x00\x01\x00\x01a\x00\x00\x03b/#\x01"),
        (V311, b"\xa2\x09\x00\x01\x00\x01a\x00\x02/+"),
        (V311, b"\xc0\x00"),
        (V311, b"\xe0\x00"),
        (V5, b"\x30\x08\x00\x03a/b\x00hi"),
        (V5, b"\x32\x0a\x00\x03a/b\x00\x01\x00hi"),
        (V5, b"\x30\x06\x00\x00\x03\x23\x00\x07"),
        (V5, b"\x30\x0b\x00\x01a\x07\x26\x00\x01k\x00\x01v"),
        (V5, b"\x30\x21\x00\x01a\x1d\x23\x00\x01\x09\x00\x02\x00\xff\x02\x00\x00\x00\x3c\x03\x00\x01t\x01\x01\x08\x00\x07r/e/p/l"),
        (V5, b"\x40\x02\x00\x01"),
        (V5, b"\x40\x04\x00\x01\x10\x00"),
        (V5, b"\x40\x08\x00\x01\x80\x04\x1f\x00\x01x"),
        (V5, b"\x62\x04\x00\x01\x92\x00"),
        (V5, b"\x82\x07\x00\x01\x00\x00\x01a\x2d"),
        (V5, b"\x82\x09\x00\x01\x02\x0b\x05\x00\x01a\x01"),
        (V5, b"\xa2\x06\x00\x01\x00\x00\x01a"),
        (V5, b"\xe0\x00"),
        (V5, b"\xe0\x02\x04\x00"),
        (V5, b"\xe0\x07\x00\x05\x11\x00\x00\x00\x3c"),
    ];
    for &(version, bytes) in cases {
        let packet = read(&mut connected_server(version), bytes);
        assert_eq!(written(&mut connected_client(version), packet).unwrap(), bytes, "{version:?}");
    }
}

#[test]
fn packets_from_servers() {
    let cases: &[(Version, &[u8])] = &[
        (V311, b"\x31\x07\x00\x03a/bhi"),
        (V311, b"\x40\x02\x00\x01"),
        (V311, b"\x90\x06\x00\x01\x00\x01\x02\x80"),
        (V311, b"\xb0\x02\x00\x01"),
        (V311, b"\xd0\x00"),
        (V5, b"\x30\x0c\x00\x01a\x04\x0b\x01\x0b\x02data"),
        (V5, b"\x90\x06\x00\x01\x00\x00\x87\xa2"),
        (V5, b"\xb0\x05\x00\x01\x00\x00\x11"),
        (V5, b"\xe0\x02\x87\x00"),
        (V5, b"\xe0\x06\x9d\x04\x1c\x00\x01s"),
    ];
    for &(version, bytes) in cases {
        let packet = read(&mut connected_client(version), bytes);
        assert_eq!(written(&mut connected_server(version), packet).unwrap(), bytes, "{version:?}");
    }
}

#[test]
fn opening_packets() {
    let connects: &[(Version, &[u8])] = &[
        (V311, CONNECT_V311),
        (V5, CONNECT_V5),
        // Control characters are for topics to refuse; here they are only unwise.
        (V311, b"\x10\x10\x00\x04MQTT\x04\x82\x00\x3c\x00\x01\x7f\x00\x01\x01"),
        (V311, b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"),
        (V311, b"\x10\x18\x00\x04MQTT\x04\xee\x00\x3c\x00\x01a\x00\x01w\x00\x00\x00\x01u\x00\x01p"),
        (V5, b"\x10\x11\x00\x04MQTT\x05\x42\x00\x00\x00\x00\x01a\x00\x01p"),
        (V5, b"\x10\x0d\x00\x04MQTT\x05\x00\x00\x00\x00\x00\x00"),
        (V5, b"\x10\x13\x00\x04MQTT\x05\x02\x00\x00\x05\x11\xff\xff\xff\xff\x00\x01a"),
        (V5, b"\x10\x19\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01a\x05\x18\x00\x00\x00\x09\x00\x01w\x00\x00"),
    ];
    for &(version, bytes) in connects {
        let mut server = Codec::server(1 << 20);
        let packet = read(&mut server, bytes);
        assert_eq!(server.version(), Some(version));
        assert_eq!(written(&mut Codec::client(version, 64), packet).unwrap(), bytes);
    }
    let acks: &[(Version, &[u8])] = &[
        (V311, b"\x20\x02\x01\x00"),
        (V311, b"\x20\x02\x00\x05"),
        (V5, b"\x20\x03\x00\x87\x00"),
        (
            V5,
            b"\x20\x16\x00\x00\x13\x21\x00\x64\x24\x01\x25\x01\x22\x00\x08\x28\x01\x29\x00\x2a\x01\x13\x04\xb0",
        ),
    ];
    for &(version, bytes) in acks {
        let packet = read(&mut Codec::client(version, 64), bytes);
        assert_eq!(written(&mut connected_server(version), packet).unwrap(), bytes);
    }
}

#[test]
fn an_empty_client_id_without_clean_start_is_legal_in_mqtt_5() {
    let packet = read(&mut Codec::server(64), b"\x10\x0d\x00\x04MQTT\x05\x00\x00\x00\x00\x00\x00");
    let Packet::Connect(connect) = packet else { panic!("not a CONNECT") };
    assert!(connect.client_id.is_empty() && !connect.clean_start);
    assert_eq!(Connect { clean_start: true, ..*connect }, Connect::new(V5, ""));
}

#[test]
fn a_message_expiry_of_zero_is_legal_in_both_directions() {
    let mut server = connected_server(V5);
    let Packet::Publish(publish) = read(&mut server, b"\x30\x09\x00\x01a\x05\x02\x00\x00\x00\x00") else {
        panic!("not a PUBLISH")
    };
    assert_eq!(publish.properties.as_ref().unwrap().message_expiry_interval, Some(0));
    let sent = written(&mut server, Packet::Publish(publish)).unwrap();
    assert_eq!(sent, b"\x30\x09\x00\x01a\x05\x02\x00\x00\x00\x00");

    let will = b"\x10\x19\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01a\x05\x02\x00\x00\x00\x00\x00\x01w\x00\x00";
    let Packet::Connect(connect) = read(&mut Codec::server(64), will) else { panic!("not a CONNECT") };
    assert_eq!(connect.last_will.unwrap().properties.message_expiry_interval, Some(0));
}

/// Forms that are legal and not the ones that we write.
#[test]
fn longer_and_shorter_forms() {
    let cases: &[(&[u8], Packet)] = &[
        (b"\x40\x03\x00\x01\x00", Packet::PubAck(PubAck::new(id(1), PubAckCode::Success))),
        (b"\x40\x03\x00\x01\x87", Packet::PubAck(PubAck::new(id(1), PubAckCode::NotAuthorized))),
        (b"\x40\x04\x00\x01\x00\x00", Packet::PubAck(PubAck::new(id(1), PubAckCode::Success))),
        (
            b"\xe0\x01\x04",
            Packet::Disconnect(Disconnect::new(DisconnectReasonCode::DisconnectWithWillMessage)),
        ),
        (b"\x30\x0a\x00\x03a/b\x02\x01\x00hi", Packet::Publish(publish())),
        (b"\xf0\x00", Packet::Auth),
    ];
    for (bytes, expected) in cases {
        assert_eq!(read(&mut connected_server(V5), bytes), *expected);
    }
}

#[test]
fn what_3_1_1_cannot_say_is_left_out() {
    let mut server = connected_server(V311);
    let cases: Vec<(Packet, &[u8])> = vec![
        (Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NotAuthorized)), b""),
        (Packet::ConnAck(Box::new(ConnAck::new(ConnectReasonCode::PacketTooLarge))), b""),
        (Packet::ConnAck(Box::new(ConnAck::new(ConnectReasonCode::Banned))), b"\x20\x02\x00\x05"),
        (
            Packet::SubAck(SubAck {
                packet_id: id(1),
                codes: vec![
                    SubAckCode::Granted(QoS::AtLeastOnce),
                    SubAckCode::Failed(SubscribeFailure::NotAuthorized),
                ],
                reason_string: Some("no".into()),
            }),
            b"\x90\x04\x00\x01\x01\x80",
        ),
        (
            Packet::UnsubAck(UnsubAck {
                packet_id: id(1),
                codes: vec![UnsubAckCode::NoSubscriptionExisted],
                reason_string: None,
            }),
            b"\xb0\x02\x00\x01",
        ),
    ];
    for (packet, expected) in cases {
        assert_eq!(written(&mut server, packet).unwrap(), expected);
    }
}

#[test]
fn an_unsupported_version_can_still_be_told() {
    for (connect, expected) in [
        (&b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a"[..], &b"\x20\x02\x00\x01"[..]),
        (b"\x10\x0e\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x01a", b"\x20\x03\x00\x84\x00"),
        (b"\x10\x0f\x00\x06MQIsdp\x83\x02\x00\x3c\x00\x01a", b"\x20\x02\x00\x01"),
        (b"\x10\x0d\x00\x04MQTT\x84\x02\x00\x3c\x00\x01a", b"\x20\x02\x00\x01"),
        (b"\x10\x0e\x00\x04MQTT\x85\x02\x00\x3c\x00\x00\x01a", b"\x20\x03\x00\x84\x00"),
    ] {
        let mut server = Codec::server(64);
        let error = server.decode(&mut BytesMut::from(connect)).unwrap_err();
        let answer = Packet::ConnAck(Box::new(ConnAck::new(error.connect_reason_code())));
        assert_eq!(written(&mut server, answer).unwrap(), expected);
    }
}

#[test]
fn refused_to_write() {
    let qos1 = Publish { qos: QoS::AtLeastOnce, ..publish() };
    let no_id = Packet::Publish(qos1.clone());
    let dup = Packet::Publish(Publish { dup: true, ..publish() });
    let extra_id = Packet::Publish(Publish { packet_id: Some(id(1)), ..publish() });
    let no_topic = Packet::Publish(Publish { topic: None, ..publish() });
    let negative = Packet::PubAck(PubAck::new(id(1), PubAckCode::NotAuthorized));
    let session = Packet::ConnAck(Box::new(ConnAck {
        session_present: true,
        ..ConnAck::new(ConnectReasonCode::NotAuthorized)
    }));
    let long = Disconnect {
        reason_string: Some("x".repeat(65_536).into()),
        ..Disconnect::new(DisconnectReasonCode::ServerBusy)
    };
    let null =
        Disconnect { reason_string: Some("x\0".into()), ..Disconnect::new(DisconnectReasonCode::ServerBusy) };
    for (version, packet, expected) in [
        (V311, no_id, "needs a packet id"),
        (V5, dup, "DUP"),
        (V5, extra_id, "has a packet id"),
        (V5, no_topic, "neither a topic name"),
        (V311, negative, "no negative acknowledgement"),
        (V5, session, "a refusal has no session"),
        (V5, Packet::Disconnect(long), "longer than 65,535"),
        (V5, Packet::Disconnect(null), "null character"),
        (V5, Packet::PingReq, "does not send packet type 12"),
        (V5, Packet::Auth, "AUTH"),
    ] {
        let mut buffer = BytesMut::from("before");
        let error = connected_server(version).encode(packet, &mut buffer).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(buffer, "before");
    }
    let unknown = written(&mut Codec::server(64), Packet::PingResp);
    assert_eq!(unknown, Err(EncodeError::VersionUnknown));
    let mismatch = written(&mut Codec::client(V5, 64), Packet::Connect(Box::new(Connect::new(V311, "a"))));
    assert_eq!(mismatch, Err(EncodeError::VersionMismatch));
}

#[test]
fn the_peers_maximum_is_kept() {
    let mut server = connected_server(V5);
    server.set_peer_maximum(10);
    assert_eq!(written(&mut server, Packet::Publish(publish())).unwrap().len(), 10);
    let larger = Packet::Publish(Publish { payload: "hi!".into(), ..publish() });
    assert_eq!(written(&mut server, larger), Err(EncodeError::PacketTooLarge { max: 10 }));
}

/// Around the lengths at which the length of the properties takes another byte.
#[test]
fn properties_of_every_length() {
    for length in (90..140).chain(16_360..16_400) {
        let text: Arc<str> = "x".repeat(length).into();
        let properties =
            PublishProperties { content_type: Some(text.clone()), ..PublishProperties::default() };
        let publish = Publish { properties: Some(Arc::new(properties)), ..publish() };
        let mut connack = ConnAck::accepted(true);
        connack.properties.assigned_client_id = Some("b".into());
        connack.properties.reason_string = Some(text.clone());
        let mut long = connack.clone();
        long.properties.user_properties = vec![("name".into(), text.clone())];
        let code = DisconnectReasonCode::ServerBusy;
        let packets = [
            Packet::Publish(publish),
            Packet::PubAck(PubAck {
                reason_string: Some(text.clone()),
                ..PubAck::new(id(7), PubAckCode::Success)
            }),
            Packet::SubAck(SubAck { packet_id: id(7), codes: vec![], reason_string: Some(text.clone()) }),
            Packet::Disconnect(Disconnect { reason_string: Some(text), ..Disconnect::new(code) }),
            Packet::ConnAck(Box::new(connack)),
            Packet::ConnAck(Box::new(long)),
        ];
        for packet in packets {
            let bytes = written(&mut connected_server(V5), packet.clone()).unwrap();
            let opening = matches!(packet, Packet::ConnAck(_));
            let mut client = if opening { Codec::client(V5, 1 << 20) } else { connected_client(V5) };
            assert_eq!(read(&mut client, &bytes), packet, "{length}");
        }
    }
}

#[test]
fn reason_strings_are_left_out_if_the_client_says_so() {
    let mut server = Codec::server(64);
    read(&mut server, b"\x10\x10\x00\x04MQTT\x05\x02\x00\x00\x02\x17\x00\x00\x01a");
    let ack = PubAck { reason_string: Some("no".into()), ..PubAck::new(id(1), PubAckCode::NotAuthorized) };
    assert_eq!(written(&mut server, Packet::PubAck(ack)).unwrap(), b"\x40\x04\x00\x01\x87\x00");
}

/// 5: 3.2.2-19, 3.4.2-2, 3.9.2-1, 3.11.2-1, 3.14.2-3.
#[test]
fn a_reason_string_that_does_not_fit_is_left_out() {
    let reason = || Some("why".into());
    let mut connack = ConnAck::new(ConnectReasonCode::NotAuthorized);
    connack.properties.reason_string = reason();
    let code = DisconnectReasonCode::NotAuthorized;
    let cases: [(Packet, &[u8]); 5] = [
        (Packet::ConnAck(Box::new(connack)), b"\x20\x03\x00\x87\x00"),
        (
            Packet::PubAck(PubAck {
                reason_string: reason(),
                ..PubAck::new(id(1), PubAckCode::NotAuthorized)
            }),
            b"\x40\x04\x00\x01\x87\x00",
        ),
        (
            Packet::SubAck(SubAck {
                packet_id: id(1),
                codes: vec![SubAckCode::Failed(SubscribeFailure::NotAuthorized)],
                reason_string: reason(),
            }),
            b"\x90\x04\x00\x01\x00\x87",
        ),
        (
            Packet::UnsubAck(UnsubAck {
                packet_id: id(1),
                codes: vec![UnsubAckCode::NotAuthorized],
                reason_string: reason(),
            }),
            b"\xb0\x04\x00\x01\x00\x87",
        ),
        (
            Packet::Disconnect(Disconnect { reason_string: reason(), ..Disconnect::new(code) }),
            b"\xe0\x02\x87\x00",
        ),
    ];
    for (packet, without) in cases {
        let mut server = connected_server(V5);
        let whole = written(&mut server, packet.clone()).unwrap();
        let size = u32::try_from(whole.len()).unwrap();
        assert_eq!(whole.len(), without.len() + 6, "the property has six bytes: {packet:?}");
        server.set_peer_maximum(size);
        assert_eq!(written(&mut server, packet.clone()).unwrap(), whole);
        server.set_peer_maximum(size - 1);
        assert_eq!(written(&mut server, packet.clone()).unwrap(), without);
        server.set_peer_maximum(u32::try_from(without.len()).unwrap() - 1);
        assert!(matches!(written(&mut server, packet), Err(EncodeError::PacketTooLarge { .. })));
    }
}

/// What an absent property means is stated too, except a Maximum QoS of 2.
#[test]
fn an_acceptance_states_its_limits_and_flags_and_a_refusal_does_not() {
    let accepted = Packet::ConnAck(Box::new(ConnAck::accepted(false)));
    let stated = b"\x20\x11\x00\x00\x0e\x21\xff\xff\x25\x01\x22\x00\x00\x28\x01\x29\x01\x2a\x01";
    assert_eq!(written(&mut connected_server(V5), accepted.clone()).unwrap(), stated);
    assert_eq!(read(&mut Codec::client(V5, 64), stated), accepted);
    assert_eq!(written(&mut connected_server(V311), accepted).unwrap(), b"\x20\x02\x00\x00");
    let refused = Packet::ConnAck(Box::new(ConnAck::new(ConnectReasonCode::NotAuthorized)));
    assert_eq!(written(&mut connected_server(V5), refused).unwrap(), b"\x20\x03\x00\x87\x00");
}

#[test]
fn what_is_kept_does_not_hold_the_read_buffer() {
    let mut bytes = BytesMut::from(&b"\x10\x13\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01a\x00\x01u\x00\x01p"[..]);
    let before = bytes.as_ptr() as usize..bytes.as_ptr() as usize + bytes.len();
    let Some(Packet::Connect(connect)) = Codec::server(64).decode(&mut bytes).unwrap() else { panic!() };
    assert!(!before.contains(&(connect.password.unwrap().as_ptr() as usize)));
}
