//! Exit codes.

/// `EX_USAGE` of `sysexits.h`: a command line or a configuration that can't be used.
pub const USAGE: u8 = 64;
/// Ended by Ctrl-C, as a shell reports it.
pub const INTERRUPTED: u8 = 130;
