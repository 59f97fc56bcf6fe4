//! What a condition compares with.

use super::operator::Comparison;
use crate::context::Context;
use crate::error::{ConditionError, Problem};
use crate::pattern::{Text, Wildcard};
use crate::variable::Variable;

/// A value that the policy gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(Wildcard),
    /// An ARN is compared part by part, so that no wildcard reaches over a colon of the first five (IAM user guide,
    /// `reference_policies_elements_condition_operators`, `ArnEquals` and `ArnLike` behaving alike).
    Arn(Vec<Wildcard>),
    /// The texts `true` and `false`, in this case only (*unverified*).
    Bool(bool),
}

const ARN_PARTS: usize = 6;

impl Value {
    pub(super) fn read(comparison: Comparison, text: &str) -> Result<Self, Problem> {
        match comparison {
            Comparison::Equals => Ok(Self::Text(Wildcard::parse_plain(text)?)),
            Comparison::Like => Ok(Self::Text(Wildcard::parse(text)?)),
            Comparison::Arn => read_arn(text),
            Comparison::Bool => Ok(Self::Bool(read_bool(text)?)),
        }
    }

    pub(super) fn matches(&self, text: &str, context: &Context) -> bool {
        match self {
            Self::Text(wildcard) => wildcard.matches(Text::whole(text), context),
            Self::Arn(parts) => {
                let texts = text.splitn(ARN_PARTS, ':');
                texts.clone().count() == ARN_PARTS
                    && parts.iter().zip(texts).all(|(part, text)| part.matches(Text::whole(text), context))
            }
            Self::Bool(wanted) => read_bool(text) == Ok(*wanted),
        }
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = &Variable> {
        let wildcards = match self {
            Self::Text(wildcard) => std::slice::from_ref(wildcard),
            Self::Arn(parts) => parts,
            Self::Bool(_) => &[],
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
