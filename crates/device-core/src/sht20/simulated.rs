//! An SHT20 in software, with the I²C trait of a real one.

use embedded_hal_async::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

use super::{ADDRESS, SOFT_RESET, TRIGGER_HUMIDITY, TRIGGER_TEMPERATURE, conversion, frame};
use crate::random::SplitMix64;
use crate::reading::Quantity;

/// The air that a simulated sensor measures.
pub trait Air {
    /// The quantity's true value at the sensor now, in thousandths of its unit.
    fn milli(&mut self, quantity: Quantity) -> i32;
}

/// A bus with one simulated sensor on it, in any [`Air`]. [`DriftingAir`] needs no clock, so the same seed and the same
/// commands give the same readings.
///
/// What it sends are a real sensor's three bytes: the raw value at the resolution of the quantity, the status bits and
/// the checksum. A measurement counts as unfinished for a number of transactions instead of milliseconds, by default
/// one, which the sensor does not acknowledge; so the driver's polling runs in every simulation.
#[derive(Debug, Clone)]
pub struct SimulatedSht20<A = DriftingAir> {
    air: A,
    /// The last raw value of each quantity; 0 before the first.
    last: [u16; 2],
    busy_transactions: u8,
    measurement: Option<Measurement>,
    fault: Option<Fault>,
}

impl SimulatedSht20 {
    /// A healthy sensor in the air of a room. Give every device a seed of its own.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self::in_air(DriftingAir::new(seed))
    }
}

impl<A> SimulatedSht20<A> {
    /// A healthy sensor in this air.
    #[must_use]
    pub const fn in_air(air: A) -> Self {
        Self { air, last: [0; 2], busy_transactions: 1, measurement: None, fault: None }
    }

    /// The air that it measures.
    pub const fn air_mut(&mut self) -> &mut A {
        &mut self.air
    }

    /// Sets how many transactions each measurement leaves unacknowledged before its result can be read.
    #[must_use]
    pub const fn with_busy_transactions(mut self, count: u8) -> Self {
        self.busy_transactions = count;
        self
    }

    /// Makes the sensor fail in that way from now on, or with `None` recover.
    pub const fn set_fault(&mut self, fault: Option<Fault>) {
        self.fault = fault;
    }
}

/// A way for a sensor to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Acknowledges nothing, as if unplugged.
    Absent,
    /// Takes commands but never finishes a measurement.
    Unfinished,
    /// Sends a wrong checksum with every result.
    CorruptCrc,
    /// Answers with the other quantity than the one asked for.
    WrongQuantity,
    /// Reads as zeros only, as a data line does that is stuck low.
    StuckLow,
    /// Sends the last result of the quantity again and again, as a sensor does whose element is stuck. The bytes are
    /// those of a healthy one.
    StuckValue,
}

impl<A> ErrorType for SimulatedSht20<A> {
    type Error = ErrorKind;
}

impl<A: Air> I2c for SimulatedSht20<A> {
    async fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), Self::Error> {
        for operation in operations {
            self.acknowledge(address)?;
            match operation {
                Operation::Write(bytes) => self.obey(bytes)?,
                Operation::Read(buffer) => self.answer(buffer)?,
            }
        }
        Ok(())
    }
}

impl<A: Air> SimulatedSht20<A> {
    fn acknowledge(&mut self, address: u8) -> Result<(), ErrorKind> {
        if address != ADDRESS || self.fault == Some(Fault::Absent) {
            return Err(REFUSED_ADDRESS);
        }
        match &mut self.measurement {
            Some(Measurement { busy, .. }) if *busy > 0 => {
                *busy -= 1;
                Err(REFUSED_ADDRESS)
            }
            _ => Ok(()),
        }
    }

    fn obey(&mut self, bytes: &[u8]) -> Result<(), ErrorKind> {
        self.measurement = match bytes {
            [TRIGGER_TEMPERATURE] => Some(self.measure(Quantity::Temperature)),
            [TRIGGER_HUMIDITY] => Some(self.measure(Quantity::Humidity)),
            [SOFT_RESET] => None,
            _ => return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data)),
        };
        Ok(())
    }

    fn measure(&mut self, asked: Quantity) -> Measurement {
        let quantity = if self.fault == Some(Fault::WrongQuantity) { other(asked) } else { asked };
        let [temperature, humidity] = &mut self.last;
        let last = match quantity {
            Quantity::Temperature => temperature,
            Quantity::Humidity => humidity,
        };
        if self.fault != Some(Fault::StuckValue) || *last == 0 {
            *last = conversion::counts(quantity, self.air.milli(quantity));
        }
        Measurement { frame: frame::encode(*last, quantity), busy: self.busy_transactions }
    }

    fn answer(&mut self, buffer: &mut [u8]) -> Result<(), ErrorKind> {
        if self.fault == Some(Fault::Unfinished) {
            return Err(REFUSED_ADDRESS);
        }
        let [high, low, crc] = self.measurement.take().ok_or(REFUSED_ADDRESS)?.frame;
        let sent = match self.fault {
            Some(Fault::CorruptCrc) => [high, low, !crc],
            Some(Fault::StuckLow) => [0; frame::LEN],
            _ => [high, low, crc],
        };
        // A bus that is idle is high.
        buffer.fill(0xff);
        buffer.iter_mut().zip(sent).for_each(|(place, byte)| *place = byte);
        Ok(())
    }
}

