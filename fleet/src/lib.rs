//! The operator's tool: it gives devices their credentials and keeps their records.
//!
//! [`args`] is what a person types, [`command`] what then happens, [`store_file`] the file that the
//! authorizer reads, [`keyring_file`] the keys that vendor secrets are sealed under, [`secret`] where passwords come from.

pub mod args;
pub mod command;
pub mod keyring_file;
pub mod secret;
pub mod store_file;

pub use authorizer::grant;
