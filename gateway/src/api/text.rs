//! The constraints of the API models on texts: lengths and patterns.

use super::{error::ApiError, input::constraint_error};

/// A text's constraints, as the API model has them.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// The fewest characters.
    pub min: usize,
    /// The most characters.
    pub max: usize,
    /// The pattern: an optional prefix `(0x)?`, then one class of characters, `[…]`, with `+` or `*`, all of it between `^(` and
    /// `)$` or not. The class may have ranges, `\w`, `\s`, `\S`, `\p{Graph}`, `\p{L}`, `\p{N}`, `\p{Z}`, `\x20` and characters
    /// after a `\`.
    pub pattern: &'static str,
}

impl Text {
    /// Any text.
    pub const ANY: Self = Self { min: 0, max: usize::MAX, pattern: r"[\s\S]*" };
    /// The name of a Thing, a Thing type, a Thing group or a billing group.
    pub const THING_NAME: Self = Self { min: 1, max: 128, pattern: "[a-zA-Z0-9:_-]+" };
    /// The name of a shadow.
    pub const SHADOW_NAME: Self = Self { min: 1, max: 64, pattern: "[$a-zA-Z0-9:_-]+" };
    /// The name of an authorizer.
    pub const AUTHORIZER_NAME: Self = Self { min: 1, max: 128, pattern: r"[\w=,@-]+" };
    /// A function's ARN. What is wrong with it has a message of its own.
    pub const FUNCTION_ARN: Self = Self { max: 2_048, ..Self::ANY };
    /// A token key name.
    pub const TOKEN_KEY_NAME: Self = Self { min: 1, max: 128, pattern: "[a-zA-Z0-9_-]+" };
    /// The name of a public key.
    pub const KEY_NAME: Self = Self { min: 1, max: 128, pattern: "[a-zA-Z0-9:_-]+" };
    /// A public key.
    pub const KEY: Self = Self { max: 5_120, ..Self::ANY };
    /// An attribute's name.
    pub const ATTRIBUTE_NAME: Self = Self { min: 0, max: 128, pattern: "[a-zA-Z0-9_.,@/:#-]+" };
    /// An attribute's value.
    pub const ATTRIBUTE_VALUE: Self = Self { min: 0, max: 800, pattern: r"[a-zA-Z0-9_.,@/:#=\[\]-]*" };
    /// The description of a Thing type or Thing group.
    pub const DESCRIPTION: Self = Self { min: 0, max: 2028, pattern: r"[\p{Graph}\x20]*" };
    /// The name of a policy.
    pub const POLICY_NAME: Self = Self { min: 1, max: 128, pattern: r"[\w+=,.@-]+" };
    /// The number of a policy's version.
    pub const POLICY_VERSION: Self = Self { min: 0, max: usize::MAX, pattern: "[0-9]+" };
    /// A policy document.
    pub const POLICY_DOCUMENT: Self = Self { max: 404_600, ..Self::ANY };
    /// The key of a tag.
    pub const TAG_KEY: Self = Self { min: 1, max: 128, pattern: r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$" };
    /// The value of a tag. AWS's guide has the characters of a key for it; the API model has none.
    pub const TAG_VALUE: Self = Self { max: 256, ..Self::ANY };
    /// A certificate's id.
    pub const CERTIFICATE_ID: Self = Self { min: 64, max: 64, pattern: "(0x)?[a-fA-F0-9]+" };
    /// A certificate in PEM form.
    pub const CERTIFICATE_PEM: Self = Self { min: 1, max: 65_536, ..Self::ANY };
    /// A certificate signing request in PEM form.
    pub const SIGNING_REQUEST: Self = Self { min: 1, max: 4096, ..Self::ANY };

    /// Checks a member's text.
    ///
    /// # Errors
    ///
    /// When it does not meet the constraints.
    pub fn check(&self, name: &str, text: &str) -> Result<(), ApiError> {
        let characters = text.chars().count();
        let constraint = if characters < self.min {
            format!("Member must have length greater than or equal to {}", self.min)
        } else if characters > self.max {
            format!("Member must have length less than or equal to {}", self.max)
        } else if self.matches(text) {
            return Ok(());
        } else {
            format!("Member must satisfy regular expression pattern: {}", self.pattern)
        };
        Err(constraint_error(name, &constraint))
    }

    fn matches(&self, text: &str) -> bool {
        let pattern = self.pattern.strip_prefix("^(").and_then(|pattern| pattern.strip_suffix(")$"));
        let pattern = pattern.unwrap_or(self.pattern);
        let (pattern, text) = match pattern.strip_prefix("(0x)?") {
            Some(pattern) => (pattern, text.strip_prefix("0x").unwrap_or(text)),
            None => (pattern, text),
        };
        let (class, repetition) = pattern.rsplit_once(']').unwrap_or((pattern, ""));
        let class = class.strip_prefix('[').unwrap_or(class);
        (repetition == "*" || !text.is_empty()) && text.chars().all(|c| class_has(class, c))
    }
}

/// Whether a class of a pattern, without its brackets, has the character.
fn class_has(class: &str, wanted: char) -> bool {
    let mut rest = class.chars().peekable();
    while let Some(first) = rest.next() {
        let from = match first {
            '\\' => match rest.next() {
                Some('w') if wanted.is_ascii_alphanumeric() || wanted == '_' => return true,
                Some('s') if wanted.is_whitespace() => return true,
                Some('S') if !wanted.is_whitespace() => return true,
                Some('w' | 's' | 'S') | None => continue,
                Some('p') => {
                    let property = rest.by_ref().take_while(|c| *c != '}').collect::<String>();
                    let has_it = match &*property {
                        "{Graph" => wanted.is_ascii_graphic(),
                        "{L" => wanted.is_alphabetic(),
                        "{N" => wanted.is_numeric(),
                        "{Z" => wanted.is_whitespace() && !wanted.is_control(),
                        _ => false,
                    };
                    if has_it {
                        return true;
                    }
                    continue;
                }
                Some('x') => {
                    let digits = rest.by_ref().take(2).collect::<String>();
                    u8::from_str_radix(&digits, 16).map_or('\0', char::from)
                }
                Some(escaped) => escaped,
            },
            plain => plain,
        };
        let mut ahead = rest.clone();
        let to = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) if to != '\\' => {
                rest = ahead;
                to
            }
            _ => from,
        };
        if (from..=to).contains(&wanted) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_regular_expressions_do() {
        let graph = Text { min: 0, max: 200, pattern: r"[\p{Graph}\x20]*" };
        let id = Text { min: 64, max: 64, pattern: "(0x)?[a-fA-F0-9]+" };
        let policy = Text { min: 1, max: 128, pattern: r"[\w+=,.@-]+" };
        for (constraint, text, accepted) in [
            (Text::THING_NAME, "sht20:a_b-C", true),
            (Text::THING_NAME, "a b", false),
            (Text::THING_NAME, "a.b", false),
            (Text::THING_NAME, "é", false),
            (Text::THING_NAME, "", false),
            (Text::ATTRIBUTE_VALUE, "", true),
            (Text::ATTRIBUTE_VALUE, "a=[1]-b", true),
            (Text::ATTRIBUTE_VALUE, "a\\b", false),
            (Text::ATTRIBUTE_VALUE, "a b", false),
            (Text::ATTRIBUTE_NAME, "a/b#c", true),
            (Text::ATTRIBUTE_NAME, "a=b", false),
            (graph, "a b~!", true),
            (graph, "a\tb", false),
            (id, "0xabcdefABCDEF0123", true),
            (id, "0x", false),
            (id, "xyz", false),
            (Text::TAG_KEY, "Kostenstelle Süd/1+2=3", true),
            (Text::TAG_KEY, "a-b@c", true),
            (Text::TAG_KEY, "a!b", false),
            (Text::TAG_KEY, "a\tb", false),
            (policy, "a+b=c,d.e@f-g", true),
            (policy, "a/b", false),
            (Text::ANY, "any\n\u{1F600}", true),
        ] {
            assert_eq!(constraint.matches(text), accepted, "{} {text:?}", constraint.pattern);
        }
    }

    #[test]
    fn the_message_names_the_member_and_the_constraint() {
        let message = |text: &str| Text::THING_NAME.check("thingName", text).unwrap_err().message;
        assert_eq!(
            message("a b"),
            "1 validation error detected: Value at 'thingName' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: [a-zA-Z0-9:_-]+"
        );
        assert!(message("").contains("Member must have length greater than or equal to 1"));
        assert!(message(&"a".repeat(129)).contains("less than or equal to 128"));
    }
}
