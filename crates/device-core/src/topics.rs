//! The topics that a device publishes to: `sensor/{client_id}/temperature` and `sensor/{client_id}/humidity`.

use core::fmt;

use crate::reading::Quantity;

/// A client id that can be part of a topic: 1 to 128 bytes of `[A-Za-z0-9_.:@=,|&~-]`.
///
/// AWS IoT Core allows at most 128 bytes (AWS General Reference, "AWS IoT Core endpoints and quotas"). The
/// alphabet leaves out what has a meaning in topics and policies: `/`, `+`, `#`, `$`, `*`, `?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId<'a>(&'a str);

impl<'a> ClientId<'a> {
    /// The most bytes that a client id has.
    pub const MAX_LEN: usize = 128;

    /// The client id as the CONNECT packet carries it.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl<'a> TryFrom<&'a str> for ClientId<'a> {
    type Error = ClientIdError;

    fn try_from(text: &'a str) -> Result<Self, ClientIdError> {
        if text.is_empty() {
            return Err(ClientIdError::Empty);
        }
        if text.len() > Self::MAX_LEN {
            return Err(ClientIdError::TooLong(text.len()));
        }
        match text.chars().find(|character| !u8::try_from(*character).is_ok_and(is_plain)) {
            Some(character) => Err(ClientIdError::Character(character)),
            None => Ok(Self(text)),
        }
    }
}

impl fmt::Display for ClientId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Why a text is not a [`ClientId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientIdError {
    /// It is empty.
    #[error("the client id is empty")]
    Empty,
    /// It has more than [`ClientId::MAX_LEN`] bytes.
    #[error("the client id has {0} bytes, at most {max} are allowed", max = ClientId::MAX_LEN)]
    TooLong(usize),
    /// It has a character outside the alphabet.
    #[error("the client id contains {0:?}, use letters, digits and `_.:@=,|&~-` only")]
    Character(char),
}

/// The topic of one quantity of one device. `Display` writes it: at most [`Topic::MAX_LEN`] bytes and two
/// slashes, within AWS IoT Core's 256 bytes and seven slashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Topic<'a> {
    /// The client id of the device.
    pub client_id: ClientId<'a>,
    /// The quantity that is published.
    pub quantity: Quantity,
}

impl Topic<'_> {
    /// The most bytes that a topic has: the size of a fixed buffer that holds any of them.
    pub const MAX_LEN: usize = "sensor/".len() + ClientId::MAX_LEN + "/temperature".len();
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sensor/{}/{}", self.client_id, self.quantity)
    }
}

/// Whether a byte may be in a client id. None of these bytes means anything in a topic filter or a policy.
#[must_use]
pub const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'.' | b':' | b'@' | b'=' | b',' | b'|' | b'&' | b'~' | b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn client_ids_are_accepted_or_refused() {
        let longest = "x".repeat(128);
        for text in ["sht20", "a", "A-b_c.d:e@f", "id|securemode=2,signmethod=hmacsha256|", "a&b~c", &longest]
        {
            assert_eq!(ClientId::try_from(text).map(ClientId::as_str), Ok(text));
        }
        let refused = [
            ("", ClientIdError::Empty),
            ("+", ClientIdError::Character('+')),
            ("#", ClientIdError::Character('#')),
            ("a/b", ClientIdError::Character('/')),
            ("$a", ClientIdError::Character('$')),
            ("a*", ClientIdError::Character('*')),
            ("a?", ClientIdError::Character('?')),
            ("a b", ClientIdError::Character(' ')),
            ("a\0", ClientIdError::Character('\0')),
            ("${iot:ClientId}", ClientIdError::Character('$')),
            ("gerät", ClientIdError::Character('ä')),
        ];
        for (text, error) in refused {
            assert_eq!(ClientId::try_from(text), Err(error), "{text:?}");
        }
        assert_eq!(ClientId::try_from("x".repeat(129).as_str()), Err(ClientIdError::TooLong(129)));
    }

    #[test]
    fn refusals_say_what_to_do() {
        let messages = [
            (ClientIdError::Empty, "the client id is empty"),
            (ClientIdError::TooLong(129), "the client id has 129 bytes, at most 128 are allowed"),
            (
                ClientIdError::Character('\n'),
                "the client id contains '\\n', use letters, digits and `_.:@=,|&~-` only",
            ),
        ];
        for (error, message) in messages {
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn topics_name_the_device_and_the_quantity() {
        let client_id = ClientId::try_from("sht20").unwrap();
        let topics = Quantity::ALL.map(|quantity| Topic { client_id, quantity }.to_string());
        assert_eq!(topics, ["sensor/sht20/temperature", "sensor/sht20/humidity"]);
    }

    #[test]
    fn the_longest_topic_fills_the_buffer() {
        let longest = "x".repeat(ClientId::MAX_LEN);
        let client_id = ClientId::try_from(longest.as_str()).unwrap();
        let lengths = Quantity::ALL.map(|quantity| Topic { client_id, quantity }.to_string().len());
        assert_eq!(lengths.into_iter().max(), Some(Topic::MAX_LEN));
    }

    proptest! {
        #[test]
        fn a_topic_has_three_levels_and_no_wildcard(text in "\\PC{0,140}") {
            if let Ok(client_id) = ClientId::try_from(text.as_str()) {
                let topic = Topic { client_id, quantity: Quantity::Humidity }.to_string();
                let levels: Vec<&str> = topic.split('/').collect();
                prop_assert_eq!(levels, vec!["sensor", text.as_str(), "humidity"]);
                prop_assert!(!topic.contains(['+', '#', '$', '*', '?']));
            }
        }

        #[test]
        fn the_whole_alphabet_is_accepted(text in "[A-Za-z0-9_.:@=,|&~-]{1,128}") {
            prop_assert!(ClientId::try_from(text.as_str()).is_ok());
        }
    }
}