/// A result that waits to be read, and the transactions that are refused before.
#[derive(Debug, Clone)]
struct Measurement {
    frame: [u8; frame::LEN],
    busy: u8,
}

/// The air of a room, 16 to 28 °C and 30 to 60 %RH, that drifts slowly around a point that the seed chooses. It has no
/// clock: every measurement moves it one small step along.
#[derive(Debug, Clone)]
pub struct DriftingAir {
    random: SplitMix64,
    temperature: Drift,
    humidity: Drift,
}

impl DriftingAir {
    /// The air that belongs to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let temperature = Drift::around(TEMPERATURE_HOMES, TEMPERATURE_STRIDE, &mut random);
        let humidity = Drift::around(HUMIDITY_HOMES, HUMIDITY_STRIDE, &mut random);
        Self { random, temperature, humidity }
    }
}

impl Air for DriftingAir {
    fn milli(&mut self, quantity: Quantity) -> i32 {
        match quantity {
            Quantity::Temperature => self.temperature.step(&mut self.random),
            Quantity::Humidity => self.humidity.step(&mut self.random),
        }
    }
}

/// A random walk in thousandths that is pulled back to its home, and so never leaves it by more than about 33 strides.
#[derive(Debug, Clone)]
struct Drift {
    home: i32,
    milli: i32,
    stride: i32,
}

impl Drift {
    const fn around(homes: (i32, i32), stride: i32, random: &mut SplitMix64) -> Self {
        let (lowest, highest) = homes;
        let home = lowest + random.next_u16() as i32 % (highest - lowest);
        Self { home, milli: home, stride }
    }

    fn step(&mut self, random: &mut SplitMix64) -> i32 {
        let push = i32::from(random.next_u16()) % (2 * self.stride + 1) - self.stride;
        self.milli += push + (self.home - self.milli) / 32;
        self.milli
    }
}

/// 18 to 26 °C.
const TEMPERATURE_HOMES: (i32, i32) = (18_000, 26_000);
/// 0.04 °C.
const TEMPERATURE_STRIDE: i32 = 43;
/// 35 to 55 %RH.
const HUMIDITY_HOMES: (i32, i32) = (35_000, 55_000);
/// 0.12 %RH.
const HUMIDITY_STRIDE: i32 = 122;

const REFUSED_ADDRESS: ErrorKind = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);

const fn other(quantity: Quantity) -> Quantity {
    match quantity {
        Quantity::Temperature => Quantity::Humidity,
        Quantity::Humidity => Quantity::Temperature,
    }
}

#[cfg(test)]
mod tests {
    use embedded_hal_mock::eh1::delay::NoopDelay;
    use pollster::block_on;
    use proptest::prelude::*;

    use super::*;
    use crate::sht20::{Error, Sht20};

    /// `count` readings of each quantity, in thousandths.
    fn readings(seed: u64, count: usize) -> Vec<[i32; 2]> {
        let mut sensor = Sht20::new(SimulatedSht20::new(seed), NoopDelay::new());
        let mut measure = |quantity| block_on(sensor.measure(quantity)).unwrap().milli();
        (0..count).map(|_| Quantity::ALL.map(&mut measure)).collect()
    }

