//! Many devices at once: started one after the other, stopped together.

use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::device::{Device, Habits, World};
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::summary::Summary;
use crate::tally::Tally;

/// What is to be run.
pub struct Plan {
    /// The server.
    pub endpoint: Endpoint,
    /// Every device, its index being its place here.
    pub devices: Vec<Device>,
    /// What they do.
    pub habits: Habits,
    /// How many begin to connect in a second.
    pub ramp: NonZeroU32,
    /// How long the run takes, ramp included; until it is stopped if absent.
    pub duration: Option<Duration>,
}

/// Sees what happens while a fleet runs. `Break` stops the fleet as its end does.
pub trait Observer {
    /// An event that has just been counted; `new_reason` says whether its reason is met for the first time.
    fn event(&mut self, event: &Event, new_reason: bool, tally: &Tally) -> ControlFlow<()>;

    /// Comes every few seconds.
    fn tick(&mut self, tally: &Tally) -> ControlFlow<()>;
}

/// Runs a fleet until its duration is over, `shutdown` completes, or no device is left.
///
/// At the end every device finishes what it is sending, sends DISCONNECT and closes its connection. Dropping
/// the future has the same effect, unseen.
pub async fn run(
    plan: Plan,
    observer: &mut (impl Observer + ?Sized),
    shutdown: impl Future<Output = ()>,
) -> Summary {
    let began = Instant::now();
    let stop = CancellationToken::new();
    let _stopped_when_dropped = stop.clone().drop_guard();
    let mut tally = Tally::new(plan.devices.len());
    let mut end = pin!(first_of(shutdown, plan.duration));
    let mut ticks = interval_at(began + TICK, TICK);
    let mut events = start(plan, &stop);
    loop {
        let flow = tokio::select! {
            event = events.recv() => match event {
                Some(event) => {
                    let new_reason = tally.count(&event);
                    observer.event(&event, new_reason, &tally)
                }
                None => break,
            },
            () = &mut end, if !stop.is_cancelled() => ControlFlow::Break(()),
            _ = ticks.tick() => observer.tick(&tally),
        };
        if flow.is_break() {
            stop.cancel();
        }
    }
    tally.summary(began.elapsed())
}

/// How often an observer's [`Observer::tick`] is called.
const TICK: Duration = Duration::from_secs(5);
/// So many reports may wait to be counted before devices are held up.
const BACKLOG: usize = 1_024;
const SECOND: Duration = Duration::from_secs(1);

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

/// Begins the ramp. The channel ends when the last device has.
fn start(plan: Plan, stop: &CancellationToken) -> mpsc::Receiver<Event> {
    let (events, received) = mpsc::channel(BACKLOG);
    let Plan { endpoint, devices, habits, ramp, .. } = plan;
    let world = Arc::new(World { endpoint, habits, events, stop: stop.clone() });
    tokio::spawn(ramp_up(devices, ramp, world));
    received
}

/// A device that is late does not make the ones after it late.
async fn ramp_up(devices: Vec<Device>, ramp: NonZeroU32, world: Arc<World>) {
    let began = Instant::now();
    for (place, device) in (0_u32..).zip(devices) {
        let due = began + SECOND.saturating_mul(place) / ramp.get();
        if world.stop.run_until_cancelled(sleep_until(due)).await.is_none() {
            return;
        }
        tokio::spawn(device.run(Arc::clone(&world)));
    }
}
