//! The time that the devices of a fleet tell: the machine's, or one that begins when you say and runs faster.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::faults::{DeviceFault, UNSET_CLOCK};
use crate::sensor::Moment;
use crate::shard::Shard;

/// The devices' time.
#[derive(Debug, Clone, Copy)]
pub struct FleetTime {
    began: Instant,
    ramp: NonZeroU32,
    shard: Option<Shard>,
    simulated: Option<SimulatedTime>,
}

/// A time that is not the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimulatedTime {
    /// When it begins.
    pub start: Moment,
    /// How many times as fast as the machine's it runs.
    pub scale: NonZeroU32,
}

impl FleetTime {
    /// The time of a fleet that begins now.
    #[must_use]
    pub fn begin(ramp: NonZeroU32, shard: Option<Shard>, simulated: Option<SimulatedTime>) -> Self {
        Self { began: Instant::now(), ramp, shard, simulated }
    }

    /// When the ramp starts the device with this index.
    #[must_use]
    pub fn start_of(&self, index: usize) -> Instant {
        self.began + self.due(index)
    }

    /// The time of the measurements that the device with this index makes now.
    ///
    /// A simulated time moves in steps of the interval, from the moment at which the ramp starts the device, however late
    /// the device is. So readings of the same round are the same in each run.
    #[must_use]
    pub fn of_round(&self, index: usize, interval: Duration, fault: Option<DeviceFault>) -> Moment {
        let since = self.began.elapsed();
        if fault == Some(DeviceFault::WrongClock) {
            return after(UNSET_CLOCK, since);
        }
        let Some(SimulatedTime { start, scale }) = self.simulated else {
            return Moment::now();
        };
        let due = self.due(index);
        let rounds = since.saturating_sub(due).as_nanos() / interval.as_nanos().max(1);
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        after(start, due.saturating_add(interval.saturating_mul(rounds)).saturating_mul(scale.get()))
    }

    /// How long after the fleet begins the ramp starts a device. Those of a shard start when they would in one run of the
    /// whole fleet.
    fn due(&self, index: usize) -> Duration {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let row = self.shard.map_or(index, |shard| shard.row(index));
        SECOND.saturating_mul(row) / self.ramp.get()
    }

    /// The next moment that is a multiple of `period` after the fleet began. All devices get the same one.
    pub(crate) fn next_multiple_of(&self, period: Duration) -> Option<Instant> {
        let passed = self.began.elapsed().as_nanos() / period.as_nanos().max(1);
        let next = u32::try_from(passed).ok()?.checked_add(1)?;
        self.began.checked_add(period.checked_mul(next)?)
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn after(moment: Moment, duration: Duration) -> Moment {
    Moment(moment.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn simulated(scale: u32) -> FleetTime {
        let simulated = SimulatedTime { start: Moment(1_000_000), scale: NonZeroU32::new(scale).unwrap() };
        FleetTime::begin(NonZeroU32::new(10).unwrap(), None, Some(simulated))
    }

    #[tokio::test(start_paused = true)]
    async fn a_simulated_time_moves_in_steps_of_the_interval() {
        let time = simulated(60);
        let of = |index| time.of_round(index, INTERVAL, None).0;
        assert_eq!((of(0), of(5)), (1_000_000, 1_000_000 + 30_000));
        tokio::time::advance(Duration::from_millis(5_700)).await;
        assert_eq!((of(0), of(5)), (1_000_000 + 300_000, 1_000_000 + 330_000));
        tokio::time::advance(Duration::from_millis(3_800)).await;
        assert_eq!(of(0), 1_000_000 + 300_000);
    }

    #[tokio::test(start_paused = true)]
    async fn the_herd_has_one_moment_and_an_unset_clock_the_year_2000() {
        let time = simulated(1);
        let period = INTERVAL * HERD;
        let first = time.next_multiple_of(period).unwrap();
        assert_eq!(first - Instant::now(), period);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(time.next_multiple_of(period), Some(first));
        tokio::time::advance(period).await;
        assert_eq!(time.next_multiple_of(period), Some(first + period));
        let unset = time.of_round(0, INTERVAL, Some(DeviceFault::WrongClock));
        assert_eq!(unset.seconds(), 946_684_800 + 55);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shards_devices_have_the_times_of_the_whole_fleet() {
        let begin = |shard: Option<&str>| {
            let start = SimulatedTime { start: Moment(0), scale: NonZeroU32::MIN };
            let shard = shard.map(|text| text.parse().unwrap());
            FleetTime::begin(NonZeroU32::new(10).unwrap(), shard, Some(start))
        };
        let (whole, part) = (begin(None), begin(Some("1/4")));
        assert_eq!(part.start_of(2), whole.start_of(9));
        assert_eq!(part.of_round(2, INTERVAL, None), whole.of_round(9, INTERVAL, None));
    }

    #[test]
    fn times_beyond_all_bounds_are_the_last_one() {
        let time = FleetTime::begin(
            NonZeroU32::MIN,
            None,
            Some(SimulatedTime { start: Moment(u64::MAX), scale: NonZeroU32::MAX }),
        );
        assert_eq!(time.of_round(usize::MAX, Duration::from_nanos(1), None), Moment(u64::MAX));
        assert_eq!(time.next_multiple_of(Duration::MAX), None);
    }

    const HERD: u32 = crate::faults::HERD_INTERVALS;
}
