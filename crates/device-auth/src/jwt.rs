//! JSON Web Tokens (RFC 7519, in the compact form of RFC 7515): a device can present a signed token instead of a password.
//!
//! [`verify`] checks a token in this order:
//!
//! 1. [`token`]: its size, its three parts and its header.
//! 2. [`keys`]: the one key that the header names. A key has one algorithm, so the header does not choose it.
//! 3. The signature. The claims are not read before it.
//! 4. [`claims`]: issuer, audience, times, and the claims that name the device and its grant, by [`Rules`].
//!
//! No error and no log line contains a part of a token. The header's members about keys (`jku`, `jwk`, `x5u`, `x5c`) are
//! never read.

mod claims;
pub mod keys;
pub mod token;

pub use self::claims::{DEFAULT_DEVICE_CLAIM, Leeway, LeewayError, Rules};
use self::{
    claims::Claims,
    keys::Keys,
    token::{TokenError, UnverifiedToken},
};
use crate::{device_name::DeviceName, time::UnixTime};

/// What a verified token says.
///
/// Its fields are private: [`verify`] is the only source.
#[derive(Debug)]
pub struct VerifiedToken {
    device: DeviceName,
    grant: Option<String>,
    is_grant_allowed: bool,
    expires_at: UnixTime,
}

impl VerifiedToken {
    /// The device, from the claim that [`Rules::device_claim`] names.
    #[must_use]
    pub fn device(&self) -> &DeviceName {
        &self.device
    }

    /// The grant's name, if [`Rules::grant_claim`] names a claim for it. The grant may not exist.
    #[must_use]
    pub fn grant(&self) -> Option<&str> {
        self.grant.as_deref()
    }

    /// The grant with which the token can stand in for a missing record: one of [`Rules::grants`].
    #[must_use]
    pub fn grant_without_record(&self) -> Option<&str> {
        self.grant().filter(|_| self.is_grant_allowed)
    }

    /// When the token ends: at least [`iot_policy::limits::MIN_DISCONNECT_SECONDS`] after the time at which it was verified,
    /// so that the connection can end with it.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }
}

/// Checks `token` with one of `keys` and by `rules`, at the moment `now`.
///
/// # Errors
///
/// The reason for the refusal, which has no part of the token.
pub fn verify(token: &str, keys: &Keys, rules: &Rules, now: UnixTime) -> Result<VerifiedToken, TokenError> {
    let token = UnverifiedToken::read(token)?;
    if !keys.find(token.header())?.signed(&token) {
        return Err(TokenError::Signature);
    }
    let claims = Claims::read(token.claims())?;
    claims.check_issuer(rules.issuer.as_deref())?;
    claims.check_audience(rules.audience.as_deref())?;
    let expires_at = claims.check_times(rules.leeway, now)?;
    let device = claims.device(&rules.device_claim)?;
    let grant = rules.grant_claim.as_deref().map(|name| claims.grant(name)).transpose()?;
    let is_grant_allowed = grant.as_ref().is_some_and(|grant| rules.grants.contains(grant));
    Ok(VerifiedToken { device, grant, is_grant_allowed, expires_at })
}

/// Whether a text has the shape of a JSON Web Token: `eyJ` is `{"` in base64.
#[must_use]
pub fn has_token_shape(text: &str) -> bool {
    text.starts_with("eyJ") && text.contains('.')
}
