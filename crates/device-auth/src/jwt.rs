//! JSON Web Tokens: a device whose proof is a signed token instead of a password (RFC 7519 in the form of RFC 7515).
//!
//! A token goes through the modules in this order:
//!
//! 1. [`token`]: its size, its three parts and its header.
//! 2. The caller brings the [`keys::Keys`] to check it with.
//! 3. [`keys`]: the one key that the header means. A key has one algorithm, so the header chooses no algorithm.
//! 4. The signature. Only now are the claims looked into.
//! 5. [`claims`]: issuer, audience, times, and the claims that name the device and its grant, by [`rules::Rules`].
//!
//! Nothing of a token is ever put into an error or a log line. What a header says about keys (`jku`, `jwk`, `x5u`,
//! `x5c`) is never read.

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

/// What a token whose signature, times and addressee were right says.
///
/// Its fields are private: [`verify`] is the only source.
#[derive(Debug)]
pub struct VerifiedToken {
    device: DeviceName,
    grant: Option<String>,
    expires_at: UnixTime,
}

impl VerifiedToken {
    /// The device, from the claim that [`Rules::device_claim`] names.
    #[must_use]
    pub fn device(&self) -> &DeviceName {
        &self.device
    }

    /// The grant's name, where [`Rules::grant_claim`] names a claim for it. Whether there is such a grant is not
    /// checked here.
    #[must_use]
    pub fn grant(&self) -> Option<&str> {
        self.grant.as_deref()
    }

    /// When the token ends: at least [`iot_policy::limits::MIN_DISCONNECT_SECONDS`] after the `now` it was verified
    /// at, so that a connection can end with it.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }
}

/// Checks `token` with one of `keys` and by `rules`, at the moment `now`.
///
/// # Errors
///
/// The reason for the refusal, which holds nothing of the token.
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
    Ok(VerifiedToken { device, grant, expires_at })
}

/// Whether a text has the shape of a JSON Web Token: `eyJ` is `{"` in base64.
#[must_use]
pub fn has_token_shape(text: &str) -> bool {
    text.starts_with("eyJ") && text.contains('.')
}
