//! One statement: an effect on actions and resources, under conditions.

use std::str::FromStr;

use crate::action::ActionPattern;
use crate::condition::Condition;
use crate::effect::Effect;
use crate::error::{ConditionError, PolicyError, Problem};
use crate::finding::Finding;
use crate::node::Node;
use crate::pattern::ResourcePattern;
use crate::request::Request;

/// The patterns of `Action` or `Resource`, or of `NotAction` or `NotResource`; at least one (IAM user guide,
/// `reference_policies_elements_notaction` and `reference_policies_elements_notresource`) *(guess: `NotAction` and
/// `NotResource` as in IAM)*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection<T> {
    /// `Action` or `Resource`: what one of the patterns names.
    Only(Vec<T>),
    /// `NotAction` or `NotResource`: what none of the patterns names.
    AllBut(Vec<T>),
}

impl<T> Selection<T> {
    /// The patterns of both kinds of selection.
    #[must_use]
    pub fn patterns(&self) -> &[T] {
        match self {
            Self::Only(patterns) | Self::AllBut(patterns) => patterns,
        }
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
    /// The statement's own name *(guess: `Id` and `Sid` are any text)*.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// What the statement does.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The actions that the statement names.
    #[must_use]
    pub fn actions(&self) -> &Selection<ActionPattern> {
        &self.actions
    }

    /// The resources that the statement names.
    #[must_use]
    pub fn resources(&self) -> &Selection<ResourcePattern> {
        &self.resources
    }

    /// Whether the statement is about the request: action, resource and every condition match.
    #[must_use]
    pub fn applies_to(&self, request: &Request<'_>) -> bool {
        self.selects_action(request)
            && self.selects_resource(request)
            && self.unmet_condition(request).is_none()
    }

    /// The first condition that the request's context does not meet.
    pub(crate) fn unmet_condition(&self, request: &Request<'_>) -> Option<&Condition> {
        self.conditions.iter().find(|condition| !condition.is_met(self.effect, request.context()))
    }

    pub(crate) fn read(node: &Node<'_>, findings: &mut Vec<Finding>) -> Result<Self, PolicyError> {
        let members = Members::read(node)?;
        let effect = Effect::read(&members.effect.ok_or_else(|| node.missing("Effect"))?)?;
        let actions = Located::read(node, "Action", members.action.as_ref(), members.not_action.as_ref())?;
        let resources =
            Located::read(node, "Resource", members.resource.as_ref(), members.not_resource.as_ref())?;
        let conditions = members.condition.map_or(Ok(Vec::new()), |node| Condition::read_all(&node))?;
        let sid = members.sid.map(|node| node.string().map(str::to_owned)).transpose()?;
        // Read either way, some request would slip past the Deny *(guess: in a Deny the document is refused)*.
        if let Some(on_set) = conditions.iter().find(|condition| condition.compares_set_as_one())
            && effect == Effect::Deny
        {
            return Err(PolicyError::new(on_set.place(), ConditionError::DenyOnSet));
        }
        findings.extend(findings_of(effect, &actions, &resources, &conditions));
        Ok(Self { sid, effect, actions: actions.selection, resources: resources.selection, conditions })
    }

    pub(crate) fn selects_action(&self, request: &Request<'_>) -> bool {
        let covers = |pattern: &ActionPattern| pattern.covers(request.action());
        match &self.actions {
            Selection::Only(patterns) => patterns.iter().any(covers),
            Selection::AllBut(patterns) => !patterns.iter().any(covers),
        }
    }

    pub(crate) fn selects_resource(&self, request: &Request<'_>) -> bool {
        let matches = |pattern: &ResourcePattern| pattern.matches(request.resource(), request.context());
        match &self.resources {
            Selection::Only(patterns) => patterns.iter().any(matches),
            // An Allow must not admit what the variable would exclude *(guess: a variable without a value in
            // `NotResource`)*.
            Selection::AllBut(patterns) => {
                let is_known =
                    |pattern: &ResourcePattern| pattern.variable_without_value(request.context()).is_none();
                !patterns.iter().any(matches)
                    && (self.effect == Effect::Deny || patterns.iter().all(is_known))
            }
        }
    }
}

/// A statement's members, each still unread.
#[derive(Default)]
struct Members<'a> {
    sid: Option<Node<'a>>,
    effect: Option<Node<'a>>,
    action: Option<Node<'a>>,
    not_action: Option<Node<'a>>,
    resource: Option<Node<'a>>,
    not_resource: Option<Node<'a>>,
    condition: Option<Node<'a>>,
}

impl<'a> Members<'a> {
    fn read(node: &Node<'a>) -> Result<Self, PolicyError> {
        let mut members = Self::default();
        for (key, member) in node.members()? {
            let slot = match key {
                "Sid" => &mut members.sid,
                "Effect" => &mut members.effect,
                "Action" => &mut members.action,
                "NotAction" => &mut members.not_action,
                "Resource" => &mut members.resource,
                "NotResource" => &mut members.not_resource,
                "Condition" => &mut members.condition,
                "Principal" | "NotPrincipal" => {
                    return Err(member.error(Problem::NotSupported));
                }
                _ => {
                    let known =
                        "`Sid`, `Effect`, `Action`, `NotAction`, `Resource`, `NotResource`, `Condition`";
                    return Err(member.error(Problem::UnknownKey(known)));
                }
            };
            *slot = Some(member);
        }
        Ok(members)
    }
}

/// A selection with the place of each pattern, and its own.
struct Located<T> {
    place: String,
    places: Vec<String>,
    selection: Selection<T>,
}

impl<T> Located<T> {
    /// Each pattern with its place.
    fn patterns(&self) -> impl Iterator<Item = (&str, &T)> {
        self.places.iter().map(String::as_str).zip(self.selection.patterns())
    }

    fn is_all_but(&self) -> bool {
        matches!(self.selection, Selection::AllBut(_))
    }
}

impl<T> Located<T>
where
    T: FromStr,
    Problem: From<T::Err>,
{
    /// Reads one of a statement's two members; there must be exactly one.
    fn read(
        statement: &Node<'_>,
        name: &'static str,
        only: Option<&Node<'_>>,
        all_but: Option<&Node<'_>>,
    ) -> Result<Self, PolicyError> {
        let (node, select): (_, fn(_) -> _) = match (only, all_but) {
            (Some(node), None) => (node, Selection::Only),
            (None, Some(node)) => (node, Selection::AllBut),
            (None, None) => return Err(statement.missing(name)),
            (Some(_), Some(node)) => return Err(node.error(Problem::Conflict(name))),
        };
        let (places, patterns) = read_patterns(node)?;
        Ok(Self { place: node.place().to_owned(), places, selection: select(patterns) })
    }
}

fn read_patterns<T>(node: &Node<'_>) -> Result<(Vec<String>, Vec<T>), PolicyError>
where
    T: FromStr,
    Problem: From<T::Err>,
{
    let texts = node.strings()?;
    if texts.is_empty() {
        return Err(node.error(Problem::Empty));
    }
    let read = |(node, text): (Node<'_>, &str)| match text.parse() {
        Ok(pattern) => Ok((node.place().to_owned(), pattern)),
        Err(problem) => Err(node.error(problem)),
    };
    let (places, mut patterns): (_, Vec<_>) = texts.into_iter().map(read).collect::<Result<_, _>>()?;
    // A document stays in memory as long as its connection.
    patterns.shrink_to_fit();
    Ok((places, patterns))
}

fn findings_of(
    effect: Effect,
    actions: &Located<ActionPattern>,
    resources: &Located<ResourcePattern>,
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
