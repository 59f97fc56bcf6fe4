//! What the integration tests share: the system under test, started for real, and ways to look at it.

pub mod captured_log;
pub mod fixture;
