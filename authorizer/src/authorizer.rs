//! One attempt, decided: what is presented against what is known. No IO, no clock.

use crate::{
    arn::FunctionArn,
    binding::{self, BoundDevice},
    credential::{self, freshness::FreshnessRules},
    decision::{Allowed, Decision, DenyReason, Outcome},
    document::{self, DocumentError},
    request::Claimed,
    response::{Grant, Response},
    store::Lookup,
    unix_time::UnixTime,
};

/// What decides beside the request and the record.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// The function's own ARN.
    pub arn: &'a FunctionArn,
    /// How old signatures may be.
    pub freshness: FreshnessRules,
    /// The moment.
    pub now: UnixTime,
}

/// Decides about a request that has the right shape.
///
/// # Errors
///
/// When the record's grant can't become policy documents, which loading the record has ruled out.
pub fn decide(
    request: Claimed<'_>,
    lookup: Lookup,
    circumstances: Circumstances<'_>,
) -> Result<Decision, DocumentError> {
    let (device, scheme) = (request.claim.device.clone(), request.claim.evidence.scheme());
    let client_id = request.client_id.clone();
    let outcome = match prove(request, lookup, circumstances) {
        Ok(bound) => Outcome::Allow(allow(&bound, circumstances)?),
        Err(reason) => Outcome::Deny(reason),
    };
    Ok(Decision { device: Some(device), client_id, scheme: Some(scheme), outcome })
}

fn prove(
    request: Claimed<'_>,
    lookup: Lookup,
    Circumstances { freshness, now, .. }: Circumstances<'_>,
) -> Result<BoundDevice, DenyReason> {
    let verified = credential::verify(request.claim, request.certificate, lookup, freshness, now)?;
    binding::bind(verified, request.client_id)
}

fn allow(
    bound: &BoundDevice,
    Circumstances { arn, now, .. }: Circumstances<'_>,
) -> Result<Allowed, DocumentError> {
    let documents = document::documents(bound, arn)?;
    let device = bound.device();
    let record = device.record();
    let timers = record.timers.refreshed_until(device.expires_at(), now).ended_by(device.ends_at(), now);
    let grant = Grant::new(device.principal_id().to_owned(), timers, documents);
    Ok(Allowed {
        response: Response::Allow(grant),
        grant: record.grant.name().to_owned(),
        verifier: device.matched(),
    })
}
