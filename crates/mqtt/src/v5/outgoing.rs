//! From our packets to those of the codec underneath.

use std::num::NonZeroU32;

use rmqtt_codec::types::Publish as WirePublish;
use rmqtt_codec::{v3, v5};

use crate::error::EncodeError;
use crate::packet::{
    ConnAck, Connect, Disconnect, LastWill, Packet, PubAck, PubRel, Publish, PublishProperties, SubAck,
    Subscribe, SubscribeFilter, UnsubAck, Unsubscribe, UserProperty,
};
use crate::reason::{DisconnectReasonCode, PubAckCode, PubRelCode};
use crate::text::{wire_optional, wire_qos, wire_text};

/// What to write. The codec underneath always writes a code and an empty property block; where both may be left
/// out (sections 3.4.2.1 and 3.14.2.1), the bytes are those of 3.1.1.
pub(crate) enum Wire {
    Full(v5::Packet),
    Short(v3::Packet),
}

/// The packet to write.
pub(crate) fn wire(packet: Packet) -> Result<Wire, EncodeError> {
    Ok(match short(&packet) {
        Some(short) => Wire::Short(short),
        None => Wire::Full(full(packet)?),
    })
}

fn short(packet: &Packet) -> Option<v3::Packet> {
    let bare = |ack: &PubAck| ack.code == PubAckCode::Success && ack.reason_string.is_none();
    Some(match packet {
        Packet::PubAck(ack) if bare(ack) => v3::Packet::PublishAck { packet_id: ack.packet_id },
        Packet::PubRec(ack) if bare(ack) => v3::Packet::PublishReceived { packet_id: ack.packet_id },
        &Packet::PubRel(PubRel { packet_id, code: PubRelCode::Success }) => {
            v3::Packet::PublishRelease { packet_id }
        }
        &Packet::PubComp(PubRel { packet_id, code: PubRelCode::Success }) => {
            v3::Packet::PublishComplete { packet_id }
        }
        Packet::Disconnect(reason)
            if *reason == Disconnect::new(DisconnectReasonCode::NormalDisconnection) =>
        {
            v3::Packet::Disconnect
        }
        _ => return None,
    })
}

fn full(packet: Packet) -> Result<v5::Packet, EncodeError> {
    Ok(match packet {
        Packet::Connect(packet) => v5::Packet::Connect(Box::new(connect(*packet)?)),
        Packet::ConnAck(packet) => v5::Packet::ConnectAck(Box::new(connack(*packet)?)),
        Packet::Publish(packet) => v5::Packet::Publish(Box::new(publish(packet)?)),
        Packet::PubAck(packet) => v5::Packet::PublishAck(puback(&packet)?),
        Packet::PubRec(packet) => v5::Packet::PublishReceived(puback(&packet)?),
        Packet::PubRel(packet) => v5::Packet::PublishRelease(pubrel(packet)?),
        Packet::PubComp(packet) => v5::Packet::PublishComplete(pubrel(packet)?),
        Packet::Subscribe(packet) => v5::Packet::Subscribe(subscribe(&packet)?),
        Packet::SubAck(SubAck { packet_id, codes: given, reason_string }) => {
            v5::Packet::SubscribeAck(v5::SubscribeAck {
                packet_id,
                properties: Vec::new(),
                reason_string: wire_optional(reason_string.as_ref())?,
                status: codes(given)?,
            })
        }
        Packet::Unsubscribe(packet) => v5::Packet::Unsubscribe(unsubscribe(&packet)?),
        Packet::UnsubAck(UnsubAck { packet_id, codes: given, reason_string }) => {
            v5::Packet::UnsubscribeAck(v5::UnsubscribeAck {
                packet_id,
                properties: Vec::new(),
                reason_string: wire_optional(reason_string.as_ref())?,
                status: codes(given)?,
            })
        }
        Packet::PingReq => v5::Packet::PingRequest,
        Packet::PingResp => v5::Packet::PingResponse,
        Packet::Disconnect(packet) => v5::Packet::Disconnect(disconnect(&packet)?),
        Packet::Auth => return Err(EncodeError::NotInVersion("AUTH is received only")),
    })
}

