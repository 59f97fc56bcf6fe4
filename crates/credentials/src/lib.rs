//! What a device presents in its CONNECT under the schemes of two vendors, Alibaba Cloud IoT Platform and
//! Tencent Cloud IoT Hub. Each scheme signs (device, simulator) and parses (authorizer) here, and nowhere else.
//!
//! `no_std`, without allocation, IO, clocks or randomness of its own. Texts are written by `Display` into the
//! caller's buffer, passwords come in a [`Password`] of fixed size. Secrets and passwords have no `Debug`, are
//! compared in constant time and are wiped when dropped; no error holds any part of what was sent.
//!
//! ```
//! use credentials::{Secret, SignMethod, alibaba};
//!
//! // The device's side: a chip writes both texts into fixed buffers with `write!`.
//! let secret = Secret::try_from("secret".as_bytes())?;
//! let device = alibaba::Device::new(alibaba::Identity::new("12345", "device", "pk")?)
//!     .with_sign_method(SignMethod::HmacSha1)
//!     .with_timestamp(789);
//! let (client_id, user_name) = (device.client_id().to_string(), device.user_name().to_string());
//! assert_eq!(client_id, "12345|securemode=2,signmethod=hmacsha1,timestamp=789|");
//! assert_eq!(user_name, "device&pk");
//! let password = device.sign(&secret);
//!
//! // The authorizer's side.
//! let presented = alibaba::Presented::parse(&client_id, &user_name)?;
//! assert_eq!(presented.identity().device_name(), "device");
//! let valid = presented.verify(alibaba::Key::DeviceSecret(&secret), password.as_bytes())?;
//! assert!(bool::from(valid));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(not(test), no_std)]

pub mod alibaba;
pub mod password;
pub mod secret;
pub mod sign_method;
mod signature;
pub mod tencent;

pub use password::Password;
pub use secret::{Secret, SecretError};
pub use sign_method::{SignMethod, UnknownSignMethod};
pub use signature::HexError;
pub use subtle::Choice;
