//! How much is measured.

use std::time::Duration;

/// The sizes of all comparisons.
pub(crate) struct Size {
    /// Devices that are connected at once.
    pub(crate) devices: usize,
    /// How often each of them publishes.
    pub(crate) interval: Duration,
    /// How many messages.
    pub(crate) messages: u32,
    /// Turns of each side of a comparison.
    pub(crate) rounds: u32,
    /// Connects in one turn.
    pub(crate) connects: usize,
    /// How long a turn of publishing takes.
    pub(crate) turn: Duration,
}

impl Size {
    /// What is judged.
    pub(crate) const FULL: Self = Self {
        devices: 10_000,
        interval: Duration::from_secs(10),
        messages: 3,
        rounds: 7,
        connects: 2_000,
        turn: Duration::from_secs(3),
    };
    /// What shows that it works.
    pub(crate) const SMOKE: Self = Self {
        devices: 30,
        interval: Duration::from_millis(500),
        messages: 2,
        rounds: 1,
        connects: 30,
        turn: Duration::from_millis(300),
    };
}
