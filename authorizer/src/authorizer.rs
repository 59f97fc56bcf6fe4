//! One attempt, decided: what is presented against what is known. No IO, no clock.

use crate::{
    arn::FunctionArn,
    binding::{self, BoundDevice},
    client_id::ClientId,
    credential,
    decision::{Allowed, Decision, DenyReason, Outcome},
    device_name::DeviceName,
    document::{self, DocumentError},
    request::{ConnectRequest, Password},
    response::{Grant, Response},
    store::Lookup,
    unix_time::UnixTime,
};

/// Decides about a request that has the right shape.
///
/// # Errors
///
/// When the record's grant can't become policy documents, which loading the record has ruled out.
pub fn decide(
    request: ConnectRequest,
    lookup: Lookup,
    arn: &FunctionArn,
    now: UnixTime,
) -> Result<Decision, DocumentError> {
    let ConnectRequest { device, password, client_id } = request;
    let outcome = match prove(device.clone(), client_id.clone(), &password, lookup, now) {
        Ok(bound) => Outcome::Allow(allow(&bound, arn, now)?),
        Err(reason) => Outcome::Deny(reason),
    };
    Ok(Decision { device: Some(device), client_id: Some(client_id), outcome })
}

fn prove(
    device: DeviceName,
    client_id: ClientId,
    password: &Password,
    lookup: Lookup,
    now: UnixTime,
) -> Result<BoundDevice, DenyReason> {
    let verified = credential::verify(device, lookup, password, now)?;
    binding::bind(verified, client_id)
}

fn allow(bound: &BoundDevice, arn: &FunctionArn, now: UnixTime) -> Result<Allowed, DocumentError> {
    let documents = document::documents(bound, arn)?;
    let device = bound.device();
    let record = device.record();
    let grant =
        Grant::new(device.name().principal_id(), record.timers.until(device.expires_at(), now), documents);
    Ok(Allowed {
        response: Response::Allow(grant),
        grant: record.grant.name().to_owned(),
        verifier: device.verifier(),
    })
}
