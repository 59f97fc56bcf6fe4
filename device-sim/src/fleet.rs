//! Runs many devices: starts them one after the other, and stops them together.

use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::device::{Behavior, Device, Event, FleetContext};
use crate::endpoint::Endpoint;
use crate::faults::DeviceFault;
use crate::faults::ways::FaultyWays;
use crate::fleet_time::{FleetTime, SimulatedTime};
use crate::run_info::RunInfo;
use crate::shard::Shard;
use crate::summary::Summary;
use crate::tally::Tally;

/// A run of a fleet.
pub struct Plan {
    /// The server.
    pub endpoint: Endpoint,
    /// The devices. A device's index is its index here.
    pub devices: Vec<Device>,
    /// What the devices do.
    pub behavior: Behavior,
    /// How many devices begin to connect each second, in all shards together.
    pub ramp: NonZeroU32,
    /// The part of the fleet that the devices are.
    pub shard: Option<Shard>,
    /// What the run is. Its start and its end are set when they come.
    pub info: RunInfo,
    /// How long the run takes, with the ramp. Without it the run lasts until it is stopped.
    pub duration: Option<Duration>,
    /// What the devices' faults and readings follow from.
    pub seed: u64,
    /// The ways to the server of devices whose fault is there.
    pub ways: FaultyWays,
    /// The devices' time, if it is not the machine's.
    pub time: Option<SimulatedTime>,
}

/// Observes a run. `Break` stops the fleet, as the end of its duration does.
pub trait Observer {
    /// Called for each event, after it was counted. `new_reason` is true if no event had its reason before.
    fn event(&mut self, event: &Event, new_reason: bool, tally: &Tally) -> ControlFlow<()>;

    /// Called at each [`Self::interval`].
    fn tick(&mut self, tally: &Tally) -> ControlFlow<()>;

    /// The time between two ticks.
    fn interval(&self) -> Duration;
}

/// Runs a fleet until its duration is over, `shutdown` completes, or no device runs any more.
///
/// At the end every device finishes what it is sending, sends DISCONNECT and closes its connection. Dropping the future
/// has the same effect, but no summary.
pub async fn run(
    plan: Plan,
    observer: &mut (impl Observer + ?Sized),
    shutdown: impl Future<Output = ()>,
) -> Summary {
    let began = Instant::now();
    let start_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Reports of several machines are aligned by their clocks. A clock that is set meanwhile does not matter.
    let now = || start_time + began.elapsed();
    let stop = CancellationToken::new();
    let _stopped_when_dropped = stop.clone().drop_guard();
    let faults = plan.devices.iter().map(Device::fault).collect();
    let mut tally = Tally::with_faults(plan.seed, faults, start_time);
    let mut info = plan.info.clone();
    info.started_at_ms = milliseconds(start_time);
    let mut end = pin!(first_of(shutdown, plan.duration));
    let mut ticks = interval_at(began + observer.interval(), observer.interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut events = start(plan, &stop);
    loop {
        let flow = tokio::select! {
            event = events.recv() => match event {
                Some(event) => {
                    let new_reason = tally.count(&event, now());
                    observer.event(&event, new_reason, &tally)
                }
                None => break,
            },
            () = &mut end, if !stop.is_cancelled() => ControlFlow::Break(()),
            _ = ticks.tick() => {
                tally.advance(now());
                observer.tick(&tally)
            }
        };
        if flow.is_break() {
            stop.cancel();
        }
    }
    let end = now();
    tally.advance(end);
    info.ended_at_ms = milliseconds(end);
    tally.summary(info)
}

/// Up to this many events wait to be counted. Devices with more events wait.
const MAX_WAITING_EVENTS: usize = 1_024;

fn milliseconds(since_1970: Duration) -> u64 {
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

async fn first_of(shutdown: impl Future<Output = ()>, duration: Option<Duration>) {
    let over = async {
        match duration {
            Some(duration) => sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = over => {}
    }
}

/// Begins the ramp. The channel ends when the last device does.
fn start(plan: Plan, stop: &CancellationToken) -> mpsc::Receiver<Event> {
    let (events, received) = mpsc::channel(MAX_WAITING_EVENTS);
    let Plan { endpoint, devices, behavior, ramp, shard, ways, time, .. } = plan;
    let (time, stop) = (FleetTime::begin(ramp, shard, time), stop.clone());
    let reached = AtomicBool::new(false);
    let context = Arc::new(FleetContext { endpoint, ways, behavior, time, reached, events, stop });
    tokio::spawn(ramp_up(devices, context));
    received
}

/// Starts the devices. One that starts late does not delay those after it. Those of a shard start when they would in one
/// run of the whole fleet. The herd does not wait for its turn.
async fn ramp_up(devices: Vec<Device>, context: Arc<FleetContext>) {
    let mut others = Vec::with_capacity(devices.len());
    for (index, device) in devices.into_iter().enumerate() {
        if device.fault() == Some(DeviceFault::Herd) {
            tokio::spawn(device.run(Arc::clone(&context)));
        } else {
            others.push((index, device));
        }
    }
    for (index, device) in others {
        let due = sleep_until(context.time.start_of(index));
        if context.stop.run_until_cancelled(due).await.is_none() {
            return;
        }
        tokio::spawn(device.run(Arc::clone(&context)));
    }
}
