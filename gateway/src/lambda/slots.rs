//! Turns at a function: so many calls at a time, and a wait that ends.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Call, InvokeError};
use crate::clock::Clock;

/// The turns of one function.
pub struct Slots {
    clock: Clock,
    limit: Duration,
    /// One permit for each connect that may be served at a time.
    connects: Arc<Semaphore>,
    /// A permit of their own for refreshes: whoever floods the gateway with connects can't put them off.
    refreshes: Arc<Semaphore>,
}

impl Slots {
    /// Turns for so many connects at a time, and one refresh. Neither a call nor the wait for its turn may take longer
    /// than `limit`.
    #[must_use]
    pub fn new(instances: usize, limit: Duration, clock: Clock) -> Self {
        let slots = |number| Arc::new(Semaphore::new(number));
        Self { clock, limit, connects: slots(instances.max(1)), refreshes: slots(1) }
    }

    /// Waits for a turn, which ends when what is returned is dropped.
    ///
    /// # Errors
    ///
    /// When none came free in time.
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

    /// Waits for a turn, then works, but not for longer than a call may take.
    ///
    /// # Errors
    ///
    /// When no turn came free, the work failed, or it took too long.
    pub async fn run<F>(&self, call: Call, work: impl FnOnce() -> F) -> Result<Bytes, InvokeError>
    where
        F: Future<Output = Result<Bytes, InvokeError>>,
    {
        let _slot = self.take(call).await?;
        let done = self.clock.timeout(self.limit, work()).await;
        done.unwrap_or(Err(InvokeError::Timeout(self.limit)))
    }
}
