//! The stream of one connection: from bytes to packets and back.

use bytes::{Buf, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::decode::BRIDGE;
use crate::error::{DecodeError, EncodeError};
use crate::field::{MAX_PACKET_SIZE, Reader};
use crate::header::{self, Gate, Header, Role};
use crate::packet::{Connect, Packet, Version};
use crate::{decode, encode};

/// One end of a connection.
///
/// A [`DecodeError`] is final: the stream has no meaning after it, and every later call returns it again.
/// Packets can still be written then, to say why the connection ends.
#[derive(Debug)]
pub struct Codec {
    gate: Gate,
    peer_maximum: u32,
    /// Whether acknowledgements may have reason strings: what the client's CONNECT asks for.
    problem_information: bool,
    /// Whether MQTT 3.1 and the levels of brokers that bridge are accepted.
    older_protocols: bool,
    /// The level of the CONNECT that was accepted.
    protocol_level: Option<u8>,
    failure: Option<DecodeError>,
}

impl Codec {
    /// The server's end. It accepts packets of up to `max_packet_size` bytes, header included, and learns the
    /// version from the CONNECT, which must come first.
    #[must_use]
    pub fn server(max_packet_size: u32) -> Self {
        Self::new(Role::Server, None, max_packet_size)
    }

    /// The client's end. It accepts packets of up to `max_packet_size` bytes, header included; the first must be
    /// CONNACK, or AUTH in MQTT 5.
    #[must_use]
    pub fn client(version: Version, max_packet_size: u32) -> Self {
        Self::new(Role::Client, Some(version), max_packet_size)
    }

    /// Accepts MQTT 3.1 (`MQIsdp`, level 3) as [`Version::V311`], and the levels with which brokers that bridge begin, 0x83
    /// to 0x85, as those without the highest bit.
    ///
    /// MQTT 3.1 differs from 3.1.1 in what a client may send: PUBREL, SUBSCRIBE and UNSUBSCRIBE can have the DUP flag
    /// (MQTT 3.1, section 2.1).
    #[must_use]
    pub fn with_older_protocols(self) -> Self {
        Self { older_protocols: true, ..self }
    }

    /// The protocol level of the CONNECT that was accepted, as the client sent it.
    #[must_use]
    pub fn protocol_level(&self) -> Option<u8> {
        self.protocol_level
    }

    /// The version of the connection. A server does not know it before CONNECT.
    ///
    /// After a CONNECT that is refused it is known too, if the CONNECT says it: a CONNACK can still say why. After
    /// [`DecodeError::UnsupportedProtocolVersion`] it is the supported version that is nearest (section 3.1.2.2), without
    /// regard to the highest bit: brokers that bridge set it (0x83 and 0x84), and use the level without it after a refusal.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.gate.version
    }

    /// Refuses to write packets of more than `bytes`, header included: the Maximum Packet Size that the peer
    /// asked for in CONNECT or CONNACK (`[MQTT-3.1.2-24]`, `[MQTT-3.2.2-15]`).
    pub fn set_peer_maximum(&mut self, bytes: u32) {
        self.peer_maximum = bytes.min(MAX_PACKET_SIZE);
    }

    fn new(role: Role, version: Option<Version>, max_packet_size: u32) -> Self {
        Self {
            gate: Gate { role, version, v31: false, opened: false, max_packet_size },
            peer_maximum: MAX_PACKET_SIZE,
            problem_information: true,
            older_protocols: false,
            protocol_level: None,
            failure: None,
        }
    }

    fn next_packet(&mut self, bytes: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        let Some(header) = self.gate.header(bytes)? else { return Ok(None) };
        let Some(body) = bytes.get(header.body..header.end) else { return Ok(None) };
        let packet = match self.gate.version {
            None => Packet::Connect(Box::new(self.connect(header, body)?)),
            Some(Version::V5) if !header.minimal => return Err(DecodeError::LengthNotMinimal),
            Some(version) if header.kind == header::PUBLISH => {
                bytes.advance(header.body);
                let body = bytes.split_to(header.end - header.body).freeze();
                let message = decode::publish(header.flags, &body, version, self.gate.role)?;
                return Ok(Some(Packet::Publish(message)));
            }
            Some(version) => decode::packet(header.kind, body, version, self.gate.role)?,
        };
        bytes.advance(header.end);
        self.gate.opened |= matches!(header.kind, header::CONNECT | header::CONNACK);
        Ok(Some(packet))
    }

    fn connect(&mut self, header: Header, body: &[u8]) -> Result<Connect, DecodeError> {
        let mut reader = Reader::new(body);
        let protocol = decode::protocol(&mut reader, self.older_protocols);
        self.gate.version = match protocol {
            Ok((version, _)) => Some(version),
            Err(DecodeError::UnsupportedProtocolVersion(level)) if level & !BRIDGE > 4 => Some(Version::V5),
            Err(DecodeError::UnsupportedProtocolVersion(_)) => Some(Version::V311),
            Err(_) => None,
        };
        let (version, level) = protocol?;
        self.gate.v31 = level & !BRIDGE == 3;
        self.protocol_level = Some(level);
        if version == Version::V5 && !header.minimal {
            return Err(DecodeError::LengthNotMinimal);
        }
        let connect = decode::connect(reader, version)?;
        self.problem_information = connect.properties.request_problem_information;
        Ok(connect)
    }

    /// A packet goes out without its reason string if the client does not want one (`[MQTT-3.1.2-29]`), or if only the
    /// reason string makes it larger than the peer accepts (`[MQTT-3.2.2-19]`, `[MQTT-3.4.2-2]`, `[MQTT-3.14.2-3]`).
    fn write(&self, mut packet: Packet, bytes: &mut BytesMut) -> Result<(), EncodeError> {
        let kind = packet.packet_type();
        if !self.gate.role.sends(kind) {
            return Err(EncodeError::WrongDirection(kind));
        }
        let version = self.gate.version.ok_or(EncodeError::VersionUnknown)?;
        if matches!(&packet, Packet::Connect(connect) if connect.version != version) {
            return Err(EncodeError::VersionMismatch);
        }
        if !self.problem_information && packet.is_acknowledgement() {
            packet.take_reason_string();
        }
        let start = bytes.len();
        match encode::packet(&packet, version, self.gate.role, self.peer_maximum, bytes) {
            Err(EncodeError::PacketTooLarge { .. }) if packet.take_reason_string().is_some() => {
                bytes.truncate(start);
                encode::packet(&packet, version, self.gate.role, self.peer_maximum, bytes)
            }
            written => written,
        }
    }
}

impl Decoder for Codec {
    type Item = Packet;
    type Error = DecodeError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        self.next_packet(bytes).inspect_err(|&error| self.failure = Some(error))
    }

    /// The end of the stream inside a packet is [`DecodeError::Io`], as any other loss of the connection.
    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        match self.decode(bytes)? {
            None if !bytes.is_empty() => Err(DecodeError::Io(std::io::ErrorKind::UnexpectedEof)),
            packet => Ok(packet),
        }
    }
}

/// Writes a packet whole or not at all.
///
/// In 3.1.1 what only MQTT 5 can say is left out: properties, and from a server a DISCONNECT and a CONNACK
/// without a return code. What can't be left out without saying something else is an error: a negative answer
/// to a message, a message without a topic, AUTH.
impl Encoder<Packet> for Codec {
    type Error = EncodeError;

    fn encode(&mut self, packet: Packet, bytes: &mut BytesMut) -> Result<(), EncodeError> {
        let start = bytes.len();
        self.write(packet, bytes).inspect_err(|_| bytes.truncate(start))
    }
}
