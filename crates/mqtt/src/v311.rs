//! MQTT 3.1.1: the packets of the codec underneath, from and to ours.

use rmqtt_codec::types::{Protocol, Publish as WirePublish};
use rmqtt_codec::v3::{self, SubscribeReturnCode};

use crate::error::{DecodeError, EncodeError};
use crate::packet::{
    ConnAck, Connect, ConnectProperties, Disconnect, LastWill, LastWillProperties, Packet, PubAck, PubRel,
    Publish, SubAck, Subscribe, SubscribeFilter, UnsubAck, Unsubscribe, Version,
};
use crate::reason::{
    ConnectReasonCode, DisconnectReasonCode, PubAckCode, PubRelCode, SubAckCode, SubscribeFailure,
};
use crate::text::{filter, name, owned, qos, text, wire_qos, wire_text};

const LEVEL: u8 = 4;

/// The packet that was read.
pub(crate) fn packet(read: Option<(v3::Packet, u32)>) -> Result<Packet, DecodeError> {
    let (read, _) = read.ok_or(DecodeError::Malformed)?;
    let acknowledged = |packet_id| PubAck::new(packet_id, PubAckCode::Success);
    let released = |packet_id| PubRel { packet_id, code: PubRelCode::Success };
    Ok(match read {
        v3::Packet::Connect(read) => Packet::Connect(Box::new(connect(*read)?)),
        v3::Packet::ConnectAck(read) => Packet::ConnAck(Box::new(connack(read)?)),
        v3::Packet::Publish(read) => Packet::Publish(publish(*read)?),
        v3::Packet::PublishAck { packet_id } => Packet::PubAck(acknowledged(packet_id)),
        v3::Packet::PublishReceived { packet_id } => Packet::PubRec(acknowledged(packet_id)),
        v3::Packet::PublishRelease { packet_id } => Packet::PubRel(released(packet_id)),
        v3::Packet::PublishComplete { packet_id } => Packet::PubComp(released(packet_id)),
        v3::Packet::Subscribe { packet_id, topic_filters } => {
            let wanted = |(topic, level)| Ok(SubscribeFilter::new(filter(topic)?, qos(level)));
            let filters = topic_filters.into_iter().map(wanted).collect::<Result<_, DecodeError>>()?;
            Packet::Subscribe(Subscribe {
                packet_id,
                filters,
                subscription_id: None,
                user_properties: Vec::new(),
            })
        }
        v3::Packet::SubscribeAck { packet_id, status } => {
            let codes = status.into_iter().map(suback_code).collect();
            Packet::SubAck(SubAck { packet_id, codes, reason_string: None })
        }
        v3::Packet::Unsubscribe { packet_id, topic_filters } => {
            let filters = topic_filters.into_iter().map(filter).collect::<Result<_, _>>()?;
            Packet::Unsubscribe(Unsubscribe { packet_id, filters, user_properties: Vec::new() })
        }
        v3::Packet::UnsubscribeAck { packet_id } => {
            Packet::UnsubAck(UnsubAck { packet_id, codes: Vec::new(), reason_string: None })
        }
        v3::Packet::PingRequest => Packet::PingReq,
        v3::Packet::PingResponse => Packet::PingResp,
        v3::Packet::Disconnect => {
            Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))
        }
    })
}

/// The packet to write, or nothing where 3.1.1 has no packet for it.
pub(crate) fn wire(packet: Packet, from_server: bool) -> Result<Option<v3::Packet>, EncodeError> {
    Ok(Some(match packet {
        Packet::Connect(packet) => v3::Packet::Connect(Box::new(wire_connect(*packet)?)),
        Packet::ConnAck(packet) => match wire_connack(&packet) {
            Some(ack) => v3::Packet::ConnectAck(ack),
            None => return Ok(None),
        },
        Packet::Publish(packet) => v3::Packet::Publish(Box::new(wire_publish(packet)?)),
        Packet::PubAck(PubAck { packet_id, code, .. }) => {
            positive(code, v3::Packet::PublishAck { packet_id })?
        }
        Packet::PubRec(PubAck { packet_id, code, .. }) => {
            positive(code, v3::Packet::PublishReceived { packet_id })?
        }
        Packet::PubRel(PubRel { packet_id, code }) => {
            positive(code, v3::Packet::PublishRelease { packet_id })?
        }
        Packet::PubComp(PubRel { packet_id, code }) => {
            positive(code, v3::Packet::PublishComplete { packet_id })?
        }
        Packet::Subscribe(packet) => wire_subscribe(&packet)?,
        Packet::SubAck(SubAck { packet_id, codes, .. }) => {
            v3::Packet::SubscribeAck { packet_id, status: codes.into_iter().map(wire_suback_code).collect() }
        }
        Packet::Unsubscribe(Unsubscribe { packet_id, filters, .. }) => {
            let topic_filters =
                filters.iter().map(|wanted| wire_text(wanted.as_str())).collect::<Result<_, _>>()?;
            v3::Packet::Unsubscribe { packet_id, topic_filters }
        }
        Packet::UnsubAck(UnsubAck { packet_id, codes, .. }) => {
            let worst = codes.into_iter().map(u8::from).max().unwrap_or(0);
            positive(worst, v3::Packet::UnsubscribeAck { packet_id })?
        }
        Packet::PingReq => v3::Packet::PingRequest,
        Packet::PingResp => v3::Packet::PingResponse,
        Packet::Disconnect(_) if from_server => return Ok(None),
        Packet::Disconnect(_) => v3::Packet::Disconnect,
        Packet::Auth => return Err(EncodeError::NotInVersion("3.1.1 has no AUTH")),
    }))
}

