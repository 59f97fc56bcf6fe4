//! The properties of MQTT 5 (section 2.2.2): which packet may have which, how often, and with which values.

use crate::error::DecodeError;
use crate::reader::Reader;

/// What can have properties. The values are bits of [`Rule::owners`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Owner {
    Connect = 1,
    Will = 1 << 1,
    ConnAck = 1 << 2,
    PublishFromClient = 1 << 3,
    PublishFromServer = 1 << 4,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
    Answer = 1 << 5,
    Subscribe = 1 << 6,
    Unsubscribe = 1 << 7,
    DisconnectFromClient = 1 << 8,
    DisconnectFromServer = 1 << 9,
    Auth = 1 << 10,
}

const CONNECT: u16 = Owner::Connect as u16;
const WILL: u16 = Owner::Will as u16;
const CONNACK: u16 = Owner::ConnAck as u16;
const FROM_SERVER: u16 = Owner::PublishFromServer as u16;
const MESSAGE: u16 = WILL | FROM_SERVER | Owner::PublishFromClient as u16;
const PUBLISH: u16 = FROM_SERVER | Owner::PublishFromClient as u16;
const ANSWER: u16 = Owner::Answer as u16;
const SUBSCRIBE: u16 = Owner::Subscribe as u16;
const CLIENT_DISCONNECT: u16 = Owner::DisconnectFromClient as u16;
const SERVER_DISCONNECT: u16 = Owner::DisconnectFromServer as u16;
const DISCONNECT: u16 = CLIENT_DISCONNECT | SERVER_DISCONNECT;
const AUTH: u16 = Owner::Auth as u16;

const MESSAGE_EXPIRY: u8 = 0x02;
const SUBSCRIPTION_ID: u8 = 0x0b;
const AUTHENTICATION_METHOD: u8 = 0x15;
const AUTHENTICATION_DATA: u8 = 0x16;
const USER: u8 = 0x26;

/// Checks the property block that `reader` is at, its length included.
///
/// Returns where a message expiry interval of 0 stands, if there is one.
pub(crate) fn check(reader: &mut Reader<'_>, owner: Owner) -> Result<Option<usize>, DecodeError> {
    let length = reader.var_int()?;
    let mut block = reader.part(length)?;
    let mut seen = 0_u64;
    let mut zero_expiry = None;
    while !block.is_empty() {
        let id = block.u8()?;
        if id == SUBSCRIPTION_ID && owner == Owner::PublishFromClient {
            return Err(DecodeError::SubscriptionIdFromClient);
        }
        let rule = Rule::of(id).filter(|rule| rule.owners & owner as u16 != 0);
        let rule = rule.ok_or(DecodeError::PropertyNotAllowed(id))?;
        let bit = 1_u64.checked_shl(id.into()).unwrap_or(0);
        if seen & bit != 0 && !may_repeat(id, owner) {
            return Err(DecodeError::DuplicateProperty(id));
        }
        seen |= bit;
        let position = block.position();
        let value = rule.kind.read(&mut block, id)?;
        if id == MESSAGE_EXPIRY && value == 0 {
            zero_expiry = Some(position);
        }
    }
    if seen & (1 << AUTHENTICATION_DATA) != 0 && seen & (1 << AUTHENTICATION_METHOD) == 0 {
        return Err(DecodeError::AuthenticationMethodMissing);
    }
    Ok(zero_expiry)
}

fn may_repeat(id: u8, owner: Owner) -> bool {
    id == USER || (id == SUBSCRIPTION_ID && owner == Owner::PublishFromServer)
}

struct Rule {
    kind: Kind,
    owners: u16,
}

impl Rule {
    /// Table 2-4 of section 2.2.2.2. No identifier is above 0x2a, so they fit a 64-bit set.
    fn of(id: u8) -> Option<Self> {
        use Kind::{Binary, Flag, Four, FourNotZero, Pair, Text, Two, TwoNotZero, VarIntNotZero};
        let (kind, owners) = match id {
            0x01 => (Flag, MESSAGE),
            MESSAGE_EXPIRY => (Four, MESSAGE),
            0x03 | 0x08 => (Text, MESSAGE),
            0x09 => (Binary, MESSAGE),
            SUBSCRIPTION_ID => (VarIntNotZero, FROM_SERVER | SUBSCRIBE),
            0x11 => (Four, CONNECT | CONNACK | CLIENT_DISCONNECT),
            0x12 | 0x1a => (Text, CONNACK),
            0x13 => (Two, CONNACK),
            AUTHENTICATION_METHOD => (Text, CONNECT | CONNACK | AUTH),
            AUTHENTICATION_DATA => (Binary, CONNECT | CONNACK | AUTH),
            0x17 | 0x19 => (Flag, CONNECT),
            0x18 => (Four, WILL),
            0x1c => (Text, CONNACK | SERVER_DISCONNECT),
            0x1f => (Text, CONNACK | ANSWER | DISCONNECT | AUTH),
            0x21 => (TwoNotZero, CONNECT | CONNACK),
            0x22 => (Two, CONNECT | CONNACK),
            0x23 => (TwoNotZero, PUBLISH),
            0x24 | 0x25 | 0x28 | 0x29 | 0x2a => (Flag, CONNACK),
            USER => (Pair, u16::MAX),
            0x27 => (FourNotZero, CONNECT | CONNACK),
            _ => return None,
        };
        Some(Self { kind, owners })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    /// One byte, 0 or 1.
    Flag,
    Two,
    TwoNotZero,
    Four,
    FourNotZero,
    VarIntNotZero,
    Text,
    Binary,
    Pair,
}

impl Kind {
    /// Reads a value of property `id` and returns it if it is a number, else 1.
    fn read(self, reader: &mut Reader<'_>, id: u8) -> Result<u32, DecodeError> {
        let value = match self {
            Self::Flag => u32::from(reader.u8()?),
            Self::Two | Self::TwoNotZero => u32::from(reader.u16()?),
            Self::Four | Self::FourNotZero => reader.u32()?,
            Self::VarIntNotZero => reader.var_int()?,
            Self::Text => string(reader)?,
            Self::Pair => string(reader).and_then(|_| string(reader))?,
            Self::Binary => reader.field().map(|_| 1)?,
        };
        let allowed = match self {
            Self::Flag => value <= 1,
            Self::TwoNotZero | Self::FourNotZero | Self::VarIntNotZero => value != 0,
            _ => true,
        };
        if allowed { Ok(value) } else { Err(DecodeError::PropertyValue(id)) }
    }
}

/// In UTF-8 only U+0000 has a zero byte.
fn string(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let bytes = reader.field()?;
    std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8)?;
    if bytes.contains(&0) { Err(DecodeError::NullCharacter) } else { Ok(1) }
}
