//! What a device presents in its CONNECT under the schemes of two vendors, Alibaba Cloud IoT Platform and
//! Tencent Cloud IoT Hub. This crate is the only place where each scheme signs (for devices and the simulator) and is
//! parsed (for the authorizer).
//!
//! `no_std`, without allocation, IO, a clock or a source of randomness. `Display` writes texts into the caller's buffer,
//! and a [`Password`] has a fixed size. Secrets and passwords have no `Debug`, are compared in constant time and are
//! wiped when dropped. No error holds any part of what was sent.
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
//! let login = alibaba::Login::parse(&client_id, &user_name)?;
//! assert_eq!(login.identity().device_name(), "device");
//! let valid = login.verify(alibaba::Key::DeviceSecret(&secret), password.as_bytes())?;
//! assert!(bool::from(valid));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(not(test), no_std)]

pub mod alibaba;
mod secret;
mod signature;
pub mod tencent;

pub use secret::{Secret, SecretError};
pub use signature::{HexError, Password, SignMethod, UnknownSignMethod};
pub use subtle::Choice;