fn connect(read: v3::Connect) -> Result<Connect, DecodeError> {
    Ok(Connect {
        version: Version::V311,
        client_id: text(read.client_id)?,
        clean_start: read.clean_session,
        keep_alive: read.keep_alive,
        username: read.username.map(text).transpose()?,
        password: read.password.as_ref().map(owned),
        last_will: read.last_will.map(last_will).transpose()?,
        properties: ConnectProperties::default(),
    })
}

fn last_will(read: v3::LastWill) -> Result<LastWill, DecodeError> {
    Ok(LastWill {
        topic: name(read.topic)?,
        payload: owned(&read.message),
        qos: qos(read.qos),
        retain: read.retain,
        properties: LastWillProperties::default(),
    })
}

fn connack(read: v3::ConnectAck) -> Result<ConnAck, DecodeError> {
    let code = ConnectReasonCode::from_return_code(read.return_code.into()).ok_or(DecodeError::ReasonCode)?;
    Ok(ConnAck { session_present: read.session_present, ..ConnAck::new(code) })
}

fn publish(read: WirePublish) -> Result<Publish, DecodeError> {
    Ok(Publish {
        topic: Some(name(read.topic)?),
        payload: read.payload,
        qos: qos(read.qos),
        retain: read.retain,
        dup: read.dup,
        packet_id: read.packet_id,
        properties: None,
    })
}

fn suback_code(read: SubscribeReturnCode) -> SubAckCode {
    match read {
        SubscribeReturnCode::Success(granted) => SubAckCode::Granted(qos(granted)),
        SubscribeReturnCode::Failure => SubAckCode::Failed(SubscribeFailure::UnspecifiedError),
    }
}

/// 3.1.1 has no negative answers: writing a positive one instead would be a lie.
fn positive(code: impl Into<u8>, packet: v3::Packet) -> Result<v3::Packet, EncodeError> {
    if code.into() < 0x80 {
        Ok(packet)
    } else {
        Err(EncodeError::NotInVersion("3.1.1 has no negative acknowledgement"))
    }
}

fn wire_connect(packet: Connect) -> Result<v3::Connect, EncodeError> {
    if packet.password.is_some() && packet.username.is_none() {
        return Err(EncodeError::NotInVersion("3.1.1 has no password without a user name"));
    }
    if packet.client_id.is_empty() && !packet.clean_start {
        return Err(EncodeError::NotInVersion("3.1.1 has no session to keep without a client id"));
    }
    Ok(v3::Connect {
        protocol: Protocol(LEVEL),
        clean_session: packet.clean_start,
        keep_alive: packet.keep_alive,
        client_id: wire_text(&packet.client_id)?,
        username: packet.username.map(|username| wire_text(&username)).transpose()?,
        password: packet.password,
        last_will: packet.last_will.map(wire_last_will).transpose()?,
        cert: None,
    })
}

fn wire_last_will(will: LastWill) -> Result<v3::LastWill, EncodeError> {
    Ok(v3::LastWill {
        qos: wire_qos(will.qos),
        retain: will.retain,
        topic: wire_text(will.topic.as_str())?,
        message: will.payload,
    })
}

fn wire_connack(packet: &ConnAck) -> Option<v3::ConnectAck> {
    let return_code = packet.code.return_code()?.try_into().ok()?;
    Some(v3::ConnectAck { return_code, session_present: packet.session_present })
}

fn wire_publish(packet: Publish) -> Result<WirePublish, EncodeError> {
    let topic = packet.topic.ok_or(EncodeError::NotInVersion("3.1.1 has no topic alias"))?;
    Ok(WirePublish {
        dup: packet.dup,
        retain: packet.retain,
        qos: wire_qos(packet.qos),
        topic: wire_text(topic.as_str())?,
        packet_id: packet.packet_id,
        payload: packet.payload,
        properties: None,
    })
}

fn wire_subscribe(packet: &Subscribe) -> Result<v3::Packet, EncodeError> {
    let wanted = |wanted: &SubscribeFilter| Ok((wire_text(wanted.filter.as_str())?, wire_qos(wanted.qos)));
    let topic_filters = packet.filters.iter().map(wanted).collect::<Result<_, EncodeError>>()?;
    Ok(v3::Packet::Subscribe { packet_id: packet.packet_id, topic_filters })
}

fn wire_suback_code(code: SubAckCode) -> SubscribeReturnCode {
    match code {
        SubAckCode::Granted(granted) => SubscribeReturnCode::Success(wire_qos(granted)),
        SubAckCode::Failed(_) => SubscribeReturnCode::Failure,
    }
}
