//! The operator's tool: it gives devices their credentials and keeps their records.
//!
//! [`args`] is what a person types, [`command`] what then happens, [`store_file`] the file that the
//! authorizer reads, [`import`] another cloud's list of devices, [`vendor`] what those are called and know,
//! [`provision`] what makes Things and records in AWS, [`smoke`] what tries them out, [`sealing`] how their secrets are kept, [`keyring_file`] the keys for that, [`secret`] where passwords come from.

pub mod args;
#[cfg(feature = "aws")]
pub mod aws;
pub mod command;
pub mod count;
pub mod import;
pub mod keyring_file;
pub mod name_pattern;
#[cfg(feature = "aws")]
pub mod provision;
mod run;
pub mod sealing;
pub mod secret;
#[cfg(feature = "aws")]
pub mod smoke;
pub mod store_file;
pub mod store_place;
pub mod vendor;
#[cfg(feature = "aws")]
mod whereabouts;

pub use device_auth::grant;

pub use crate::run::run;
