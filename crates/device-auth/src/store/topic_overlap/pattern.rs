//! Patterns of topics, and whether two of them have a topic in common.

use crate::grant::template::{Level, TopicTemplate};

/// A pattern of topics.
pub(super) struct Pattern(Vec<Token>);

/// Which of two templates a pattern is made of.
#[derive(Clone, Copy)]
pub(super) enum Side {
    One,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    /// Any text without a `/`.
    AnyInLevel,
    /// Any text.
    Any,
}

/// The levels of the topics that a template is about. A shared subscription is about the topics after its group.
pub(super) fn read_levels(template: &TopicTemplate) -> &[Level] {
    match template.levels() {
        [Level::Literal(first), _, topic @ ..] if first == "$share" && !topic.is_empty() => topic,
        levels => levels,
    }
}

impl Pattern {
    /// The template with any values.
    pub(super) fn any(template: &TopicTemplate) -> Self {
        Self::new(template, |_, tokens| tokens.push(Token::AnyInLevel))
    }

    /// The template with values that are in no other template.
    pub(super) fn fresh(template: &TopicTemplate, side: Side) -> Self {
        let mut names = Vec::new();
        Self::new(template, move |name, tokens| {
            let position = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            });
            // Topic templates are ASCII, so characters for private use are in none of them.
            let first = match side {
                Side::One => 0xE000,
                Side::Other => 0xF000,
            };
            let number = u32::try_from(position).unwrap_or_default();
            tokens.extend(char::from_u32(first + number).map(Token::Char));
        })
    }

    /// The template with these values. The client id is a text, and whether it is only the beginning of one. `None` if a
    /// placeholder has no value.
    pub(super) fn filled<'v>(
        template: &TopicTemplate,
        value: impl Fn(&str) -> Option<&'v str>,
        client_id: Option<(&str, bool)>,
    ) -> Option<Self> {
        let mut complete = true;
        let pattern = Self::new(template, |name, tokens| {
            let (text, is_prefix) = match (name, client_id) {
                ("client_id", Some((id, is_prefix))) => (Some(id), is_prefix),
                _ => (value(name), false),
            };
            complete &= text.is_some();
            tokens.extend(text.unwrap_or_default().chars().map(Token::Char));
            if is_prefix {
                tokens.push(Token::AnyInLevel);
            }
        });
        complete.then_some(pattern)
    }

    fn new(template: &TopicTemplate, mut placeholder: impl FnMut(&str, &mut Vec<Token>)) -> Self {
        let mut tokens = Vec::new();
        for (position, level) in read_levels(template).iter().enumerate() {
            if position > 0 {
                tokens.push(Token::Char('/'));
            }
            match level {
                Level::Placeholder(name) => placeholder(name, &mut tokens),
                Level::Literal(text) if text == "+" => tokens.push(Token::AnyInLevel),
                Level::Literal(text) => tokens.extend(text.chars().map(|character| match character {
                    '*' | '#' => Token::Any,
                    character => Token::Char(character),
                })),
            }
        }
        Self(tokens)
    }

    /// A topic that both patterns have, with `*` where it may have any text.
    pub(super) fn meets(&self, other: &Self) -> Option<String> {
        let width = other.0.len() + 1;
        let mut search = Search {
            one: &self.0,
            other: &other.0,
            tried: vec![false; (self.0.len() + 1) * width],
            topic: String::new(),
        };
        search.from(0, 0).then_some(search.topic)
    }
}

/// A search for a topic, character by character. Each pair of positions is tried once.
struct Search<'p> {
    one: &'p [Token],
    other: &'p [Token],
    tried: Vec<bool>,
    topic: String,
}

impl Search<'_> {
    fn from(&mut self, at_one: usize, at_other: usize) -> bool {
        match self.tried.get_mut(at_one * (self.other.len() + 1) + at_other) {
            Some(tried) if !*tried => *tried = true,
            _ => return false,
        }
        let length = self.topic.len();
        let (one, other) = (self.one.get(at_one).copied(), self.other.get(at_other).copied());
        let found = match (one, other) {
            (None, None) => true,
            (Some(Token::Char(a)), Some(Token::Char(b))) => a == b && self.with(a, at_one + 1, at_other + 1),
            (Some(wild), Some(Token::Char(b))) => {
                (wild.takes(b) && self.with(b, at_one, at_other + 1)) || self.from(at_one + 1, at_other)
            }
            (Some(Token::Char(a)), Some(wild)) => {
                (wild.takes(a) && self.with(a, at_one + 1, at_other)) || self.from(at_one, at_other + 1)
            }
            (Some(_), Some(_)) => {
                // Whichever of two wildcards ends first, the other may go on.
                self.with('*', at_one + 1, at_other) || self.with('*', at_one, at_other + 1)
            }
            (Some(wild), None) => wild.is_wild() && self.from(at_one + 1, at_other),
            (None, Some(wild)) => wild.is_wild() && self.from(at_one, at_other + 1),
        };
        if !found {
            self.topic.truncate(length);
        }
        found
    }

    /// Continues after one more character of the topic.
    fn with(&mut self, character: char, at_one: usize, at_other: usize) -> bool {
        let length = self.topic.len();
        if character != '*' || !self.topic.ends_with('*') {
            self.topic.push(character);
        }
        let found = self.from(at_one, at_other);
        if !found {
            self.topic.truncate(length);
        }
        found
    }
}

impl Token {
    fn is_wild(self) -> bool {
        !matches!(self, Self::Char(_))
    }

    /// Whether the wildcard's text may have the character.
    fn takes(self, character: char) -> bool {
        match self {
            Self::Char(_) => false,
            Self::AnyInLevel => character != '/',
            Self::Any => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meets(one: &str, other: &str) -> Option<String> {
        let pattern = |text: &str| Pattern::any(&TopicTemplate::try_from(text.to_owned()).unwrap());
        let found = pattern(one).meets(&pattern(other));
        assert_eq!(found.is_some(), pattern(other).meets(&pattern(one)).is_some(), "{one} {other}");
        found
    }

    #[test]
    fn patterns_meet_in_a_topic_of_both() {
        let cases = [
            ("a/b", "a/b", Some("a/b")),
            ("a/b", "a/c", None),
            ("a/*", "a/b/c", Some("a/b/c")),
            ("a/+/c", "a/b/+", Some("a/b/c")),
            ("a/+", "a/b/c", None),
            ("a/#", "+/x", Some("a/x")),
            ("*x", "a/b*", Some("a/b*x")),
            ("*a*", "b", None),
            ("a/*/z", "a/b/#", Some("a/b/*/z")),
            ("$share/g/a/b", "a/+", Some("a/b")),
            ("$share/g/a/b", "$share/h/a/b", Some("a/b")),
            ("a*", "b*", None),
        ];
        for (one, other, topic) in cases {
            assert_eq!(meets(one, other).as_deref(), topic, "{one} {other}");
        }
    }
}
