//! AWS's limits on one message.
//!
//! Source: AWS general reference, `iot-core`.

use iot_policy::limits::{MAX_PAYLOAD_BYTES, MAX_TOPIC_BYTES, MAX_TOPIC_SLASHES};
use mqtt::{DisconnectReasonCode as Code, TopicName, UserProperty};

use super::ending::Ending;

/// What user properties may hold in all, names and values together *(unverified)*.
const MAX_USER_PROPERTY_BYTES: usize = 8 * 1024;
/// How many user properties there may be *(unverified)*.
const MAX_USER_PROPERTIES: usize = 100;

/// Whether a message's user properties are within bounds.
///
/// # Errors
///
/// The limit that they break.
pub fn check_properties(user: &[UserProperty]) -> Result<(), Ending> {
    let bytes = user.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    if user.len() > MAX_USER_PROPERTIES || bytes > MAX_USER_PROPERTY_BYTES {
        return Err(Ending::Limit(
            Code::QuotaExceeded,
            "more than 100 user properties, or more than 8 KiB of them",
        ));
    }
    Ok(())
}

/// Whether a message of this payload may be published to this topic, as far as limits go.
///
/// # Errors
///
/// The limit that it breaks.
pub fn check(topic: &TopicName, payload: &[u8]) -> Result<(), Ending> {
    let limit = |code, details| Err(Ending::Limit(code, details));
    if topic.as_str().len() > MAX_TOPIC_BYTES {
        return limit(Code::TopicNameInvalid, "the topic is longer than 256 bytes");
    }
    if topic.as_str().matches('/').count() > MAX_TOPIC_SLASHES {
        return limit(Code::TopicNameInvalid, "the topic has more than 7 slashes");
    }
    if topic.as_str().starts_with('$') {
        return limit(Code::TopicNameInvalid, "topics that begin with `$` are reserved");
    }
    if payload.len() > MAX_PAYLOAD_BYTES {
        return limit(Code::PacketTooLarge, "the payload is larger than 128 KiB");
    }
    Ok(())
}
