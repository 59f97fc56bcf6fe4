//! A message in the file: an MQTT 5 PUBLISH packet.

use std::num::NonZeroU16;

use bytes::BytesMut;
use mqtt::{Codec, DecodeError, EncodeError, Packet, Publish, QoS, Version};
use tokio_util::codec::{Decoder, Encoder};

/// The bytes are not a PUBLISH packet.
#[derive(Debug, thiserror::Error)]
#[error("a message is not a PUBLISH packet")]
pub(super) struct NotPublish;

/// The bytes of a message. The packet id has a column of its own.
pub(super) fn to_bytes(publish: &Publish) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = BytesMut::with_capacity(64 + publish.payload.len());
    let packet_id = (publish.qos > QoS::AtMostOnce).then_some(NonZeroU16::MIN);
    let packet = Publish { packet_id, dup: false, ..publish.clone() };
    Codec::client(Version::V5, u32::MAX).encode(Packet::Publish(packet), &mut bytes)?;
    Ok(bytes.into())
}

/// The message of these bytes.
pub(super) fn from_bytes(packet: &[u8]) -> Result<Publish, NotPublish> {
    match decoded(packet) {
        Ok(Some(Packet::Publish(publish))) => Ok(Publish { packet_id: None, ..publish }),
        _ => Err(NotPublish),
    }
}

/// A client's codec accepts PUBLISH only after CONNACK.
fn decoded(packet: &[u8]) -> Result<Option<Packet>, DecodeError> {
    const CONNACK: [u8; 5] = [0x20, 3, 0, 0, 0];
    let mut codec = Codec::client(Version::V5, u32::MAX);
    codec.decode(&mut CONNACK.as_slice().into())?;
    codec.decode(&mut packet.into())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mqtt::PublishProperties;

    use super::*;

    fn full() -> Publish {
        let properties = PublishProperties {
            payload_is_utf8: true,
            message_expiry_interval: Some(7),
            response_topic: Some("answers/here".parse().unwrap()),
            correlation_data: Some(Bytes::from_static(b"\0\xff")),
            content_type: Some("text/plain".into()),
            user_properties: vec![("a".into(), "1".into()), ("a".into(), "2".into())],
            ..PublishProperties::default()
        };
        let message = Publish::new("a/\u{e4}".parse().unwrap(), "21.5");
        Publish { qos: QoS::AtLeastOnce, retain: true, properties: Some(properties.into()), ..message }
    }

    #[test]
    fn message_is_read_back_whole_with_all_properties() {
        let large = Publish::new("t".parse().unwrap(), vec![7; 128 * 1024]);
        for message in [full(), large, Publish::new("t".parse().unwrap(), "")] {
            let back = from_bytes(&to_bytes(&message).unwrap()).unwrap();
            assert_eq!(back, message);
        }
    }

    #[test]
    fn bytes_that_are_not_a_message_are_refused() {
        let bytes = to_bytes(&full()).unwrap();
        for cut in 0..bytes.len() {
            assert!(from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(from_bytes(b"\xc0\0").is_err(), "PINGREQ");
    }
}
