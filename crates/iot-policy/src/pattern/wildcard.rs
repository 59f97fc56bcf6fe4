//! Wildcard patterns: read once into tokens, matched without allocating.

use crate::context::Context;
use crate::error::PatternError;
use crate::text::Text;
use crate::variable::Variable;

/// A text with wildcards and policy variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wildcard {
    tokens: Vec<Token>,
    ignores_case: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(String),
    AnyRun,
    AnyOne,
    Variable(Variable),
}

impl Wildcard {
    /// Reads a pattern in which `*` is any run of characters and `?` exactly one.
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        Ok(Self { tokens: read(text, true)?, ignores_case: false })
    }

    /// Reads a text in which only variables and escapes are special.
    pub(crate) fn parse_plain(text: &str) -> Result<Self, PatternError> {
        Ok(Self { tokens: read(text, false)?, ignores_case: false })
    }

    /// Reads a plain text that matches in any case.
    pub(crate) fn parse_ignoring_case(text: &str) -> Result<Self, PatternError> {
        Ok(Self::parse_plain(text)?.ignoring_case())
    }

    pub(crate) fn ignoring_case(self) -> Self {
        Self { ignores_case: true, ..self }
    }

    /// The same with any run of characters in place of each variable without a value.
    pub(crate) fn with_any_value(&self, context: &Context) -> Self {
        let tokens = self.tokens.iter().map(|token| match token {
            Token::Variable(variable) if context.variable(variable).is_none() => Token::AnyRun,
            token => token.clone(),
        });
        Self { tokens: tokens.collect(), ignores_case: self.ignores_case }
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.tokens.iter().filter_map(|token| match token {
            Token::Variable(variable) => Some(variable),
            _ => None,
        })
    }

    /// Whether the whole text matches.
    ///
    /// A run of tokens between two `*` matches a fixed text, so its leftmost place is as good as any other and only
    /// the last `*` is ever retried: time grows with text times pattern at worst, memory not at all.
    pub(crate) fn matches(&self, text: Text<'_>, context: &Context) -> bool {
        let mut tokens = self.tokens.as_slice();
        let mut text = text;
        let mut retry = None;
        loop {
            let next = match tokens.split_first() {
                None if text.is_empty() => return true,
                None => None,
                Some((Token::AnyRun, [])) => return true,
                Some((Token::AnyRun, rest)) => {
                    retry = Some((rest, text));
                    Some((rest, text))
                }
                Some((token, rest)) => self.after(token, text, context).map(|text| (rest, text)),
            };
            (tokens, text) = match (next, retry) {
                (Some(next), _) => next,
                (None, None) => return false,
                (None, Some((rest, from))) => {
                    let Some(later) = from.after_one() else { return false };
                    retry = Some((rest, later));
                    (rest, later)
                }
            };
        }
    }

    /// What follows a token at the text's beginning; a variable without a value matches nothing.
    fn after<'a>(&self, token: &Token, text: Text<'a>, context: &Context) -> Option<Text<'a>> {
        let literal = match token {
            Token::AnyOne => return text.after_one(),
            Token::AnyRun => return Some(text),
            Token::Literal(literal) => literal,
            Token::Variable(variable) => context.variable(variable)?,
        };
        if self.ignores_case { text.after_ignoring_case(literal) } else { text.after(literal) }
    }
}

fn read(text: &str, wildcards: bool) -> Result<Vec<Token>, PatternError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        if let Some(variable) = rest.strip_prefix("${") {
            let (name, after) =
                variable.split_once('}').ok_or_else(|| PatternError::Unterminated(rest.to_owned()))?;
            match name {
                "*" | "?" | "$" => push_literal(&mut tokens, name),
                name => tokens.push(Token::Variable(Variable::from_name(name)?)),
            }
            rest = after;
            continue;
        }
        let mut chars = rest.chars();
        match chars.next() {
            None => return Ok(shrunk(tokens)),
            Some('*') if wildcards => push_run(&mut tokens),
            Some('?') if wildcards => tokens.push(Token::AnyOne),
            Some(c) => push_literal(&mut tokens, c.encode_utf8(&mut [0; 4])),
        }
        rest = chars.as_str();
    }
}

/// A pattern stays in memory as long as its connection.
fn shrunk(mut tokens: Vec<Token>) -> Vec<Token> {
    for token in &mut tokens {
        if let Token::Literal(literal) = token {
            literal.shrink_to_fit();
        }
    }
    tokens.shrink_to_fit();
    tokens
}

fn push_literal(tokens: &mut Vec<Token>, literal: &str) {
    match tokens.last_mut() {
        Some(Token::Literal(before)) => before.push_str(literal),
        _ => tokens.push(Token::Literal(literal.to_owned())),
    }
}

fn push_run(tokens: &mut Vec<Token>) {
    if tokens.last() != Some(&Token::AnyRun) {
        tokens.push(Token::AnyRun);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let context = Context::empty().with_client_id("id*");
        let wildcard = Wildcard::parse(pattern).unwrap();
        let whole = wildcard.matches(Text::whole(text), &context);
        for (at, _) in text.char_indices() {
            let (head, tail) = text.split_at(at);
            assert_eq!(
                wildcard.matches(Text::joined(head, tail), &context),
                whole,
                "{pattern} {head}|{tail}"
            );
        }
        whole
    }

    #[test]
    fn wildcards_match_whole_texts() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("***", "a/b:c"),
            ("a*c", "ac"),
            ("a*c", "abcbc"),
            ("?", "\u{1f600}"),
            ("a?c*", "aéc"),
            ("*ab*ab", "ababab"),
            ("${*}${?}${$}", "*?$"),
            ("$a$", "$a$"),
            ("a}", "a}"),
            ("${iot:ClientId}", "id*"),
            ("*${IOT:clientid}?", "xid*y"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("?", ""),
            ("?", "ab"),
            ("a*c", "acb"),
            ("*ab*ab", "abab "),
            ("${*}", "a"),
            ("${iot:ClientId}", "idx"),
            ("*${aws:SourceIp}*", "anything"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn plain_texts_have_no_wildcards() {
        let plain = Wildcard::parse_plain("a*?${*}${iot:ClientId}").unwrap();
        let context = Context::empty().with_client_id("b");
        assert!(plain.matches(Text::whole("a*?*b"), &context));
        assert!(!plain.matches(Text::whole("axx*b"), &context));
    }

    #[test]
    fn case_may_be_ignored() {
        let pattern = Wildcard::parse_ignoring_case("É*/${iot:ClientId}").unwrap();
        let context = Context::empty().with_client_id("aB");
        for (text, matches) in
            [("É*/aB", true), ("é*/Ab", true), ("éx/ab", false), ("é*/ab.", false), ("é*/a", false)]
        {
            assert_eq!(pattern.matches(Text::whole(text), &context), matches, "{text}");
            for (at, _) in text.char_indices() {
                let (head, tail) = text.split_at(at);
                assert_eq!(pattern.matches(Text::joined(head, tail), &context), matches, "{head}|{tail}");
            }
        }
        assert!(!pattern.matches(Text::whole("É*/"), &Context::empty()));
    }

    #[test]
    fn many_stars_stay_fast() {
        let pattern = "*a".repeat(1000);
        let text = "a".repeat(999) + "b";
        assert!(!matches(&pattern, &text));
    }
}
