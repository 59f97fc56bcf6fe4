//! Writes a device's configuration partition from `cfg.toml` and the file of credentials that `latchkey fleet add
//! --credentials` writes.

pub mod credentials;
pub mod settings;
mod writer;

pub use writer::{Entries, partition};
