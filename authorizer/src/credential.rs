//! What a device presents against its record: the only place where a [`VerifiedDevice`] can come from.

pub mod argon2;
pub mod bcrypt;
pub mod budget;
pub mod estimate;
pub(crate) mod field;
pub mod freshness;
mod matching;
pub mod pbkdf2;
pub mod salted_sha2;
pub mod vendor_secret;
pub mod verifier;
pub mod verifier_error;

use std::sync::Arc;

use self::{freshness::FreshnessRules, matching::Known};
use crate::{
    decision::DenyReason,
    device_name::DeviceName,
    jwt::{self, VerifiedToken, keys::Keys, rules::Rules},
    record::Record,
    request::{Claim, Evidence, certificate::Certificate},
    scheme::Scheme,
    store::Lookup,
    unix_time::UnixTime,
};

/// A device whose credential was right and whose record lets it in now.
///
/// Its fields are private to this module: [`verify`] is the only source, and everything that grants
/// demands one.
#[derive(Debug)]
pub struct VerifiedDevice {
    name: DeviceName,
    record: Arc<Record>,
    matched: Option<usize>,
    principal_id: String,
    credential_ends: Option<UnixTime>,
    token_ends: Option<UnixTime>,
}

impl VerifiedDevice {
    /// The device's name, now proven.
    #[must_use]
    pub fn name(&self) -> &DeviceName {
        &self.name
    }

    /// The device's record.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The `principalId` of the answer: that of the certificate if there is one, else the name's digest.
    #[must_use]
    pub fn principal_id(&self) -> &str {
        &self.principal_id
    }

    /// When what it presented or its record runs out, whichever comes first: a refresh is refused from then on.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixTime> {
        [self.credential_ends, self.token_ends, self.record.not_after].into_iter().flatten().min()
    }

    /// When its token ends. The connection has to end by then, however it is refreshed.
    #[must_use]
    pub fn ends_at(&self) -> Option<UnixTime> {
        self.token_ends
    }

    /// Which of the record's verifiers or secrets matched, counted from 0; a token has none.
    #[must_use]
    pub fn matched(&self) -> Option<usize> {
        self.matched
    }
}

/// What a token claims, once it is verified.
///
/// # Errors
///
/// What is wrong with it, or that the user name beside it names another device.
pub fn claim_of_jwt(
    token: &str,
    user_name: Option<&DeviceName>,
    keys: &Keys,
    rules: &Rules,
    now: UnixTime,
) -> Result<Claim<'static>, DenyReason> {
    let token = jwt::verify(token, keys, rules, now)?;
    if user_name.is_some_and(|name| name != token.device()) {
        return Err(DenyReason::JwtOtherDevice);
    }
    Ok(Claim { device: token.device().clone(), evidence: Evidence::Jwt(token) })
}

/// Checks a claim against what the store knows of the device.
///
/// The evidence is checked before anything else and against every verifier, live or not, and for an unknown
/// device against a decoy's: so how long a refusal takes tells neither which devices exist nor how far
/// a guess came.
///
/// # Errors
///
/// The reason for the refusal.
pub fn verify(
    claim: Claim<'_>,
    certificate: Option<Certificate<'_>>,
    lookup: Lookup,
    rules: FreshnessRules,
    now: UnixTime,
) -> Result<VerifiedDevice, DenyReason> {
    let Claim { device: name, evidence } = claim;
    let record = match lookup {
        Lookup::Unknown { decoy } => {
            // A name that nobody knows is just that, whatever came with it.
            let _same_work = matching::matching(&evidence, &Known { verifiers: &decoy, secrets: &[] }, now);
            return Err(DenyReason::UnknownDevice);
        }
        Lookup::Found(record) => record,
    };
    let matched = matching::matching(&evidence, &Known::of(&record.proof), now)?;
    same_scheme(record.proof.scheme(), evidence.scheme())?;
    let matched = match evidence {
        Evidence::Jwt(ref token) => same_grant(&record, token).map(|()| None)?,
        Evidence::Token => None,
        Evidence::Password(_) => Some(matched.ok_or(DenyReason::WrongPassword)?),
        Evidence::Alibaba(..) | Evidence::Tencent(..) => Some(matched.ok_or(DenyReason::WrongSignature)?),
    };
    let signed_until = freshness::signed_until(&evidence, rules, now)?;
    in_force(&record, now)?;
    certified(&record, certificate)?;
    let own_end = matched.and_then(|matched| Known::of(&record.proof).expiry(matched));
    let credential_ends = [own_end, signed_until].into_iter().flatten().min();
    let token_ends = if let Evidence::Jwt(token) = &evidence { Some(token.expires_at()) } else { None };
    let principal_id = certificate.map_or_else(|| name.principal_id(), |own| own.principal_id().to_owned());
    Ok(VerifiedDevice { name, record, matched, principal_id, credential_ends, token_ends })
}

/// What was presented must have the shape of the record's own scheme.
fn same_scheme(known: Scheme, presented: Scheme) -> Result<(), DenyReason> {
    match (known, presented) {
        (Scheme::Alibaba, Scheme::Password) => Err(DenyReason::AlibabaNoParameters),
        (Scheme::Tencent, Scheme::Password) => Err(DenyReason::TencentTooFewParts),
        (known, presented) if known == presented => Ok(()),
        _ => Err(DenyReason::SchemeMismatch),
    }
}

/// A token can't widen what the record grants.
fn same_grant(record: &Record, token: &VerifiedToken) -> Result<(), DenyReason> {
    match token.grant() {
        Some(grant) if grant != record.grant.name() => Err(DenyReason::JwtOtherGrant),
        _ => Ok(()),
    }
}

fn in_force(record: &Record, now: UnixTime) -> Result<(), DenyReason> {
    if !record.enabled {
        return Err(DenyReason::DeviceDisabled);
    }
    if record.not_before.is_some_and(|from| now < from) {
        return Err(DenyReason::NotYetValid);
    }
    if record.not_after.is_some_and(|until| now >= until) {
        return Err(DenyReason::Expired);
    }
    Ok(())
}

/// Where a door asks for a certificate, it is bound to the device as the credential is; a record that names one
/// lets nobody in without it.
fn certified(record: &Record, certificate: Option<Certificate<'_>>) -> Result<(), DenyReason> {
    match certificate {
        None if record.certificates.is_empty() => Ok(()),
        None => Err(DenyReason::NoCertificate),
        Some(own) if record.certificates.contains(&own.fingerprint()) => Ok(()),
        Some(_) => Err(DenyReason::CertificateNotAllowed),
    }
}

#[cfg(test)]
mod tests;
