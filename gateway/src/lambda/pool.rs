//! As many instances as are needed at a time, up to a limit, each started once and used again and again.

use std::{collections::VecDeque, sync::Mutex};

use axum::body::Bytes;
use tokio::sync::Semaphore;

use super::{Function, InvokeError, instance::Instance};
use crate::{clock::Clock, event_log::EventLog};

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A client wants to connect.
    Connect,
    /// A connected client's answer has to be renewed.
    Refresh,
}

/// The instances of one function.
pub struct Pool {
    function: Function,
    clock: Clock,
    log: EventLog,
    /// One permit for each instance that may serve connects.
    connects: Semaphore,
    /// A permit of their own for refreshes: whoever floods the gateway with connects can't put them off.
    refreshes: Semaphore,
    idle: Mutex<VecDeque<Instance>>,
}

impl Pool {
    /// A pool without a running instance.
    #[must_use]
    pub fn new(function: Function, clock: Clock, log: EventLog) -> Self {
        let connects = Semaphore::new(function.instances.max(1));
        let refreshes = Semaphore::new(1);
        Self { function, clock, log, connects, refreshes, idle: Mutex::new(VecDeque::new()) }
    }

    /// Starts one instance ahead of the first call, so that a wrong configuration shows at once.
    ///
    /// # Errors
    ///
    /// When the instance can't be started.
    pub async fn warm_up(&self) -> Result<(), InvokeError> {
        let instance = Instance::start(&self.function, &self.clock, &self.log).await?;
        self.put_back(instance);
        Ok(())
    }

    /// Calls the function with one event. While all instances are busy the call waits, but no longer than a
    /// call may take; `payload` is made only when there is an instance for it.
    ///
    /// # Errors
    ///
    /// When there is no answer. An instance that crashed or took too long is replaced at the next call.
    pub async fn invoke(&self, call: Call, payload: impl FnOnce() -> Bytes) -> Result<Bytes, InvokeError> {
        let slots = match call {
            Call::Connect => &self.connects,
            Call::Refresh => &self.refreshes,
        };
        let slot = self.clock.timeout(self.function.limit, slots.acquire()).await;
        // The semaphore is never closed.
        let Some(Ok(_slot)) = slot else { return Err(InvokeError::Throttled) };
        let mut instance = match self.take_idle() {
            Some(instance) => instance,
            None => Instance::start(&self.function, &self.clock, &self.log).await?,
        };
        let answer = instance.invoke(payload(), self.function.limit, &self.clock).await;
        if matches!(answer, Ok(_) | Err(InvokeError::Function { .. })) {
            self.put_back(instance);
        }
        answer
    }

    /// The instance that was used last, so that those not needed stay cold.
    fn take_idle(&self) -> Option<Instance> {
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while let Some(mut instance) = idle.pop_back() {
            if instance.is_alive() {
                return Some(instance);
            }
        }
        None
    }

    fn put_back(&self, instance: Instance) {
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push_back(instance);
    }
}
