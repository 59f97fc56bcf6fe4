//! Bytes that are refused, and the rule that each of them breaks.

#![expect(clippy::unwrap_used, reason = "a failure here is the test's failure")]

use bytes::BytesMut;
use mqtt::DecodeError as E;
use mqtt::{Codec, ConnectReasonCode, DisconnectReasonCode, Version};
use tokio_util::codec::Decoder;

const MAX: u32 = 200;
const CONNECT_V311: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a";
const CONNECT_V5: &[u8] = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a";

fn first_error(mut codec: Codec, opening: &[u8], bytes: &[u8]) -> Option<E> {
    let mut buffer = BytesMut::from(opening);
    if !opening.is_empty() {
        codec.decode(&mut buffer).unwrap().unwrap();
    }
    buffer.extend_from_slice(bytes);
    let error = codec.decode(&mut buffer).err()?;
    assert_eq!(codec.decode(&mut BytesMut::from(&b"\xc0\x00"[..])), Err(error), "an error is final");
    Some(error)
}

fn check(codec: impl Fn() -> Codec, opening: &[u8], cases: &[(&[u8], E)]) {
    for (bytes, expected) in cases {
        assert_eq!(first_error(codec(), opening, bytes), Some(*expected), "{}", bytes.escape_ascii());
    }
}

