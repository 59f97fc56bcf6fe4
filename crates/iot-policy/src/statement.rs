//! One statement: an effect on actions and resources, under conditions.

mod selection;

use std::fmt::{self, Display, Formatter};

use crate::action::ActionPattern;
use crate::condition::Condition;
use crate::error::{ConditionError, PolicyError, Problem};
use crate::evaluation::Request;
use crate::finding::Finding;
use crate::node::Node;
use crate::pattern::ResourcePattern;
use selection::Placed;
pub use selection::Selection;

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
    actions: Selection<ActionPattern>,
    resources: Selection<ResourcePattern>,
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

    /// What the statement says of actions.
    #[must_use]
    pub fn actions(&self) -> &Selection<ActionPattern> {
        &self.actions
    }

    /// What the statement says of resources.
    #[must_use]
    pub fn resources(&self) -> &Selection<ResourcePattern> {
        &self.resources
    }

    /// Whether the statement is about the request: action, resource and every condition match.
    #[must_use]
    pub fn applies_to(&self, request: &Request<'_>) -> bool {
        self.selects_action(request)
            && self.selects_resource(request)
            && self.conditions.iter().all(|condition| condition.is_met(self.effect, request.context()))
    }

    pub(crate) fn read(node: &Node<'_>, findings: &mut Vec<Finding>) -> Result<Self, PolicyError> {
        let parts = Parts::read(node)?;
        let effect = Effect::read(&parts.effect.ok_or_else(|| node.missing("Effect"))?)?;
        let actions = Placed::read(node, "Action", parts.action.as_ref(), parts.not_action.as_ref())?;
        let resources = Placed::read(node, "Resource", parts.resource.as_ref(), parts.not_resource.as_ref())?;
        let conditions = parts.condition.map_or(Ok(Vec::new()), |node| Condition::read_all(&node))?;
        let sid = parts.sid.map(|node| node.string().map(str::to_owned)).transpose()?;
        // *Unverified*: what AWS makes of it; read either way, some request would slip past the Deny.
        if let Some(on_set) = conditions.iter().find(|condition| condition.takes_set_for_one())
            && effect == Effect::Deny
        {
            return Err(PolicyError::new(on_set.place(), ConditionError::DenyOnSet));
        }
        findings.extend(find(effect, &actions, &resources, &conditions));
        Ok(Self { sid, effect, actions: actions.selection, resources: resources.selection, conditions })
    }

    fn selects_action(&self, request: &Request<'_>) -> bool {
        let covers = |pattern: &ActionPattern| pattern.covers(request.action());
        match &self.actions {
            Selection::Only(patterns) => patterns.iter().any(covers),
            Selection::AllBut(patterns) => !patterns.iter().any(covers),
        }
    }

    fn selects_resource(&self, request: &Request<'_>) -> bool {
        let matches = |pattern: &ResourcePattern| pattern.matches(request.resource(), request.context());
        match &self.resources {
            Selection::Only(patterns) => patterns.iter().any(matches),
            // *Unverified*: what a variable without a value keeps out; an Allow must not let in what it was to name.
            Selection::AllBut(patterns) => {
                let is_known = |pattern: &ResourcePattern| pattern.is_known(request.context());
                !patterns.iter().any(matches)
                    && (self.effect == Effect::Deny || patterns.iter().all(is_known))
            }
        }
    }
}

/// A statement's members, each still unread.
#[derive(Default)]
struct Parts<'a> {
    sid: Option<Node<'a>>,
    effect: Option<Node<'a>>,
    action: Option<Node<'a>>,
    not_action: Option<Node<'a>>,
    resource: Option<Node<'a>>,
    not_resource: Option<Node<'a>>,
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
                "NotAction" => &mut parts.not_action,
                "Resource" => &mut parts.resource,
                "NotResource" => &mut parts.not_resource,
                "Condition" => &mut parts.condition,
                "Principal" | "NotPrincipal" => {
                    return Err(member.error(Problem::NotSupported));
                }
                _ => {
                    let known =
                        "`Sid`, `Effect`, `Action`, `NotAction`, `Resource`, `NotResource`, `Condition`";
                    return Err(member.error(Problem::UnknownKey(known)));
                }
            };
            *part = Some(member);
        }
        Ok(parts)
    }
}

fn find(
    effect: Effect,
    actions: &Placed<ActionPattern>,
    resources: &Placed<ResourcePattern>,
    conditions: &[Condition],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, pattern) in actions.patterns() {
        findings.extend(Finding::on_action(place, pattern));
        if let (Selection::Only(_), Selection::Only(resources)) = (&actions.selection, &resources.selection) {
            findings.extend(Finding::on_pair(place, pattern, resources));
        }
    }
    for (place, pattern) in resources.patterns() {
        findings.extend(Finding::on_variable(place, pattern.without_value()));
        if !resources.is_all_but() {
            findings.extend(Finding::on_resource(place, effect, pattern));
        }
    }
    findings.extend(Finding::on_all_but(&actions.place, effect, actions.is_all_but()));
    findings.extend(Finding::on_all_but(&resources.place, effect, resources.is_all_but()));
    for condition in conditions {
        findings.extend(Finding::on_variable(condition.place(), condition.without_value()));
        findings.extend(Finding::on_condition(condition));
    }
    findings
}
