//! Refusals as an MQTT client gets them, and the reason strings in them.

use std::sync::Arc;

use mqtt::{ConnAckProperties, Connect, ConnectReasonCode, Version};

use crate::mqtt_client::{MqttClient, Reachable};

/// A reason string, which has the form `PACKET:text:UUID`.
#[derive(Debug, PartialEq, Eq)]
pub struct ReasonString {
    /// The packet's name.
    pub packet: String,
    /// The text.
    pub text: String,
    /// The connection's id, with which its lines in the log are found.
    pub connection_id: String,
}

impl ReasonString {
    /// Takes a reason string apart.
    pub fn read(reason: &str) -> Self {
        let (packet, rest) = reason.split_once(':').unwrap_or_else(|| panic!("no packet in {reason}"));
        let (text, id) = rest.rsplit_once(':').unwrap_or_else(|| panic!("no id in {reason}"));
        let groups = id.split('-').map(str::len).collect::<Vec<_>>();
        assert_eq!(groups, [8, 4, 4, 4, 12], "a UUID at the end of {reason}");
        Self { packet: packet.to_owned(), text: text.to_owned(), connection_id: id.to_owned() }
    }

    /// Takes the reason string of this packet apart, which must be there.
    pub fn of(packet: &str, reason: Option<&Arc<str>>) -> Self {
        let reason = reason.unwrap_or_else(|| panic!("{packet} has no reason string"));
        let reason = Self::read(reason);
        assert_eq!(reason.packet, packet);
        reason
    }
}

/// A CONNECT is refused, and the connection ends. MQTT 5 is told this code and a reason string, and nothing else; MQTT 3.1.1
/// is told nothing.
pub async fn refused(
    gateway: &impl Reachable,
    connect: Connect,
    code: ConnectReasonCode,
) -> Option<ReasonString> {
    let (version, what) = (connect.version, connect.client_id.clone());
    let (mut client, ack) = MqttClient::connect(gateway, connect).await;
    let reason = match (version, ack) {
        (Version::V311, None) => None,
        (Version::V5, Some(mut ack)) => {
            let reason = ack.properties.reason_string.take();
            assert_eq!((ack.code, ack.properties), (code, ConnAckProperties::default()), "`{what}`");
            Some(ReasonString::of("CONNACK", reason.as_ref()))
        }
        (version, answer) => panic!("`{what}` of {version:?} is refused with {answer:?}"),
    };
    assert_eq!(client.ended().await, None, "`{what}`");
    reason
}

/// Packets of a server without their reason strings, which have to be in their form.
pub fn without_reason_strings(mut bytes: &[u8]) -> Vec<u8> {
    let mut packets = Vec::new();
    while let [first, after @ ..] = bytes {
        let Some((length, body)) = var_int(after).filter(|(length, body)| *length <= body.len()) else {
            break;
        };
        let (body, rest) = body.split_at(length);
        let body = without_reason_string(*first, body).unwrap_or_else(|| body.to_vec());
        assert!(body.len() < 0x4000, "two bytes of length");
        packets.push(*first);
        match u8::try_from(body.len()) {
            Ok(length @ 0..0x80) => packets.push(length),
            _ => packets.extend(
                [body.len() % 0x80 + 0x80, body.len() / 0x80].map(|byte| u8::try_from(byte).unwrap()),
            ),
        }
        packets.extend(body);
        bytes = rest;
    }
    packets.extend(bytes);
    packets
}

/// The packet's body, if its only property was a reason string. Before the properties are flags, ids and codes.
fn without_reason_string(first: u8, body: &[u8]) -> Option<Vec<u8>> {
    let (packet, before) = match first {
        0x20 => ("CONNACK", 2),
        0x40 => ("PUBACK", 3),
        0x90 => ("SUBACK", 2),
        0xb0 => ("UNSUBACK", 2),
        0xe0 => ("DISCONNECT", 1),
        _ => return None,
    };
    let (before, properties) = body.split_at_checked(before)?;
    let (length, rest) = var_int(properties)?;
    let (properties, payload) = rest.split_at_checked(length)?;
    let [0x1f, _, _, reason @ ..] = properties else { return None };
    assert_eq!(ReasonString::read(std::str::from_utf8(reason).unwrap()).packet, packet);
    Some([before, &[0], payload].concat())
}

/// A variable byte integer of up to two bytes, and what comes after it.
fn var_int(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [one @ 0..0x80, rest @ ..] => Some((usize::from(*one), rest)),
        [low, high @ 0..0x80, rest @ ..] => Some((usize::from(low & 0x7f) | usize::from(*high) << 7, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reason_strings_are_left_out() {
        let reason = |packet: &str| {
            let text = format!("{packet}:a:b:00000000-0000-4000-8000-000000000000");
            [&[0x1f, 0, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
        };
        let whole = |first: u8, before: &[u8], reason: &[u8], after: &[u8]| {
            let length = [u8::try_from(reason.len()).unwrap()];
            let body = [before, &length, reason, after].concat();
            [&[first, u8::try_from(body.len()).unwrap()], &body[..]].concat()
        };
        let packets = [
            whole(0x20, &[0, 0x87], &reason("CONNACK"), &[]),
            whole(0x90, &[0, 1], &reason("SUBACK"), &[1, 0x87]),
            b"\xd0\x00\x90\x03\x00\x07\x01".to_vec(),
            whole(0xe0, &[0x82], &reason("DISCONNECT"), &[]),
        ];
        let expected =
            b"\x20\x03\x00\x87\x00\x90\x05\x00\x01\x00\x01\x87\xd0\x00\x90\x03\x00\x07\x01\xe0\x02\x82\x00";
        assert_eq!(without_reason_strings(&packets.concat()), expected);
    }
}
