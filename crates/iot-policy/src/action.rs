//! The actions of MQTT and of device shadows over HTTPS, and the patterns that name them.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use thiserror::Error;

use crate::context::Context;
use crate::error::ActionError;
use crate::pattern::Wildcard;
use crate::resource::ResourceKind;
use crate::text::Text;

/// An action that policies are evaluated for (AWS IoT Core developer guide, `iot-policy-actions`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// `iot:Connect` on a client.
    Connect,
    /// `iot:DeleteThingShadow` on a Thing, over HTTPS (developer guide, `device-shadow-rest-api`).
    DeleteThingShadow,
    /// `iot:GetThingShadow` on a Thing, over HTTPS.
    GetThingShadow,
    /// `iot:ListNamedShadowsForThing` on a Thing, over HTTPS.
    ListNamedShadowsForThing,
    /// `iot:Publish` on a topic.
    Publish,
    /// `iot:Receive` on a topic.
    Receive,
    /// `iot:RetainPublish` on a topic, needed in addition to `iot:Publish` for a retained message.
    RetainPublish,
    /// `iot:SendDirectMessage` on the client that is to receive the message (developer guide, `direct-messaging`).
    SendDirectMessage,
    /// `iot:Subscribe` on a topic filter.
    Subscribe,
    /// `iot:UpdateThingShadow` on a Thing, over HTTPS.
    UpdateThingShadow,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 10] = [
        Self::Connect,
        Self::DeleteThingShadow,
        Self::GetThingShadow,
        Self::ListNamedShadowsForThing,
        Self::Publish,
        Self::Receive,
        Self::RetainPublish,
        Self::SendDirectMessage,
        Self::Subscribe,
        Self::UpdateThingShadow,
    ];

    /// The name as AWS writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "iot:Connect",
            Self::DeleteThingShadow => "iot:DeleteThingShadow",
            Self::GetThingShadow => "iot:GetThingShadow",
            Self::ListNamedShadowsForThing => "iot:ListNamedShadowsForThing",
            Self::Publish => "iot:Publish",
            Self::Receive => "iot:Receive",
            Self::RetainPublish => "iot:RetainPublish",
            Self::SendDirectMessage => "iot:SendDirectMessage",
            Self::Subscribe => "iot:Subscribe",
            Self::UpdateThingShadow => "iot:UpdateThingShadow",
        }
    }

    /// The kind of resource that the action is about.
    #[must_use]
    pub fn resource_kind(self) -> ResourceKind {
        match self {
            Self::Connect | Self::SendDirectMessage => ResourceKind::Client,
            Self::Publish | Self::Receive | Self::RetainPublish => ResourceKind::Topic,
            Self::Subscribe => ResourceKind::TopicFilter,
            Self::DeleteThingShadow
            | Self::GetThingShadow
            | Self::ListNamedShadowsForThing
            | Self::UpdateThingShadow => ResourceKind::Thing,
        }
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = UnknownAction;

    /// Reads an action's exact name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_str() == text)
            .ok_or_else(|| UnknownAction(text.to_owned()))
    }
}

/// A text that names none of the [`Action`]s.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{}` is not an action, expected one of `iot:Connect`, `iot:DeleteThingShadow`, `iot:GetThingShadow`, \
     `iot:ListNamedShadowsForThing`, `iot:Publish`, `iot:Receive`, `iot:RetainPublish`, `iot:SendDirectMessage`, \
     `iot:Subscribe`, `iot:UpdateThingShadow`",
    .0.escape_debug()
)]
pub struct UnknownAction(String);

/// One entry of a statement's `Action` or `NotAction`: `*`, or `SERVICE:NAME` with `*` and `?` in the name.
///
/// Names match in any case (IAM user guide, `reference_policies_elements_action`) *(guess: the case of an action)*.
/// A name other than the [`Action`]s' covers nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPattern {
    text: String,
    covered: Vec<Action>,
}

impl ActionPattern {
    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The actions that the pattern names.
    #[must_use]
    pub fn covered(&self) -> &[Action] {
        &self.covered
    }

    /// Whether the pattern names something, be it an action or not.
    pub(crate) fn names(&self, name: &str) -> bool {
        let wildcard = Wildcard::parse(&self.text.to_ascii_lowercase());
        let name = name.to_ascii_lowercase();
        wildcard.is_ok_and(|wildcard| wildcard.matches(Text::whole(&name), &Context::empty()))
    }

    /// Whether the pattern names the action.
    #[must_use]
    pub fn covers(&self, action: Action) -> bool {
        self.covered.contains(&action)
    }
}

impl FromStr for ActionPattern {
    type Err = ActionError;

    /// Reads a pattern; the service must be written out.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ActionError(text.to_owned());
        if text != "*" {
            let (service, name) = text.split_once(':').ok_or_else(error)?;
            let is_service =
                !service.is_empty() && service.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            let is_name =
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "*?".contains(c));
            if !is_service || !is_name {
                return Err(error());
            }
        }
        let wildcard = Wildcard::parse(&text.to_ascii_lowercase()).map_err(|_| error())?;
        let nothing = Context::empty();
        let names =
            |action: &Action| wildcard.matches(Text::whole(&action.as_str().to_ascii_lowercase()), &nothing);
        Ok(Self { text: text.to_owned(), covered: Action::ALL.into_iter().filter(names).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_what_they_name() {
        use Action::{
            Connect, DeleteThingShadow, GetThingShadow, Publish, Receive, RetainPublish, SendDirectMessage,
            Subscribe, UpdateThingShadow,
        };
        let table: [(&str, &[Action]); 14] = [
            ("*", &Action::ALL),
            ("iot:*", &Action::ALL),
            ("iot:Connect", &[Connect]),
            ("IOT:connect", &[Connect]),
            ("iot:Pub*", &[Publish]),
            ("iot:*Publish", &[Publish, RetainPublish]),
            ("iot:Re*", &[Receive, RetainPublish]),
            ("iot:?ubscribe", &[Subscribe]),
            ("iot:S*", &[SendDirectMessage, Subscribe]),
            ("iot:PublishRetain", &[]),
            ("iot:*ThingShadow", &[DeleteThingShadow, GetThingShadow, UpdateThingShadow]),
            ("iot:CreateThing", &[]),
            ("s3:*", &[]),
            ("iotx:Connect", &[]),
        ];
        for (text, covered) in table {
            assert_eq!(text.parse::<ActionPattern>().unwrap().covered(), covered, "{text}");
        }
    }

    #[test]
    fn misspelt_actions_are_refused() {
        for text in
            ["", "Connect", "iot:", ":Connect", "i*:Connect", "iot:Con nect", "iot:${*}", "**", "iot:a:b"]
        {
            assert!(text.parse::<ActionPattern>().is_err(), "{text}");
        }
        assert!("iot:connect".parse::<Action>().is_err());
        assert_eq!("iot:Connect".parse(), Ok(Action::Connect));
    }
}
