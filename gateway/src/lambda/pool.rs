//! The instances of a local program: as many as are needed at a time, up to a limit. Each serves many calls.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Bytes;

use super::{
    Call, InvokeError,
    instance::{Instance, Processes},
    program::Program,
    slots::Slots,
};
use crate::{clock::Clock, event_log::EventLog};

/// A function that is a program of this machine.
#[derive(Clone, Debug)]
pub struct LocalFunction {
    /// The program.
    pub program: Program,
    /// The ARN that the program is told; it takes the policies' partition, region and account from it.
    pub arn: String,
    /// The time limit of one call.
    pub limit: Duration,
    /// How many instances may serve connects at a time; one more serves refreshes.
    pub instances: usize,
}

/// The instances of one function.
pub struct Pool {
    slots: Slots,
    instances: Arc<Instances>,
}

struct Instances {
    function: LocalFunction,
    clock: Clock,
    log: EventLog,
    idle: Mutex<VecDeque<Instance>>,
    processes: Arc<Processes>,
}

impl Pool {
    /// A pool without a running instance.
    #[must_use]
    pub fn new(function: LocalFunction, clock: Clock, log: EventLog) -> Self {
        let slots = Slots::new(function.instances, function.limit, clock.clone());
        let (idle, processes) = (Mutex::default(), Arc::default());
        Self { slots, instances: Arc::new(Instances { function, clock, log, idle, processes }) }
    }

    /// The processes of its instances.
    #[must_use]
    pub fn processes(&self) -> &Processes {
        &self.instances.processes
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.instances.function.program
    }

    /// Starts one instance before the first call, so that a wrong configuration shows at once.
    ///
    /// # Errors
    ///
    /// When the instance can't be started.
    pub async fn warm_up(&self) -> Result<(), InvokeError> {
        self.instances.put_back(self.instances.start().await?);
        Ok(())
    }

    /// Calls the function with one event. The call waits while all instances are busy, but no longer than a call may
    /// take; `payload` is called after the wait.
    ///
    /// # Errors
    ///
    /// When there is no answer. An instance that crashed or took too long is replaced at the next call.
    pub async fn invoke(&self, call: Call, payload: impl FnOnce() -> Bytes) -> Result<Bytes, InvokeError> {
        let slot = self.slots.take(call).await?;
        let (instances, payload) = (Arc::clone(&self.instances), payload());
        // The call is a task of its own, so a client that disconnects does not cost an instance.
        let call = tokio::spawn(async move {
            let _slot = slot;
            instances.invoke(payload).await
        });
        call.await.unwrap_or_else(|error| Err(InvokeError::Crash(error.to_string())))
    }
}

impl Instances {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, InvokeError> {
        let mut instance = match self.take_idle() {
            Some(instance) => instance,
            None => self.start().await?,
        };
        let answer = instance.invoke(payload, self.function.limit, &self.clock).await;
        if matches!(answer, Ok(_) | Err(InvokeError::Function { .. })) {
            self.put_back(instance);
        }
        answer
    }

    async fn start(&self) -> Result<Instance, InvokeError> {
        let LocalFunction { program, arn, .. } = &self.function;
        Instance::start(program, arn, &self.clock, &self.log, &self.processes).await
    }

    /// The instance that was used last, so that instances that are not needed stay idle.
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
