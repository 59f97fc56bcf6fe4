//! Checks a session's packets against the quotas.

use mqtt::{DisconnectReasonCode as Code, TopicFilter, TopicName, UserProperty};

use super::{disconnect_reason::DisconnectReason, reserved_topic};
use crate::quotas::{LimitError, Quotas};

/// Bytes of all user properties, names and values together *(unverified)*.
const MAX_USER_PROPERTY_BYTES: usize = 8 * 1024;
/// User properties of one packet *(unverified)*.
const MAX_USER_PROPERTIES: usize = 100;

impl Quotas {
    /// The keep-alive for a client that requested this one, in seconds.
    #[must_use]
    pub fn keep_alive(&self, asked_seconds: u16) -> u16 {
        let (min, max) = (self.min_keep_alive_seconds.get(), self.max_keep_alive_seconds.get());
        if asked_seconds == 0 { max } else { asked_seconds.max(min).min(max) }
    }

    /// Checks a topic filter. `$share/` and the group do not count (developer guide, `mqtt`).
    ///
    /// # Errors
    ///
    /// The quota that the filter breaks.
    pub fn check_filter(&self, filter: &TopicFilter) -> Result<(), LimitError> {
        self.check_topic(filter.unshared())
    }

    fn check_topic(&self, topic: &str) -> Result<(), LimitError> {
        if reserved_topic::counted(topic).len() > self.topic_bytes {
            return Err(LimitError::TopicBytes(self.topic_bytes));
        }
        if reserved_topic::counted_slashes(topic) > self.topic_slashes {
            return Err(LimitError::TopicSlashes(self.topic_slashes));
        }
        Ok(())
    }

    /// Checks a message's topic and payload.
    ///
    /// # Errors
    ///
    /// The quota that the message breaks.
    pub fn check(&self, topic: &TopicName, payload: &[u8]) -> Result<(), DisconnectReason> {
        self.check_topic(topic.as_str())
            .map_err(|error| DisconnectReason::Limit(Code::TopicNameInvalid, error))?;
        if payload.len() > self.payload_bytes {
            let error = LimitError::PayloadBytes(self.payload_bytes);
            return Err(DisconnectReason::Limit(Code::PacketTooLarge, error));
        }
        Ok(())
    }
}

/// Checks a message's user properties.
///
/// # Errors
///
/// The limit that they break.
pub fn check_user_properties(user: &[UserProperty]) -> Result<(), DisconnectReason> {
    let bytes = user.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    if user.len() > MAX_USER_PROPERTIES || bytes > MAX_USER_PROPERTY_BYTES {
        return Err(DisconnectReason::Limit(Code::QuotaExceeded, LimitError::UserProperties));
    }
    Ok(())
}

/// Checks that clients can publish to a topic, if it is a reserved one.
///
/// # Errors
///
/// When they can't.
pub fn check_reserved(topic: &TopicName, retain: bool) -> Result<(), DisconnectReason> {
    if reserved_topic::is_reserved(topic.as_str()) {
        reserved_topic::recipient(topic, retain)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alive_is_clamped() {
        for (asked, held) in
            [(0, 1200), (1, 30), (30, 30), (31, 31), (1200, 1200), (1201, 1200), (65_535, 1200)]
        {
            assert_eq!(Quotas::AWS.keep_alive(asked), held, "{asked}");
        }
    }
}
