use std::pin::pin;
use std::task::{Context, Poll, Waker};

use device_core::{Reading, Sht20, sht20};
use embedded_hal_async::delay::DelayNs;
use embedded_hal_async::i2c::ErrorKind;
use proptest::prelude::*;

use super::*;

/// A delay that is over at once.
struct NoDelay;

impl DelayNs for NoDelay {
    async fn delay_ns(&mut self, _: u32) {}
}

const HOUR: u64 = 3_600_000;
/// The 1st of January 2026, at midnight.
const NEW_YEAR: u64 = 1_767_225_600_000;

type Measured = Result<i32, sht20::Error<ErrorKind>>;

struct Probe {
    sensor: Sht20<Sensor, NoDelay>,
    fault: Option<DeviceFault>,
}

impl Probe {
    fn new(weather: u64, room: u64, fault: Option<DeviceFault>) -> Self {
        Self { sensor: Sht20::new(Sensor::in_air(RoomAir::new(weather, room)), NoDelay), fault }
    }

    /// Both quantities at a moment, through the bytes and the driver.
    fn measure(&mut self, at: u64) -> [Measured; 2] {
        prepare(self.sensor.bus_mut(), Moment(at), self.fault);
        Quantity::ALL.map(|quantity| {
            let measured = now(self.sensor.measure(quantity));
            if measured.is_err() {
                now(self.sensor.reset()).unwrap_or_default();
            }
            measured.map(Reading::milli)
        })
    }

    fn healthy(&mut self, at: u64) -> [i32; 2] {
        self.measure(at).map(Result::unwrap)
    }
}

