//! One statement: an effect on actions and resources, under conditions.

use std::fmt::{self, Display, Formatter};

use crate::action::ActionPattern;
use crate::condition::Condition;
use crate::error::{ConditionError, PolicyError, Problem};
use crate::evaluation::Request;
use crate::finding::Finding;
use crate::node::Node;
use crate::pattern::ResourcePattern;

/// What a statement does with the requests that it applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Allows them, unless another statement denies.
    Allow,
    /// Denies them, whatever other statements allow.
    Deny,
}

impl Effect {
    /// The name as AWS writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }

    fn read(node: &Node<'_>) -> Result<Self, PolicyError> {
        match node.string()? {
            "Allow" => Ok(Self::Allow),
            "Deny" => Ok(Self::Deny),
            other => Err(node.error(Problem::Effect(other.to_owned()))),
        }
    }
}

impl Display for Effect {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One statement of a policy document (AWS IoT Core developer guide, `iot-policies`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    sid: Option<String>,
    effect: Effect,
    actions: Vec<ActionPattern>,
    resources: Vec<ResourcePattern>,
    conditions: Vec<Condition>,
}

impl Statement {
    /// The statement's own name, any text. *Unverified*: that AWS IoT holds it to no alphabet.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// What the statement does.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The actions that the statement names, at least one.
    #[must_use]
    pub fn actions(&self) -> &[ActionPattern] {
        &self.actions
    }

    /// The resources that the statement names, at least one.
    #[must_use]
    pub fn resources(&self) -> &[ResourcePattern] {
        &self.resources
    }

    /// Whether the statement is about the request: an action, a resource and every condition match.
    #[must_use]
    pub fn applies_to(&self, request: &Request<'_>) -> bool {
        self.actions.iter().any(|action| action.covers(request.action()))
            && self.resources.iter().any(|resource| resource.matches(request.resource(), request.context()))
            && self.conditions.iter().all(|condition| condition.is_met(self.effect, request.context()))
    }

    pub(crate) fn read(node: &Node<'_>, findings: &mut Vec<Finding>) -> Result<Self, PolicyError> {
        let parts = Parts::read(node)?;
        let effect = Effect::read(&parts.effect.ok_or_else(|| node.missing("Effect"))?)?;
        let actions = read_list(&parts.action.ok_or_else(|| node.missing("Action"))?)?;
        let resources = read_list(&parts.resource.ok_or_else(|| node.missing("Resource"))?)?;
        let conditions = parts.condition.map_or(Ok(Vec::new()), |node| Condition::read_all(&node))?;
        let sid = parts.sid.map(|node| node.string().map(str::to_owned)).transpose()?;
        // *Unverified*: what AWS makes of it; read either way, some request would slip past the Deny.
        if let Some(on_set) = conditions.iter().find(|condition| condition.takes_set_for_one())
            && effect == Effect::Deny
        {
            return Err(PolicyError::new(on_set.place(), ConditionError::DenyOnSet));
        }
        findings.extend(find(effect, &actions, &resources, &conditions));
        let (actions, resources) = (without_places(actions), without_places(resources));
        Ok(Self { sid, effect, actions, resources, conditions })
    }
}

/// A statement's members, each still unread.
#[derive(Default)]
struct Parts<'a> {
    sid: Option<Node<'a>>,
    effect: Option<Node<'a>>,
    action: Option<Node<'a>>,
    resource: Option<Node<'a>>,
    condition: Option<Node<'a>>,
}

impl<'a> Parts<'a> {
    fn read(node: &Node<'a>) -> Result<Self, PolicyError> {
        let mut parts = Self::default();
        for (key, member) in node.members()? {
            let part = match key {
                "Sid" => &mut parts.sid,
                "Effect" => &mut parts.effect,
                "Action" => &mut parts.action,
                "Resource" => &mut parts.resource,
                "Condition" => &mut parts.condition,
                "NotAction" | "NotResource" | "Principal" | "NotPrincipal" => {
                    return Err(member.error(Problem::NotSupported));
                }
                _ => {
                    let known = "`Sid`, `Effect`, `Action`, `Resource`, `Condition`";
                    return Err(member.error(Problem::UnknownKey(known)));
                }
            };
            *part = Some(member);
        }
        Ok(parts)
    }
}

/// What was read at a place.
struct Placed<T> {
    place: String,
    value: T,
}

fn read_list<T>(node: &Node<'_>) -> Result<Vec<Placed<T>>, PolicyError>
where
    T: std::str::FromStr,
    Problem: From<T::Err>,
{
    let texts = node.strings()?;
    if texts.is_empty() {
        return Err(node.error(Problem::Empty));
    }
    let read = |(node, text): (Node<'_>, &str)| match text.parse() {
        Ok(value) => Ok(Placed { place: node.place().to_owned(), value }),
        Err(problem) => Err(node.error(problem)),
    };
    texts.into_iter().map(read).collect()
}

fn without_places<T>(placed: Vec<Placed<T>>) -> Vec<T> {
    placed.into_iter().map(|placed| placed.value).collect()
}

fn find(
    effect: Effect,
    actions: &[Placed<ActionPattern>],
    resources: &[Placed<ResourcePattern>],
    conditions: &[Condition],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for action in actions {
        findings.extend(Finding::on_action(&action.place, &action.value));
        let resources = resources.iter().map(|resource| &resource.value);
        findings.extend(Finding::on_pair(&action.place, &action.value, resources));
    }
    for resource in resources {
        findings.extend(Finding::on_variable(&resource.place, resource.value.without_value()));
        findings.extend(Finding::on_resource(&resource.place, effect, &resource.value));
    }
    for condition in conditions {
        findings.extend(Finding::on_variable(condition.place(), condition.without_value()));
        findings.extend(Finding::on_condition(condition));
    }
    findings
}
