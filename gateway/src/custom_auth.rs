//! Custom authentication as AWS IoT Core does it: the authorizer is found by name, its function is called with
//! the custom-auth event, and its answer is taken only if it keeps AWS's rules.
//!
//! Source: AWS IoT Core developer guide, `custom-authorizer` and `custom-auth-lambda`.

pub mod answer;
pub mod authorizers;
pub mod event;
pub mod http_request;
pub mod name;
pub mod parameters;
pub mod signing;

use std::time::Instant;

use self::{
    answer::{AnswerError, Authorization},
    authorizers::Authorizer,
    event::AuthorizerEvent,
    name::AuthorizerName,
    parameters::ParameterError,
};
use crate::{
    lambda::{Call, InvokeError},
    metrics::Metrics,
};

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

/// Asks the function about what the client presented: at the connect, and again at each refresh.
///
/// # Errors
///
/// Why the client is not, or no longer, authenticated.
pub async fn authenticate(
    authorizer: &Authorizer,
    call: Call,
    presented: &AuthorizerEvent,
    metrics: &Metrics,
) -> Result<Authorization, AuthnError> {
    let asked_at = Instant::now();
    let answer = ask(authorizer, call, presented).await;
    let result = match &answer {
        Ok(_) => "allow",
        Err(AuthnError::NotAuthenticated) => "deny",
        Err(_) => "error",
    };
    metrics.call(authorizer.name.as_str(), result, asked_at.elapsed());
    answer
}

async fn ask(
    authorizer: &Authorizer,
    call: Call,
    presented: &AuthorizerEvent,
) -> Result<Authorization, AuthnError> {
    let answer = authorizer.function.invoke(call, || presented.to_json()).await?;
    let authorization = Authorization::parse(&answer)?.ok_or(AuthnError::NotAuthenticated)?;
    match presented.principal_id() {
        Some(principal_id) if principal_id != &*authorization.principal_id => Err(AuthnError::OtherPrincipal),
        _ => Ok(authorization),
    }
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
