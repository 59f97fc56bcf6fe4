//! AWS's limits on one message.
//!
//! Source: AWS general reference, `iot-core`.

use iot_policy::limits::{MAX_PAYLOAD_BYTES, MAX_TOPIC_BYTES, MAX_TOPIC_SLASHES};
use mqtt::{DisconnectReasonCode as Code, TopicName};

use super::ending::Ending;

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
