//! What an SHT20 device does between power-up and power-off: read the sensor, get the time, connect by TLS, publish,
//! and come back after whatever goes wrong.
//!
//! `no_std` and generic over the I²C bus, the network, the random numbers and the watchdog, so that a chip, an
//! emulator and a PC run the same code. Begin reading at [`device`]; it goes through the other modules in the order in
//! which a connection does: [`sntp`], [`tls`], [`mqtt`].
//!
//! It needs a heap for mbedtls (`calloc` and `free`), and none for itself. It writes its log by the `log` crate, and
//! in it never a secret.

#![cfg_attr(not(test), no_std)]

pub mod alert;
mod calendar;
pub mod clock;
pub mod configuration;
pub mod device;
pub mod failure;
#[cfg(test)]
mod known_number;
mod login;
pub mod mqtt;
mod names;
pub mod ring;
pub mod sensor;
pub mod sntp;
mod timekeeper;
pub mod tls;
pub mod watchdog;

pub use clock::{UnixTime, WallClock};
pub use configuration::Configuration;
pub use device::{Device, Parts};
pub use failure::Failure;
pub use watchdog::Watchdog;
