//! What can be wrong with bytes that arrive, and with packets that are to be sent.

use crate::property;
use crate::reason::{ConnectReasonCode, DisconnectReasonCode};

/// Why bytes were refused. The connection can't go on: the codec answers every later call with the same error.
///
/// The messages name the rule by its number in the MQTT 5 specification, or by version where only one has it.
/// They never hold a payload, a password, a user name or a topic that the peer sent. Of a packet that breaks several
/// rules, the first in the order of the bytes is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first packet from a client is not CONNECT.
    #[error("[MQTT-3.1.0-1] the first packet is not CONNECT")]
    NotConnect,
    /// A client sent a second CONNECT.
    #[error("[MQTT-3.1.0-2] a second CONNECT")]
    SecondConnect,
    /// The first packet from a server is neither CONNACK nor AUTH.
    #[error("[MQTT-3.2.0-1] the first packet from the server is not CONNACK")]
    NotConnAck,
    /// A server sent a second CONNACK.
    #[error("[MQTT-3.2.0-2] a second CONNACK")]
    SecondConnAck,
    /// The packet type does not exist in this version.
    #[error("section 2.1.2: packet type {0} is reserved")]
    ReservedPacketType(u8),
    /// The packet type is not sent in this direction.
    #[error("section 2.1.2: packet type {} is not sent in this direction", packet_type(*.0))]
    WrongDirection(u8),
    /// The flags of the fixed header are not those of the packet type.
    #[error("[MQTT-2.1.3-1] the flags of packet type {} are not the reserved ones", packet_type(*.0))]
    FixedHeaderFlags(u8),
    /// A length of more than four bytes.
    #[error("section 1.5.5: a variable byte integer is longer than four bytes")]
    LengthTooLong,
    /// A length that fits fewer bytes (MQTT 5).
    #[error("[MQTT-1.5.5-1] a variable byte integer is not written in the fewest bytes")]
    LengthNotMinimal,
    /// The packet is larger than this end accepts.
    #[error("section 3.1.2.11.4: a packet of {size} bytes is above the maximum of {max}")]
    PacketTooLarge {
        /// The whole packet, fixed header included.
        size: u64,
        /// What this end accepts.
        max: u32,
    },
    /// A field extends past the end of its packet.
    #[error("section 2.1.4: the packet ends inside a field")]
    Truncated,
    /// Bytes are left after the last field.
    #[error("section 2.1.4: bytes follow the end of the packet's fields")]
    TrailingBytes,
    /// The protocol name is not `MQTT`.
    #[error("[MQTT-3.1.2-1] the protocol name is not `MQTT`")]
    ProtocolName,
    /// The version is neither 3.1.1 (level 4) nor 5; MQTT 3.1 (`MQIsdp`) is level 3, which [`crate::Codec::with_older_protocols`] accepts.
    #[error("[MQTT-3.1.2-2] protocol level {0} is not supported: use MQTT 3.1.1 (4) or MQTT 5 (5)")]
    UnsupportedProtocolVersion(u8),
    /// The lowest bit of the connect flags is set.
    #[error("[MQTT-3.1.2-3] the CONNECT reserved flag is set")]
    ConnectReservedFlag,
    /// Will QoS or will retain without a will.
    #[error("[MQTT-3.1.2-11] the will QoS or will retain flag is set without the will flag")]
    WillFlags,
    /// Will QoS 3.
    #[error("[MQTT-3.1.2-12] the will QoS is 3")]
    WillQos,
    /// A password without a user name in 3.1.1.
    #[error("MQTT 3.1.1 [MQTT-3.1.2-22] the password flag is set without the user name flag")]
    PasswordWithoutUserName,
    /// An empty client id with a session that is to be kept, in 3.1.1.
    #[error("MQTT 3.1.1 [MQTT-3.1.3-8] an empty client id needs a clean session")]
    ClientIdRequired,
    /// A string is not UTF-8, a surrogate included.
    #[error("[MQTT-1.5.4-1] a string is not well-formed UTF-8")]
    Utf8,
    /// A string holds U+0000.
    #[error("[MQTT-1.5.4-2] a string holds the null character")]
    NullCharacter,
    /// Reserved bits of the CONNACK flags.
    #[error("[MQTT-3.2.2-1] a reserved CONNACK flag is set")]
    ConnAckFlags,
    /// A refusing CONNACK that claims a session.
    #[error("[MQTT-3.2.2-6] a refusing CONNACK has the session present flag")]
    SessionPresent,
    /// A packet id of 0.
    #[error("[MQTT-2.2.1-3] the packet id is 0")]
    PacketIdZero,
    /// QoS 3 in PUBLISH.
    #[error("[MQTT-3.3.1-4] the QoS is 3")]
    Qos,
    /// QoS 3 in SUBSCRIBE.
    #[error("section 3.8.3.1: the maximum QoS is 3")]
    MaximumQos,
    /// DUP on a QoS 0 message.
    #[error("[MQTT-3.3.1-2] DUP is set on a QoS 0 message")]
    DupOnQos0,
    /// The topic of a PUBLISH or of a will, or a response topic, is not a topic name.
    #[error("[MQTT-3.3.2-2] section 4.7: a topic name is not valid")]
    TopicName,
    /// A PUBLISH with neither topic nor alias.
    #[error("section 3.3.2.1: neither a topic name nor a topic alias")]
    TopicMissing,
    /// A filter of a SUBSCRIBE or UNSUBSCRIBE is not a topic filter.
    #[error("[MQTT-4.7.1-1] section 4.7: a topic filter is not valid")]
    TopicFilter,
    /// SUBSCRIBE or UNSUBSCRIBE without a filter.
    #[error("[MQTT-3.8.3-2] a packet without topic filters")]
    NoTopicFilter,
    /// Reserved bits of the subscription options.
    #[error("[MQTT-3.8.3-5] a reserved bit of the subscription options is set")]
    SubscriptionOptions,
    /// Retain handling 3.
    #[error("section 3.8.3.1: retain handling is 3")]
    RetainHandling,
    /// No local on a shared subscription.
    #[error("[MQTT-3.8.3-4] no local is set on a shared subscription")]
    NoLocalOnShared,
    /// A property that its packet can't have.
    #[error("section 2.2.2.2: property {} is not one of this packet", property::described(*.0))]
    PropertyNotAllowed(u8),
    /// A client's PUBLISH with a subscription identifier, which only a server sends.
    #[error("[MQTT-3.3.4-6] a PUBLISH of a client has a subscription identifier")]
    SubscriptionIdFromClient,
    /// A duplicate of a property that a packet can have only once.
    #[error("section 2.2.2.2: property {} is there more than once", property::described(*.0))]
    DuplicateProperty(u8),
    /// A property with a value that it can't have.
    #[error("section 2.2.2.2: property {} has a value that it cannot have", property::described(*.0))]
    PropertyValue(u8),
    /// Authentication data without a method.
    #[error("section 3.1.2.11.10: authentication data without a method")]
    AuthenticationMethodMissing,
    /// A reason code that its packet can't have.
    #[error("section 2.4: the reason code is not one of this packet")]
    ReasonCode,
    /// A packet that breaks no rule above and that its receiver can't use. The codec itself does not report it.
    #[error("section 1.2: malformed packet")]
    Malformed,
    /// The transport failed. [`tokio_util::codec::Decoder`] demands this variant; the codec itself does no IO.
    #[error("the connection failed: {0}")]
    Io(std::io::ErrorKind),
}

