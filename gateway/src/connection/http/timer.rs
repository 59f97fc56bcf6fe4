//! hyper's timer on the gateway's clock, which tests move.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};

use crate::clock::{Clock, Moment};

/// The gateway's clock, told in the system's moments.
pub(super) struct ClockTimer {
    clock: Clock,
    began: Instant,
    moment: Moment,
}

struct Wait(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

impl ClockTimer {
    pub(super) fn new(clock: Clock) -> Self {
        Self { moment: clock.now(), clock, began: Instant::now() }
    }
}

impl Timer for ClockTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let (clock, moment) = (self.clock.clone(), self.clock.now() + duration);
        Box::pin(Wait(Box::pin(async move { clock.sleep_until(moment).await })))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> Instant {
        self.began + (self.clock.now() - self.moment)
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl Sleep for Wait {}
