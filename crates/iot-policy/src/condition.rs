//! Conditions: an operator, a context key and the values it is compared with.

mod date;
pub(crate) mod key;
mod network;
mod operator;
mod value;

use key::Key;

use crate::context::Context;
use crate::effect::Effect;
use crate::error::{PolicyError, Problem};
use crate::node::Node;
use crate::variable::Variable;
use operator::{Comparison, Operator, Quantifier};
use value::Value;

/// One key under one operator of a statement's `Condition`; all of a statement's conditions must be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    place: String,
    key: Key,
    operator: Operator,
    values: Vec<Value>,
}

impl Condition {
    /// Reads a statement's `Condition`; `{}` means no condition, as in AWS's samples.
    pub(crate) fn read_all(node: &Node<'_>) -> Result<Vec<Self>, PolicyError> {
        let mut conditions = Vec::new();
        for (name, block) in node.members()? {
            let operator = Operator::from_name(name).map_err(|problem| block.error(problem))?;
            let keys = block.members()?;
            if keys.is_empty() {
                return Err(block.error(Problem::Empty));
            }
            for (key, values) in keys {
                conditions.push(Self::read(operator, key, &values)?);
            }
        }
        Ok(conditions)
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Whether a key that can have several values is compared as if it had one.
    pub(crate) fn compares_set_as_one(&self) -> bool {
        self.key.has_several_values() && self.operator.quantifier == Quantifier::One
    }

    /// The key's or a value's variable that has no value under custom authentication.
    pub(crate) fn without_value(&self) -> Option<String> {
        let mut variables = self.values.iter().flat_map(Value::variables);
        self.key.without_value().or_else(|| {
            variables.find(|variable| variable.needs_registered_principal()).map(Variable::to_string)
        })
    }

    /// Whether the key asks for the time, which AWS IoT's pages don't name.
    pub(crate) fn asks_for_time(&self) -> bool {
        self.key.is_time()
    }

    /// Whether the context meets the condition of a statement with this effect; what can't be decided allows nothing
    /// and denies.
    pub(crate) fn is_met(&self, effect: Effect, context: &Context) -> bool {
        let holds =
            |given| self.values.iter().any(|value| value.matches(given, context)) != self.operator.negated;
        let mut given = context.values(&self.key);
        let Some(first) = given.next() else { return self.is_met_by_absence(effect) };
        match self.operator.quantifier {
            // AWS only advises against a plain operator on several values *(guess: with two values is not met)*.
            Quantifier::One => holds(first) && given.next().is_none(),
            Quantifier::All => holds(first) && given.all(holds),
            Quantifier::Any => holds(first) || given.any(holds),
        }
    }

    /// Whether an absent key meets the condition: under a negated operator, `…IfExists` and `ForAllValues:` (IAM user
    /// guide, `reference_policies_elements_condition_operators` and
    /// `reference_policies_condition-single-vs-multi-valued-context-keys`).
    fn is_met_by_absence(&self, effect: Effect) -> bool {
        if self.key.is_time() {
            // There is always a time; the caller did not give it.
            return effect == Effect::Deny;
        }
        match self.operator.quantifier {
            _ if self.operator.comparison == Comparison::Null => self.values.contains(&Value::Absent(true)),
            Quantifier::One => self.operator.negated || self.operator.if_exists,
            Quantifier::All => true,
            // An absent key does not meet `ForAnyValue:`, and meets `…IfExists`
            // *(guess: `ForAnyValue:…IfExists` on an absent key)*.
            Quantifier::Any => self.operator.if_exists && effect == Effect::Deny,
        }
    }

    fn read(operator: Operator, key: &str, node: &Node<'_>) -> Result<Self, PolicyError> {
        let key = Key::from_name(key).map_err(|problem| node.error(problem))?;
        key.check(operator.comparison).map_err(|problem| node.error(problem))?;
        let texts = node.strings()?;
        if texts.is_empty() && !operator.allows_no_values() {
            return Err(node.error(Problem::Empty));
        }
        let read = |(node, text): (Node<'_>, &str)| {
            Value::read(operator.comparison, text).map_err(|problem| node.error(problem))
        };
        let values = texts.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { place: node.place().to_owned(), key, operator, values })
    }
}
