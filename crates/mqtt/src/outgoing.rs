//! What must hold for a packet before it is written, in either version.

use crate::codec::LARGEST;
use crate::error::EncodeError;
use crate::frame::Role;
use crate::packet::{Disconnect, Packet, Publish, QoS, Subscribe};
use crate::reason::ConnectReasonCode;

/// Above this, what comes with the payload or the lists could take the packet past the largest length.
const ROOM: usize = 268_435_455 - (1 << 17);

/// Checks the fields against each other, and that the packet is not beyond what a length can say.
pub(crate) fn check(packet: &Packet, role: Role) -> Result<(), EncodeError> {
    let size = match packet {
        Packet::Publish(message) => {
            publish(message, role)?;
            message.payload.len()
        }
        Packet::Subscribe(request) => {
            subscribe(request)?;
            request.filters.iter().map(|wanted| wanted.filter.as_str().len() + 3).sum()
        }
        Packet::Unsubscribe(request) => {
            not_empty(request.filters.is_empty())?;
            request.filters.iter().map(|filter| filter.as_str().len() + 2).sum()
        }
        Packet::SubAck(answer) => answer.codes.len(),
        Packet::UnsubAck(answer) => answer.codes.len(),
        Packet::ConnAck(answer) if answer.session_present && answer.code != ConnectReasonCode::Success => {
            return Err(EncodeError::Invalid("[MQTT-3.2.2-6] a refusal has no session"));
        }
        Packet::Disconnect(reason) => disconnect(reason, role).map(|()| 0)?,
        Packet::Auth => return Err(EncodeError::NotInVersion("AUTH is received only")),
        _ => 0,
    };
    if size > ROOM { Err(EncodeError::PacketTooLarge { max: LARGEST }) } else { Ok(()) }
}

fn publish(message: &Publish, role: Role) -> Result<(), EncodeError> {
    let subscriptions = message.properties.as_ref().is_some_and(|given| !given.subscription_ids.is_empty());
    if subscriptions && role == Role::Client {
        return Err(EncodeError::Invalid("[MQTT-3.3.4-6] a client sends no subscription identifier"));
    }
    match (message.qos, message.packet_id) {
        (QoS::AtMostOnce, Some(_)) => {
            Err(EncodeError::Invalid("[MQTT-2.2.1-2] a QoS 0 message has a packet id"))
        }
        (QoS::AtMostOnce, None) if message.dup => {
            Err(EncodeError::Invalid("[MQTT-3.3.1-2] DUP is set on a QoS 0 message"))
        }
        (QoS::AtLeastOnce | QoS::ExactlyOnce, None) => {
            Err(EncodeError::Invalid("[MQTT-2.2.1-3] a QoS 1 or 2 message needs a packet id"))
        }
        _ if message.topic.is_none() && message.topic_alias().is_none() => {
            Err(EncodeError::Invalid("section 3.3.2.1: neither a topic name nor a topic alias"))
        }
        _ => Ok(()),
    }
}

fn subscribe(request: &Subscribe) -> Result<(), EncodeError> {
    not_empty(request.filters.is_empty())?;
    if request.filters.iter().any(|wanted| wanted.no_local && wanted.filter.shared().is_some()) {
        return Err(EncodeError::Invalid("[MQTT-3.8.3-4] no local is set on a shared subscription"));
    }
    Ok(())
}

fn disconnect(reason: &Disconnect, role: Role) -> Result<(), EncodeError> {
    match role {
        Role::Server if reason.session_expiry_interval.is_some() => {
            Err(EncodeError::Invalid("[MQTT-3.14.2-2] a server sends no session expiry interval"))
        }
        Role::Client if reason.server_reference.is_some() => {
            Err(EncodeError::Invalid("section 3.14.2.2.5: a client sends no server reference"))
        }
        _ => Ok(()),
    }
}

fn not_empty(empty: bool) -> Result<(), EncodeError> {
    if empty { Err(EncodeError::Invalid("[MQTT-3.8.3-2] a packet without topic filters")) } else { Ok(()) }
}
