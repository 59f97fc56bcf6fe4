//! What a device runs, the same on a chip and in the simulator: read the sensor, name the topic, write the
//! payload, wait before the next connect.
//!
//! `no_std`, without allocation, floating point, IO, clocks or randomness of its own: the bus, the delay,
//! the time and the random numbers come in as arguments.
//!
//! ```
//! use device_core::{ClientId, Payload, Quantity, Reading, Topic};
//!
//! let client_id = ClientId::try_from("sht20")?;
//! let topic = Topic { client_id, quantity: Quantity::Temperature };
//! assert_eq!(topic.to_string(), "sensor/sht20/temperature");
//!
//! let payload = Payload { reading: Reading::temperature(23_456), ts: 1_764_000_000 };
//! assert_eq!(payload.to_string(), r#"{"value":23.46,"unit":"Cel","ts":1764000000}"#);
//! # Ok::<(), device_core::ClientIdError>(())
//! ```

#![cfg_attr(not(test), no_std)]

pub mod backoff;
pub mod partition;
pub mod payload;
pub mod random;
pub mod reading;
pub mod sht20;
pub mod topics;

pub use backoff::Backoff;
pub use payload::Payload;
pub use random::SplitMix64;
pub use reading::{Quantity, Reading};
pub use sht20::Sht20;
pub use sht20::simulated::{Air, SimulatedSht20};
pub use topics::{ClientId, ClientIdError, Topic};