/// The result of a future that waits for nothing.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// The means over 160 days at an hour of the day.
fn means(weather: u64, room: u64, hour: u64) -> [f64; 2] {
    let mut probe = Probe::new(weather, room, None);
    let mut sums = [0.0; 2];
    for day in 0..160 {
        let measured = probe.healthy(NEW_YEAR + (day * 24 + hour) * HOUR);
        for (sum, milli) in sums.iter_mut().zip(measured) {
            *sum += f64::from(milli) / 160_000.0;
        }
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn readings_are_those_of_rooms_at_any_time(weather: u64, room: u64, times in prop::collection::vec(0_u64..4_294_967_295_000, 20)) {
        let mut probe = Probe::new(weather, room, None);
        for at in times {
            let [temperature, humidity] = probe.healthy(at);
            prop_assert!((0..=40_000).contains(&temperature), "{temperature}");
            prop_assert!((1_000..=99_500).contains(&humidity), "{humidity}");
        }
    }

    #[test]
    fn a_minute_changes_little(weather: u64, room: u64, hour in 0_u64..1_000_000) {
        let mut probe = Probe::new(weather, room, None);
        let hours = (0..60).map(|minute| probe.healthy(hour * HOUR + minute * 60_000)).collect::<Vec<_>>();
        for pair in hours.windows(2) {
            // Noise, a step of the sensor, and what a front brings in a minute.
            prop_assert!(pair[0][0].abs_diff(pair[1][0]) <= 100 + 11 + 100, "{pair:?}");
            prop_assert!(pair[0][1].abs_diff(pair[1][1]) <= 200 + 31 + 800, "{pair:?}");
        }
    }

    #[test]
    fn without_noise_the_air_is_continuous(weather: u64, room: u64, second in 0_u32..4_000_000_000) {
        let at = |seconds: f64| indoors(weather, room, seconds / 3_600.0);
        let (one, next) = (at(f64::from(second)), at(f64::from(second) + 1.0));
        prop_assert!((one.temperature - next.temperature).abs() < 0.005, "{one:?} {next:?}");
        prop_assert!((one.humidity - next.humidity).abs() < 0.05, "{one:?} {next:?}");
    }

    #[test]
    fn afternoons_are_warmer_and_drier_than_mornings(weather: u64, room: u64) {
        // A room feels the weather one to three and a half hours late.
        let ([cool, damp], [warm, dry]) = (means(weather, room, 7), means(weather, room, 17));
        prop_assert!(warm > cool + 0.2, "{cool} {warm}");
        prop_assert!(dry < damp, "{damp} {dry}");
    }

    #[test]
    fn seed_device_and_time_decide_the_reading(weather: u64, room: u64, at in 0_u64..4_000_000_000_000) {
        let mut again = Probe::new(weather, room, None);
        again.healthy(at / 2);
        prop_assert_eq!(Probe::new(weather, room, None).healthy(at), again.healthy(at));
    }

    #[test]
    fn the_driver_reads_what_the_air_is(weather: u64, room: u64, at in 0_u64..4_000_000_000_000) {
        let mut probe = Probe::new(weather, room, None);
        let read = probe.healthy(at);
        let air = probe.sensor.bus_mut().air_mut();
        for ((quantity, read), step) in Quantity::ALL.into_iter().zip(read).zip([11, 31]) {
            prop_assert!(air.milli(quantity).abs_diff(read) <= step / 2 + 1, "{quantity} {read}");
        }
    }
}

#[test]
fn rooms_differ_and_so_does_the_weather() {
    let at = |weather, room| Probe::new(weather, room, None).healthy(NEW_YEAR);
    let rooms: Vec<_> = (0..50).map(|room| at(1, room)).collect();
    let warmest = rooms.iter().map(|[temperature, _]| temperature).max().unwrap();
    let coolest = rooms.iter().map(|[temperature, _]| temperature).min().unwrap();
    assert!(warmest - coolest > 3_000, "{rooms:?}");
    assert_ne!(at(1, 1), at(2, 1));
    let swing = |room| means(3, room, 17)[0] - means(3, room, 7)[0];
    let swings: Vec<f64> = (0..20).map(swing).collect();
    assert!(
        swings.iter().copied().fold(0.0, f64::max) > 2.0 * swings.iter().copied().fold(9.0, f64::min),
        "{swings:?}"
    );
}

/// What a faulty sensor and a healthy one of the same device measure, a minute apart.
fn twins(fault: DeviceFault, minutes: u64) -> Vec<([Measured; 2], [i32; 2])> {
    let (mut faulty, mut healthy) = (Probe::new(5, 6, Some(fault)), Probe::new(5, 6, None));
    let at = |minute| NEW_YEAR + minute * 60_000;
    (0..minutes).map(|minute| (faulty.measure(at(minute)), healthy.healthy(at(minute)))).collect()
}

#[test]
fn faults_that_come_and_go_spoil_a_quarter_of_the_readings() {
    let errors = |fault| {
        let pairs = twins(fault, 400);
        let (mut failed, mut kinds) = (0, Vec::new());
        for (faulty, healthy) in pairs {
            for (faulty, healthy) in faulty.into_iter().zip(healthy) {
                match faulty {
                    Ok(milli) => assert_eq!(milli, healthy),
                    Err(error) => {
                        failed += 1;
                        kinds.push(error);
                    }
                }
            }
        }
        assert!((140..=260).contains(&failed), "{failed} of 800");
        kinds
    };
    assert!(errors(DeviceFault::SensorCrc).iter().all(|error| matches!(error, sht20::Error::Crc { .. })));
    assert!(
        errors(DeviceFault::SensorNack)
            .iter()
            .all(|error| matches!(error, sht20::Error::I2c(ErrorKind::NoAcknowledge(_))))
    );
    assert_eq!(twins(DeviceFault::SensorCrc, 50), twins(DeviceFault::SensorCrc, 50));
}

#[test]
fn a_stuck_sensor_repeats_its_first_reading() {
    let pairs = twins(DeviceFault::SensorStuck, 120);
    let (first, _) = pairs[0];
    assert!(pairs.iter().all(|(faulty, _)| *faulty == first));
    assert!(pairs.iter().any(|(_, healthy)| healthy.map(Ok) != first));
}

#[test]
fn a_drifting_sensor_leaves_the_truth_and_stops_somewhere() {
    let mut faulty = Probe::new(5, 6, Some(DeviceFault::SensorDrift));
    let mut healthy = Probe::new(5, 6, None);
    let mut error_after = |hours: u64| {
        let at = NEW_YEAR + hours * HOUR;
        let (faulty, healthy) = (faulty.healthy(at), healthy.healthy(at));
        [faulty[0] - healthy[0], faulty[1] - healthy[1]]
    };
    assert_eq!(error_after(0), [0, 0]);
    let [degrees, percent] = error_after(8);
    assert!((1_980..=2_020).contains(&degrees) && (3_950..=4_050).contains(&percent), "{degrees} {percent}");
    let [degrees, percent] = error_after(24 * 365);
    assert!(
        (14_980..=15_020).contains(&degrees) && (20_000..=30_050).contains(&percent),
        "{degrees} {percent}"
    );
}

#[test]
fn a_sensor_is_small() {
    assert!(size_of::<Sensor>() <= 48, "{} bytes", size_of::<Sensor>());
}
