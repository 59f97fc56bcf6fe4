//! What the integration tests share: the system under test, started for real, and ways to look at it.

pub mod captured_log;
pub mod eventually;
pub mod fixture;
pub mod mqtt_client;
pub mod programs;
pub mod script;
pub mod test_gateway;
