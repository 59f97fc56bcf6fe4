//! Topics with placeholders.

use serde::{Deserialize, Serialize};

/// A topic, topic filter or pattern of topics in which a whole level may be a placeholder.
///
/// - `{client_id}` and `{device}` are those of the device; any other `{name}` is a parameter of its record.
/// - `*` is the policy language's wildcard: any run of characters, `/` included.
/// - `+` and `#` are MQTT's wildcards; they have a meaning only in a topic filter.
///
/// A placeholder is always a whole level, so that different values never make the same topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicTemplate(Vec<Level>);

/// Why a text is not a [`TopicTemplate`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text is empty.
    #[error("a topic template is empty")]
    Empty,
    /// One of its levels is wrong.
    #[error("topic template `{template}`: {error}")]
    Level {
        /// The text.
        template: String,
        /// What is wrong.
        error: LevelError,
    },
}

/// Why a text is not a level of a [`TopicTemplate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// A placeholder's name has other characters.
    #[error("a placeholder is `{{name}}`, in `a-z` and `_`")]
    PlaceholderName,
    /// There is text next to a placeholder.
    #[error("a placeholder fills a whole level, as in `a/{{client_id}}/b`")]
    PartOfALevel,
    /// A `?`, which is a wildcard in a policy.
    #[error("`?` is a wildcard in a policy; use `*` if you mean one")]
    QuestionMark,
    /// Another character.
    #[error("a topic here is visible ASCII without spaces")]
    NotVisibleAscii,
    /// A `*` comes before a placeholder.
    #[error("a `*` before a placeholder would reach into other devices' topics")]
    WildcardFirst,
}

/// The name of a placeholder without a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the placeholder `{{{0}}}` has no value")]
pub struct NoValue(pub String);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Literal(String),
    Placeholder(String),
}

impl TopicTemplate {
    /// The text with every placeholder replaced by what `value` gives for its name.
    ///
    /// # Errors
    ///
    /// The first placeholder without a value.
    pub fn fill<'v>(&'v self, value: impl Fn(&str) -> Option<&'v str>) -> Result<String, NoValue> {
        let levels = self.0.iter().map(|level| match level {
            Level::Literal(text) => Ok(text.as_str()),
            Level::Placeholder(name) => value(name).ok_or_else(|| NoValue(name.clone())),
        });
        Ok(levels.collect::<Result<Vec<_>, _>>()?.join("/"))
    }

    /// Whether the placeholder of this name is one of its levels.
    #[must_use]
    pub fn has(&self, placeholder: &str) -> bool {
        self.0.iter().any(|level| matches!(level, Level::Placeholder(name) if name == placeholder))
    }

    /// The levels.
    pub(crate) fn levels(&self) -> &[Level] {
        &self.0
    }
}

impl Level {
    fn parse(text: &str) -> Result<Self, LevelError> {
        if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            return if named {
                Ok(Self::Placeholder(name.to_owned()))
            } else {
                Err(LevelError::PlaceholderName)
            };
        }
        if text.contains(['{', '}']) {
            return Err(LevelError::PartOfALevel);
        }
        if text.contains('?') {
            return Err(LevelError::QuestionMark);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(LevelError::NotVisibleAscii);
        }
        Ok(Self::Literal(text.to_owned()))
    }
}

impl TryFrom<String> for TopicTemplate {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        if text.is_empty() {
            return Err(TemplateError::Empty);
        }
        match text.split('/').map(Level::parse).collect::<Result<Vec<_>, _>>() {
            Ok(levels) if hides_a_placeholder(&levels) => {
                Err(TemplateError::Level { template: text, error: LevelError::WildcardFirst })
            }
            Ok(levels) => Ok(Self(levels)),
            Err(error) => Err(TemplateError::Level { template: text, error }),
        }
    }
}

/// A `*` also matches `/`, so the levels after it have no fixed position.
fn hides_a_placeholder(levels: &[Level]) -> bool {
    let mut wildcard = false;
    levels.iter().any(|level| match level {
        Level::Literal(text) => {
            wildcard |= text.contains('*');
            false
        }
        Level::Placeholder(_) => wildcard,
    })
}

impl From<TopicTemplate> for String {
    fn from(template: TopicTemplate) -> Self {
        let levels = template.0.into_iter().map(|level| match level {
            Level::Literal(text) => text,
            Level::Placeholder(name) => format!("{{{name}}}"),
        });
        levels.collect::<Vec<_>>().join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, String> {
        let template = TopicTemplate::try_from(text.to_owned()).map_err(|error| error.to_string())?;
        let filled = template.fill(|name| match name {
            "client_id" => Some("c"),
            "site" => Some("s"),
            _ => None,
        });
        filled.map_err(|NoValue(name)| name)
    }

    #[test]
    fn placeholders_are_whole_levels() {
        let cases = [
            ("{client_id}/*", Ok("c/*")),
            ("sensor/{client_id}/temperature", Ok("sensor/c/temperature")),
            ("{site}/{client_id}", Ok("s/c")),
            ("sensor/+/#", Ok("sensor/+/#")),
            ("$aws/rules/r", Ok("$aws/rules/r")),
            ("{missing}/x", Err("missing")),
        ];
        for (text, filled) in cases {
            assert_eq!(fill(text), filled.map(str::to_owned).map_err(str::to_owned), "{text}");
            assert_eq!(String::from(TopicTemplate::try_from(text.to_owned()).unwrap()), text);
        }
        for text in [
            "",
            "a{client_id}",
            "{client_id}b/c",
            "{}",
            "{A}",
            "a/?",
            "${iot:ClientId}/x",
            "a b",
            "a\n",
            "ä",
            "*/{client_id}",
            "site*/{client_id}/x",
        ] {
            assert!(fill(text).is_err(), "{text:?}");
        }
    }
}
