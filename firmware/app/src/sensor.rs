//! The SHT20, asked until it answers or is given up for this time.

use device_core::sht20::{Error, Sht20};
use device_core::{Quantity, Reading};
use embassy_time::Duration;
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::i2c::{self, ErrorKind, I2c};

/// How often a quantity is measured before it is given up.
pub const ATTEMPTS: u32 = 3;

/// An SHT20 whose measurements are tried again.
pub struct Sensor<I, D> {
    sht20: Sht20<Timed<I>, D>,
}

impl<I: I2c, D: DelayNs> Sensor<I, D> {
    /// Takes the bus and a delay.
    pub const fn new(i2c: I, delay: D) -> Self {
        Self { sht20: Sht20::new(Timed(i2c), delay) }
    }

    /// Measures one quantity, up to [`ATTEMPTS`] times, with a reset of the sensor in between.
    ///
    /// # Errors
    ///
    /// The last attempt's failure.
    pub async fn measure(&mut self, quantity: Quantity) -> Result<Reading, SensorFailure> {
        let mut failure = SensorFailure::Late;
        for attempt in 1..=ATTEMPTS {
            match self.sht20.measure(quantity).await {
                Ok(reading) => return Ok(reading),
                Err(error) => failure = error.into(),
            }
            log::debug!("sensor: attempt {attempt} for {quantity}: {failure}");
            if attempt < ATTEMPTS {
                // A sensor that does not take it will be found out by the next measurement.
                _ = self.sht20.reset().await;
            }
        }
        Err(failure)
    }
}

/// Why there is no reading, as a user meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SensorFailure {
    /// Nobody acknowledges.
    #[error("no sensor answers at 0x40; check its power, SDA and SCL")]
    Absent,
    /// The bus is held, or does not move.
    #[error("the i2c bus is stuck; check SDA and SCL and their pull-ups, then power the sensor off and on")]
    Stuck,
    /// The bus failed in another way.
    #[error("the i2c bus failed: {0:?}")]
    Bus(ErrorKind),
    /// A checksum was wrong.
    #[error("a checksum is wrong; shorten the wires, or strengthen the pull-ups")]
    Checksum,
    /// The sensor measures for ever.
    #[error("the sensor does not finish a measurement")]
    Late,
    /// The sensor answered with the other quantity.
    #[error("the sensor answers with another quantity; is there another user on the bus?")]
    WrongQuantity,
    /// A value outside the sensor's range.
    #[error("the raw value {0:#06x} is out of range; SDA held low reads as 0x0000")]
    OutOfRange(u16),
}

impl<E: i2c::Error> From<Error<Fault<E>>> for SensorFailure {
    fn from(error: Error<Fault<E>>) -> Self {
        match error {
            Error::I2c(Fault::Stuck) => Self::Stuck,
            Error::I2c(Fault::Bus(error)) => match error.kind() {
                ErrorKind::NoAcknowledge(_) => Self::Absent,
                ErrorKind::ArbitrationLoss => Self::Stuck,
                other => Self::Bus(other),
            },
            Error::Crc { .. } => Self::Checksum,
            Error::Timeout => Self::Late,
            Error::WrongQuantity => Self::WrongQuantity,
            Error::OutOfRange { counts } => Self::OutOfRange(counts),
        }
    }
}

/// A bus on which nothing may take longer than [`TRANSACTION`].
struct Timed<I>(I);

/// What went wrong on it.
#[derive(Debug)]
enum Fault<E> {
    Bus(E),
    Stuck,
}

/// Three bytes at 100 kHz take 0.4 ms; the driver asks for no clock stretching.
const TRANSACTION: Duration = Duration::from_millis(100);

impl<E: i2c::Error> i2c::Error for Fault<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Bus(error) => error.kind(),
            Self::Stuck => ErrorKind::Bus,
        }
    }
}

impl<I: i2c::ErrorType> i2c::ErrorType for Timed<I> {
    type Error = Fault<I::Error>;
}

impl<I: I2c> I2c for Timed<I> {
    async fn read(&mut self, address: u8, bytes: &mut [u8]) -> Result<(), Self::Error> {
        in_time(self.0.read(address, bytes)).await
    }

    async fn write(&mut self, address: u8, bytes: &[u8]) -> Result<(), Self::Error> {
        in_time(self.0.write(address, bytes)).await
    }

    async fn transaction(
        &mut self,
        address: u8,
        operations: &mut [i2c::Operation<'_>],
    ) -> Result<(), Self::Error> {
        in_time(self.0.transaction(address, operations)).await
    }
}

async fn in_time<E>(transaction: impl Future<Output = Result<(), E>>) -> Result<(), Fault<E>> {
    match embassy_time::with_timeout(TRANSACTION, transaction).await {
        Ok(result) => result.map_err(Fault::Bus),
        Err(embassy_time::TimeoutError) => Err(Fault::Stuck),
    }
}

#[cfg(test)]
mod tests;
