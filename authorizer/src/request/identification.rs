//! How a request names its device: by a user name, or by a token.

use device_auth::{
    claim::{Claim, Evidence},
    client_id::ClientIdError,
    deny_reason::DenyReason,
    device_name::{DeviceName, DeviceNameError},
    jwt,
};
use zeroize::Zeroizing;

use crate::event::Event;

/// How a request names its device. The shape of what is presented decides which it is.
pub enum Identification<'e> {
    /// By a name, with the evidence for it.
    Claim(Claim<'e>),
    /// By a JSON Web Token, sent as password or as token. It must be verified before its name counts.
    Jwt {
        /// The token.
        token: Zeroizing<String>,
        /// The user name, if there is one; it must be the token's device.
        user_name: Option<DeviceName>,
    },
}

impl<'e> Identification<'e> {
    pub(super) fn claim(device: DeviceName, evidence: Evidence<'e>) -> Self {
        Self::Claim(Claim { device, evidence })
    }
}

/// The event's own token, for requests without a password.
pub(super) struct EventToken<'e> {
    pub(super) event: &'e Event,
    /// Whether JSON Web Tokens are accepted.
    pub(super) jwt: bool,
}

impl<'e> EventToken<'e> {
    /// The device that the token names, if there is a token.
    pub(super) fn identification(
        &self,
        user_name: Option<&str>,
    ) -> Option<Result<Identification<'e>, DenyReason>> {
        let token = self.event.token.as_ref().filter(|token| !token.is_empty())?;
        Some(user_name.map(device).transpose().and_then(|user_name| {
            if self.jwt && jwt::has_token_shape(token) {
                Ok(Identification::Jwt { token: token.clone(), user_name })
            } else {
                self.signed(token, user_name.as_ref())
            }
        }))
    }

    /// A token that is not a JSON Web Token is a device's name, if IoT Core has checked its signature.
    fn signed(&self, token: &str, user_name: Option<&DeviceName>) -> Result<Identification<'e>, DenyReason> {
        if self.event.signature_verified != Some(true) {
            return Err(DenyReason::TokenNotVerified);
        }
        let device = DeviceName::try_from(token).map_err(|_| DenyReason::TokenInvalid)?;
        match user_name {
            Some(other) if *other != device => Err(DenyReason::TokenOtherDevice),
            _ => Ok(Identification::claim(device, Evidence::Token)),
        }
    }
}

/// The identity is the text before the first `?`; after it IoT Core's and the SDKs' parameters follow.
/// Some SDKs add a second `?`, which makes the parameters ambiguous, so it is refused.
pub(super) fn identity(user_name: &str) -> Result<Option<&str>, DenyReason> {
    let (identity, query) = user_name.split_once('?').unwrap_or((user_name, ""));
    if query.contains('?') {
        return Err(DenyReason::UserNameSecondQuery);
    }
    Ok((!identity.is_empty()).then_some(identity))
}

pub(super) fn device(identity: &str) -> Result<DeviceName, DenyReason> {
    DeviceName::try_from(identity).map_err(|DeviceNameError(error)| match error {
        ClientIdError::Empty => DenyReason::NoUserName,
        ClientIdError::TooLong(_) => DenyReason::UserNameTooLong,
        ClientIdError::Character(_) => DenyReason::UserNameInvalid,
    })
}
