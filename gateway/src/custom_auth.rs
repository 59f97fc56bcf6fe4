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
use axum::body::Bytes;

use self::{admission::Authorizer, answer::Authorization, event::AuthorizerEvent};
use crate::{
    event_log::{EventLog, recent::CallRecord},
    lambda::Call,
};

/// Calls the function with what the client presented: at the connect, and again at each refresh.
///
/// # Errors
///
/// When the client is not authenticated.
pub async fn authenticate(
    authorizer: &Authorizer,
    call: Call,
    presented: &AuthorizerEvent,
    connection_id: &str,
    log: &EventLog,
) -> Result<Authorization, AuthnError> {
    let asked_at = Instant::now();
    let mut json = None;
    let answer = ask(authorizer, call, presented, &mut json).await;
    let result = match &answer {
        Ok(_) => "allow",
        Err(AuthnError::NotAuthenticated(_)) => "deny",
        Err(_) => "error",
    };
    let took = asked_at.elapsed();
    log.called(authorizer.name.as_str(), result, took, || CallRecord {
        connection_id: connection_id.to_owned(),
        authorizer: authorizer.name.to_string(),
        call,
        result,
        took,
        answer: json.as_deref().and_then(answer::shown),
        error: answer.as_ref().err().filter(|_| result == "error").map(ToString::to_string),
    });
    answer
}

async fn ask(
    authorizer: &Authorizer,
    call: Call,
    presented: &AuthorizerEvent,
    json: &mut Option<Bytes>,
) -> Result<Authorization, AuthnError> {
    let answer = authorizer.function.invoke(call, || presented.to_json()).await?;
    let answer = &*json.insert(answer);
    let authorization = Authorization::parse(answer, presented.certificate_policies())?;
    let authorization =
        authorization.ok_or_else(|| AuthnError::NotAuthenticated(authorizer.function.log()))?;
    match presented.principal_id() {
        Some(principal_id) if principal_id != &*authorization.principal_id => Err(AuthnError::OtherPrincipal),
        _ => Ok(authorization),
    }
}
