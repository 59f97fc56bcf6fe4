//! What the command-line programs share.
//!
//! [`exit`] has their exit codes, [`signal`] what ends them, [`console`] how they read and write, `format` in which
//! forms, and [`private_file`]
//! how they read files that hold secrets. [`error_text`] is how they print an error, and [`output`] the streams to which they
//! print.

#[cfg(feature = "console")]
pub mod console;
mod error_text;
pub mod exit;
#[cfg(feature = "console")]
pub mod format;
pub mod output;
pub mod private_file;
#[cfg(feature = "signal")]
pub mod signal;

pub use error_text::error_text;
