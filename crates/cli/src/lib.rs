//! What the programs share.

pub mod exit;
pub mod private_file;
