//! From the packets of the codec underneath to ours.

use std::num::NonZeroU32;
use std::sync::Arc;

use rmqtt_codec::types::Publish as WirePublish;
use rmqtt_codec::v5;

use crate::error::DecodeError;
use crate::packet::{
    ConnAck, ConnAckProperties, Connect, ConnectProperties, Disconnect, LastWill, LastWillProperties, Packet,
    PubAck, PubRel, Publish, PublishProperties, RetainHandling, SubAck, Subscribe, SubscribeFilter, UnsubAck,
    Unsubscribe, UserProperty, Version,
};
use crate::reason::UnknownCode;
use crate::text::{filter, name, owned, qos, text};

/// The packet that was read.
pub(crate) fn packet(read: Option<(v5::Packet, u32)>) -> Result<Packet, DecodeError> {
    let (read, _) = read.ok_or(DecodeError::Malformed)?;
    Ok(match read {
        v5::Packet::Connect(read) => Packet::Connect(Box::new(connect(*read)?)),
        v5::Packet::ConnectAck(read) => Packet::ConnAck(Box::new(connack(*read)?)),
        v5::Packet::Publish(read) => Packet::Publish(publish(*read)?),
        v5::Packet::PublishAck(read) => Packet::PubAck(puback(read)?),
        v5::Packet::PublishReceived(read) => Packet::PubRec(puback(read)?),
        v5::Packet::PublishRelease(read) => Packet::PubRel(pubrel(&read)?),
        v5::Packet::PublishComplete(read) => Packet::PubComp(pubrel(&read)?),
        v5::Packet::Subscribe(read) => Packet::Subscribe(subscribe(read)?),
        v5::Packet::SubscribeAck(read) => Packet::SubAck(SubAck {
            packet_id: read.packet_id,
            codes: codes(read.status)?,
            reason_string: optional(read.reason_string)?,
        }),
        v5::Packet::Unsubscribe(read) => Packet::Unsubscribe(Unsubscribe {
            packet_id: read.packet_id,
            filters: read.topic_filters.into_iter().map(filter).collect::<Result<_, _>>()?,
            user_properties: pairs(read.user_properties)?,
        }),
        v5::Packet::UnsubscribeAck(read) => Packet::UnsubAck(UnsubAck {
            packet_id: read.packet_id,
            codes: codes(read.status)?,
            reason_string: optional(read.reason_string)?,
        }),
        v5::Packet::PingRequest => Packet::PingReq,
        v5::Packet::PingResponse => Packet::PingResp,
        v5::Packet::Disconnect(read) => Packet::Disconnect(Disconnect {
            code: code(read.reason_code)?,
            session_expiry_interval: read.session_expiry_interval_secs,
            reason_string: optional(read.reason_string)?,
            server_reference: optional(read.server_reference)?,
        }),
        v5::Packet::Auth(_) => Packet::Auth,
    })
}

fn connect(read: v5::Connect) -> Result<Connect, DecodeError> {
    Ok(Connect {
        version: Version::V5,
        client_id: text(read.client_id)?,
        clean_start: read.clean_start,
        keep_alive: read.keep_alive,
        username: optional(read.username)?,
        password: read.password.as_ref().map(owned),
        last_will: read.last_will.map(last_will).transpose()?,
        properties: ConnectProperties {
            session_expiry_interval: read.session_expiry_interval_secs,
            receive_maximum: read.receive_max,
            maximum_packet_size: read.max_packet_size,
            topic_alias_maximum: read.topic_alias_max,
            request_problem_information: read.request_problem_info,
            request_response_information: read.request_response_info,
            authentication_method: optional(read.auth_method)?,
            authentication_data: read.auth_data.as_ref().map(owned),
            user_properties: pairs(read.user_properties)?,
        },
    })
}

fn last_will(read: v5::LastWill) -> Result<LastWill, DecodeError> {
    Ok(LastWill {
        topic: name(read.topic)?,
        payload: owned(&read.message),
        qos: qos(read.qos),
        retain: read.retain,
        properties: LastWillProperties {
            delay_interval: read.will_delay_interval_sec,
            payload_is_utf8: read.is_utf8_payload,
            message_expiry_interval: read.message_expiry_interval.map(NonZeroU32::get),
            content_type: optional(read.content_type)?,
            response_topic: read.response_topic.map(name).transpose()?,
            correlation_data: read.correlation_data.as_ref().map(owned),
            user_properties: pairs(read.user_properties)?,
        },
    })
}

