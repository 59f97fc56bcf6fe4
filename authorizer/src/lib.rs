//! The AWS IoT Core custom authorizer: a device's user name and password in, policies for that client id out.
//!
//! One connect attempt flows through the modules in this order, and never back:
//!
//! 1. [`event`]: the wire form of what IoT Core sends, every field optional.
//! 2. [`request`]: the same as a [`request::ConnectRequest`], or the reason why it can't be one.
//! 3. [`store`]: the device's [`record::Record`].
//! 4. [`credential`]: the password against the record's verifiers. Only this makes a
//!    [`credential::VerifiedDevice`].
//! 5. [`binding`]: the client id against the record. Only this makes a [`binding::BoundDevice`].
//! 6. [`grant`] and [`document`]: what a bound device may do, as policy documents within AWS's limits.
//! 7. [`response`]: the answer that IoT Core reads.
//!
//! [`seal`] keeps the secrets that have to be recovered, the HMAC keys of vendors' devices, out of sight.
//! [`authorizer::decide`] ties them together, [`log`] and [`metrics`] write one line each about each attempt,
//! [`config`] is what the environment may set and [`setup`] makes a [`handler::Function`] of it.

pub mod arn;
pub mod authorizer;
pub mod binding;
pub mod client_id;
pub mod config;
pub mod credential;
pub mod decision;
pub mod device_name;
pub mod document;
pub mod event;
pub mod grant;
pub mod handler;
pub mod jwt;
pub mod log;
pub mod metrics;
mod moment;
pub mod record;
pub mod request;
pub mod response;
pub mod scheme;
pub mod seal;
pub mod setup;
pub mod store;
mod unique_keys;
pub mod unix_time;
