//! How much is kept, and for how long.

use std::{num::NonZeroUsize, time::Duration};

/// How much a cache keeps, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// How many devices are kept.
    pub entries: NonZeroUsize,
    /// How long a device's record is used before the store is asked again. With zero, those who ask at the same
    /// time still share one look-up.
    pub known: Duration,
    /// How long a name is taken to be unknown before the store is asked again.
    pub unknown: Duration,
    /// How old a record may get that stands in while the store does not answer. Zero lets none.
    pub stale: Duration,
}
