//! Why a client is not authenticated, and AWS's name for it in the log.

use super::{answer::AnswerError, authorizer::AuthorizerName, parameters::ParameterError};
use crate::{
    event_log::authn_reason::AuthnReason,
    lambda::{InvokeError, function::FunctionLog},
};

/// Why a connection is not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum AuthnError {
    /// The client asks for an authorizer that does not exist, or for none and there is no default.
    #[error(
        "the client asks for an authorizer that this gateway doesn't have, or for none and there is no default; {}",
        known.as_ref().map_or("no authorizer is active: set the `status` of one to ACTIVE".to_owned(), |known| format!(
            "its parameter should read `?x-amz-customauthorizer-name={known}`"
        ))
    )]
    NotFound {
        /// The name of an active authorizer.
        known: Option<AuthorizerName>,
    },
    /// The client asks for another authorizer than the domain configuration allows.
    #[error(
        "the client asks for another authorizer than `{0}`, and the domain configuration does not allow that: leave the \
         name out on the device, or set `allow_authorizer_override` to true"
    )]
    Overridden(AuthorizerName),
    /// The authorizer is inactive.
    #[error("the authorizer `{0}` is INACTIVE: set its `status` to ACTIVE, or name another one")]
    Inactive(AuthorizerName),
    /// A parameter can't be used.
    #[error("{0}; the function was not called")]
    Parameter(#[from] ParameterError),
    /// The token's signature is wrong.
    #[error(
        "the token's signature was not made with any of the authorizer's keys; the function was not called; sign this very \
         token with the private key of one of them, RSA with SHA-256"
    )]
    Signature,
    /// Too many events wait for the functions already.
    #[error(
        "the events that wait for the authorizers have more than 64 MiB; `--instances` allows more calls at a time"
    )]
    Crowded,
    /// The function did not answer.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// The function's answer breaks AWS's rules.
    #[error("the authorizer's answer can't be used: {0}")]
    Answer(#[from] AnswerError),
    /// The function names a principal that is not the certificate's.
    #[error(
        "the authorizer's answer can't be used: its `principalId` is not the one of the client's certificate; answer with the \
         event's `protocolData.tls.principalId`"
    )]
    OtherPrincipal,
    /// The function refused the client.
    #[error("the function answered `isAuthenticated: false`; {0}")]
    NotAuthenticated(FunctionLog),
}

impl AuthnError {
    /// AWS's name for it. Three are guesses: of [`AuthnError::Inactive`] *(guess: an INACTIVE authorizer has)*, of
    /// [`AuthnError::Parameter`] *(guess: a missing, duplicate or unreadable token or signature has)* and of
    /// [`AuthnError::Signature`] *(guess: a wrong signature has)*.
    #[must_use]
    pub fn reason(&self) -> AuthnReason {
        match self {
            Self::NotFound { .. } | Self::Overridden(_) | Self::Inactive(_) => {
                AuthnReason::AuthorizerNotFound
            }
            Self::Parameter(_) => AuthnReason::ParameterInvalid,
            Self::Invoke(_) | Self::Answer(_) | Self::OtherPrincipal => AuthnReason::FunctionFailed,
            Self::Crowded => AuthnReason::Throttled,
            Self::Signature | Self::NotAuthenticated(_) => AuthnReason::NotAuthenticated,
        }
    }

    /// Whether the log may have a decision line about the same attempt. Only the function of this project writes one.
    #[must_use]
    pub fn may_have_decision_line(&self) -> bool {
        matches!(self, Self::NotAuthenticated(FunctionLog::Here) | Self::Invoke(InvokeError::Function { .. }))
    }
}
