//! The packets (chapter 3), the same for both versions.

mod connack;
mod connect;
mod disconnect;
mod publish;
mod subscribe;

use std::sync::Arc;

pub use self::connack::{ConnAck, ConnAckProperties};
pub use self::connect::{Connect, ConnectProperties, LastWill, LastWillProperties};
pub use self::disconnect::Disconnect;
pub use self::publish::{PubAck, PubRel, Publish, PublishProperties};
pub use self::subscribe::{RetainHandling, SubAck, Subscribe, SubscribeFilter, UnsubAck, Unsubscribe};
use crate::reason::UnknownCode;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5, protocol level 5.
    V5,
}

/// One control packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A client asks for a connection (section 3.1).
    Connect(Box<Connect>),
    /// The server's answer to CONNECT (section 3.2).
    ConnAck(Box<ConnAck>),
    /// A message (section 3.3).
    Publish(Publish),
    /// The answer to a QoS 1 message (section 3.4).
    PubAck(PubAck),
    /// The first answer to a QoS 2 message (section 3.5).
    PubRec(PubAck),
    /// The release of a QoS 2 message (section 3.6).
    PubRel(PubRel),
    /// The end of a QoS 2 exchange (section 3.7).
    PubComp(PubRel),
    /// A request for subscriptions (section 3.8).
    Subscribe(Subscribe),
    /// The answer to SUBSCRIBE (section 3.9).
    SubAck(SubAck),
    /// A request to end subscriptions (section 3.10).
    Unsubscribe(Unsubscribe),
    /// The answer to UNSUBSCRIBE (section 3.11).
    UnsubAck(UnsubAck),
    /// A sign of life (section 3.12).
    PingReq,
    /// The answer to PINGREQ (section 3.13).
    PingResp,
    /// The end of the connection (section 3.14).
    Disconnect(Disconnect),
    /// An exchange of an authentication method (section 3.15). Its content is dropped, and it can't be sent.
    Auth,
}

impl Packet {
    /// The packet type, 1 to 15 (section 2.1.2).
    #[must_use]
    pub fn packet_type(&self) -> u8 {
        match self {
            Self::Connect(_) => 1,
            Self::ConnAck(_) => 2,
            Self::Publish(_) => 3,
            Self::PubAck(_) => 4,
            Self::PubRec(_) => 5,
            Self::PubRel(_) => 6,
            Self::PubComp(_) => 7,
            Self::Subscribe(_) => 8,
            Self::SubAck(_) => 9,
            Self::Unsubscribe(_) => 10,
            Self::UnsubAck(_) => 11,
            Self::PingReq => 12,
            Self::PingResp => 13,
            Self::Disconnect(_) => 14,
            Self::Auth => 15,
        }
    }
}

/// How surely a message arrives (section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// Once or never.
    AtMostOnce = 0,
    /// Once or more.
    AtLeastOnce = 1,
    /// Exactly once.
    ExactlyOnce = 2,
}

impl From<QoS> for u8 {
    fn from(qos: QoS) -> u8 {
        qos as u8
    }
}

impl TryFrom<u8> for QoS {
    type Error = UnknownCode;

    fn try_from(value: u8) -> Result<Self, UnknownCode> {
        match value {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            other => Err(UnknownCode(other)),
        }
    }
}

/// A name and a value that mean what the two ends agree on (section 1.5.7). Names may repeat.
pub type UserProperty = (Arc<str>, Arc<str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_small() {
        assert!(size_of::<Packet>() <= 96, "{}", size_of::<Packet>());
    }
}
