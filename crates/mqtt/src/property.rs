//! The properties of MQTT 5 (section 2.2.2): which packet may have which, how often, and with which values.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::{BufMut, BytesMut};

use crate::error::{DecodeError, EncodeError};
use crate::field::{MAX_PACKET_SIZE, MAX_VAR_INT, Reader, insert_var_int, put_binary, put_text, put_var_int};
use crate::packet::UserProperty;

/// What can have properties. The values are bits of the sets in the table below.
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
const PUBLISH: u16 = FROM_SERVER | Owner::PublishFromClient as u16;
const MESSAGE: u16 = WILL | PUBLISH;
const ANSWER: u16 = Owner::Answer as u16;
const SUBSCRIBE: u16 = Owner::Subscribe as u16;
const CLIENT_DISCONNECT: u16 = Owner::DisconnectFromClient as u16;
const SERVER_DISCONNECT: u16 = Owner::DisconnectFromServer as u16;
const DISCONNECT: u16 = CLIENT_DISCONNECT | SERVER_DISCONNECT;
const AUTH: u16 = Owner::Auth as u16;
const ANY: u16 = u16::MAX;

const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
const AUTHENTICATION_METHOD: u8 = 0x15;
const AUTHENTICATION_DATA: u8 = 0x16;
const USER: u8 = 0x26;

macro_rules! properties {
    ($($id:literal $name:ident($value:ty): $owners:expr,)+) => {
        /// One property with its value, which borrows from the packet.
        #[derive(Debug, Clone, Copy)]
        pub(crate) enum Property<'a> {
            $($name($value),)+
        }

        impl<'a> Property<'a> {
            /// The property's name in the specification, without spaces.
            fn name(id: u8) -> Option<&'static str> {
                match id {
                    $($id => Some(stringify!($name)),)+
                    _ => None,
                }
            }

            /// The set of the [`Owner`]s that may have the property.
            fn owners(id: u8) -> u16 {
                match id {
                    $($id => $owners,)+
                    _ => 0,
                }
            }

            fn read(id: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
                let value = match id {
                    $($id => <$value>::read(reader)?.map(Self::$name),)+
                    _ => return Err(DecodeError::PropertyNotAllowed(id)),
                };
                value.ok_or(DecodeError::PropertyValue(id))
            }

            fn write(self, bytes: &mut BytesMut) -> Result<(), EncodeError> {
                match self {
                    $(Self::$name(value) => {
                        bytes.put_u8($id);
                        value.write(bytes)
                    })+
                }
            }
        }
    };
}

