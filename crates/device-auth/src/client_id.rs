//! The MQTT client id, in the form that may be written into a policy.

use std::fmt;

/// Whether a byte may appear in a client id, a device name or a grant's parameter.
pub use device_core::topics::is_plain;
use iot_policy::limits::MAX_CLIENT_ID_BYTES;

// A device checks its own client id by the same rule.
const _: () = assert!(device_core::topics::ClientId::MAX_LEN == MAX_CLIENT_ID_BYTES);

/// A client id of 1 to 128 bytes of `[A-Za-z0-9_.:@=,|&~-]`.
///
/// None of those bytes has a meaning in the policy language or in topic filters, so a `ClientId` can be written into a policy
/// as it is. Anything else is refused, never escaped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(String);

/// Why a text is not a [`ClientId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientIdError {
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// More than 128 bytes, AWS's limit.
    #[error("it has {0} bytes, and AWS IoT Core accepts up to {MAX_CLIENT_ID_BYTES}")]
    TooLong(usize),
    /// A byte outside the allowed set.
    #[error("it has a character other than `A-Z a-z 0-9 _ . : @ = , | & ~ -` at byte {0}")]
    Character(usize),
}

impl ClientId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for ClientId {
    type Error = ClientIdError;

    fn try_from(text: &str) -> Result<Self, ClientIdError> {
        if text.is_empty() {
            return Err(ClientIdError::Empty);
        }
        if text.len() > MAX_CLIENT_ID_BYTES {
            return Err(ClientIdError::TooLong(text.len()));
        }
        match text.bytes().position(|byte| !is_plain(byte)) {
            Some(at) => Err(ClientIdError::Character(at)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_ids_are_accepted_and_all_others_refused() {
        let longest = "x".repeat(128);
        for id in ["sht20", "a", "A-b_c.d:e@f=g,h|i&j~k", "-", longest.as_str()] {
            assert_eq!(ClientId::try_from(id).map(|id| id.to_string()).as_deref(), Ok(id));
        }
        let too_long = "x".repeat(129);
        let cases = [
            ("", ClientIdError::Empty),
            (too_long.as_str(), ClientIdError::TooLong(129)),
            ("*", ClientIdError::Character(0)),
            ("a?", ClientIdError::Character(1)),
            ("a+", ClientIdError::Character(1)),
            ("#", ClientIdError::Character(0)),
            ("a/b", ClientIdError::Character(1)),
            ("$aws", ClientIdError::Character(0)),
            ("${iot:ClientId}", ClientIdError::Character(0)),
            ("{client_id}", ClientIdError::Character(0)),
            ("a b", ClientIdError::Character(1)),
            ("a\0", ClientIdError::Character(1)),
            ("a\n", ClientIdError::Character(1)),
            ("a\"b", ClientIdError::Character(1)),
            ("a\\b", ClientIdError::Character(1)),
            ("é", ClientIdError::Character(0)),
        ];
        for (id, error) in cases {
            assert_eq!(ClientId::try_from(id), Err(error), "{id:?}");
        }
    }
}
