//! The names that an authorizer is known by.

use std::fmt;

use iot_policy::limits::{is_authorizer_name, is_token_key_name};

/// An authorizer's name, `[\w=,@-]{1,128}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuthorizerName(String);

/// The parameter or header in which an authorizer's token comes, `[a-zA-Z0-9_-]{1,128}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKeyName(String);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not an authorizer's.
    #[error("an authorizer's name has 1 to 128 of `A-Z a-z 0-9 _ = , @ -`")]
    Authorizer,
    /// Not a token key's.
    #[error("a token key name has 1 to 128 of `A-Z a-z 0-9 _ -`, and does not begin with `x-amz-`")]
    TokenKey,
}

impl AuthorizerName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TokenKeyName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for AuthorizerName {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        if is_authorizer_name(text) { Ok(Self(text.to_owned())) } else { Err(NameError::Authorizer) }
    }
}

/// A key called as AWS's own parameters are would be two things at once.
impl TryFrom<&str> for TokenKeyName {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        let reserved = text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"));
        if is_token_key_name(text) && !reserved {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::TokenKey)
        }
    }
}

impl fmt::Display for AuthorizerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_aws_takes() {
        let long = "a".repeat(129);
        for (text, authorizer, token_key) in [
            ("latchkey", true, true),
            ("a=b,c@d-e_f", true, false),
            ("TokenKeyName", true, true),
            ("x-amz-customauthorizer-name", true, false),
            ("X-Amz-", true, false),
            ("x-amz", true, true),
            ("", false, false),
            ("a?b", false, false),
            ("é", false, false),
            (&long, false, false),
        ] {
            assert_eq!(AuthorizerName::try_from(text).is_ok(), authorizer, "{text}");
            assert_eq!(TokenKeyName::try_from(text).is_ok(), token_key, "{text}");
        }
    }
}
