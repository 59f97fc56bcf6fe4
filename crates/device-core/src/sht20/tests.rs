//! The driver against a scripted bus and a scripted delay: every byte and every wait, in order.

use embedded_hal_async::i2c::NoAcknowledgeSource;
use embedded_hal_mock::eh1::delay::{CheckedDelay, Transaction as Wait};
use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
use pollster::block_on;

use super::*;
use Quantity::{Humidity, Temperature};

const REFUSED: ErrorKind = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);

/// Lets `run` use a sensor on a bus that expects exactly these transactions, and waits of this many
/// milliseconds.
fn on_bus<T>(
    transactions: &[Transaction],
    waits: &[u32],
    run: impl AsyncFnOnce(&mut Sht20<Mock, CheckedDelay>) -> T,
) -> T {
    let waits: Vec<Wait> = waits.iter().map(|milliseconds| Wait::async_delay_ms(*milliseconds)).collect();
    let mut sensor = Sht20::new(Mock::new(transactions), CheckedDelay::new(&waits));
    let outcome = block_on(run(&mut sensor));
    let (mut i2c, mut delay) = sensor.release();
    i2c.done();
    delay.done();
    outcome
}

fn command_of(code: u8) -> Transaction {
    Transaction::write(0x40, vec![code])
}

fn result(bytes: [u8; 3]) -> Transaction {
    Transaction::read(0x40, bytes.to_vec())
}

#[test]
fn a_temperature_is_measured() {
    let script = [command_of(0xf3), result([0x66, 0x7c, 0x8a])];
    let reading = on_bus(&script, &[85], async |sensor| sensor.measure(Temperature).await);
    assert_eq!(reading, Ok(Reading::temperature(23_496)));
}

#[test]
fn a_humidity_is_measured() {
    let script = [command_of(0xf5), result([0x63, 0x52, 0x64])];
    let reading = on_bus(&script, &[29], async |sensor| sensor.measure(Humidity).await);
    assert_eq!(reading, Ok(Reading::humidity(42_492)));
}

#[test]
fn both_follow_each_other_on_one_bus() {
    let script = [command_of(0xf3), result([0x4e, 0x85, 0x6b]), command_of(0xf5), result([0x68, 0x3a, 0x7c])];
    let readings = on_bus(&script, &[85, 29], async |sensor| {
        [sensor.measure(Temperature).await, sensor.measure(Humidity).await]
    });
    assert_eq!(readings, [Ok(Reading::temperature(7_044)), Ok(Reading::humidity(44_888))]);
}

#[test]
fn a_refusal_while_measuring_is_retried() {
    let busy = result([0; 3]).with_error(REFUSED);
    let script = [command_of(0xf5), busy.clone(), busy, result([0x63, 0x52, 0x64])];
    let reading = on_bus(&script, &[29, 5, 5], async |sensor| sensor.measure(Humidity).await);
    assert_eq!(reading, Ok(Reading::humidity(42_492)));
}

#[test]
fn a_sensor_that_never_finishes_is_given_up() {
    let mut script = vec![command_of(0xf3)];
    script.extend(vec![result([0; 3]).with_error(REFUSED); 8]);
    let waits = [85, 5, 5, 5, 5, 5, 5, 5];
    let outcome = on_bus(&script, &waits, async |sensor| sensor.measure(Temperature).await);
    assert_eq!(outcome, Err(Error::Timeout));
}

#[test]
fn a_missing_sensor_is_not_polled() {
    let script = [command_of(0xf3).with_error(REFUSED)];
    let outcome = on_bus(&script, &[], async |sensor| sensor.measure(Temperature).await);
    assert_eq!(outcome, Err(Error::I2c(REFUSED)));
}

#[test]
fn another_bus_error_ends_the_polling() {
    let script = [command_of(0xf3), result([0; 3]).with_error(ErrorKind::ArbitrationLoss)];
    let outcome = on_bus(&script, &[85], async |sensor| sensor.measure(Temperature).await);
    assert_eq!(outcome, Err(Error::I2c(ErrorKind::ArbitrationLoss)));
}

#[test]
fn a_bad_result_gives_no_reading() {
    let cases = [
        ([0x4e, 0x85, 0x6a], Error::Crc { expected: 0x6b, received: 0x6a }),
        ([0xff, 0xff, 0xff], Error::Crc { expected: 0x2d, received: 0xff }),
        ([0x68, 0x3a, 0x7c], Error::WrongQuantity),
        ([0x00, 0x00, 0x00], Error::OutOfRange { counts: 0 }),
    ];
    for (bytes, error) in cases {
        let script = [command_of(0xf3), result(bytes)];
        let outcome = on_bus(&script, &[85], async |sensor| sensor.measure(Temperature).await);
        assert_eq!(outcome, Err(error), "{bytes:02x?}");
    }
}

#[test]
fn a_reset_is_sent_and_waited_for() {
    let done = on_bus(&[command_of(0xfe)], &[15], async |sensor| sensor.reset().await);
    assert_eq!(done, Ok(()));
    let refused = [command_of(0xfe).with_error(REFUSED)];
    let failed = on_bus(&refused, &[], async |sensor| sensor.reset().await);
    assert_eq!(failed, Err(Error::I2c(REFUSED)));
}

#[test]
fn errors_read_as_sentences() {
    let cases = [
        (Error::I2c(ErrorKind::Bus), "the i2c bus failed or no sensor answered: Bus"),
        (Error::Crc { expected: 0x7c, received: 0x05 }, "the checksum is 0x05, the data needs 0x7c"),
        (Error::Timeout, "the sensor did not finish in time"),
        (Error::WrongQuantity, "the sensor answered with another quantity than asked for"),
        (Error::OutOfRange { counts: 0 }, "the raw value 0x0000 is outside the sensor's operating range"),
    ];
    for (error, message) in cases {
        assert_eq!(error.to_string(), message);
    }
}
