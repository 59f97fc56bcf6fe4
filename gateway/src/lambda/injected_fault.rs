//! What a test makes every function do: be slow, fail, or not answer.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{FunctionFault, InvokeError};
use crate::clock::Clock;

/// The type of the error that an injected failure reports.
const ERROR_TYPE: &str = "InjectedFault";

/// What happens to each call of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionFaults {
    /// By how many milliseconds each call takes longer.
    pub delay_ms: u64,
    /// How each call fails.
    pub failure: Option<FunctionFailure>,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum FunctionFailure {
    /// The function reports an error.
    Error,
    /// The function does not answer within the time limit.
    Timeout,
}

/// The faults of all functions of a gateway. Clones have the same ones.
#[derive(Clone, Debug, Default)]
pub struct InjectedFaults(Arc<Mutex<FunctionFaults>>);

impl InjectedFaults {
    /// Replaces them.
    pub fn set(&self, faults: FunctionFaults) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// What is in force.
    #[must_use]
    pub fn get(&self) -> FunctionFaults {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call be late or fail. `limit` is its time limit.
    ///
    /// # Errors
    ///
    /// The failure in force, or the end of the time limit.
    pub(super) async fn befall(&self, clock: &Clock, limit: Duration) -> Result<(), InvokeError> {
        let FunctionFaults { delay_ms, failure } = self.get();
        let delay = match failure {
            Some(FunctionFailure::Timeout) => limit,
            _ => Duration::from_millis(delay_ms).min(limit),
        };
        if !delay.is_zero() {
            clock.sleep_until(clock.now() + delay).await;
        }
        match failure {
            _ if delay >= limit => Err(InvokeError::Timeout(limit)),
            Some(FunctionFailure::Error) => Err(InvokeError::Function(FunctionFault {
                error_type: ERROR_TYPE.to_owned(),
                message: "the test API makes every call fail".to_owned(),
            })),
            _ => Ok(()),
        }
    }
}
