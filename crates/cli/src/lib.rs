//! What the command-line programs share.
//!
//! [`exit`] has their exit codes, [`signal`] what ends them, [`console`] how they read and write, and [`private_file`]
//! how they read files that hold secrets.

#[cfg(feature = "console")]
pub mod console;
pub mod exit;
pub mod private_file;
#[cfg(feature = "signal")]
pub mod signal;
