//! Checks a session's packets against the quotas.

use mqtt::{DisconnectReasonCode as Code, PublishProperties, TopicFilter, TopicName, UserProperty};

use super::{disconnect_reason::DisconnectReason, reserved_topic};
use crate::quotas::{LimitError, Quotas};

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

impl Quotas {
    /// Checks a message's topic, payload and properties.
    ///
    /// # Errors
    ///
    /// The quota that the message breaks.
    pub fn check_message(
        &self,
        topic: &TopicName,
        payload: &[u8],
        properties: Option<&PublishProperties>,
    ) -> Result<(), DisconnectReason> {
        self.check(topic, payload)?;
        let Some(properties) = properties else { return Ok(()) };
        self.check_properties(MessageProperties {
            content_type: properties.content_type.as_deref(),
            correlation_data: properties.correlation_data.as_deref(),
            user: &properties.user_properties,
        })
    }
}

/// The properties of a message that have a quota.
#[derive(Clone, Copy, Debug)]
pub struct MessageProperties<'a> {
    /// The content type.
    pub content_type: Option<&'a str>,
    /// The correlation data.
    pub correlation_data: Option<&'a [u8]>,
    /// The user properties.
    pub user: &'a [UserProperty],
}

impl Quotas {
    /// Checks the properties of a message.
    ///
    /// # Errors
    ///
    /// The quota that they break.
    pub fn check_properties(&self, properties: MessageProperties<'_>) -> Result<(), DisconnectReason> {
        let MessageProperties { content_type, correlation_data, user } = properties;
        let user_bytes = user.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let error = if user.len() > self.user_properties {
            LimitError::UserProperties(self.user_properties)
        } else if user_bytes > self.user_property_bytes {
            LimitError::UserPropertyBytes(self.user_property_bytes)
        } else if content_type.map_or(0, str::len) > self.content_type_bytes {
            LimitError::ContentTypeBytes(self.content_type_bytes)
        } else if correlation_data.map_or(0, <[u8]>::len) > self.correlation_data_bytes {
            LimitError::CorrelationDataBytes(self.correlation_data_bytes)
        } else {
            return Ok(());
        };
        Err(DisconnectReason::Limit(Code::QuotaExceeded, error))
    }
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
