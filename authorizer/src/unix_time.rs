//! A moment, as whole seconds since 1970-01-01T00:00:00Z.

use serde::{Deserialize, Serialize};

/// Whole seconds since 1970. The clock is read in `main`; everything else gets the moment as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub u64);

impl From<std::time::SystemTime> for UnixTime {
    /// A clock that stands before 1970 reads as 1970, at which every `not_before` refuses.
    fn from(time: std::time::SystemTime) -> Self {
        Self(time.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}
