//! Why a client is not authenticated, and AWS's name for it in the log.

use super::{answer::AnswerError, authorizer::AuthorizerName, parameters::ParameterError};
use crate::lambda::InvokeError;

/// Why a connection is not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum AuthnError {
    /// The user name names an authorizer that doesn't exist, or names none and there is no default.
    #[error(
        "the client asks for an authorizer that this gateway doesn't have, or for none where there is no default; \
         {}", known.as_ref().map_or("no authorizer is active".to_owned(), |known| format!(
            "its parameter should read `?x-amz-customauthorizer-name={known}`"
        ))
    )]
    NotFound {
        /// A name that would do.
        known: Option<AuthorizerName>,
    },
    /// The domain configuration has its authorizer, and the client asks for another.
    #[error(
        "the client asks for another authorizer than `{0}`, and the domain configuration does not allow that \
         (`allow_authorizer_override`)"
    )]
    Overridden(AuthorizerName),
    /// The authorizer is not in use.
    #[error("the authorizer `{0}` is INACTIVE")]
    Inactive(AuthorizerName),
    /// A parameter can't be used.
    #[error("{0}; the function was not called")]
    Parameter(#[from] ParameterError),
    /// None of the authorizer's keys made the token's signature.
    #[error("the token's signature is not by any of the authorizer's keys; the function was not called")]
    Signature,
    /// Too much waits for the functions already.
    #[error("what waits for the authorizers is more than 64 MiB; `--instances` lets them do more at a time")]
    Crowded,
    /// The function gave no answer.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// The function's answer breaks AWS's rules.
    #[error("the authorizer's answer can't be used: {0}")]
    Answer(#[from] AnswerError),
    /// The function names another principal than the certificate's.
    #[error(
        "the authorizer's answer can't be used: its `principalId` is not the one of the client's certificate"
    )]
    OtherPrincipal,
    /// The function said no.
    #[error(
        "the authorizer refused; Latchkey's own says why in its decision line, docs/authorizer.md what to do"
    )]
    NotAuthenticated,
}

impl AuthnError {
    /// AWS's name for it: the reasons of `Connection.AuthNError` (developer guide, `cwl-format`). Which one AWS gives
    /// an inactive authorizer, an absent or unusable parameter and a wrong signature is *(unverified)*.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFound { .. } | Self::Overridden(_) | Self::Inactive(_) => "CUSTOM_AUTHORIZER_NOT_FOUND",
            Self::Parameter(_) => "CUSTOM_AUTHORIZER_PARAMETER_INVALID",
            Self::Invoke(_) | Self::Answer(_) | Self::OtherPrincipal => {
                "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR"
            }
            Self::Crowded => "THROTTLED",
            Self::Signature | Self::NotAuthenticated => "NOT_AUTHENTICATED",
        }
    }
}
