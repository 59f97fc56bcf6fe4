//! Errors of the sensor, on a simulated bus and on a scripted one: retried, then reported.

use core::convert::Infallible;

use device_core::SimulatedSht20;
use device_core::sht20::simulated::Fault as Simulated;
use embedded_hal_async::i2c::{ErrorType, NoAcknowledgeSource, Operation};
use embedded_hal_mock::eh1::delay::NoopDelay;
use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
use futures_lite::future::block_on;

use super::*;
use Quantity::{Humidity, Temperature};

const NO_ACKNOWLEDGE: ErrorKind = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);

fn measure_on(script: &[Transaction], quantity: Quantity) -> Result<Reading, SensorError> {
    let mut bus = Mock::new(script);
    let outcome = block_on(Sensor::new(bus.clone(), NoopDelay::new()).measure(quantity));
    bus.done();
    outcome
}

fn command(code: u8) -> Transaction {
    Transaction::write(0x40, vec![code])
}

fn answer(bytes: [u8; 3]) -> Transaction {
    Transaction::read(0x40, bytes.to_vec())
}

#[test]
fn fault_that_stays_is_reported() {
    let cases = [
        (Simulated::Absent, SensorError::NoAcknowledge),
        (Simulated::Unfinished, SensorError::Unfinished),
        (Simulated::CorruptCrc, SensorError::Checksum),
        (Simulated::WrongQuantity, SensorError::WrongQuantity),
        (Simulated::StuckLow, SensorError::OutOfRange(0)),
    ];
    for (fault, error) in cases {
        let mut bus = SimulatedSht20::new(7);
        bus.set_fault(Some(fault));
        let outcome = block_on(Sensor::new(bus, NoopDelay::new()).measure(Temperature));
        assert_eq!(outcome, Err(error), "{fault:?}");
    }
}

#[test]
fn wrong_checksum_is_retried() {
    let script =
        [command(0xf5), answer([0x63, 0x52, 0x65]), command(0xfe), command(0xf5), answer([0x63, 0x52, 0x64])];
    assert_eq!(measure_on(&script, Humidity), Ok(Reading::humidity(42_492)));
}

#[test]
fn sensor_that_was_disconnected_is_retried() {
    let script = [
        command(0xf3).with_error(NO_ACKNOWLEDGE),
        command(0xfe).with_error(NO_ACKNOWLEDGE),
        command(0xf3),
        answer([0x66, 0x7c, 0x8a]),
    ];
    assert_eq!(measure_on(&script, Temperature), Ok(Reading::temperature(23_496)));
}

#[test]
fn disconnected_sensor_is_reported_after_three_attempts() {
    let script: Vec<_> =
        [0xf3, 0xfe, 0xf3, 0xfe, 0xf3].map(|code| command(code).with_error(NO_ACKNOWLEDGE)).to_vec();
    assert_eq!(measure_on(&script, Temperature), Err(SensorError::NoAcknowledge));
}

#[test]
fn highest_raw_temperature_is_out_of_range() {
    // 0xfffc with its checksum: 128.85 degrees.
    let reading = [command(0xf3), answer([0xff, 0xfc, 0x7e])];
    let mut script = reading.to_vec();
    script.push(command(0xfe));
    script.extend(reading.clone());
    script.push(command(0xfe));
    script.extend(reading);
    assert_eq!(measure_on(&script, Temperature), Err(SensorError::OutOfRange(0xfffc)));
}

#[test]
fn bus_error_is_reported_by_its_kind() {
    for (kind, error) in [
        (ErrorKind::ArbitrationLoss, SensorError::BusStuck),
        (ErrorKind::Bus, SensorError::Bus(ErrorKind::Bus)),
    ] {
        let script: Vec<_> =
            [0xf3, 0xfe, 0xf3, 0xfe, 0xf3].map(|code| command(code).with_error(kind)).to_vec();
        assert_eq!(measure_on(&script, Temperature), Err(error));
    }
}

/// A bus whose clock line is held low: no transaction ends.
struct StuckBus;

impl ErrorType for StuckBus {
    type Error = Infallible;
}

impl I2c for StuckBus {
    async fn transaction(&mut self, _: u8, _: &mut [Operation<'_>]) -> Result<(), Infallible> {
        core::future::pending().await
    }
}

#[test]
fn stuck_bus_times_out() {
    assert_eq!(
        block_on(Sensor::new(StuckBus, NoopDelay::new()).measure(Humidity)),
        Err(SensorError::BusStuck)
    );
}
