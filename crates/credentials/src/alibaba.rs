//! The scheme of Alibaba Cloud IoT Platform ("Establish MQTT connections over TCP", help document 73742).
//!
//! ```text
//! clientId = id|key=value,key=value,…|      username = deviceName&productKey
//! password = hex(HMAC(deviceSecret, content))
//! content  = "clientId"+id + "deviceName"+deviceName + "productKey"+productKey [+ "timestamp"+timestamp]
//! ```
//!
//! Nothing else is signed. Somebody who has seen one password can present it again with other parameters, so no
//! right may depend on a parameter.
//!
//! A device that was not registered before (`securemode=-2,authType=connwl`) sends its `DeviceToken` as it is.

mod identity;
mod login;
mod parameters;

use core::fmt;

pub use self::{
    identity::{Identity, IdentityError},
    login::{Authentication, Freshness, Key, Login, ParseError, PasswordError},
    parameters::{Parameters, ParametersError},
};
use crate::{
    secret::Secret,
    signature::{Password, SignMethod},
};

/// A device that signs its CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device<'a> {
    identity: Identity<'a>,
    sign_method: SignMethod,
    timestamp: Option<u64>,
}

impl<'a> Device<'a> {
    /// A device that signs with `hmacsha256` and without a timestamp.
    #[must_use]
    pub const fn new(identity: Identity<'a>) -> Self {
        Self { identity, sign_method: SignMethod::HmacSha256, timestamp: None }
    }

    /// The same device, signing with another method.
    #[must_use]
    pub const fn with_sign_method(self, sign_method: SignMethod) -> Self {
        Self { sign_method, ..self }
    }

    /// The same device with a timestamp, in milliseconds since 1970.
    #[must_use]
    pub const fn with_timestamp(self, milliseconds: u64) -> Self {
        Self { timestamp: Some(milliseconds), ..self }
    }

    /// The client id: `id|securemode=2,signmethod=…[,timestamp=…]|`.
    ///
    /// With an `id` of 64 ASCII characters and a timestamp of today it has 124 bytes; AWS IoT Core accepts 128.
    #[must_use]
    pub fn client_id(self) -> impl fmt::Display {
        ClientId(self)
    }

    /// The client id with which a device sends its `DeviceToken` as the password, as it is:
    /// `id|securemode=-2,authType=connwl|`. The `id` is the `ClientID` that came with the token.
    #[must_use]
    pub fn token_client_id(self) -> impl fmt::Display {
        TokenClientId(self.identity)
    }

    /// The user name: `deviceName&productKey`.
    #[must_use]
    pub fn user_name(self) -> impl fmt::Display {
        self.identity
    }

    /// The password that belongs to [`Device::client_id`], in lower-case hex.
    #[must_use]
    pub fn sign(self, device_secret: &Secret) -> Password {
        Password::new(&self.identity.sign(device_secret, self.sign_method, self.timestamp), &[])
    }
}

struct ClientId<'a>(Device<'a>);

impl fmt::Display for ClientId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|securemode=2,signmethod={}", self.0.identity.id(), self.0.sign_method)?;
        if let Some(timestamp) = self.0.timestamp {
            write!(f, ",timestamp={timestamp}")?;
        }
        f.write_str("|")
    }
}

struct TokenClientId<'a>(Identity<'a>);

impl fmt::Display for TokenClientId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|securemode=-2,authType=connwl|", self.0.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_writes_the_vendors_texts() {
        let device = Device::new(Identity::new("12345", "device", "pk").unwrap());
        assert_eq!(device.client_id().to_string(), "12345|securemode=2,signmethod=hmacsha256|");
        assert_eq!(device.token_client_id().to_string(), "12345|securemode=-2,authType=connwl|");
        assert_eq!(device.user_name().to_string(), "device&pk");
        let device = device.with_sign_method(SignMethod::HmacMd5).with_timestamp(u64::MAX);
        assert_eq!(
            device.client_id().to_string(),
            "12345|securemode=2,signmethod=hmacmd5,timestamp=18446744073709551615|"
        );
    }

    #[test]
    fn longest_usual_client_id_fits_aws() {
        let id = "x".repeat(Identity::MAX_ID_CHARACTERS);
        let device = Device::new(Identity::new(&id, "d", "k").unwrap()).with_timestamp(1_764_000_000_000);
        assert_eq!(device.client_id().to_string().len(), 124);
    }
}
