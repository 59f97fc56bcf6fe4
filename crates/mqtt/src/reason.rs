//! Reason codes (section 2.4), version-neutral, and the quality of service, which some of them grant.

/// A byte that is not a reason code of the packet in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("0x{0:02x} is not a reason code of this packet")]
pub struct UnknownCode(pub u8);

/// An enum of all values that a byte of a packet may have.
macro_rules! codes {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $code:ident = $value:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $code = $value,)+ }

        impl $name {
            /// Every code, in the order of their values.
            pub const ALL: &[Self] = &[$(Self::$code),+];
        }

        impl From<$name> for u8 {
            fn from(code: $name) -> u8 {
                code as u8
            }
        }

        impl TryFrom<u8> for $name {
            type Error = $crate::UnknownCode;

            fn try_from(value: u8) -> Result<Self, $crate::UnknownCode> {
                match value {
                    $($value => Ok(Self::$code),)+
                    other => Err($crate::UnknownCode(other)),
                }
            }
        }
    };
}

pub(crate) use codes;

codes! {
    /// The quality of service: how often a message arrives (section 4.3).
    #[derive(PartialOrd, Ord)]
    pub enum QoS {
        /// At most once: the message may be lost.
        AtMostOnce = 0,
        /// At least once: the message may be repeated.
        AtLeastOnce = 1,
        /// Exactly once.
        ExactlyOnce = 2,
    }
}

codes! {
    /// The answer to a CONNECT (section 3.2.2.2). [`Self::return_code`] is its 3.1.1 form.
    pub enum ConnectReasonCode {
        /// The connection is accepted.
        Success = 0x00,
        /// The server gives no reason.
        UnspecifiedError = 0x80,
        /// The CONNECT could not be parsed.
        MalformedPacket = 0x81,
        /// The CONNECT broke a rule.
        ProtocolError = 0x82,
        /// This server does not accept it.
        ImplementationSpecificError = 0x83,
        /// The version is not supported (1 in 3.1.1).
        UnsupportedProtocolVersion = 0x84,
        /// The client id is not allowed (2 in 3.1.1).
        ClientIdentifierNotValid = 0x85,
        /// Wrong user name or password (4 in 3.1.1).
        BadUserNameOrPassword = 0x86,
        /// The client may not connect (5 in 3.1.1).
        NotAuthorized = 0x87,
        /// The server is not available (3 in 3.1.1).
        ServerUnavailable = 0x88,
        /// Try again later.
        ServerBusy = 0x89,
        /// The client is banned.
        Banned = 0x8a,
        /// The authentication method is not supported.
        BadAuthenticationMethod = 0x8c,
        /// The will topic is not accepted.
        TopicNameInvalid = 0x90,
        /// The CONNECT is too large.
        PacketTooLarge = 0x95,
        /// A limit was exceeded.
        QuotaExceeded = 0x97,
        /// The will payload does not match its format indicator.
        PayloadFormatInvalid = 0x99,
        /// Retained messages are not supported.
        RetainNotSupported = 0x9a,
        /// The QoS of the will is not supported.
        QosNotSupported = 0x9b,
        /// Use another server for now.
        UseAnotherServer = 0x9c,
        /// Use another server from now on.
        ServerMoved = 0x9d,
        /// Too many connections a second.
        ConnectionRateExceeded = 0x9f,
    }
}

impl ConnectReasonCode {
    /// The 3.1.1 return code (3.1.1 section 3.2.2.3), or nothing where 3.1.1 has no code that fits: then the
    /// server closes the connection without a CONNACK (`[MQTT-3.2.2-6]` of 3.1.1).
    #[must_use]
    pub fn return_code(self) -> Option<u8> {
        match self {
            Self::Success => Some(0),
            Self::UnsupportedProtocolVersion => Some(1),
            Self::ClientIdentifierNotValid => Some(2),
            Self::ServerUnavailable
            | Self::ServerBusy
            | Self::UseAnotherServer
            | Self::ServerMoved
            | Self::ConnectionRateExceeded => Some(3),
            Self::BadUserNameOrPassword | Self::BadAuthenticationMethod => Some(4),
            Self::NotAuthorized | Self::Banned => Some(5),
            _ => None,
        }
    }