    #[test]
    fn the_seed_decides_the_readings() {
        assert_eq!(readings(7, 20), readings(7, 20));
        assert_ne!(readings(7, 20), readings(8, 20));
        assert!(readings(7, 20).windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn faults_are_told_apart_and_pass() {
        let cases = [
            (Fault::Absent, Error::I2c(REFUSED_ADDRESS)),
            (Fault::Unfinished, Error::Timeout),
            (Fault::WrongQuantity, Error::WrongQuantity),
            (Fault::StuckLow, Error::OutOfRange { counts: 0 }),
        ];
        for (fault, error) in cases {
            let mut simulated = SimulatedSht20::new(1);
            simulated.set_fault(Some(fault));
            let mut sensor = Sht20::new(&mut simulated, NoopDelay::new());
            assert_eq!(block_on(sensor.measure(Quantity::Temperature)), Err(error), "{fault:?}");
            simulated.set_fault(None);
            let mut sensor = Sht20::new(&mut simulated, NoopDelay::new());
            assert!(block_on(sensor.measure(Quantity::Temperature)).is_ok(), "{fault:?}");
        }
    }

    #[test]
    fn a_stuck_value_is_repeated_until_the_fault_is_gone() {
        let mut sensor = Sht20::new(SimulatedSht20::new(1), NoopDelay::new());
        let mut pair = |fault| {
            sensor.bus_mut().set_fault(fault);
            Quantity::ALL.map(|quantity| block_on(sensor.measure(quantity)).unwrap())
        };
        let stuck = pair(Some(Fault::StuckValue));
        for _ in 0..20 {
            assert_eq!(pair(Some(Fault::StuckValue)), stuck);
        }
        assert!((0..20).any(|_| pair(None) != stuck));
    }

    #[test]
    fn the_bytes_are_those_of_the_air_at_the_sensors_resolution() {
        struct Fixed(i32);
        impl Air for Fixed {
            fn milli(&mut self, _: Quantity) -> i32 {
                self.0
            }
        }
        // 42.492 % and 7.044 °C are the readings of the driver's tests.
        let cases = [(Quantity::Humidity, 42_492, 0x6352), (Quantity::Temperature, 7_044, 0x4e84)];
        for (quantity, milli, data) in cases {
            let mut simulated = SimulatedSht20::in_air(Fixed(milli)).with_busy_transactions(0);
            let command = super::super::command(quantity);
            let mut sent = [0; 3];
            assert_eq!(block_on(simulated.write_read(ADDRESS, &[command], &mut sent)), Ok(()));
            assert_eq!(u16::from_be_bytes([sent[0], sent[1]]), data, "{quantity}");
            assert_eq!(sent, frame::encode(data, quantity));
            let mut sensor = Sht20::new(SimulatedSht20::in_air(Fixed(milli)), NoopDelay::new());
            assert_eq!(block_on(sensor.measure(quantity)).unwrap().milli(), milli);
        }
    }

    #[test]
    fn a_corrupt_checksum_gives_no_reading() {
        let mut simulated = SimulatedSht20::new(1);
        simulated.set_fault(Some(Fault::CorruptCrc));
        let mut sensor = Sht20::new(simulated, NoopDelay::new());
        for quantity in Quantity::ALL {
            let error = block_on(sensor.measure(quantity)).unwrap_err();
            assert!(matches!(error, Error::Crc { expected, received } if expected == !received));
        }
    }

    #[test]
    fn a_slow_measurement_is_waited_for_within_a_bound() {
        for (busy, read) in [(0, true), (1, true), (7, true), (8, false)] {
            let simulated = SimulatedSht20::new(1).with_busy_transactions(busy);
            let mut sensor = Sht20::new(simulated, NoopDelay::new());
            assert_eq!(block_on(sensor.measure(Quantity::Humidity)).is_ok(), read, "{busy}");
        }
    }

    #[test]
    fn other_addresses_and_commands_are_not_acknowledged() {
        let mut simulated = SimulatedSht20::new(1).with_busy_transactions(0);
        let mut buffer = [0; 5];
        assert_eq!(block_on(simulated.write(0x41, &[TRIGGER_HUMIDITY])), Err(REFUSED_ADDRESS));
        assert_eq!(block_on(simulated.read(ADDRESS, &mut buffer)), Err(REFUSED_ADDRESS));
        let unknown = Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data));
        assert_eq!(block_on(simulated.write(ADDRESS, &[0x00])), unknown);
        assert_eq!(block_on(simulated.write_read(ADDRESS, &[TRIGGER_HUMIDITY], &mut buffer)), Ok(()));
        assert_eq!(buffer[3..], [0xff, 0xff]);
        assert_eq!(block_on(simulated.read(ADDRESS, &mut buffer)), Err(REFUSED_ADDRESS));
    }

    #[test]
    fn a_reset_drops_the_measurement() {
        let mut simulated = SimulatedSht20::new(1).with_busy_transactions(0);
        assert_eq!(block_on(simulated.write(ADDRESS, &[TRIGGER_TEMPERATURE])), Ok(()));
        assert_eq!(block_on(simulated.write(ADDRESS, &[SOFT_RESET])), Ok(()));
        assert_eq!(block_on(simulated.read(ADDRESS, &mut [0; 3])), Err(REFUSED_ADDRESS));
    }

    #[test]
    fn a_measurement_can_move_between_threads() {
        fn assert_send<T: Send>(_: T) {}
        let mut sensor = Sht20::new(SimulatedSht20::new(1), NoopDelay::new());
        assert_send(sensor.measure(Quantity::Humidity));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_air_stays_that_of_a_room_and_changes_slowly(seed: u64) {
            let readings = readings(seed, 500);
            for [temperature, humidity] in &readings {
                prop_assert!((16_000..=28_000).contains(temperature));
                prop_assert!((30_000..=60_000).contains(humidity));
            }
            for pair in readings.windows(2) {
                prop_assert!(pair[0][0].abs_diff(pair[1][0]) < 150);
                prop_assert!(pair[0][1].abs_diff(pair[1][1]) < 350);
            }
        }
    }
}
