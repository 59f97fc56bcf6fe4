//! The scheme of Tencent Cloud IoT Hub ("MQTT-Based Device Connection over TCP", document 1105/41824).
//!
//! ```text
//! clientId = productId(10) + deviceName     username = clientId;sdkappid;connid;expiry
//! password = lowerhex(HMAC(base64decode(psk), username)) + ";hmacsha1" | ";hmacsha256"
//! ```
//!
//! The client id of the CONNECT is not signed, the one in the user name is. They should be the same:
//! [`Presented::check_client_id`] says so, and stands by itself because some firmware sends another.

mod device;
mod expiry;
mod identity;
mod presented;
mod sign_method;

pub use device::Device;
pub use expiry::{Expiry, ExpiryError};
pub use identity::{Identity, IdentityError};
pub use presented::{ClientIdError, ParseError, PasswordError, Presented};
pub use sign_method::SignMethod;

use core::fmt;

use crate::{Secret, signature::Signature};

/// The one place where the formula stands: the whole user name is signed, as it is sent.
fn signature(psk: &Secret, method: SignMethod, user_name: impl fmt::Display) -> Signature {
    Signature::new(psk, method.into(), format_args!("{user_name}"))
}
