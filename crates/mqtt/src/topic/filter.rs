//! Topic filters (sections 4.7.1 and 4.8.2).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{TopicError, TopicName, check_text};

const SHARE: &str = "$share/";

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
    /// `#` also covers the level above it, and a wildcard on the first level never covers a name that begins
    /// with `$` (`[MQTT-4.7.2-1]`).
    #[must_use]
    pub fn matches(&self, name: &TopicName) -> bool {
        let filter = self.unshared();
        if name.as_str().starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let mut levels = name.levels();
        for wanted in filter.split('/') {
            // Also where the name has no level left: `a/#` covers `a`.
            if wanted == "#" {
                return true;
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
