//! A fleet of simulated devices, each over a TLS and MQTT connection of its own.
//!
//! A simulated device runs what a real one runs: `device_core`'s SHT20 driver (over a simulated sensor), its
//! topics, payload and backoff. One device is one task and, connected, a few kilobytes beside TLS's own buffers.
//!
//! - [`run`] is the whole command, [`SimArgs`] its arguments.
//! - [`Client`] is one connection, for whoever needs a single one.
//! - [`fleet::run`] runs many devices and returns a [`Summary`].
//! - [`credentials_file`] is the file that devices' credentials are kept in, [`deployment`] what was deployed to AWS.

pub mod args;
pub mod client;
pub mod command;
pub mod connection_settings;
pub mod credentials_file;
pub mod deployment;
pub mod device;
pub mod endpoint;
pub mod event;
pub mod fleet;
pub mod login;
mod progress;
pub mod summary;
pub mod tally;

pub use mqtt::{QoS, TopicError, TopicFilter, TopicName, Version};

pub use crate::args::SimArgs;
pub use crate::client::{Client, Closed, ConnectError, Message, Options, RequestError};
pub use crate::command::{Exit, run};
pub use crate::deployment::{Deployment, DeploymentArgs};
pub use crate::endpoint::{Address, Alpn, Endpoint, EndpointError, Target};
pub use crate::login::{Authorizer, Login, Password};
pub use crate::summary::Summary;
