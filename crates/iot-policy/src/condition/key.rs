//! What a condition asks the request's context for.

use super::operator::Comparison;
use crate::certificate::CertificateField;
use crate::error::ConditionError;
use crate::thing::ThingVariable;
use crate::variable::Variable;

/// A key of the request's context (AWS IoT Core developer guide, `iot-policy-variables`, `connect-policy` and
/// `direct-messaging`). Names ignore case, as IAM's do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Variable(Variable),
    ConnectAttributes,
    LastWillTopic,
    /// `iot:Topic`: the topic of a direct message, as a plain text (`direct-messaging-policy-examples`).
    Topic,
    /// `aws:CurrentTime`, which IAM has in every request (IAM user guide, `reference_policies_condition-keys`)
    /// *(guess: `aws:CurrentTime` and `aws:EpochTime`)*.
    CurrentTime,
    /// `aws:EpochTime`, the same in seconds since 1970.
    EpochTime,
    /// All values of a certificate's field.
    CertificateList(CertificateField),
}

impl Key {
    pub(super) fn from_name(name: &str) -> Result<Self, ConditionError> {
        match name.to_ascii_lowercase().as_str() {
            "iot:connectattributes" => return Ok(Self::ConnectAttributes),
            "iot:lastwilltopic" => return Ok(Self::LastWillTopic),
            "iot:topic" => return Ok(Self::Topic),
            "aws:currenttime" => return Ok(Self::CurrentTime),
            "aws:epochtime" => return Ok(Self::EpochTime),
            _ => {}
        }
        CertificateField::of_list(name)
            .map(Self::CertificateList)
            .or_else(|| Variable::from_name(name).ok().map(Self::Variable))
            .ok_or(ConditionError::UnknownKey)
    }

    pub(super) fn has_several_values(&self) -> bool {
        matches!(self, Self::ConnectAttributes | Self::CertificateList(_))
    }

    pub(crate) fn is_time(&self) -> bool {
        matches!(self, Self::CurrentTime | Self::EpochTime)
    }

    /// The key's name, if only a connection with a principal of AWS's own has a value for it.
    pub(super) fn without_value(&self) -> Option<String> {
        match self {
            Self::Variable(variable) => variable.needs_registered_principal().then(|| variable.to_string()),
            Self::CertificateList(field) => Some(format!("{field}.List")),
            _ => None,
        }
    }

    /// Refuses an operator that can't compare the key's value: it would never match, and a Deny would never deny.
    pub(super) fn check(&self, comparison: Comparison) -> Result<(), ConditionError> {
        let fits = match comparison {
            Comparison::Equals | Comparison::EqualsIgnoreCase | Comparison::Like => !self.is_time(),
            Comparison::Arn => *self == Self::LastWillTopic,
            Comparison::Bool => *self == Self::Variable(Variable::Thing(ThingVariable::IsAttached)),
            Comparison::IpAddress => *self == Self::Variable(Variable::SourceIp),
            Comparison::Date(_) => self.is_time(),
            Comparison::Numeric(_) => *self == Self::EpochTime,
            Comparison::Null => true,
        };
        if fits { Ok(()) } else { Err(ConditionError::OtherOperator(self.operators())) }
    }

    fn operators(&self) -> &'static str {
        match self {
            Self::LastWillTopic => "`Arn…`, `String…` or `Null`",
            Self::Variable(Variable::Thing(ThingVariable::IsAttached)) => "`Bool`, `String…` or `Null`",
            Self::Variable(Variable::SourceIp) => "`IpAddress`, `NotIpAddress`, `String…` or `Null`",
            Self::CurrentTime => "`Date…` or `Null`",
            Self::EpochTime => "`Date…`, `Numeric…` or `Null`",
            _ => "`String…` or `Null`",
        }
    }
}