    /// The reason code for a 3.1.1 return code, 0 to 5.
    #[must_use]
    pub fn from_return_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Success,
            1 => Self::UnsupportedProtocolVersion,
            2 => Self::ClientIdentifierNotValid,
            3 => Self::ServerUnavailable,
            4 => Self::BadUserNameOrPassword,
            5 => Self::NotAuthorized,
            _ => return None,
        })
    }
}

codes! {
    /// Why a connection ends (section 3.14.2.1). MQTT 5 only.
    pub enum DisconnectReasonCode {
        /// The client closes normally, and its will is dropped.
        NormalDisconnection = 0x00,
        /// The client closes, and its will is published.
        DisconnectWithWillMessage = 0x04,
        /// No reason is given.
        UnspecifiedError = 0x80,
        /// A packet could not be parsed.
        MalformedPacket = 0x81,
        /// A packet broke a rule.
        ProtocolError = 0x82,
        /// This implementation does not accept it.
        ImplementationSpecificError = 0x83,
        /// The client may not do this.
        NotAuthorized = 0x87,
        /// The server is busy.
        ServerBusy = 0x89,
        /// The server stops.
        ServerShuttingDown = 0x8b,
        /// The authentication method is not supported.
        BadAuthenticationMethod = 0x8c,
        /// No packet arrived for one and a half keep-alive times.
        KeepAliveTimeout = 0x8d,
        /// Another connection uses the same client id.
        SessionTakenOver = 0x8e,
        /// A topic filter is not accepted.
        TopicFilterInvalid = 0x8f,
        /// A topic name is not accepted.
        TopicNameInvalid = 0x90,
        /// More messages in flight than the receive maximum.
        ReceiveMaximumExceeded = 0x93,
        /// A topic alias is 0 or above the maximum.
        TopicAliasInvalid = 0x94,
        /// A packet is above the maximum size.
        PacketTooLarge = 0x95,
        /// Too many messages.
        MessageRateTooHigh = 0x96,
        /// A limit was exceeded.
        QuotaExceeded = 0x97,
        /// An operator ended the connection.
        AdministrativeAction = 0x98,
        /// A payload does not match its format indicator.
        PayloadFormatInvalid = 0x99,
        /// Retained messages are not supported.
        RetainNotSupported = 0x9a,
        /// The QoS is not supported.
        QosNotSupported = 0x9b,
        /// Use another server for now.
        UseAnotherServer = 0x9c,
        /// Use another server from now on.
        ServerMoved = 0x9d,
        /// Shared subscriptions are not supported.
        SharedSubscriptionNotSupported = 0x9e,
        /// Too many connections a second.
        ConnectionRateExceeded = 0x9f,
        /// The connection has reached the longest time that it may last.
        MaximumConnectTime = 0xa0,
        /// Subscription identifiers are not supported.
        SubscriptionIdentifiersNotSupported = 0xa1,
        /// Wildcard subscriptions are not supported.
        WildcardSubscriptionsNotSupported = 0xa2,
    }
}

codes! {
    /// The answer to a PUBLISH, in PUBACK and PUBREC (sections 3.4.2.1 and 3.5.2.1). 3.1.1 has only success.
    pub enum PubAckCode {
        /// The message is accepted.
        Success = 0x00,
        /// Accepted, and nobody subscribes to it.
        NoMatchingSubscribers = 0x10,
        /// No reason is given.
        UnspecifiedError = 0x80,
        /// This implementation does not accept it.
        ImplementationSpecificError = 0x83,
        /// The client may not publish there.
        NotAuthorized = 0x87,
        /// The topic is not accepted.
        TopicNameInvalid = 0x90,
        /// The packet id is in use.
        PacketIdentifierInUse = 0x91,
        /// A limit was exceeded.
        QuotaExceeded = 0x97,
        /// The payload does not match its format indicator.
        PayloadFormatInvalid = 0x99,
    }
}

