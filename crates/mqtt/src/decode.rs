//! From the body of a packet to its values, in one pass (chapter 3).
//!
//! Each field is checked when it is read: it lies inside the packet, its reserved bits are as they must be, and its
//! value is one that the packet can have.

use std::num::NonZeroU16;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::DecodeError;
use crate::field::{Reader, topic_name};
use crate::header::{self, Role};
use crate::packet::{
    ConnAck, ConnAckProperties, Connect, ConnectProperties, Disconnect, InvalidFilter, LastWill,
    LastWillProperties, Packet, PubAck, PubRel, Publish, PublishProperties, RetainHandling, SubAck,
    Subscribe, SubscribeFilter, UnsubAck, Unsubscribe, UserProperty, Version,
};
use crate::property::{Owner, Properties, Property, VarInt};
use crate::reason::{ConnectReasonCode, QoS, SubAckCode, SubscribeFailure, UnknownCode};
use crate::topic::TopicFilter;

/// The bit of the protocol level that tells a bridge from a client. It is not in the specification.
pub(crate) const BRIDGE: u8 = 0x80;

/// The protocol name and the protocol level of a CONNECT (sections 3.1.2.1 and 3.1.2.2).
///
/// With `older`, MQTT 3.1 and the levels of brokers that bridge are accepted too ([`crate::Codec::with_older_protocols`]).
pub(crate) fn protocol(reader: &mut Reader<'_>, older: bool) -> Result<(Version, u8), DecodeError> {
    let name = reader.binary()?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(DecodeError::ProtocolName);
    }
    let level = reader.u8()?;
    match (name, if older { level & !BRIDGE } else { level }) {
        (b"MQIsdp", 3) if older => Ok((Version::V311, level)),
        (b"MQTT", 4) => Ok((Version::V311, level)),
        (b"MQTT", 5) => Ok((Version::V5, level)),
        _ => Err(DecodeError::UnsupportedProtocolVersion(level)),
    }
}

/// The rest of a CONNECT, after [`protocol`] (section 3.1.2.3 onwards).
///
/// What is kept as long as the connection is copied, so that it does not hold the read buffer.
pub(crate) fn connect(mut reader: Reader<'_>, version: Version) -> Result<Connect, DecodeError> {
    let v5 = version == Version::V5;
    let flags = ConnectFlags::read(&mut reader, version)?;
    let keep_alive = reader.u16()?;
    let properties = if v5 { connect_properties(&mut reader)? } else { ConnectProperties::default() };
    let client_id = reader.text()?;
    if client_id.is_empty() && !flags.clean_start && !v5 {
        return Err(DecodeError::ClientIdRequired);
    }
    let last_will = match flags.will {
        Some((qos, retain)) => Some(last_will(&mut reader, v5, qos, retain)?),
        None => None,
    };
    let username = if flags.username { Some(reader.text()?.into()) } else { None };
    let password = if flags.password { Some(Bytes::copy_from_slice(reader.binary()?)) } else { None };
    reader.end()?;
    Ok(Connect {
        version,
        client_id: client_id.into(),
        clean_start: flags.clean_start,
        keep_alive,
        username,
        password,
        last_will,
        properties,
    })
}

/// A PUBLISH (section 3.3). Its payload and correlation data share `body`.
pub(crate) fn publish(flags: u8, body: &Bytes, version: Version, role: Role) -> Result<Publish, DecodeError> {
    let v5 = version == Version::V5;
    let mut reader = Reader::new(body);
    let topic = reader.text()?;
    let topic = if v5 && topic.is_empty() { None } else { Some(topic_name(topic)?) };
    let qos = QoS::try_from((flags & 0b0110) >> 1).map_err(|_| DecodeError::Qos)?;
    let packet_id = if qos == QoS::AtMostOnce { None } else { Some(reader.packet_id()?) };
    let properties = if v5 {
        let owner = match role {
            Role::Server => Owner::PublishFromClient,
            Role::Client => Owner::PublishFromServer,
        };
        publish_properties(&mut reader, body, owner)?
    } else {
        PublishProperties::default()
    };
    if topic.is_none() && properties.topic_alias.is_none() {
        return Err(DecodeError::TopicMissing);
    }
    Ok(Publish {
        topic,
        payload: body.slice_ref(reader.rest()),
        qos,
        retain: flags & 0b0001 != 0,
        dup: flags & 0b1000 != 0,
        packet_id,
        properties: (properties != PublishProperties::default()).then(|| Arc::new(properties)),
    })
}

