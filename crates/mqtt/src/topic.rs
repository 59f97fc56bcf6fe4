//! Topic names and topic filters (section 4.7).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The topic of a message: at least one character and no wildcard. A clone shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text between the slashes; a level may be empty.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl TryFrom<&str> for TopicName {
    type Error = TopicError;

    fn try_from(text: &str) -> Result<Self, TopicError> {
        check_text(text)?;
        if text.contains(['+', '#']) {
            return Err(TopicError::WildcardInName);
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for TopicName {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        Self::try_from(text)
    }
}

impl AsRef<str> for TopicName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// What a subscription names: a topic filter, or a shared one, `$share/{group}/{filter}`.
///
/// A clone shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter(Arc<str>);

impl TopicFilter {
    /// The text, `$share/{group}/` included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text between the slashes, `$share` and the group left out; a level may be empty.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.unshared().split('/')
    }

    /// The filter by which topics are matched: without `$share/{group}/`.
    #[must_use]
    pub fn unshared(&self) -> &str {
        self.shared().map_or(self.as_str(), |(_, filter)| filter)
    }

    /// The group and the filter of a shared subscription (section 4.8.2).
    #[must_use]
    pub fn shared(&self) -> Option<(&str, &str)> {
        self.0.strip_prefix(SHARE)?.split_once('/')
    }

    /// Whether a level is a wildcard.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.0.contains(['+', '#'])
    }

    /// Whether the filter covers `name` (section 4.7.1). A shared filter covers what its inner filter does.
    ///
    /// `#` covers one level or more: as on AWS, and against section 4.7.1.2, it does not cover the level above it
    /// (developer guide, `mqtt`). A wildcard on the first level never covers a name that begins with `$`
    /// (`[MQTT-4.7.2-1]`).
    #[must_use]
    pub fn matches(&self, name: &TopicName) -> bool {
        let filter = self.unshared();
        if name.as_str().starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let mut levels = name.levels();
        for wanted in filter.split('/') {
            if wanted == "#" {
                return levels.next().is_some();
            }
            match levels.next() {
                Some(level) if wanted == "+" || wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }
}

impl TryFrom<&str> for TopicFilter {
    type Error = TopicError;

    fn try_from(text: &str) -> Result<Self, TopicError> {
        check_text(text)?;
        if let Some(shared) = text.strip_prefix(SHARE) {
            let (group, filter) = shared.split_once('/').ok_or(TopicError::SharedSubscription)?;
            if group.is_empty() || group.contains(['+', '#']) || filter.is_empty() {
                return Err(TopicError::SharedSubscription);
            }
        }
        check_wildcards(text)?;
        Ok(Self(text.into()))
    }
}

impl FromStr for TopicFilter {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        Self::try_from(text)
    }
}

/// A topic name is a filter for itself, unless it begins with `$share/`.
impl TryFrom<&TopicName> for TopicFilter {
    type Error = TopicError;

    fn try_from(name: &TopicName) -> Result<Self, TopicError> {
        Self::try_from(name.as_str())
    }
}

impl AsRef<str> for TopicFilter {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

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
    /// `$share/{group}/{filter}` needs a group without wildcards and a filter.
    #[error("[MQTT-4.8.2-1] a shared subscription is not `$share/{{group}}/{{filter}}`")]
    SharedSubscription,
}

const SHARE: &str = "$share/";

/// Checks what holds for names and filters alike.
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

fn check_wildcards(filter: &str) -> Result<(), TopicError> {
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') && (level != "#" || levels.peek().is_some()) {
            return Err(TopicError::MultiLevelWildcard);
        }
        if level.contains('+') && level != "+" {
            return Err(TopicError::SingleLevelWildcard);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let longest = "a".repeat(65_535);
        let too_long = "a".repeat(65_536);
        let cases: &[(&str, Result<usize, TopicError>)] = &[
            ("a", Ok(1)),
            ("sensor/sht20/temperature", Ok(3)),
            ("/", Ok(2)),
            ("/a/", Ok(3)),
            ("a//b", Ok(3)),
            ("Grüße/温度/🌡", Ok(3)),
            ("with space", Ok(1)),
            ("$aws/things/a/shadow", Ok(4)),
            ("$share/group/a", Ok(3)),
            ("\u{feff}a", Ok(1)),
            (&longest, Ok(1)),
            ("", Err(TopicError::Empty)),
            (&too_long, Err(TopicError::TooLong)),
            ("a\0b", Err(TopicError::NullCharacter)),
            ("a\u{1}b", Err(TopicError::ControlCharacter)),
            ("a\nb", Err(TopicError::ControlCharacter)),
            ("a\u{1f}", Err(TopicError::ControlCharacter)),
            ("a\u{7f}", Err(TopicError::ControlCharacter)),
            ("a\u{9f}", Err(TopicError::ControlCharacter)),
            ("a\u{fdd0}", Err(TopicError::ControlCharacter)),
            ("a\u{ffff}", Err(TopicError::ControlCharacter)),
            ("a\u{1fffe}", Err(TopicError::ControlCharacter)),
            ("+", Err(TopicError::WildcardInName)),
            ("a/#", Err(TopicError::WildcardInName)),
            ("a+b", Err(TopicError::WildcardInName)),
        ];
        for (text, expected) in cases {
            let name = text.parse::<TopicName>();
            assert_eq!(
                name.as_ref().map(|name| name.levels().count()).map_err(|&e| e),
                *expected,
                "{text:?}"
            );
        }
    }
}
