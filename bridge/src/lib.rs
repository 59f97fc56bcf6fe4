//! The bridge: devices that can do neither TLS nor ALPN reach AWS IoT Core, each with its own connection and identity.
//!
//! A device connects to the bridge ([`downstream`]), the bridge connects for it ([`upstream`]) with the device's own user
//! name, password and client id, and packets go both ways ([`connection`]), changed as [`session`] says. The authorizer decides
//! as for any other device, and nothing is kept of credentials.
//!
//! - [`args`] is the command line, [`config`] the settings file, [`bridge`] the running bridge.
//! - [`session`] decides without IO and without a clock; [`rules`], [`topic_map`] and [`client_ids`] are what it follows.
//! - [`spool`] has messages on disk, for the time without a connection to AWS.

pub mod args;
pub mod bridge;
pub mod client_ids;
pub mod config;
pub mod connection;
pub mod downstream;
pub mod log;
pub mod metrics;
pub mod rules;
pub mod session;
pub mod settings;
pub mod shared;
pub mod spool;
pub mod status;
pub mod tls;
pub mod topic_map;
pub mod upstream;

pub use crate::args::{BridgeArgs, run};
