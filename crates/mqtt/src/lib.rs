//! MQTT 3.1.1 and MQTT 5 packets for both ends of a connection.
//!
//! [`Codec`] turns bytes into [`Packet`]s and back, for the server ([`Codec::server`]) and for the client
//! ([`Codec::client`]). The packets are the same for both versions of the protocol: what only MQTT 5 has is an
//! optional property, and a reason code knows its 3.1.1 counterpart.
//!
//! The codec is strict. It refuses what the specifications call malformed or a protocol error, says which rule
//! was broken ([`DecodeError`]), and refuses a packet that is too large as soon as its length is known. No input
//! makes it panic. It does no IO and reads no clock; the feature `wire` adds the TLS connection of our own clients.
//!
//! Sections are those of the [MQTT 5 specification](https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html)
//! unless [3.1.1](https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/mqtt-v3.1.1.html) is named.

mod codec;
mod decode;
mod encode;
mod error;
mod field;
#[cfg(any(feature = "websocket", feature = "wire"))]
mod frames;
mod header;
mod packet;
mod property;
mod reason;
#[cfg(feature = "tls")]
pub mod tls_failure;
pub mod topic;
#[cfg(feature = "websocket")]
pub mod websocket;
#[cfg(feature = "wire")]
pub mod wire;

pub use crate::codec::Codec;
pub use crate::error::{DecodeError, EncodeError};
pub use crate::packet::{
    ConnAck, ConnAckProperties, Connect, ConnectProperties, Disconnect, InvalidFilter, LastWill,
    LastWillProperties, Packet, PubAck, PubRel, Publish, PublishProperties, RetainHandling, SubAck,
    Subscribe, SubscribeFilter, UnsubAck, Unsubscribe, UserProperty, Version,
};
pub use crate::reason::{
    ConnectReasonCode, DisconnectReasonCode, PubAckCode, PubRelCode, QoS, SubAckCode, SubscribeFailure,
    UnknownCode, UnsubAckCode,
};
pub use crate::topic::{TopicError, TopicFilter, TopicName};
