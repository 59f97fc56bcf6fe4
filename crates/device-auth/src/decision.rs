//! The decision about a claim and a look-up, without IO and without a clock: verify, bind, write the documents.

use iot_policy::arn::FunctionArn;

use crate::{
    binding::{self, AlibabaSessions, BoundDevice, PersistentSession},
    claim::IdentifiedRequest,
    credential::{self, FreshnessRules},
    deny_reason::DenyReason,
    policy::{self, DocumentError, PolicyDocument},
    store::Lookup,
    time::{Timers, UnixTime},
};

/// The inputs of a decision besides the request and the record.
#[derive(Clone, Copy)]
pub struct DecisionContext<'a> {
    /// The function's own ARN: partition, region and account of the policy documents.
    pub arn: &'a FunctionArn,
    /// How old signatures may be.
    pub freshness: FreshnessRules,
    /// Which Alibaba devices may have persistent sessions.
    pub alibaba_sessions: AlibabaSessions,
    /// The time of the attempt.
    pub now: UnixTime,
}

/// The result for a device that may connect.
#[derive(Debug)]
pub struct Allowed {
    /// The `principalId` of the answer: `[a-zA-Z0-9]{1,128}`.
    pub principal_id: String,
    /// When IoT Core calls the authorizer again, and when it ends the connection.
    pub timers: Timers,
    /// The policy documents, at most 10.
    pub documents: Vec<PolicyDocument>,
    /// The grant's name.
    pub grant: String,
    /// Which of the record's verifiers or secrets matched, counted from 0; a token has none.
    pub verifier: Option<usize>,
}

/// Why an attempt ends without a policy.
#[derive(Debug)]
pub enum Stop<F> {
    /// The device is refused.
    Deny(DenyReason),
    /// There is no decision. IoT Core then rejects the connection, but it is not a refusal.
    Fault(F),
}

/// Decides about an attempt: verifies the credential, binds the client id, and writes the policy documents.
///
/// # Errors
///
/// The reason for a refusal, or a fault when the grant can't become policy documents. Loading the record has already ruled
/// the fault out.
pub fn decide(
    request: IdentifiedRequest<'_>,
    lookup: Lookup,
    DecisionContext { arn, freshness, alibaba_sessions, now }: DecisionContext<'_>,
) -> Result<Allowed, Stop<DocumentError>> {
    let session = PersistentSession::of(&request.claim, alibaba_sessions);
    let verified = credential::verify(request.claim, request.certificate, lookup, freshness, now)?;
    let bound = binding::bind(verified, request.client_id, session)?;
    Allowed::new(&bound, arn, now).map_err(Stop::Fault)
}

impl Allowed {
    /// The result for a bound device: the last step of [`decide`].
    ///
    /// # Errors
    ///
    /// When the grant can't become policy documents. Loading the record has already ruled that out.
    pub fn new(bound: &BoundDevice, arn: &FunctionArn, now: UnixTime) -> Result<Self, DocumentError> {
        let device = bound.device();
        let record = device.record();
        Ok(Self {
            principal_id: device.principal_id().to_owned(),
            timers: record.timers.refreshed_until(device.expires_at(), now).ended_by(device.ends_at(), now),
            documents: policy::documents(bound, arn)?,
            grant: record.grant.name().to_owned(),
            verifier: device.matched(),
        })
    }
}

impl<F> Stop<F> {
    /// The same with another type of fault.
    pub fn map_fault<G>(self, map: impl FnOnce(F) -> G) -> Stop<G> {
        match self {
            Self::Deny(reason) => Stop::Deny(reason),
            Self::Fault(fault) => Stop::Fault(map(fault)),
        }
    }
}

impl<F> From<DenyReason> for Stop<F> {
    fn from(reason: DenyReason) -> Self {
        Self::Deny(reason)
    }
}