/// Any packet but CONNECT and PUBLISH.
pub(crate) fn packet(kind: u8, body: &[u8], version: Version, role: Role) -> Result<Packet, DecodeError> {
    let v5 = version == Version::V5;
    let reader = Reader::new(body);
    Ok(match kind {
        header::CONNACK => Packet::ConnAck(Box::new(connack(reader, v5)?)),
        header::PUBACK => Packet::PubAck(puback(reader, v5)?),
        header::PUBREC => Packet::PubRec(puback(reader, v5)?),
        header::PUBREL => Packet::PubRel(pubrel(reader, v5)?),
        header::PUBCOMP => Packet::PubComp(pubrel(reader, v5)?),
        header::SUBSCRIBE => Packet::Subscribe(subscribe(reader, v5)?),
        header::SUBACK => Packet::SubAck(suback(reader, v5)?),
        header::UNSUBSCRIBE => Packet::Unsubscribe(unsubscribe(reader, v5)?),
        header::UNSUBACK => Packet::UnsubAck(unsuback(reader, v5)?),
        header::PINGREQ => reader.end().map(|()| Packet::PingReq)?,
        header::PINGRESP => reader.end().map(|()| Packet::PingResp)?,
        header::DISCONNECT => Packet::Disconnect(disconnect(reader, v5, role)?),
        header::AUTH => auth(reader).map(|()| Packet::Auth)?,
        other => return Err(DecodeError::ReservedPacketType(other)),
    })
}

/// Section 3.1.2.3.
struct ConnectFlags {
    clean_start: bool,
    /// The QoS of the will, and whether it is retained.
    will: Option<(QoS, bool)>,
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
        if !set(0b0000_0100) && set(0b0011_1000) {
            return Err(DecodeError::WillFlags);
        }
        let qos = QoS::try_from((byte & 0b0001_1000) >> 3).map_err(|_| DecodeError::WillQos)?;
        let (username, password) = (set(0b1000_0000), set(0b0100_0000));
        if password && !username && version == Version::V311 {
            return Err(DecodeError::PasswordWithoutUserName);
        }
        let will = set(0b0000_0100).then(|| (qos, set(0b0010_0000)));
        Ok(Self { clean_start: set(0b0000_0010), will, username, password })
    }
}

fn connect_properties(reader: &mut Reader<'_>) -> Result<ConnectProperties, DecodeError> {
    let mut block = Properties::read(reader, Owner::Connect)?;
    let mut properties = ConnectProperties::default();
    while let Some(property) = block.next_property()? {
        match property {
            Property::SessionExpiryInterval(seconds) => properties.session_expiry_interval = seconds,
            Property::ReceiveMaximum(count) => properties.receive_maximum = Some(count),
            Property::MaximumPacketSize(bytes) => properties.maximum_packet_size = Some(bytes),
            Property::TopicAliasMaximum(maximum) => properties.topic_alias_maximum = maximum,
            Property::RequestProblemInformation(wanted) => properties.request_problem_information = wanted,
            Property::RequestResponseInformation(wanted) => properties.request_response_information = wanted,
            Property::AuthenticationMethod(method) => properties.authentication_method = Some(method.into()),
            Property::AuthenticationData(data) => {
                properties.authentication_data = Some(Bytes::copy_from_slice(data));
            }
            Property::User(pair) => properties.user_properties.push(user_property(pair)),
            _ => {}
        }
    }
    Ok(properties)
}

/// Sections 3.1.3.2 to 3.1.3.4.
fn last_will(reader: &mut Reader<'_>, v5: bool, qos: QoS, retain: bool) -> Result<LastWill, DecodeError> {
    let properties = if v5 { last_will_properties(reader)? } else { LastWillProperties::default() };
    let topic = reader.topic_name()?;
    let payload = Bytes::copy_from_slice(reader.binary()?);
    Ok(LastWill { topic, payload, qos, retain, properties })
}

fn last_will_properties(reader: &mut Reader<'_>) -> Result<LastWillProperties, DecodeError> {
    let mut block = Properties::read(reader, Owner::Will)?;
    let mut properties = LastWillProperties::default();
    while let Some(property) = block.next_property()? {
        match property {
            Property::WillDelayInterval(seconds) => properties.delay_interval = Some(seconds),
            Property::PayloadFormatIndicator(utf8) => properties.payload_is_utf8 = Some(utf8),
            Property::MessageExpiryInterval(seconds) => properties.message_expiry_interval = Some(seconds),
            Property::ContentType(text) => properties.content_type = Some(text.into()),
            Property::ResponseTopic(topic) => properties.response_topic = Some(topic_name(topic)?),
            Property::CorrelationData(data) => {
                properties.correlation_data = Some(Bytes::copy_from_slice(data));
            }
            Property::User(pair) => properties.user_properties.push(user_property(pair)),
            _ => {}
        }
    }
    Ok(properties)
}

