//! From bytes to packets and back.

use bytes::BytesMut;
use rmqtt_codec::{v3, v5 as rmqtt_v5};
use tokio_util::codec::{Decoder, Encoder};

use crate::amendment::Amendment;
use crate::error::{DecodeError, EncodeError};
use crate::frame::{self, Gate, Header, Role};
use crate::packet::{Packet, Version};
use crate::{outgoing, shape, v5, v311};

/// The largest packet that MQTT can write: the length field, and the header before it (section 2.1.4).
pub(crate) const LARGEST: u32 = 268_435_455 + 5;

/// One end of a connection.
///
/// A [`DecodeError`] is final: the stream has no meaning after it, and every later call returns it again.
/// Packets can still be written then, to say why the connection ends.
#[derive(Debug)]
pub struct Codec {
    gate: Gate,
    peer_maximum: u32,
    failure: Option<DecodeError>,
    v311: v3::Codec,
    v5: rmqtt_v5::Codec,
}

impl Codec {
    /// The server's end. It takes packets of up to `max_packet_size` bytes, header included, and learns the
    /// version from the CONNECT, which must come first.
    #[must_use]
    pub fn server(max_packet_size: u32) -> Self {
        Self::new(Role::Server, None, max_packet_size)
    }

    /// The client's end. It takes packets of up to `max_packet_size` bytes, header included; the first must be
    /// CONNACK, or AUTH in MQTT 5.
    #[must_use]
    pub fn client(version: Version, max_packet_size: u32) -> Self {
        Self::new(Role::Client, Some(version), max_packet_size)
    }

    /// The version of the connection; a server's is not known before CONNECT.
    ///
    /// After a CONNECT that is refused it is known too, if the CONNECT says it: a CONNACK can still say why. After
    /// [`DecodeError::UnsupportedProtocolVersion`] it is the supported version that is nearest (section 3.1.2.2).
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.gate.version
    }

    /// Refuses to write packets of more than `bytes`, header included: the Maximum Packet Size that the peer
    /// asked for in CONNECT or CONNACK (`[MQTT-3.1.2-24]`, `[MQTT-3.2.2-15]`).
    pub fn set_peer_maximum(&mut self, bytes: u32) {
        self.peer_maximum = bytes.min(LARGEST);
    }

    fn new(role: Role, version: Option<Version>, max_packet_size: u32) -> Self {
        Self {
            gate: Gate { role, version, opened: false, max_packet_size },
            peer_maximum: LARGEST,
            failure: None,
            v311: v3::Codec::new(0),
            v5: rmqtt_v5::Codec::new(0, 0),
        }
    }

    fn next_packet(&mut self, bytes: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        let Some(header) = self.gate.header(bytes)? else { return Ok(None) };
        let Some(body) = bytes.get_mut(header.body..header.end) else { return Ok(None) };
        let (version, amendment) = self.check(header, body)?;
        if version == Version::V5 && !header.minimal {
            return Err(DecodeError::LengthNotMinimal);
        }
        amendment.apply(body);
        let mut packet = match version {
            Version::V311 => v311::packet(self.v311.decode(bytes).map_err(refused)?),
            Version::V5 => v5::packet(self.v5.decode(bytes).map_err(refused)?),
        }?;
        amendment.undo(&mut packet);
        self.gate.opened |= matches!(header.kind, frame::CONNECT | frame::CONNACK);
        Ok(Some(packet))
    }

    fn check(&mut self, header: Header, body: &[u8]) -> Result<(Version, Amendment), DecodeError> {
        if let Some(version) = self.gate.version {
            return Ok((version, shape::check(header, body, version, self.gate.role)?));
        }
        let checked = shape::check_connect(body);
        self.gate.version = match checked {
            Ok((version, _)) => Some(version),
            Err(DecodeError::UnsupportedProtocolVersion(level)) if level > 5 => Some(Version::V5),
            Err(DecodeError::UnsupportedProtocolVersion(_)) => Some(Version::V311),
            Err(_) => shape::version(body),
        };
        checked
    }

    fn write(&mut self, packet: Packet, bytes: &mut BytesMut) -> Result<(), EncodeError> {
        let kind = packet.packet_type();
        if !self.gate.role.sends(kind) {
            return Err(EncodeError::WrongDirection(kind));
        }
        let version = self.gate.version.ok_or(EncodeError::VersionUnknown)?;
        if matches!(&packet, Packet::Connect(connect) if connect.version != version) {
            return Err(EncodeError::VersionMismatch);
        }
        outgoing::check(&packet, self.gate.role)?;
        if version == Version::V311 {
            let from_server = self.gate.role == Role::Server;
            let Some(wire) = v311::wire(packet, from_server)? else { return Ok(()) };
            return self.v311.encode(wire, bytes).map_err(unwritable);
        }
        match v5::wire(packet)? {
            v5::Wire::Full(wire) => self.v5.encode(wire, bytes).map_err(unwritable),
            v5::Wire::Short(wire) => self.v311.encode(wire, bytes).map_err(unwritable),
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
        let written = self.write(packet, bytes).and_then(|()| {
            let max = self.peer_maximum;
            let fits = u32::try_from(bytes.len() - start).is_ok_and(|size| size <= max);
            if fits { Ok(()) } else { Err(EncodeError::PacketTooLarge { max }) }
        });
        if written.is_err() {
            bytes.truncate(start);
        }
        written
    }
}

/// What is left for the codec underneath to refuse, after [`shape`].
#[expect(clippy::needless_pass_by_value, reason = "`map_err` gives the value")]
fn refused(error: rmqtt_codec::error::DecodeError) -> DecodeError {
    use rmqtt_codec::error::DecodeError as Refused;
    match error {
        Refused::Utf8Error => DecodeError::Utf8,
        Refused::MalformedPacket => DecodeError::ReasonCode,
        Refused::InvalidTopicFilter => DecodeError::TopicFilter,
        Refused::InvalidTopicName => DecodeError::TopicName,
        _ => DecodeError::Malformed,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` gives the value")]
fn unwritable(error: rmqtt_codec::error::EncodeError) -> EncodeError {
    use rmqtt_codec::error::EncodeError as Unwritable;
    match error {
        Unwritable::InvalidLength => EncodeError::FieldTooLong,
        Unwritable::OverMaxPacketSize { .. } => EncodeError::PacketTooLarge { max: LARGEST },
        Unwritable::PacketIdRequired => {
            EncodeError::Invalid("[MQTT-2.2.1-3] a QoS 1 or 2 message needs a packet id")
        }
        _ => EncodeError::Invalid("[MQTT-2.2.1-2] a QoS 0 message has a packet id"),
    }
}
