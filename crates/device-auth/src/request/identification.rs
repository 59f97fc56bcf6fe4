//! How a request names its device: by a user name, or by a token.

use crate::{
    claim::{Claim, Evidence},
    client_id::ClientIdError,
    deny_reason::DenyReason,
    device_name::{DeviceName, DeviceNameError},
    jwt,
};
use zeroize::Zeroizing;

use crate::event::Event;

/// How a request names its device. The form of what is presented decides.
pub enum Identification<'e> {
    /// By a name, with the evidence for it.
    Claim(Claim<'e>),
    /// By a JSON Web Token, sent as the password or as the token. The name in it counts only after it is verified.
    Jwt {
        /// The token.
        token: Zeroizing<String>,
        /// The user name, if the request has one. It must be the token's device.
        user_name: Option<DeviceName>,
    },
}

impl<'e> Identification<'e> {
    pub(super) fn claim(device: DeviceName, evidence: Evidence<'e>) -> Self {
        Self::Claim(Claim { device, evidence })
    }
}

/// The token of the event, for requests without a password.
pub(super) struct EventToken<'e> {
    pub(super) event: &'e Event,
    /// Whether JSON Web Tokens are accepted.
    pub(super) jwt: bool,
}

impl<'e> EventToken<'e> {
    /// How the token names the device. `None` if the event has no token.
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

    /// A token that is not a JSON Web Token is the device's name. IoT Core must have checked its signature.
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

/// The text of a user name before its first `?`, after which the parameters of IoT Core and the SDKs follow. Some SDKs add a
/// second `?`. That makes the parameters ambiguous, so it is refused.
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
