//! The scheme of Alibaba Cloud IoT Platform ("Establish MQTT connections over TCP", help document 73742).
//!
//! ```text
//! clientId = id|key=value,key=value,…|      username = deviceName&productKey
//! password = hex(HMAC(deviceSecret, content))
//! content  = "clientId"+id + "deviceName"+deviceName + "productKey"+productKey [+ "timestamp"+timestamp]
//! ```
//!
//! Nothing else is signed: whoever has seen one password can present it again with other parameters, which
//! is why nothing that grants anything may be read from them.
//!
//! A device that was not registered before (`securemode=-2,authType=connwl`) sends its `DeviceToken` as it is.

mod device;
mod freshness;
mod identity;
mod parameters;
mod presented;

pub use device::Device;
pub use freshness::Freshness;
pub use identity::{Identity, IdentityError};
pub use parameters::{Parameters, ParametersError};
pub use presented::{Authentication, Key, ParseError, PasswordError, Presented};

use core::fmt;

use crate::{Secret, SignMethod, signature::Signature};

/// The one place where the formula stands. `timestamp` is signed as it is written in the client id.
fn signature(
    secret: &Secret,
    method: SignMethod,
    identity: Identity<'_>,
    timestamp: Option<impl fmt::Display>,
) -> Signature {
    let (id, device_name, product_key) = (identity.id(), identity.device_name(), identity.product_key());
    match timestamp {
        None => Signature::new(
            secret,
            method,
            format_args!("clientId{id}deviceName{device_name}productKey{product_key}"),
        ),
        Some(timestamp) => Signature::new(
            secret,
            method,
            format_args!("clientId{id}deviceName{device_name}productKey{product_key}timestamp{timestamp}"),
        ),
    }
}
