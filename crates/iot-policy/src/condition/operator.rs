//! How a condition compares (IAM user guide, `reference_policies_elements_condition_operators`).

use crate::error::{ConditionError, Problem};

/// A condition operator, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) quantifier: Quantifier,
    pub(super) comparison: Comparison,
    /// `…Not…`: the key's value must match none of the policy's values.
    pub(super) negated: bool,
    /// `…IfExists`: an absent key meets the condition.
    pub(super) if_exists: bool,
}

/// How many of the request's values must match one of the policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantifier {
    /// No set operator: there must be exactly one, and it must match.
    One,
    /// `ForAllValues:`, which an absent key fulfils.
    All,
    /// `ForAnyValue:`.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equals,
    EqualsIgnoreCase,
    Like,
    Arn,
    Bool,
    IpAddress,
    Date(Order),
    Numeric(Order),
    /// Whether the key is absent.
    Null,
}

/// How a key's value has to compare with the policy's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Equals,
    LessThan,
    LessThanEquals,
    GreaterThan,
    GreaterThanEquals,
}

impl Operator {
    pub(super) fn from_name(name: &str) -> Result<Self, Problem> {
        let (quantifier, plain) = match name.split_once(':') {
            None => (Quantifier::One, name),
            Some(("ForAllValues", plain)) => (Quantifier::All, plain),
            Some(("ForAnyValue", plain)) => (Quantifier::Any, plain),
            Some(_) => return Err(ConditionError::UnknownOperator.into()),
        };
        // One value is enough for a key to be there. The page has no other form of it.
        if name == "Null" {
            let (quantifier, comparison) = (Quantifier::Any, Comparison::Null);
            return Ok(Self { quantifier, comparison, negated: false, if_exists: false });
        }
        let (plain, if_exists) = plain.strip_suffix("IfExists").map_or((plain, false), |plain| (plain, true));
        if plain == "BinaryEquals" {
            return Err(Problem::NotSupported);
        }
        let (comparison, negated) = comparison(plain).ok_or(ConditionError::UnknownOperator)?;
        Ok(Self { quantifier, comparison, negated, if_exists })
    }

    /// Whether the list of values may be empty, which means that the key may be absent, as in AWS's samples.
    pub(super) fn allows_no_values(self) -> bool {
        self.quantifier == Quantifier::All && !self.negated
    }
}

impl Order {
    pub(super) fn holds(self, given: u64, wanted: u64) -> bool {
        match self {
            Self::Equals => given == wanted,
            Self::LessThan => given < wanted,
            Self::LessThanEquals => given <= wanted,
            Self::GreaterThan => given > wanted,
            Self::GreaterThanEquals => given >= wanted,
        }
    }

    /// The order and whether it is negated.
    fn from_name(name: &str) -> Option<(Self, bool)> {
        match name {
            "Equals" => Some((Self::Equals, false)),
            "NotEquals" => Some((Self::Equals, true)),
            "LessThan" => Some((Self::LessThan, false)),
            "LessThanEquals" => Some((Self::LessThanEquals, false)),
            "GreaterThan" => Some((Self::GreaterThan, false)),
            "GreaterThanEquals" => Some((Self::GreaterThanEquals, false)),
            _ => None,
        }
    }
}

/// The comparison and whether it is negated.
fn comparison(name: &str) -> Option<(Comparison, bool)> {
    let known = match name {
        "StringEquals" => (Comparison::Equals, false),
        "StringNotEquals" => (Comparison::Equals, true),
        "StringEqualsIgnoreCase" => (Comparison::EqualsIgnoreCase, false),
        "StringNotEqualsIgnoreCase" => (Comparison::EqualsIgnoreCase, true),
        "StringLike" => (Comparison::Like, false),
        "StringNotLike" => (Comparison::Like, true),
        "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
        "Bool" => (Comparison::Bool, false),
        "IpAddress" => (Comparison::IpAddress, false),
        "NotIpAddress" => (Comparison::IpAddress, true),
        _ => {
            let date = name.strip_prefix("Date").and_then(Order::from_name);
            let numeric = || name.strip_prefix("Numeric").and_then(Order::from_name);
            return date
                .map(|(order, negated)| (Comparison::Date(order), negated))
                .or_else(|| numeric().map(|(order, negated)| (Comparison::Numeric(order), negated)));
        }
    };
    Some(known)
}
