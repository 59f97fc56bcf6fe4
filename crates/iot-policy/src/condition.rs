//! Conditions: an operator, a context key and the values it is compared with.

use crate::context::Context;
use crate::error::{ConditionError, PolicyError, Problem};
use crate::node::Node;
use crate::pattern::{Text, Wildcard};

/// A key of the request's context that conditions can ask for (AWS IoT Core developer guide, `iot-policies` and
/// `connect-policy`). Names ignore case, as IAM's do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    ClientId,
    SourceIp,
    DomainName,
    ConnectAttributes,
    LastWillTopic,
}

impl Key {
    fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "iot:clientid" => Some(Self::ClientId),
            "aws:sourceip" => Some(Self::SourceIp),
            "iot:domainname" => Some(Self::DomainName),
            "iot:connectattributes" => Some(Self::ConnectAttributes),
            "iot:lastwilltopic" => Some(Self::LastWillTopic),
            _ => None,
        }
    }
}

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
        self.key == Key::ConnectAttributes && self.operator.quantifier == Quantifier::One
    }

    pub(crate) fn is_met(&self, context: &Context) -> bool {
        let matches = |text: &str| self.values.iter().any(|value| value.matches(text, context));
        let mut given = context.values(self.key);
        match self.operator.quantifier {
            // *Unverified*: AWS only advises against a plain operator on several values.
            Quantifier::One => given.next().is_some_and(matches) && given.next().is_none(),
            Quantifier::All => given.all(matches),
            Quantifier::Any => given.any(matches),
        }
    }

    fn read(operator: Operator, key: &str, node: &Node<'_>) -> Result<Self, PolicyError> {
        let key = Key::from_name(key).ok_or_else(|| node.error(ConditionError::UnknownKey))?;
        if operator.comparison == Comparison::Arn && key != Key::LastWillTopic {
            return Err(node.error(ConditionError::NotArnKey));
        }
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operator {
    quantifier: Quantifier,
    comparison: Comparison,
}

/// How many of the request's values must match one of the policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    /// No set operator: there must be exactly one, and it must match.
    One,
    /// `ForAllValues:`, which an absent key fulfils.
    All,
    /// `ForAnyValue:`.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equals,
    Like,
    Arn,
}

impl Operator {
    fn from_name(name: &str) -> Option<Self> {
        let (quantifier, comparison) = match name.split_once(':') {
            None => (Quantifier::One, name),
            Some(("ForAllValues", comparison)) => (Quantifier::All, comparison),
            Some(("ForAnyValue", comparison)) => (Quantifier::Any, comparison),
            Some(_) => return None,
        };
        let comparison = match comparison {
            "StringEquals" => Comparison::Equals,
            "StringLike" => Comparison::Like,
            "ArnEquals" | "ArnLike" => Comparison::Arn,
            _ => return None,
        };
        Some(Self { quantifier, comparison })
    }
}

/// A value that the policy gives.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(Wildcard),
    /// An ARN is compared part by part, so that no wildcard reaches over a colon of the first five (IAM user guide,
    /// `reference_policies_elements_condition_operators`, `ArnEquals` and `ArnLike` behaving alike).
    Arn(Vec<Wildcard>),
}

const ARN_PARTS: usize = 6;

impl Value {
    fn read(comparison: Comparison, text: &str) -> Result<Self, Problem> {
        match comparison {
            Comparison::Equals => Ok(Self::Text(Wildcard::parse_plain(text)?)),
            Comparison::Like => Ok(Self::Text(Wildcard::parse(text)?)),
            Comparison::Arn => {
                let parts =
                    text.splitn(ARN_PARTS, ':').map(Wildcard::parse).collect::<Result<Vec<_>, _>>()?;
                if parts.len() != ARN_PARTS {
                    return Err(ConditionError::NotArn(text.to_owned()).into());
                }
                Ok(Self::Arn(parts))
            }
        }
    }

    fn matches(&self, text: &str, context: &Context) -> bool {
        match self {
            Self::Text(wildcard) => wildcard.matches(Text::whole(text), context),
            Self::Arn(parts) => {
                let texts = text.splitn(ARN_PARTS, ':');
                texts.clone().count() == ARN_PARTS
                    && parts.iter().zip(texts).all(|(part, text)| part.matches(Text::whole(text), context))
            }
        }
    }
}
