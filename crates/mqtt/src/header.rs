//! The fixed header (section 2.1): what can be refused before the rest of a packet has arrived.

use crate::error::DecodeError;
use crate::field::{is_minimal, var_int};
use crate::packet::Version;

/// Which end of the connection a codec is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

impl Role {
    /// Whether this end sends packets of `kind` (section 2.1.2).
    pub(crate) fn sends(self, kind: u8) -> bool {
        match kind {
            CONNECT | SUBSCRIBE | UNSUBSCRIBE | PINGREQ => self == Self::Client,
            CONNACK | SUBACK | UNSUBACK | PINGRESP => self == Self::Server,
            _ => true,
        }
    }

    fn receives(self, kind: u8) -> bool {
        match self {
            Self::Server => Self::Client.sends(kind),
            Self::Client => Self::Server.sends(kind),
        }
    }
}

pub(crate) const CONNECT: u8 = 1;
pub(crate) const CONNACK: u8 = 2;
pub(crate) const PUBLISH: u8 = 3;
pub(crate) const PUBACK: u8 = 4;
pub(crate) const PUBREC: u8 = 5;
pub(crate) const PUBREL: u8 = 6;
pub(crate) const PUBCOMP: u8 = 7;
pub(crate) const SUBSCRIBE: u8 = 8;
pub(crate) const SUBACK: u8 = 9;
pub(crate) const UNSUBSCRIBE: u8 = 10;
pub(crate) const UNSUBACK: u8 = 11;
pub(crate) const PINGREQ: u8 = 12;
pub(crate) const PINGRESP: u8 = 13;
pub(crate) const DISCONNECT: u8 = 14;
pub(crate) const AUTH: u8 = 15;

/// The fixed header of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The packet type, 1 to 15.
    pub(crate) kind: u8,
    /// The low four bits of the first byte.
    pub(crate) flags: u8,
    /// The size of the fixed header: the offset of the body.
    pub(crate) body: usize,
    /// The size of the whole packet: the offset of its end.
    pub(crate) end: usize,
    /// Whether the length is written in the fewest bytes, which only MQTT 5 demands.
    pub(crate) minimal: bool,
}

/// What this end accepts at this point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate {
    pub(crate) role: Role,
    /// A server does not know the version before CONNECT.
    pub(crate) version: Option<Version>,
    /// MQTT 3.1, in which some packets can have the DUP flag.
    pub(crate) v31: bool,
    /// Whether the opening packet, CONNECT or CONNACK, has arrived.
    pub(crate) opened: bool,
    pub(crate) max_packet_size: u32,
}

impl Gate {
    /// Reads the header at the start of `bytes`, or nothing if more bytes are needed.
    ///
    /// The type and its flags are judged on the first byte, the size as soon as the length is complete.
    pub(crate) fn header(self, bytes: &[u8]) -> Result<Option<Header>, DecodeError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let (kind, flags) = (first >> 4, first & 0x0f);
        self.check_kind(kind)?;
        let repeatable = self.v31 && matches!(kind, PUBREL | SUBSCRIBE | UNSUBSCRIBE);
        check_flags(kind, if repeatable { flags & 0b0111 } else { flags })?;
        let Some((length, count)) = var_int(rest)? else { return Ok(None) };
        let body = 1 + count;
        let size = u64::from(length) + body as u64;
        if size > u64::from(self.max_packet_size) {
            return Err(DecodeError::PacketTooLarge { size, max: self.max_packet_size });
        }
        let end = body.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(Some(Header { kind, flags, body, end, minimal: is_minimal(length, count) }))
    }

    fn check_kind(self, kind: u8) -> Result<(), DecodeError> {
        match (self.role, self.opened, kind) {
            (Role::Server, false, CONNECT) | (Role::Client, false, CONNACK) => return Ok(()),
            (Role::Server, false, _) => return Err(DecodeError::NotConnect),
            (Role::Server, true, CONNECT) => return Err(DecodeError::SecondConnect),
            (Role::Client, false, AUTH) if self.version == Some(Version::V5) => return Ok(()),
            (Role::Client, false, _) => return Err(DecodeError::NotConnAck),
            (Role::Client, true, CONNACK) => return Err(DecodeError::SecondConnAck),
            _ => {}
        }
        let v311 = self.version == Some(Version::V311);
        if kind == 0 || (v311 && kind == AUTH) {
            return Err(DecodeError::ReservedPacketType(kind));
        }
        let from_server_in_v311 = v311 && self.role == Role::Client && kind == DISCONNECT;
        if !self.role.receives(kind) || from_server_in_v311 {
            return Err(DecodeError::WrongDirection(kind));
        }
        Ok(())
    }
}

/// Section 2.1.3.
fn check_flags(kind: u8, flags: u8) -> Result<(), DecodeError> {
    match kind {
        PUBLISH if flags & 0b0110 == 0b0110 => Err(DecodeError::Qos),
        PUBLISH if flags & 0b1110 == 0b1000 => Err(DecodeError::DupOnQos0),
        PUBLISH => Ok(()),
        PUBREL | SUBSCRIBE | UNSUBSCRIBE if flags == 0b0010 => Ok(()),
        PUBREL | SUBSCRIBE | UNSUBSCRIBE => Err(DecodeError::FixedHeaderFlags(kind)),
        _ if flags == 0 => Ok(()),
        _ => Err(DecodeError::FixedHeaderFlags(kind)),
    }
}
