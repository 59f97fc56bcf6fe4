//! Conditions: an operator, a context key and the values it is compared with.

mod key;
mod operator;
mod value;

pub(crate) use key::Key;

use crate::context::Context;
use crate::error::{PolicyError, Problem};
use crate::node::Node;
use crate::variable::Variable;
use operator::{Operator, Quantifier};
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
    /// Reads a statement's `Condition`; `{}` is no condition at all, as AWS's samples write it.
    pub(crate) fn read_all(node: &Node<'_>) -> Result<Vec<Self>, PolicyError> {
        let mut conditions = Vec::new();
        for (name, block) in node.members()? {
            let operator = Operator::from_name(name).ok_or_else(|| block.error(Problem::NotSupported))?;
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
    pub(crate) fn takes_set_for_one(&self) -> bool {
        self.key.has_several_values() && self.operator.quantifier == Quantifier::One
    }

    /// The key's or a value's variable that has no value under custom authentication.
    pub(crate) fn without_value(&self) -> Option<String> {
        let mut variables = self.values.iter().flat_map(Value::variables);
        self.key.without_value().or_else(|| {
            variables.find(|variable| variable.needs_registered_principal()).map(Variable::to_string)
        })
    }

    pub(crate) fn is_met(&self, context: &Context) -> bool {
        let matches = |text: &str| self.values.iter().any(|value| value.matches(text, context));
        let mut given = context.values(&self.key);
        match self.operator.quantifier {
            // *Unverified*: AWS only advises against a plain operator on several values.
            Quantifier::One => given.next().is_some_and(matches) && given.next().is_none(),
            Quantifier::All => given.all(matches),
            Quantifier::Any => given.any(matches),
        }
    }

    fn read(operator: Operator, key: &str, node: &Node<'_>) -> Result<Self, PolicyError> {
        let key = Key::from_name(key).map_err(|problem| node.error(problem))?;
        key.check(operator.comparison).map_err(|problem| node.error(problem))?;
        let texts = node.strings()?;
        if texts.is_empty() && operator.quantifier != Quantifier::All {
            return Err(node.error(Problem::Empty));
        }
        let read = |(node, text): (Node<'_>, &str)| {
            Value::read(operator.comparison, text).map_err(|problem| node.error(problem))
        };
        let values = texts.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { place: node.place().to_owned(), key, operator, values })
    }
}