impl DecodeError {
    /// The reason for a DISCONNECT, for an error after the CONNACK (section 4.13).
    #[must_use]
    pub fn reason_code(self) -> DisconnectReasonCode {
        use DisconnectReasonCode as Code;
        match self {
            Self::PacketTooLarge { .. } => Code::PacketTooLarge,
            Self::TopicName => Code::TopicNameInvalid,
            Self::TopicFilter => Code::TopicFilterInvalid,
            Self::PropertyValue(0x23) => Code::TopicAliasInvalid,
            Self::Io(_) => Code::UnspecifiedError,
            Self::NotConnect
            | Self::SecondConnect
            | Self::NotConnAck
            | Self::SecondConnAck
            | Self::WrongDirection(_)
            | Self::ProtocolName
            | Self::UnsupportedProtocolVersion(_)
            | Self::SessionPresent
            | Self::PacketIdZero
            | Self::TopicMissing
            | Self::NoTopicFilter
            | Self::RetainHandling
            | Self::NoLocalOnShared
            | Self::MaximumQos
            | Self::SubscriptionIdFromClient
            | Self::DuplicateProperty(_)
            | Self::PropertyValue(_)
            | Self::AuthenticationMethodMissing => Code::ProtocolError,
            _ => Code::MalformedPacket,
        }
    }

