//! A fleet of simulated devices, each with its own TLS and MQTT connection.
//!
//! A simulated device runs the code of a real one: `device_core`'s SHT20 driver (with a simulated sensor), its topics,
//! payload and backoff. One device is one task. A connected device uses a few kilobytes besides the buffers of TLS.
//!
//! - [`run`] is the whole command, [`SimArgs`] its arguments.
//! - [`Client`] is one connection, for programs that need a single one; [`publish`] and [`subscribe`] are such commands.
//! - [`doctor`] finds out why a device can't connect.
//! - [`fleet::run`] runs many devices and returns a [`Summary`].
//! - [`credentials_file`] reads and writes the file of the devices' credentials.
//! - [`deployment`] reads what was deployed to AWS, and [`connection_settings`] chooses the settings of a connection.

pub mod args;
pub mod client;
pub mod command;
pub mod connection_settings;
pub mod credentials_file;
pub mod deployment;
pub mod device;
pub mod doctor;
pub mod endpoint;
pub mod faults;
pub mod fleet;
pub mod fleet_time;
pub mod latencies;
mod live_view;
pub mod login;
pub mod merge;
pub mod open_files;
mod progress;
pub mod publish;
pub mod readings;
pub mod report;
pub mod run_info;
pub mod sensor;
pub mod shard;
pub mod single;
pub mod subscribe;
pub mod summary;
pub mod tally;
pub mod timeline;

pub use mqtt::{QoS, TopicError, TopicFilter, TopicName, Version};

pub use crate::args::SimArgs;
pub use crate::client::{Client, Closed, ConnectError, Message, Options, RequestError};
pub use crate::command::{Exit, run};
pub use crate::deployment::{Deployment, DeploymentArgs};
pub use crate::endpoint::{Address, Alpn, Endpoint, EndpointError, Target, Transport};
pub use crate::login::{Authorizer, Login, Password, Scheme};
pub use crate::summary::Summary;
