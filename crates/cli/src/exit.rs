//! Exit codes. Success is 0 and failure is 1, as [`std::process::ExitCode`] has them.

/// `EX_USAGE` of `sysexits.h`: the command line or the configuration can't be used.
pub const USAGE: u8 = 64;
/// The program was ended by Ctrl-C; shells report the same code (128 and the number of the signal).
pub const INTERRUPTED: u8 = 130;
