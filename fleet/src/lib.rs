//! The operator's tool: it gives devices their credentials and keeps their records.
//!
//! [`args`] is what a person types, [`command`] what then happens, [`store_file`] the file that the
//! authorizer reads, [`secret`] where passwords come from.

pub mod args;
pub mod command;
pub mod secret;
pub mod store_file;

pub use authorizer::grant;
