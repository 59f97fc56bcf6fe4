//! The cost of checking a password, estimated from a verifier's parameters.
//!
//! Nothing is measured at run time, so every machine accepts or refuses the same records. The constants come from
//! `cargo run --release -p device-auth --example verifier-cost`, the hashes from the same with
//! `RUSTFLAGS='--cfg sha2_backend="soft"'`: not every Lambda's processor has instructions for them. On one core
//! of an AMD EPYC 9004 at 2.6 GHz, in a KVM guest, the medians in ms were:
//!
//! | verifier | measured | estimated |
//! |---|---|---|
//! | salted SHA-256 and SHA-512, a password of 65,535 bytes | 0.3 and 0.2 | 0.5 |
//! | Argon2, 4 MiB, 3 passes | 6 | 11.5 |
//! | Argon2, 19 MiB, 2 passes | 17 | 40.9 |
//! | Argon2, 64 MiB, 3 passes | 141 | 183.5 |
//! | Argon2, 256 MiB, 1 pass and 4 passes | 305 and 800 | 367.0 and 917.5 |
//! | Argon2, 1 GiB, 1 pass | 1,400 | 1,468.0 |
//! | PBKDF2-SHA-256, 600,000 iterations | 217 (72 with the processor's instructions) | 240.0 |
//! | PBKDF2-SHA-512, 600,000 iterations | 282 (297 with them) | 300.0 |
//! | bcrypt, cost 10 and 12 | 59 and 238 | 61.4 and 245.8 |

use std::time::Duration;

/// The operating system maps memory page by page at the first write. For each check that costs as much as one pass.
const ARGON2_NANOS_PER_KIB: u64 = 700;
const ARGON2_NANOS_PER_KIB_AND_PASS: u64 = 700;
const PBKDF2_SHA256_NANOS_PER_ITERATION: u64 = 400;
const PBKDF2_SHA512_NANOS_PER_ITERATION: u64 = 500;
const BCRYPT_NANOS_PER_ROUND: u64 = 60_000;
const SALTED_SHA2_NANOS: u64 = 500_000;

/// The cost of one check of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Its time on one whole vCPU.
    pub time: Duration,
    /// Its memory in KiB.
    pub memory_kib: u32,
}

impl Estimate {
    /// One constant for all: even for the longest password a hash is much faster than the other verifiers.
    pub(super) fn salted_sha2() -> Self {
        Self::of_time(SALTED_SHA2_NANOS)
    }

    /// The number of lanes does not matter, because they are filled one after the other.
    pub(super) fn argon2(memory_kib: u32, passes: u32) -> Self {
        let passes = u64::from(passes).saturating_mul(ARGON2_NANOS_PER_KIB_AND_PASS);
        let nanos = u64::from(memory_kib).saturating_mul(passes.saturating_add(ARGON2_NANOS_PER_KIB));
        Self { memory_kib, ..Self::of_time(nanos) }
    }

    /// Each part of the digest with the length of the hash's output needs all iterations.
    pub(super) fn pbkdf2_sha256(iterations: u32, parts: usize) -> Self {
        Self::pbkdf2(PBKDF2_SHA256_NANOS_PER_ITERATION, iterations, parts)
    }

    /// As [`Self::pbkdf2_sha256`].
    pub(super) fn pbkdf2_sha512(iterations: u32, parts: usize) -> Self {
        Self::pbkdf2(PBKDF2_SHA512_NANOS_PER_ITERATION, iterations, parts)
    }

    fn pbkdf2(nanos: u64, iterations: u32, parts: usize) -> Self {
        let iterations = u64::from(iterations).saturating_mul(u64::try_from(parts).unwrap_or(u64::MAX));
        Self::of_time(iterations.saturating_mul(nanos))
    }

    /// Each step of the cost doubles the time.
    pub(super) fn bcrypt(cost: u32) -> Self {
        Self::of_time(2_u64.saturating_pow(cost).saturating_mul(BCRYPT_NANOS_PER_ROUND))
    }

    fn of_time(nanos: u64) -> Self {
        Self { time: Duration::from_nanos(nanos), memory_kib: 0 }
    }
}
