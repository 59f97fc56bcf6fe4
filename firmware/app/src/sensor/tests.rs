//! The sensor's failures, on the simulated bus and on a scripted one: retried, reported, never a panic.

use core::convert::Infallible;

use device_core::SimulatedSht20;
use device_core::sht20::simulated::Fault as Simulated;
use embedded_hal_async::i2c::{ErrorType, NoAcknowledgeSource, Operation};
use embedded_hal_mock::eh1::delay::NoopDelay;
use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
use futures_lite::future::block_on;

use super::*;
use Quantity::{Humidity, Temperature};

const REFUSED: ErrorKind = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);

fn on_bus(script: &[Transaction], quantity: Quantity) -> Result<Reading, SensorFailure> {
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
fn each_fault_is_tried_three_times_and_reported_as_itself() {
    let cases = [
        (Simulated::Absent, SensorFailure::Absent),
        (Simulated::Unfinished, SensorFailure::Late),
        (Simulated::CorruptCrc, SensorFailure::Checksum),
        (Simulated::WrongQuantity, SensorFailure::WrongQuantity),
        (Simulated::StuckLow, SensorFailure::OutOfRange(0)),
    ];
    for (fault, failure) in cases {
        let mut bus = SimulatedSht20::new(7);
        bus.set_fault(Some(fault));
        let outcome = block_on(Sensor::new(bus, NoopDelay::new()).measure(Temperature));
        assert_eq!(outcome, Err(failure), "{fault:?}");
    }
}

#[test]
fn a_wrong_checksum_is_read_again() {
    let script =
        [command(0xf5), answer([0x63, 0x52, 0x65]), command(0xfe), command(0xf5), answer([0x63, 0x52, 0x64])];
    assert_eq!(on_bus(&script, Humidity), Ok(Reading::humidity(42_492)));
}

#[test]
fn a_sensor_that_was_away_is_found_again() {
    let script = [
        command(0xf3).with_error(REFUSED),
        command(0xfe).with_error(REFUSED),
        command(0xf3),
        answer([0x66, 0x7c, 0x8a]),
    ];
    assert_eq!(on_bus(&script, Temperature), Ok(Reading::temperature(23_496)));
}

#[test]
fn an_absent_sensor_is_given_up_after_three_attempts() {
    let script: Vec<_> =
        [0xf3, 0xfe, 0xf3, 0xfe, 0xf3].map(|code| command(code).with_error(REFUSED)).to_vec();
    assert_eq!(on_bus(&script, Temperature), Err(SensorFailure::Absent));
}

#[test]
fn the_hottest_raw_value_is_out_of_range() {
    // 0xfffc with its checksum: 128.85 degrees.
    let reading = [command(0xf3), answer([0xff, 0xfc, 0x7e])];
    let mut script = reading.to_vec();
    script.push(command(0xfe));
    script.extend(reading.clone());
    script.push(command(0xfe));
    script.extend(reading);
    assert_eq!(on_bus(&script, Temperature), Err(SensorFailure::OutOfRange(0xfffc)));
}

#[test]
fn a_bus_that_fails_is_named() {
    for (kind, failure) in [
        (ErrorKind::ArbitrationLoss, SensorFailure::Stuck),
        (ErrorKind::Bus, SensorFailure::Bus(ErrorKind::Bus)),
    ] {
        let script: Vec<_> =
            [0xf3, 0xfe, 0xf3, 0xfe, 0xf3].map(|code| command(code).with_error(kind)).to_vec();
        assert_eq!(on_bus(&script, Temperature), Err(failure));
    }
}

/// A bus whose clock line is held low: no transaction ever ends.
struct Held;

impl ErrorType for Held {
    type Error = Infallible;
}

impl I2c for Held {
    async fn transaction(&mut self, _: u8, _: &mut [Operation<'_>]) -> Result<(), Infallible> {
        core::future::pending().await
    }
}

#[test]
fn a_bus_that_is_held_ends_in_time() {
    assert_eq!(block_on(Sensor::new(Held, NoopDelay::new()).measure(Humidity)), Err(SensorFailure::Stuck));
}
