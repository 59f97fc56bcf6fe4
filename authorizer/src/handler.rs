//! The Lambda handler: one event in, one answer out, one line in the log. The clock is read here alone.

use std::time::{Duration, Instant, SystemTime};

use lambda_runtime::{Context, Diagnostic};
use serde_json::value::RawValue;

use crate::{
    arn::{FunctionArn, FunctionArnError},
    authorizer,
    decision::{Decision, DenyReason, Outcome},
    document::DocumentError,
    event::Event,
    log,
    request::ConnectRequest,
    response::Response,
    store::{Store, StoreFault},
    unix_time::UnixTime,
};

/// What keeps the function from deciding. IoT Core lets nobody in then; it is never a refusal.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The store can't tell.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The function's own ARN can't be read.
    #[error(transparent)]
    FunctionArn(#[from] FunctionArnError),
    /// A grant doesn't fit AWS's limits.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// Handles one event.
///
/// # Errors
///
/// A [`Fault`]; everything that is wrong with the event itself is a refusal.
pub async fn handle(store: &impl Store, payload: &RawValue, context: &Context) -> Result<Response, Fault> {
    let started = Instant::now();
    let event = parse(payload.get());
    let attempt = log::Attempt::new(&context.request_id, event.as_ref());
    let mut store_time = Duration::ZERO;
    let decided = decide(store, event.as_ref(), context, &mut store_time).await;
    let timing = log::Timing { store: store_time, total: started.elapsed() };
    match decided {
        Ok(decision) => {
            log::decision(&attempt, &decision, timing);
            Ok(decision.into_response())
        }
        Err(fault) => {
            log::fault(&attempt, &fault, timing);
            Err(fault)
        }
    }
}

/// An event is an object; a list of the same values in the right order is none, though serde would take it.
fn parse(payload: &str) -> Option<Event> {
    let object = payload.trim_start().starts_with('{');
    object.then(|| serde_json::from_str(payload).ok()).flatten()
}

async fn decide(
    store: &impl Store,
    event: Option<&Event>,
    context: &Context,
    store_time: &mut Duration,
) -> Result<Decision, Fault> {
    let request = event.ok_or(DenyReason::NotAnEvent).and_then(ConnectRequest::try_from);
    let request = match request {
        Ok(request) => request,
        Err(reason) => return Ok(Decision::refuse_unread(reason)),
    };
    let arn = context.invoked_function_arn.parse::<FunctionArn>()?;
    let looking_up = Instant::now();
    let lookup = store.find(&request.device).await;
    *store_time = looking_up.elapsed();
    Ok(authorizer::decide(request, lookup?, &arn, UnixTime::from(SystemTime::now()))?)
}

impl Decision {
    /// Names no device: of an event that is not as it should be, who knows which field holds the password.
    fn refuse_unread(reason: DenyReason) -> Self {
        Self { device: None, client_id: None, outcome: Outcome::Deny(reason) }
    }

    fn into_response(self) -> Response {
        match self.outcome {
            Outcome::Allow(allowed) => allowed.response,
            Outcome::Deny(_) => Response::deny(),
        }
    }
}

impl Fault {
    /// The fixed name under which logs and metrics count it.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Store(_) => "store_fault",
            Self::FunctionArn(_) => "function_arn_fault",
            Self::Document(_) => "document_fault",
        }
    }
}

impl From<Fault> for Diagnostic {
    fn from(fault: Fault) -> Self {
        Self { error_type: fault.error_type().to_owned(), error_message: fault.to_string() }
    }
}
