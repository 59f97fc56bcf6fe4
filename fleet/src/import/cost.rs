//! What checking the hashes of a file costs the function.

use std::{collections::BTreeMap, fmt, time::Duration};

use device_auth::verifier::{Verifier, budget::FunctionMemory};
use indicatif::HumanCount;

/// The memory of a function that the deployment makes, in MB (`function.memoryMb` of a stage).
const DEPLOYED_MB: u32 = 512;
/// How many kinds of hashes are shown.
const SHOWN: usize = 4;

/// The hashes of a file, by what one check costs.
#[derive(Default)]
pub struct Cost(BTreeMap<(Duration, u32), u64>);

impl Cost {
    /// Counts a hash.
    pub fn add(&mut self, verifier: &Verifier) {
        let estimate = verifier.estimate();
        let count = self.0.entry((estimate.time, estimate.memory_kib)).or_default();
        *count = count.saturating_add(1);
    }

    /// What a person is told before the hashes are stored, for a function of this memory or, without one, for the function
    /// that the deployment makes. None if there are no hashes.
    #[must_use]
    pub fn shown(&self, memory: Option<FunctionMemory>) -> Option<CostText<'_>> {
        let memory = memory.or_else(|| FunctionMemory::try_from(DEPLOYED_MB).ok())?;
        (!self.0.is_empty()).then_some(CostText { cost: self, memory })
    }
}

/// The text of a [`Cost`].
pub struct CostText<'a> {
    cost: &'a Cost,
    memory: FunctionMemory,
}

impl fmt::Display for CostText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The most expensive kinds first.
        let kinds = self.cost.0.iter().rev();
        let kinds = kinds.take(SHOWN).map(|((time, memory_kib), count)| {
            let memory = match memory_kib.div_ceil(1_024) {
                0 => String::new(),
                memory => format!(" and {memory} MB"),
            };
            let noun = if *count == 1 { "hash" } else { "hashes" };
            format!("{} {noun} {}{memory}", HumanCount(*count), millis(self.memory.time(*time)))
        });
        let more = if self.cost.0.len() > SHOWN { ", and cheaper ones" } else { "" };
        write!(
            f,
            "what a connect costs a function of {} MB, about: {}{more}",
            self.memory.mb(),
            kinds.collect::<Vec<_>>().join(", ")
        )
    }
}

fn millis(time: Duration) -> String {
    match time.as_micros().div_ceil(1_000) {
        0 | 1 => "up to 1 ms".to_owned(),
        millis => format!("{millis} ms"),
    }
}
