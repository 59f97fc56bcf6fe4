//! From a packet's values to its bytes, in one pass (chapter 3).

use bytes::{BufMut, BytesMut};

use crate::error::EncodeError;
use crate::field::{MAX_VAR_INT, insert_var_int, put_binary, put_text};
use crate::header::Role;
use crate::packet::{
    ConnAck, Connect, ConnectProperties, Disconnect, InvalidFilter, LastWill, LastWillProperties, Packet,
    PubAck, PubRel, Publish, PublishProperties, SubAck, Subscribe, UnsubAck, Unsubscribe, Version,
};
use crate::property::{self, Property, VarInt};
use crate::reason::{ConnectReasonCode, DisconnectReasonCode, PubAckCode, PubRelCode, QoS, SubAckCode};
use crate::topic::TopicFilter;

/// Writes `packet`, or nothing where 3.1.1 has no packet for it. After an error a part of it may be in `bytes`.
///
/// `max` is the size of the largest packet that may be written, header included.
pub(crate) fn packet(
    packet: &Packet,
    version: Version,
    role: Role,
    max: u32,
    bytes: &mut BytesMut,
) -> Result<(), EncodeError> {
    let v5 = version == Version::V5;
    let begin = bytes.len();
    let payload = match packet {
        Packet::Publish(message) => &*message.payload,
        _ => &[],
    };
    bytes.reserve(64 + payload.len());
    bytes.put_u8(packet.packet_type() << 4 | flags(packet));
    let start = bytes.len();
    body(packet, v5, role, bytes)?;
    if !v5 && is_unknown_to_v311(packet, role) {
        bytes.truncate(begin);
        return Ok(());
    }
    let length = u32::try_from(bytes.len() - start + payload.len()).ok();
    let length = length.filter(|&length| length <= MAX_VAR_INT);
    let length = length.ok_or(EncodeError::PacketTooLarge { max })?;
    insert_var_int(bytes, start, length);
    if bytes.len() - begin + payload.len() > usize::try_from(max).unwrap_or(usize::MAX) {
        return Err(EncodeError::PacketTooLarge { max });
    }
    bytes.extend_from_slice(payload);
    Ok(())
}

/// What a server can only say in MQTT 5: a DISCONNECT, and a CONNACK whose reason has no return code.
fn is_unknown_to_v311(packet: &Packet, role: Role) -> bool {
    match packet {
        Packet::ConnAck(ack) => ack.code.return_code().is_none(),
        Packet::Disconnect(_) => role == Role::Server,
        _ => false,
    }
}

/// The low four bits of the first byte (section 2.1.3).
fn flags(packet: &Packet) -> u8 {
    match packet {
        Packet::Publish(message) => {
            u8::from(message.dup) << 3 | u8::from(message.qos) << 1 | u8::from(message.retain)
        }
        Packet::PubRel(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) => 0b0010,
        _ => 0,
    }
}

fn body(packet: &Packet, v5: bool, role: Role, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    match packet {
        Packet::Connect(request) => connect(request, v5, bytes),
        Packet::ConnAck(answer) => connack(answer, v5, bytes),
        Packet::Publish(message) => publish(message, v5, role, bytes),
        Packet::PubAck(answer) | Packet::PubRec(answer) => puback(answer, v5, bytes),
        Packet::PubRel(answer) | Packet::PubComp(answer) => pubrel(*answer, v5, bytes),
        Packet::Subscribe(request) => subscribe(request, v5, bytes),
        Packet::SubAck(answer) => suback(answer, v5, bytes),
        Packet::Unsubscribe(request) => unsubscribe(request, v5, bytes),
        Packet::UnsubAck(answer) => unsuback(answer, v5, bytes),
        Packet::PingReq | Packet::PingResp => Ok(()),
        Packet::Disconnect(reason) => disconnect(reason, v5, role, bytes),
        Packet::Auth => Err(EncodeError::NotInVersion("AUTH is received only")),
    }
}