fn connack(read: v5::ConnectAck) -> Result<ConnAck, DecodeError> {
    Ok(ConnAck {
        session_present: read.session_present,
        code: code(read.reason_code)?,
        properties: ConnAckProperties {
            session_expiry_interval: read.session_expiry_interval_secs,
            receive_maximum: read.receive_max,
            maximum_qos: qos(read.max_qos),
            retain_available: read.retain_available,
            maximum_packet_size: read.max_packet_size.and_then(NonZeroU32::new),
            assigned_client_id: optional(read.assigned_client_id)?,
            topic_alias_maximum: read.topic_alias_max,
            reason_string: optional(read.reason_string)?,
            wildcard_subscription_available: read.wildcard_subscription_available,
            subscription_identifiers_available: read.subscription_identifiers_available,
            shared_subscription_available: read.shared_subscription_available,
            server_keep_alive: read.server_keepalive_sec,
            response_information: optional(read.response_info)?,
            server_reference: optional(read.server_reference)?,
            authentication_method: optional(read.auth_method)?,
            authentication_data: read.auth_data.as_ref().map(owned),
            user_properties: pairs(read.user_properties)?,
        },
    })
}

fn publish(read: WirePublish) -> Result<Publish, DecodeError> {
    let properties = read.properties.map(publish_properties).transpose()?.unwrap_or_default();
    let topic = if read.topic.is_empty() { None } else { Some(name(read.topic)?) };
    if topic.is_none() && properties.topic_alias.is_none() {
        return Err(DecodeError::TopicMissing);
    }
    Ok(Publish {
        topic,
        payload: read.payload,
        qos: qos(read.qos),
        retain: read.retain,
        dup: read.dup,
        packet_id: read.packet_id,
        properties: (properties != PublishProperties::default()).then(|| Arc::new(properties)),
    })
}

fn publish_properties(read: v5::PublishProperties) -> Result<PublishProperties, DecodeError> {
    Ok(PublishProperties {
        payload_is_utf8: read.is_utf8_payload,
        message_expiry_interval: read.message_expiry_interval.map(NonZeroU32::get),
        topic_alias: read.topic_alias,
        response_topic: read.response_topic.map(name).transpose()?,
        correlation_data: read.correlation_data,
        content_type: optional(read.content_type)?,
        subscription_ids: read.subscription_ids,
        user_properties: pairs(read.user_properties)?,
    })
}

fn puback(read: v5::PublishAck) -> Result<PubAck, DecodeError> {
    Ok(PubAck {
        packet_id: read.packet_id,
        code: code(read.reason_code)?,
        reason_string: optional(read.reason_string)?,
    })
}

fn pubrel(read: &v5::PublishAck2) -> Result<PubRel, DecodeError> {
    Ok(PubRel { packet_id: read.packet_id, code: code(read.reason_code)? })
}

fn subscribe(read: v5::Subscribe) -> Result<Subscribe, DecodeError> {
    let filters = read.topic_filters.into_iter().map(|(topic, options)| {
        let filter = filter(topic)?;
        if options.no_local && filter.shared().is_some() {
            return Err(DecodeError::NoLocalOnShared);
        }
        Ok(SubscribeFilter {
            filter,
            qos: qos(options.qos),
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            retain_handling: RetainHandling::try_from(u8::from(options.retain_handling))
                .map_err(|_| DecodeError::RetainHandling)?,
        })
    });
    Ok(Subscribe {
        packet_id: read.packet_id,
        filters: filters.collect::<Result<_, _>>()?,
        subscription_id: read.id,
        user_properties: pairs(read.user_properties)?,
    })
}

fn code<T: TryFrom<u8, Error = UnknownCode>>(read: impl Into<u8>) -> Result<T, DecodeError> {
    T::try_from(read.into()).map_err(|_| DecodeError::ReasonCode)
}

fn codes<T, R>(read: Vec<R>) -> Result<Vec<T>, DecodeError>
where
    T: TryFrom<u8, Error = UnknownCode>,
    R: Into<u8>,
{
    read.into_iter().map(code).collect()
}

fn optional<S: AsRef<str>>(value: Option<S>) -> Result<Option<Arc<str>>, DecodeError> {
    value.map(text).transpose()
}

fn pairs(read: v5::UserProperties) -> Result<Vec<UserProperty>, DecodeError> {
    read.into_iter().map(|(name, value)| Ok((text(name)?, text(value)?))).collect()
}