/// Section 3.2.
fn connack(mut reader: Reader<'_>, v5: bool) -> Result<ConnAck, DecodeError> {
    let flags = reader.u8()?;
    if flags > 1 {
        return Err(DecodeError::ConnAckFlags);
    }
    let session_present = flags == 1;
    let byte = reader.u8()?;
    if byte != 0 && session_present {
        return Err(DecodeError::SessionPresent);
    }
    let (code, properties) = if v5 {
        (reason_code(byte)?, connack_properties(&mut reader)?)
    } else {
        let code = ConnectReasonCode::from_return_code(byte).ok_or(DecodeError::ReasonCode)?;
        (code, ConnAckProperties::default())
    };
    reader.end()?;
    Ok(ConnAck { session_present, code, properties })
}

fn connack_properties(reader: &mut Reader<'_>) -> Result<ConnAckProperties, DecodeError> {
    let mut block = Properties::read(reader, Owner::ConnAck)?;
    let mut properties = ConnAckProperties::default();
    while let Some(property) = block.next_property()? {
        match property {
            Property::SessionExpiryInterval(seconds) => properties.session_expiry_interval = Some(seconds),
            Property::ReceiveMaximum(count) => properties.receive_maximum = count,
            Property::MaximumQos(one) => {
                properties.maximum_qos = if one { QoS::AtLeastOnce } else { QoS::AtMostOnce };
            }
            Property::RetainAvailable(available) => properties.retain_available = available,
            Property::MaximumPacketSize(bytes) => properties.maximum_packet_size = Some(bytes),
            Property::AssignedClientIdentifier(id) => properties.assigned_client_id = Some(id.into()),
            Property::TopicAliasMaximum(maximum) => properties.topic_alias_maximum = maximum,
            Property::ReasonString(text) => properties.reason_string = Some(text.into()),
            Property::WildcardSubscriptionAvailable(available) => {
                properties.wildcard_subscription_available = available;
            }
            Property::SubscriptionIdentifiersAvailable(available) => {
                properties.subscription_identifiers_available = available;
            }
            Property::SharedSubscriptionAvailable(available) => {
                properties.shared_subscription_available = available;
            }
            Property::ServerKeepAlive(seconds) => properties.server_keep_alive = Some(seconds),
            Property::ResponseInformation(text) => properties.response_information = Some(text.into()),
            Property::ServerReference(text) => properties.server_reference = Some(text.into()),
            Property::AuthenticationMethod(method) => properties.authentication_method = Some(method.into()),
            Property::AuthenticationData(data) => {
                properties.authentication_data = Some(Bytes::copy_from_slice(data));
            }
            Property::User(pair) => properties.user_properties.push(user_property(pair)),
            _ => {}
        }
    }
    Ok(properties)
}

fn publish_properties(
    reader: &mut Reader<'_>,
    body: &Bytes,
    owner: Owner,
) -> Result<PublishProperties, DecodeError> {
    let mut block = Properties::read(reader, owner)?;
    let mut properties = PublishProperties::default();
    while let Some(property) = block.next_property()? {
        match property {
            Property::PayloadFormatIndicator(utf8) => properties.payload_is_utf8 = utf8,
            Property::MessageExpiryInterval(seconds) => properties.message_expiry_interval = Some(seconds),
            Property::TopicAlias(alias) => properties.topic_alias = Some(alias),
            Property::ResponseTopic(topic) => properties.response_topic = Some(topic_name(topic)?),
            Property::CorrelationData(data) => properties.correlation_data = Some(body.slice_ref(data)),
            Property::ContentType(text) => properties.content_type = Some(text.into()),
            Property::SubscriptionIdentifier(VarInt(id)) => properties.subscription_ids.push(id),
            Property::User(pair) => properties.user_properties.push(user_property(pair)),
            _ => {}
        }
    }
    Ok(properties)
}

