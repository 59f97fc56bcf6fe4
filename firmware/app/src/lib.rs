//! What an SHT20 device does from power-up to power-off: it reads the sensor, gets the time, connects by TLS,
//! publishes, and reconnects after every failure.
//!
//! `no_std` and generic over the I²C bus, the network, the random numbers and the watchdog, so that a chip, an
//! emulator and a PC run the same code. Start reading at [`device`]; it calls the other modules in the order of a
//! connection: `time_sync` and [`sntp`], `network`, [`tls`], [`mqtt`].
//!
//! mbedtls needs a heap (`calloc` and `free`); the rest of the application does not. Everything is logged through the
//! `log` crate, and no secret ever is; the platform installs [`serial_log`] as the logger.

#![cfg_attr(not(test), no_std)]

pub mod clock;
pub mod configuration;
pub mod device;
pub mod error;
mod login;
pub mod mqtt;
mod network;
pub mod ring;
pub mod sensor;
pub mod serial_log;
pub mod sntp;
mod time_sync;
pub mod tls;
pub mod watchdog;

pub use clock::{UnixTime, WallClock};
pub use configuration::Configuration;
pub use device::{Device, Platform};
pub use error::ConnectionError;
pub use serial_log::SerialLog;
pub use watchdog::{NoWatchdog, Watchdog};
