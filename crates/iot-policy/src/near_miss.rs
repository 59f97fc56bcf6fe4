//! The statement that comes closest to allowing a denied request, and what it lacks.

use std::fmt::{self, Display, Formatter};

use crate::action::{Action, ActionPattern};
use crate::document::PolicyDocument;
use crate::effect::Effect;
use crate::evaluation::{StatementRef, statements};
use crate::pattern::{ResourcePattern, Wildcard};
use crate::request::Request;
use crate::resource::ResourceKind;
use crate::statement::{Selection, Statement};

/// An Allow statement that would allow the request but for one thing. It displays as one line for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss<'a> {
    statement: StatementRef<'a>,
    obstacle: Obstacle<'a>,
}

/// What keeps a statement from allowing a request. The earlier variants are the nearer misses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Obstacle<'a> {
    /// Action and resource match, and the condition at this place is not met.
    Condition(&'a str),
    /// This variable in the resource has no value for the connection.
    NoValue(String),
    /// The resource's ARN names another partition, region or account.
    OtherScope(Vec<ScopeDifference<'a>>),
    /// The resource matches only if case is ignored.
    OtherCase(&'a str),
    /// The resource matches only as another kind, such as `topic` instead of `topicfilter`.
    OtherKind {
        /// The kind in the policy.
        found: ResourceKind,
        /// The kind that the action needs.
        needed: ResourceKind,
    },
    /// The statement allows this other action on the same resource.
    OtherAction {
        /// The action in the policy.
        found: Action,
        /// The action that was requested.
        needed: Action,
    },
}

/// One part of an ARN that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScopeDifference<'a> {
    /// `partition`, `region` or `account`.
    pub part: &'static str,
    /// The policy's text.
    pub found: &'a str,
    /// The connection's text.
    pub needed: &'a str,
}

impl<'a> NearMiss<'a> {
    /// The statement.
    #[must_use]
    pub fn statement(&self) -> StatementRef<'a> {
        self.statement
    }

    /// What it lacks.
    #[must_use]
    pub fn obstacle(&self) -> &Obstacle<'a> {
        &self.obstacle
    }
}

impl Display for NearMiss<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.statement)?;
        match &self.obstacle {
            Obstacle::Condition(place) => {
                write!(f, "would, but its condition `{}` is not met", place.escape_debug())
            }
            Obstacle::NoValue(variable) => {
                write!(f, "would, but `{}` has no value here", variable.escape_debug())
            }
            Obstacle::OtherScope(differences) => {
                f.write_str("would, but in ")?;
                for (index, ScopeDifference { part, found, needed }) in differences.iter().enumerate() {
                    let separator = if index == 0 { "" } else { " and " };
                    write!(f, "{separator}{part} `{}` instead of `{needed}`", found.escape_debug())?;
                }
                Ok(())
            }
            Obstacle::OtherCase(pattern) => {
                write!(f, "would, but `{}` differs in upper and lower case", pattern.escape_debug())
            }
            Obstacle::OtherKind { found, needed } => {
                write!(f, "names it as `{}/…`, and the action needs `{}/…`", found.as_str(), needed.as_str())
            }
            Obstacle::OtherAction { found, needed } => {
                write!(f, "allows `{found}` on it, and not `{needed}`")
            }
        }
    }
}

/// The nearest of the Allow statements that don't apply to a request which [`evaluate`](crate::evaluate) denied with
/// [`Decision::NotAllowed`](crate::Decision::NotAllowed), if one comes near.
///
/// It allocates, and costs several evaluations: it is for a denial's log line, not for the decision.
#[must_use]
pub fn near_miss<'a>(documents: &'a [PolicyDocument], request: &Request<'a>) -> Option<NearMiss<'a>> {
    statements(documents)
        .filter(|(statement, _)| statement.effect() == Effect::Allow)
        .filter_map(|(statement, at)| {
            Some(NearMiss { statement: at, obstacle: obstacle(statement, request)? })
        })
        .min_by(|a, b| a.obstacle.cmp(&b.obstacle))
}

fn obstacle<'a>(statement: &'a Statement, request: &Request<'a>) -> Option<Obstacle<'a>> {
    if !statement.selects_action(request) {
        let Selection::Only(actions) = statement.actions() else { return None };
        let kind = request.action().resource_kind();
        let mut covered = actions.iter().flat_map(ActionPattern::covered).copied();
        let found = covered.find(|action| action.resource_kind() == kind)?;
        return (statement.selects_resource(request) && statement.unmet_condition(request).is_none())
            .then_some(Obstacle::OtherAction { found, needed: request.action() });
    }
    if statement.selects_resource(request) {
        return statement.unmet_condition(request).map(|condition| Obstacle::Condition(condition.place()));
    }
    let Selection::Only(patterns) = statement.resources() else { return None };
    patterns.iter().filter_map(|pattern| resource_obstacle(pattern, request)).min()
}

fn resource_obstacle<'a>(pattern: &'a ResourcePattern, request: &Request<'a>) -> Option<Obstacle<'a>> {
    let matches = |wildcard: &Wildcard| wildcard.matches(request.resource().text(), request.context());
    if let Some(variable) = pattern.variable_without_value(request.context())
        && matches(&pattern.with_any_value(request.context()))
    {
        return Some(Obstacle::NoValue(variable.to_string()));
    }
    let mut parts = pattern.as_str().splitn(6, ':');
    let (Some("arn"), Some(partition), Some(service), Some(region), Some(account), Some(name)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    if Wildcard::parse(&format!("arn:*:iot:*:*:{name}")).is_ok_and(|wildcard| matches(&wildcard)) {
        let mut needed = request.resource().scope_parts();
        let differences = [("partition", partition), ("region", region), ("account", account)]
            .into_iter()
            .filter_map(|(part, found)| Some(ScopeDifference { part, found, needed: needed.next()? }))
            .filter(|difference| difference.found != difference.needed)
            .collect();
        return Some(Obstacle::OtherScope(differences));
    }
    if matches(&pattern.in_any_case()) {
        return Some(Obstacle::OtherCase(pattern.as_str()));
    }
    let needed = request.action().resource_kind();
    ResourceKind::ALL.into_iter().filter(|found| *found != needed).find_map(|found| {
        let name = name.strip_prefix(found.as_str())?.strip_prefix('/')?;
        let arn = format!("arn:{partition}:{service}:{region}:{account}:{}/{name}", needed.as_str());
        matches(&Wildcard::parse(&arn).ok()?).then_some(Obstacle::OtherKind { found, needed })
    })
}