// Table 2-4 of section 2.2.2.2. No identifier is above 0x2a, so they fit a set of 64 bits.
properties! {
    0x01 PayloadFormatIndicator(bool): MESSAGE,
    0x02 MessageExpiryInterval(u32): MESSAGE,
    0x03 ContentType(&'a str): MESSAGE,
    0x08 ResponseTopic(&'a str): MESSAGE,
    0x09 CorrelationData(&'a [u8]): MESSAGE,
    0x0b SubscriptionIdentifier(VarInt): FROM_SERVER | SUBSCRIBE,
    0x11 SessionExpiryInterval(u32): CONNECT | CONNACK | CLIENT_DISCONNECT,
    0x12 AssignedClientIdentifier(&'a str): CONNACK,
    0x13 ServerKeepAlive(u16): CONNACK,
    0x15 AuthenticationMethod(&'a str): CONNECT | CONNACK | AUTH,
    0x16 AuthenticationData(&'a [u8]): CONNECT | CONNACK | AUTH,
    0x17 RequestProblemInformation(bool): CONNECT,
    0x18 WillDelayInterval(u32): WILL,
    0x19 RequestResponseInformation(bool): CONNECT,
    0x1a ResponseInformation(&'a str): CONNACK,
    0x1c ServerReference(&'a str): CONNACK | SERVER_DISCONNECT,
    0x1f ReasonString(&'a str): CONNACK | ANSWER | DISCONNECT | AUTH,
    0x21 ReceiveMaximum(NonZeroU16): CONNECT | CONNACK,
    0x22 TopicAliasMaximum(u16): CONNECT | CONNACK,
    0x23 TopicAlias(NonZeroU16): PUBLISH,
    0x24 MaximumQos(bool): CONNACK,
    0x25 RetainAvailable(bool): CONNACK,
    0x26 User((&'a str, &'a str)): ANY,
    0x27 MaximumPacketSize(NonZeroU32): CONNECT | CONNACK,
    0x28 WildcardSubscriptionAvailable(bool): CONNACK,
    0x29 SubscriptionIdentifiersAvailable(bool): CONNACK,
    0x2a SharedSubscriptionAvailable(bool): CONNACK,
}

/// A property for a message: its number, and its name if it has one.
pub(crate) fn described(id: u8) -> String {
    let Some(name) = Property::name(id) else { return format!("0x{id:02x}, which MQTT does not define,") };
    let mut words = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(character);
    }
    format!("0x{id:02x} ({words})")
}

/// A property block, read one property at a time.
#[derive(Debug)]
pub(crate) struct Properties<'a> {
    block: Reader<'a>,
    owner: Owner,
    seen: u64,
}

impl<'a> Properties<'a> {
    /// The block that `reader` is at, its length included.
    pub(crate) fn read(reader: &mut Reader<'a>, owner: Owner) -> Result<Self, DecodeError> {
        Ok(Self { block: reader.block()?, owner, seen: 0 })
    }

    /// The next property, which is one of its owner's, or nothing at the end of the block.
    pub(crate) fn next_property(&mut self) -> Result<Option<Property<'a>>, DecodeError> {
        if self.block.is_empty() {
            return if self.has(AUTHENTICATION_DATA) && !self.has(AUTHENTICATION_METHOD) {
                Err(DecodeError::AuthenticationMethodMissing)
            } else {
                Ok(None)
            };
        }
        let id = self.block.u8()?;
        if id == SUBSCRIPTION_IDENTIFIER && self.owner == Owner::PublishFromClient {
            return Err(DecodeError::SubscriptionIdFromClient);
        }
        if Property::owners(id) & self.owner as u16 == 0 {
            return Err(DecodeError::PropertyNotAllowed(id));
        }
        let repeats = id == USER || (id == SUBSCRIPTION_IDENTIFIER && self.owner == Owner::PublishFromServer);
        if self.has(id) && !repeats {
            return Err(DecodeError::DuplicateProperty(id));
        }
        self.seen |= bit(id);
        Property::read(id, &mut self.block).map(Some)
    }

    /// Reads to the end of the block, for properties that are only checked.
    pub(crate) fn skip(mut self) -> Result<(), DecodeError> {
        while self.next_property()?.is_some() {}
        Ok(())
    }

    fn has(&self, id: u8) -> bool {
        self.seen & bit(id) != 0
    }
}

/// Writes a property block, its length included.
pub(crate) fn write<'a>(
    bytes: &mut BytesMut,
    properties: impl Iterator<Item = Property<'a>>,
) -> Result<(), EncodeError> {
    let start = bytes.len();
    for property in properties {
        property.write(bytes)?;
    }
    let length = u32::try_from(bytes.len() - start).ok().filter(|&length| length <= MAX_VAR_INT);
    insert_var_int(bytes, start, length.ok_or(EncodeError::PacketTooLarge { max: MAX_PACKET_SIZE })?);
    Ok(())
}

/// User properties as they are written.
pub(crate) fn user(properties: &[UserProperty]) -> impl Iterator<Item = Property<'_>> {
    properties.iter().map(|(name, value)| Property::User((name, value)))
}

fn bit(id: u8) -> u64 {
    1_u64.checked_shl(id.into()).unwrap_or(0)
}

/// The type of a property's value. `read` gives nothing for a value that the type can't have.
trait Value<'a>: Sized {
    fn read(reader: &mut Reader<'a>) -> Result<Option<Self>, DecodeError>;

    fn write(self, bytes: &mut BytesMut) -> Result<(), EncodeError>;
}

/// One byte, 0 or 1.
impl Value<'_> for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        Ok(match reader.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        })
    }

    fn write(self, bytes: &mut BytesMut) -> Result<(), EncodeError> {
        bytes.put_u8(self.into());
        Ok(())
    }
}

impl Value<'_> for u16 {
    fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        reader.u16().map(Some)
    }

    fn write(self, bytes: &mut BytesMut) -> Result<(), EncodeError> {
        bytes.put_u16(self);
        Ok(())
    }
}

impl Value<'_> for u32 {
    fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        reader.u32().map(Some)
    }

    fn write(self, bytes: &mut BytesMut) -> Result<(), EncodeError> {
        bytes.put_u32(self);
        Ok(())
    }
}

impl Value<'_> for NonZeroU16 {
    fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        reader.u16().map(Self::new)
    }

    fn write(self, bytes: &mut BytesMut) -> Result<(), EncodeError> {
        self.get().write(bytes)
    }
}

impl Value<'_> for NonZeroU32 {
    fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        reader.u32().map(Self::new)
    }

    fn write(self, bytes: &mut BytesMut) -> Result<(), EncodeError> {
        self.get().write(bytes)
    }
}

/// A variable byte integer that is not 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VarInt(pub(crate) NonZeroU32);

impl Value<'_> for VarInt {
    fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        Ok(NonZeroU32::new(reader.var_int()?).map(Self))
    }

    fn write(self, bytes: &mut BytesMut) -> Result<(), EncodeError> {
        if self.0.get() > MAX_VAR_INT {
            return Err(EncodeError::Invalid("section 3.8.2.1.2: the subscription identifier is too large"));
        }
        put_var_int(bytes, self.0.get());
        Ok(())
    }
}

impl<'a> Value<'a> for &'a str {
    fn read(reader: &mut Reader<'a>) -> Result<Option<Self>, DecodeError> {
        reader.text().map(Some)
    }

    fn write(self, bytes: &mut BytesMut) -> Result<(), EncodeError> {
        put_text(bytes, self)
    }
}

impl<'a> Value<'a> for &'a [u8] {
    fn read(reader: &mut Reader<'a>) -> Result<Option<Self>, DecodeError> {
        reader.binary().map(Some)
    }

    fn write(self, bytes: &mut BytesMut) -> Result<(), EncodeError> {
        put_binary(bytes, self)
    }
}

impl<'a> Value<'a> for (&'a str, &'a str) {
    fn read(reader: &mut Reader<'a>) -> Result<Option<Self>, DecodeError> {
        Ok(Some((reader.text()?, reader.text()?)))
    }

    fn write(self, bytes: &mut BytesMut) -> Result<(), EncodeError> {
        put_text(bytes, self.0)?;
        put_text(bytes, self.1)
    }
}
