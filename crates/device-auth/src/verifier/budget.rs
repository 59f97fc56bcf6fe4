//! Whether a function can check a record's verifiers in time and in its memory.

use std::{num::NonZeroU32, time::Duration};

use super::LiveVerifier;

/// The time limit for checking one password with all verifiers: half of the 5 s that IoT Core waits. The other half is for a
/// cold start, the store, and a processor that is slower than the measured one.
const BUDGET: Duration = Duration::from_millis(2_500);
/// What the function needs besides Argon2's memory.
const RESERVED_MB: u32 = 64;
const KIB_PER_MB: u32 = 1_024;

/// A function's memory in MB, which also sets its share of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionMemory(NonZeroU32);

/// A memory of 0 MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a function has at least 1 MB")]
pub struct FunctionMemoryError;

/// Why a function can't check a record's verifiers. Durations are in milliseconds, rounded up to a full hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// A function with more memory, and so with more of a CPU, would be fast enough.
    #[error(
        "checking its verifiers would take about {millis} ms with {memory_mb} MB, the budget is {} ms; \
         give the function {needed_mb} MB or set a new password", BUDGET.as_millis()
    )]
    Slow {
        /// How long it would take.
        millis: u128,
        /// The function's memory.
        memory_mb: u32,
        /// The memory that the function would need.
        needed_mb: u128,
    },
    /// No function would be fast enough.
    #[error(
        "checking its verifiers would take about {millis} ms on a whole CPU, the budget is {} ms; \
         set a new password", BUDGET.as_millis()
    )]
    TooSlow {
        /// How long it would take.
        millis: u128,
    },
    /// The function has too little memory for Argon2.
    #[error(
        "checking a verifier would need {verifier_mb} MB besides the function's own {RESERVED_MB} MB, and the \
         function has {memory_mb} MB; give it {} MB or set a new password",
        verifier_mb.saturating_add(RESERVED_MB)
    )]
    Memory {
        /// What the verifier needs.
        verifier_mb: u32,
        /// The function's memory.
        memory_mb: u32,
    },
}

impl FunctionMemory {
    /// With 1,769 MB a function has one whole vCPU (Lambda's developer guide, `configuration-memory`).
    pub const WHOLE_CPU: Self = Self(NonZeroU32::MIN.saturating_add(1_768));

    /// The memory in MB.
    #[must_use]
    pub fn mb(self) -> u32 {
        self.0.get()
    }

    /// How long such a function needs for a check that takes this time on one whole vCPU. A check runs on one, so more than
    /// one does not help.
    #[must_use]
    pub fn time(self, on_whole_cpu: Duration) -> Duration {
        let mb = self.0.min(Self::WHOLE_CPU.0).get();
        let nanos = on_whole_cpu.as_nanos().saturating_mul(u128::from(Self::WHOLE_CPU.mb()));
        Duration::from_nanos(u64::try_from(nanos.div_ceil(u128::from(mb))).unwrap_or(u64::MAX))
    }

    /// Checks that such a function can check these verifiers one after the other. Each attempt checks all of them, expired
    /// ones too.
    ///
    /// # Errors
    ///
    /// What the function lacks, and how much it would need.
    pub fn check(self, verifiers: &[LiveVerifier]) -> Result<(), BudgetError> {
        let estimates = || verifiers.iter().map(|live| live.verifier.estimate());
        let verifier_mb =
            estimates().map(|estimate| estimate.memory_kib).max().unwrap_or(0).div_ceil(KIB_PER_MB);
        if verifier_mb > self.mb().saturating_sub(RESERVED_MB) {
            return Err(BudgetError::Memory { verifier_mb, memory_mb: self.mb() });
        }
        let whole = estimates().fold(Duration::ZERO, |sum, estimate| sum.saturating_add(estimate.time));
        if whole > BUDGET {
            return Err(BudgetError::TooSlow { millis: rounded(whole.as_nanos()) });
        }
        let time = self.time(whole);
        if time <= BUDGET {
            return Ok(());
        }
        let mb_nanos = whole.as_nanos().saturating_mul(u128::from(Self::WHOLE_CPU.mb()));
        let needed_mb = mb_nanos.div_ceil(BUDGET.as_nanos());
        Err(BudgetError::Slow { millis: rounded(time.as_nanos()), memory_mb: self.mb(), needed_mb })
    }
}

impl TryFrom<u32> for FunctionMemory {
    type Error = FunctionMemoryError;

    fn try_from(mb: u32) -> Result<Self, FunctionMemoryError> {
        NonZeroU32::new(mb).map(Self).ok_or(FunctionMemoryError)
    }
}

/// Milliseconds, rounded up to a full hundred because the figure is an estimate.
fn rounded(nanos: u128) -> u128 {
    nanos.div_ceil(100_000_000).saturating_mul(100)
}
