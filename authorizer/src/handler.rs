//! The Lambda handler: one event in, one answer out, one line in the log.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Instant, SystemTime},
};

use device_auth::{
    binding::AlibabaSessions,
    claim::{Claim, IdentifiedRequest},
    credential::{self, FreshnessRules},
    decision::{self, Allowed, DecisionContext, Stop},
    deny_reason::DenyReason,
    event::Event,
    policy::PolicyDocument,
    request::{ConnectRequest, EventRequirements, Identification},
    store::Lookup,
    time::UnixTime,
};
use iot_policy::arn::FunctionArn;
use lambda_runtime::Context;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    attempt::Attempt, fault::FunctionFault, jwt::JwtVerification, log, metrics::Metrics,
    name_digest::NameDigest, store::Store,
};

/// The function: a store, and how it is set up.
pub struct Handler<S> {
    /// Where the records are.
    pub store: S,
    /// Whether IoT Core must have checked a token's signature, whatever an event presents.
    pub require_signature: bool,
    /// How old signatures may be.
    pub freshness: FreshnessRules,
    /// Which Alibaba devices may have persistent sessions.
    pub alibaba_sessions: AlibabaSessions,
    /// How JSON Web Tokens are checked. With `None` no token is accepted.
    pub jwt: Option<JwtVerification>,
    /// Makes the digests of names without a record, for the log. With `None` the log has none.
    pub name_digest: Option<NameDigest>,
    /// Where metrics go. With `None` none are written.
    pub metrics: Option<Metrics>,
    /// Whether this process has handled an event before.
    pub warm: AtomicBool,
}

/// The answer that IoT Core reads (AWS IoT Core developer guide, `custom-auth-lambda`).
///
/// All refusals are the same: only the log has the reason. IoT Core needs no principal and no documents of a refusal at a
/// connect, but `TestInvokeAuthorizer` reports an answer without them as invalid *(measured)*.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    is_authenticated: bool,
    /// `[a-zA-Z0-9]{1,128}`.
    principal_id: Cow<'static, str>,
    /// 300 to 86,400. A refusal has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_after_in_seconds: Option<u32>,
    /// 300 to 86,400. A refusal has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_after_in_seconds: Option<u32>,
    policy_documents: Vec<PolicyDocument>,
}

/// The principal of every refusal.
const REFUSED: &str = "refused";

impl<S: Store> Handler<S> {
    /// A function with default settings: no JSON Web Tokens, no digests, no metrics, and no signature required.
    pub fn new(store: S) -> Self {
        Self {
            store,
            require_signature: false,
            freshness: FreshnessRules::default(),
            alibaba_sessions: AlibabaSessions::KeptClientIds,
            jwt: None,
            name_digest: None,
            metrics: None,
            warm: AtomicBool::new(false),
        }
    }

    /// Handles one event.
    ///
    /// # Errors
    ///
    /// A [`FunctionFault`]; everything that is wrong with the event itself is a refusal.
    pub async fn handle(&self, payload: &RawValue, context: &Context) -> Result<Answer, FunctionFault> {
        let started = Instant::now();
        let event = Event::parse(payload.get());
        let cold_start = !self.warm.swap(true, Ordering::Relaxed);
        let mut attempt = Attempt::new(context, event.as_ref(), cold_start);
        attempt.name_digest = self.name_digest.as_ref();
        let decided = self.decide(event.as_ref(), context, &mut attempt).await;
        attempt.total_time = started.elapsed();
        log::attempt(&attempt, &decided);
        if let Some(metrics) = &self.metrics {
            metrics.attempt(&attempt, &decided);
        }
        match decided {
            Ok(allowed) => Ok(Answer::allow(allowed)),
            Err(Stop::Deny(_)) => Ok(Answer::deny()),
            Err(Stop::Fault(fault)) => Err(fault),
        }
    }

    /// Reads the event, identifies the device, looks it up, and decides.
    async fn decide(
        &self,
        event: Option<&Event>,
        context: &Context,
        attempt: &mut Attempt<'_>,
    ) -> Result<Allowed, Stop<FunctionFault>> {
        let now = UnixTime::from(SystemTime::now());
        let requirements = EventRequirements { signature: self.require_signature, jwt: self.jwt.is_some() };
        let request = ConnectRequest::read(event.ok_or(DenyReason::NotAnEvent)?, requirements)?;
        let request = self.identify(request, now).await?;
        attempt.identify(&request);
        let arn = context.invoked_function_arn.parse::<FunctionArn>().map_err(FunctionFault::from)?;
        let lookup = self.look_up(&request.claim, attempt).await?;
        let context = DecisionContext {
            arn: &arn,
            freshness: self.freshness,
            alibaba_sessions: self.alibaba_sessions,
            now,
        };
        decision::decide(request, lookup, context).map_err(|stop| stop.map_fault(FunctionFault::from))
    }

    /// Finds the name that the device claims. A JSON Web Token is verified first, because the name is in it.
    async fn identify<'e>(
        &self,
        request: ConnectRequest<'e>,
        now: UnixTime,
    ) -> Result<IdentifiedRequest<'e>, Stop<FunctionFault>> {
        let ConnectRequest { identification, client_id, certificate } = request;
        let claim = match identification {
            Identification::Claim(claim) => claim,
            Identification::Jwt { token, user_name } => {
                let JwtVerification { keys, rules } =
                    self.jwt.as_ref().ok_or(DenyReason::JwtNotConfigured)?;
                let keys = keys.keys_for(&token).await.map_err(FunctionFault::from)?;
                credential::claim_of_jwt(&token, user_name.as_ref(), &keys, rules, now)?
            }
        };
        Ok(IdentifiedRequest { claim, client_id, certificate })
    }

    /// Looks the device up, and notes in `attempt` where the answer came from and how long it took.
    async fn look_up(&self, claim: &Claim<'_>, attempt: &mut Attempt<'_>) -> Result<Lookup, FunctionFault> {
        let started = Instant::now();
        let answer = self.store.look_up(&claim.device, claim.token_grant()).await;
        attempt.store_time = started.elapsed();
        let answer = answer.map_err(FunctionFault::from)?;
        attempt.source = Some(answer.source);
        match &answer.lookup {
            Lookup::Found(record) => attempt.record = Some(Arc::clone(record)),
            Lookup::Unusable { error, .. } | Lookup::UnusableGrant { error, .. } => {
                attempt.record_error = Some(Arc::clone(error));
            }
            Lookup::Unknown { .. } => {}
        }
        Ok(answer.lookup)
    }
}

impl From<FunctionFault> for Stop<FunctionFault> {
    fn from(fault: FunctionFault) -> Self {
        Self::Fault(fault)
    }
}

impl Answer {
    /// The device may connect.
    #[must_use]
    pub fn allow(allowed: Allowed) -> Self {
        Self {
            is_authenticated: true,
            principal_id: allowed.principal_id.into(),
            disconnect_after_in_seconds: Some(allowed.timers.disconnect_after.get()),
            refresh_after_in_seconds: Some(allowed.timers.refresh_after.get()),
            policy_documents: allowed.documents,
        }
    }

    /// The device may not connect.
    #[must_use]
    pub fn deny() -> Self {
        Self {
            is_authenticated: false,
            principal_id: REFUSED.into(),
            disconnect_after_in_seconds: None,
            refresh_after_in_seconds: None,
            policy_documents: vec![PolicyDocument::deny_all()],
        }
    }
}