#[test]
fn connect() {
    check(
        || Codec::server(MAX),
        b"",
        &[
            (b"\x30", E::NotConnect),
            (b"\xc0\x00", E::NotConnect),
            (b"GET / HTTP/1.1\r\n", E::NotConnect),
            (b"\x00\x00", E::NotConnect),
            (b"\x16\x03\x01", E::FixedHeaderFlags(1)),
            (b"\x11\x00", E::FixedHeaderFlags(1)),
            (b"\x10\xff\xff\xff\xff", E::LengthTooLong),
            (b"\x10\xc9\x01", E::PacketTooLarge { size: 204, max: MAX }),
            (b"\x10\xff\xff\xff\x7f", E::PacketTooLarge { size: 268_435_460, max: MAX }),
            (b"\x10\x00", E::Truncated),
            (b"\x10\x06\x00\x04MQTT", E::Truncated),
            (b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x01", E::Truncated),
            (b"\x10\x0d\x00\x04mqtt\x04\x02\x00\x3c\x00\x01a", E::ProtocolName),
            (b"\x10\x0d\x00\x04MQTX\x04\x02\x00\x3c\x00\x01a", E::ProtocolName),
            (b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a", E::UnsupportedProtocolVersion(3)),
            (b"\x10\x0f\x00\x06MQIsdp\x04\x02\x00\x3c\x00\x01a", E::UnsupportedProtocolVersion(4)),
            (b"\x10\x0d\x00\x04MQTT\x03\x02\x00\x3c\x00\x01a", E::UnsupportedProtocolVersion(3)),
            (b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x01a", E::UnsupportedProtocolVersion(6)),
            (b"\x10\x0d\x00\x04MQTT\x84\x02\x00\x3c\x00\x01a", E::UnsupportedProtocolVersion(0x84)),
            (b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x01a", E::ConnectReservedFlag),
            (b"\x10\x0d\x00\x04MQTT\x04\x0a\x00\x3c\x00\x01a", E::WillFlags),
            (b"\x10\x0d\x00\x04MQTT\x04\x22\x00\x3c\x00\x01a", E::WillFlags),
            (b"\x10\x12\x00\x04MQTT\x04\x1e\x00\x3c\x00\x01a\x00\x01w\x00\x00", E::WillQos),
            (b"\x10\x10\x00\x04MQTT\x04\x42\x00\x3c\x00\x01a\x00\x01p", E::PasswordWithoutUserName),
            (b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00", E::ClientIdRequired),
            (b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a!", E::TrailingBytes),
            (b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a\x00\x01u", E::TrailingBytes),
            (b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01\x00", E::NullCharacter),
            (b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01\xff", E::Utf8),
            (b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03\xed\xa0\x80", E::Utf8),
            (b"\x10\x10\x00\x04MQTT\x04\x82\x00\x3c\x00\x01a\x00\x01\x00", E::NullCharacter),
            (b"\x10\x12\x00\x04MQTT\x04\x06\x00\x3c\x00\x01a\x00\x01#\x00\x00", E::TopicName),
            (b"\x10\x11\x00\x04MQTT\x04\x06\x00\x3c\x00\x01a\x00\x00\x00\x00", E::TopicName),
        ],
    );
}

#[test]
fn connect_of_mqtt_5() {
    check(
        || Codec::server(MAX),
        b"",
        &[
            (b"\x10\x8e\x00\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a", E::LengthNotMinimal),
            (b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x80\x00\x00\x01a", E::LengthNotMinimal),
            (b"\x10\x0e\x00\x04MQTT\x05\x0a\x00\x3c\x00\x00\x01a", E::WillFlags),
            (b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a!", E::TrailingBytes),
            (b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x05\x00\x01a", E::Truncated),
            (b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x03\x21\x00\x00\x00\x01a", E::PropertyValue(0x21)),
            (
                b"\x10\x13\x00\x04MQTT\x05\x02\x00\x3c\x05\x27\x00\x00\x00\x00\x00\x01a",
                E::PropertyValue(0x27),
            ),
            (b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x02\x17\x02\x00\x01a", E::PropertyValue(0x17)),
            (
                b"\x10\x12\x00\x04MQTT\x05\x02\x00\x3c\x04\x19\x01\x19\x01\x00\x01a",
                E::DuplicateProperty(0x19),
            ),
            (b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x03\x23\x00\x01\x00\x01a", E::PropertyNotAllowed(0x23)),
            (b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x01\x00\x00\x01a", E::PropertyNotAllowed(0)),
            (b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x01\x7f\x00\x01a", E::PropertyNotAllowed(0x7f)),
            (
                b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x03\x16\x00\x00\x00\x01a",
                E::AuthenticationMethodMissing,
            ),
            (b"\x10\x12\x00\x04MQTT\x05\x02\x00\x3c\x04\x15\x00\x01\x00\x00\x01a", E::NullCharacter),
            (b"\x10\x12\x00\x04MQTT\x05\x02\x00\x3c\x04\x15\x00\x01\xc0\x00\x01a", E::Utf8),
        ],
    );
}

#[test]
fn from_clients_in_either_version() {
    let cases: &[(&[u8], E)] = &[
        (CONNECT_V311, E::SecondConnect),
        (CONNECT_V5, E::SecondConnect),
        (b"\x00\x00", E::ReservedPacketType(0)),
        (b"\x20\x02\x00\x00", E::WrongDirection(2)),
        (b"\x90\x03\x00\x01\x00", E::WrongDirection(9)),
        (b"\xb0\x02\x00\x01", E::WrongDirection(11)),
        (b"\xd0\x00", E::WrongDirection(13)),
        (b"\x36", E::Qos),
        (b"\x38", E::DupOnQos0),
        (b"\x41", E::FixedHeaderFlags(4)),
        (b"\x52", E::FixedHeaderFlags(5)),
        (b"\x60", E::FixedHeaderFlags(6)),
        (b"\x72", E::FixedHeaderFlags(7)),
        (b"\x80", E::FixedHeaderFlags(8)),
        (b"\x8a", E::FixedHeaderFlags(8)),
        (b"\xa0", E::FixedHeaderFlags(10)),
        (b"\xc1", E::FixedHeaderFlags(12)),
        (b"\xe8", E::FixedHeaderFlags(14)),
        (b"\xc0\x01\x00", E::TrailingBytes),
        (b"\x30\x00", E::Truncated),
        (b"\x30\x02\x00\x01", E::Truncated),
        (b"\x32\x03\x00\x01a", E::Truncated),
        (b"\x32\x05\x00\x01a\x00\x00", E::PacketIdZero),
        (b"\x40\x02\x00\x00", E::PacketIdZero),
        (b"\x62\x02\x00\x00", E::PacketIdZero),
        (b"\x40\x01\x00", E::Truncated),
        (b"\x82\x06\x00\x00\x00\x01a\x00", E::PacketIdZero),
        (b"\xa2\x05\x00\x00\x00\x01a", E::PacketIdZero),
        (b"\x30\x80\x80\x80\x80\x01", E::LengthTooLong),
        (b"\x30\xc8\x01", E::PacketTooLarge { size: 203, max: MAX }),
    ];
    check(|| Codec::server(MAX), CONNECT_V311, cases);
    check(|| Codec::server(MAX), CONNECT_V5, cases);
}

#[test]
fn from_clients_in_3_1_1() {
    check(
        || Codec::server(MAX),
        CONNECT_V311,
        &[
            (b"\xf0\x00", E::ReservedPacketType(15)),
            (b"\x30\x02\x00\x00", E::TopicName),
            (b"\x30\x03\x00\x01+", E::TopicName),
            (b"\x30\x03\x00\x01#", E::TopicName),
            (b"\x30\x03\x00\x01\x00", E::NullCharacter),
            (b"\x30\x03\x00\x01\x01", E::TopicName),
            (b"\x30\x03\x00\x01\xff", E::Utf8),
            (b"\x30\x05\x00\x03\xed\xbf\xbf", E::Utf8),
            (b"\x30\x04\x00\x02\xc0\x80", E::Utf8),
            (b"\x40\x03\x00\x01\x00", E::TrailingBytes),
            (b"\x82\x02\x00\x01", E::NoTopicFilter),
            (b"\x82\x05\x00\x01\x00\x01a", E::Truncated),
            (b"\x82\x05\x00\x01\x00\x00\x00", E::TopicFilter),
            (b"\x82\x06\x00\x01\x00\x01a\x03", E::MaximumQos),
            (b"\x82\x06\x00\x01\x00\x01a\x04", E::SubscriptionOptions),
            (b"\x82\x06\x00\x01\x00\x01a\x80", E::SubscriptionOptions),
            (b"\x82\x08\x00\x01\x00\x03#/a\x00", E::TopicFilter),
            (b"\x82\x07\x00\x01\x00\x02a#\x00", E::TopicFilter),
            (b"\x82\x07\x00\x01\x00\x02a+\x00", E::TopicFilter),
            (b"\x82\x06\x00\x01\x00\x01\x00\x00", E::NullCharacter),
            (b"\xa2\x02\x00\x01", E::NoTopicFilter),
            (b"\xa2\x06\x00\x01\x00\x02+a", E::TopicFilter),
            (b"\xe0\x01\x00", E::TrailingBytes),
        ],
    );
}

#[test]
fn from_clients_in_mqtt_5() {
    check(
        || Codec::server(MAX),
        CONNECT_V5,
        &[
            (b"\xc0\x80\x00", E::LengthNotMinimal),
            (b"\x30\x03\x00\x00\x00", E::TopicMissing),
            (b"\x30\x06\x00\x00\x03\x23\x00\x00", E::PropertyValue(0x23)),
            (b"\x30\x09\x00\x00\x06\x23\x00\x01\x23\x00\x01", E::DuplicateProperty(0x23)),
            (b"\x30\x06\x00\x01a\x02\x0b\x01", E::SubscriptionIdFromClient),
            (b"\x30\x06\x00\x01a\x02\x01\x02", E::PropertyValue(0x01)),
            (b"\x30\x08\x00\x01a\x04\x08\x00\x01#", E::TopicName),
            (b"\x30\x08\x00\x01a\x04\x03\x00\x01\x00", E::NullCharacter),
            (b"\x30\x05\x00\x01a\x04\x03", E::Truncated),
            (b"\x30\x06\x00\x01a\x02\x11\x01", E::PropertyNotAllowed(0x11)),
            (b"\x30\x04\x00\x01+\x00", E::TopicName),
            (b"\x40\x03\x00\x01\x01", E::ReasonCode),
            (b"\x40\x05\x00\x01\x00\x00!", E::TrailingBytes),
            (b"\x62\x03\x00\x01\x80", E::ReasonCode),
            (b"\x82\x03\x00\x01\x00", E::NoTopicFilter),
            (b"\x82\x07\x00\x01\x00\x00\x01a\x03", E::MaximumQos),
            (b"\x82\x07\x00\x01\x00\x00\x01a\x30", E::RetainHandling),
            (b"\x82\x07\x00\x01\x00\x00\x01a\x40", E::SubscriptionOptions),
            (b"\x82\x09\x00\x01\x02\x0b\x00\x00\x01a\x01", E::PropertyValue(0x0b)),
            (b"\x82\x0b\x00\x01\x04\x0b\x01\x0b\x02\x00\x01a\x01", E::DuplicateProperty(0x0b)),
            (b"\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x04", E::NoLocalOnShared),
            (b"\xa2\x03\x00\x01\x00", E::NoTopicFilter),
            (b"\xe0\x01\x01", E::ReasonCode),
            (b"\xe0\x06\x00\x04\x1c\x00\x01s", E::PropertyNotAllowed(0x1c)),
            (b"\xe0\x03\x00\x00\x00", E::TrailingBytes),
            (b"\xf0\x01\x01", E::ReasonCode),
        ],
    );
}

#[test]
fn from_servers() {
    let client = |version| move || Codec::client(version, MAX);
    let opening: &[(&[u8], E)] = &[
        (b"\x30", E::NotConnAck),
        (b"\x10", E::NotConnAck),
        (b"\x21", E::FixedHeaderFlags(2)),
        (b"\x20\x00", E::Truncated),
        (b"\x20\x02\x02\x00", E::ConnAckFlags),
        (b"\x20\x02\x01\x05", E::SessionPresent),
    ];
    check(client(Version::V311), b"", opening);
    check(client(Version::V5), b"", opening);
    check(
        client(Version::V311),
        b"",
        &[(b"\x20\x02\x00\x06", E::ReasonCode), (b"\x20\x03\x00\x00\x00", E::TrailingBytes)],
    );
    check(
        client(Version::V5),
        b"",
        &[
            (b"\x20\x02\x00\x00", E::Truncated),
            (b"\x20\x03\x00\x01\x00", E::ReasonCode),
            (b"\x20\x05\x00\x00\x02\x24\x02", E::PropertyValue(0x24)),
            (b"\x20\x07\x00\x00\x04\x25\x01\x25\x01", E::DuplicateProperty(0x25)),
            (b"\x20\x05\x00\x00\x02\x01\x01", E::PropertyNotAllowed(0x01)),
        ],
    );
    let opened: &[(&[u8], E)] = &[
        (b"\x20\x02\x00\x00", E::SecondConnAck),
        (b"\x10\x00", E::WrongDirection(1)),
        (b"\x82\x00", E::WrongDirection(8)),
        (b"\xa2\x00", E::WrongDirection(10)),
        (b"\xc0\x00", E::WrongDirection(12)),
        (b"\x90\x03\x00\x00\x00", E::PacketIdZero),
        (b"\xd0\x01\x00", E::TrailingBytes),
    ];
    check(client(Version::V311), b"\x20\x02\x00\x00", opened);
    check(client(Version::V5), b"\x20\x03\x00\x00\x00", opened);
    check(
        client(Version::V311),
        b"\x20\x02\x00\x00",
        &[
            (b"\xe0\x00", E::WrongDirection(14)),
            (b"\x90\x03\x00\x01\x03", E::ReasonCode),
            (b"\xb0\x03\x00\x01\x00", E::TrailingBytes),
        ],
    );
    check(
        client(Version::V5),
        b"\x20\x03\x00\x00\x00",
        &[
            (b"\xe0\x07\x00\x05\x11\x00\x00\x00\x3c", E::PropertyNotAllowed(0x11)),
            (b"\x90\x04\x00\x01\x00\x03", E::ReasonCode),
        ],
    );
}

/// A packet that is too large is refused with not one byte of its body read.
#[test]
fn the_maximum_counts_the_whole_packet() {
    for (length, refused) in [(&b"\xc6\x01"[..], false), (b"\xc5\x01", false), (b"\xc7\x01", true)] {
        let error = first_error(Codec::server(MAX + 1), CONNECT_V311, &[b"\x30", length].concat());
        assert_eq!(error.is_some(), refused, "{length:02x?}");
    }
}

#[test]
fn a_packet_that_is_announced_reserves_nothing() {
    let mut codec = Codec::server(1 << 21);
    codec.decode(&mut BytesMut::from(CONNECT_V311)).unwrap().unwrap();
    let mut buffer = BytesMut::with_capacity(64);
    buffer.extend_from_slice(b"\x30\xff\xff\x3f\x00\x01a");
    assert_eq!(codec.decode(&mut buffer), Ok(None));
    assert!(buffer.capacity() <= 64, "{}", buffer.capacity());
}

#[test]
fn reasons() {
    for (error, code) in [
        (E::SecondConnect, DisconnectReasonCode::ProtocolError),
        (E::ConnectReservedFlag, DisconnectReasonCode::MalformedPacket),
        (E::PacketTooLarge { size: 2, max: 1 }, DisconnectReasonCode::PacketTooLarge),
        (E::TopicName, DisconnectReasonCode::TopicNameInvalid),
        (E::TopicFilter, DisconnectReasonCode::TopicFilterInvalid),
        (E::PropertyValue(0x23), DisconnectReasonCode::TopicAliasInvalid),
        (E::DuplicateProperty(0x23), DisconnectReasonCode::ProtocolError),
        (E::Qos, DisconnectReasonCode::MalformedPacket),
        (E::MaximumQos, DisconnectReasonCode::ProtocolError),
        (E::SubscriptionIdFromClient, DisconnectReasonCode::ProtocolError),
        (E::PropertyNotAllowed(0x23), DisconnectReasonCode::MalformedPacket),
    ] {
        assert_eq!(error.reason_code(), code, "{error}");
    }
    for (error, code) in [
        (E::UnsupportedProtocolVersion(3), ConnectReasonCode::UnsupportedProtocolVersion),
        (E::ClientIdRequired, ConnectReasonCode::ClientIdentifierNotValid),
        (E::WillFlags, ConnectReasonCode::MalformedPacket),
        (E::TopicName, ConnectReasonCode::TopicNameInvalid),
    ] {
        assert_eq!(error.connect_reason_code(), code, "{error}");
    }
    assert_eq!(E::ConnectReservedFlag.to_string(), "[MQTT-3.1.2-3] the CONNECT reserved flag is set");
}

#[test]
fn the_end_of_the_stream_inside_a_packet_is_an_error() {
    let mut codec = Codec::server(MAX);
    let lost = E::Io(std::io::ErrorKind::UnexpectedEof);
    assert_eq!(codec.decode_eof(&mut BytesMut::from(&b"\x10\x0d\x00"[..])), Err(lost));
    assert_eq!(Codec::server(MAX).decode_eof(&mut BytesMut::new()), Ok(None));
}
