//! Strings on the wire (section 1.5.4), and the QoS, which both versions below share.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::{DecodeError, EncodeError};
use crate::packet::QoS;
use crate::topic::{TopicFilter, TopicName};

/// The QoS of the codec underneath.
pub(crate) type WireQos = rmqtt_codec::types::QoS;

/// A string of the peer's, copied so that it does not hold the read buffer.
pub(crate) fn text(value: impl AsRef<str>) -> Result<Arc<str>, DecodeError> {
    let value = value.as_ref();
    if value.contains('\0') { Err(DecodeError::NullCharacter) } else { Ok(value.into()) }
}

pub(crate) fn name(value: impl AsRef<str>) -> Result<TopicName, DecodeError> {
    let value = text(value)?;
    TopicName::try_from(&*value).map_err(|_| DecodeError::TopicName)
}

pub(crate) fn filter(value: impl AsRef<str>) -> Result<TopicFilter, DecodeError> {
    let value = text(value)?;
    TopicFilter::try_from(&*value).map_err(|_| DecodeError::TopicFilter)
}

pub(crate) fn qos(value: WireQos) -> QoS {
    match value {
        WireQos::AtMostOnce => QoS::AtMostOnce,
        WireQos::AtLeastOnce => QoS::AtLeastOnce,
        WireQos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// Bytes of the peer's that are kept as long as the connection, copied as strings are.
pub(crate) fn owned(value: &Bytes) -> Bytes {
    Bytes::copy_from_slice(value)
}

/// A string for the peer.
pub(crate) fn wire_text<S: for<'a> From<&'a str>>(value: &str) -> Result<S, EncodeError> {
    if value.contains('\0') {
        return Err(EncodeError::Invalid("[MQTT-1.5.4-2] a string holds the null character"));
    }
    if value.len() > usize::from(u16::MAX) {
        return Err(EncodeError::FieldTooLong);
    }
    Ok(value.into())
}

pub(crate) fn wire_optional<S, T>(value: Option<&T>) -> Result<Option<S>, EncodeError>
where
    S: for<'a> From<&'a str>,
    T: AsRef<str>,
{
    value.map(|value| wire_text(value.as_ref())).transpose()
}

pub(crate) fn wire_qos(value: QoS) -> WireQos {
    match value {
        QoS::AtMostOnce => WireQos::AtMostOnce,
        QoS::AtLeastOnce => WireQos::AtLeastOnce,
        QoS::ExactlyOnce => WireQos::ExactlyOnce,
    }
}
