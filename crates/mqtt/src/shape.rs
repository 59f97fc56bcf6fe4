//! The shape of a packet's body: every field inside the packet, nothing after the last one, and every reserved
//! bit as it must be.
//!
//! The codec underneath then takes the values out. It reads strings, reason codes and topic names, but lets
//! much of what is refused here pass, or does not say what was wrong.

use crate::amendment::Amendment;
use crate::error::DecodeError;
use crate::frame::{self, Header, Role};
use crate::packet::Version;
use crate::property::{self, Owner};
use crate::reader::Reader;

/// Checks the body of any packet but CONNECT.
pub(crate) fn check(
    header: Header,
    body: &[u8],
    version: Version,
    role: Role,
) -> Result<Amendment, DecodeError> {
    let v5 = version == Version::V5;
    let mut reader = Reader::new(body);
    let reader = &mut reader;
    let mut amendment = Amendment::default();
    match header.kind {
        frame::CONNACK => connack(reader, v5)?,
        frame::PUBLISH => amendment.zero_expiry = publish(reader, header.flags, v5, role)?,
        frame::PUBACK | frame::PUBREC | frame::PUBREL | frame::PUBCOMP => {
            reader.packet_id()?;
            code_and_properties(reader, v5, Owner::Answer)?;
        }
        frame::SUBSCRIBE => subscribe(reader, v5)?,
        frame::UNSUBSCRIBE => unsubscribe(reader, v5)?,
        frame::SUBACK => suback(reader, v5)?,
        frame::UNSUBACK if v5 => suback(reader, v5)?,
        frame::UNSUBACK => {
            reader.packet_id()?;
            reader.end()?;
        }
        frame::DISCONNECT => code_and_properties(reader, v5, disconnect_from_peer_of(role))?,
        frame::AUTH => code_and_properties(reader, v5, Owner::Auth)?,
        _ => reader.end()?,
    }
    Ok(amendment)
}

/// Checks the body of a CONNECT and finds its version (section 3.1.2).
pub(crate) fn check_connect(body: &[u8]) -> Result<(Version, Amendment), DecodeError> {
    let mut reader = Reader::new(body);
    let reader = &mut reader;
    let version = protocol(reader)?;
    let v5 = version == Version::V5;
    let mut amendment = Amendment::default();

    let flags_position = reader.position();
    let flags = ConnectFlags::read(reader, version)?;
    reader.u16()?;
    if v5 {
        property::check(reader, Owner::Connect)?;
    }
    if reader.field()?.is_empty() && !flags.clean_start {
        if !v5 {
            return Err(DecodeError::ClientIdRequired);
        }
        amendment.connect_flags = Some(flags_position);
    }
    if flags.will {
        if v5 {
            amendment.zero_expiry = property::check(reader, Owner::Will)?;
        }
        reader.field()?;
        reader.field()?;
    }
    for _ in 0..u8::from(flags.username) + u8::from(flags.password) {
        reader.field()?;
    }
    reader.end()?;
    Ok((version, amendment))
}

/// The version of a CONNECT whose rest may be wrong.
pub(crate) fn version(body: &[u8]) -> Option<Version> {
    protocol(&mut Reader::new(body)).ok()
}

/// Sections 3.1.2.1 and 3.1.2.2.
fn protocol(reader: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let name = reader.field()?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(DecodeError::ProtocolName);
    }
    match (name, reader.u8()?) {
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        (_, level) => Err(DecodeError::UnsupportedProtocolVersion(level)),
    }
}

/// Section 3.1.2.3.
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of one byte")]
struct ConnectFlags {
    clean_start: bool,
    will: bool,
    username: bool,
    password: bool,
}

impl ConnectFlags {
    fn read(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let byte = reader.u8()?;
        let set = |mask: u8| byte & mask != 0;
        if set(0b0000_0001) {
            return Err(DecodeError::ConnectReservedFlag);
        }
        let will = set(0b0000_0100);
        if !will && set(0b0011_1000) {
            return Err(DecodeError::WillFlags);
        }
        if byte & 0b0001_1000 == 0b0001_1000 {
            return Err(DecodeError::WillQos);
        }
        let (username, password) = (set(0b1000_0000), set(0b0100_0000));
        if password && !username && version == Version::V311 {
            return Err(DecodeError::PasswordWithoutUserName);
        }
        Ok(Self { clean_start: set(0b0000_0010), will, username, password })
    }
}

fn connack(reader: &mut Reader<'_>, v5: bool) -> Result<(), DecodeError> {
    let flags = reader.u8()?;
    if flags > 1 {
        return Err(DecodeError::ConnAckFlags);
    }
    if reader.u8()? != 0 && flags != 0 {
        return Err(DecodeError::SessionPresent);
    }
    if v5 {
        property::check(reader, Owner::ConnAck)?;
    }
    reader.end()
}

fn publish(reader: &mut Reader<'_>, flags: u8, v5: bool, role: Role) -> Result<Option<usize>, DecodeError> {
    reader.field()?;
    if flags & 0b0110 != 0 {
        reader.packet_id()?;
    }
    let owner = match role {
        Role::Server => Owner::PublishFromClient,
        Role::Client => Owner::PublishFromServer,
    };
    if v5 { property::check(reader, owner) } else { Ok(None) }
}

/// The end of a packet that may leave out its properties, or them and its code (section 3.4.2).
fn code_and_properties(reader: &mut Reader<'_>, v5: bool, owner: Owner) -> Result<(), DecodeError> {
    if v5 && !reader.is_empty() {
        reader.u8()?;
        if !reader.is_empty() {
            property::check(reader, owner)?;
        }
    }
    reader.end()
}

fn subscribe(reader: &mut Reader<'_>, v5: bool) -> Result<(), DecodeError> {
    reader.packet_id()?;
    if v5 {
        property::check(reader, Owner::Subscribe)?;
    }
    if reader.is_empty() {
        return Err(DecodeError::NoTopicFilter);
    }
    while !reader.is_empty() {
        reader.field()?;
        let options = reader.u8()?;
        let reserved = if v5 { 0b1100_0000 } else { 0b1111_1100 };
        if options & reserved != 0 {
            return Err(DecodeError::SubscriptionOptions);
        }
        if options & 0b0000_0011 == 0b0000_0011 {
            return Err(DecodeError::MaximumQos);
        }
        if options & 0b0011_0000 == 0b0011_0000 {
            return Err(DecodeError::RetainHandling);
        }
    }
    Ok(())
}

fn unsubscribe(reader: &mut Reader<'_>, v5: bool) -> Result<(), DecodeError> {
    reader.packet_id()?;
    if v5 {
        property::check(reader, Owner::Unsubscribe)?;
    }
    if reader.is_empty() {
        return Err(DecodeError::NoTopicFilter);
    }
    while !reader.is_empty() {
        reader.field()?;
    }
    Ok(())
}

/// The codes are the rest of the packet.
fn suback(reader: &mut Reader<'_>, v5: bool) -> Result<(), DecodeError> {
    reader.packet_id()?;
    if v5 {
        property::check(reader, Owner::Answer)?;
    }
    Ok(())
}

fn disconnect_from_peer_of(role: Role) -> Owner {
    match role {
        Role::Server => Owner::DisconnectFromClient,
        Role::Client => Owner::DisconnectFromServer,
    }
}
