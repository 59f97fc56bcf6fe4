//! How a condition compares.

/// A condition operator, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) quantifier: Quantifier,
    pub(super) comparison: Comparison,
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
    Like,
    Arn,
    Bool,
}

impl Operator {
    pub(super) fn from_name(name: &str) -> Option<Self> {
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
            "Bool" => Comparison::Bool,
            _ => return None,
        };
        Some(Self { quantifier, comparison })
    }
}
