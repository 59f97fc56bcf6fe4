//! The scheme of Tencent Cloud IoT Hub ("MQTT-Based Device Connection over TCP", document 1105/41824).
//!
//! ```text
//! clientId = productId(10) + deviceName     username = clientId;sdkappid;connid;expiry
//! password = lowerhex(HMAC(base64decode(psk), username)) + ";hmacsha1" | ";hmacsha256"
//! ```
//!
//! The client id of the CONNECT is not signed, the one in the user name is. They should be the same, which
//! [`Login::check_client_id`] checks. It is a separate function because some firmware sends another client id.

mod identity;
mod login;

use core::fmt;

pub use self::{
    identity::{Identity, IdentityError},
    login::{ClientIdMismatch, Expiry, ExpiryError, Login, ParseError, PasswordError, SignMethod},
};
use crate::{secret::Secret, signature::Password};

/// A device that signs its CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device<'a> {
    identity: Identity<'a>,
    sdk_app_id: &'a str,
    conn_id: &'a str,
    expiry: u64,
}

impl<'a> Device<'a> {
    /// The `sdkappid` of the vendor's C SDK.
    pub const SDK_APP_ID: &'static str = "12010126";

    /// A device that presents [`Device::SDK_APP_ID`].
    ///
    /// `conn_id` is a text of the device's choice that should differ from connection to connection; the
    /// vendor's SDKs send five random letters and digits. `expiry_seconds` is counted from 1970.
    ///
    /// # Errors
    ///
    /// A `conn_id` that is empty or has something other than visible ASCII characters, or a `;`.
    pub fn new(identity: Identity<'a>, conn_id: &'a str, expiry_seconds: u64) -> Result<Self, ParseError> {
        login::check_conn_id(conn_id)?;
        Ok(Self { identity, sdk_app_id: Self::SDK_APP_ID, conn_id, expiry: expiry_seconds })
    }

    /// The same device with another `sdkappid`.
    ///
    /// # Errors
    ///
    /// An `sdkappid` that is empty or has something other than digits.
    pub fn with_sdk_app_id(self, sdk_app_id: &'a str) -> Result<Self, ParseError> {
        login::check_sdk_app_id(sdk_app_id)?;
        Ok(Self { sdk_app_id, ..self })
    }

    /// The client id: product id and device name, at most 58 bytes.
    #[must_use]
    pub fn client_id(self) -> impl fmt::Display {
        self.identity
    }

    /// The user name: `clientId;sdkappid;connid;expiry`.
    #[must_use]
    pub fn user_name(self) -> impl fmt::Display {
        UserName(self)
    }

    /// The password that belongs to [`Device::user_name`]. `psk` is decoded: [`Secret::from_base64`].
    #[must_use]
    pub fn sign(self, psk: &Secret, method: SignMethod) -> Password {
        Password::new(&login::sign(psk, method, self.user_name()), &[";", method.as_str()])
    }
}

struct UserName<'a>(Device<'a>);

impl fmt::Display for UserName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Device { identity, sdk_app_id, conn_id, expiry } = self.0;
        write!(f, "{identity};{sdk_app_id};{conn_id};{expiry}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_writes_the_vendors_texts() {
        let device = Device::new(Identity::new("AB12CD34EF", "d").unwrap(), "QW3RT", u64::MAX).unwrap();
        assert_eq!(device.client_id().to_string(), "AB12CD34EFd");
        assert_eq!(device.user_name().to_string(), "AB12CD34EFd;12010126;QW3RT;18446744073709551615");
        let device = device.with_sdk_app_id("21010406").unwrap();
        assert_eq!(device.user_name().to_string(), "AB12CD34EFd;21010406;QW3RT;18446744073709551615");
    }

    #[test]
    fn fields_that_can_not_be_parsed_are_refused() {
        let identity = Identity::new("AB12CD34EF", "d").unwrap();
        for conn_id in ["", "a;b", "a b", "ä", "\n"] {
            assert_eq!(Device::new(identity, conn_id, 0), Err(ParseError::ConnId), "{conn_id:?}");
        }
        for sdk_app_id in ["", "1;", "x", "-1"] {
            let device = Device::new(identity, "c", 0).unwrap();
            assert_eq!(device.with_sdk_app_id(sdk_app_id), Err(ParseError::SdkAppId), "{sdk_app_id:?}");
        }
    }
}