/// PUBACK and PUBREC (sections 3.4 and 3.5).
fn puback(reader: Reader<'_>, v5: bool) -> Result<PubAck, DecodeError> {
    let (packet_id, code, reason_string) = acknowledgement(reader, v5)?;
    Ok(PubAck { packet_id, code, reason_string })
}

/// PUBREL and PUBCOMP (sections 3.6 and 3.7).
fn pubrel(reader: Reader<'_>, v5: bool) -> Result<PubRel, DecodeError> {
    let (packet_id, code, _) = acknowledgement(reader, v5)?;
    Ok(PubRel { packet_id, code })
}

type Acknowledgement<C> = (NonZeroU16, C, Option<Arc<str>>);

fn acknowledgement<C>(mut reader: Reader<'_>, v5: bool) -> Result<Acknowledgement<C>, DecodeError>
where
    C: TryFrom<u8, Error = UnknownCode>,
{
    let packet_id = reader.packet_id()?;
    let code = reason_code(optional_code(&mut reader, v5)?)?;
    let reason_string = if v5 && !reader.is_empty() { reason_string(&mut reader)? } else { None };
    reader.end()?;
    Ok((packet_id, code, reason_string))
}

/// Section 3.8.
fn subscribe(mut reader: Reader<'_>, v5: bool) -> Result<Subscribe, DecodeError> {
    let packet_id = reader.packet_id()?;
    let (mut subscription_id, mut user_properties) = (None, Vec::new());
    if v5 {
        let mut block = Properties::read(&mut reader, Owner::Subscribe)?;
        while let Some(property) = block.next_property()? {
            match property {
                Property::SubscriptionIdentifier(VarInt(id)) => subscription_id = Some(id),
                Property::User(pair) => user_properties.push(user_property(pair)),
                _ => {}
            }
        }
    }
    if reader.is_empty() {
        return Err(DecodeError::NoTopicFilter);
    }
    let (mut filters, mut invalid) = (Vec::new(), Vec::new());
    while !reader.is_empty() {
        let filter = topic_filter(&mut reader, v5)?;
        let wanted = subscribe_options(&mut reader, v5, filter)?;
        sort(wanted, &mut filters, &mut invalid);
    }
    Ok(Subscribe { packet_id, filters, invalid, subscription_id, user_properties })
}

/// A valid filter, or the text in its place, which only MQTT 5 has an answer to.
type Filter<T> = Result<T, Arc<str>>;

fn topic_filter(reader: &mut Reader<'_>, v5: bool) -> Result<Filter<TopicFilter>, DecodeError> {
    let text = reader.text()?;
    match TopicFilter::try_from(text) {
        Ok(filter) => Ok(Ok(filter)),
        Err(_) if v5 => Ok(Err(text.into())),
        Err(_) => Err(DecodeError::TopicFilter),
    }
}

/// Adds a filter to the valid or to the invalid ones of its packet.
fn sort<T>(filter: Filter<T>, valid: &mut Vec<T>, invalid: &mut Vec<InvalidFilter>) {
    match filter {
        Ok(filter) => valid.push(filter),
        Err(text) => invalid.push(InvalidFilter { position: valid.len() + invalid.len(), text }),
    }
}

/// Section 3.8.3.1.
fn subscribe_options(
    reader: &mut Reader<'_>,
    v5: bool,
    filter: Filter<TopicFilter>,
) -> Result<Filter<SubscribeFilter>, DecodeError> {
    let options = reader.u8()?;
    let reserved = if v5 { 0b1100_0000 } else { 0b1111_1100 };
    if options & reserved != 0 {
        return Err(DecodeError::SubscriptionOptions);
    }
    let qos = QoS::try_from(options & 0b0000_0011).map_err(|_| DecodeError::MaximumQos)?;
    let retain_handling =
        RetainHandling::try_from((options & 0b0011_0000) >> 4).map_err(|_| DecodeError::RetainHandling)?;
    let no_local = options & 0b0000_0100 != 0;
    if no_local && filter.as_ref().is_ok_and(|filter| filter.shared().is_some()) {
        return Err(DecodeError::NoLocalOnShared);
    }
    let retain_as_published = options & 0b0000_1000 != 0;
    Ok(filter.map(|filter| SubscribeFilter { filter, qos, no_local, retain_as_published, retain_handling }))
}

/// Section 3.9. The codes are the rest of the packet.
fn suback(mut reader: Reader<'_>, v5: bool) -> Result<SubAck, DecodeError> {
    let packet_id = reader.packet_id()?;
    let reason_string = if v5 { reason_string(&mut reader)? } else { None };
    let failure_of_v311 = SubAckCode::Failed(SubscribeFailure::UnspecifiedError);
    let codes = reader.rest().iter().map(|&byte| match reason_code(byte)? {
        SubAckCode::Failed(_) if !v5 && byte != u8::from(failure_of_v311) => Err(DecodeError::ReasonCode),
        code => Ok(code),
    });
    Ok(SubAck { packet_id, codes: codes.collect::<Result<_, _>>()?, reason_string })
}

/// Section 3.10.
fn unsubscribe(mut reader: Reader<'_>, v5: bool) -> Result<Unsubscribe, DecodeError> {
    let packet_id = reader.packet_id()?;
    let mut user_properties = Vec::new();
    if v5 {
        let mut block = Properties::read(&mut reader, Owner::Unsubscribe)?;
        while let Some(property) = block.next_property()? {
            if let Property::User(pair) = property {
                user_properties.push(user_property(pair));
            }
        }
    }
    if reader.is_empty() {
        return Err(DecodeError::NoTopicFilter);
    }
    let (mut filters, mut invalid) = (Vec::new(), Vec::new());
    while !reader.is_empty() {
        sort(topic_filter(&mut reader, v5)?, &mut filters, &mut invalid);
    }
    Ok(Unsubscribe { packet_id, filters, invalid, user_properties })
}

/// Section 3.11. The codes are the rest of the packet; 3.1.1 has none.
fn unsuback(mut reader: Reader<'_>, v5: bool) -> Result<UnsubAck, DecodeError> {
    let packet_id = reader.packet_id()?;
    if !v5 {
        reader.end()?;
        return Ok(UnsubAck { packet_id, codes: Vec::new(), reason_string: None });
    }
    let reason_string = reason_string(&mut reader)?;
    let codes = reader.rest().iter().map(|&byte| reason_code(byte)).collect::<Result<_, _>>()?;
    Ok(UnsubAck { packet_id, codes, reason_string })
}

/// Section 3.14.
fn disconnect(mut reader: Reader<'_>, v5: bool, role: Role) -> Result<Disconnect, DecodeError> {
    let code = reason_code(optional_code(&mut reader, v5)?)?;
    let mut disconnect = Disconnect::new(code);
    if v5 && !reader.is_empty() {
        let owner = match role {
            Role::Server => Owner::DisconnectFromClient,
            Role::Client => Owner::DisconnectFromServer,
        };
        let mut block = Properties::read(&mut reader, owner)?;
        while let Some(property) = block.next_property()? {
            match property {
                Property::SessionExpiryInterval(seconds) => {
                    disconnect.session_expiry_interval = Some(seconds);
                }
                Property::ReasonString(text) => disconnect.reason_string = Some(text.into()),
                Property::ServerReference(text) => disconnect.server_reference = Some(text.into()),
                _ => {}
            }
        }
    }
    reader.end()?;
    Ok(disconnect)
}

/// Section 3.15: success, continue authentication or re-authenticate.
fn auth(mut reader: Reader<'_>) -> Result<(), DecodeError> {
    let code = optional_code(&mut reader, true)?;
    if !matches!(code, 0x00 | 0x18 | 0x19) {
        return Err(DecodeError::ReasonCode);
    }
    if !reader.is_empty() {
        Properties::read(&mut reader, Owner::Auth)?.skip()?;
    }
    reader.end()
}

/// A code that MQTT 5 may leave out and 3.1.1 does not have: then it is success (section 3.4.2.1).
fn optional_code(reader: &mut Reader<'_>, v5: bool) -> Result<u8, DecodeError> {
    if v5 && !reader.is_empty() { reader.u8() } else { Ok(0) }
}

fn reason_code<C: TryFrom<u8, Error = UnknownCode>>(byte: u8) -> Result<C, DecodeError> {
    C::try_from(byte).map_err(|_| DecodeError::ReasonCode)
}

/// The property block of an acknowledgement; its user properties are dropped.
fn reason_string(reader: &mut Reader<'_>) -> Result<Option<Arc<str>>, DecodeError> {
    let mut block = Properties::read(reader, Owner::Answer)?;
    let mut reason = None;
    while let Some(property) = block.next_property()? {
        if let Property::ReasonString(text) = property {
            reason = Some(text.into());
        }
    }
    Ok(reason)
}

fn user_property((name, value): (&str, &str)) -> UserProperty {
    (name.into(), value.into())
}