codes! {
    /// The code in PUBREL and PUBCOMP (sections 3.6.2.1 and 3.7.2.1). 3.1.1 has only success.
    pub enum PubRelCode {
        /// The packet id is known.
        Success = 0x00,
        /// The packet id is not known.
        PacketIdentifierNotFound = 0x92,
    }
}

codes! {
    /// Why one filter of a SUBSCRIBE was refused (section 3.9.3). 3.1.1 has one code for all of them, 0x80.
    pub enum SubscribeFailure {
        /// No reason is given; what 3.1.1 calls failure.
        UnspecifiedError = 0x80,
        /// This implementation does not accept it.
        ImplementationSpecificError = 0x83,
        /// The client may not subscribe to it.
        NotAuthorized = 0x87,
        /// The filter is not accepted.
        TopicFilterInvalid = 0x8f,
        /// The packet id is in use.
        PacketIdentifierInUse = 0x91,
        /// A limit was exceeded.
        QuotaExceeded = 0x97,
        /// Shared subscriptions are not supported.
        SharedSubscriptionsNotSupported = 0x9e,
        /// Subscription identifiers are not supported.
        SubscriptionIdentifiersNotSupported = 0xa1,
        /// Wildcard subscriptions are not supported.
        WildcardSubscriptionsNotSupported = 0xa2,
    }
}

/// The answer to one filter of a SUBSCRIBE (section 3.9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubAckCode {
    /// Subscribed, with this QoS at most.
    Granted(QoS),
    /// Not subscribed.
    Failed(SubscribeFailure),
}

impl From<SubAckCode> for u8 {
    fn from(code: SubAckCode) -> u8 {
        match code {
            SubAckCode::Granted(qos) => qos.into(),
            SubAckCode::Failed(failure) => failure.into(),
        }
    }
}

impl TryFrom<u8> for SubAckCode {
    type Error = UnknownCode;

    fn try_from(value: u8) -> Result<Self, UnknownCode> {
        QoS::try_from(value)
            .map(Self::Granted)
            .or_else(|_| SubscribeFailure::try_from(value).map(Self::Failed))
    }
}

codes! {
    /// The answer to one filter of an UNSUBSCRIBE (section 3.11.3). 3.1.1 has none.
    pub enum UnsubAckCode {
        /// The subscription is gone.
        Success = 0x00,
        /// There was no such subscription.
        NoSubscriptionExisted = 0x11,
        /// No reason is given.
        UnspecifiedError = 0x80,
        /// This implementation does not accept it.
        ImplementationSpecificError = 0x83,
        /// The client may not unsubscribe from it.
        NotAuthorized = 0x87,
        /// The filter is not accepted.
        TopicFilterInvalid = 0x8f,
        /// The packet id is in use.
        PacketIdentifierInUse = 0x91,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn return_codes_of_3_1_1_map_back_to_themselves() {
        for code in 0..=5 {
            assert_eq!(ConnectReasonCode::from_return_code(code).unwrap().return_code(), Some(code));
        }
        assert_eq!(ConnectReasonCode::from_return_code(6), None);
        assert_eq!(ConnectReasonCode::QuotaExceeded.return_code(), None);
    }

    #[test]
    fn every_code_is_its_byte() {
        for &code in ConnectReasonCode::ALL {
            assert_eq!(ConnectReasonCode::try_from(u8::from(code)), Ok(code));
        }
        for &code in SubscribeFailure::ALL {
            assert_eq!(SubAckCode::try_from(u8::from(code)), Ok(SubAckCode::Failed(code)));
        }
        assert_eq!(SubAckCode::try_from(1), Ok(SubAckCode::Granted(QoS::AtLeastOnce)));
        assert_eq!(SubAckCode::try_from(3), Err(UnknownCode(3)));
    }
}