fn connect(request: &Connect, v5: bool, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    if !v5 && request.password.is_some() && request.username.is_none() {
        return Err(EncodeError::NotInVersion("3.1.1 has no password without a user name"));
    }
    if !v5 && request.client_id.is_empty() && !request.clean_start {
        return Err(EncodeError::NotInVersion("3.1.1 has no session to keep without a client id"));
    }
    let mut flags = u8::from(request.username.is_some()) << 7
        | u8::from(request.password.is_some()) << 6
        | u8::from(request.clean_start) << 1;
    if let Some(will) = &request.last_will {
        flags |= u8::from(will.retain) << 5 | u8::from(will.qos) << 3 | 0b0000_0100;
    }
    put_text(bytes, "MQTT")?;
    bytes.put_u8(if v5 { 5 } else { 4 });
    bytes.put_u8(flags);
    bytes.put_u16(request.keep_alive);
    if v5 {
        connect_properties(&request.properties, bytes)?;
    }
    put_text(bytes, &request.client_id)?;
    if let Some(will) = &request.last_will {
        last_will(will, v5, bytes)?;
    }
    if let Some(username) = &request.username {
        put_text(bytes, username)?;
    }
    if let Some(password) = &request.password {
        put_binary(bytes, password)?;
    }
    Ok(())
}

fn connect_properties(properties: &ConnectProperties, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    let method = properties.authentication_method.as_deref();
    let data = properties.authentication_data.as_deref();
    if data.is_some() && method.is_none() {
        return Err(EncodeError::Invalid("section 3.1.2.11.10: authentication data without a method"));
    }
    let session_expiry = Some(properties.session_expiry_interval).filter(|&seconds| seconds != 0);
    let list = [
        session_expiry.map(Property::SessionExpiryInterval),
        method.map(Property::AuthenticationMethod),
        data.map(Property::AuthenticationData),
        (!properties.request_problem_information).then_some(Property::RequestProblemInformation(false)),
        properties.request_response_information.then_some(Property::RequestResponseInformation(true)),
        properties.receive_maximum.map(Property::ReceiveMaximum),
        properties.maximum_packet_size.map(Property::MaximumPacketSize),
        Some(properties.topic_alias_maximum).filter(|&max| max != 0).map(Property::TopicAliasMaximum),
    ];
    property::write(bytes, list.into_iter().flatten().chain(property::user(&properties.user_properties)))
}

fn last_will(will: &LastWill, v5: bool, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    if v5 {
        last_will_properties(&will.properties, bytes)?;
    }
    put_text(bytes, will.topic.as_str())?;
    put_binary(bytes, &will.payload)
}

fn last_will_properties(properties: &LastWillProperties, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    let list = [
        properties.delay_interval.map(Property::WillDelayInterval),
        properties.payload_is_utf8.map(Property::PayloadFormatIndicator),
        properties.message_expiry_interval.map(Property::MessageExpiryInterval),
        properties.content_type.as_deref().map(Property::ContentType),
        properties.response_topic.as_ref().map(|topic| Property::ResponseTopic(topic.as_str())),
        properties.correlation_data.as_deref().map(Property::CorrelationData),
    ];
    property::write(bytes, list.into_iter().flatten().chain(property::user(&properties.user_properties)))
}

fn connack(answer: &ConnAck, v5: bool, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    if answer.session_present && answer.code != ConnectReasonCode::Success {
        return Err(EncodeError::Invalid("[MQTT-3.2.2-6] a refusal has no session"));
    }
    bytes.put_u8(answer.session_present.into());
    if !v5 {
        bytes.put_u8(answer.code.return_code().unwrap_or_default());
        return Ok(());
    }
    bytes.put_u8(answer.code.into());
    let properties = &answer.properties;
    let accepted = answer.code == ConnectReasonCode::Success;
    let flag = |available: bool, property: fn(bool) -> Property<'static>| {
        (accepted || !available).then(|| property(available))
    };
    let list = [
        properties.session_expiry_interval.map(Property::SessionExpiryInterval),
        Some(properties.receive_maximum)
            .filter(|max| accepted || max.get() != u16::MAX)
            .map(Property::ReceiveMaximum),
        // The default can't be stated (section 3.2.2.3.4).
        Some(properties.maximum_qos)
            .filter(|&qos| qos != QoS::ExactlyOnce)
            .map(|qos| Property::MaximumQos(qos == QoS::AtLeastOnce)),
        flag(properties.retain_available, Property::RetainAvailable),
        properties.maximum_packet_size.map(Property::MaximumPacketSize),
        properties.assigned_client_id.as_deref().map(Property::AssignedClientIdentifier),
        Some(properties.topic_alias_maximum)
            .filter(|&max| accepted || max != 0)
            .map(Property::TopicAliasMaximum),
        flag(properties.wildcard_subscription_available, Property::WildcardSubscriptionAvailable),
        flag(properties.subscription_identifiers_available, Property::SubscriptionIdentifiersAvailable),
        flag(properties.shared_subscription_available, Property::SharedSubscriptionAvailable),
        properties.server_keep_alive.map(Property::ServerKeepAlive),
        properties.response_information.as_deref().map(Property::ResponseInformation),
        properties.server_reference.as_deref().map(Property::ServerReference),
        properties.authentication_method.as_deref().map(Property::AuthenticationMethod),
        properties.authentication_data.as_deref().map(Property::AuthenticationData),
    ];
    let reason = properties.reason_string.as_deref().map(Property::ReasonString);
    let user = property::user(&properties.user_properties);
    property::write(bytes, list.into_iter().flatten().chain(user).chain(reason))
}