fn connect(packet: Connect) -> Result<v5::Connect, EncodeError> {
    let properties = packet.properties;
    if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
        return Err(EncodeError::Invalid("section 3.1.2.11.10: authentication data without a method"));
    }
    Ok(v5::Connect {
        clean_start: packet.clean_start,
        keep_alive: packet.keep_alive,
        session_expiry_interval_secs: properties.session_expiry_interval,
        auth_method: wire_optional(properties.authentication_method.as_ref())?,
        auth_data: properties.authentication_data,
        request_problem_info: properties.request_problem_information,
        request_response_info: properties.request_response_information,
        receive_max: properties.receive_maximum,
        topic_alias_max: properties.topic_alias_maximum,
        user_properties: pairs(&properties.user_properties)?,
        max_packet_size: properties.maximum_packet_size,
        last_will: packet.last_will.map(last_will).transpose()?,
        client_id: wire_text(&packet.client_id)?,
        username: wire_optional(packet.username.as_ref())?,
        password: packet.password,
        cert: None,
    })
}

fn last_will(will: LastWill) -> Result<v5::LastWill, EncodeError> {
    let properties = will.properties;
    Ok(v5::LastWill {
        qos: wire_qos(will.qos),
        retain: will.retain,
        topic: wire_text(will.topic.as_str())?,
        message: will.payload,
        will_delay_interval_sec: properties.delay_interval,
        correlation_data: properties.correlation_data,
        message_expiry_interval: expiry(properties.message_expiry_interval)?,
        content_type: wire_optional(properties.content_type.as_ref())?,
        user_properties: pairs(&properties.user_properties)?,
        is_utf8_payload: properties.payload_is_utf8,
        response_topic: wire_optional(properties.response_topic.as_ref())?,
    })
}

fn connack(packet: ConnAck) -> Result<v5::ConnectAck, EncodeError> {
    let properties = packet.properties;
    Ok(v5::ConnectAck {
        session_present: packet.session_present,
        reason_code: code(packet.code)?,
        session_expiry_interval_secs: properties.session_expiry_interval,
        receive_max: properties.receive_maximum,
        max_qos: wire_qos(properties.maximum_qos),
        max_packet_size: properties.maximum_packet_size.map(NonZeroU32::get),
        assigned_client_id: wire_optional(properties.assigned_client_id.as_ref())?,
        topic_alias_max: properties.topic_alias_maximum,
        retain_available: properties.retain_available,
        wildcard_subscription_available: properties.wildcard_subscription_available,
        subscription_identifiers_available: properties.subscription_identifiers_available,
        shared_subscription_available: properties.shared_subscription_available,
        server_keepalive_sec: properties.server_keep_alive,
        response_info: wire_optional(properties.response_information.as_ref())?,
        server_reference: wire_optional(properties.server_reference.as_ref())?,
        auth_method: wire_optional(properties.authentication_method.as_ref())?,
        auth_data: properties.authentication_data,
        reason_string: wire_optional(properties.reason_string.as_ref())?,
        user_properties: pairs(&properties.user_properties)?,
    })
}

fn publish(packet: Publish) -> Result<WirePublish, EncodeError> {
    Ok(WirePublish {
        dup: packet.dup,
        retain: packet.retain,
        qos: wire_qos(packet.qos),
        topic: packet.topic.map_or(Ok("".into()), |topic| wire_text(topic.as_str()))?,
        packet_id: packet.packet_id,
        payload: packet.payload,
        properties: packet.properties.as_deref().map(publish_properties).transpose()?,
    })
}

