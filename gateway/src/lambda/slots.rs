//! A limit on the calls of one function at a time, and on the wait for one.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Call, InvokeError};
use crate::clock::Clock;

/// The slots of one function: each call holds one.
pub struct Slots {
    clock: Clock,
    limit: Duration,
    /// The slots of connects.
    connects: Arc<Semaphore>,
    /// The slot of refreshes, which a flood of connects can't delay.
    refreshes: Arc<Semaphore>,
}

impl Slots {
    /// Slots for `instances` connects at a time, and for one refresh. `limit` is the time limit of a call, and of the wait
    /// for its slot.
    #[must_use]
    pub fn new(instances: usize, limit: Duration, clock: Clock) -> Self {
        let slots = |number| Arc::new(Semaphore::new(number));
        Self { clock, limit, connects: slots(instances.max(1)), refreshes: slots(1) }
    }

    /// Waits for a slot. Dropping the permit frees it.
    ///
    /// # Errors
    ///
    /// When no slot becomes free in time.
    pub async fn take(&self, call: Call) -> Result<OwnedSemaphorePermit, InvokeError> {
        let slots = match call {
            Call::Connect => &self.connects,
            Call::Refresh => &self.refreshes,
        };
        match self.clock.timeout(self.limit, Arc::clone(slots).acquire_owned()).await {
            Some(Ok(slot)) => Ok(slot),
            // The semaphore is never closed.
            Some(Err(_)) | None => Err(InvokeError::Throttled),
        }
    }

    /// Waits for a slot, then does the work within the time limit.
    ///
    /// # Errors
    ///
    /// When no slot becomes free, or the work fails or takes too long.
    pub async fn run<F>(&self, call: Call, work: impl FnOnce() -> F) -> Result<Bytes, InvokeError>
    where
        F: Future<Output = Result<Bytes, InvokeError>>,
    {
        let _slot = self.take(call).await?;
        let done = self.clock.timeout(self.limit, work()).await;
        done.unwrap_or(Err(InvokeError::Timeout(self.limit)))
    }
}
