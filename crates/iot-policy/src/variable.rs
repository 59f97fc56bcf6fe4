//! The policy variables that have a value under custom authentication (AWS IoT Core developer guide,
//! `basic-policy-variables`).

use crate::PatternError;

/// A policy variable. Its value always comes from the request's context and is literal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    ClientId,
    SourceIp,
    DomainName,
}

impl Variable {
    /// Reads what stands between `${` and `}`; names ignore case, as IAM's context keys do.
    pub(crate) fn from_name(name: &str) -> Result<Self, PatternError> {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "iot:clientid" => Ok(Self::ClientId),
            "aws:sourceip" => Ok(Self::SourceIp),
            "iot:domainname" => Ok(Self::DomainName),
            _ if lower.starts_with("iot:connection.thing.") => {
                Err(PatternError::ThingVariable(name.to_owned()))
            }
            _ if lower.starts_with("iot:certificate.") => {
                Err(PatternError::CertificateVariable(name.to_owned()))
            }
            _ => Err(PatternError::UnknownVariable(name.to_owned())),
        }
    }
}