/// Everything but the payload.
fn publish(message: &Publish, v5: bool, role: Role, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    let subscription_ids =
        message.properties.as_ref().is_some_and(|given| !given.subscription_ids.is_empty());
    if subscription_ids && role == Role::Client {
        return Err(EncodeError::Invalid("[MQTT-3.3.4-6] a client sends no subscription identifier"));
    }
    if message.qos == QoS::AtMostOnce && message.packet_id.is_some() {
        return Err(EncodeError::Invalid("[MQTT-2.2.1-2] a QoS 0 message has a packet id"));
    }
    if message.qos == QoS::AtMostOnce && message.dup {
        return Err(EncodeError::Invalid("[MQTT-3.3.1-2] DUP is set on a QoS 0 message"));
    }
    if message.qos != QoS::AtMostOnce && message.packet_id.is_none() {
        return Err(EncodeError::Invalid("[MQTT-2.2.1-3] a QoS 1 or 2 message needs a packet id"));
    }
    let topic = message.topic.as_ref().map_or("", |topic| topic.as_str());
    if topic.is_empty() && message.topic_alias().is_none() {
        return Err(EncodeError::Invalid("section 3.3.2.1: neither a topic name nor a topic alias"));
    }
    if topic.is_empty() && !v5 {
        return Err(EncodeError::NotInVersion("3.1.1 has no topic alias"));
    }
    put_text(bytes, topic)?;
    if let Some(packet_id) = message.packet_id {
        bytes.put_u16(packet_id.get());
    }
    match &message.properties {
        Some(properties) if v5 => publish_properties(properties, bytes),
        None if v5 => property::write(bytes, std::iter::empty()),
        _ => Ok(()),
    }
}

fn publish_properties(properties: &PublishProperties, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    let list = [
        properties.topic_alias.map(Property::TopicAlias),
        properties.correlation_data.as_deref().map(Property::CorrelationData),
        properties.message_expiry_interval.map(Property::MessageExpiryInterval),
        properties.content_type.as_deref().map(Property::ContentType),
        properties.payload_is_utf8.then_some(Property::PayloadFormatIndicator(true)),
        properties.response_topic.as_ref().map(|topic| Property::ResponseTopic(topic.as_str())),
    ];
    let ids = properties.subscription_ids.iter().map(|&id| Property::SubscriptionIdentifier(VarInt(id)));
    let user = property::user(&properties.user_properties);
    property::write(bytes, list.into_iter().flatten().chain(ids).chain(user))
}

/// PUBACK and PUBREC.
fn puback(answer: &PubAck, v5: bool, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    bytes.put_u16(answer.packet_id.get());
    if !v5 {
        return positive(answer.code.into());
    }
    if answer.code == PubAckCode::Success && answer.reason_string.is_none() {
        return Ok(());
    }
    bytes.put_u8(answer.code.into());
    property::write(bytes, answer.reason_string.as_deref().map(Property::ReasonString).into_iter())
}

/// PUBREL and PUBCOMP.
fn pubrel(answer: PubRel, v5: bool, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    bytes.put_u16(answer.packet_id.get());
    if !v5 {
        return positive(answer.code.into());
    }
    if answer.code == PubRelCode::Success {
        return Ok(());
    }
    bytes.put_u8(answer.code.into());
    property::write(bytes, std::iter::empty())
}

