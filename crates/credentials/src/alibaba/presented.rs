//! The authorizer's side: what a CONNECT presents.

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::{
    Identity, IdentityError, Parameters, ParametersError,
    freshness::{Freshness, freshness},
    signature,
};
use crate::{HexError, Secret, SignMethod, signature::Signature};

/// A client id and a user name of the right shape. Nothing in them is verified before [`Presented::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented<'a> {
    identity: Identity<'a>,
    authentication: Authentication,
    sign_method: SignMethod,
    timestamp: Option<&'a str>,
    parameters: Parameters<'a>,
}

/// How the device proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// The password is signed with the `DeviceSecret`: no `authType`, `securemode` 2 (TLS), 3 (TCP) or none.
    DeviceSecret,
    /// The password is the `DeviceToken`: `securemode=-2,authType=connwl`.
    DeviceToken,
}

/// What the device's record holds, to verify with.
#[derive(Clone, Copy)]
pub enum Key<'a> {
    /// For [`Authentication::DeviceSecret`].
    DeviceSecret(&'a Secret),
    /// For [`Authentication::DeviceToken`].
    DeviceToken(&'a Secret),
}

/// Why a client id and a user name are not of this scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// No `|` in the client id.
    #[error("the client id has no `|`, its form is `id|key=value,…|`")]
    NoParameters,
    /// One `|` only.
    #[error("the client id's parameters do not end with `|`")]
    Unclosed,
    /// Something stands behind the second `|`.
    #[error("something stands behind the client id's second `|`")]
    AfterParameters,
    /// The parameters are not `key=value,…`.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// A `signmethod` that is not known.
    #[error("the parameter `signmethod` is not `hmacsha256`, `hmacsha1` or `hmacmd5`")]
    SignMethod,
    /// A `timestamp` that is empty or not of digits. That it is of digits makes the signed text unambiguous.
    #[error("the parameter `timestamp` is not a number of milliseconds")]
    Timestamp,
    /// A `securemode` other than 2, 3 and -2.
    #[error("the parameter `securemode` is not `2`, `3` or `-2`")]
    SecureMode,
    /// An `authType` that is not known.
    #[error("the parameter `authType` is not `connwl`")]
    AuthType,
    /// `authType=register` or `regnwl`: a device that asks for its secret.
    #[error("the device asks to be registered, which is not supported, give it its secret first")]
    Registration,
    /// One of `securemode=-2` and `authType=connwl` without the other.
    #[error("`securemode=-2` and `authType=connwl` go together")]
    Authentication,
    /// No `&` in the user name.
    #[error("the user name has no `&`, its form is `deviceName&productKey`")]
    NoProductKey,
    /// More than one `&` in the user name.
    #[error("the user name has more than one `&`")]
    SecondAmpersand,
    /// The identity's parts are not of the right shape.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Why a password can't be right whatever the secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The password is not the sign method's signature in hex.
    #[error(transparent)]
    Hex(#[from] HexError),
    /// An empty device token.
    #[error("the device token is empty")]
    EmptyToken,
}

impl<'a> Presented<'a> {
    /// Parses what a CONNECT carries. The user name must come without the `?…` that AWS SDKs append to it.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, the client id before the user name.
    pub fn parse(client_id: &'a str, user_name: &'a str) -> Result<Self, ParseError> {
        let (id, rest) = client_id.split_once('|').ok_or(ParseError::NoParameters)?;
        let (parameters, behind) = rest.split_once('|').ok_or(ParseError::Unclosed)?;
        if !behind.is_empty() {
            return Err(ParseError::AfterParameters);
        }
        let parameters = Parameters::parse(parameters)?;
        let sign_method = sign_method(parameters)?;
        let timestamp = timestamp(parameters)?;
        let authentication = authentication(parameters)?;
        let (device_name, product_key) = user_name.split_once('&').ok_or(ParseError::NoProductKey)?;
        if product_key.contains('&') {
            return Err(ParseError::SecondAmpersand);
        }
        let identity = Identity::new(id, device_name, product_key)?;
        Ok(Self { identity, authentication, sign_method, timestamp, parameters })
    }

    /// Who the device says it is.
    #[must_use]
    pub const fn identity(&self) -> Identity<'a> {
        self.identity
    }

    /// How the device proves it.
    #[must_use]
    pub const fn authentication(&self) -> Authentication {
        self.authentication
    }

    /// `signmethod`, or its default `hmacmd5`. Without a meaning where the password is a token.
    #[must_use]
    pub const fn sign_method(&self) -> SignMethod {
        self.sign_method
    }

    /// `timestamp` as it was sent, because it is signed as text: decimal digits.
    #[must_use]
    pub const fn timestamp(&self) -> Option<&'a str> {
        self.timestamp
    }

    /// `securemode` as it was sent: `2`, `3` or `-2`. It is not signed.
    #[must_use]
    pub fn secure_mode(&self) -> Option<&'a str> {
        self.parameters.get("securemode")
    }

    /// All parameters, known and unknown.
    #[must_use]
    pub const fn parameters(&self) -> Parameters<'a> {
        self.parameters
    }

    /// How old the signature is, for those who want to know: most SDKs hard-code the timestamp 2524608000000,
    /// the year 2050, so a fleet that uses them can't be held to a window. Only a timestamp that is signed says
    /// anything, so ask this of [`Authentication::DeviceSecret`].
    pub fn freshness(&self, now_seconds: u64, window_seconds: u64) -> Freshness {
        freshness(self.timestamp, now_seconds, window_seconds)
    }

    /// Checks the password in a time that doesn't tell how much of it was right, nor whether the key was of the
    /// other [`Authentication`]: that is a wrong password too.
    ///
    /// With a token, the caller must also see that the identity's `id` is the one that came with the token:
    /// a signature covers it, a token does not.
    ///
    /// # Errors
    ///
    /// What is wrong with the form of a password that no key would make right. It depends on nothing secret.
    pub fn verify(&self, key: Key<'_>, password: &[u8]) -> Result<Choice, PasswordError> {
        let (Key::DeviceSecret(secret) | Key::DeviceToken(secret)) = key;
        let same = Choice::from(u8::from(self.authentication == key.authentication()));
        match self.authentication {
            Authentication::DeviceSecret => {
                let presented = Signature::parse(password, self.sign_method)?;
                let expected = signature(secret, self.sign_method, self.identity, self.timestamp);
                Ok(expected.ct_eq(&presented) & same)
            }
            Authentication::DeviceToken if password.is_empty() => Err(PasswordError::EmptyToken),
            // Hashed, because slices of different lengths are told apart at once.
            Authentication::DeviceToken => {
                let (presented, expected) = (Sha256::digest(password), Sha256::digest(secret.as_bytes()));
                Ok(expected.as_slice().ct_eq(presented.as_slice()) & same)
            }
        }
    }
}