    /// The reason for a CONNACK, for an error in the CONNECT itself (section 3.2.2.2).
    ///
    /// A server need not answer at all (section 4.13.1): a first packet that is not a CONNECT gets no answer.
    #[must_use]
    pub fn connect_reason_code(self) -> ConnectReasonCode {
        match self {
            Self::ProtocolName | Self::UnsupportedProtocolVersion(_) => {
                ConnectReasonCode::UnsupportedProtocolVersion
            }
            Self::ClientIdRequired => ConnectReasonCode::ClientIdentifierNotValid,
            other => match other.reason_code() {
                DisconnectReasonCode::PacketTooLarge => ConnectReasonCode::PacketTooLarge,
                DisconnectReasonCode::TopicNameInvalid => ConnectReasonCode::TopicNameInvalid,
                DisconnectReasonCode::MalformedPacket => ConnectReasonCode::MalformedPacket,
                DisconnectReasonCode::UnspecifiedError => ConnectReasonCode::UnspecifiedError,
                _ => ConnectReasonCode::ProtocolError,
            },
        }
    }
}

/// Why a packet could not be written. Nothing of it is in the buffer, and the connection can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// No CONNECT has arrived yet, so the version to answer in is not known.
    #[error("the protocol version is not known before CONNECT")]
    VersionUnknown,
    /// The CONNECT is for another version than the codec's.
    #[error("the version of the CONNECT is not the codec's")]
    VersionMismatch,
    /// This end does not send such packets.
    #[error("this end does not send packet type {}", packet_type(*.0))]
    WrongDirection(u8),
    /// The version has no way to say this, and to leave it out would change the meaning.
    #[error("the protocol version cannot say this: {0}")]
    NotInVersion(&'static str),
    /// The packet would break a rule.
    #[error("the packet would break a rule: {0}")]
    Invalid(&'static str),
    /// A string or binary field above 65,535 bytes.
    #[error("a field is longer than 65,535 bytes")]
    FieldTooLong,
    /// The packet is larger than the peer accepts, or than a length can say.
    #[error("[MQTT-3.1.2-24] the packet is above the peer's maximum of {max} bytes")]
    PacketTooLarge {
        /// What the peer accepts.
        max: u32,
    },
    /// The transport failed. [`tokio_util::codec::Encoder`] demands this variant; the codec itself does no IO.
    #[error("the connection failed: {0}")]
    Io(std::io::ErrorKind),
}

impl From<std::io::Error> for DecodeError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.kind())
    }
}

impl From<std::io::Error> for EncodeError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.kind())
    }
}

/// A packet type for a message: its number and its name.
fn packet_type(kind: u8) -> String {
    /// Table 2-1 of section 2.1.2.
    const NAMES: [&str; 16] = [
        "reserved",
        "CONNECT",
        "CONNACK",
        "PUBLISH",
        "PUBACK",
        "PUBREC",
        "PUBREL",
        "PUBCOMP",
        "SUBSCRIBE",
        "SUBACK",
        "UNSUBSCRIBE",
        "UNSUBACK",
        "PINGREQ",
        "PINGRESP",
        "DISCONNECT",
        "AUTH",
    ];
    let name = NAMES.get(usize::from(kind)).copied().unwrap_or("reserved");
    format!("{kind} ({name})")
}
