//! Topic names (section 4.7).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{TopicError, check_text};

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
