//! Custom authentication as AWS IoT Core does it: [`admission`] finds the authorizer by its name, its function is called
//! with the custom-auth [`event`], and its [`answer`] counts only if it follows AWS's rules.
//!
//! Source: AWS IoT Core developer guide, `custom-authorizer` and `custom-auth-lambda`.

pub mod admission;
pub mod answer;
pub mod authorizer;
pub mod definition;
pub mod event;
pub mod http_request;
pub mod parameters;
pub mod signing;
pub mod test_invocation;
pub mod unnamed;

mod error;

use std::time::Instant;

pub use self::error::AuthnError;
use self::{admission::Authorizer, answer::Authorization, event::AuthorizerEvent};
use crate::{lambda::Call, metrics::Metrics};

/// Calls the function with what the client presented: at the connect, and again at each refresh.
///
/// # Errors
///
/// When the client is not authenticated.
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
        Err(AuthnError::NotAuthenticated(_)) => "deny",
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
    let authorization = Authorization::parse(&answer, presented.certificate_policies())?;
    let authorization =
        authorization.ok_or_else(|| AuthnError::NotAuthenticated(authorizer.function.log()))?;
    match presented.principal_id() {
        Some(principal_id) if principal_id != &*authorization.principal_id => Err(AuthnError::OtherPrincipal),
        _ => Ok(authorization),
    }
}
