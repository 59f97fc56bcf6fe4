//! What mbedtls's self-checks would print with. They never run, but the linker asks.

use core::ffi::{c_char, c_int};

/// Prints nothing.
#[unsafe(no_mangle)]
extern "C" fn puts(_: *const c_char) -> c_int {
    0
}

/// Prints nothing. C calls it with more arguments than it looks at, which RISC-V's calling convention allows.
#[unsafe(no_mangle)]
extern "C" fn printf(_: *const c_char) -> c_int {
    0
}
