//! The SHT20, with retries and a timeout for each transaction on the bus.

use device_core::sht20::{Error, Sht20};
use device_core::{Quantity, Reading};
use embassy_time::Duration;
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::i2c::{self, ErrorKind, I2c};

/// How many attempts a measurement has.
pub const ATTEMPTS: u32 = 3;

/// An SHT20 whose measurements are retried.
pub struct Sensor<I, D> {
    sht20: Sht20<WithTimeout<I>, D>,
}

impl<I: I2c, D: DelayNs> Sensor<I, D> {
    /// A sensor on this bus, with the delay that its driver uses.
    pub const fn new(i2c: I, delay: D) -> Self {
        Self { sht20: Sht20::new(WithTimeout(i2c), delay) }
    }

    /// Measures one quantity, up to [`ATTEMPTS`] times, with a reset of the sensor in between.
    ///
    /// # Errors
    ///
    /// The error of the last attempt.
    pub async fn measure(&mut self, quantity: Quantity) -> Result<Reading, SensorError> {
        let mut last = SensorError::Unfinished;
        for attempt in 1..=ATTEMPTS {
            match self.sht20.measure(quantity).await {
                Ok(reading) => return Ok(reading),
                Err(error) => last = error.into(),
            }
            log::debug!("sensor: attempt {attempt} for {quantity}: {last}");
            if attempt < ATTEMPTS {
                // If the reset fails too, the next measurement reports it.
                _ = self.sht20.reset().await;
            }
        }
        Err(last)
    }
}

/// Why there is no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SensorError {
    /// The address is not acknowledged.
    #[error("no sensor answers at 0x40; check its power, SDA and SCL")]
    NoAcknowledge,
    /// A line is held low, or a transaction does not end.
    #[error("the i2c bus is stuck; check SDA and SCL and their pull-ups, then power the sensor off and on")]
    BusStuck,
    /// The bus failed in another way.
    #[error("the i2c bus failed: {0:?}")]
    Bus(ErrorKind),
    /// The checksum is wrong.
    #[error("the checksum is wrong; use shorter wires or stronger pull-ups")]
    Checksum,
    /// The measurement does not end.
    #[error("the sensor does not finish the measurement")]
    Unfinished,
    /// The sensor answered with the other quantity.
    #[error("the sensor answers with another quantity; does another controller use the bus?")]
    WrongQuantity,
    /// The value is outside the sensor's range.
    #[error("the raw value {0:#06x} is out of range; SDA held low reads as 0x0000")]
    OutOfRange(u16),
}

impl<E: i2c::Error> From<Error<TransactionError<E>>> for SensorError {
    fn from(error: Error<TransactionError<E>>) -> Self {
        match error {
            Error::I2c(TransactionError::Timeout) => Self::BusStuck,
            Error::I2c(TransactionError::Bus(error)) => match error.kind() {
                ErrorKind::NoAcknowledge(_) => Self::NoAcknowledge,
                ErrorKind::ArbitrationLoss => Self::BusStuck,
                other => Self::Bus(other),
            },
            Error::Crc { .. } => Self::Checksum,
            Error::Timeout => Self::Unfinished,
            Error::WrongQuantity => Self::WrongQuantity,
            Error::OutOfRange { counts } => Self::OutOfRange(counts),
        }
    }
}

/// A bus on which no transaction takes longer than [`TRANSACTION_TIMEOUT`].
struct WithTimeout<I>(I);

#[derive(Debug)]
enum TransactionError<E> {
    Bus(E),
    Timeout,
}

/// Three bytes at 100 kHz take 0.4 ms; the driver asks for no clock stretching.
const TRANSACTION_TIMEOUT: Duration = Duration::from_millis(100);

impl<E: i2c::Error> i2c::Error for TransactionError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Bus(error) => error.kind(),
            Self::Timeout => ErrorKind::Bus,
        }
    }
}

impl<I: i2c::ErrorType> i2c::ErrorType for WithTimeout<I> {
    type Error = TransactionError<I::Error>;
}

impl<I: I2c> I2c for WithTimeout<I> {
    async fn read(&mut self, address: u8, bytes: &mut [u8]) -> Result<(), Self::Error> {
        within_timeout(self.0.read(address, bytes)).await
    }

    async fn write(&mut self, address: u8, bytes: &[u8]) -> Result<(), Self::Error> {
        within_timeout(self.0.write(address, bytes)).await
    }

    async fn transaction(
        &mut self,
        address: u8,
        operations: &mut [i2c::Operation<'_>],
    ) -> Result<(), Self::Error> {
        within_timeout(self.0.transaction(address, operations)).await
    }
}

async fn within_timeout<E>(
    transaction: impl Future<Output = Result<(), E>>,
) -> Result<(), TransactionError<E>> {
    match embassy_time::with_timeout(TRANSACTION_TIMEOUT, transaction).await {
        Ok(result) => result.map_err(TransactionError::Bus),
        Err(embassy_time::TimeoutError) => Err(TransactionError::Timeout),
    }
}

#[cfg(test)]
mod tests;
