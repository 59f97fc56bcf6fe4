//! The resources that requests are about, as the ARNs that policies name (AWS IoT Core developer guide,
//! `iot-policies`).

use std::fmt::{self, Display, Formatter};

use thiserror::Error;

use crate::text::Text;

/// The partition, region and account of resources: `arn:PARTITION:iot:REGION:ACCOUNT:`. Every resource's ARN is
/// built here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    client: String,
    thing: String,
    topic: String,
    topic_filter: String,
}

impl Scope {
    /// Takes a partition (`aws`, `aws-cn`, …), a region (`eu-west-1`) and an account (12 digits).
    ///
    /// # Errors
    ///
    /// A part in another format, named in the error.
    pub fn new(partition: &str, region: &str, account: &str) -> Result<Self, ScopeError> {
        if !is_label(partition) {
            return Err(ScopeError::Partition(partition.to_owned()));
        }
        if !is_label(region) {
            return Err(ScopeError::Region(region.to_owned()));
        }
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ScopeError::Account(account.to_owned()));
        }
        let prefix =
            |kind: ResourceKind| format!("arn:{partition}:iot:{region}:{account}:{}/", kind.as_str());
        Ok(Self {
            client: prefix(ResourceKind::Client),
            thing: prefix(ResourceKind::Thing),
            topic: prefix(ResourceKind::Topic),
            topic_filter: prefix(ResourceKind::TopicFilter),
        })
    }

    /// The client with this id: what `iot:Connect` is about.
    #[must_use]
    pub fn client<'a>(&'a self, id: &'a str) -> Resource<'a> {
        self.resource(ResourceKind::Client, id)
    }

    /// This topic: what `iot:Publish`, `iot:Receive` and `iot:RetainPublish` are about.
    #[must_use]
    pub fn topic<'a>(&'a self, topic: &'a str) -> Resource<'a> {
        self.resource(ResourceKind::Topic, topic)
    }

    /// This topic filter: what `iot:Subscribe` is about.
    #[must_use]
    pub fn topic_filter<'a>(&'a self, filter: &'a str) -> Resource<'a> {
        self.resource(ResourceKind::TopicFilter, filter)
    }

    /// The resource of a kind with this name.
    #[must_use]
    pub fn resource<'a>(&'a self, kind: ResourceKind, name: &'a str) -> Resource<'a> {
        let prefix = match kind {
            ResourceKind::Client => &self.client,
            ResourceKind::Thing => &self.thing,
            ResourceKind::Topic => &self.topic,
            ResourceKind::TopicFilter => &self.topic_filter,
        };
        Resource { prefix, name }
    }
}

/// A part of a [`Scope`] that is not valid in an ARN.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScopeError {
    /// Not `[a-z0-9-]+`.
    #[error("`{}` is not a partition, write one like `aws`", .0.escape_debug())]
    Partition(String),
    /// Not `[a-z0-9-]+`.
    #[error("`{}` is not a region, write one like `eu-west-1`", .0.escape_debug())]
    Region(String),
    /// Not 12 digits.
    #[error("`{}` is not an account, write its 12 digits", .0.escape_debug())]
    Account(String),
}

/// The kinds of resource that the evaluated actions are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// `client/ID`.
    Client,
    /// `thing/NAME`.
    Thing,
    /// `topic/TOPIC`.
    Topic,
    /// `topicfilter/FILTER`.
    TopicFilter,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Client, Self::Thing, Self::Topic, Self::TopicFilter];

    /// The name in the ARN.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Thing => "thing",
            Self::Topic => "topic",
            Self::TopicFilter => "topicfilter",
        }
    }
}

/// One client, Thing, topic or topic filter. It displays as its ARN, the name unescaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource<'a> {
    prefix: &'a str,
    name: &'a str,
}

impl<'a> Resource<'a> {
    /// The client id, the Thing's name, the topic or the topic filter.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The ARN to write into a policy's `Resource` so that it matches this resource and no other.
    #[must_use]
    pub fn literal_pattern(&self) -> String {
        format!("{}{}", self.prefix, escape_literal(self.name))
    }

    /// The ARN up to the kind: `arn:PARTITION:iot:REGION:ACCOUNT:`.
    pub(crate) fn scope_prefix(&self) -> &'a str {
        self.prefix.trim_end_matches(|c| c != ':')
    }

    /// The partition, the region and the account.
    pub(crate) fn scope_parts(&self) -> impl Iterator<Item = &'a str> {
        self.prefix
            .split(':')
            .enumerate()
            .filter_map(|(index, part)| matches!(index, 1 | 3 | 4).then_some(part))
    }

    pub(crate) fn text(&self) -> Text<'a> {
        Text::joined(self.prefix, self.name)
    }
}

impl Display for Resource<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.prefix, self.name)
    }
}

/// Writes a text for a policy's `Resource` so that it matches only itself: `*`, `?` and `$` become `${*}`, `${?}` and
/// `${$}` (IAM user guide, `reference_policies_variables`).
#[must_use]
pub fn escape_literal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' => escaped.push_str("${*}"),
            '?' => escaped.push_str("${?}"),
            '$' => escaped.push_str("${$}"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_spelt_as_arns() {
        let scope = Scope::new("aws-cn", "cn-north-1", "123456789012").unwrap();
        assert_eq!(scope.client("a").to_string(), "arn:aws-cn:iot:cn-north-1:123456789012:client/a");
        assert_eq!(scope.topic("a/b").to_string(), "arn:aws-cn:iot:cn-north-1:123456789012:topic/a/b");
        assert_eq!(
            scope.topic_filter("a/#").to_string(),
            "arn:aws-cn:iot:cn-north-1:123456789012:topicfilter/a/#"
        );
        assert_eq!(scope.topic("$a").literal_pattern(), "arn:aws-cn:iot:cn-north-1:123456789012:topic/${$}a");
        assert_eq!(scope.topic("a/b").name(), "a/b");
    }

    #[test]
    fn a_scope_holds_no_wildcard() {
        let table = [
            ("", "eu-west-1", "123456789012", "`` is not a partition, write one like `aws`"),
            ("a*", "eu-west-1", "123456789012", "`a*` is not a partition, write one like `aws`"),
            ("aws", "*", "123456789012", "`*` is not a region, write one like `eu-west-1`"),
            ("aws", "eu-west-1", "12345678901", "`12345678901` is not an account, write its 12 digits"),
            ("aws", "eu-west-1", "12345678901*", "`12345678901*` is not an account, write its 12 digits"),
        ];
        for (partition, region, account, message) in table {
            assert_eq!(Scope::new(partition, region, account).unwrap_err().to_string(), message);
        }
    }
}