fn subscribe(request: &Subscribe, v5: bool, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    not_empty(request.filters.is_empty() && request.invalid.is_empty())?;
    bytes.put_u16(request.packet_id.get());
    if v5 {
        let id = request.subscription_id.map(|id| Property::SubscriptionIdentifier(VarInt(id)));
        property::write(bytes, id.into_iter().chain(property::user(&request.user_properties)))?;
    }
    let mut filters = Vec::with_capacity(request.filters.len());
    for wanted in &request.filters {
        if wanted.no_local && wanted.filter.shared().is_some() {
            return Err(EncodeError::Invalid("[MQTT-3.8.3-4] no local is set on a shared subscription"));
        }
        let options = if v5 {
            u8::from(wanted.retain_handling) << 4
                | u8::from(wanted.retain_as_published) << 3
                | u8::from(wanted.no_local) << 2
        } else {
            0
        };
        filters.push((wanted.filter.as_str(), options | u8::from(wanted.qos)));
    }
    for InvalidFilter { position, text } in &request.invalid {
        filters.insert((*position).min(filters.len()), (text, 0));
    }
    for (text, options) in filters {
        put_text(bytes, text)?;
        bytes.put_u8(options);
    }
    Ok(())
}

fn suback(answer: &SubAck, v5: bool, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    bytes.put_u16(answer.packet_id.get());
    if v5 {
        property::write(bytes, answer.reason_string.as_deref().map(Property::ReasonString).into_iter())?;
    }
    for &code in &answer.codes {
        bytes.put_u8(match code {
            SubAckCode::Failed(_) if !v5 => 0x80,
            code => code.into(),
        });
    }
    Ok(())
}

fn unsubscribe(request: &Unsubscribe, v5: bool, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    not_empty(request.filters.is_empty() && request.invalid.is_empty())?;
    bytes.put_u16(request.packet_id.get());
    if v5 {
        property::write(bytes, property::user(&request.user_properties))?;
    }
    let mut filters = request.filters.iter().map(TopicFilter::as_str).collect::<Vec<_>>();
    for InvalidFilter { position, text } in &request.invalid {
        filters.insert((*position).min(filters.len()), text);
    }
    filters.into_iter().try_for_each(|filter| put_text(bytes, filter))
}

fn unsuback(answer: &UnsubAck, v5: bool, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    bytes.put_u16(answer.packet_id.get());
    if !v5 {
        return answer.codes.iter().try_for_each(|&code| positive(code.into()));
    }
    property::write(bytes, answer.reason_string.as_deref().map(Property::ReasonString).into_iter())?;
    bytes.extend(answer.codes.iter().map(|&code| u8::from(code)));
    Ok(())
}

fn disconnect(reason: &Disconnect, v5: bool, role: Role, bytes: &mut BytesMut) -> Result<(), EncodeError> {
    if role == Role::Server && reason.session_expiry_interval.is_some() {
        return Err(EncodeError::Invalid("[MQTT-3.14.2-2] a server sends no session expiry interval"));
    }
    if role == Role::Client && reason.server_reference.is_some() {
        return Err(EncodeError::Invalid("section 3.14.2.2.5: a client sends no server reference"));
    }
    if !v5 || *reason == Disconnect::new(DisconnectReasonCode::NormalDisconnection) {
        return Ok(());
    }
    bytes.put_u8(reason.code.into());
    let list = [
        reason.session_expiry_interval.map(Property::SessionExpiryInterval),
        reason.server_reference.as_deref().map(Property::ServerReference),
        reason.reason_string.as_deref().map(Property::ReasonString),
    ];
    property::write(bytes, list.into_iter().flatten())
}

/// 3.1.1 has no negative answers, and a positive answer would say that the request succeeded.
fn positive(code: u8) -> Result<(), EncodeError> {
    if code < 0x80 { Ok(()) } else { Err(EncodeError::NotInVersion("3.1.1 has no negative acknowledgement")) }
}

fn not_empty(empty: bool) -> Result<(), EncodeError> {
    if empty { Err(EncodeError::Invalid("[MQTT-3.8.3-2] a packet without topic filters")) } else { Ok(()) }
}
