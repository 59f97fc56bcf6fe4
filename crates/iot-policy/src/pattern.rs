//! Patterns of resources, and the wildcards that they and conditions are made of.

mod wildcard;

use std::str::FromStr;

pub(crate) use wildcard::Wildcard;

use crate::context::Context;
use crate::error::PatternError;
use crate::resource::{Resource, ResourceKind};
use crate::variable::Variable;

/// One entry of a statement's `Resource` or `NotResource`: `*` or an ARN with wildcards, policy variables and escapes (AWS IoT Core
/// developer guide, `pub-sub-policy` and `basic-policy-variables`).
///
/// `*` is any run of characters, `/` and `:` included; `?` is exactly one Unicode scalar value; MQTT's `+` and `#`
/// are plain. `${iot:ClientId}`, `${aws:SourceIp}`, `${iot:DomainName}` and the variables of things and certificates
/// are replaced with the context's value, which is always literal; `${*}`, `${?}` and `${$}` mean the character.
/// A variable without a value matches nothing, so its statement doesn't apply, Deny or Allow (IAM user guide,
/// `reference_policies_variables`) *(guess: a policy variable without a value: its statement does not apply)*.
/// `*` matches colons there too *(guess: a `*` before the fifth colon of a resource)*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePattern {
    text: String,
    wildcard: Wildcard,
}

impl ResourcePattern {
    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the resource matches.
    #[must_use]
    pub fn matches(&self, resource: &Resource<'_>, context: &Context) -> bool {
        self.wildcard.matches(resource.text(), context)
    }

    /// The first variable without a value in this context.
    pub(crate) fn variable_without_value(&self, context: &Context) -> Option<&Variable> {
        self.wildcard.variables().find(|variable| context.variable(variable).is_none())
    }

    /// The pattern with `*` in place of each variable without a value.
    pub(crate) fn with_any_value(&self, context: &Context) -> Wildcard {
        self.wildcard.with_any_value(context)
    }

    /// The pattern, matching in any case.
    pub(crate) fn in_any_case(&self) -> Wildcard {
        self.wildcard.clone().ignoring_case()
    }

    /// Whether some resource of this kind can match, as far as the part after the fifth colon shows.
    pub(crate) fn may_name(&self, kind: ResourceKind) -> bool {
        let mut parts = self.text.splitn(6, ':');
        if parts.by_ref().take(5).any(|part| part.contains('*')) {
            return true;
        }
        let named = parts.next().unwrap_or_default();
        let (prefix, has_name) = named.split_once('/').map_or((named, false), |(prefix, _)| (prefix, true));
        prefix.contains(['*', '?', '$']) || (has_name && prefix == kind.as_str())
    }

    pub(crate) fn mentions_client_id(&self) -> bool {
        self.wildcard.variables().any(|variable| *variable == Variable::ClientId)
    }

    /// The first variable that has no value under custom authentication.
    pub(crate) fn without_value(&self) -> Option<String> {
        self.wildcard
            .variables()
            .find(|variable| variable.needs_registered_principal())
            .map(Variable::to_string)
    }
}

impl FromStr for ResourcePattern {
    type Err = PatternError;

    /// Reads `*` or `arn:PARTITION:iot:REGION:ACCOUNT:KIND/NAME`; any `KIND` will do, other services' ARNs will not.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text != "*" {
            check_arn(text)?;
        }
        Ok(Self { text: text.to_owned(), wildcard: Wildcard::parse(text)? })
    }
}

/// Refuses what no AWS IoT resource can match: a Deny that is misspelt must not silently deny nothing.
fn check_arn(text: &str) -> Result<(), PatternError> {
    let mut parts = text.splitn(6, ':');
    if parts.next() != Some("arn") {
        return Err(PatternError::NotArn(text.to_owned()));
    }
    for place in ["partition", "service", "region", "account"] {
        let part = parts.next().unwrap_or_default();
        if part.contains("${") {
            return Err(PatternError::EarlyVariable(text.to_owned()));
        }
        if part.contains('*') {
            return Ok(());
        }
        if part.is_empty() {
            return Err(PatternError::IncompleteArn(text.to_owned()));
        }
        if place == "service" && part != "iot" && !part.contains('?') {
            return Err(PatternError::OtherService(text.to_owned()));
        }
    }
    match parts.next() {
        None | Some("") => Err(PatternError::IncompleteArn(text.to_owned())),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_knows_the_kinds_it_may_name() {
        let table = [
            ("*", true, true),
            ("arn:aws:iot:*", true, true),
            ("arn:aws:iot:r:a:*", true, true),
            ("arn:aws:iot:r:a:t*", true, true),
            ("arn:aws:iot:r:a:topic/x", true, false),
            ("arn:aws:iot:r:a:topicfilter/x", false, true),
            ("arn:aws:iot:r:a:topic", false, false),
            ("arn:aws:iot:r:a:thing/x", false, false),
        ];
        for (text, topic, filter) in table {
            let pattern: ResourcePattern = text.parse().unwrap();
            assert_eq!(pattern.may_name(ResourceKind::Topic), topic, "{text}");
            assert_eq!(pattern.may_name(ResourceKind::TopicFilter), filter, "{text}");
        }
    }
}
