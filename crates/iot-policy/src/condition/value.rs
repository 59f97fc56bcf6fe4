//! The values that a condition compares a key with.

use super::date;
use super::network::Network;
use super::operator::{Comparison, Order};
use crate::context::{Context, KeyValue};
use crate::error::{ConditionError, Problem};
use crate::pattern::Wildcard;
use crate::text::Text;
use crate::variable::Variable;

/// A value in the policy, ready to be compared. Only texts and ARNs may hold variables, as in IAM; booleans are the
/// texts `true` and `false` *(guess: `true` and `false` in `Bool` and `Null` are strings in lower case)*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(Wildcard),
    /// An ARN is compared part by part, so that no wildcard reaches over a colon of the first five (IAM user guide,
    /// `reference_policies_elements_condition_operators`, `ArnEquals` and `ArnLike` behaving alike).
    Arn(Vec<Wildcard>),
    Bool(bool),
    Network(Network),
    /// Seconds since 1970.
    Seconds(Order, u64),
    /// Of the operator `Null`: whether the key must be absent.
    Absent(bool),
}

const ARN_PARTS: usize = 6;

impl Value {
    pub(super) fn read(comparison: Comparison, text: &str) -> Result<Self, Problem> {
        match comparison {
            Comparison::Equals => Ok(Self::Text(Wildcard::parse_plain(text)?)),
            Comparison::EqualsIgnoreCase => Ok(Self::Text(Wildcard::parse_ignoring_case(text)?)),
            Comparison::Like => Ok(Self::Text(Wildcard::parse(text)?)),
            Comparison::Arn => read_arn(text),
            Comparison::Bool => Ok(Self::Bool(read_bool(text)?)),
            Comparison::IpAddress => Ok(Self::Network(Network::parse(text)?)),
            Comparison::Date(order) => Ok(Self::Seconds(order, date::parse(text)?)),
            Comparison::Numeric(order) => {
                let number = date::digits(text).ok_or_else(|| ConditionError::NotNumber(text.to_owned()))?;
                Ok(Self::Seconds(order, number))
            }
            Comparison::Null => Ok(Self::Absent(read_bool(text)?)),
        }
    }

    /// Whether one of the key's values matches. It is of this value's kind, because reading the condition checked that.
    pub(super) fn matches(&self, value: KeyValue<'_>, context: &Context) -> bool {
        match (self, value) {
            (Self::Text(wildcard), KeyValue::Text(text)) => wildcard.matches(Text::whole(text), context),
            (Self::Arn(parts), KeyValue::Text(text)) => {
                let texts = text.splitn(ARN_PARTS, ':');
                texts.clone().count() == ARN_PARTS
                    && parts.iter().zip(texts).all(|(part, text)| part.matches(Text::whole(text), context))
            }
            (Self::Bool(wanted), KeyValue::Text(text)) => text == if *wanted { "true" } else { "false" },
            (Self::Network(network), KeyValue::Text(text)) => {
                text.parse().is_ok_and(|address| network.contains(address))
            }
            (Self::Seconds(order, wanted), KeyValue::Seconds(seconds)) => order.holds(seconds, *wanted),
            (Self::Absent(absent), _) => !absent,
            _ => false,
        }
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = &Variable> {
        let wildcards = match self {
            Self::Text(wildcard) => std::slice::from_ref(wildcard),
            Self::Arn(parts) => parts,
            _ => &[],
        };
        wildcards.iter().flat_map(Wildcard::variables)
    }
}

fn read_arn(text: &str) -> Result<Value, Problem> {
    let parts = text.splitn(ARN_PARTS, ':').map(Wildcard::parse).collect::<Result<Vec<_>, _>>()?;
    if parts.len() == ARN_PARTS {
        Ok(Value::Arn(parts))
    } else {
        Err(ConditionError::NotArn(text.to_owned()).into())
    }
}

fn read_bool(text: &str) -> Result<bool, ConditionError> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(ConditionError::NotBool(text.to_owned())),
    }
}