fn publish_properties(properties: &PublishProperties) -> Result<v5::PublishProperties, EncodeError> {
    Ok(v5::PublishProperties {
        topic_alias: properties.topic_alias,
        correlation_data: properties.correlation_data.clone(),
        message_expiry_interval: expiry(properties.message_expiry_interval)?,
        content_type: wire_optional(properties.content_type.as_ref())?,
        user_properties: pairs(&properties.user_properties)?,
        is_utf8_payload: properties.payload_is_utf8,
        response_topic: wire_optional(properties.response_topic.as_ref())?,
        subscription_ids: properties
            .subscription_ids
            .iter()
            .map(|&id| subscription_id(id))
            .collect::<Result<_, _>>()?,
    })
}

fn puback(packet: &PubAck) -> Result<v5::PublishAck, EncodeError> {
    Ok(v5::PublishAck {
        packet_id: packet.packet_id,
        reason_code: code(packet.code)?,
        properties: Vec::new(),
        reason_string: wire_optional(packet.reason_string.as_ref())?,
    })
}

fn pubrel(packet: PubRel) -> Result<v5::PublishAck2, EncodeError> {
    Ok(v5::PublishAck2 {
        packet_id: packet.packet_id,
        reason_code: code(packet.code)?,
        properties: Vec::new(),
        reason_string: None,
    })
}

fn subscribe(packet: &Subscribe) -> Result<v5::Subscribe, EncodeError> {
    let wanted = |wanted: &SubscribeFilter| {
        let options = v5::SubscriptionOptions {
            qos: wire_qos(wanted.qos),
            no_local: wanted.no_local,
            retain_as_published: wanted.retain_as_published,
            retain_handling: code(wanted.retain_handling)?,
        };
        Ok((wire_text(wanted.filter.as_str())?, options))
    };
    Ok(v5::Subscribe {
        packet_id: packet.packet_id,
        id: packet.subscription_id.map(subscription_id).transpose()?,
        user_properties: pairs(&packet.user_properties)?,
        topic_filters: packet.filters.iter().map(wanted).collect::<Result<_, EncodeError>>()?,
    })
}

fn unsubscribe(packet: &Unsubscribe) -> Result<v5::Unsubscribe, EncodeError> {
    let filters = packet.filters.iter().map(|filter| wire_text(filter.as_str()));
    Ok(v5::Unsubscribe {
        packet_id: packet.packet_id,
        user_properties: pairs(&packet.user_properties)?,
        topic_filters: filters.collect::<Result<_, _>>()?,
    })
}

fn disconnect(packet: &Disconnect) -> Result<v5::Disconnect, EncodeError> {
    Ok(v5::Disconnect {
        reason_code: code(packet.code)?,
        session_expiry_interval_secs: packet.session_expiry_interval,
        server_reference: wire_optional(packet.server_reference.as_ref())?,
        reason_string: wire_optional(packet.reason_string.as_ref())?,
        user_properties: Vec::new(),
    })
}

/// The same code under the other name; the two lists are the specification's.
fn code<T: TryFrom<u8>>(code: impl Into<u8>) -> Result<T, EncodeError> {
    T::try_from(code.into()).map_err(|_| EncodeError::Invalid("section 2.4: the reason code is not known"))
}

fn codes<T: TryFrom<u8>, C: Into<u8>>(given: Vec<C>) -> Result<Vec<T>, EncodeError> {
    given.into_iter().map(code).collect()
}

fn expiry(interval: Option<u32>) -> Result<Option<NonZeroU32>, EncodeError> {
    let expired = || EncodeError::Invalid("section 3.3.2.3.3: the message has expired");
    interval.map(|seconds| NonZeroU32::new(seconds).ok_or_else(expired)).transpose()
}

fn subscription_id(id: NonZeroU32) -> Result<NonZeroU32, EncodeError> {
    if id.get() > 268_435_455 {
        return Err(EncodeError::Invalid("section 3.8.2.1.2: the subscription identifier is too large"));
    }
    Ok(id)
}

fn pairs(properties: &[UserProperty]) -> Result<v5::UserProperties, EncodeError> {
    properties.iter().map(|(name, value)| Ok((wire_text(name)?, wire_text(value)?))).collect()
}
