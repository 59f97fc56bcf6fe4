//! Names of environment variables that messages of this crate tell people to set.
//!
//! The function's other variables are in its `config`.

/// The keys that sealed secrets are opened with: `kms:PATH`, or `file:PATH`.
pub const DATA_KEYS: &str = "LATCHKEY_DATA_KEYS";
/// Whether secrets of vendors may be in records as plain text.
pub const ALLOW_PLAIN_SECRETS: &str = "LATCHKEY_ALLOW_PLAIN_SECRETS";
