//! Checks a session's packets against the quotas.

use mqtt::{DisconnectReasonCode as Code, TopicName, UserProperty};

use super::disconnect_reason::DisconnectReason;
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

    /// Whether a topic or topic filter is within the quotas of bytes and slashes.
    #[must_use]
    pub fn fits(&self, topic: &str) -> bool {
        topic.len() <= self.topic_bytes && topic.matches('/').count() <= self.topic_slashes
    }

    /// Checks a message's topic and payload.
    ///
    /// # Errors
    ///
    /// The quota that the message breaks.
    pub fn check(&self, topic: &TopicName, payload: &[u8]) -> Result<(), DisconnectReason> {
        let limit = |code, details| Err(DisconnectReason::Limit(code, details));
        let topic = topic.as_str();
        if topic.len() > self.topic_bytes {
            return limit(Code::TopicNameInvalid, LimitError::TopicBytes(self.topic_bytes));
        }
        if !self.fits(topic) {
            return limit(Code::TopicNameInvalid, LimitError::TopicSlashes(self.topic_slashes));
        }
        if topic.starts_with('$') {
            return limit(Code::TopicNameInvalid, LimitError::ReservedTopic);
        }
        if payload.len() > self.payload_bytes {
            return limit(Code::PacketTooLarge, LimitError::PayloadBytes(self.payload_bytes));
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
