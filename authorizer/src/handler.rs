//! The Lambda handler: one event in, one answer out, one line in the log. The clock is read here alone.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Instant, SystemTime},
};

use lambda_runtime::{Context, Diagnostic};
use serde_json::value::RawValue;

use crate::{
    arn::{FunctionArn, FunctionArnError},
    authorizer::{self, Circumstances},
    credential::{self, freshness::FreshnessRules},
    decision::{Decision, DenyReason, Outcome},
    document::DocumentError,
    event::Event,
    jwt::{
        key_source::{JwksFault, KeySource},
        rules::Rules,
    },
    log::{self, Run},
    metrics::Metrics,
    request::{Claim, Claimed, ConnectRequest, Demands, Evidence, Presented},
    response::Response,
    store::{Found, Lookup, Store, StoreFault},
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
    /// There are no keys to check a token with.
    #[error(transparent)]
    Jwks(#[from] JwksFault),
    /// A grant doesn't fit AWS's limits.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// The function: a store, and how it is set up.
pub struct Function<S> {
    /// Where the records are.
    pub store: S,
    /// What every event must bring along.
    pub require_signature: bool,
    /// How old signatures may be.
    pub freshness: FreshnessRules,
    /// How JSON Web Tokens are checked; without it there are none.
    pub jwt: Option<Jwt>,
    /// Where metrics go; nowhere without it.
    pub metrics: Option<Metrics>,
    /// Whether an event was handled before.
    pub warm: AtomicBool,
}

/// How JSON Web Tokens are checked.
pub struct Jwt {
    /// With which keys.
    pub keys: KeySource,
    /// What they must say.
    pub rules: Rules,
}

impl<S: Store> Function<S> {
    /// A function that lets in by the records alone.
    pub fn new(store: S) -> Self {
        Self {
            store,
            require_signature: false,
            freshness: FreshnessRules::default(),
            jwt: None,
            metrics: None,
            warm: AtomicBool::new(false),
        }
    }

    /// Handles one event.
    ///
    /// # Errors
    ///
    /// A [`Fault`]; everything that is wrong with the event itself is a refusal.
    pub async fn handle(&self, payload: &RawValue, context: &Context) -> Result<Response, Fault> {
        let started = Instant::now();
        let event = parse(payload.get());
        let attempt = log::Attempt::new(context, event.as_ref());
        let cold_start = !self.warm.swap(true, Ordering::Relaxed);
        let mut run = Run { cold_start, ..Run::default() };
        let decided = self.decide(event.as_ref(), context, &mut run).await;
        run.total = started.elapsed();
        match decided {
            Ok(decision) => {
                log::decision(&attempt, &decision, run);
                self.metrics.iter().for_each(|metrics| metrics.decision(&decision, run));
                Ok(decision.into_response())
            }
            Err(fault) => {
                log::fault(&attempt, &fault, run);
                self.metrics.iter().for_each(|metrics| metrics.fault(&fault, run));
                Err(fault)
            }
        }
    }

    async fn decide(
        &self,
        event: Option<&Event>,
        context: &Context,
        run: &mut Run,
    ) -> Result<Decision, Fault> {
        let now = UnixTime::from(SystemTime::now());
        let demands = Demands { signature: self.require_signature, jwt: self.jwt.is_some() };
        let request =
            event.ok_or(DenyReason::NotAnEvent).and_then(|event| ConnectRequest::read(event, demands));
        let request = match request {
            Ok(request) => request,
            Err(reason) => return Ok(Decision::refuse_unread(reason)),
        };
        let request = match self.claimed(request, now).await? {
            Ok(request) => request,
            Err(reason) => return Ok(Decision::refuse_unread(reason)),
        };
        let arn = context.invoked_function_arn.parse::<FunctionArn>()?;
        let looking_up = Instant::now();
        let found = self.store.find_with_source(&request.claim.device).await;
        run.store = looking_up.elapsed();
        let Found { lookup, from } = found?;
        run.source = Some(from);
        let lookup = match self.vouched(&request.claim, lookup) {
            Ok(lookup) => lookup,
            Err(reason) => return Ok(Decision::refuse(request, reason)),
        };
        Ok(authorizer::decide(request, lookup, Circumstances { arn: &arn, freshness: self.freshness, now })?)
    }

    /// A token names its device, but only once it is verified.
    async fn claimed<'e>(
        &self,
        request: ConnectRequest<'e>,
        now: UnixTime,
    ) -> Result<Result<Claimed<'e>, DenyReason>, Fault> {
        let ConnectRequest { presented, client_id, certificate } = request;
        let claim = match (presented, &self.jwt) {
            (Presented::Claim(claim), _) => Ok(claim),
            (Presented::Jwt { .. }, None) => Err(DenyReason::JwtNotConfigured),
            (Presented::Jwt { token, user_name }, Some(Jwt { keys, rules })) => {
                let keys = keys.keys_for(&token).await?;
                credential::claim_of_jwt(&token, user_name.as_ref(), &keys, rules, now)
            }
        };
        Ok(claim.map(|claim| Claimed { claim, client_id, certificate }))
    }

    /// A token that names its grant can stand in for a record.
    fn vouched(&self, claim: &Claim<'_>, lookup: Lookup) -> Result<Lookup, DenyReason> {
        match (&claim.evidence, &lookup) {
            (Evidence::Jwt(token), Lookup::Unknown { .. }) => {
                let Some(grant) = token.grant() else { return Ok(lookup) };
                let record = self.store.vouched(&claim.device, grant);
                // Why is not told: it may quote the claim.
                record.map(Lookup::Found).map_err(|_why| DenyReason::JwtUnusableGrant)
            }
            _ => Ok(lookup),
        }
    }
}

/// An event is an object; a list of the same values in the right order is none, though serde would take it.
fn parse(payload: &str) -> Option<Event> {
    let object = payload.trim_start().starts_with('{');
    object.then(|| serde_json::from_str(payload).ok()).flatten()
}

impl Decision {
    /// Names no device: of an event that is not as it should be, who knows which field holds the password.
    fn refuse_unread(reason: DenyReason) -> Self {
        Self { device: None, client_id: None, scheme: None, outcome: Outcome::Deny(reason) }
    }

    fn refuse(request: Claimed<'_>, reason: DenyReason) -> Self {
        let Claimed { claim, client_id, .. } = request;
        let scheme = Some(claim.evidence.scheme());
        Self { device: Some(claim.device), client_id, scheme, outcome: Outcome::Deny(reason) }
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
            Self::Jwks(_) => "jwks_fault",
            Self::Document(_) => "document_fault",
        }
    }
}

impl From<Fault> for Diagnostic {
    fn from(fault: Fault) -> Self {
        Self { error_type: fault.error_type().to_owned(), error_message: fault.to_string() }
    }
}
