//! The operator's tool: it gives devices their credentials and keeps their records.
//!
//! [`args`] is the command line, [`command`] the commands on a file of records. [`provision`] makes Things and records in
//! AWS, [`push`] writes records there, and [`smoke`] checks a deployment. [`revoke`] disables records and ends connections.
//!
//! [`store_file`] is the file of records that the authorizer reads, [`store_option`] the option that names a store,
//! [`import`] reads another cloud's list of devices, and [`vendor`] knows the names and secrets in it. [`secret`] makes
//! passwords. [`migration`] says what of a fleet will not work on AWS. [`sealing`] seals vendors' secrets under the keys of [`keyring_file`].
//!
//! [`logs`] reads the function's log and AWS IoT's own, and [`statistics`] counts what is in them.
//!
//! [`inspect`] runs the commands that change nothing: [`explain`] and [`policy_test`], which ask policies about
//! requests ([`evaluation`]), [`lint`], and [`kit`]. [`capacity`] computes what a fleet needs of AWS.
//!
//! To add a column to an import, begin at `import::rows`; a command, at [`args`] and then [`command`] or `run`.

pub mod account;
pub mod args;
#[cfg(feature = "aws")]
pub mod aws;
pub mod capacity;
pub mod command;
pub mod evaluation;
pub mod explain;
pub mod import;
pub mod inspect;
pub mod keyring_file;
pub mod kit;
pub mod lint;
pub mod logs;
pub mod migration;
pub mod name_pattern;
pub mod policy_test;
mod progress;
#[cfg(feature = "aws")]
pub mod provision;
#[cfg(feature = "aws")]
pub mod push;
pub mod record_store;
#[cfg(feature = "aws")]
pub mod revoke;
mod run;
pub mod sealing;
pub mod secret;
#[cfg(feature = "aws")]
pub mod smoke;
pub mod statistics;
pub mod store_file;
pub mod store_option;
pub mod vendor;

pub use device_auth::grant;

pub use crate::run::{run, run_policy};
