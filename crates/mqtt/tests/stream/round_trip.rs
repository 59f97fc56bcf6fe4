//! What holds for bytes of any kind. The property tests and the fuzz target `packets` call it.

use bytes::BytesMut;
use mqtt::{Codec, ConnAck, Connect, DecodeError, Packet, Version};
use tokio_util::codec::{Decoder, Encoder};

const MAX: u32 = 1 << 20;

/// The end of a connection that reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    server: bool,
    version: Version,
    /// Whether CONNECT or CONNACK has been read before.
    opened: bool,
}

impl End {
    /// One of the eight ends, by the lowest three bits.
    pub(crate) fn from_byte(byte: u8) -> Self {
        let version = if byte & 0b010 == 0 { Version::V311 } else { Version::V5 };
        Self { server: byte & 0b001 == 0, version, opened: byte & 0b100 != 0 }
    }

    fn reader(self) -> Codec {
        let mut codec = if self.server { Codec::server(MAX) } else { Codec::client(self.version, MAX) };
        if self.opened {
            let opening = if self.server {
                Packet::Connect(Box::new(Connect::new(self.version, "a")))
            } else {
                Packet::ConnAck(Box::new(ConnAck::accepted(false)))
            };
            let mut bytes = BytesMut::new();
            self.writer().encode(opening, &mut bytes).unwrap();
            codec.decode(&mut bytes).unwrap().unwrap();
        }
        codec
    }

    /// The other end, which knows the version.
    fn writer(self) -> Codec {
        if self.server {
            Codec::client(self.version, MAX)
        } else {
            Self { server: true, opened: true, ..self }.reader()
        }
    }
}

/// Reads `bytes` at `end` and panics unless
///
/// - a packet is read with its last byte, and not a byte more is consumed, however the bytes arrive, and
/// - each packet can be written, and is read again as the same packet.
pub(crate) fn check(end: End, bytes: &[u8]) {
    let (packets, error) = read(end, bytes, bytes.len());
    assert_eq!(read(end, bytes, 1), (packets.clone(), error), "byte by byte");
    let mut version = end.version;
    for (_, packet) in packets {
        if let Packet::Connect(connect) = &packet {
            version = connect.version;
        }
        let opened = !matches!(packet, Packet::Connect(_) | Packet::ConnAck(_));
        let end = End { version, opened, ..end };
        let mut written = BytesMut::new();
        match end.writer().encode(packet.clone(), &mut written) {
            Ok(()) => assert_eq!(read(end, &written, written.len()), (vec![(written.len(), packet)], None)),
            Err(error) => assert!(is_only_received(&packet), "{packet:?}: {error}"),
        }
    }
}

type Read = (Vec<(usize, Packet)>, Option<DecodeError>);

/// The packets in bytes that arrive in pieces of `size`, each with the offset of its end.
fn read(end: End, bytes: &[u8], size: usize) -> Read {
    let (mut codec, mut buffer, mut packets) = (end.reader(), BytesMut::new(), Vec::new());
    let mut arrived = 0;
    for piece in bytes.chunks(size.max(1)) {
        buffer.extend_from_slice(piece);
        arrived += piece.len();
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(packet)) => packets.push((arrived - buffer.len(), packet)),
                Ok(None) => break,
                Err(error) => return (packets, Some(error)),
            }
        }
    }
    (packets, None)
}

/// AUTH is read and never written.
fn is_only_received(packet: &Packet) -> bool {
    matches!(packet, Packet::Auth)
}
