//! Topic names and topic filters (section 4.7).

mod filter;
mod name;

pub use self::filter::TopicFilter;
pub use self::name::TopicName;

/// Why text is not a topic name or topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// There must be at least one character.
    #[error("[MQTT-4.7.3-1] a topic is empty")]
    Empty,
    /// A string on the wire has two bytes of length.
    #[error("[MQTT-4.7.3-3] a topic is longer than 65,535 bytes")]
    TooLong,
    /// U+0000 is never allowed.
    #[error("[MQTT-4.7.3-2] a topic holds the null character")]
    NullCharacter,
    /// U+0001 to U+001F, U+007F to U+009F and Unicode's non-characters should not be sent, and a receiver may
    /// refuse them (section 1.5.4). In topics we do: they would end up in logs and policies.
    #[error("section 1.5.4: a topic holds a control character or a non-character")]
    ControlCharacter,
    /// Only filters have wildcards.
    #[error("[MQTT-4.7.0-1] a topic name holds a wildcard")]
    WildcardInName,
    /// `#` must be the whole last level.
    #[error("[MQTT-4.7.1-1] `#` is not the whole last level")]
    MultiLevelWildcard,
    /// `+` must be a whole level.
    #[error("[MQTT-4.7.1-2] `+` is not a whole level")]
    SingleLevelWildcard,
    /// `$share/{group}/{filter}` needs a group without wildcards, and a filter.
    #[error("[MQTT-4.8.2-1] a shared subscription is not `$share/{{group}}/{{filter}}`")]
    SharedSubscription,
}

/// What holds for names and filters alike.
fn check_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > usize::from(u16::MAX) {
        return Err(TopicError::TooLong);
    }
    match text.chars().find(|&c| c.is_control() || is_noncharacter(c)) {
        None => Ok(()),
        Some('\0') => Err(TopicError::NullCharacter),
        Some(_) => Err(TopicError::ControlCharacter),
    }
}

/// U+FDD0 to U+FDEF and the last two code points of every plane.
fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe
}
