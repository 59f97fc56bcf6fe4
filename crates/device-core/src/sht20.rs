//! Driver for the Sensirion SHT20, a humidity and temperature sensor on I²C.
//!
//! Sections, tables and figures are those of the datasheet SHT20, version 3 or later. The sensor keeps its
//! default resolution: 14 bits (0.01 °C) for temperature, 12 bits (0.04 %RH) for humidity.
//!
//! On a bus that other devices share, see section 5.8: a rising clock edge 15 to 18.5 µs after the sensor
//! has acknowledged a measurement command can falsify readings until the next reset. This driver leaves the
//! bus alone while the sensor measures; the others on the bus must be kept away for the first 20 µs.

use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::i2c::{self, ErrorKind, I2c};

use crate::reading::{Quantity, Reading};

mod conversion;
mod frame;
pub mod simulated;

/// The sensor's only I²C address (section 5.3).
pub const ADDRESS: u8 = 0x40;

/// An SHT20 on a bus, with the delay that it is waited for.
#[derive(Debug)]
pub struct Sht20<I, D> {
    i2c: I,
    delay: D,
}

impl<I: I2c, D: DelayNs> Sht20<I, D> {
    /// Takes the bus and a delay, and sends nothing. After power-up the sensor needs 15 ms before the first
    /// command (section 5.1).
    pub const fn new(i2c: I, delay: D) -> Self {
        Self { i2c, delay }
    }

    /// Restarts the sensor with its default settings and waits the 15 ms that it takes (section 5.5).
    ///
    /// # Errors
    ///
    /// [`Error::I2c`] if the sensor does not acknowledge the command.
    pub async fn reset(&mut self) -> Result<(), Error<I::Error>> {
        self.i2c.write(ADDRESS, &[SOFT_RESET]).await.map_err(Error::I2c)?;
        self.delay.delay_ms(RESET_MS).await;
        Ok(())
    }

    /// Measures one quantity, without holding the bus meanwhile (section 5.4, "no hold master"): 85 ms for
    /// temperature, 29 ms for humidity, and at most 35 ms more for a sensor that is late.
    ///
    /// If the returned future is dropped half-way, the sensor may still be measuring and refuse the next
    /// command for that long.
    ///
    /// # Errors
    ///
    /// Every [`Error`]. There is no reading unless its checksum, its kind and its range are right; measuring
    /// again is the cure for all but a missing sensor, and [`Sht20::reset`] for one that stays
    /// [`Error::Timeout`].
    pub async fn measure(&mut self, quantity: Quantity) -> Result<Reading, Error<I::Error>> {
        self.i2c.write(ADDRESS, &[command(quantity)]).await.map_err(Error::I2c)?;
        self.delay.delay_ms(conversion_ms(quantity)).await;
        let counts = frame::counts(self.poll().await?, quantity)?;
        conversion::reading(quantity, counts).ok_or(Error::OutOfRange { counts })
    }

    /// The bus, for what is not the sensor's, such as the settings of a simulated one.
    pub const fn bus_mut(&mut self) -> &mut I {
        &mut self.i2c
    }

    /// Gives the bus and the delay back.
    pub fn release(self) -> (I, D) {
        (self.i2c, self.delay)
    }

    /// Reads the result as soon as the sensor acknowledges its address, which it does not while measuring.
    async fn poll(&mut self) -> Result<[u8; frame::LEN], Error<I::Error>> {
        for attempt in 0..POLLS {
            if attempt > 0 {
                self.delay.delay_ms(POLL_MS).await;
            }
            let mut frame = [0; frame::LEN];
            match self.i2c.read(ADDRESS, &mut frame).await {
                Ok(()) => return Ok(frame),
                Err(error) if is_refusal(&error) => {}
                Err(error) => return Err(Error::I2c(error)),
            }
        }
        Err(Error::Timeout)
    }
}

/// Why there is no reading. `E` is the bus's own error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// The bus failed, or no sensor acknowledged the command.
    #[error("the i2c bus failed or no sensor answered: {0:?}")]
    I2c(E),
    /// The checksum over the two data bytes is not the one that came with them.
    #[error("the checksum is {received:#04x}, the data needs {expected:#04x}")]
    Crc {
        /// Computed from the data bytes.
        expected: u8,
        /// The third byte received.
        received: u8,
    },
    /// The sensor was still measuring when the last poll was over.
    #[error("the sensor did not finish in time")]
    Timeout,
    /// The sensor answered with the other quantity, as after another user's command.
    #[error("the sensor answered with another quantity than asked for")]
    WrongQuantity,
    /// A temperature outside the sensor's operating range, -40 to 125 °C (section 1). A data line that is
    /// stuck low reads as three zeros, whose checksum is right, and ends here.
    #[error("the raw value {counts:#06x} is outside the sensor's operating range")]
    OutOfRange {
        /// The raw value, status bits cleared.
        counts: u16,
    },
}

/// Table 6: trigger a temperature measurement, no hold master.
const TRIGGER_TEMPERATURE: u8 = 0xf3;
/// Table 6: trigger a humidity measurement, no hold master.
const TRIGGER_HUMIDITY: u8 = 0xf5;
/// Table 6: soft reset.
const SOFT_RESET: u8 = 0xfe;
/// The most that a soft reset takes (section 5.5).
const RESET_MS: u32 = 15;
/// How often a result is asked for, and how long apart.
const POLLS: u32 = 8;
const POLL_MS: u32 = 5;

const fn command(quantity: Quantity) -> u8 {
    match quantity {
        Quantity::Temperature => TRIGGER_TEMPERATURE,
        Quantity::Humidity => TRIGGER_HUMIDITY,
    }
}

/// The longest that a measurement takes at the default resolution, in milliseconds (table 7).
const fn conversion_ms(quantity: Quantity) -> u32 {
    match quantity {
        Quantity::Temperature => 85,
        Quantity::Humidity => 29,
    }
}

fn is_refusal<E: i2c::Error>(error: &E) -> bool {
    matches!(error.kind(), ErrorKind::NoAcknowledge(_))
}

#[cfg(test)]
mod tests;
