//! An authorizer as AWS's `CreateAuthorizer` has it: its name and its status.

use std::fmt;

use iot_policy::limits::is_authorizer_name;
use serde::{Deserialize, Serialize};

/// An authorizer's name, `[\w=,@-]{1,128}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuthorizerName(String);

/// A text that can't be an authorizer's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an authorizer's name has 1 to 128 of `A-Z a-z 0-9 _ = , @ -`")]
pub struct InvalidAuthorizerName;

/// Whether AWS IoT Core calls the authorizer.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AuthorizerStatus {
    /// It calls it.
    Active,
    /// It refuses clients that ask for the authorizer.
    Inactive,
}

impl AuthorizerName {
    /// The name of the gateway's own authorizer, `latchkey`.
    #[must_use]
    pub fn latchkey() -> Self {
        Self("latchkey".to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AuthorizerStatus {
    /// AWS's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
        }
    }
}

impl TryFrom<&str> for AuthorizerName {
    type Error = InvalidAuthorizerName;

    fn try_from(text: &str) -> Result<Self, InvalidAuthorizerName> {
        if is_authorizer_name(text) { Ok(Self(text.to_owned())) } else { Err(InvalidAuthorizerName) }
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
    fn authorizer_name_has_only_the_characters_that_aws_accepts() {
        for (text, accepted) in [
            ("latchkey", true),
            ("a=b,c@d-e_f", true),
            ("x-amz-customauthorizer-name", true),
            (&"a".repeat(128), true),
            (&"a".repeat(129), false),
            ("", false),
            ("a?b", false),
            ("é", false),
        ] {
            assert_eq!(AuthorizerName::try_from(text).is_ok(), accepted, "{text}");
        }
    }
}