impl Key<'_> {
    const fn authentication(self) -> Authentication {
        match self {
            Self::DeviceSecret(_) => Authentication::DeviceSecret,
            Self::DeviceToken(_) => Authentication::DeviceToken,
        }
    }
}

fn sign_method(parameters: Parameters<'_>) -> Result<SignMethod, ParseError> {
    match parameters.get("signmethod") {
        None => Ok(SignMethod::HmacMd5),
        Some(name) => name.parse().map_err(|_unknown| ParseError::SignMethod),
    }
}

fn timestamp(parameters: Parameters<'_>) -> Result<Option<&str>, ParseError> {
    let timestamp = parameters.get("timestamp");
    match timestamp {
        Some(text) if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(ParseError::Timestamp)
        }
        _ => Ok(timestamp),
    }
}

fn authentication(parameters: Parameters<'_>) -> Result<Authentication, ParseError> {
    let token_mode = match parameters.get("securemode") {
        None | Some("2" | "3") => false,
        Some("-2") => true,
        Some(_) => return Err(ParseError::SecureMode),
    };
    let token_type = match parameters.get("authType") {
        None => false,
        Some("connwl") => true,
        Some("register" | "regnwl") => return Err(ParseError::Registration),
        Some(_) => return Err(ParseError::AuthType),
    };
    match (token_mode, token_type) {
        (false, false) => Ok(Authentication::DeviceSecret),
        (true, true) => Ok(Authentication::DeviceToken),
        _ => Err(ParseError::Authentication),
    }
}

#[cfg(test)]
mod tests;
