//! Findings about a valid policy: parts without effect, and parts with more effect than intended.

use std::fmt::{self, Display, Formatter};

use crate::action::{Action, ActionPattern};
use crate::condition::Condition;
use crate::effect::Effect;
use crate::pattern::ResourcePattern;
use crate::resource::ResourceKind;

/// One finding about a valid policy document; it displays with the place and the cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    place: String,
    kind: FindingKind,
}

impl Finding {
    /// The place, written as in [`PolicyError`](crate::PolicyError).
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The kind of finding.
    #[must_use]
    pub fn kind(&self) -> &FindingKind {
        &self.kind
    }

    pub(crate) fn on_action(place: &str, pattern: &ActionPattern) -> Option<Self> {
        if !pattern.covered().is_empty() {
            return None;
        }
        let kind = if pattern.names("iot:PublishRetain") {
            FindingKind::PublishRetain
        } else {
            FindingKind::ActionWithoutEffect(pattern.as_str().to_owned())
        };
        Some(Self { place: place.to_owned(), kind })
    }

    /// A variable without a value under custom authentication: in a resource, or a condition's key or value.
    pub(crate) fn on_variable(place: &str, without_value: Option<String>) -> Option<Self> {
        without_value.map(|name| Self { place: place.to_owned(), kind: FindingKind::NoValue(name) })
    }

    pub(crate) fn on_resource(place: &str, effect: Effect, pattern: &ResourcePattern) -> Option<Self> {
        if effect != Effect::Allow || !pattern.mentions_client_id() {
            return None;
        }
        let kind = if pattern.may_name(ResourceKind::Client) {
            FindingKind::AnyClient
        } else if pattern.may_name(ResourceKind::TopicFilter) {
            FindingKind::ClientIdInFilter
        } else {
            return None;
        };
        Some(Self { place: place.to_owned(), kind })
    }

    /// An Allow with `NotAction` or `NotResource`.
    pub(crate) fn on_all_but(place: &str, effect: Effect, is_all_but: bool) -> Option<Self> {
        (is_all_but && effect == Effect::Allow)
            .then(|| Self { place: place.to_owned(), kind: FindingKind::AllButAllowed })
    }

    pub(crate) fn on_condition(condition: &Condition) -> Option<Self> {
        let kind = if condition.compares_set_as_one() {
            FindingKind::SetComparedAsOne
        } else if condition.asks_for_time() {
            FindingKind::Time
        } else {
            return None;
        };
        Some(Self { place: condition.place().to_owned(), kind })
    }

    /// An action written out that none of its statement's resources can be about.
    pub(crate) fn on_pair(
        place: &str,
        pattern: &ActionPattern,
        resources: &[ResourcePattern],
    ) -> Option<Self> {
        let [action] = pattern.covered() else { return None };
        if resources.iter().any(|resource| resource.may_name(action.resource_kind())) {
            return None;
        }
        Some(Self { place: place.to_owned(), kind: FindingKind::NoResource(*action) })
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.place.escape_debug(), self.kind)
    }
}

/// The kinds of finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// `iot:PublishRetain`, which many published policies have, or a pattern for it: it is not an action of AWS IoT.
    PublishRetain,
    /// An action that isn't one of those evaluated, such as `iot:CreateThing`.
    ActionWithoutEffect(String),
    /// The statement names no resource of the kind that the action is about.
    NoResource(Action),
    /// An Allow on `client/${iot:ClientId}` lets a client take any id (developer guide, `basic-policy-variables`).
    AnyClient,
    /// An Allow on a topic filter with `${iot:ClientId}`: a client named `+` gets a wildcard (the same page).
    ClientIdInFilter,
    /// An Allow of all but what is named, which AWS may add to (IAM user guide,
    /// `reference_policies_elements_notaction` and `reference_policies_elements_notresource`).
    AllButAllowed,
    /// A thing or certificate variable, by its name: under plain custom authentication it has no value, so that a
    /// resource with it matches nothing and a condition on it sees an absent key (developer guide,
    /// `thing-policy-variables`) *(guess: Thing and certificate variables have no value with custom authentication)*.
    NoValue(String),
    /// A plain operator on `iot:ConnectAttributes`, which can have several values or none (`connect-policy`).
    SetComparedAsOne,
    /// A condition on the time, a key of IAM's that AWS IoT's pages don't name.
    Time,
}

impl Display for FindingKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::PublishRetain => {
                f.write_str("`iot:PublishRetain` names no action, write `iot:RetainPublish`")
            }
            Self::ActionWithoutEffect(action) => {
                write!(f, "`{action}` covers none of the actions that are evaluated and has no effect here")
            }
            Self::NoResource(action) => {
                let kind = action.resource_kind().as_str();
                write!(f, "`{action}` is about `{kind}/…` and the statement has no such resource")
            }
            Self::AnyClient => {
                f.write_str("`${iot:ClientId}` matches every id that a client chooses, write the id out")
            }
            Self::ClientIdInFilter => f.write_str(
                "`${iot:ClientId}` becomes a wildcard for a client named `+` or `#`, write the id out",
            ),
            Self::AllButAllowed => {
                f.write_str("allows everything that is not named, write out what to allow")
            }
            Self::NoValue(name) => write!(
                f,
                "`{name}` has no value under custom authentication, let the authorizer write out the value"
            ),
            Self::Time => f.write_str(
                "AWS IoT's pages do not mention conditions on the time, let the authorizer check the time",
            ),
            Self::SetComparedAsOne => {
                f.write_str("the key has several values or none, write `ForAllValues:` or `ForAnyValue:`")
            }
        }
    }
}
