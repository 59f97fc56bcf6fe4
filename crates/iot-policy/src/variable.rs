//! The policy variables of AWS IoT (AWS IoT Core developer guide, `basic-policy-variables`, `thing-policy-variables`
//! and `cert-policy-variables`).

use std::fmt::{self, Display, Formatter};

use crate::certificate::{CertificateField, CertificateVariable};
use crate::error::PatternError;
use crate::thing::ThingVariable;

/// A policy variable. Its value always comes from the request's context and is literal text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Variable {
    ClientId,
    SourceIp,
    DomainName,
    Thing(ThingVariable),
    Certificate(CertificateVariable),
}

impl Variable {
    /// Reads the text between `${` and `}`; names ignore case, as IAM's context keys do.
    pub(crate) fn from_name(name: &str) -> Result<Self, PatternError> {
        if CertificateField::of_list(name).is_some() {
            return Err(PatternError::SeveralValues(name.to_owned()));
        }
        match name.to_ascii_lowercase().as_str() {
            "iot:clientid" => Some(Self::ClientId),
            "aws:sourceip" => Some(Self::SourceIp),
            "iot:domainname" => Some(Self::DomainName),
            _ => None,
        }
        .or_else(|| ThingVariable::from_name(name).map(Self::Thing))
        .or_else(|| CertificateVariable::from_name(name).map(Self::Certificate))
        .ok_or_else(|| PatternError::UnknownVariable(name.to_owned()))
    }

    /// Whether only a connection with a registered principal can have a value: thing and certificate variables
    /// have none under custom authentication.
    pub(crate) fn needs_registered_principal(&self) -> bool {
        matches!(self, Self::Thing(_) | Self::Certificate(_))
    }

    /// Whether AWS replaces the variable with this value.
    pub(crate) fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Certificate(_) => CertificateVariable::accepts(value),
            _ => true,
        }
    }
}

impl Display for Variable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientId => f.write_str("iot:ClientId"),
            Self::SourceIp => f.write_str("aws:SourceIp"),
            Self::DomainName => f.write_str("iot:DomainName"),
            Self::Thing(variable) => variable.fmt(f),
            Self::Certificate(variable) => variable.fmt(f),
        }
    }
}
